//! The demonstration passes. It needs the binary `leyden` beside it, which the tests of the whole
//! workspace build; alone: `cargo build -p leyden-cli` first.

use std::process::{Command, Output};

fn demo(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leyden-demo")).args(words).output().expect("it is built")
}

#[test]
fn it_passes_and_shows_every_scene() {
    let output = demo(&[]);
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}");
    for number in 1..=11 {
        assert!(text.contains(&format!("\n{number}. ")), "{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(said.is_empty(), "{said}");
}

#[test]
fn it_takes_nothing_else() {
    let output = demo(&["--nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("'--nonsense'"));
}
