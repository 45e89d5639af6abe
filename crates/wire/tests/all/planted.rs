//! The ordinary tests see the bugs that feature `planted` compiles in.

use std::process::Command;

fn ordinary_tests(plant: &str) -> (bool, String) {
    let tests = std::env::current_exe().expect("a test binary knows where it is");
    let run = Command::new(tests)
        .args(["--skip", "planted::"])
        .env("LEYDEN_PLANT", plant)
        .output()
        .expect("it ran a moment ago");
    (run.status.success(), String::from_utf8_lossy(&run.stdout).into_owned())
}

#[test]
fn planted_even_tlv_is_caught() {
    let (passed, output) = ordinary_tests("even-tlv");
    assert!(!passed, "nobody noticed that unknown even records are accepted");
    for test in ["vectors_tlv::refused_in_any_namespace", "vectors_message::init_extensions_ref"] {
        let noticed = output.lines().any(|line| line.contains(test) && line.ends_with("FAILED"));
        assert!(noticed, "{test} did not notice:\n{output}");
    }
}

#[test]
fn planted_nothing_is_fine() {
    let (passed, output) = ordinary_tests("");
    assert!(passed, "{output}");
}
