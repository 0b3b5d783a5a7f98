//! What the ledger's tests share.
#![allow(dead_code, reason = "each test program uses a part")]

use std::fs;
use std::path::{Path, PathBuf};

use artifact::Timestamp;
use audit::verify::Report;
use audit::{Actor, Contents, Domain, Entry, EventKind, Options, Role, verify_dir};
use aws_lc_rs::signature::Ed25519KeyPair;
use ledger::{Class, Draft, Job, Keys, Ledger, LedgerError, NewContent};
use rusqlite::Connection;
use tempfile::TempDir;

pub(crate) const ORIGIN: &str = "example.com/log";

pub(crate) fn keys() -> Keys {
    Keys { log: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(), seal: [8; 32] }
}

pub(crate) fn entry(event: EventKind) -> Entry {
    let actor = Actor { role: Role::Guard, name: "guard".into() };
    Entry::new(Timestamp::from_millis(1_795_185_120_000), Domain::Guard, event, actor)
}

pub(crate) fn draft(event: EventKind) -> Draft {
    Draft { entry: entry(event), contents: Vec::new() }
}

pub(crate) fn note(text: &str) -> Draft {
    let mut draft = draft(EventKind::Note);
    draft.entry.facts.insert("text".into(), text.into());
    draft
}

pub(crate) fn one(draft: Draft) -> Job {
    Job { drafts: vec![draft], ..Job::default() }
}

pub(crate) fn started(run: &str, nonce: &str) -> Job {
    let mut draft = draft(EventKind::Started);
    draft.entry.run = Some(run.into());
    draft.entry.facts.insert("nonce".into(), nonce.into());
    Job { drafts: vec![draft], spend: Some(nonce.into()), ..Job::default() }
}

pub(crate) fn settled(run: &str) -> Draft {
    let mut draft = draft(EventKind::Settled);
    draft.entry.run = Some(run.into());
    draft
}

pub(crate) fn content(name: &str, class: Class, bytes: &[u8]) -> NewContent {
    NewContent { name: name.into(), class, bytes: bytes.to_vec() }
}

/// A ledger's directory.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn new() -> (Self, Ledger) {
        let place = Self::empty();
        let ledger = Ledger::create(place.dir(), ORIGIN, keys(), draft(EventKind::Inception)).unwrap();
        (place, ledger)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn open(&self) -> Result<Ledger, LedgerError> {
        Ledger::open(self.dir(), ORIGIN, keys())
    }

    /// Somebody else's hand at the database.
    pub(crate) fn database(&self) -> Connection {
        Connection::open(self.file("ledger.db")).unwrap()
    }

    /// The files as they are on disk at this moment, as after a power cut, in a place of their own.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::empty();
        for name in ["ledger.db", "ledger.db-wal"] {
            if self.file(name).exists() {
                fs::copy(self.file(name), copy.file(name)).unwrap();
            }
        }
        copy
    }
}

/// An auditor's check of the whole log. Held contents are not exported, so contents are partial.
pub(crate) fn verify(ledger: &Ledger) -> Report {
    let out = tempfile::tempdir().unwrap();
    ledger.export(out.path()).unwrap();
    let options = Options { contents: Contents::Partial, ..Options::default() };
    verify_dir(out.path(), ledger.verifier(), &options, &mut |_, _, _| Ok(())).unwrap()
}
