//! What entries commit to, in the open: salt and bytes behind a commitment.

use artifact::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::entry::commit;

/// Largest content in bytes (16 MiB).
pub const MAX_CONTENT_BYTES: usize = 16 * 1024 * 1024;
/// Longest line of `contents.jsonl` in bytes, its line feed included.
pub const MAX_LINE_BYTES: usize = MAX_CONTENT_BYTES.div_ceil(3) * 4 + 256;

/// A content that opens its commitment.
///
/// INVARIANT: `commitment` is [`commit`] of `salt` and `bytes`; both constructors compute it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Claim", try_from = "Claim")]
pub struct Opening {
    commitment: Digest,
    salt: [u8; 32],
    bytes: Vec<u8>,
}

/// The JSON form; fields in canonical order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claim {
    /// Base64, RFC 4648 section 4.
    bytes: String,
    commitment: Digest,
    /// 64 lowercase hex digits.
    salt: String,
}

impl Opening {
    /// Commits to `bytes` with `salt`, which is 32 random bytes used for nothing else.
    pub fn new(salt: [u8; 32], bytes: Vec<u8>) -> Result<Self, Error> {
        if bytes.len() > MAX_CONTENT_BYTES {
            return Err(Error::Note("the content is larger than 16 MiB"));
        }
        Ok(Self { commitment: commit(&salt, &bytes), salt, bytes })
    }

    /// What the log holds.
    pub fn commitment(&self) -> &Digest {
        &self.commitment
    }

    /// The salt.
    pub fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The content, without its commitment.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Its line in `contents.jsonl`, with line feed: canonical JSON.
    pub fn to_line(&self) -> String {
        // No field needs an escape, so the canonical form is plain text.
        format!(
            "{{\"bytes\":\"{}\",\"commitment\":\"{}\",\"salt\":\"{}\"}}\n",
            STANDARD.encode(&self.bytes),
            self.commitment,
            Digest::from_bytes(self.salt).hex()
        )
    }

    /// Reads one line with its line feed. Any spelling but the one of [`Opening::to_line`] is refused.
    pub fn parse_line(line: &[u8]) -> Result<Self, &'static str> {
        const FORM: &str = "not a content in canonical form";
        let line = std::str::from_utf8(line).map_err(|_| FORM)?;
        let rest = line.strip_prefix("{\"bytes\":\"").ok_or(FORM)?;
        let (bytes, rest) = rest.split_once('"').ok_or(FORM)?;
        let rest = rest.strip_prefix(",\"commitment\":\"sha256:").ok_or(FORM)?;
        let (commitment, rest) = rest.split_once('"').ok_or(FORM)?;
        let salt = rest.strip_prefix(",\"salt\":\"").and_then(|rest| rest.strip_suffix("\"}\n")).ok_or(FORM)?;
        Self::open(bytes, Digest::from_hex(commitment).map_err(|_| FORM)?, salt)
    }

    fn open(bytes: &str, commitment: Digest, salt: &str) -> Result<Self, &'static str> {
        let salt = *Digest::from_hex(salt).map_err(|_| "the salt is not 64 lowercase hex digits")?.as_bytes();
        let bytes = STANDARD.decode(bytes).map_err(|_| "the bytes are not base64")?;
        let opening = Self::new(salt, bytes).map_err(|_| "the content is larger than 16 MiB")?;
        if opening.commitment == commitment { Ok(opening) } else { Err("the content does not open its commitment") }
    }
}

impl From<Opening> for Claim {
    fn from(opening: Opening) -> Self {
        Self {
            bytes: STANDARD.encode(&opening.bytes),
            commitment: opening.commitment,
            salt: Digest::from_bytes(opening.salt).hex(),
        }
    }
}

impl TryFrom<Claim> for Opening {
    type Error = &'static str;
    fn try_from(claim: Claim) -> Result<Self, &'static str> {
        Self::open(&claim.bytes, claim.commitment, &claim.salt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        let opening = Opening::new([9; 32], b"select 1".to_vec()).unwrap();
        let line = opening.to_line();
        assert_eq!(Opening::parse_line(line.as_bytes()).unwrap(), opening);
        let canonical = artifact::canonical::to_vec(&opening).unwrap();
        assert_eq!(line.trim_end().as_bytes(), canonical);
        assert_eq!(serde_json::from_str::<Opening>(line.trim_end()).unwrap(), opening);
        for i in 0..line.len() {
            for bit in 0..8 {
                let mut bad = line.clone().into_bytes();
                bad[i] ^= 1 << bit;
                assert!(Opening::parse_line(&bad).is_err(), "{i} {bit}");
            }
            assert!(Opening::parse_line(&line.as_bytes()[..i]).is_err());
        }
        assert!(Opening::parse_line(format!("{line}\n").as_bytes()).is_err());
        assert!(Opening::parse_line(format!(" {line}").as_bytes()).is_err());
        assert!(Opening::new([0; 32], vec![0; MAX_CONTENT_BYTES + 1]).is_err());
    }
}
