use std::collections::BTreeSet;

use artifact::{Artifact, Kind, has_hidden, visible};

use crate::draft::{Draft, quoted};
use crate::lexer::{Lexeme, Token, lexemes};
use crate::{Code, MAX_NESTING, MAX_PARSED_BYTES, MAX_REVIEWABLE_LINES, secrets};

/// Most operator signs in a row, comments included.
const MAX_SIGNS: usize = 1000;

/// What can be said before any grammar: size, depth, hidden characters (CVE-2021-42574), look-alike names
/// (CVE-2021-42694), text after the end.
pub(crate) fn check(artifact: &Artifact, draft: &mut Draft) {
    let text = artifact.text();
    let lines = text.lines().count();
    if lines > MAX_REVIEWABLE_LINES {
        draft.note(Code::TooLongToReview, None, format!("The artifact has {lines} lines."));
    }
    if text.len() > MAX_PARSED_BYTES {
        let sentence = format!("The artifact has {} bytes; analysis reads {MAX_PARSED_BYTES}.", text.len());
        draft.note(Code::TooLarge, None, sentence);
    }
    if artifact.kind().is_request() {
        return request(text, draft);
    }
    let all = lexemes(text, artifact.kind());
    depth(text, &all, draft);
    signs(text, &all, draft);
    hidden(text, artifact.kind(), &all, draft);
    names(text, &all, draft);
    trailing(text, &all, draft);
    secrets::check(text, &all, draft);
}

/// A request has no words of a language: its lines above the body are code, and the body is a text.
fn request(text: &str, draft: &mut Draft) {
    let head = text.find("\n\n").map_or(text.len(), |at| at + 2);
    let piece = |token, start, end| Lexeme { token, start, end };
    let all = [piece(Token::Symbol, 0, head), piece(Token::Text, head, text.len())];
    hidden(text, Kind::Http, &all, draft);
    secrets::check(text, &[piece(Token::Text, 0, text.len())], draft);
}

fn depth(text: &str, all: &[Lexeme], draft: &mut Draft) {
    let mut depth = 0_usize;
    for lexeme in all.iter().filter(|l| l.token == Token::Symbol) {
        match text.as_bytes().get(lexeme.start) {
            Some(b'(' | b'[') => depth += 1,
            Some(b')' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let sentence = format!("Brackets are nested deeper than {MAX_NESTING}.");
            return draft.note(Code::NestedTooDeep, Some((lexeme.start, lexeme.end)), sentence);
        }
    }
}

/// The server's scanner goes back over a run of signs for each sign in it, so long runs cost quadratic time.
fn signs(text: &str, all: &[Lexeme], draft: &mut Draft) {
    let mut run = 0_usize;
    for lexeme in all {
        if !matches!(lexeme.token, Token::Symbol | Token::Comment) {
            run = 0;
            continue;
        }
        for byte in text.as_bytes().get(lexeme.start..lexeme.end).unwrap_or_default() {
            run = if b"~!@#^&|`?+-*/%<>=".contains(byte) { run + 1 } else { 0 };
            if run > MAX_SIGNS {
                let sentence = format!("More than {MAX_SIGNS} signs stand in a row.");
                return draft.note(Code::NestedTooDeep, Some((lexeme.start, lexeme.end)), sentence);
            }
        }
    }
}

fn hidden(text: &str, kind: Kind, all: &[Lexeme], draft: &mut Draft) {
    // Most texts are plain, which one look at their bytes tells.
    if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n')) {
        return;
    }
    let mut seen: [(usize, Option<(usize, char)>); 2] = [(0, None); 2];
    for lexeme in all {
        let Some(piece) = text.get(lexeme.start..lexeme.end) else { continue };
        let in_code = match lexeme.token {
            Token::Comment | Token::Text => false,
            Token::QuotedName | Token::Space | Token::Name | Token::Number | Token::Symbol => true,
        };
        for (offset, c) in piece.char_indices().filter(|(_, c)| has_hidden(*c)) {
            let at = lexeme.start + offset;
            // A line may end as Windows ends it. A lone carriage return ends a PostgreSQL comment unseen.
            if c == '\r' && text.as_bytes().get(at + 1) == Some(&b'\n') {
                continue;
            }
            let unterminated_view = kind == Kind::SqlPostgresql && c == '\r';
            let slot = &mut seen[usize::from(in_code || unterminated_view)];
            slot.0 += 1;
            slot.1.get_or_insert((at, c));
        }
    }
    let codes = [(Code::HiddenInText, "a string or a comment"), (Code::HiddenInCode, "code")];
    for ((count, first), (code, place)) in seen.into_iter().zip(codes) {
        if let Some((at, c)) = first {
            let sentence = format!("{count} hidden characters in {place}, first {}.", visible(&c.to_string()));
            draft.note(code, Some((at, at + c.len_utf8())), sentence);
        }
    }
}

fn names(text: &str, all: &[Lexeme], draft: &mut Draft) {
    if text.is_ascii() {
        return;
    }
    for lexeme in all.iter().filter(|l| matches!(l.token, Token::Name | Token::QuotedName)) {
        let Some(name) = text.get(lexeme.start..lexeme.end).filter(|n| !n.is_ascii()) else { continue };
        let scripts: BTreeSet<Script> = name.chars().filter_map(script).collect();
        let span = Some((lexeme.start, lexeme.end));
        if scripts.len() > 1 || scripts.contains(&Script::LookAlike) {
            draft.note(Code::MixedScript, span, format!("The name {} mixes alphabets.", quoted(name)));
        } else {
            draft.note(Code::NonAsciiName, span, format!("The name {} is not plain ASCII.", quoted(name)));
        }
    }
}

fn trailing(text: &str, all: &[Lexeme], draft: &mut Draft) {
    // Definitions of triggers and functions have semicolons inside.
    let first = all.iter().find(|l| l.token == Token::Name).and_then(|l| text.get(l.start..l.end));
    if first.is_some_and(|word| word.eq_ignore_ascii_case("create")) {
        return;
    }
    let is_end = |l: &Lexeme| l.token == Token::Symbol && text.as_bytes().get(l.start) == Some(&b';');
    let Some(end) = all.iter().position(is_end) else { return };
    if let Some(extra) = all[end + 1..].iter().find(|l| l.token != Token::Space) {
        let span = Some((extra.start, text.len()));
        draft.note(Code::TrailingContent, span, "Text follows the semicolon.");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    /// Full-width and mathematical letters exist only beside the plain ones they look like.
    LookAlike,
    Other,
}

/// The alphabet of a letter (Unicode blocks); none for digits and signs.
fn script(c: char) -> Option<Script> {
    match c {
        '\u{ff00}'..='\u{ffef}' | '\u{1d400}'..='\u{1d7ff}' | '\u{2100}'..='\u{214f}' => Some(Script::LookAlike),
        c if !c.is_alphabetic() => None,
        '\u{0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' | '\u{2c60}'..='\u{2c7f}' | '\u{a720}'..='\u{a7ff}' => {
            Some(Script::Latin)
        }
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Some(Script::Greek),
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' => {
            Some(Script::Cyrillic)
        }
        '\u{530}'..='\u{58f}' => Some(Script::Armenian),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some(Script::Cherokee),
        _ => Some(Script::Other),
    }
}
