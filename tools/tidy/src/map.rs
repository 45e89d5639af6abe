//! The map is true: ARCHITECTURE.md names what exists, and every crate says what it is for.

use crate::finding::Finding;
use crate::links::prose;
use crate::tables::limits::MAP_LINES_MAX;
use crate::tree::Tree;

const RULE: &str = "map";
const MAP: &str = "ARCHITECTURE.md";
const SUFFIXES: &[&str] = &[".rs", ".toml", ".md", ".sh", ".txt", ".lock", ".json"];

/// Checks the map against the tree, and the README of every crate and tool.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = readmes(tree);
    let Some(map) = tree.text(MAP) else {
        let problem = "0 maps, expected 1; write ARCHITECTURE.md".into();
        found.push(Finding::new(RULE, MAP, 1, problem));
        return found;
    };
    let lines = map.lines().count();
    if lines > MAP_LINES_MAX {
        let cure = "move what belongs to one crate into its README";
        let problem = format!("{lines} lines, at most {MAP_LINES_MAX}; {cure}");
        found.push(Finding::new(RULE, MAP, lines, problem));
    }
    found.extend(missing_paths(tree, map));
    for name in tree.crates() {
        if !map.lines().any(|line| subject(line) == Some(name)) {
            let cure = "begin a heading, a paragraph or an item with its name";
            let problem = format!("0 paragraphs about `crates/{name}`, expected 1; {cure}");
            found.push(Finding::new(RULE, MAP, 1, problem));
        }
    }
    found
}

fn readmes(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for group in ["crates", "tools"] {
        for name in tree.children(group) {
            let folder = format!("{group}/{name}");
            let readme = format!("{folder}/README.md");
            if tree.has(&format!("{folder}/Cargo.toml")) && !tree.has(&readme) {
                let problem = "missing; say what it is for, what it never does, its invariants";
                found.push(Finding::new(RULE, &readme, 1, problem.into()));
            }
        }
    }
    found
}

fn missing_paths(tree: &Tree, map: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut about = None;
    for (line, text) in prose(map) {
        about = subject(text).filter(|name| tree.has(&format!("crates/{name}"))).or(about);
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.strip_prefix("./").unwrap_or(quoted);
            let path = path.split_whitespace().next().filter(|_| quoted.starts_with("./"));
            let path = path.unwrap_or(quoted);
            let within = about.map(|name| format!("crates/{name}/{path}"));
            let exists = tree.has(path) || within.is_some_and(|path| tree.has(&path));
            if looks_like_path(tree, quoted) && !exists {
                let problem = format!("`{path}` names 0 files; correct the map, or the tree");
                found.push(Finding::new(RULE, MAP, line, problem));
            }
        }
    }
    found
}

/// `local/remote` is no path; `crates/wire/`, `src/lib.rs` and `./dev test` are.
fn looks_like_path(tree: &Tree, quoted: &str) -> bool {
    if quoted.starts_with("./") {
        return true;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !quoted.chars().all(plain) || quoted.starts_with('/') || quoted.starts_with("..") {
        return false;
    }
    let first = quoted.split('/').next().unwrap_or_default();
    let suffix = SUFFIXES.iter().any(|suffix| quoted.ends_with(suffix) && quoted != *suffix);
    let folder =
        quoted.contains('/') && (quoted.ends_with('/') || tree.children("").contains(first));
    suffix || folder
}

/// The crate that a heading, a paragraph or an item begins with: `` ### `wire` — bytes ``,
/// `` - `crates/wire/`: ``, `**wire**`.
fn subject(line: &str) -> Option<&str> {
    let marked = line.trim_start().starts_with(['#', '-', '*', '`', '|']);
    let line = line.trim_start_matches(|c: char| "#-*`| ".contains(c));
    let first = line.split(|c: char| c.is_whitespace() || "`*:,|".contains(c)).next()?;
    let name = first.trim_end_matches('/');
    let name = name.strip_prefix("crates/").or(name.strip_prefix("leyden-")).unwrap_or(name);
    (marked && !name.is_empty() && !name.contains('/')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(map: &str) -> Vec<String> {
        let tree = Tree::of(&[
            (MAP, map),
            ("dev", ""),
            ("docs/a.md", ""),
            ("crates/wire/Cargo.toml", ""),
            ("crates/wire/README.md", ""),
            ("crates/wire/src/lib.rs", ""),
        ]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_true_map_is_fine() {
        let map = "## `wire` — bytes\nEntry `src/lib.rs`, `crates/wire/src/`.\n\
                   `./dev test --long`, `local/remote`, `Option<u8>/x.rs`, `decide(&self)`,\n\
                   `docs/a.md`, `<core>/src/api.rs`\n\
                   ```\n`crates/gone/`\n```\n";
        assert_eq!(found(map), Vec::<String>::new());
    }

    #[test]
    fn a_path_that_is_gone_is_found() {
        for gone in ["crates/wire/src/old.rs", "docs/b", "src/gone.rs", "attic/", "./devel demo"] {
            let found = found(&format!("- `crates/wire/`: bytes\n\nsee `{gone}` there\n"));
            assert_eq!(found.len(), 1, "{gone}");
            assert!(found[0].starts_with("ARCHITECTURE.md:3: map: `"), "{found:?}");
        }
    }

    #[test]
    fn every_crate_has_its_paragraph() {
        assert!(found("# Leyden\n\nthe wire is long")[0].contains("0 paragraphs about"));
        for map in ["### wire", "- **wire**: x", "`wire` does x", "| `crates/wire` | x |"] {
            assert_eq!(found(map), Vec::<String>::new(), "{map}");
        }
    }

    #[test]
    fn a_long_map_is_found() {
        let map = format!("# wire\n{}", "\n".repeat(MAP_LINES_MAX));
        assert!(found(&map)[0].starts_with("ARCHITECTURE.md:401: map: 401 lines, at most 400;"));
    }

    #[test]
    fn a_missing_map_or_readme_is_found() {
        let tree = Tree::of(&[("crates/tx/Cargo.toml", ""), ("tools/x/Cargo.toml", "")]);
        let files: Vec<_> = check(&tree).into_iter().map(|finding| finding.file).collect();
        assert_eq!(files, ["crates/tx/README.md", "tools/x/README.md", MAP]);
    }
}
