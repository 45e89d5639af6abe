//! Imports go down only: in manifests and in what the sources mention.

use crate::finding::Finding;
use crate::manifest::{dependencies, lib_name, package_name};
use crate::paths::{Mention, mentions, shipped};
use crate::tables::{API_ONLY_FROM, BESIDE, Beside, FLOORS, JOINERS};
use crate::tree::Tree;
use std::collections::BTreeSet;

const RULE: &str = "floors";

/// Checks every crate under `crates/`.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for name in tree.crates() {
        let path = format!("crates/{name}/Cargo.toml");
        let manifest = tree.text(&path).unwrap_or_default();
        if floor(name).is_none() && beside(name).is_none() {
            let cure = "give it one in tools/tidy/src/tables.rs";
            let problem = format!("the crate `{name}` stands on 0 floors, expected 1; {cure}");
            found.push(Finding::new(RULE, &path, 1, problem));
            continue;
        }
        found.extend(names(name, &path, manifest));
        found.extend(in_manifest(tree, name, &path, manifest));
        found.extend(in_sources(tree, name));
    }
    found
}

/// The sources are checked by crate name, so folder, package and library have to carry the same.
fn names(name: &str, path: &str, manifest: &str) -> Option<Finding> {
    let package = package_name(manifest)?;
    let lib = lib_name(manifest).unwrap_or(name);
    let fits = lib == name && (package == format!("leyden-{name}") || package == "leyden");
    let cure = format!("call the package `leyden-{name}` and its library `{name}`");
    let problem = format!("package `{package}` with library `{lib}` in `crates/{name}`; {cure}");
    (!fits).then(|| Finding::new(RULE, path, 1, problem))
}

fn in_manifest(tree: &Tree, name: &str, path: &str, manifest: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    for dependency in dependencies(manifest) {
        let is = |name: &str| dependency.is(name) || dependency.is(&format!("leyden-{name}"));
        if let Some(other) = known().find(|known| is(known)).filter(|other| !allowed(name, other)) {
            found.push(Finding::new(RULE, path, dependency.line, upstairs(name, other)));
        }
        if let Some(tool) = tree.children("tools").into_iter().find(|tool| is(tool)) {
            let problem = format!("`{tool}` is a tool; list it under [dev-dependencies]");
            found.push(Finding::new(RULE, path, dependency.line, problem));
        }
    }
    found
}

fn in_sources(tree: &Tree, name: &str) -> Vec<Finding> {
    let folder = format!("crates/{name}/src/");
    let sources: Vec<_> = tree.sources().filter(|(path, _)| path.starts_with(&folder)).collect();
    let own = own_modules(&sources);
    let mut found = Vec::new();
    for (path, source) in sources {
        for mention in mentions(&shipped(source).0) {
            let other = mention.parts[0].as_str();
            let is_path = mention.parts.len() > 1 || mention.import;
            if !is_path || other == name || own.contains(other) || !known().any(|k| k == other) {
                continue;
            }
            let problem = if !allowed(name, other) {
                upstairs(name, other)
            } else if api_only(name, other) && !through_api(&mention) {
                let cure = format!("of `{other}` a core imports only `{other}::api`");
                format!("`{}` reaches past the contract; {cure}", mention.path())
            } else {
                continue;
            };
            found.push(Finding::new(RULE, path, mention.line, problem));
        }
    }
    found
}

/// Modules of a crate hide crates of the same name (`signer` has a view of the `chain`).
fn own_modules<'a>(sources: &[(&str, &'a str)]) -> BTreeSet<String> {
    let modules = |(_, source): &(&str, &'a str)| {
        let tokens = crate::lex::tokens(source);
        let pairs = tokens.windows(2).filter(|pair| pair[0].is_word("mod"));
        pairs.filter_map(|pair| pair[1].word().map(String::from)).collect::<Vec<_>>()
    };
    sources.iter().flat_map(modules).collect()
}

fn through_api(mention: &Mention) -> bool {
    mention.parts.get(1).is_some_and(|part| part == "api")
}

fn upstairs(name: &str, other: &str) -> String {
    let at = |name| floor(name).map_or("beside".into(), |floor| floor.to_string());
    let (own, others) = (at(name), at(other));
    let cure = "move what is shared down, or ask by an effect";
    format!("`{name}` (floor {own}) imports `{other}` (floor {others}), not below it; {cure}")
}

/// May `name` import `other`?
fn allowed(name: &str, other: &str) -> bool {
    if let Some(beside) = beside(name) {
        return beside.imports.contains(&other);
    }
    match (floor(name), floor(other), beside(other)) {
        (Some(own), Some(others), _) => others < own,
        (Some(own), None, Some(beside)) => own >= beside.imported_from,
        _ => false,
    }
}

fn api_only(name: &str, other: &str) -> bool {
    let high = floor(other).is_some_and(|floor| floor >= API_ONLY_FROM);
    high && !JOINERS.contains(&name)
}

fn known() -> impl Iterator<Item = &'static str> {
    let floors = FLOORS.iter().flat_map(|floor| floor.iter().copied());
    floors.chain(BESIDE.iter().map(|beside| beside.name))
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

fn beside(name: &str) -> Option<&'static Beside> {
    BESIDE.iter().find(|beside| beside.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, dependencies: &str, source: &str) -> Vec<String> {
        let toml = format!("[package]\nname = \"leyden-{name}\"\n[dependencies]\n{dependencies}");
        let (manifest, lib) =
            (format!("crates/{name}/Cargo.toml"), format!("crates/{name}/src/lib.rs"));
        let tool = ("tools/paired/Cargo.toml", "");
        let tree = Tree::of(&[(&manifest, &toml), (&lib, source), tool]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn down_is_fine() {
        let clean = Vec::<String>::new();
        assert_eq!(found("noise", "wire.workspace = true", "use wire::Reader;"), clean);
        assert_eq!(found("pay", "", "use channel::api::Ask; use wire::{Msat, Scid};"), clean);
        assert_eq!(found("node", "", "use channel::Channel; use bus::Link;"), clean);
        assert_eq!(found("client", "", "use peer::Peer;"), clean);
    }

    #[test]
    fn a_manifest_that_imports_upstairs_is_found() {
        for line in [
            "noise.workspace = true",
            "n = { package = \"leyden-noise\", path = \"../noise\" }",
            "leyden-noise = \"0.1\"",
        ] {
            let found = found("wire", line, "");
            assert_eq!(found.len(), 1, "{line}");
            assert!(found[0].starts_with("crates/wire/Cargo.toml:4: floors: `wire` (floor 0)"));
        }
    }

    #[test]
    fn a_source_that_imports_upstairs_or_sideways_is_found() {
        for (name, source) in [
            ("wire", "\n\nuse noise::Act;"),
            ("wire", "\n\nuse {noise::Act};"),
            ("noise", "\n\nfn f() -> sphinx::Onion {}"),
            ("channel", "\n\npub use peer::api;"),
            ("pay", "\n\nuse reserve as r;"),
            ("channel", "\n\nuse bus::Link;"),
            ("bus", "\n\nuse noise::Act;"),
            ("client", "\n\nuse channel::api;"),
            ("node", "\n\nuse client::Wallet;"),
        ] {
            let found = found(name, "", source);
            assert_eq!(found.len(), 1, "{name}: {source}");
            assert!(found[0].starts_with(&format!("crates/{name}/src/lib.rs:3: floors:")));
        }
    }

    #[test]
    fn a_core_that_reaches_past_a_contract_is_found() {
        for source in ["use channel::state::Normal;", "use channel;", "use channel::{api, fault};"]
        {
            let found = found("pay", "", source);
            assert_eq!(found.len(), 1, "{source}");
            assert!(found[0].contains("only `channel::api`"), "{found:?}");
        }
    }

    #[test]
    fn own_modules_comments_and_tests_are_no_imports() {
        let source = "mod chain; use chain::View; // use noise::X\n\"noise::Y\"; let peer = 1;\n\
                      #[cfg(test)] mod tests { use sim::World; }";
        assert_eq!(found("tx", "", source), Vec::<String>::new());
    }

    #[test]
    fn a_tool_or_a_stranger_or_a_wrong_name_is_found() {
        assert!(found("noise", "paired.workspace = true", "")[0].contains("is a tool"));
        assert!(found("attic", "", "")[0].contains("stands on 0 floors"));
        let tree = Tree::of(&[("crates/wire/Cargo.toml", "[package]\nname = \"wires\"")]);
        assert!(check(&tree)[0].to_string().contains("call the package `leyden-wire`"));
    }
}
