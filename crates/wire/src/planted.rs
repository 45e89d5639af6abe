//! Bugs that can be switched on, so that our tests can prove that they would see them.

/// Plant `even-tlv`: an unknown even TLV record is kept as if it were odd.
#[inline]
pub(crate) fn accepts_unknown_even() -> bool {
    is("even-tlv")
}

#[cfg(not(feature = "planted"))]
#[inline]
const fn is(_: &str) -> bool {
    false
}

#[cfg(feature = "planted")]
fn is(plant: &str) -> bool {
    std::env::var("LEYDEN_PLANT").is_ok_and(|chosen| chosen == plant)
}

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!("`planted` compiles bugs in; it is for tests on debug builds only");
