//! Every source belongs to a module: what none names is not compiled, and nobody notices.

use crate::finding::Finding;
use crate::tree::Tree;

/// Files of these names, and all files directly in these folders, are where a crate begins.
const ROOTS: &[&str] = &["lib.rs", "main.rs", "build.rs"];
const ROOT_FOLDERS: &[&str] = &["tests", "benches", "examples", "bin", "fuzz_targets"];

/// Every source is named by the module above it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let lost = tree.sources().filter(|(path, _)| !is_reached(tree, path));
    let found = lost.map(|(path, _)| {
        let problem = "0 modules name it, 1 must; name it or remove it".to_owned();
        Finding::new("reached", path, 1, problem)
    });
    found.collect()
}

fn is_reached(tree: &Tree, path: &str) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return true };
    let folder_name = folder.rsplit('/').next().unwrap_or(folder);
    if ROOTS.contains(&file) || ROOT_FOLDERS.contains(&folder_name) {
        return true;
    }
    // `mod.rs` is the module that its folder is called.
    let (above, name) = match file {
        "mod.rs" => (folder.rsplit_once('/').map_or("", |it| it.0), folder_name),
        _ => (folder, file.trim_end_matches(".rs")),
    };
    let (named, at_path) = (format!("mod {name};"), format!("\"{file}\""));
    let mut parents = tree.sources().filter(|(parent, _)| is_parent(parent, above));
    parents.any(|(_, text)| text.contains(&named) || text.contains(&at_path))
}

/// Whether modules of this folder may be named in that file.
fn is_parent(file: &str, folder: &str) -> bool {
    let is_module = ["mod.rs", "lib.rs", "main.rs"];
    let in_folder = file.strip_prefix(folder).and_then(|it| it.strip_prefix('/'));
    let is_root = ROOT_FOLDERS.iter().any(|it| folder.ends_with(&format!("/{it}")));
    match in_folder {
        Some(name) => is_module.contains(&name) || is_root && !name.contains('/'),
        None => file == format!("{folder}.rs"),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tree::Tree;

    fn lost(files: &[(&str, &str)]) -> Vec<String> {
        check(&Tree::of(files)).into_iter().map(|it| it.file).collect()
    }

    #[test]
    fn a_file_that_no_module_names_is_found() {
        let files = [
            ("crates/a/src/lib.rs", "mod one;\npub mod two;\n#[path = \"odd.rs\"]\nmod three;"),
            ("crates/a/src/one.rs", ""),
            ("crates/a/src/odd.rs", ""),
            ("crates/a/src/two/mod.rs", "mod deep;"),
            ("crates/a/src/two/deep.rs", ""),
            ("crates/a/src/two/left.rs", ""),
            ("crates/a/tests/all/main.rs", "mod seen;"),
            ("crates/a/tests/all/seen.rs", ""),
            ("crates/a/tests/all/unseen.rs", ""),
            ("crates/a/tests/root.rs", "mod parts;"),
            ("crates/a/tests/parts/mod.rs", ""),
        ];
        assert_eq!(lost(&files), ["crates/a/src/two/left.rs", "crates/a/tests/all/unseen.rs"]);
    }
}
