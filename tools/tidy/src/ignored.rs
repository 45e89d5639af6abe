//! No test sleeps unnoticed: each ignored one gives its reason and stands in the list.

use crate::finding::Finding;
use crate::lex::{Kind, Token, close_of, tokens};
use crate::manifest::package_name;
use crate::tree::Tree;

const RULE: &str = "ignored";
const LIST: &str = "docs/skipped-tests.txt";

/// Checks every `#[ignore]` against the list and back. `./dev test` does the same with what the
/// built tests say of themselves; this rule gives the line.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut listed = list(tree.text(LIST).unwrap_or_default(), &mut found);
    for (path, source) in tree.sources() {
        for ignored in ignored_in(&tokens(source)) {
            let package = package_of(tree, path);
            if ignored.reason.is_empty() {
                let problem = "0 reasons, expected 1; write #[ignore = \"reason\"]".into();
                found.push(Finding::new(RULE, path, ignored.line, problem));
            }
            let entry = listed.iter_mut().find(|entry| entry.is(package, &ignored.test));
            match entry {
                Some(entry) => entry.seen = true,
                None => {
                    let wanted = format!("{package}::…::{} — reason", ignored.test);
                    let problem = format!("in 0 lines of {LIST}, expected 1; add `{wanted}`");
                    found.push(Finding::new(RULE, path, ignored.line, problem));
                }
            }
        }
    }
    for entry in listed.iter().filter(|entry| !entry.seen) {
        let problem = format!("`{}` is ignored 0 times, expected 1; remove it", entry.test);
        found.push(Finding::new(RULE, LIST, entry.line, problem));
    }
    found
}

struct Entry<'a> {
    test: &'a str,
    line: usize,
    seen: bool,
}

impl Entry<'_> {
    fn is(&self, package: &str, function: &str) -> bool {
        let path = self.test.strip_prefix(package).and_then(|rest| rest.strip_prefix("::"));
        path.is_some_and(|path| path.rsplit("::").next() == Some(function))
    }
}

/// The entries `package::test — reason`; lines that are none are findings.
fn list<'a>(text: &'a str, found: &mut Vec<Finding>) -> Vec<Entry<'a>> {
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(" — ") {
            Some((test, reason)) if !reason.trim().is_empty() => {
                entries.push(Entry { test: test.trim(), line: at + 1, seen: false });
            }
            _ => {
                let problem = "no line of the form `package::test — reason`; correct it".into();
                found.push(Finding::new(RULE, LIST, at + 1, problem));
            }
        }
    }
    entries
}

struct Ignored {
    test: String,
    reason: String,
    line: usize,
}

fn ignored_in(tokens: &[Token]) -> Vec<Ignored> {
    let mut found = Vec::new();
    for at in 0..tokens.len().saturating_sub(1) {
        if !(tokens[at].is('#') && tokens[at + 1].is('[')) {
            continue;
        }
        let close = close_of(tokens, at + 1);
        let inside = tokens.get(at + 2..close).unwrap_or_default();
        // `#[ignore]`, `#[ignore = ""]`, `#[cfg_attr(x, ignore = "")]`; not `#[a(ignore(b))]`.
        let conditional = inside.first().is_some_and(|token| token.is_word("cfg_attr"));
        let Some(word) = inside.iter().position(|token| token.is_word("ignore")) else { continue };
        if word > 0 && !conditional {
            continue;
        }
        let reason = match inside.get(word + 2).map(|token| &token.kind) {
            Some(Kind::Text(text)) => text.trim().to_string(),
            _ => String::new(),
        };
        let name = tokens[close..].windows(2).find(|pair| pair[0].is_word("fn"));
        let test = name.and_then(|pair| pair[1].word()).unwrap_or("?").to_string();
        found.push(Ignored { test, reason, line: tokens[at].line });
    }
    found
}

/// The name of the package whose manifest is nearest above a file.
fn package_of<'a>(tree: &'a Tree, path: &str) -> &'a str {
    let mut folder = path;
    while let Some((above, _)) = folder.rsplit_once('/') {
        let manifest = tree.text(&format!("{above}/Cargo.toml"));
        if let Some(name) = manifest.and_then(package_name) {
            return name;
        }
        folder = above;
    }
    "?"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str, list: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("crates/tx/Cargo.toml", "[package]\nname = \"leyden-tx\""),
            ("crates/tx/tests/a.rs", source),
            (LIST, list),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    const LINE: &str = "# header\n\nleyden-tx::deep::slow — takes a minute\n";

    #[test]
    fn a_listed_test_with_a_reason_is_fine() {
        for attribute in ["#[ignore = \"slow\"]", "#[cfg_attr(debug, ignore = \"slow\")]"] {
            let source = format!("#[test]\n{attribute}\nfn slow() {{}}");
            assert_eq!(found(&source, LINE), Vec::<String>::new());
        }
        assert_eq!(found("// #[ignore]\nlet ignore = \"#[ignore]\";", ""), Vec::<String>::new());
    }

    #[test]
    fn a_missing_reason_is_found() {
        for attribute in ["#[ignore]", "#[ignore = \"\"]"] {
            let found = found(&format!("#[test]\n{attribute}\nfn slow() {{}}"), LINE);
            assert_eq!(found.len(), 1, "{attribute}");
            assert!(found[0].starts_with("crates/tx/tests/a.rs:2: ignored: 0 reasons"));
        }
    }

    #[test]
    fn an_unlisted_test_is_found() {
        let found = found("#[ignore = \"x\"]\n#[test]\nfn other() {}", "");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("add `leyden-tx::…::other — reason`"), "{found:?}");
    }

    #[test]
    fn a_listed_test_that_runs_again_is_found() {
        let found = found("#[test] fn slow() {}", LINE);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("docs/skipped-tests.txt:3: ignored: `leyden-tx::deep::slow`"));
    }

    #[test]
    fn a_line_without_a_reason_is_found() {
        let found = found("", "leyden-tx::slow\n");
        assert!(found[0].starts_with("docs/skipped-tests.txt:1: ignored: no line of the form"));
    }
}
