use artifact::{Artifact, Kind};

/// What a stretch of SQL text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Space,
    Comment,
    Text,
    QuotedName,
    Name,
    Number,
    Symbol,
}

/// A token and its bytes, from and up to (exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A literal of the artifact, to trace where its value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Bytes, from and up to (exclusive).
    pub span: (usize, usize),
    /// The literal as written, quotes included.
    pub text: String,
}

/// Every string and number of the artifact, as written, in order.
pub fn literals(artifact: &Artifact) -> Vec<Literal> {
    let text = artifact.text();
    let wanted = |l: &Lexeme| matches!(l.token, Token::Text | Token::Number);
    let make =
        |l: Lexeme| Literal { span: (l.start, l.end), text: text.get(l.start..l.end).unwrap_or_default().to_owned() };
    lexemes(text, artifact.kind()).into_iter().filter(wanted).map(make).collect()
}

/// Cuts the text into tokens that cover it without gaps. Total: what is left open ends with the text.
///
/// The targets' own parsers decide what a statement means; this one serves where they give no positions.
pub(crate) fn lexemes(text: &str, kind: Kind) -> Vec<Lexeme> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0, kind };
    // Few tokens are shorter than two bytes.
    let mut out = Vec::with_capacity(text.len() / 2 + 1);
    while cursor.at < cursor.bytes.len() {
        let start = cursor.at;
        let token = cursor.next();
        // Only ASCII bytes end a token, so both ends are character boundaries.
        out.push(Lexeme { token, start, end: cursor.at });
    }
    out
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    kind: Kind,
}

impl Cursor<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.bytes.get(self.at).is_some_and(|&b| wanted(b)) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Token {
        let postgresql = self.kind == Kind::SqlPostgresql;
        let mariadb = self.kind == Kind::SqlMariadb;
        match (self.peek(0), self.peek(1)) {
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, _) => {
                self.skip_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
                Token::Space
            }
            (b'-', b'-') if mariadb && self.peek(2) > b' ' => {
                // To MariaDB two signs; a comment needs a blank after them.
                self.at += 1;
                Token::Symbol
            }
            (b'#', _) if mariadb => {
                self.skip_while(|b| b != b'\n');
                Token::Comment
            }
            (b'-', b'-') => {
                self.skip_while(|b| b != b'\n' && !(postgresql && b == b'\r'));
                Token::Comment
            }
            (b'/', b'*') => {
                self.block_comment(postgresql);
                Token::Comment
            }
            (quote @ (b'\'' | b'"'), _) if mariadb => {
                self.quoted(quote, true);
                Token::Text
            }
            (b'b' | b'B' | b'n' | b'N' | b'x' | b'X', b'\'') if mariadb => {
                self.at += 1;
                self.quoted(b'\'', true);
                Token::Text
            }
            (b'\'', _) => {
                self.quoted(b'\'', false);
                Token::Text
            }
            (b'e' | b'E', b'\'') if postgresql => {
                self.at += 1;
                self.quoted(b'\'', true);
                Token::Text
            }
            (b'b' | b'B' | b'n' | b'N' | b'x' | b'X', b'\'') if postgresql => {
                self.at += 1;
                self.quoted(b'\'', false);
                Token::Text
            }
            (b'x' | b'X', b'\'') => {
                self.at += 1;
                self.quoted(b'\'', false);
                Token::Text
            }
            (b'"', _) => {
                self.quoted(b'"', false);
                Token::QuotedName
            }
            (b'`', _) if !postgresql => {
                self.quoted(b'`', false);
                Token::QuotedName
            }
            (b'[', _) if !postgresql && !mariadb => {
                self.skip_while(|b| b != b']');
                self.at = (self.at + 1).min(self.bytes.len());
                Token::QuotedName
            }
            (b'$', _) if postgresql => self.dollar(),
            (b'0'..=b'9', _) => {
                self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_');
                Token::Number
            }
            (b, _) if is_name_start(b) => {
                self.skip_while(|b| is_name_start(b) || b.is_ascii_digit() || b == b'$');
                Token::Name
            }
            _ => {
                self.at += 1;
                Token::Symbol
            }
        }
    }

    /// From the opening quote to after the closing one; a doubled quote is part of it.
    fn quoted(&mut self, quote: u8, backslash: bool) {
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.bytes[self.at] {
                b'\\' if backslash => self.at += 2,
                b if b == quote && self.peek(1) == quote => self.at += 2,
                b if b == quote => {
                    self.at += 1;
                    return;
                }
                _ => self.at += 1,
            }
        }
        self.at = self.bytes.len();
    }

    fn block_comment(&mut self, nests: bool) {
        let mut depth = 0_usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') if nests || depth == 0 => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth = depth.saturating_sub(1);
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
        self.at = self.bytes.len();
    }

    /// `$tag$ ... $tag$`, or a parameter, or a lone dollar sign.
    fn dollar(&mut self) -> Token {
        let tag = self.bytes[self.at + 1..].iter().take_while(|&&b| is_name_start(b) || b.is_ascii_digit()).count();
        let first = self.peek(1);
        if self.peek(1 + tag) != b'$' || first.is_ascii_digit() {
            self.at += 1;
            self.skip_while(|b| b.is_ascii_digit());
            return Token::Symbol;
        }
        let open = self.at..self.at + tag + 2;
        self.at = open.end;
        let delimiter = &self.bytes[open];
        let rest = &self.bytes[self.at..];
        let found = rest.windows(delimiter.len()).position(|w| w == delimiter);
        self.at = found.map_or(self.bytes.len(), |n| self.at + n + delimiter.len());
        Token::Text
    }
}

fn is_name_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, kind: Kind) -> Vec<(Token, &str)> {
        let all = lexemes(text, kind);
        assert!(all.iter().map(|l| l.start).eq(std::iter::once(0).chain(all.iter().map(|l| l.end)).take(all.len())));
        all.into_iter().filter(|l| l.token != Token::Space).map(|l| (l.token, &text[l.start..l.end])).collect()
    }

    #[test]
    fn postgresql_quotes_and_comments() {
        use Token::{Comment, Name, QuotedName, Symbol, Text};
        let cases: &[(&str, &[(Token, &str)])] = &[
            ("E'a\\'b' c", &[(Text, "E'a\\'b'"), (Name, "c")]),
            ("'a\\' c", &[(Text, "'a\\'"), (Name, "c")]),
            ("'a''b'", &[(Text, "'a''b'")]),
            ("$x$ a $$ $x$ b", &[(Text, "$x$ a $$ $x$"), (Name, "b")]),
            ("$1$2", &[(Symbol, "$1"), (Symbol, "$2")]),
            ("a$b$c", &[(Name, "a$b$c")]),
            ("/* a /* b */ c */ d", &[(Comment, "/* a /* b */ c */"), (Name, "d")]),
            ("--a\rb", &[(Comment, "--a"), (Name, "b")]),
            ("\"a\"\"b\" 'open", &[(QuotedName, "\"a\"\"b\""), (Text, "'open")]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text, Kind::SqlPostgresql), *expected, "{text}");
        }
    }

    #[test]
    fn sqlite_quotes_and_comments() {
        use Token::{Comment, Name, QuotedName, Text};
        let cases: &[(&str, &[(Token, &str)])] = &[
            ("/* a /* b */ c", &[(Comment, "/* a /* b */"), (Name, "c")]),
            ("[a'b] `c` \"d\"", &[(QuotedName, "[a'b]"), (QuotedName, "`c`"), (QuotedName, "\"d\"")]),
            ("x'00' E'a'", &[(Text, "x'00'"), (Name, "E"), (Text, "'a'")]),
            ("--a\rb", &[(Comment, "--a\rb")]),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text, Kind::SqlSqlite), *expected, "{text}");
        }
    }

    #[test]
    fn literals_are_as_written() {
        let artifact = Artifact::new(Kind::SqlSqlite, b"select 'a''b', 4.5, x'00' -- 'no'".to_vec()).unwrap();
        let texts: Vec<String> = literals(&artifact).into_iter().map(|l| l.text).collect();
        assert_eq!(texts, ["'a''b'", "4.5", "x'00'"]);
    }
}
