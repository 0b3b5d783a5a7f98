//! Canonical JSON (RFC 8785): one value has one spelling, so its digest names its meaning.
//!
//! Narrower than the RFC on purpose: only integers within ±(2^53-1). Nothing this project signs needs a fraction,
//! and a fraction is where two writers disagree.

use serde::Serialize;
use serde_json::Value;

use crate::Digest;

/// A value that has no canonical form here.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// A fraction, or an integer beyond ±(2^53-1).
    #[error("number `{0}` has no canonical form; use an integer within 2^53 or a string")]
    Number(String),
    /// The value does not serialize.
    #[error("value does not serialize")]
    Serialize(#[from] serde_json::Error),
}

/// The canonical bytes of `value`.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(256);
    write(&serde_json::to_value(value)?, &mut out)?;
    Ok(out)
}

/// SHA-256 of the canonical bytes of `value`.
pub fn digest<T: Serialize + ?Sized>(value: &T) -> Result<Digest, CanonicalError> {
    Ok(Digest::of(&to_vec(value)?))
}

fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Number(number) => {
            const MAX: u64 = (1 << 53) - 1;
            let fits =
                number.as_u64().is_some_and(|n| n <= MAX) || number.as_i64().is_some_and(|n| n.unsigned_abs() <= MAX);
            if !fits {
                return Err(CanonicalError::Number(number.to_string()));
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // RFC 8785 3.2.3 sorts names by UTF-16 code units, which differs from UTF-8 order above U+FFFF.
            let mut names: Vec<&String> = map.keys().collect();
            names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
            out.push(b'{');
            for (i, name) in names.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, name)?;
                out.push(b':');
                write(&map[name], out)?;
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => serde_json::to_writer(&mut *out, value)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: &Value) -> String {
        String::from_utf8(to_vec(value).unwrap()).unwrap()
    }

    #[test]
    fn rfc_8785_sorting_and_escapes() {
        // RFC 8785 3.2.3 example, without its fraction.
        let value = json!({"\u{20ac}":"Euro Sign","\r":"Carriage Return","\u{fb33}":"Hebrew Letter Dalet With Dagesh",
            "1":"One","\u{1f600}":"Emoji: Grinning Face","\u{80}":"Control","\u{f6}":"Latin Small Letter O With Diaeresis"});
        let names: Vec<String> =
            serde_json::from_str::<Value>(&text(&value)).map(|_| text(&value)).into_iter().collect();
        let order = ["\\r", "\"1\"", "\u{80}", "\u{f6}", "\u{20ac}", "\u{1f600}", "\u{fb33}"];
        let at: Vec<usize> = order.iter().map(|name| names[0].find(name).unwrap()).collect();
        assert!(at.is_sorted(), "{at:?}");
        assert_eq!(text(&json!("\u{8}\u{c}\n\r\t\u{1}\"\\/")), r#""\b\f\n\r\t\u0001\"\\/""#);
    }

    #[test]
    fn numbers_are_integers() {
        assert_eq!(text(&json!([0, -1, 9_007_199_254_740_991_u64])), "[0,-1,9007199254740991]");
        assert!(to_vec(&json!(1.5)).is_err());
        assert!(to_vec(&json!(9_007_199_254_740_992_u64)).is_err());
        assert!(to_vec(&json!(-9_007_199_254_740_992_i64)).is_err());
    }
}
