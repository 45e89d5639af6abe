//! Cores are told the input and the time: none reaches for the world, and none depends on chance.

use crate::finding::Finding;
use crate::manifest::dependencies;
use crate::paths::{Mention, mentions, shipped};
use crate::tables::{CORE_PERMISSIONS, SHELLS};
use crate::tree::Tree;
use std::collections::BTreeSet;

const RULE: &str = "purity";

/// Modules of `std` that reach outside, and what a core does instead.
const WORLD: &[(&str, &str)] = &[
    ("env", "take it as an argument"),
    ("fs", "save by an effect"),
    ("io", "take and give bytes"),
    ("net", "send by an effect; addresses as types are in core::net"),
    ("os", "what one system has, the shell uses"),
    ("process", "answer with a fault"),
    ("thread", "a core is owned by one thread"),
    ("time", "take a Tick; a span as a type is in core::time"),
];

/// Names that are out of place wherever they come from, and what a core does instead.
const NAMES: &[(&str, &str)] = &[
    ("Instant", "take a Tick"),
    ("SystemTime", "take a Tick"),
    ("OsRng", "take a Dice"),
    ("thread_rng", "take a Dice"),
    ("RandomState", "take a Dice"),
    ("DefaultHasher", "its hashes differ from run to run"),
    ("hash_map", "BTreeMap has an order that replays"),
    ("HashMap", "BTreeMap has an order that replays"),
    ("HashSet", "BTreeSet has an order that replays"),
];

/// Crates that are out of place, and what a core does instead.
const CRATES: &[(&str, &str)] = &[
    ("tokio", "only shells run tasks"),
    ("rand", "take a Dice"),
    ("rand_core", "take a Dice"),
    ("getrandom", "take a Dice"),
];

const MACROS: &[&str] = &["println", "eprintln", "print", "eprint", "dbg"];

/// Checks the manifest and the sources of every core.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let is_core = |name: &&str| !SHELLS.iter().any(|(shell, _)| shell == name);
    let cores = tree.crates().into_iter().filter(is_core);
    cores.flat_map(|name| [in_manifest(tree, name), in_sources(tree, name)].concat()).collect()
}

fn in_manifest(tree: &Tree, name: &str) -> Vec<Finding> {
    let path = format!("crates/{name}/Cargo.toml");
    let mut found = Vec::new();
    for dependency in dependencies(tree.text(&path).unwrap_or_default()) {
        if let Some((banned, cure)) = CRATES.iter().find(|(banned, _)| dependency.is(banned)) {
            found.push(Finding::new(RULE, &path, dependency.line, problem(banned, cure)));
        }
    }
    found
}

fn in_sources(tree: &Tree, name: &str) -> Vec<Finding> {
    let folder = format!("crates/{name}/src/");
    let sources: Vec<_> = tree.sources().filter(|(path, _)| path.starts_with(&folder)).collect();
    let tests: BTreeSet<String> =
        sources.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    let mut found = Vec::new();
    for (path, source) in sources {
        if tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/"))) {
            continue;
        }
        let tokens = shipped(source).0;
        let bangs = tokens.windows(2).filter(|pair| pair[1].is('!'));
        for token in bangs.map(|pair| &pair[0]) {
            if let Some(name) = MACROS.iter().find(|name| token.is_word(name)) {
                let problem = problem(&format!("{name}!"), "tell it by an event");
                found.push(Finding::new(RULE, path, token.line, problem));
            }
        }
        for mention in mentions(&tokens) {
            if let Some((what, cure)) = banned(&mention).filter(|(what, _)| !permitted(path, what))
            {
                found.push(Finding::new(RULE, path, mention.line, problem(&what, cure)));
            }
        }
    }
    found
}

/// What stands in the files of modules that exist only in tests: `a.rs` or the folder `a`.
fn test_files(path: &str, source: &str) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let base = match file {
        "lib.rs" | "mod.rs" | "main.rs" => folder.to_string(),
        _ => path.trim_end_matches(".rs").to_string(),
    };
    let both = |name: String| [format!("{base}/{name}.rs"), format!("{base}/{name}")];
    shipped(source).1.into_iter().flat_map(both).collect()
}

/// What is banned about a mention, and the way out.
fn banned(mention: &Mention) -> Option<(String, &'static str)> {
    let parts = &mention.parts;
    let own = parts.get(1).filter(|_| parts[0] == "std").map(String::as_str);
    if let Some((module, cure)) = WORLD.iter().find(|(module, _)| Some(*module) == own) {
        return Some((format!("std::{module}"), cure));
    }
    if let Some((name, cure)) = NAMES.iter().find(|(name, _)| parts.iter().any(|p| p == name)) {
        return Some(((*name).into(), cure));
    }
    // A crate may be reached through another one's re-export; a value of that name is no crate.
    let reached = &parts[..parts.len() - usize::from(!mention.import)];
    let (name, cure) = CRATES.iter().find(|(name, _)| reached.iter().any(|p| p == name))?;
    Some(((*name).into(), cure))
}

fn permitted(path: &str, what: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    CORE_PERMISSIONS.iter().any(|(name, use_of, _)| *name == file && *use_of == what)
}

fn problem(what: &str, cure: &str) -> String {
    format!("1 use of `{what}` in a core, at most 0; {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let manifest = [("crates/tx/Cargo.toml", ""), ("crates/node/Cargo.toml", "")];
        check(&Tree::of(&[&manifest, files].concat())).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn every_way_into_the_world_is_found() {
        for code in [
            "use std::fs;",
            "use std::{fmt, net::TcpStream};",
            "fn f() -> std::io::Result<()> {}",
            "let x = std::env::var(y);",
            "std::process::exit(1)",
            "::std::thread::sleep(x)",
            "use std::time::Duration;",
            "let at = Instant::now();",
            "fn f(at: SystemTime) {}",
            "let r = OsRng;",
            "thread_rng()",
            "use secp256k1::rand;",
            "secp256k1::rand::random()",
            "getrandom::fill(x)",
            "tokio::spawn(x)",
            "#[tokio::test]",
            "let x: HashMap<u8, u8> = x;",
            "use std::collections::HashSet;",
            "println!(\"\")",
            "eprintln!(\"\")",
        ] {
            let found = found(&[("crates/tx/src/deep/a.rs", &format!("\n{code}"))]);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(found[0].starts_with("crates/tx/src/deep/a.rs:2: purity: 1 use of"), "{code}");
        }
    }

    #[test]
    fn a_core_that_depends_on_the_world_is_found() {
        let found = found(&[("crates/tx/Cargo.toml", "[dependencies]\ntokio = \"1\"\n")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/tx/Cargo.toml:2: purity: 1 use of `tokio`"));
    }

    #[test]
    fn words_in_texts_comments_tests_and_names_are_fine() {
        let code = "//! std::fs println!\nuse std::{fmt, collections::BTreeMap}; use core::time;\n\
            const A: &str = \"println!\"; let rand = self.rand; x.io(); crate::io::read();\n\
            #[cfg(test)] mod tests { use std::fs; }\n#[cfg(test)] mod table;";
        let files = [
            ("crates/tx/src/lib.rs", code),
            ("crates/tx/src/table.rs", "use std::fs;"),
            ("crates/tx/src/table/deep.rs", "use std::fs;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn only_cores_are_pure_and_only_in_what_ships() {
        let files = ["crates/node/src/lib.rs", "crates/tx/tests/a.rs", "demo/src/main.rs"];
        assert_eq!(found(&files.map(|path| (path, "use std::fs;"))), Vec::<String>::new());
    }

    #[test]
    fn a_permission_is_for_its_file_and_its_use() {
        assert_eq!(found(&[("crates/tx/src/planted.rs", "use std::env;")]).len(), 0);
        assert_eq!(found(&[("crates/tx/src/planted.rs", "use std::fs;")]).len(), 1);
        assert_eq!(found(&[("crates/tx/src/other.rs", "use std::env;")]).len(), 1);
    }
}
