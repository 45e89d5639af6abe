//! A table of what may go wrong names the tests that show what happens then: they exist.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::lex::tokens;
use crate::tree::Tree;

const RULE: &str = "named-tests";
/// The documents whose tables name tests in their last column, as `package::module::test`.
const TABLES: &[&str] = &["docs/bad-input.md"];

/// Looks for each test that a table names.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let texts: Vec<_> = TABLES.iter().filter_map(|path| Some((*path, tree.text(path)?))).collect();
    if texts.is_empty() {
        return Vec::new();
    }
    let tests = tests(tree);
    let mut found = Vec::new();
    for (path, text) in texts {
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.starts_with("| ")) {
            let cells: Vec<_> = line.trim_end().trim_matches('|').split(" | ").collect();
            let last = cells.last().copied().unwrap_or_default();
            let is_head = at > 0 && text.lines().nth(at + 1).is_some_and(is_rule);
            let named: Vec<_> = last.split('`').skip(1).step_by(2).collect();
            if named.is_empty() && !is_head {
                let problem = "0 tests in the last column, expected 1; name one".into();
                found.push(Finding::new(RULE, path, at + 1, problem));
            }
            for name in named.into_iter().filter(|name| !tests.contains(*name)) {
                let problem = format!("`{name}` is the name of 0 tests, expected 1; correct it");
                found.push(Finding::new(RULE, path, at + 1, problem));
            }
        }
    }
    found
}

pub(crate) fn is_rule(line: &str) -> bool {
    line.starts_with("|--") || line.starts_with("| --")
}

/// All tests as `crate::module::test`, by the folder of the crate and the file.
pub(crate) fn tests(tree: &Tree) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (path, source) in tree.sources() {
        let Some((before, file)) = path.rsplit_once('/') else { continue };
        let Some(of) = before.split('/').nth(1) else { continue };
        let module = file.trim_end_matches(".rs");
        for window in tokens(source).windows(6) {
            // `#[test] fn name`
            if window[0].is('[')
                && window[1].is_word("test")
                && window[2].is(']')
                && window[3].is_word("fn")
                && let Some(name) = window[4].word()
            {
                all.insert(format!("{of}::{module}::{name}"));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(table: &str) -> Vec<String> {
        let head = "# Bad input\n\n| what | shown by |\n|---|---|\n";
        let tree = Tree::of(&[
            ("crates/tx/tests/all/deep.rs", "#[test]\nfn it_is_refused() {}\nfn no_test() {}"),
            ("docs/bad-input.md", &format!("{head}{table}")),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_test_that_exists_is_fine() {
        let fine = "| a `lie` | `tx::deep::it_is_refused` |\n";
        assert_eq!(found(fine), Vec::<String>::new());
    }

    #[test]
    fn a_test_that_does_not_exist_is_found() {
        for name in ["tx::deep::it_is_taken", "tx::deep::no_test", "tx::other::it_is_refused"] {
            let found = found(&format!("| a lie | `{name}` |\n"));
            assert_eq!(found.len(), 1, "{name}");
            assert!(found[0].starts_with("docs/bad-input.md:5: named-tests: `tx::"), "{found:?}");
        }
    }

    #[test]
    fn a_row_without_a_test_is_found() {
        let found = found("| a lie | nobody has thought of it |\n");
        assert!(found[0].contains("0 tests in the last column"), "{found:?}");
    }
}
