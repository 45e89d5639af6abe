//! The house rules that a compiler does not know, as ordinary tests.
//!
//! For: `cargo test -p leyden-tidy`. Every rule is a pure function from the tree to its findings,
//! and every rule has a test beside it that plants a violation and sees it found. What the rules
//! speak about (floors, shells, exceptions) stands in [`tables`] and nowhere else.
//!
//! Never: a rule that rewrites files, or that needs anything but the tree and `git ls-files`.

mod decisions;
mod finding;
mod floors;
mod ignored;
mod lex;
mod links;
mod manifest;
mod map;
mod musts;
mod named;
mod paths;
mod places;
mod purity;
mod reached;
mod size;
pub mod tables;
mod tree;

pub use finding::{Exception, Finding, excused, unused};
pub use tree::Tree;

/// A rule: all that it finds wrong in a tree.
pub type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule by the name under which exceptions are listed.
pub const RULES: &[(&str, Rule)] = &[
    ("column", size::columns),
    ("decisions", decisions::check),
    ("file-length", size::files),
    ("floors", floors::check),
    ("function-length", size::functions),
    ("ignored", ignored::check),
    ("links", links::check),
    ("map", map::check),
    ("musts", musts::check),
    ("named-tests", named::check),
    ("places", places::check),
    ("purity", purity::check),
    ("reached", reached::check),
];

/// Everything that `rule` finds in `tree`.
pub fn findings(rule: &str, tree: &Tree) -> Vec<Finding> {
    let known = RULES.iter().find(|(name, _)| *name == rule);
    known.unwrap_or_else(|| panic!("no rule is called `{rule}`")).1(tree)
}
