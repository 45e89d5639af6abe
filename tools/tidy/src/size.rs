//! Small enough to read: columns of a line, lines of a function, lines of a file.

use crate::finding::Finding;
use crate::lex::{Token, close_of, tokens};
use crate::tables::limits::{COLUMNS_MAX, FILE_LINES_MAX, FUNCTION_LINES_MAX};
use crate::tree::Tree;

/// Every Rust file fits its limit.
pub fn files(tree: &Tree) -> Vec<Finding> {
    let long = tree.sources().filter_map(|(path, source)| {
        let lines = source.lines().count();
        let problem =
            format!("{lines} lines, at most {FILE_LINES_MAX}; split it by reason to change");
        (lines > FILE_LINES_MAX).then(|| Finding::new("file-length", path, lines, problem))
    });
    long.collect()
}

/// Every line of Rust fits its limit.
pub fn columns(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        for (at, line) in source.lines().enumerate() {
            let columns = line.chars().count();
            if columns > COLUMNS_MAX {
                let problem = format!("{columns} columns, at most {COLUMNS_MAX}; break the line");
                found.push(Finding::new("column", path, at + 1, problem));
            }
        }
    }
    found
}

/// Every function fits its limit. An arm of a macro that writes a function counts as one.
pub fn functions(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, source) in tree.sources() {
        let tokens = tokens(source);
        for Length { name, line, lines } in measured(&tokens) {
            if lines > FUNCTION_LINES_MAX {
                let cure = "name its parts and call them";
                let problem =
                    format!("`{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}; {cure}");
                found.push(Finding::new("function-length", path, line, problem).about(&name));
            }
        }
    }
    found
}

#[derive(Debug, PartialEq, Eq)]
struct Length {
    name: String,
    line: usize,
    lines: usize,
}

fn measured(tokens: &[Token]) -> Vec<Length> {
    let functions = (0..tokens.len()).filter_map(|at| function(tokens, at));
    let arms = (0..tokens.len()).flat_map(|at| macro_arms(tokens, at));
    functions.chain(arms).collect()
}

/// The function that begins with the `fn` at this place, when it has a name and a body.
fn function(tokens: &[Token], at: usize) -> Option<Length> {
    if !tokens[at].is_word("fn") {
        return None;
    }
    // In a macro the name may be a variable.
    let named = if tokens.get(at + 1)?.is('$') { at + 2 } else { at + 1 };
    let name = tokens.get(named)?.word()?.to_string();
    let open = body(tokens, named + 1)?;
    let (line, last) = (tokens[at].line, tokens[close_of(tokens, open)].line);
    Some(Length { name, line, lines: last - line + 1 })
}

/// The brace that opens the body; `None` for a declaration. Braces in the signature are values of
/// constant parameters, in brackets or right behind a `<`.
fn body(tokens: &[Token], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let token = tokens.get(at)?;
        if token.is(';') {
            return None;
        }
        let constant = token.is('{') && tokens[at - 1].is('<');
        if token.is('{') && !constant {
            return Some(at);
        }
        if constant || token.is('(') || token.is('[') {
            at = close_of(tokens, at);
        }
        at += 1;
    }
}

/// The arms of the `macro_rules!` that begins at this place, as far as they hold a `fn`.
fn macro_arms(tokens: &[Token], at: usize) -> Vec<Length> {
    let begins =
        tokens[at].is_word("macro_rules") && tokens.get(at + 1).is_some_and(|token| token.is('!'));
    let Some(name) = tokens.get(at + 2).and_then(Token::word).filter(|_| begins) else {
        return Vec::new();
    };
    let end = close_of(tokens, at + 3);
    let mut arms = Vec::new();
    let mut matcher = at + 4;
    while matcher < end {
        // (matcher) => {body};
        let open = close_of(tokens, matcher) + 3;
        if open >= end {
            break;
        }
        let close = close_of(tokens, open);
        if tokens[open..close].iter().any(|token| token.is_word("fn")) {
            let line = tokens[matcher].line;
            let lines = tokens[close].line - line + 1;
            arms.push(Length { name: format!("{name}!"), line, lines });
        }
        matcher = close + 1;
        matcher += usize::from(tokens.get(matcher).is_some_and(|token| token.is(';')));
    }
    arms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(source: &str) -> Vec<(String, usize, usize)> {
        let all = measured(&tokens(source)).into_iter();
        all.map(|length| (length.name, length.line, length.lines)).collect()
    }

    fn one(name: &str, line: usize, lines: usize) -> (String, usize, usize) {
        (name.into(), line, lines)
    }

    #[test]
    fn a_long_file_is_found() {
        let source = "\n".repeat(FILE_LINES_MAX + 1);
        let found = files(&Tree::of(&[("a.rs", &source), ("b.txt", &source)]));
        assert_eq!(found.len(), 1);
        let want = "a.rs:701: file-length: 701 lines, at most 700; split it by reason to change";
        assert_eq!(found[0].to_string(), want);
        assert_eq!(files(&Tree::of(&[("a.rs", &source[1..])])), []);
    }

    #[test]
    fn a_wide_line_is_found_by_characters_not_bytes() {
        let wide = format!("ok\n// {}", "é".repeat(98));
        let found = columns(&Tree::of(&[("a.rs", &wide)]));
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().starts_with("a.rs:2: column: 101 columns, at most 100;"));
        assert_eq!(columns(&Tree::of(&[("a.rs", &format!("// {}", "é".repeat(97)))])), []);
    }

    #[test]
    fn a_long_function_is_found_and_named() {
        let body = |lines: usize| format!("\nfn long() {{{}}}\n", "\n".repeat(lines - 1));
        let found = functions(&Tree::of(&[("a.rs", &body(FUNCTION_LINES_MAX + 1))]));
        assert_eq!(found.len(), 1);
        let text = found[0].to_string();
        assert!(text.starts_with("a.rs:2: function-length: `long` has 71 lines, at most 70;"));
        assert_eq!(found[0].subject, "a.rs#long");
        assert_eq!(functions(&Tree::of(&[("a.rs", &body(FUNCTION_LINES_MAX))])), []);
    }

    #[test]
    fn braces_that_are_no_braces_do_not_count() {
        let source =
            "fn f<'a>() {\n  let c = '}'; let s = \"}\"; // }\n  /* } */ r#\"}\"#;\n}\nfn g() {}";
        assert_eq!(lengths(source), [one("f", 1, 4), one("g", 5, 1)]);
    }

    #[test]
    fn signatures_are_read_to_their_body() {
        let source = "fn a<T>(x: [u8; { 4 }],\n y: fn(u8) -> u8) -> A<{ 3 }>\nwhere T: B,\n{\n}\n\
                      trait T {\n fn b(&self);\n fn c(&self) {\n }\n}\nlet x: fn() = y;";
        assert_eq!(lengths(source), [one("a", 1, 5), one("c", 8, 2)]);
    }

    #[test]
    fn a_function_inside_another_counts_for_both() {
        assert_eq!(lengths("fn a() {\n fn b() {\n }\n}"), [one("a", 1, 4), one("b", 2, 2)]);
    }

    #[test]
    fn an_arm_of_a_macro_that_writes_functions_counts() {
        let source = "macro_rules! m {\n ($a:ident) => {\n  fn $a() {\n  }\n };\n (x) => { 1 };\n \
                      [y] => {\n fn z() {}\n }\n}";
        let want = [one("a", 3, 2), one("z", 8, 1), one("m!", 2, 4), one("m!", 7, 3)];
        assert_eq!(lengths(source), want);
    }
}
