//! The rules, held against the real tree. What each one means and how it can fail is tested beside
//! it in `src/`.

use std::fmt::Write;
use tidy::tables::EXCEPTIONS;
use tidy::{RULES, Tree, excused, findings, unused};

fn hold(rule: &str) {
    let left = excused(findings(rule, &Tree::tracked()), EXCEPTIONS);
    let text = left.iter().fold(String::new(), |mut text, finding| {
        writeln!(text, "{finding}").expect("a String takes everything");
        text
    });
    let excuse = "An exception with its reason goes to tools/tidy/src/tables.rs.";
    assert!(left.is_empty(), "{} findings:\n\n{text}\n{excuse}\n", left.len());
}

macro_rules! hold {
    ($($test:ident $rule:literal),* $(,)?) => {
        const HELD: &[&str] = &[$($rule),*];
        $(#[test] fn $test() { hold($rule); })*
    };
}

hold! {
    columns "column",
    decisions "decisions",
    file_lengths "file-length",
    floors "floors",
    function_lengths "function-length",
    ignored "ignored",
    links "links",
    map "map",
    musts "musts",
    named_tests "named-tests",
    places "places",
    purity "purity",
    reached "reached",
}

#[test]
fn every_rule_is_held() {
    assert_eq!(HELD, RULES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn every_exception_is_needed_and_explained() {
    let tree = Tree::tracked();
    let all: Vec<_> = RULES.iter().flat_map(|(_, rule)| rule(&tree)).collect();
    let idle = unused(&all, EXCEPTIONS);
    assert!(idle.is_empty(), "exceptions that cover nothing any more, remove them: {idle:#?}");
}

#[test]
fn the_tree_is_the_real_one() {
    assert!(Tree::tracked().sources().count() > 10, "too few files to be this project");
}
