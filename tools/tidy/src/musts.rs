//! What the BOLTs demand, sentence by sentence: each has a test, a reason why it does not concern
//! us, or is counted as open where nobody can overlook it.

use std::collections::BTreeSet;

use crate::finding::Finding;
use crate::named::{is_rule, tests};
use crate::tree::Tree;

const RULE: &str = "musts";
const FOLDER: &str = "docs/musts";
/// Sentence, state, message, remedy, shown by.
const CELLS: usize = 5;
/// What may stand in the fourth cell; the last is for what never comes so far.
const REMEDIES: &[&str] = &["ignore", "warning", "error", "force-close", "act", "—"];

/// Looks at each row, and holds the counts against those of the page that sums up.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let names = tree.children(FOLDER).into_iter().filter(|name| *name != "README.md");
    let pages: Vec<_> = names.map(|name| (name, format!("{FOLDER}/{name}"))).collect();
    let summary = tree.text("docs/musts/README.md").unwrap_or_default();
    let tests = if pages.is_empty() { BTreeSet::new() } else { tests(tree) };
    let mut found = Vec::new();
    for (name, path) in &pages {
        let rows = rows(tree.text(path).unwrap_or_default());
        for (line, cells) in &rows {
            let problem = problem(cells, &tests);
            found.extend(problem.map(|it| Finding::new(RULE, path, *line, it)));
        }
        let open = rows.iter().filter(|(_, cells)| reason(cells, "open: ").is_some()).count();
        found.extend(disagreement(summary, name, [rows.len(), open]));
    }
    found
}

/// The rows of all tables with their lines, without the heads.
fn rows(text: &str) -> Vec<(usize, Vec<&str>)> {
    let lines: Vec<_> = text.lines().collect();
    let is_row = |at: usize| {
        let is_head = lines.get(at + 1).is_some_and(|next| is_rule(next));
        lines[at].starts_with("| ") && !is_rule(lines[at]) && !is_head
    };
    (0..lines.len()).filter(|at| is_row(*at)).map(|at| (at + 1, cells(lines[at]))).collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split(" | ").map(str::trim).collect()
}

/// What stands behind `n/a: ` or `open: ` in the last cell.
fn reason<'a>(cells: &[&'a str], mark: &str) -> Option<&'a str> {
    cells.last()?.strip_prefix(mark)
}

fn problem(cells: &[&str], tests: &BTreeSet<String>) -> Option<String> {
    let &[_, _, _, remedy, shown] = cells else {
        return Some(format!("{} cells, expected {CELLS}; complete the row", cells.len()));
    };
    if !REMEDIES.contains(&remedy) {
        return Some(format!("`{remedy}` is none of {} remedies: {REMEDIES:?}", REMEDIES.len()));
    }
    let named = shown.split('`').skip(1).step_by(2).filter(|it| it.split("::").count() == 3);
    let named: Vec<_> = named.collect();
    if let Some(name) = named.iter().find(|name| !tests.contains(**name)) {
        return Some(format!("`{name}` is the name of 0 tests, expected 1; correct it"));
    }
    let has_reason = ["n/a: ", "open: "].iter().any(|mark| reason(cells, mark).is_some());
    (named.is_empty() && !has_reason)
        .then(|| "0 tests, expected 1; name one, or say `n/a: ` or `open: ` and why".into())
}

/// Both counts of a page, as the summary states them and as they are.
fn disagreement(summary: &str, name: &str, counted: [usize; 2]) -> Option<Finding> {
    let link = format!("]({name})");
    let stated = rows(summary).into_iter().find(|(_, cells)| cells[0].contains(&link));
    let (line, cells) = stated.unwrap_or_default();
    let number = |at: usize| cells.get(at)?.parse().ok();
    let (rows, open): (Option<usize>, Option<usize>) = (number(1), number(2));
    let [want_rows, want_open] = counted;
    let is_right = (rows, open) == (Some(want_rows), Some(want_open));
    (!is_right).then(|| {
        let shown = |it: Option<usize>| it.map_or("nothing".into(), |it| it.to_string());
        let [rows, open] = [rows, open].map(shown);
        let problem = format!(
            "{name} has {want_rows} rows, {want_open} of them open; {rows} and {open} are \
             stated; correct the numbers"
        );
        Finding::new(RULE, "docs/musts/README.md", line.max(1), problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "## Part\n\n| Sentence | State | Message | Remedy | Shown by |\n\
        |---|---|---|---|---|\n";
    const FINE: &str = "| MUST fail | live | `add` | error | `tx::deep::it_is_refused` |\n\
        | MUST wait | live | none | act | open: missing, the chain |\n\
        | MUST `A\\|B` | live | none | — | n/a: not offered |\n";

    fn found(table: &str, stated: &str) -> Vec<String> {
        let head = "| Page | Rows | Open |\n|---|---|---|\n";
        let summary = format!("{head}| [BOLT 2](bolt02.md) | {stated} |\n");
        let tree = Tree::of(&[
            ("crates/tx/tests/all/deep.rs", "#[test]\nfn it_is_refused() {}"),
            ("docs/musts/README.md", &summary),
            ("docs/musts/bolt02.md", &format!("{HEAD}{table}")),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_row_with_a_test_or_a_reason_is_fine() {
        assert_eq!(found(FINE, "3 | 1"), Vec::<String>::new());
    }

    #[test]
    fn a_row_that_leads_nowhere_is_found() {
        for (cell, want) in [
            ("", "cells, expected 5"),
            ("somebody has looked at it |", "0 tests, expected 1"),
            ("n/a |", "0 tests, expected 1"),
            ("open |", "0 tests, expected 1"),
            ("`tx::deep::it_is_taken` |", "the name of 0 tests"),
            ("n/a: see `tx::deep::it_is_taken` |", "the name of 0 tests"),
        ] {
            let found = found(&format!("| MUST | live | `add` | error | {cell}\n"), "1 | 0");
            assert_eq!(found.len(), 1, "{cell}: {found:?}");
            assert!(found[0].starts_with("docs/musts/bolt02.md:5: musts: "), "{found:?}");
            assert!(found[0].contains(want), "{cell}: {found:?}");
        }
    }

    #[test]
    fn a_remedy_that_nobody_knows_is_found() {
        let found = found("| MUST | live | `add` | scold | open: missing |\n", "1 | 1");
        assert!(found[0].contains("`scold` is none of 6 remedies"), "{found:?}");
    }

    #[test]
    fn counts_that_are_not_those_of_the_page_are_found() {
        for stated in ["3 | 0", "2 | 1", "three | one", "3"] {
            let found = found(FINE, stated);
            assert_eq!(found.len(), 1, "{stated}");
            assert!(found[0].starts_with("docs/musts/README.md:3: musts: "), "{found:?}");
        }
        let tree = Tree::of(&[("docs/musts/bolt02.md", HEAD)]);
        assert_eq!(check(&tree).len(), 1, "nothing is stated at all");
    }
}
