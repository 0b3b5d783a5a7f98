//! A statement and the values of its parameters as one text, so that one digest covers both and a person reads both.
//!
//! ```text
//! -- wetink/parameters/v1 2
//! -- 1 integer "37"
//! -- 2 text "O'Brien"
//! UPDATE orders SET status = $2 WHERE id = $1
//! ```
//!
//! The values stand in comments of the SQL dialects, one a line, each a JSON string or `null`. The first line says how many
//! there are, so no comment of the statement's own can be taken for one.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// What the first line begins with.
const HEAD: &str = "-- wetink/parameters/v1";
/// Most parameters of one statement.
pub const PARAMETERS_MAX: usize = 200;

/// Type of a parameter. Values are written as text in the form that the type's comment gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// A whole number of 64 bits, e.g. `-37`.
    Integer,
    /// A decimal number of any length, e.g. `49.90`.
    Numeric,
    /// A floating-point number (IEEE 754 binary64), e.g. `1.5e-3`.
    Double,
    /// `true` or `false`.
    Boolean,
    /// Any text.
    Text,
    /// A day, e.g. `2026-11-21`.
    Date,
    /// A moment with its offset (RFC 3339), e.g. `2026-11-21T10:00:00Z`.
    Timestamp,
    /// A UUID in lower case with dashes (RFC 9562).
    Uuid,
    /// Bytes in lower-case hexadecimal, e.g. `00ff`.
    Bytes,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// How the value is read.
    #[serde(rename = "type")]
    pub of: ParameterType,
    /// The value as text; none is NULL.
    pub value: Option<String>,
}

/// A statement with its values. [`read`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The first one is `$1` to PostgreSQL and the first `?` to the others.
    pub parameters: Vec<Parameter>,
    /// The text after the values.
    pub statement: &'a str,
}

/// Why statement and values do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// A value that its type does not have.
    #[error("parameter {number} is not {of}: write it as {form}")]
    Value {
        /// Counted from 1.
        number: usize,
        /// The type.
        of: ParameterType,
        /// An example.
        form: &'static str,
    },
    /// More than [`PARAMETERS_MAX`].
    #[error("there are {0} parameters, the limit is {PARAMETERS_MAX}")]
    TooMany(usize),
    /// The statement begins with values of its own.
    #[error("the statement has its parameters written into it already; hand them in once")]
    Twice,
    /// The text begins like one with values, and goes on otherwise.
    #[error("the lines of parameters are not in their one form; hand the values in as `parameters`")]
    Form,
}

impl ParameterType {
    /// Every type there is.
    pub const ALL: [Self; 9] = [
        Self::Integer,
        Self::Numeric,
        Self::Double,
        Self::Boolean,
        Self::Text,
        Self::Date,
        Self::Timestamp,
        Self::Uuid,
        Self::Bytes,
    ];

    /// Its name in texts and APIs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Numeric => "numeric",
            Self::Double => "double",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Uuid => "uuid",
            Self::Bytes => "bytes",
        }
    }

    const fn form(self) -> &'static str {
        match self {
            Self::Integer => "-37",
            Self::Numeric => "49.90",
            Self::Double => "1.5e-3",
            Self::Boolean => "true or false",
            Self::Text => "text without NUL characters",
            Self::Date => "2026-11-21",
            Self::Timestamp => "2026-11-21T10:00:00Z",
            Self::Uuid => "0193e4a1-5b2c-7d3e-8f40-112233445566",
            Self::Bytes => "00ff",
        }
    }

    fn has(self, value: &str) -> bool {
        match self {
            Self::Integer => value.parse::<i64>().is_ok_and(|n| n.to_string() == value),
            Self::Numeric => {
                let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
                let unsigned = value.strip_prefix('-').unwrap_or(value);
                let (whole, rest) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
                value.len() <= 1000 && digits(whole) && digits(rest)
            }
            Self::Double => {
                let sign = |b: u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
                value.bytes().all(sign) && value.parse::<f64>().is_ok_and(f64::is_finite)
            }
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Text => !value.contains('\0'),
            Self::Date => is_shaped(value, "dddd-dd-dd") && moment(&format!("{value}T00:00:00Z")).is_some(),
            Self::Timestamp => {
                let (day, time) = value.split_at_checked(19).unwrap_or_default();
                let (fraction, offset) = match time.strip_prefix('.') {
                    Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
                    None => ("0", time),
                };
                let offset = offset == "Z" || is_shaped(&offset.replacen('-', "+", 1), "+dd:dd");
                let shaped = is_shaped(day, "dddd-dd-ddTdd:dd:dd") && (1..=6).contains(&fraction.len()) && offset;
                shaped && moment(value).is_some()
            }
            Self::Uuid => is_shaped(value, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
            Self::Bytes => value.len().is_multiple_of(2) && value.bytes().all(is_hex),
        }
    }
}

fn is_hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

/// `d` stands for a digit, `x` for one in lower-case hexadecimal, anything else for itself.
fn is_shaped(value: &str, shape: &str) -> bool {
    let fits = |(is, wanted): (u8, u8)| match wanted {
        b'd' => is.is_ascii_digit(),
        b'x' => is_hex(is),
        other => is == other,
    };
    value.len() == shape.len() && value.bytes().zip(shape.bytes()).all(fits)
}

impl fmt::Display for ParameterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn moment(value: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(value, &Rfc3339).ok()
}

/// A [`ParameterType::Timestamp`] as day and time of day in UTC, for targets that know no offsets.
pub fn in_utc(value: &str) -> Option<String> {
    let utc = moment(value)?.to_offset(UtcOffset::UTC);
    let (hour, minute, second, micro) = utc.time().as_hms_micro();
    Some(format!("{} {hour:02}:{minute:02}:{second:02}.{micro:06}", utc.date()))
}

/// True if the text says that it has values, rightly or not.
fn says_so(text: &str) -> bool {
    text.starts_with(HEAD)
}

/// Statement and values as one text. Without values it is the statement as it is.
pub fn compose(parameters: &[Parameter], statement: &str) -> Result<String, BoundError> {
    if parameters.is_empty() {
        return Ok(statement.to_owned());
    }
    if parameters.len() > PARAMETERS_MAX {
        return Err(BoundError::TooMany(parameters.len()));
    }
    if says_so(statement) {
        return Err(BoundError::Twice);
    }
    let mut out = format!("{HEAD} {}\n", parameters.len());
    for (number, Parameter { of, value }) in (1..).zip(parameters) {
        if value.as_ref().is_some_and(|value| !of.has(value)) {
            return Err(BoundError::Value { number, of: *of, form: of.form() });
        }
        let written = serde_json::to_string(value).map_err(|_| BoundError::Form)?;
        out += &format!("-- {number} {of} {written}\n");
    }
    Ok(out + statement)
}

/// Takes statement and values apart again. A text without values is a statement with none.
pub fn read(text: &str) -> Result<Bound<'_>, BoundError> {
    if !says_so(text) {
        return Ok(Bound { parameters: Vec::new(), statement: text });
    }
    // One form only: what is read must be what would be written.
    parse(text)
        .filter(|bound| compose(&bound.parameters, bound.statement).as_deref() == Ok(text))
        .ok_or(BoundError::Form)
}

fn parse(text: &str) -> Option<Bound<'_>> {
    let (head, mut rest) = text.split_once('\n')?;
    let count: usize = head.strip_prefix(HEAD)?.strip_prefix(' ')?.parse().ok()?;
    if !(1..=PARAMETERS_MAX).contains(&count) {
        return None;
    }
    let mut parameters = Vec::with_capacity(count);
    for number in 1..=count {
        let (line, after) = rest.split_once('\n')?;
        rest = after;
        let (of, value) = line.strip_prefix(&format!("-- {number} "))?.split_once(' ')?;
        let of = ParameterType::ALL.into_iter().find(|known| known.as_str() == of)?;
        parameters.push(Parameter { of, value: serde_json::from_str(value).ok()? });
    }
    Some(Bound { parameters, statement: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(of: ParameterType, value: &str) -> Parameter {
        Parameter { of, value: Some(value.to_owned()) }
    }

    #[test]
    fn one_text_and_back() {
        let parameters = [
            one(ParameterType::Integer, "37"),
            one(ParameterType::Text, "O'Brien\n-- 3 integer \"1\"\u{202e}"),
            Parameter { of: ParameterType::Date, value: None },
        ];
        let statement = "-- 4 integer \"5\"\nSELECT $1, $2, $3";
        let text = compose(&parameters, statement).unwrap();
        assert!(text.starts_with("-- wetink/parameters/v1 3\n-- 1 integer \"37\"\n"), "{text}");
        let bound = read(&text).unwrap();
        assert_eq!((bound.parameters.as_slice(), bound.statement), (parameters.as_slice(), statement));
        assert_eq!(compose(&[], "SELECT 1").as_deref(), Ok("SELECT 1"));
        assert_eq!(read("SELECT 1").unwrap().parameters, []);
    }

    #[test]
    fn values_are_of_their_type() {
        use ParameterType::{Boolean, Bytes, Date, Double, Integer, Numeric, Text, Timestamp, Uuid};
        let good = [
            (Integer, "-9223372036854775808"),
            (Numeric, "-0049.90"),
            (Numeric, "12345678901234567890"),
            (Double, "-1.5e-3"),
            (Boolean, "true"),
            (Text, ""),
            (Date, "2026-11-21"),
            (Timestamp, "2026-11-21T10:00:00Z"),
            (Timestamp, "2026-11-21T10:00:00.123456-05:30"),
            (Uuid, "0193e4a1-5b2c-7d3e-8f40-112233445566"),
            (Bytes, "00ff"),
            (Bytes, ""),
        ];
        for (of, value) in good {
            assert!(compose(&[one(of, value)], "x").is_ok(), "{of} {value}");
        }
        let bad = [
            (Integer, "9223372036854775808"),
            (Integer, "+1"),
            (Integer, "01"),
            (Integer, "1; DROP TABLE orders"),
            (Numeric, "1e5"),
            (Numeric, "--1"),
            (Numeric, "1."),
            (Numeric, ""),
            (Double, "NaN"),
            (Double, "inf"),
            (Double, "1 "),
            (Boolean, "TRUE"),
            (Text, "a\0"),
            (Date, "2026-11-21 "),
            (Date, "now"),
            (Date, "2026-02-30"),
            (Timestamp, "2026-11-21T25:00:00Z"),
            (Timestamp, "2026-11-21 10:00:00"),
            (Timestamp, "2026-11-21T10:00:00"),
            (Timestamp, "2026-11-21T10:00:00.Z"),
            (Timestamp, "é"),
            (Uuid, "0193E4A1-5B2C-7D3E-8F40-112233445566"),
            (Bytes, "0"),
            (Bytes, "0g"),
        ];
        for (of, value) in bad {
            let refused = compose(&[one(of, value)], "x");
            assert!(matches!(refused, Err(BoundError::Value { number: 1, .. })), "{of} {value}: {refused:?}");
        }
    }

    #[test]
    fn moments_are_told_in_utc() {
        assert_eq!(in_utc("2026-11-21T23:30:00.5-05:30").as_deref(), Some("2026-11-22 05:00:00.500000"));
        assert_eq!(in_utc("now"), None);
    }

    #[test]
    fn there_is_one_form() {
        let text = compose(&[one(ParameterType::Text, "a/b é")], "SELECT $1").unwrap();
        assert!(read(&text).is_ok());
        let others = [
            text.replace("v1 1", "v1 01"),
            text.replace("v1 1", "v1 2"),
            text.replace("v1 1", "v1 0"),
            text.replace("v1 1", "v1"),
            text.replace("v1 1", "v1 99999999999999999999"),
            text.replace("v1 ", "v12 "),
            text.replace("1 text", "2 text"),
            text.replace("1 text", "1  text"),
            text.replace("text", "varchar"),
            text.replace("a/b", "a\\/b"),
            text.replace('é', "\\u00e9"),
            text.replace("\"\n", "\"\r\n"),
            text.replace("\"a", "[\"a"),
            "-- wetink/parameters/v1 1".to_owned(),
            "-- wetink/parameters/v1 1\n-- 1 integer 5\nSELECT 1".to_owned(),
        ];
        for other in others {
            assert_eq!(read(&other), Err(BoundError::Form), "{other}");
        }
        assert_eq!(compose(&[one(ParameterType::Integer, "1")], &text), Err(BoundError::Twice));
        let many = vec![one(ParameterType::Integer, "1"); PARAMETERS_MAX + 1];
        assert_eq!(compose(&many, "x"), Err(BoundError::TooMany(PARAMETERS_MAX + 1)));
    }
}
