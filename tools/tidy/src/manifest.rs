//! As much of a `Cargo.toml` as the rules need.

/// One entry of a table of dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The name in the manifest.
    pub key: String,
    /// The package behind it, when it is called otherwise.
    pub package: Option<String>,
    /// Line, from 1.
    pub line: usize,
}

impl Dependency {
    /// Does it bring in the package?
    pub fn is(&self, package: &str) -> bool {
        self.package.as_deref().unwrap_or(&self.key) == package
    }
}

/// `[package] name`.
pub fn package_name(manifest: &str) -> Option<&str> {
    value(manifest, "package", "name")
}

/// `[lib] name`.
pub fn lib_name(manifest: &str) -> Option<&str> {
    value(manifest, "lib", "name")
}

/// What the package and its build script stand on: also per target, but not for tests.
pub fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut found: Vec<Dependency> = Vec::new();
    for Line { table, text, line } in lines(manifest) {
        let Some(named) = shipped_table(table) else { continue };
        let Some((key, value)) = text.split_once('=') else { continue };
        // `wire.workspace = true` and `[dependencies.wire]` name the same thing.
        let own = unquoted(key.trim().split('.').next().unwrap_or_default());
        let key = named.unwrap_or(own);
        let package = match named {
            Some(_) if own == "package" => Some(unquoted(value)),
            Some(_) => None,
            None => value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1)),
        };
        match found.iter_mut().find(|one| one.key == key) {
            Some(known) => known.package = known.package.take().or(package.map(String::from)),
            None => {
                found.push(Dependency { key: key.into(), package: package.map(String::from), line })
            }
        }
    }
    found
}

/// `Some` for a table of dependencies that ship; inside, the one it is about when it is only one's.
fn shipped_table(table: &str) -> Option<Option<&str>> {
    let tables = ["dependencies", "build-dependencies"];
    let names: Vec<&str> = match table.rsplit_once("'.").or(table.rsplit_once("\".")) {
        Some((_, behind_target)) => behind_target.split('.').collect(),
        None => table.split('.').collect(),
    };
    match names.as_slice() {
        [one] if tables.contains(one) => Some(None),
        [one, key] if tables.contains(one) => Some(Some(unquoted(key))),
        _ => None,
    }
}

struct Line<'a> {
    table: &'a str,
    text: &'a str,
    line: usize,
}

fn lines(manifest: &str) -> impl Iterator<Item = Line<'_>> {
    let mut table = "";
    manifest.lines().enumerate().filter_map(move |(at, text)| {
        let text = text.trim();
        if let Some(header) = text.strip_prefix('[') {
            table = header.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
            return None;
        }
        let content = !text.is_empty() && !text.starts_with('#');
        content.then_some(Line { table, text, line: at + 1 })
    })
}

fn value<'a>(manifest: &'a str, table: &str, key: &str) -> Option<&'a str> {
    let own = lines(manifest).filter(|line| line.table == table);
    let mut pairs = own.filter_map(|line| line.text.split_once('='));
    pairs.find(|(name, _)| name.trim() == key).map(|(_, value)| unquoted(value))
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|rest| rest.split('"').next()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"leyden-noise\"\n\n[lib]\nname = \"noise\" # short\n\
        [dependencies]\nwire.workspace = true\n# a = 1\n\
        tower = { package = \"leyden-tx\", path = \"\" }\n\
        [dependencies.sphinx]\npath = \"../sphinx\"\npackage = \"leyden-sphinx\"\n\
        [target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n\
        [build-dependencies]\ncc = \"1\"\n\
        [dev-dependencies]\nsim.workspace = true\n[features]\nplanted = []\n";

    #[test]
    fn names_are_read() {
        assert_eq!(package_name(MANIFEST), Some("leyden-noise"));
        assert_eq!(lib_name(MANIFEST), Some("noise"));
        assert_eq!(lib_name("[package]\nname = \"x\""), None);
    }

    #[test]
    fn every_form_of_a_dependency_is_read_and_no_test_dependency() {
        let found = dependencies(MANIFEST);
        let keys: Vec<&str> = found.iter().map(|one| one.key.as_str()).collect();
        assert_eq!(keys, ["wire", "tower", "sphinx", "libc", "cc"]);
        let packages = ["wire", "leyden-tx", "leyden-sphinx", "libc", "cc"];
        for (one, package) in found.iter().zip(packages) {
            assert!(one.is(package), "{one:?} brings in {package}");
        }
        assert_eq!(found[0].line, 7);
    }
}
