//! What a person kept back from agents, as keyed hashes: a file of its own beside the view, since the log does not have it. Lose
//! it and values kept back so far are not recognized; nothing else depends on it.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use artifact::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::StoreError;
use crate::filter::Filter;
use crate::fold::ms;

/// A keyed hash of a value.
pub type Mark = [u8; 16];

/// Most hashes kept; the oldest go first.
const MARKS_MAX: i64 = 2_000_000;
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
    /// When that proposal was handed in: what somebody wrote by then they did not have from it.
    pub at: Timestamp,
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
    /// What was kept back of anybody: hardly anything of an artifact was, and is not looked up.
    kept: Filter,
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
             CREATE INDEX IF NOT EXISTS marks_age ON marks (at_ms);
             CREATE INDEX IF NOT EXISTS marks_kept ON marks (mark) WHERE given = 0;",
        )?;
        db.execute("INSERT OR IGNORE INTO key VALUES (1, ?1)", [fresh.as_slice()])?;
        let key: Vec<u8> = db.query_row("SELECT bytes FROM key", [], |row| row.get(0))?;
        let key = key.try_into().map_err(|_| StoreError::Corrupt("key"))?;
        let many = db.query_row("SELECT count(*) FROM marks", [], |row| row.get(0))?;
        let kept = kept(&db)?;
        Ok(Self { file: Mutex::new(File { db, kept, many }), key })
    }

    /// What its hashes are made with.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Whether nothing was ever kept back.
    pub fn is_empty(&self) -> bool {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).kept.is_empty()
    }

    /// Values of a result that was held, each with its field. What the agent has already stays as it is. `at`: when the proposal was handed in.
    pub fn keep(&self, agent: &str, proposal: &str, marks: &[(Mark, String)], at: Timestamp) -> Result<(), StoreError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.add(
            marks.iter().map(|(mark, field)| (*mark, agent, field.as_str(), at)),
            proposal,
            "ON CONFLICT DO NOTHING",
            false,
        )?;
        if file.kept.has_room_for(marks.len()) {
            for (mark, _) in marks {
                file.kept.insert(mark);
            }
        } else {
            file.kept = kept(&file.db)?;
        }
        Ok(())
    }

    /// Values that the agent was given.
    pub fn give(&self, agent: &str, proposal: &str, marks: &[Mark], at: Timestamp) -> Result<(), StoreError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.add(marks.iter().map(|mark| (*mark, agent, "", at)), proposal, GIVEN, true)
    }

    /// Those of `marks` that somebody kept back and that this agent was never given, each where it was kept back first.
    pub fn withheld(&self, agent: &str, marks: &[Mark]) -> Result<Vec<Withheld>, StoreError> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = "SELECT proposal, field, at_ms FROM marks m WHERE mark = ?1 AND given = 0
                   AND NOT EXISTS (SELECT 1 FROM marks g WHERE g.mark = m.mark AND g.agent = ?2 AND g.given = 1) ORDER BY at_ms LIMIT 1";
        let mut find = file.db.prepare_cached(sql)?;
        let mut found = Vec::new();
        for mark in marks.iter().filter(|mark| file.kept.may_have(mark)) {
            let row = find.query_row(params![mark.as_slice(), agent], |row| {
                Ok(Withheld {
                    mark: *mark,
                    proposal: row.get(0)?,
                    field: row.get(1)?,
                    at: Timestamp::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
                })
            });
            found.extend(row.optional()?);
        }
        Ok(found)
    }
}

/// A filter of what is kept back, with room for as much again.
fn kept(db: &Connection) -> Result<Filter, StoreError> {
    let many: u32 = db.query_row("SELECT count(*) FROM marks WHERE given = 0", [], |row| row.get(0))?;
    let mut filter = Filter::for_many(2 * many as usize);
    let mut all = db.prepare("SELECT mark FROM marks WHERE given = 0")?;
    let mut rows = all.query([])?;
    while let Some(row) = rows.next()? {
        let mark: Vec<u8> = row.get(0)?;
        filter.insert(&mark.try_into().map_err(|_| StoreError::Corrupt("mark"))?);
    }
    Ok(filter)
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
        let held = Held::open(&path, [8; 32]).unwrap();
        // Kept back from two: where it was first.
        held.keep("other", "p-3", &[(one, "mail".into())], Timestamp::from_millis(0)).unwrap();
        assert_eq!(held.withheld("robin", &[one]).unwrap()[0].proposal, "p-3");
        held.give("other", "p-3", &[one], at).unwrap();
        assert_eq!(held.withheld("robin", &[one]).unwrap()[0].proposal, "p-1");
        assert_eq!(held.key(), &[7; 32]);
        let fields = |agent| {
            held.withheld(agent, &[one, two, [3; 16]]).unwrap().into_iter().map(|w| w.field).collect::<Vec<_>>()
        };
        assert_eq!(fields("robin"), ["email"]);
        // Of what robin was given nobody kept anything back, and the other one has the rest.
        assert_eq!(fields("other"), [""; 0]);
        let _ = std::fs::remove_file(&path);
    }
}
