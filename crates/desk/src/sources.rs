//! Released results, ready for being held against, in memory: what an agent hands in next is held against the same ones.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use artifact::TaskId;
use lifecycle::{Source, released_text};
use store::{Store, StoreError};

/// How many released results of a task, and how many bytes of them, what an agent hands in is held against.
const OF_TASK: u32 = 20;
const OF_TASK_BYTES: usize = 1024 * 1024;
/// Bytes of text that are kept ready, all tasks together; ready they take some twenty times as much.
const BYTES: usize = 2 * OF_TASK_BYTES;

/// What is ready. A released result never changes.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Ready>);

#[derive(Debug, Default)]
struct Ready {
    /// With the bytes of its text.
    by_proposal: HashMap<String, (Arc<Source>, usize)>,
    /// Oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

impl Sources {
    /// The last results released in a task, oldest first.
    pub(crate) fn of(&self, store: &Store, task: TaskId) -> Result<Vec<Arc<Source>>, StoreError> {
        let (mut found, mut room) = (Vec::new(), OF_TASK_BYTES);
        for proposal in store.released_in(task, OF_TASK)? {
            let (source, bytes) = self.one(store, proposal)?;
            if bytes <= room {
                found.push(source);
            }
            room = room.saturating_sub(bytes);
        }
        found.reverse();
        Ok(found)
    }

    fn one(&self, store: &Store, proposal: String) -> Result<(Arc<Source>, usize), StoreError> {
        let ready = self.0.lock().unwrap_or_else(PoisonError::into_inner).by_proposal.get(&proposal).cloned();
        if let Some(ready) = ready {
            return Ok(ready);
        }
        let text = released_text(&store.released_of(&proposal)?);
        let made = (Arc::new(Source::new(&proposal, &text)), text.len());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keep(proposal, made.clone());
        Ok(made)
    }
}

impl Ready {
    fn keep(&mut self, proposal: String, made: (Arc<Source>, usize)) {
        if made.1 > BYTES {
            return;
        }
        self.bytes += made.1;
        // Two may have made the same one at once.
        match self.by_proposal.insert(proposal.clone(), made) {
            Some((_, bytes)) => self.bytes -= bytes,
            None => self.order.push_back(proposal),
        }
        while self.bytes > BYTES || self.order.len() > 1000 {
            let Some((_, bytes)) = self.order.pop_front().and_then(|oldest| self.by_proposal.remove(&oldest)) else {
                return;
            };
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_has_an_end() {
        let mut ready = Ready::default();
        let source = Arc::new(Source::new("p", ""));
        for n in 0..50 {
            ready.keep(format!("p-{n}"), (Arc::clone(&source), BYTES / 10));
            ready.keep(format!("p-{n}"), (Arc::clone(&source), BYTES / 10));
        }
        assert_eq!((ready.order.len(), ready.by_proposal.len(), ready.bytes), (10, 10, BYTES / 10 * 10));
        ready.keep("large".into(), (source, BYTES + 1));
        assert!(ready.by_proposal.contains_key("p-49") && !ready.by_proposal.contains_key("large"));
    }
}
