//! Rules between entries that need nobody's signature to check.

use std::collections::HashMap;
use std::collections::HashSet;

use artifact::Timestamp;

use crate::Error;
use crate::entry::{Domain, Entry, EventKind};

/// What the entries so far allow.
#[derive(Default)]
pub(super) struct Rules {
    last: Option<Timestamp>,
    nonces: HashSet<String>,
    /// Runs by id; true once settled.
    runs: HashMap<String, bool>,
}

impl Rules {
    pub(super) fn check(&mut self, index: u64, entry: &Entry) -> Result<(), Error> {
        if (index == 0) != (entry.event == EventKind::Inception) {
            return Err(Error::Rule("a log begins with `inception`, once"));
        }
        if self.last.is_some_and(|last| entry.at < last) {
            return Err(Error::Rule("the time is before the time of the entry before it"));
        }
        self.last = Some(entry.at);
        if entry.event.is_guards() && entry.domain != Domain::Guard {
            return Err(Error::Rule("the desk vouches for what only the guard can know"));
        }
        match entry.event {
            EventKind::Started => self.start(entry),
            EventKind::Committing | EventKind::Settled | EventKind::Held | EventKind::Released => {
                let run = entry.run.as_ref().ok_or(Error::Rule("the entry names no run"))?;
                let settled = self.runs.get_mut(run).ok_or(Error::Rule("the run was never started"))?;
                *settled |= entry.event == EventKind::Settled;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// INVARIANT (I3): a nonce is spent once, and so is a run's id.
    fn start(&mut self, entry: &Entry) -> Result<(), Error> {
        let nonce = entry.facts.get("nonce").filter(|nonce| !nonce.is_empty());
        let nonce = nonce.ok_or(Error::Rule("the run started without a nonce"))?;
        let run = entry.run.as_ref().ok_or(Error::Rule("the entry names no run"))?;
        if !self.nonces.insert(nonce.clone()) {
            return Err(Error::Rule("the nonce was spent before; an approval ran twice"));
        }
        if self.runs.insert(run.clone(), false).is_some() {
            return Err(Error::Rule("the run was started before"));
        }
        Ok(())
    }

    pub(super) fn started(&self) -> u64 {
        self.runs.len() as u64
    }

    pub(super) fn settled(&self) -> u64 {
        self.runs.values().filter(|settled| **settled).count() as u64
    }
}
