//! Relative links in Markdown lead somewhere.

use crate::finding::Finding;
use crate::tree::Tree;

const RULE: &str = "links";

/// Checks every Markdown file.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.ends_with(".md")) {
        for (line, text) in prose(text) {
            for target in targets(&without_code(text)) {
                let leads = resolve(path, &target).is_some_and(|file| tree.has(&file));
                if !leads {
                    let problem = format!("`{target}` leads to 0 files; correct the link");
                    found.push(Finding::new(RULE, path, line, problem));
                }
            }
        }
    }
    found
}

/// The numbered lines of a Markdown text that are not inside a fenced block.
pub(crate) fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// What the links of a line point at, as far as it should be in the tree.
fn targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let definition = line.starts_with('[').then(|| line.split_once("]: ")).flatten();
    let all = inline.chain(definition.and_then(|(_, rest)| rest.split_whitespace().next()));
    let relative = |target: &&str| !target.contains(':') && !target.starts_with('#');
    let file = |target: &str| target.split('#').next().unwrap_or_default().to_string();
    all.map(|target| target.trim_matches(['<', '>'])).filter(relative).map(file).collect()
}

/// The path from the root; `None` when it leaves the tree.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        let tree = Tree::of(&[("docs/a.md", line), ("docs/b/c.md", ""), ("dev", "")]);
        check(&tree).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        for line in [
            "[c](b/c.md), [up](../dev), [here](./b/), [part](b/c.md#part), [own](#part)",
            "[web](https://example.org/x) <https://example.org> [post](mailto:a@b.c)",
            "![picture](<b/c.md> \"title\")",
            "[c]: b/c.md",
            "`[no](link)` and `x[0](y)`",
            "```\n[no](link)\n```",
        ] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for line in [
            "\n\n[c](c.md)",
            "\n\n`code` [fine](b/c.md) [not](/dev.md)",
            "\n\n[out](../../dev)",
            "\n\n[c]: c.md",
            "```\n```\n[folder](c/)",
        ] {
            let found = found(line);
            assert_eq!(found.len(), 1, "{line}");
            assert!(found[0].starts_with("docs/a.md:3: links: `"), "{found:?}");
        }
    }
}
