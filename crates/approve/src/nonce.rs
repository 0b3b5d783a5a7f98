use std::fmt;
use std::str::FromStr;

use aws_lc_rs::rand;

/// 128 random bits, written as 32 lowercase hex digits. A statement's nonce is spent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Nonce([u8; 16]);

/// Text that is no nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a nonce; expected 32 lowercase hex digits")]
pub struct NonceError(());

impl Nonce {
    /// A fresh one.
    #[allow(clippy::expect_used, reason = "without randomness nothing may be signed")]
    pub fn random() -> Self {
        let mut raw = [0; 16];
        rand::fill(&mut raw).expect("the system's random source answers");
        Self(raw)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl FromStr for Nonce {
    type Err = NonceError;
    fn from_str(text: &str) -> Result<Self, NonceError> {
        let error = NonceError(());
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(error);
        }
        let mut out = [0; 16];
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| error)?;
        }
        Ok(Self(out))
    }
}
