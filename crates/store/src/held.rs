//! What a person kept back from agents, as keyed hashes: a file of its own beside the view, since the log does not have it. Lose
//! it and values kept back so far are not recognized; nothing else depends on it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use artifact::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::StoreError;
use crate::fold::ms;

/// A keyed hash of a value.
pub type Mark = [u8; 16];

/// Most hashes kept; the oldest go first.
const MARKS_MAX: i64 = 2_000_000;
/// What is learned is written out at the latest with this many.
const LEARNED_MAX: usize = 20_000;
/// What is known by heart.
const KNOWN_MAX: usize = 50_000;
/// What happens to a mark that is there already when the agent has it.
const GIVEN: &str = "ON CONFLICT DO UPDATE SET given = 1, at_ms = excluded.at_ms";

/// Where a value was seen that an agent was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The value.
    pub mark: Mark,
    /// The proposal whose result it stands in.
    pub proposal: String,
    /// Column or member.
    pub field: String,
}

/// The file.
#[derive(Debug)]
pub struct Held {
    file: Mutex<File>,
    key: [u8; 32],
}

#[derive(Debug)]
struct File {
    db: Connection,
    /// What agents wrote themselves and the file does not say yet, with when: many proposals share one commit. Lost with the process it is
    /// only less that is known to be theirs.
    learned: HashMap<(String, Mark), Timestamp>,
    /// Some of what the file says agents have, so that words that stand in every artifact of theirs are not looked up each time.
    known: HashSet<(String, Mark)>,
    /// Rows there are, so that nobody has to count them.
    many: i64,
}

impl Held {
    /// Opens or makes it. `fresh` becomes its key if it has none yet.
    pub fn open(path: &Path, fresh: [u8; 32]) -> Result<Self, StoreError> {
        let db = Connection::open(path)?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE IF NOT EXISTS key (one INTEGER PRIMARY KEY CHECK (one = 1), bytes BLOB NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS marks (
                 mark BLOB NOT NULL, agent TEXT NOT NULL, given INTEGER NOT NULL, proposal TEXT NOT NULL, field TEXT NOT NULL, at_ms INTEGER NOT NULL,
                 PRIMARY KEY (mark, agent)
             ) STRICT, WITHOUT ROWID;
             CREATE INDEX IF NOT EXISTS marks_age ON marks (at_ms);",
        )?;
        db.execute("INSERT OR IGNORE INTO key VALUES (1, ?1)", [fresh.as_slice()])?;
        let key: Vec<u8> = db.query_row("SELECT bytes FROM key", [], |row| row.get(0))?;
        let key = key.try_into().map_err(|_| StoreError::Corrupt("key"))?;
        let many = db.query_row("SELECT count(*) FROM marks", [], |row| row.get(0))?;
        Ok(Self { file: Mutex::new(File { db, learned: HashMap::new(), known: HashSet::new(), many }), key })
    }

    /// What its hashes are made with.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Values of a result that was held, each with its field. What the agent has already stays as it is.
    pub fn keep(&self, agent: &str, proposal: &str, marks: &[(Mark, String)], at: Timestamp) -> Result<(), StoreError> {
        self.add(agent, proposal, marks, at, "ON CONFLICT DO NOTHING", false)
    }

    /// Values that the agent has: it was given them, or wrote them itself.
    pub fn give(&self, agent: &str, proposal: &str, marks: &[Mark], at: Timestamp) -> Result<(), StoreError> {
        let marks: Vec<(Mark, String)> = marks.iter().map(|mark| (*mark, String::new())).collect();
        self.add(agent, proposal, &marks, at, GIVEN, true)
    }

    /// Writes out what was learned, if there is something. Asked for every few seconds.
    pub fn write_out(&self) -> Result<(), StoreError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.learned.is_empty() { Ok(()) } else { file.write_out() }
    }

    /// The same for what stands in an artifact of the agent's own.
    pub fn learn(&self, agent: &str, marks: &[Mark], at: Timestamp) -> Result<(), StoreError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let File { db, learned, known, .. } = &mut *file;
            let mut given = db.prepare_cached("SELECT 1 FROM marks WHERE mark = ?1 AND agent = ?2 AND given = 1")?;
            for mark in marks {
                let key = (agent.to_owned(), *mark);
                if learned.contains_key(&key) || known.contains(&key) {
                    continue;
                }
                if !given.exists(params![mark.as_slice(), agent])? {
                    learned.insert(key, at);
                } else if known.len() < KNOWN_MAX {
                    known.insert(key);
                }
            }
        }
        if file.learned.len() > LEARNED_MAX { file.write_out() } else { Ok(()) }
    }

    fn add(
        &self,
        agent: &str,
        proposal: &str,
        marks: &[(Mark, String)],
        at: Timestamp,
        otherwise: &str,
        given: bool,
    ) -> Result<(), StoreError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.add(marks.iter().map(|(mark, field)| (*mark, agent, field.as_str(), at)), proposal, otherwise, given)
    }

    /// Those of `marks` that somebody kept back and that this agent was never given.
    pub fn withheld(&self, agent: &str, marks: &[Mark]) -> Result<Vec<Withheld>, StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = "SELECT proposal, field FROM marks m WHERE mark = ?1 AND given = 0
                   AND NOT EXISTS (SELECT 1 FROM marks g WHERE g.mark = m.mark AND g.agent = ?2 AND g.given = 1) LIMIT 1";
        let mut find = file.db.prepare_cached(sql)?;
        let mut found = Vec::new();
        for mark in marks {
            let key = (agent.to_owned(), *mark);
            if file.learned.contains_key(&key) || file.known.contains(&key) {
                continue;
            }
            let row =
                find.query_row(params![mark.as_slice(), agent], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            if let Some((proposal, field)) = row {
                found.push(Withheld { mark: *mark, proposal, field });
            }
        }
        Ok(found)
    }
}

impl File {
    fn add<'a>(
        &mut self,
        marks: impl Iterator<Item = (Mark, &'a str, &'a str, Timestamp)>,
        proposal: &str,
        otherwise: &str,
        given: bool,
    ) -> Result<(), StoreError> {
        let mut many = self.many;
        let work = self.db.transaction()?;
        {
            let sql = format!(
                "INSERT INTO marks (mark, agent, given, proposal, field, at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) {otherwise}"
            );
            let mut insert = work.prepare_cached(&sql)?;
            for (mark, agent, field, at) in marks {
                // An update of what is there counts too; the end only comes a little early.
                many +=
                    i64::try_from(insert.execute(params![mark.as_slice(), agent, given, proposal, field, ms(at)])?)
                        .unwrap_or(0);
            }
            if many > MARKS_MAX {
                let sql =
                    "DELETE FROM marks WHERE (mark, agent) IN (SELECT mark, agent FROM marks ORDER BY at_ms LIMIT ?1)";
                work.execute(sql, [many - MARKS_MAX])?;
                many = work.query_row("SELECT count(*) FROM marks", [], |row| row.get(0))?;
            }
        }
        work.commit()?;
        self.many = many;
        Ok(())
    }

    /// Writes what was learned, all or none of it.
    fn write_out(&mut self) -> Result<(), StoreError> {
        let learned = std::mem::take(&mut self.learned);
        let marks = learned.iter().map(|((agent, mark), at)| (*mark, agent.as_str(), "", *at));
        let written = self.add(marks, "", GIVEN, true);
        if written.is_err() {
            // Nothing was written; the next time tries again.
            self.learned = learned;
        } else {
            if self.known.len() + learned.len() > KNOWN_MAX {
                self.known.clear();
            }
            self.known.extend(learned.into_keys().take(KNOWN_MAX));
        }
        written
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = self.write_out();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_is_not_withheld_any_more() {
        let path = std::env::temp_dir().join(format!("wetink-held-{}.db", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let at = Timestamp::from_millis(1);
        let (one, two): (Mark, Mark) = ([1; 16], [2; 16]);
        {
            let held = Held::open(&path, [7; 32]).unwrap();
            held.keep("robin", "p-1", &[(one, "email".into()), (two, "iban".into())], at).unwrap();
            held.give("robin", "p-1", &[two], at).unwrap();
            // Held once more, it is still known.
            held.keep("robin", "p-2", &[(two, "iban".into())], at).unwrap();
        }
        {
            // What an agent wrote is known at once, written out when it is time, or at the end.
            let held = Held::open(&path, [8; 32]).unwrap();
            held.keep("robin", "p-3", &[([4; 16], "name".into()), ([5; 16], "name".into())], at).unwrap();
            held.learn("robin", &[[4; 16]], at).unwrap();
            assert_eq!(held.withheld("robin", &[[4; 16], [5; 16]]).unwrap().len(), 1);
            assert_eq!(held.withheld("other", &[[4; 16], [5; 16]]).unwrap().len(), 2);
            held.write_out().unwrap();
            held.learn("robin", &[[4; 16], [5; 16]], at).unwrap();
        }
        let held = Held::open(&path, [8; 32]).unwrap();
        assert!(held.withheld("robin", &[[4; 16], [5; 16]]).unwrap().is_empty());
        assert_eq!(held.key(), &[7; 32]);
        let fields = |agent| {
            held.withheld(agent, &[one, two, [3; 16]]).unwrap().into_iter().map(|w| w.field).collect::<Vec<_>>()
        };
        assert_eq!(fields("robin"), ["email"]);
        // Another agent has neither; of what robin was given nobody kept anything back.
        assert_eq!(fields("other"), ["email"]);
        let _ = std::fs::remove_file(&path);
    }
}
