use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};

/// What an [`Id`] names. One marker type a kind, so that ids cannot be swapped (I10).
pub trait Marker {
    /// The letters before the dash.
    const PREFIX: &'static str;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $marker:ident $alias:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $marker {}
        impl Marker for $marker {
            const PREFIX: &'static str = $prefix;
        }
        #[doc = concat!("Id of a ", stringify!($marker), ", written `", $prefix, "-` and 12 characters.")]
        pub type $alias = Id<$marker>;
    )*};
}

ids! {
    /// Marks ids of proposals.
    Proposal ProposalId "p";
    /// Marks ids of tasks.
    Task TaskId "t";
    /// Marks ids of agents' sessions.
    Session SessionId "s";
    /// Marks ids of runs.
    Run RunId "r";
}

/// Crockford base32 without i, l, o, u: nothing in it is mistaken for something else when read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LEN: usize = 12;

/// A random name for one thing of kind `M`: 60 random bits. It is a name, not a capability.
pub struct Id<M> {
    text: [u8; LEN],
    marker: PhantomData<fn() -> M>,
}

/// Text that is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id of this kind; expected `{0}-` and 12 characters")]
pub struct IdError(&'static str);

impl<M: Marker> Id<M> {
    /// A fresh random id.
    ///
    /// # Panics
    /// If the system has no randomness to give; nothing sensible can go on without.
    #[allow(clippy::expect_used, reason = "without randomness no id, nonce or key can be made")]
    pub fn random() -> Self {
        let mut raw = [0; LEN];
        rand::fill(&mut raw).expect("the system's random source answers");
        Self { text: raw.map(|b| ALPHABET[usize::from(b & 31)]), marker: PhantomData }
    }
}

impl<M: Marker> fmt::Display for Id<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-", M::PREFIX)?;
        self.text.iter().try_for_each(|&c| write!(f, "{}", c as char))
    }
}

impl<M: Marker> FromStr for Id<M> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = IdError(M::PREFIX);
        let rest = text.strip_prefix(M::PREFIX).and_then(|t| t.strip_prefix('-')).ok_or(error)?;
        let text: [u8; LEN] = rest.as_bytes().try_into().map_err(|_| error)?;
        if text.iter().all(|c| ALPHABET.contains(c)) { Ok(Self { text, marker: PhantomData }) } else { Err(error) }
    }
}

impl<M: Marker> fmt::Debug for Id<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<M> Clone for Id<M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Id<M> {}
impl<M> PartialEq for Id<M> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<M> Eq for Id<M> {}
impl<M> PartialOrd for Id<M> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<M> Ord for Id<M> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<M> Hash for Id<M> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<M: Marker> Serialize for Id<M> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, M: Marker> Deserialize<'de> for Id<M> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_kinds_apart() {
        let id = ProposalId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<TaskId>().is_err());
        for bad in ["", "p-", "p-00000000000", "p-0000000000000", "p-00000000000U", "p-0000000000é"] {
            assert!(bad.parse::<ProposalId>().is_err(), "{bad}");
        }
        assert_ne!(ProposalId::random(), ProposalId::random());
    }
}
