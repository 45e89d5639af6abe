//! The files of the project, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Folders that hold what was made, not what was written. Only for a tree without git.
const MADE: &[&str] = &["target", ".git", "corpus-local", "artifacts", "coverage"];

/// Paths from the root, with `/`, and what they hold; `None` for what is not text.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// A tree in memory.
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let text = |(path, text): &(&str, &str)| ((*path).into(), Some((*text).into()));
        Tree { files: files.iter().map(text).collect() }
    }

    /// The project's own tree: what git tracks or would track. A tree that was unpacked without
    /// its history is walked instead.
    pub fn tracked() -> Tree {
        let root = root();
        let paths = listed(&root).unwrap_or_else(|| walked(&root));
        // A path that git lists but that is gone was deleted and not yet committed.
        let read = |path: String| {
            let bytes = fs::read(root.join(&path)).ok()?;
            Some((path, String::from_utf8(bytes).ok()))
        };
        Tree { files: paths.into_iter().filter_map(read).collect() }
    }

    /// Every file that is text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Every Rust file.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Is this a file, or a folder with a file in it?
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        path.is_empty() || self.files.contains_key(path) || {
            let folder = format!("{path}/");
            self.files.range(folder.clone()..).next().is_some_and(|(at, _)| at.starts_with(&folder))
        }
    }

    /// The names directly under `folder` (the root when empty).
    pub fn children(&self, folder: &str) -> BTreeSet<&str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let child = |path: &'_ String| path.strip_prefix(&prefix)?.split('/').next().map(str::len);
        let start = prefix.len();
        self.files.keys().filter_map(|path| Some(&path[start..start + child(path)?])).collect()
    }

    /// The crates under `crates/`.
    pub fn crates(&self) -> Vec<&str> {
        let is_crate = |name: &&str| self.has(&format!("crates/{name}/Cargo.toml"));
        self.children("crates").into_iter().filter(is_crate).collect()
    }
}

/// Cargo sets the variable for the run; the path of the build may be another clone's.
fn root() -> PathBuf {
    let here = env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).join("../..")
}

/// `None` without git, or outside of a git tree.
fn listed(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    // Whoever may run the tests may list the files, whoever owns them.
    git.args(["-c", "safe.directory=*", "ls-files", "-z", "-c", "-o", "--exclude-standard"]);
    let output = git.current_dir(root).output().ok().filter(|output| output.status.success())?;
    let paths = String::from_utf8(output.stdout).ok()?;
    Some(paths.split('\0').filter(|path| !path.is_empty()).map(String::from).collect())
}

fn walked(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && MADE.contains(&name.as_str()) => {}
                Ok(kind) if kind.is_dir() => folders.push(path),
                _ => found.push(path),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_exist_through_their_files() {
        let tree = Tree::of(&[("crates/wire/src/lib.rs", ""), ("crates/wire/Cargo.toml", "")]);
        for path in ["crates", "crates/", "crates/wire/src", "crates/wire/src/lib.rs"] {
            assert!(tree.has(path), "{path}");
        }
        for path in ["crate", "crates/wir", "crates/wire/src/lib", "docs/"] {
            assert!(!tree.has(path), "{path}");
        }
        assert_eq!(tree.crates(), ["wire"]);
    }

    #[test]
    fn git_and_the_plain_walk_agree_about_this_crate() {
        let own = |paths: Vec<String>| -> BTreeSet<String> {
            paths.into_iter().filter(|path| path.starts_with("tools/tidy/src/")).collect()
        };
        let walk = own(walked(&root()));
        assert!(walk.contains("tools/tidy/src/tree.rs"));
        if let Some(list) = listed(&root()) {
            assert_eq!(own(list), walk);
        }
    }
}
