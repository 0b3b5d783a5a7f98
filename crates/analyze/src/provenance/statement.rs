//! The values of a statement: parameters and constants, each with the column that stands before it.

use artifact::effect::Verb;
use artifact::{Artifact, Effect};
use reading::bound;

use super::{Call, Value};
use crate::lexer::{Token, lexemes};

/// Words after which a constant still belongs to the name before them.
const BETWEEN: &[&str] = &["in", "like", "ilike", "is", "not", "between", "and", "any", "similar", "to"];

/// The statement as a call, and the bytes that each value stands at (parameters stand above the statement).
pub fn call_of(artifact: &Artifact, effect: &Effect) -> (Call, Vec<Option<(usize, usize)>>) {
    let text = artifact.text();
    if let Some(request) = &effect.request {
        let values = crate::http::values(text);
        let spans = vec![None; values.len()];
        let what = format!("{} {}", request.method, request.path);
        return (Call { what, reads: effect.is_read_only(), values }, spans);
    }
    let (mut values, mut spans) = (Vec::new(), Vec::new());
    for parameter in bound::read(text).map(|bound| bound.parameters).unwrap_or_default() {
        if let Some(text) = parameter.value {
            values.push(Value { name: String::new(), description: String::new(), text });
            spans.push(None);
        }
    }
    let mut name = String::new();
    for lexeme in lexemes(text, artifact.kind()) {
        let piece = text.get(lexeme.start..lexeme.end).unwrap_or_default();
        match lexeme.token {
            Token::Name if BETWEEN.contains(&piece.to_lowercase().as_str()) => {}
            Token::Name => piece.clone_into(&mut name),
            Token::QuotedName => piece.trim_matches(['"', '`', '[', ']']).clone_into(&mut name),
            // The rows of VALUES name no columns.
            Token::Symbol if piece == ")" || piece == ";" => name.clear(),
            Token::Text | Token::Number => {
                let text = if lexeme.token == Token::Text { unquoted(piece) } else { piece.to_owned() };
                values.push(Value { name: name.clone(), description: String::new(), text });
                spans.push(Some((lexeme.start, lexeme.end)));
            }
            Token::Space | Token::Comment | Token::Symbol => {}
        }
    }
    let what = if effect.verb == Verb::Define { String::new() } else { effect.verb.as_str().to_owned() };
    (Call { what, reads: effect.is_read_only(), values }, spans)
}

/// The text of a constant, well enough to compare it: quotes off, doubled quotes single, escapes as they stand.
fn unquoted(piece: &str) -> String {
    let (from, to) = if let Some(rest) = piece.strip_prefix('$') {
        let tag = rest.find('$').map_or(0, |at| at + 2);
        (tag, piece.len().saturating_sub(tag))
    } else {
        let from = piece.find(['\'', '"']).map_or(0, |at| at + 1);
        (from, piece.len().saturating_sub(usize::from(piece.ends_with(['\'', '"']))))
    };
    let inner = piece.get(from..to.max(from)).unwrap_or_default();
    inner.replace("''", "'")
}

#[cfg(test)]
mod tests {
    use artifact::Kind;

    use super::*;

    fn named(kind: Kind, sql: &str) -> Vec<(String, String)> {
        let artifact = Artifact::new(kind, sql.as_bytes().to_vec()).unwrap();
        let (call, spans) = call_of(&artifact, &Effect::empty());
        assert_eq!(call.values.len(), spans.len());
        call.values.into_iter().map(|v| (v.name, v.text)).collect()
    }

    #[test]
    fn values_have_their_columns() {
        let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let sql = "UPDATE t SET email = 'o''b@x.example', n = 4.5 WHERE id IN (1, 2) AND \"to\" LIKE $$a$$";
        let expected = pairs(&[("email", "o'b@x.example"), ("n", "4.5"), ("id", "1"), ("id", "2"), ("to", "a")]);
        assert_eq!(named(Kind::SqlPostgresql, sql), expected);
        let rows = "INSERT INTO t (id, email) VALUES (1, E'a@b.example')";
        assert_eq!(named(Kind::SqlPostgresql, rows).pop().unwrap().1, "a@b.example");
        let bound = "-- wetink/parameters/v1 1\n-- 1 text \"a@b.example\"\nUPDATE t SET email = ?";
        assert_eq!(named(Kind::SqlMariadb, bound), pairs(&[("", "a@b.example")]));
        for open in ["SELECT '", "SELECT $a$", "SELECT \"", "SELECT $", "SELECT E'", "SELECT ''"] {
            named(Kind::SqlPostgresql, open);
        }
    }
}
