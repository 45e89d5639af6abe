//! Every kept input through its target, and the three lists of targets against each other.

use harness::TARGETS;
use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The project's root. Cargo sets the variable for the run; the path of the build may be another
/// clone's.
fn root() -> PathBuf {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).join("../..")
}

fn targets() -> BTreeSet<String> {
    TARGETS.iter().map(|(name, _)| (*name).to_string()).collect()
}

/// Names and paths in a folder, in order. Hidden files are no inputs.
fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let listed = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = listed.map(|entry| entry.expect("a listed entry can be read").path());
    let named = paths.map(|path| {
        (path.file_name().expect("entries have names").to_string_lossy().into_owned(), path)
    });
    let mut found: Vec<_> = named.filter(|(name, _)| !name.starts_with('.')).collect();
    found.sort();
    found
}

fn corpora() -> Vec<(String, PathBuf)> {
    let all = entries(&root().join("fuzz/corpus"));
    all.into_iter().filter(|(_, path)| path.is_dir()).collect()
}

#[test]
fn corpus_replay() {
    let (mut files, mut failed) = (0, Vec::new());
    for (name, folder) in corpora() {
        let Some((_, target)) = TARGETS.iter().find(|(target, _)| *target == name) else {
            continue; // named by `targets_and_corpora_agree`
        };
        for (file, path) in entries(&folder) {
            let data = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            files += 1;
            if catch_unwind(|| target(&data)).is_err() {
                failed.push(format!("{name}/{file}"));
            }
        }
    }
    println!("corpus files: {files}");
    let cure = "cargo +nightly fuzz run TARGET fuzz/corpus/TARGET/FILE";
    assert!(failed.is_empty(), "{} of {files} failed, see {cure}: {failed:#?}", failed.len());
}

#[test]
fn targets_and_corpora_agree() {
    let corpora = corpora();
    let names: BTreeSet<String> = corpora.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(targets(), names, "TARGETS (left) against the folders of fuzz/corpus (right)");
    for (name, folder) in corpora {
        assert!(!entries(&folder).is_empty(), "fuzz/corpus/{name} holds 0 inputs, at least 1");
    }
}

#[test]
fn targets_and_binaries_agree() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).expect("fuzz/Cargo.toml");
    let bins = manifest.split("[[bin]]").skip(1).map(|bin| {
        let name = bin.lines().find_map(|line| line.strip_prefix("name = \""));
        name.expect("every [[bin]] has a name").trim_end_matches('"').to_string()
    });
    let bins: BTreeSet<String> = bins.collect();
    assert_eq!(targets(), bins, "TARGETS (left) against the binaries of fuzz/Cargo.toml (right)");
    let folder = root().join("fuzz/fuzz_targets");
    let sources: BTreeSet<String> = entries(&folder).into_iter().map(|(name, _)| name).collect();
    assert_eq!(sources, bins.iter().map(|name| format!("{name}.rs")).collect(), "fuzz_targets");
    for name in bins {
        let source = fs::read_to_string(folder.join(format!("{name}.rs"))).expect("listed above");
        assert_eq!(source, format!("#![no_main]\nfuzz::target!({name});\n"), "{name}.rs");
    }
}
