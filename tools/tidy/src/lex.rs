//! Rust as tokens, so that no rule is fooled by a string, a comment or a lifetime.

/// A token and the line it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Line, from 1.
    pub line: usize,
}

/// As much of Rust's grammar of tokens as the rules need. Comments are no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A keyword or name; a raw one keeps its `r#`.
    Word(String),
    /// Any one character of punctuation; `::` is two.
    Mark(char),
    /// A string or character of any kind, without its quotes, escapes as written.
    Text(String),
    /// A number.
    Number,
    /// `'a`
    Lifetime,
}

impl Token {
    /// The word, when it is one.
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            Kind::Mark(_) | Kind::Text(_) | Kind::Number | Kind::Lifetime => None,
        }
    }

    /// Is it this keyword or name?
    pub fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    /// Is it this character?
    pub fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// The tokens of a source text. A text that is no Rust gives tokens too, only senseless ones.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: source.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.tokens
}

/// The index of the bracket that closes the one at `open`; the end when none does.
pub fn close_of(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            Kind::Word(_) | Kind::Mark(_) | Kind::Text(_) | Kind::Number | Kind::Lifetime => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn step(&mut self) {
        let line = self.line;
        let kind = match (self.peek(0), self.peek(1)) {
            (white, _) if white.is_whitespace() => return self.advance(1),
            ('/', '/') => return self.advance(self.run(|c| c != '\n')),
            ('/', '*') => return self.block_comment(),
            ('"', _) => self.quoted('"'),
            ('\'', next) if next == '\\' || self.peek(2) == '\'' => self.quoted('\''),
            ('\'', _) => {
                self.advance(1);
                self.advance(self.run(is_inner));
                Kind::Lifetime
            }
            (digit, _) if digit.is_ascii_digit() => {
                self.advance(self.run(is_inner));
                Kind::Number
            }
            (letter, _) if is_inner(letter) => self.word(),
            (mark, _) => {
                self.advance(1);
                Kind::Mark(mark)
            }
        };
        self.tokens.push(Token { kind, line });
    }

    /// The character `ahead` of the current one; behind the end, a NUL.
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self, count: usize) {
        let end = (self.at + count).min(self.chars.len());
        self.line += self.chars[self.at..end].iter().filter(|c| **c == '\n').count();
        self.at = end;
    }

    /// How many characters from here on fit.
    fn run(&self, fits: impl Fn(char) -> bool) -> usize {
        self.chars[self.at..].iter().take_while(|c| fits(**c)).count()
    }

    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.advance(1);
                    continue;
                }
            }
            self.advance(2);
            if depth == 0 {
                return;
            }
        }
    }

    /// From the opening quote here to its end, minding escapes.
    fn quoted(&mut self, quote: char) -> Kind {
        let start = self.at + 1;
        self.advance(1);
        while self.at < self.chars.len() && self.peek(0) != quote {
            self.advance(if self.peek(0) == '\\' { 2 } else { 1 });
        }
        let text = self.chars[start..self.at].iter().collect();
        self.advance(1);
        Kind::Text(text)
    }

    /// A name, or the prefix of a string: `b""`, `c""`, `b''`, `r#""#`, `br""`, or of `r#name`.
    fn word(&mut self) -> Kind {
        let length = self.run(is_inner);
        let word: String = self.chars[self.at..self.at + length].iter().collect();
        let (next, hashes) = (self.peek(length), self.hashes(length));
        match word.as_str() {
            "r" | "br" | "cr" if self.peek(length + hashes) == '"' => {
                self.advance(length);
                self.raw(hashes)
            }
            "r" if next == '#' && is_inner(self.peek(length + 1)) => {
                self.advance(length + 1);
                let name = self.run(is_inner);
                let raw: String = self.chars[self.at..self.at + name].iter().collect();
                self.advance(name);
                Kind::Word(format!("r#{raw}"))
            }
            "b" | "c" if next == '"' || (next == '\'' && word == "b") => {
                self.advance(length);
                self.quoted(next)
            }
            _ => {
                self.advance(length);
                Kind::Word(word)
            }
        }
    }

    fn hashes(&self, ahead: usize) -> usize {
        (ahead..).take_while(|at| self.peek(*at) == '#').count()
    }

    /// From the first hash or quote here to the quote with as many hashes behind it.
    fn raw(&mut self, hashes: usize) -> Kind {
        self.advance(hashes + 1);
        let start = self.at;
        while self.at < self.chars.len() && !(self.peek(0) == '"' && self.hashes(1) >= hashes) {
            self.advance(1);
        }
        let text = self.chars[start..self.at].iter().collect();
        self.advance(hashes + 1);
        Kind::Text(text)
    }
}

fn is_inner(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        tokens(source).iter().filter_map(|token| token.word().map(String::from)).collect()
    }

    #[test]
    fn strings_comments_and_characters_hide_their_words() {
        for hidden in [
            r#""fn {""#,
            r#""a \" fn {""#,
            r##"r#"fn " {"#"##,
            r#"b"fn {""#,
            r#"c"fn""#,
            r###"br##"fn "# {"##"###,
            "'{'",
            r"'\''",
            r"b'\x41'",
            "b'{'",
            "// fn {",
            "//! fn {",
            "/* fn { /* fn } */ { */",
        ] {
            let source = format!("before {hidden}\n after");
            assert_eq!(words(&source), ["before", "after"], "{hidden}");
            assert!(!tokens(&source).iter().any(|token| token.is('{')), "{hidden}");
        }
    }

    #[test]
    fn a_lifetime_is_no_character() {
        let found =
            tokens("fn f<'a>(x: &'a str, y: &'static str) -> Cow<'_, str> { 'outer: loop {} }");
        assert_eq!(found.iter().filter(|token| token.kind == Kind::Lifetime).count(), 5);
        assert_eq!(found.iter().filter(|token| token.is('{')).count(), 2);
    }

    #[test]
    fn a_raw_name_is_not_the_keyword() {
        assert_eq!(words("r#fn r rb br"), ["r#fn", "r", "rb", "br"]);
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let found = tokens("a \"x\ny\" b /* \n\n */ c\n// d\nr\"\n\" e");
        let at = |word: &str| found.iter().find(|token| token.is_word(word)).map(|t| t.line);
        assert_eq!((at("a"), at("b"), at("c"), at("e")), (Some(1), Some(2), Some(4), Some(7)));
    }

    #[test]
    fn an_unclosed_text_ends_with_the_file() {
        for source in ["\"open", "r#\"open\"", "/* open", "'", "b'", "r#"] {
            tokens(source);
        }
    }

    #[test]
    fn brackets_find_their_partner() {
        let found = tokens("{ ( [ ] ) { } } x");
        assert_eq!(close_of(&found, 0), 7);
        assert_eq!(close_of(&tokens("{ ("), 0), 1);
    }
}
