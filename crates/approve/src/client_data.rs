//! `clientDataJSON` (WebAuthn level 3, 5.8.1): the four members that matter, no member twice, foreign pages told apart.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Most members; browsers write four or five and say that more may come.
const MEMBERS_MAX: usize = 32;

/// What a browser says it was asked.
pub(crate) struct ClientData {
    /// `type`.
    pub(crate) kind: String,
    /// `challenge`, base64url.
    pub(crate) challenge: String,
    /// `origin`.
    pub(crate) origin: String,
    /// `crossOrigin` is true, or there is a `topOrigin`, whatever it says.
    pub(crate) in_foreign_page: bool,
}

impl ClientData {
    /// Reads it. Members that are not known are allowed (browsers add some on purpose), but no name may come twice: two
    /// readers could then take different ones.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

impl<'de> Deserialize<'de> for ClientData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ClientData;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClientData, A::Error> {
        let (mut kind, mut challenge, mut origin, mut in_foreign_page) = (None, None, None, false);
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "type" => kind = Some(map.next_value()?),
                "challenge" => challenge = Some(map.next_value()?),
                "origin" => origin = Some(map.next_value()?),
                "crossOrigin" => in_foreign_page |= map.next_value::<bool>()?,
                "topOrigin" => {
                    map.next_value::<IgnoredAny>()?;
                    in_foreign_page = true;
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
            if !seen.insert(name) || seen.len() > MEMBERS_MAX {
                return Err(A::Error::custom("a member comes twice, or there are too many"));
            }
        }
        let missing = || A::Error::custom("a member is missing");
        Ok(ClientData {
            kind: kind.ok_or_else(missing)?,
            challenge: challenge.ok_or_else(missing)?,
            origin: origin.ok_or_else(missing)?,
            in_foreign_page,
        })
    }
}
