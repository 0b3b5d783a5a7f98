//! The little of CBOR (RFC 8949) that WebAuthn registrations use: integers, byte and text strings, arrays, maps, simple
//! values; definite lengths and shortest forms only (CTAP2 canonical form), nothing nested deeper than 8, no key twice.

/// A value that borrows from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    Array(Vec<Value<'a>>),
    Map(Vec<(Value<'a>, Value<'a>)>),
    Simple(u8),
}

const DEPTH_MAX: u8 = 8;
const ITEMS_MAX: u64 = 64;

impl<'a> Value<'a> {
    fn get(&self, key: &Value<'_>) -> Option<&Value<'a>> {
        match self {
            Self::Map(pairs) => pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Pairs of a map; 0 for anything else.
    pub(crate) fn len(&self) -> usize {
        if let Self::Map(pairs) = self { pairs.len() } else { 0 }
    }

    pub(crate) fn get_text(&self, key: &str) -> Option<&Value<'a>> {
        self.get(&Value::Text(key))
    }

    pub(crate) fn get_number(&self, key: i64) -> Option<&Value<'a>> {
        self.get(&Value::Number(key))
    }
}

/// Reads one value that fills all bytes.
pub(crate) fn read(bytes: &[u8]) -> Option<Value<'_>> {
    let mut rest = bytes;
    let value = item(&mut rest, 0)?;
    rest.is_empty().then_some(value)
}

fn take<'a>(rest: &mut &'a [u8], count: u64) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(usize::try_from(count).ok()?)?;
    *rest = tail;
    Some(head)
}

fn item<'a>(rest: &mut &'a [u8], depth: u8) -> Option<Value<'a>> {
    if depth > DEPTH_MAX {
        return None;
    }
    let first = take(rest, 1)?[0];
    let (major, info) = (first >> 5, first & 31);
    let argument = match info {
        0..=23 => u64::from(info),
        24..=27 => take(rest, 1 << (info - 24))?.iter().fold(0, |n, b| n << 8 | u64::from(*b)),
        _ => return None,
    };
    // One number has one spelling: what would have fit a shorter form is refused (RFC 8949, 4.2.1).
    let least = match info {
        24 if major == 7 => 32,
        24 => 24,
        25 => 1 << 8,
        26 => 1 << 16,
        27 => 1 << 32,
        _ => 0,
    };
    if argument < least {
        return None;
    }
    Some(match major {
        0 => Value::Number(i64::try_from(argument).ok()?),
        1 => Value::Number(-1 - i64::try_from(argument).ok()?),
        2 => Value::Bytes(take(rest, argument)?),
        3 => Value::Text(std::str::from_utf8(take(rest, argument)?).ok()?),
        4 if argument <= ITEMS_MAX => {
            Value::Array((0..argument).map(|_| item(rest, depth + 1)).collect::<Option<_>>()?)
        }
        5 if argument <= ITEMS_MAX => {
            let mut pairs: Vec<(Value<'a>, Value<'a>)> = Vec::new();
            for _ in 0..argument {
                let key = item(rest, depth + 1)?;
                if pairs.iter().any(|(k, _)| *k == key) {
                    return None;
                }
                pairs.push((key, item(rest, depth + 1)?));
            }
            Value::Map(pairs)
        }
        7 if info <= 24 => Value::Simple(u8::try_from(argument).ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_webauthn_writes_and_nothing_odd() {
        assert_eq!(read(&[0xa1, 0x61, b'a', 0x42, 1, 2]).unwrap().get_text("a"), Some(&Value::Bytes(&[1, 2])));
        assert_eq!(read(&[0x26]), Some(Value::Number(-7)));
        assert_eq!(read(&[0x19, 1, 0]), Some(Value::Number(256)));
        for bad in [
            &[][..],
            &[0x42, 1],
            &[0x5f, 0xff],
            &[0xa2, 1, 1, 1, 2],
            &[1, 1],
            &[0x1c],
            &[0x9b, 255, 255, 255, 255, 255, 255, 255, 255],
            &[0x18, 23],
            &[0x19, 0, 255],
            &[0x1a, 0, 0, 255, 255],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
            &[0x58, 1, 0],
            &[0xf8, 31],
            &[0xf9, 0x3c, 0],
            &[0xc0, 0],
            &[0x61, 0xff],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&[0x81; 100]), None);
    }
}
