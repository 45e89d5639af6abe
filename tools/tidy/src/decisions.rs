//! Decisions are numbered without gaps, so that "decision 7" names one text for ever.

use crate::finding::Finding;
use crate::tree::Tree;

const RULE: &str = "decisions";
const FOLDER: &str = "docs/decisions";

/// Checks the names in `docs/decisions`: `0001-title.md`, `0002-…`; a README.md may explain them.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut expected = 1;
    for name in tree.children(FOLDER).into_iter().filter(|name| *name != "README.md") {
        let path = format!("{FOLDER}/{name}");
        let Some(number) = number(name) else {
            let problem = "no name of the form `NNNN-title.md`; rename it".into();
            found.push(Finding::new(RULE, &path, 1, problem));
            continue;
        };
        if number != expected {
            let problem = format!("number {number}, expected {expected}; renumber it");
            found.push(Finding::new(RULE, &path, 1, problem));
        }
        expected = number + 1;
    }
    found
}

fn number(name: &str) -> Option<u32> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let digits = number.len() == 4 && number.chars().all(|c| c.is_ascii_digit());
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (digits && !title.is_empty() && title.chars().all(plain)).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<String> {
        let paths: Vec<_> = names.iter().map(|name| format!("{FOLDER}/{name}")).collect();
        let files: Vec<_> = paths.iter().map(|path| (path.as_str(), "")).collect();
        check(&Tree::of(&files)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn numbers_in_a_row_are_fine() {
        let clean = Vec::<String>::new();
        assert_eq!(found(&[]), clean);
        assert_eq!(found(&["README.md", "0001-one-log.md", "0002-bolt-8.md"]), clean);
    }

    #[test]
    fn gaps_twins_and_other_names_are_found() {
        for (names, problem) in [
            (vec!["0002-a.md"], "number 2, expected 1"),
            (vec!["0001-a.md", "0003-b.md", "0004-c.md"], "number 3, expected 2"),
            (vec!["0001-a.md", "0001-b.md"], "number 1, expected 2"),
            (vec!["0001-a.md", "notes.md"], "no name of the form"),
            (vec!["1-a.md"], "no name of the form"),
            (vec!["0001-A b.md"], "no name of the form"),
            (vec!["0001-a.txt"], "no name of the form"),
        ] {
            let found = found(&names);
            assert_eq!(found.len(), 1, "{names:?}");
            assert!(found[0].contains(problem), "{found:?}");
        }
    }
}
