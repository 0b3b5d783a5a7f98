//! The text as both readers agree on it.

use artifact::Kind;

use crate::Code;
use crate::draft::Draft;
use crate::lexer::{Token, lexemes};

/// The text with a space for each comment and `'s'` for each string. None where the server could read it otherwise.
pub(super) fn without_comments(text: &str, draft: &mut Draft) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut refused = false;
    let mut placeholders = Vec::new();
    let mut refuse = |code: Code, span: (usize, usize), sentence: &str| {
        draft.note(code, Some(span), sentence);
        refused = true;
    };
    for lexeme in lexemes(text, Kind::SqlMariadb) {
        let span = (lexeme.start, lexeme.end);
        let piece = text.get(lexeme.start..lexeme.end).unwrap_or_default();
        match lexeme.token {
            Token::Comment => {
                // MariaDB runs `/*! */` and `/*M! */`, other servers read hints from `/*+ */`.
                let inside = piece.strip_prefix("/*").unwrap_or_default().trim_start_matches(['M', 'm']);
                if inside.starts_with('!') || inside.starts_with('+') {
                    refuse(
                        Code::ExecutableComment,
                        span,
                        "A comment that the server runs as code, or takes as a hint.",
                    );
                } else if piece.starts_with("/*") && (!piece.ends_with("*/") || piece.len() < 4) {
                    refuse(Code::SyntaxError, span, "A comment is not closed.");
                }
                out.push(' ');
            }
            Token::Text => {
                let quote = if piece.ends_with('"') { '"' } else { '\'' };
                let opened = piece.find(quote).unwrap_or(0);
                if piece.len() < opened + 2 || !piece.ends_with(quote) {
                    refuse(Code::SyntaxError, span, "A string is not closed.");
                }
                match piece.as_bytes().first() {
                    Some(b'x' | b'X' | b'b' | b'B') => out.push('0'),
                    _ => out.push_str("'s'"),
                }
            }
            Token::QuotedName if piece.len() < 3 || !piece.ends_with('`') => {
                refuse(Code::SyntaxError, span, "A name is empty or not closed.");
            }
            Token::Symbol if piece == "@" => {
                refuse(Code::SessionStatement, span, "A variable of the session; one run has no session.");
            }
            Token::Symbol if piece == "?" => {
                placeholders.push(span);
                out.push('?');
            }
            Token::Symbol if piece == "-" && text.get(lexeme.end..).is_some_and(|rest| rest.starts_with('-')) => {
                refuse(
                    Code::UnsupportedSyntax,
                    span,
                    "Two minus signs that servers read in two ways; put a space between or after them.",
                );
            }
            Token::Space => out.push(' '),
            Token::QuotedName | Token::Name | Token::Number | Token::Symbol => out.push_str(piece),
        }
    }
    for (number, span) in (1..).zip(placeholders) {
        draft.use_parameter(number, Some(span));
    }
    (!refused).then_some(out)
}
