//! A log in memory, for tests.

use std::collections::BTreeMap;

use artifact::{Digest, Timestamp};
use aws_lc_rs::signature::Ed25519KeyPair;

use crate::tree::{Frontier, Nodes, leaf_hash};
use crate::{Actor, Checkpoint, Commitment, Domain, Entry, Error, EventKind, Log, Opening, Role, VerifierKey};

pub(crate) const NAME: &str = "example.com/log";

pub(crate) fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

#[derive(Clone, Default)]
pub(crate) struct Memory {
    frontier: Frontier,
    nodes: BTreeMap<(u8, u64), Digest>,
    entries: Vec<Vec<u8>>,
    openings: BTreeMap<Digest, Opening>,
}

impl Memory {
    pub(crate) fn append_raw(&mut self, entry: Vec<u8>) {
        for node in self.frontier.append(leaf_hash(&entry)) {
            self.nodes.insert((node.level, node.index), node.hash);
        }
        self.entries.push(entry);
    }

    pub(crate) fn append(&mut self, entry: &Entry) {
        self.append_raw(entry.to_bytes().unwrap());
    }

    pub(crate) fn content(&mut self, salt: u8, name: &str, text: &str) -> Commitment {
        let opening = Opening::new([salt; 32], text.as_bytes().to_vec()).unwrap();
        let commitment = *opening.commitment();
        self.openings.insert(commitment, opening);
        Commitment { name: name.into(), commitment }
    }

    pub(crate) fn erase(&mut self, commitment: &Digest) {
        self.openings.remove(commitment);
    }

    pub(crate) fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: NAME.into(), size: self.frontier.size(), root: self.frontier.root() }
    }

    pub(crate) fn note(&self) -> String {
        self.checkpoint().sign(&key(), NAME).unwrap()
    }
}

impl Nodes for Memory {
    type Error = Error;
    fn node(&self, level: u8, index: u64) -> Result<Digest, Error> {
        self.nodes.get(&(level, index)).copied().ok_or(Error::NodeMissing { level, index })
    }
}

impl Log for Memory {
    fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        let found = usize::try_from(index).ok().and_then(|index| self.entries.get(index));
        found.cloned().ok_or(Error::OutOfRange { index, size: self.frontier.size() })
    }

    fn opening(&self, commitment: &Digest) -> Result<Option<Opening>, Error> {
        Ok(self.openings.get(commitment).cloned())
    }
}

pub(crate) fn entry(index: u64, event: EventKind) -> Entry {
    let actor = Actor { role: Role::Guard, name: "guard-1".into() };
    Entry::new(Timestamp::from_millis(1_795_185_120_000 + index), Domain::Guard, event, actor)
}

/// A run as it goes: proposed with two contents, started, settled, held, over and over.
pub(crate) fn log(size: u64) -> (Memory, VerifierKey) {
    let mut log = Memory::default();
    for index in 0..size {
        let event = match index {
            0 => EventKind::Inception,
            _ => [EventKind::Proposed, EventKind::Started, EventKind::Settled, EventKind::Held]
                [usize::try_from((index - 1) % 4).unwrap()],
        };
        let mut entry = entry(index, event);
        let round = index.div_ceil(4);
        entry.run = (index > 0).then(|| format!("r-{round}"));
        if event == EventKind::Proposed {
            entry.domain = Domain::Desk;
            entry.run = None;
            let salt = u8::try_from(round % 256).unwrap();
            entry.contents.push(log.content(salt, "artifact", &format!("select {round}")));
            entry.contents.push(log.content(salt, "effect", &"{}".repeat(usize::try_from(round % 7).unwrap())));
        }
        if event == EventKind::Started {
            entry.facts.insert("nonce".into(), format!("{round:032x}"));
        }
        log.append(&entry);
    }
    (log, VerifierKey::of(NAME, &key()).unwrap())
}
