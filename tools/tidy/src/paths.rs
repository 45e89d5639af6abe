//! Every path a source text mentions, with `use` trees written out, and without its tests.

use crate::lex::{Kind, Token, close_of, tokens};

/// `std::fs::read`, mentioned on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The names between the `::`.
    pub parts: Vec<String>,
    /// Line, from 1.
    pub line: usize,
    /// Part of a `use`.
    pub import: bool,
}

impl Mention {
    /// The path as written in one piece.
    pub fn path(&self) -> String {
        self.parts.join("::")
    }
}

/// All paths of a text, one-part ones too.
pub fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let next_is = |mark| tokens.get(at + 1).is_some_and(|token| token.is(mark));
        match &tokens[at].kind {
            // `use<'a>` in a bound names no path.
            Kind::Word(word) if word == "use" && !next_is('<') => {
                at = import(tokens, at + 1, &[], &mut found);
            }
            Kind::Word(_) => at = plain(tokens, at, &mut found),
            Kind::Mark(_) | Kind::Text(_) | Kind::Number | Kind::Lifetime => at += 1,
        }
    }
    found
}

/// Is there a `::` at this place?
fn colons(tokens: &[Token], at: usize) -> bool {
    matches!(tokens.get(at..at + 2), Some([a, b]) if a.is(':') && b.is(':'))
}

fn plain(tokens: &[Token], start: usize, found: &mut Vec<Mention>) -> usize {
    let mut parts = Vec::new();
    let mut at = start;
    while let Some(word) = tokens.get(at).and_then(Token::word) {
        parts.push(word.to_string());
        at += 1;
        if !(colons(tokens, at) && tokens.get(at + 2).is_some_and(|next| next.word().is_some())) {
            break;
        }
        at += 2;
    }
    found.push(Mention { parts, line: tokens[start].line, import: false });
    at
}

/// Reads one tree of a `use` and tells where it ends: behind it, at `,`, `}` or `;`.
fn import(tokens: &[Token], start: usize, before: &[String], found: &mut Vec<Mention>) -> usize {
    let mut parts = before.to_vec();
    let mut at = start;
    while let Some(token) = tokens.get(at) {
        match &token.kind {
            // The new name says nothing about where the thing came from.
            Kind::Word(word) if word == "as" => at += 1,
            Kind::Word(word) => parts.push(word.clone()),
            Kind::Mark('*') => parts.push("*".into()),
            Kind::Mark('{') => {
                let close = close_of(tokens, at);
                at += 1;
                while at < close {
                    at = import(tokens, at, &parts, found).max(at + 1);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.is(',')));
                }
                return close + 1;
            }
            Kind::Mark(',' | '}' | ';') => break,
            Kind::Mark(_) | Kind::Text(_) | Kind::Number | Kind::Lifetime => {}
        }
        at += 1;
    }
    if parts.len() > before.len() {
        let line = tokens.get(start).map_or(0, |token| token.line);
        found.push(Mention { parts, line, import: true });
    }
    at
}

/// What a source text ships: its tokens without items under `#[cfg(test)]`, and the names of the
/// modules that are such items but stand in files of their own.
pub fn shipped(source: &str) -> (Vec<Token>, Vec<String>) {
    let all = tokens(source);
    let (mut kept, mut elsewhere) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < all.len() {
        if !is_test_attribute(&all, at) {
            kept.push(all[at].clone());
            at += 1;
            continue;
        }
        let end = item_end(&all, close_of(&all, at + 1) + 1);
        let item = &all[at..=end.min(all.len() - 1)];
        if let Some([_, name, _]) = item.windows(3).find(|w| w[0].is_word("mod") && w[2].is(';')) {
            elsewhere.extend(name.word().map(String::from));
        }
        at = end + 1;
    }
    (kept, elsewhere)
}

/// `#[cfg(test)]`, or `#[cfg(all(test, …))]`.
fn is_test_attribute(tokens: &[Token], at: usize) -> bool {
    let attribute = at + 1 < tokens.len() && tokens[at].is('#') && tokens[at + 1].is('[');
    if !attribute || !tokens.get(at + 2).is_some_and(|token| token.is_word("cfg")) {
        return false;
    }
    let inside = tokens.get(at + 3..close_of(tokens, at + 1)).unwrap_or_default();
    let has = |word| inside.iter().any(|token| token.is_word(word));
    has("test") && !has("not") && !has("any")
}

/// The last token of the item that begins here, further attributes included.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while at < tokens.len() {
        match tokens[at].kind {
            Kind::Mark('(' | '[') => at = close_of(tokens, at),
            Kind::Mark('{') => return close_of(tokens, at),
            Kind::Mark(';') => return at,
            Kind::Word(_) | Kind::Mark(_) | Kind::Text(_) | Kind::Number | Kind::Lifetime => {}
        }
        at += 1;
    }
    tokens.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        mentions(&shipped(source).0).iter().map(Mention::path).collect()
    }

    #[test]
    fn a_use_tree_is_written_out() {
        let source = "use std::{fs, io::{self, Read as R}, collections::*}; use ::tokio as t;";
        let want = ["std::fs", "std::io::self", "std::io::Read", "std::collections::*", "tokio"];
        assert_eq!(paths(source), want);
    }

    #[test]
    fn code_after_a_use_tree_is_still_seen() {
        let found = paths("pub use a::{b, c}; fn f() -> std::fs::File { x::<u8>::y() }");
        assert_eq!(found, ["pub", "a::b", "a::c", "fn", "f", "std::fs::File", "x", "u8", "y"]);
    }

    #[test]
    fn lines_are_those_of_the_name() {
        let found = mentions(&tokens("use std::{\n    fs,\n    net,\n};\nstd::env::args()"));
        let lines: Vec<_> = found.iter().map(|mention| (mention.path(), mention.line)).collect();
        let want = [("std::fs", 2), ("std::net", 3), ("std::env::args", 5)];
        assert_eq!(lines, want.map(|(path, line)| (path.to_string(), line)));
    }

    #[test]
    fn tests_do_not_ship() {
        let source = "a::b; #[cfg(test)] #[allow(x)] mod tests { c::d } e::f; \
                      #[cfg(test)] use g::h; #[cfg(all(test, unix))] fn i() {} j::k";
        assert_eq!(paths(source), ["a::b", "e::f", "j::k"]);
    }

    #[test]
    fn what_also_ships_without_tests_is_kept() {
        for source in ["#[cfg(not(test))] use a::b;", "#[cfg(any(test, fuzzing))] use a::b;"] {
            assert!(paths(source).contains(&"a::b".to_string()), "{source}");
        }
    }

    #[test]
    fn a_test_module_in_its_own_file_is_named() {
        assert_eq!(shipped("#[cfg(test)]\nmod table;\nmod real;").1, ["table"]);
    }
}
