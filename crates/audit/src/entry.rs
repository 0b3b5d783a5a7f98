//! One line of the log: who did what to which thing, vouched for by whom.

use std::collections::BTreeMap;

use artifact::{Digest, Hasher, Timestamp, canonical};
use serde::{Deserialize, Serialize};

use crate::Error;

/// Largest entry in bytes. Entry bundles hold lengths in 16 bits (C2SP tlog-tiles), so longer texts are contents.
pub const MAX_ENTRY_BYTES: usize = 60_000;

/// Which process vouches for an entry. Reading: "the guard says that ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// The trusted process.
    Guard,
    /// The front process; what it says is its claim and no more.
    Desk,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The log begins; the root key is named.
    Inception,
    /// A key may sign from now on.
    KeyGranted,
    /// A key may no longer sign.
    KeyRevoked,
    /// A target was registered.
    TargetGranted,
    /// A target was taken out.
    TargetRemoved,
    /// A person opened a task.
    TaskOpened,
    /// A task ended.
    TaskClosed,
    /// Another policy holds from now on.
    PolicySet,
    /// A credential was put into the vault.
    SecretStored,
    /// A credential is older than its target's registration allows, and was not changed by itself.
    SecretOverdue,
    /// An agent got an identity.
    AgentEnrolled,
    /// An agent lost it.
    AgentRevoked,
    /// Everything was stopped.
    Stopped,
    /// Work goes on.
    Resumed,
    /// A proposal was handed in and understood.
    Proposed,
    /// A proposal was handed in and denied by policy.
    Denied,
    /// A person opened a proposal.
    Opened,
    /// A person asked for changes.
    ChangesRequested,
    /// A person said no.
    Rejected,
    /// The agent took it back.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// A newer revision took its place.
    Superseded,
    /// A person signed, and more have to before it runs; the claim so far is its content.
    Approved,
    /// The guard spent the approval and is about to run. Carries the fact `nonce` and the run.
    Started,
    /// The guard is about to let the target commit.
    Committing,
    /// The run ended.
    Settled,
    /// The result is held.
    Held,
    /// A person looked at the held result.
    Viewed,
    /// A person released a part of the result.
    Released,
    /// The agent read what was released.
    Collected,
    /// Contents were erased; the values of `digests` are the commitments that can no longer be opened.
    Erased,
    /// A remark.
    Note,
}

impl EventKind {
    /// Whether only the guard can know this, so that the same words from the desk are refused.
    pub const fn is_guards(self) -> bool {
        matches!(
            self,
            Self::Inception
                | Self::Approved
                | Self::Started
                | Self::Committing
                | Self::Settled
                | Self::Held
                | Self::Released
                | Self::Erased
                | Self::SecretOverdue
        )
    }
}

/// In which capacity somebody acted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A program that proposes.
    Agent,
    /// A human being.
    Person,
    /// The trusted process.
    Guard,
    /// The front process.
    Desk,
    /// A clock or another mechanism nobody steers.
    System,
}

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// In which capacity.
    pub role: Role,
    /// Name within the role.
    pub name: String,
}

/// A content kept outside the log: erasing it leaves the log verifiable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commitment {
    /// Name within the entry, e.g. `artifact`.
    pub name: String,
    /// [`commit`] of salt and bytes.
    pub commitment: Digest,
}

/// SHA-256 of `0x02`, `salt`, `bytes`.
///
/// The salt is random and erased with the content, so nobody can guess a short text and compare. The first byte keeps
/// commitments apart from the tree's leaves (`0x00`) and nodes (`0x01`).
pub fn commit(salt: &[u8; 32], bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(&[2]);
    hasher.update(salt);
    hasher.update(bytes);
    hasher.finish()
}

/// One entry. [`Entry::to_bytes`] is its only byte form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Version of this form: 1.
    pub v: u8,
    /// When, by the guard's clock. Never earlier than the entry before.
    pub at: Timestamp,
    /// Who vouches for it.
    pub domain: Domain,
    /// What happened.
    pub event: EventKind,
    /// Who did it.
    pub actor: Actor,
    /// The person an agent acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Id of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Id of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Id of the proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal: Option<String>,
    /// Id of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The proposal's revision, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Name of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Network address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Digests by name, e.g. `artifact`, `effect`, `policy`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<String, Digest>,
    /// Why, as coded reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Short facts by name, e.g. `outcome`, `nonce`, `rows`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
    /// Contents it commits to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contents: Vec<Commitment>,
}

impl Entry {
    /// An entry that says only who did what and when; set the other fields as needed.
    pub fn new(at: Timestamp, domain: Domain, event: EventKind, actor: Actor) -> Self {
        Self {
            v: 1,
            at,
            domain,
            event,
            actor,
            on_behalf_of: None,
            session: None,
            task: None,
            proposal: None,
            run: None,
            revision: None,
            target: None,
            address: None,
            digests: BTreeMap::new(),
            reasons: Vec::new(),
            facts: BTreeMap::new(),
            contents: Vec::new(),
        }
    }

    /// The canonical bytes: what is hashed into the tree, stored and exported.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        if self.v != 1 {
            return Err(Error::EntryVersion(self.v));
        }
        let bytes = canonical::to_vec(self)?;
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(Error::EntryTooLarge(bytes.len()));
        }
        Ok(bytes)
    }

    /// Reads canonical bytes; any other spelling of the same entry is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(Error::EntryTooLarge(bytes.len()));
        }
        let entry: Self = serde_json::from_slice(bytes).map_err(Error::EntryForm)?;
        if entry.to_bytes()? == bytes { Ok(entry) } else { Err(Error::EntryNotCanonical) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let actor = Actor { role: Role::Agent, name: "billing-helper".into() };
        let mut entry = Entry::new(Timestamp::from_millis(1_795_185_120_000), Domain::Desk, EventKind::Proposed, actor);
        entry.revision = Some(2);
        entry.facts.insert("decision".into(), "ask".into());
        entry
    }

    #[test]
    fn one_spelling() {
        let bytes = entry().to_bytes().unwrap();
        let text = r#"{"actor":{"name":"billing-helper","role":"agent"},"at":"2026-11-20T14:32:00.000Z","domain":"desk","event":"proposed","facts":{"decision":"ask"},"revision":2,"v":1}"#;
        assert_eq!(std::str::from_utf8(&bytes).unwrap(), text);
        assert_eq!(Entry::parse(&bytes).unwrap(), entry());
        for (from, to) in [
            (r#""v":1"#, r#""v":2"#),
            (r#""v":1"#, r#""v":1,"x":0"#),
            (r#""v":1"#, r#""v": 1"#),
            (r#""v":1"#, r#""task":null,"v":1"#),
            (r#""v":1"#, r#""reasons":[],"v":1"#),
            (r#""v":1"#, r#""v":1.0"#),
            (r#""v":1"#, r#""v":1,"v":1"#),
            (r#"{"decision":"ask"}"#, r#"{"decision":"ask","decision":"ask"}"#),
            ("billing", r"\u0062illing"),
            ("proposed", "invented"),
            (".000Z", "Z"),
        ] {
            assert_ne!(text.replace(from, to), text);
            assert!(Entry::parse(text.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        assert!(Entry::parse(format!("{text}\n").as_bytes()).is_err());
        assert!(Entry::parse(b"").is_err());
    }

    #[test]
    fn limits() {
        let mut big = entry();
        big.reasons.push("x".repeat(MAX_ENTRY_BYTES));
        assert!(matches!(big.to_bytes(), Err(Error::EntryTooLarge(_))));
        assert!(matches!(Entry::parse(&vec![b' '; MAX_ENTRY_BYTES + 1]), Err(Error::EntryTooLarge(_))));
        let mut other = entry();
        other.v = 2;
        assert!(matches!(other.to_bytes(), Err(Error::EntryVersion(2))));
    }

    #[test]
    fn commitments_are_salted_and_apart_from_the_tree() {
        assert_ne!(commit(&[1; 32], b"yes"), commit(&[2; 32], b"yes"));
        let mut all = vec![2];
        all.extend([7; 32]);
        all.extend(b"yes");
        assert_eq!(commit(&[7; 32], b"yes"), Digest::of(&all));
    }
}
