//! The tree knows no machine: no path of whoever built it, no registry but the public one.

use crate::finding::Finding;
use crate::tree::Tree;

const RULE: &str = "places";

/// Beginnings of paths that exist on one machine. Written in two parts, so that this file does not
/// find itself.
const PATHS: &[(&str, &str)] = &[
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("/wo", "rk/"),
    ("/tm", "p/"),
    ("/var/tm", "p/"),
];

/// Names of a machine's own stores and mirrors.
const STORES: &[(&str, &str)] =
    &[(".cargo/reg", "istry"), (".cargo/g", "it"), ("index.crates", ".io"), ("sparse", "+http")];

const PUBLIC_REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Checks every text, lockfiles for the registry too. Inputs of fuzz targets are data, not text.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| !path.starts_with("fuzz/corpus/")) {
        for (at, line) in text.lines().enumerate() {
            if let Some(place) = place(line).or_else(|| foreign_registry(path, line)) {
                let cure = "name it relative to the tree, or ask the system for it";
                let problem = format!("`{place}` belongs to 1 machine, expected 0; {cure}");
                found.push(Finding::new(RULE, path, at + 1, problem));
            }
        }
    }
    found
}

fn place(line: &str) -> Option<String> {
    let joined = |(a, b): &(&str, &str)| format!("{a}{b}");
    let store = STORES.iter().map(joined).find(|store| line.contains(store));
    store.or_else(|| PATHS.iter().map(joined).find(|start| begins_path(line, start)))
}

/// Does `start` begin a path here, with a name behind it? A part of a longer path does not.
fn begins_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let inner = |c: char| c.is_alphanumeric() || "_-./~}$".contains(c);
        let before = line[..at].chars().next_back().is_some_and(inner);
        let after = line[at + start.len()..].chars().next();
        !before && after.is_some_and(|c| c.is_alphanumeric() || "._*-".contains(c))
    })
}

fn foreign_registry(path: &str, line: &str) -> Option<String> {
    let source = line.strip_prefix("source = \"").filter(|_| path.ends_with("Cargo.lock"))?;
    let source = source.trim_end_matches('"');
    (source.starts_with("registry+") && source != PUBLIC_REGISTRY).then(|| source.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, line: &str) -> Vec<String> {
        check(&Tree::of(&[(path, line)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn every_place_of_a_machine_is_found() {
        for (a, b) in PATHS {
            for text in [format!("\nsee {a}{b}ann/x"), format!("\n\"{a}{b}x\"")] {
                let found = found("a.md", &text);
                assert_eq!(found.len(), 1, "{text}");
                assert!(found[0].starts_with("a.md:2: places: `/"), "{found:?}");
            }
        }
        for (a, b) in STORES {
            assert_eq!(found("dev", &format!("x/{a}{b}")).len(), 1, "{a}{b}");
        }
    }

    #[test]
    fn parts_of_other_paths_are_fine() {
        for (a, b) in PATHS {
            for before in ["https://example.org", "docs", "$HOME", "${HOME}"] {
                let text = format!("{before}{a}{b}x");
                assert_eq!(found("a.md", &text), Vec::<String>::new(), "{text}");
            }
            assert_eq!(found("a.md", &format!("the folder {a}{b} itself")), Vec::<String>::new());
        }
    }

    #[test]
    fn a_foreign_registry_in_a_lockfile_is_found() {
        let line = |from: &str| format!("source = \"registry+https://{from}\"");
        let mirror = line("mirror.example.org/index");
        assert_eq!(found("Cargo.lock", &mirror).len(), 1);
        assert_eq!(found("fuzz/Cargo.lock", &mirror).len(), 1);
        assert_eq!(found("Cargo.lock", &line("github.com/rust-lang/crates.io-index")).len(), 0);
    }

    #[test]
    fn corpus_files_are_data() {
        let (a, b) = PATHS[0];
        assert_eq!(found("fuzz/corpus/x/seed", &format!("{a}{b}x")), Vec::<String>::new());
    }
}
