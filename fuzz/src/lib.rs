//! Connects a target of `harness` to libFuzzer; each binary is one call of [`target!`].

pub use {harness, libfuzzer_sys};

/// Makes the binary that feeds `harness::$name`.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::harness::$name(data));
    };
}
