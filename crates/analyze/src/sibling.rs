//! Statements that differ in their constants only.

use artifact::{Digest, Kind};
use reading::bound;

use crate::lexer::{Token, lexemes};

/// What stands for a constant, and for a list of them.
const ONE: char = '?';
const MANY: char = '…';

/// A digest of the statement without its constants, comments and blanks: equal for statements of the same pattern. A list of
/// constants is one, whatever its length.
///
/// Of a request or a call: its method, its path and the names of its values.
pub fn pattern(kind: Kind, text: &str) -> Digest {
    if kind.is_request() {
        let line = text.lines().next().unwrap_or_default();
        let mut names: Vec<String> = sent(text).into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        let path = line.split('?').next().unwrap_or_default();
        return Digest::of(format!("{path}\n{}", names.join("\n")).as_bytes());
    }
    let mut out = String::with_capacity(text.len());
    for lexeme in lexemes(text, kind) {
        let piece = text.get(lexeme.start..lexeme.end).unwrap_or_default();
        match lexeme.token {
            Token::Space | Token::Comment => {}
            Token::Text | Token::Number => {
                // `?, ?` goes on as a list.
                if out.ends_with(&format!("{ONE}\n,\n")) || out.ends_with(&format!("{MANY}\n,\n")) {
                    out.truncate(out.trim_end_matches("\n,\n").len());
                    out.pop();
                    out.push(MANY);
                } else {
                    out.push(ONE);
                }
                out.push('\n');
            }
            Token::Name => {
                out.push_str(&piece.to_lowercase());
                out.push('\n');
            }
            Token::QuotedName | Token::Symbol => {
                out.push_str(piece);
                out.push('\n');
            }
        }
    }
    Digest::of(out.as_bytes())
}

/// Names and values of a request, those of its path left out.
fn sent(text: &str) -> Vec<(String, String)> {
    let line = text.lines().next().unwrap_or_default();
    let path = line.split(' ').nth(1).and_then(|target| target.split('?').next()).unwrap_or_default();
    let segments = path.split('/').filter(|segment| !segment.is_empty()).count();
    let values = crate::http::values(text).into_iter().skip(segments);
    let mut values: Vec<_> = values.map(|value| (value.name, value.text)).collect();
    // Stable: values of one name, as of a list, stay in their order.
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

/// Values of parameters first, as they stand in the text, then the constants.
fn constants(kind: Kind, text: &str) -> Vec<&str> {
    let wanted = lexemes(text, kind).into_iter().filter(|l| matches!(l.token, Token::Text | Token::Number));
    let values = bound::read(text).map_or(0, |bound| bound.parameters.len());
    let values = text.lines().skip(1).take(values).filter_map(|line| line.splitn(4, ' ').nth(3));
    values.chain(wanted.filter_map(|l| text.get(l.start..l.end))).collect()
}

/// The constants that differ between two statements of one pattern, old and new, in order. A constant that only one of them
/// has stands against nothing.
pub fn differences(kind: Kind, old: &str, new: &str) -> Vec<(String, String)> {
    if kind.is_request() {
        let shown = |(name, value): &(String, String)| format!("{name}: {value}");
        let (old, new): (Vec<String>, Vec<String>) =
            (sent(old).iter().map(shown).collect(), sent(new).iter().map(shown).collect());
        return unlike(
            &old.iter().map(String::as_str).collect::<Vec<_>>(),
            &new.iter().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    unlike(&constants(kind, old), &constants(kind, new))
}

fn unlike(old: &[&str], new: &[&str]) -> Vec<(String, String)> {
    if old.len() == new.len() {
        let pairs = old.iter().zip(new).filter(|(a, b)| a != b);
        return pairs.map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    }
    let gone = old.iter().filter(|a| !new.contains(a)).map(|a| ((*a).to_owned(), String::new()));
    let come = new.iter().filter(|b| !old.contains(b)).map(|b| (String::new(), (*b).to_owned()));
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_comments_and_blanks_make_no_other_pattern() {
        for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_request()) {
            let one = pattern(kind, "UPDATE orders SET status = 'paid' WHERE id IN (1, 2)");
            for same in [
                "update  orders set STATUS='it''s' where id in (5,6,7,8)",
                "UPDATE orders /* now */ SET status = '' WHERE id IN (9, 10) -- so",
            ] {
                assert_eq!(pattern(kind, same), one, "{same}");
            }
            for other in [
                "UPDATE orders SET status = 'paid' WHERE id IN (1)",
                "UPDATE orders SET note = 'paid' WHERE id IN (1, 2)",
                "UPDATE orders SET status = 'paid' WHERE id NOT IN (1, 2)",
                "UPDATE orders SET status = note WHERE id IN (1, 2)",
                "UPDATE orders SET status = 'paid'",
            ] {
                assert_ne!(pattern(kind, other), one, "{other}");
            }
        }
        assert_ne!(pattern(Kind::SqlSqlite, "SELECT ab"), pattern(Kind::SqlSqlite, "SELECT a b"));
    }

    #[test]
    fn calls_of_one_tool_are_alike() {
        let call = |arguments: &str| format!("CALL /pay\n\n{arguments}");
        let one = call("{\"to\": \"Ada\", \"amount\": 5}");
        let other = call("{\"amount\": 7,\n\"to\": \"Ada\"}");
        assert_eq!(pattern(Kind::Mcp, &one), pattern(Kind::Mcp, &other));
        assert_eq!(differences(Kind::Mcp, &one, &other), [("amount: 5".to_owned(), "amount: 7".to_owned())]);
        for unlike in [call("{\"to\": \"Ada\"}"), one.replace("/pay", "/take"), one.replace("CALL", "ASK")] {
            assert_ne!(pattern(Kind::Mcp, &unlike), pattern(Kind::Mcp, &one), "{unlike}");
        }
        let (get, again) = ("GET /v1/a?limit=3", "GET /v1/a?limit=4");
        assert_eq!(pattern(Kind::Http, get), pattern(Kind::Http, again));
        assert_ne!(pattern(Kind::Http, get), pattern(Kind::Http, "GET /v1/b?limit=3"));
    }

    #[test]
    fn what_differs_is_told_in_order() {
        let told = |old: &str, new: &str| differences(Kind::SqlPostgresql, old, new);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(told("a = 1 AND b = 'x'", "a = 1 AND b = 'y'"), [pair("'x'", "'y'")]);
        assert_eq!(told("a IN (1, 2)", "a IN (2, 3, 4)"), [pair("1", ""), pair("", "3"), pair("", "4")]);
        assert_eq!(told("a = 1", "a = 1"), []);
    }
}
