use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A UTC instant in whole milliseconds since 1970. Written as RFC 3339 with `Z`, e.g. `2026-11-20T14:32:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(u64);

/// Text that is no timestamp in the one accepted form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a timestamp; expected the form 2026-11-20T14:32:00.000Z")]
pub struct TimestampError(());

/// 9999-12-31T23:59:59.999Z: the last instant with a four-digit year.
const MAX_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z; held at the last instant of year 9999.
    pub const fn from_millis(ms: u64) -> Self {
        Self(if ms > MAX_MS { MAX_MS } else { ms })
    }

    /// Milliseconds since 1970.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The system's clock. Only shells call this; the core is handed a time.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self::from_millis(u64::try_from(since.as_millis()).unwrap_or(MAX_MS))
    }

    /// `seconds` later.
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        Self::from_millis(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Whole milliseconds from `earlier` to this; zero if this is not later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).map_err(|_| fmt::Error)?;
        f.write_str(&at.format(form).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError(()))?;
        let ms = u64::try_from(at.unix_timestamp_nanos() / 1_000_000).map_err(|_| TimestampError(()))?;
        let parsed = Self::from_millis(ms);
        // One instant has one spelling, so that a signed statement has one reading.
        if parsed.to_string() == text { Ok(parsed) } else { Err(TimestampError(())) }
    }
}

impl From<Timestamp> for String {
    fn from(at: Timestamp) -> Self {
        at.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        let at = Timestamp::from_millis(1_795_185_120_000);
        assert_eq!(at.to_string(), "2026-11-20T14:32:00.000Z");
        assert_eq!("2026-11-20T14:32:00.000Z".parse(), Ok(at));
        for bad in ["2026-11-20T14:32:00Z", "2026-11-20T14:32:00.000+00:00", "2026-11-20 14:32:00.000Z", "", "x"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
