//! What stands in an artifact word by word: to be compared with values that its author was never given, and with markers that
//! should stand in none.
//!
//! Values are compared by their letters and digits alone, in lower case, so that blanks, dashes and capitals hide nothing.

use artifact::{Artifact, Kind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use reading::bound;

/// Words in a row that may be one value (an IBAN in groups has nine).
const WORDS_MAX: usize = 9;
/// Most pieces of one artifact.
const PIECES_MAX: usize = 8192;
/// Longest value compared, in bytes.
const VALUE_MAX: usize = 200;
/// How each marker begins.
const MARKER: &str = "wck";
/// Characters of a marker after its beginning.
pub const MARKER_LENGTH: usize = 20;

/// A part of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its letters and digits, in lower case.
    pub text: String,
    /// The bytes it stands at, where it stands in the text as it is.
    pub span: Option<(usize, usize)>,
}

/// Letters and digits alone, in lower case.
pub fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What is left of a value to compare it by; none if it tells nothing by itself: short ones, dates, amounts, plain words.
pub fn telling(value: &str) -> Option<String> {
    let value = value.trim();
    if !(6..=VALUE_MAX).contains(&value.len()) {
        return None;
    }
    let bare = bare(value);
    let various = is_various(&bare);
    let digits = bare.chars().filter(char::is_ascii_digit).count();
    let is_number = digits == bare.chars().count();
    let bytes = value.as_bytes();
    let is_date = bytes.len() >= 10
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bare.chars().all(|c| c.is_ascii_digit() || matches!(c, 't' | 'z'));
    let enough = if is_number {
        digits >= 9
    } else if digits > 0 || value.contains('@') {
        bare.len() >= 6
    } else {
        bare.len() >= 12 || (bare.len() >= 8 && value.contains([' ', '-']))
    };
    (enough && !is_date && various).then_some(bare)
}

/// Whether it has four different characters at least.
fn is_various(text: &str) -> bool {
    let (mut seen, mut many) = (['\0'; 4], 0);
    for c in text.chars() {
        if !seen[..many].contains(&c) {
            seen[many] = c;
            many += 1;
            if many == 4 {
                return true;
            }
        }
    }
    false
}

/// Words of an artifact and runs of them, and those of its values with their escapes read.
pub fn pieces(artifact: &Artifact) -> Vec<Piece> {
    let mut out = Vec::new();
    let text = artifact.text();
    runs(text, true, &mut out);
    for value in values(artifact) {
        // Only what the text itself does not show.
        if !text.contains(&value) {
            runs(&value, false, &mut out);
        }
    }
    for decoded in decoded(text) {
        runs(&decoded, false, &mut out);
    }
    out
}

fn values(artifact: &Artifact) -> Vec<String> {
    match artifact.kind() {
        Kind::Http | Kind::Mcp | Kind::Mail => {
            crate::http::values(artifact.text()).into_iter().map(|value| value.text).collect()
        }
        Kind::SqlPostgresql | Kind::SqlMariadb | Kind::SqlSqlite => {
            let parameters = bound::read(artifact.text()).map(|bound| bound.parameters).unwrap_or_default();
            parameters.into_iter().filter_map(|parameter| parameter.value).collect()
        }
    }
}

fn is_between(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            ',' | ';' | ':' | '(' | ')' | '<' | '>' | '"' | '\'' | '=' | '|' | '[' | ']' | '{' | '}' | '/' | '?' | '&'
        )
}

fn runs(text: &str, spans: bool, out: &mut Vec<Piece>) {
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain(std::iter::once((text.len(), ' '))) {
        match (is_between(c), start) {
            (false, None) => start = Some(at),
            (true, Some(from)) => {
                words.push((from, at));
                start = None;
            }
            _ => {}
        }
    }
    for first in 0..words.len() {
        for last in first..words.len().min(first + WORDS_MAX) {
            let (from, to) = (words[first].0, words[last].1);
            if to - from > VALUE_MAX || out.len() >= PIECES_MAX {
                break;
            }
            let Some(text) = text.get(from..to).and_then(telling) else { continue };
            out.push(Piece { text, span: spans.then_some((from, to)) });
        }
    }
}

/// Texts that stand in it as base64.
fn decoded(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    text.split(|c| !is_part(c))
        .filter(|run| run.len() >= 12)
        .take(200)
        .filter_map(|run| {
            let standard = run.replace('-', "+").replace('_', "/");
            let whole =
                standard.get(..standard.len() / 4 * 4 + if standard.len() % 4 > 1 { standard.len() % 4 } else { 0 })?;
            String::from_utf8(STANDARD_NO_PAD.decode(whole).ok()?).ok()
        })
        .collect()
}

/// What looks like a marker of the gateway, each without its beginning. Whether it is one, its maker knows.
pub fn markers(artifact: &Artifact) -> Vec<String> {
    let texts = std::iter::once(artifact.text().to_owned()).chain(values(artifact)).chain(decoded(artifact.text()));
    let mut found = Vec::new();
    for text in texts {
        let text = bare(&text);
        for (at, _) in text.match_indices(MARKER) {
            let rest = text.get(at + MARKER.len()..at + MARKER.len() + MARKER_LENGTH);
            let Some(rest) = rest.filter(|rest| rest.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))) else {
                continue;
            };
            if found.len() < 100 && !found.iter().any(|known| known == rest) {
                found.push(rest.to_owned());
            }
        }
    }
    found
}

/// The marker of these characters, of which there are [`MARKER_LENGTH`].
pub fn marker(rest: &str) -> String {
    format!("{MARKER}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str) -> Artifact {
        Artifact::new(Kind::SqlPostgresql, text.as_bytes().to_vec()).unwrap()
    }

    fn has(text: &str, value: &str) -> bool {
        let wanted = telling(value).unwrap();
        pieces(&sql(text)).iter().any(|piece| piece.text == wanted)
    }

    #[test]
    fn what_tells_somebody_apart_is_compared_and_what_everybody_writes_is_not() {
        for value in [
            "ada@example.org",
            "DE89 3704 0044 0532 0130 00",
            "+49 30 901820",
            "Ada Lovelace",
            "ord-88124",
            "Constantinople",
        ] {
            assert!(telling(value).is_some(), "{value}");
        }
        for value in
            ["refunded", "2026-11-21", "2026-11-21T10:00:00Z", "149.90", "12345", "true", "aaaaaaaaaaaa", "111111111"]
        {
            assert_eq!(telling(value), None, "{value}");
        }
    }

    #[test]
    fn a_value_is_found_however_it_is_written() {
        let iban = "DE89 3704 0044 0532 0130 00";
        for text in [
            "UPDATE t SET a = 'DE89370400440532013000'",
            "UPDATE t SET a = 'pay to de89 3704 0044 0532 0130 00 now'",
            "SELECT 1 -- DE89-3704-0044-0532-0130-00",
            "INSERT INTO t VALUES ('x', 'REU4OTM3MDQwMDQ0MDUzMjAxMzAwMA==')",
        ] {
            assert!(has(text, iban), "{text}");
        }
        assert!(has("SELECT 'Ada  Lovelace'", "ada lovelace"));
        assert!(!has("SELECT 'Ada' FROM lovelace_family", "Ada Lovelace"));
    }

    #[test]
    fn markers_are_found_whole() {
        let rest = "abcdefghijklmnopqrst";
        let whole = marker(rest);
        let spaced: String = whole.chars().flat_map(|c| [c.to_ascii_uppercase(), ' ']).collect();
        for text in [format!("SELECT '{whole}'"), format!("SELECT '{spaced}'"), format!("-- x{whole}y")] {
            assert_eq!(markers(&sql(&text)), [rest], "{text}");
        }
        assert_eq!(markers(&sql("SELECT 'wckabc'")), [""; 0]);
    }

    #[test]
    fn large_artifacts_have_an_end() {
        let words: String = (0..50_000).map(|n| format!("word{n} ")).collect();
        assert_eq!(pieces(&sql(&words)).len(), PIECES_MAX);
    }
}
