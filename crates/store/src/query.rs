use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use artifact::{Digest, Kind, ProposalId, RunId, SessionId, TaskId, Timestamp};
use lifecycle::State;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::fold::ms;
use crate::types::{EntryRow, Moved, ProposalRow, SearchFilter, SessionRow, SignalRow};
use crate::{StoreError, fold, schema};

/// The desk's view.
pub struct Store {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

/// Where a page of proposals begins: below this creation time and id. Keyset, so that a deep page costs what the first one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Creation time of the last row seen.
    pub before: Timestamp,
    /// Its id.
    pub id: Option<ProposalId>,
}

/// Most rows of one page.
const PAGE: usize = 50;

/// The condition of the partial index `proposals_waiting`.
const OPEN: &str = "state IN ('pending', 'held', 'unknown', 'approved', 'running')";

const COLUMNS: &str =
    "id, revision, current, state, task, session, agent, person, target, kind, digest, artifact, effect, shown,
    purpose, decision, reasons, risk, created_ms, expires_ms, run, affected, reason, released, claim, signed_by";

fn lock(db: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    db.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Opens the view at `path`, making it anew if it is absent or of another layout.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connect = || -> Result<Connection, StoreError> {
            let db = Connection::open(path)?;
            db.busy_timeout(std::time::Duration::from_secs(10))?;
            // The log is the truth, so losing the tail of this file costs only folding those entries again.
            db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA temp_store = MEMORY;")?;
            db.set_prepared_statement_cache_capacity(64);
            Ok(db)
        };
        let writer = connect()?;
        let version: i64 = writer.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version != schema::VERSION {
            let tables: Vec<String> = writer
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            for table in tables {
                writer.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\"")))?;
            }
            writer.execute_batch(schema::TABLES)?;
            writer.execute_batch(&format!("PRAGMA user_version = {}", schema::VERSION))?;
        }
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(connect()?) })
    }

    /// Index of the next entry to apply.
    pub fn next(&self) -> Result<u64, StoreError> {
        let next: i64 = lock(&self.reader).query_row("SELECT next FROM position", [], |row| row.get(0))?;
        Ok(next.unsigned_abs())
    }

    /// Applies entries in order, all or none. Each is its index, canonical body and readable contents. Answers which
    /// proposals moved, and what has to happen next for each.
    pub fn apply(&self, entries: &[(u64, String, BTreeMap<String, String>)]) -> Result<Vec<Moved>, StoreError> {
        let mut db = lock(&self.writer);
        let tx = db.transaction()?;
        let mut moved = Vec::new();
        for (index, body, contents) in entries {
            moved.extend(fold::apply(&tx, *index, body, contents)?);
        }
        tx.commit()?;
        Ok(moved)
    }

    /// The newest revision, or a given one.
    pub fn proposal(&self, id: ProposalId, revision: Option<u32>) -> Result<Option<ProposalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals WHERE id = ?1 AND (revision = ?2 OR (?2 IS NULL AND current = 1)) ORDER BY revision DESC LIMIT 1"
        );
        self.one(&sql, params![id.to_string(), revision])
    }

    /// The proposal that a run belongs to.
    pub fn by_run(&self, run: RunId) -> Result<Option<ProposalRow>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} FROM proposals WHERE run = ?1"), params![run.to_string()])
    }

    /// The current revision with the same bytes for the same target in the same task that is not settled without a run:
    /// handing it in again is the same proposal.
    pub fn same(&self, task: TaskId, target: &str, digest: Digest) -> Result<Option<ProposalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals WHERE task = ?1 AND target = ?2 AND digest = ?3 AND current = 1
             AND state IN ('pending', 'approved', 'running', 'held', 'unknown', 'changes_requested') ORDER BY created_ms DESC LIMIT 1"
        );
        self.one(&sql, params![task.to_string(), target, digest.to_string()])
    }

    /// The newest statement of the same pattern that a person signed for this target and that ran, other than `than`.
    pub fn sibling(&self, target: &str, pattern: Digest, than: ProposalId) -> Result<Option<ProposalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals WHERE target = ?1 AND pattern = ?2 AND decision = 'ask' AND state IN ('held', 'released')
             AND id <> ?3 ORDER BY created_ms DESC LIMIT 1"
        );
        self.one(&sql, params![target, pattern.to_string(), than.to_string()])
    }

    /// Artifacts that an agent had handed in by a time, newest first, of the last 5,000 that anybody had: kind, text and when.
    pub fn written_by(&self, agent: &str, until: Timestamp) -> Result<Vec<(Kind, String, Timestamp)>, StoreError> {
        let sql = "SELECT kind, artifact, created_ms FROM (SELECT agent, kind, artifact, created_ms FROM proposals WHERE current = 1 AND created_ms <= ?2
                   ORDER BY created_ms DESC LIMIT 5000) WHERE agent = ?1";
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query(params![agent, ms(until)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let kind = row.get::<_, String>(0)?.parse().map_err(|_| StoreError::Corrupt("kind"))?;
            found.push((kind, row.get(1)?, at(row, "created_ms")?));
        }
        Ok(found)
    }

    /// Values that people vouched for in a task, by value. At most 1,000.
    pub fn vouched_in(&self, task: TaskId) -> Result<Vec<String>, StoreError> {
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached("SELECT value FROM vouched WHERE task = ?1 ORDER BY value LIMIT 1000")?;
        let values = statement.query_map([task.to_string()], |row| row.get(0))?;
        Ok(values.collect::<Result<_, _>>()?)
    }

    /// Proposals of a task whose result was released, the last released one first. At most `most`.
    pub fn released_in(&self, task: TaskId, most: u32) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT proposal FROM released WHERE task = ?1 ORDER BY at_ms DESC, proposal DESC LIMIT ?2";
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params![task.to_string(), most], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was released of a proposal's result, canonical JSON; empty if nothing was.
    pub fn released_of(&self, proposal: &str) -> Result<String, StoreError> {
        let sql =
            "SELECT released FROM proposals WHERE id = ?1 AND released IS NOT NULL ORDER BY revision DESC LIMIT 1";
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(sql)?;
        Ok(statement.query_row([proposal], |row| row.get(0)).optional()?.unwrap_or_default())
    }

    /// Whom mail was sent to from a target, as its last 1000 mails say.
    pub fn written_to(&self, target: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT effect FROM proposals WHERE target = ?1 AND decision = 'ask' AND state IN ('held', 'released') AND kind = 'mail' AND effect LIKE '%\"SEND\"%' ORDER BY created_ms DESC LIMIT 1000";
        let found = self.effects(sql, target)?.into_iter().filter_map(|effect| effect.request);
        let found: BTreeSet<String> = found.flat_map(|request| request.recipients).collect();
        Ok(found.into_iter().collect())
    }

    /// Names and accounts (without spaces, in capitals) that were paid from a target, as its last 1000 payments say.
    pub fn paid_from(&self, target: &str) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT effect FROM proposals WHERE target = ?1 AND decision = 'ask' AND state IN ('held', 'released', 'unknown') AND kind = 'http' AND effect LIKE '%\"payment\":%' ORDER BY created_ms DESC LIMIT 1000";
        let found = self.effects(sql, target)?.into_iter().filter_map(|effect| effect.request?.payment);
        let found: BTreeSet<_> = found.map(|payment| (payment.payee.clone(), payment.account_key())).collect();
        Ok(found.into_iter().collect())
    }

    fn effects(&self, sql: &str, target: &str) -> Result<Vec<artifact::Effect>, StoreError> {
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(sql)?;
        let texts = statement.query_map([target], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect())
    }

    /// Proposals that wait for somebody or something, newest first.
    pub fn waiting(&self, page: Option<Page>) -> Result<Vec<ProposalRow>, StoreError> {
        self.page(OPEN, page)
    }

    /// All proposals, newest first.
    pub fn newest(&self, page: Option<Page>) -> Result<Vec<ProposalRow>, StoreError> {
        self.page("current = 1", page)
    }

    /// Proposals of an agent's session, newest first.
    pub fn of_session(&self, session: SessionId) -> Result<Vec<ProposalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals WHERE session = ?1 AND current = 1 ORDER BY created_ms DESC LIMIT {PAGE}"
        );
        self.many(&sql, params![session.to_string()])
    }

    /// How many proposals of a session wait for a person.
    pub fn pending_of_session(&self, session: SessionId) -> Result<u64, StoreError> {
        // Left to itself SQLite takes the index of all proposals of the session, and reads each of them.
        let sql = "SELECT count(*) FROM proposals INDEXED BY proposals_pending WHERE session = ?1 AND current = 1 AND state = 'pending'";
        let count: i64 = lock(&self.reader).prepare_cached(sql)?.query_row([session.to_string()], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Proposals whose deadline has passed and that still wait, oldest first.
    pub fn overdue(&self, now: Timestamp) -> Result<Vec<ProposalRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals WHERE state = 'pending' AND expires_ms <= ?1 ORDER BY expires_ms LIMIT 500"
        );
        self.many(&sql, params![fold::ms(now)])
    }

    /// Proposals in a state, oldest first, at most 500. For what is left over after a restart.
    pub fn in_state(&self, state: State) -> Result<Vec<ProposalRow>, StoreError> {
        // The partial index serves only a question that holds its own condition, to the letter; left to itself SQLite takes the one of all
        // proposals, and reads each of them.
        let state = state.as_str();
        let (index, open) =
            if OPEN.contains(&format!("'{state}'")) { ("INDEXED BY proposals_waiting", OPEN) } else { ("", "1") };
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals {index} WHERE {open} AND state = '{state}' AND current = 1 ORDER BY created_ms LIMIT 500"
        );
        self.many(&sql, params![])
    }

    /// The session of the pass with this digest.
    pub fn session_by_pass(&self, pass: Digest) -> Result<Option<SessionRow>, StoreError> {
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(
            "SELECT id, agent, person, task, expires_ms, ended_ms, bound_to FROM sessions WHERE pass = ?1",
        )?;
        statement.query_row([pass.hex()], |row| Ok(session(row))).optional()?.transpose()
    }

    /// The session of that id.
    pub fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(
            "SELECT id, agent, person, task, expires_ms, ended_ms, bound_to FROM sessions WHERE id = ?1",
        )?;
        statement.query_row([id.to_string()], |row| Ok(session(row))).optional()?.transpose()
    }

    /// Entries that match, newest first, at most 50.
    pub fn search(&self, filter: &SearchFilter) -> Result<Vec<EntryRow>, StoreError> {
        let mut wheres = vec!["1 = 1".to_owned()];
        let mut values: Vec<Value> = Vec::new();
        let mut add = |clause: &str, value: Value| {
            values.push(value);
            wheres.push(clause.replace("{}", &format!("?{}", values.len())));
        };
        if let Some(before) = filter.before {
            add("idx < {}", Value::Integer(i64::try_from(before).unwrap_or(i64::MAX)));
        }
        let texts = [
            ("actor = {}", &filter.actor),
            ("task = {}", &filter.task),
            ("target = {}", &filter.target),
            ("proposal = {}", &filter.proposal),
            ("event = {}", &filter.event),
            ("idx IN (SELECT idx FROM digests WHERE digest = {})", &filter.digest),
        ];
        for (clause, value) in texts {
            if let Some(text) = value {
                add(clause, Value::Text(text.clone()));
            }
        }
        let sql =
            format!("SELECT idx, body FROM entries WHERE {} ORDER BY idx DESC LIMIT {PAGE}", wheres.join(" AND "));
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(&sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| {
            Ok(EntryRow { index: row.get::<_, i64>(0)?.unsigned_abs(), body: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Entries about a proposal, oldest first, at most 200.
    pub fn history(&self, id: ProposalId) -> Result<Vec<EntryRow>, StoreError> {
        let db = lock(&self.reader);
        let mut statement =
            db.prepare_cached("SELECT idx, body FROM entries WHERE proposal = ?1 ORDER BY idx LIMIT 200")?;
        let rows = statement.query_map([id.to_string()], |row| {
            Ok(EntryRow { index: row.get::<_, i64>(0)?.unsigned_abs(), body: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Signals before that entry, newest first, at most a page.
    pub fn signals(&self, before: Option<u64>) -> Result<Vec<SignalRow>, StoreError> {
        let before = before.map_or(i64::MAX, |index| i64::try_from(index).unwrap_or(i64::MAX));
        self.signals_where(&format!("idx >= ?1 AND idx < ?2 ORDER BY idx DESC, kind LIMIT {PAGE}"), 0, before)
    }

    /// Signals that the entries from `first` up to `end` (exclusive) raised, oldest first. As many as those entries raise.
    pub fn signals_between(&self, first: u64, end: u64) -> Result<Vec<SignalRow>, StoreError> {
        let index = |index: u64| i64::try_from(index).unwrap_or(i64::MAX);
        self.signals_where("idx >= ?1 AND idx < ?2 ORDER BY idx, kind", index(first), index(end))
    }

    fn signals_where(&self, clause: &str, first: i64, end: i64) -> Result<Vec<SignalRow>, StoreError> {
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(&format!(
            "SELECT idx, kind, at_ms, agent, person, task, target, proposal, sentence FROM signals WHERE {clause}"
        ))?;
        let rows = statement.query_map([first, end], |row| {
            Ok(SignalRow {
                index: row.get::<_, i64>(0)?.unsigned_abs(),
                kind: row.get(1)?,
                at: Timestamp::from_millis(row.get::<_, i64>(2)?.unsigned_abs()),
                agent: row.get(3)?,
                person: row.get(4)?,
                task: row.get(5)?,
                target: row.get(6)?,
                proposal: row.get(7)?,
                sentence: row.get(8)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rows of each relation of a target that an agent was given, over all its tasks.
    pub fn given(&self, agent: &str, target: &str) -> Result<BTreeMap<String, u64>, StoreError> {
        let db = lock(&self.reader);
        let sql = "SELECT relation, rows FROM given WHERE agent = ?1 AND target = ?2 AND relation <> ''";
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![agent, target], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A digest over every row of every table, to compare a rebuilt view with a grown one.
    pub fn fingerprint(&self) -> Result<Digest, StoreError> {
        let db = lock(&self.reader);
        let mut hasher = artifact::Hasher::new();
        for (table, order) in [
            ("proposals", "id, revision"),
            ("sessions", "id"),
            ("entries", "idx"),
            ("signals", "idx, kind"),
            ("hours", "agent, hour"),
            ("worked", "agent, target"),
            ("touched", "agent, target, object"),
            ("given", "agent, target, relation"),
            ("released", "task, at_ms, proposal"),
            ("vouched", "task, value"),
            ("digests", "digest, idx"),
            ("position", "one"),
        ] {
            let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    let value = format!("{:?}", row.get::<_, Value>(column)?);
                    hasher.update(&(value.len() as u64).to_be_bytes());
                    hasher.update(value.as_bytes());
                }
            }
        }
        Ok(hasher.finish())
    }

    fn page(&self, wheres: &str, page: Option<Page>) -> Result<Vec<ProposalRow>, StoreError> {
        let (before, id) = page.map_or((i64::MAX, String::new()), |p| {
            (fold::ms(p.before), p.id.map(|i| i.to_string()).unwrap_or_default())
        });
        let sql = format!(
            "SELECT {COLUMNS} FROM proposals WHERE {wheres} AND (created_ms, id) < (?1, ?2) ORDER BY created_ms DESC, id DESC LIMIT {PAGE}"
        );
        self.many(&sql, params![before, id])
    }

    fn one(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Option<ProposalRow>, StoreError> {
        lock(&self.reader).prepare_cached(sql)?.query_row(params, |row| Ok(proposal(row))).optional()?.transpose()
    }

    fn many(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<ProposalRow>, StoreError> {
        let db = lock(&self.reader);
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params, |row| Ok(proposal(row)))?;
        rows.map(|row| row.map_err(StoreError::from).and_then(|r| r)).collect()
    }
}

fn read<T: std::str::FromStr>(row: &Row<'_>, column: &str, what: &'static str) -> Result<T, StoreError> {
    row.get::<_, String>(column)?.parse().map_err(|_| StoreError::Corrupt(what))
}

fn at(row: &Row<'_>, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(row.get::<_, i64>(column)?.unsigned_abs()))
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(|_| StoreError::Corrupt(what))
}

fn proposal(row: &Row<'_>) -> Result<ProposalRow, StoreError> {
    let run: Option<String> = row.get("run")?;
    Ok(ProposalRow {
        id: read(row, "id", "proposal id")?,
        revision: row.get("revision")?,
        current: row.get("current")?,
        state: State::from_name(&row.get::<_, String>("state")?).ok_or(StoreError::Corrupt("state"))?,
        task: read(row, "task", "task id")?,
        session: read(row, "session", "session id")?,
        agent: row.get("agent")?,
        person: row.get("person")?,
        target: row.get("target")?,
        kind: read(row, "kind", "kind")?,
        digest: read(row, "digest", "digest")?,
        artifact: row.get("artifact")?,
        effect: json(row, "effect", "effect")?,
        shown: json(row, "shown", "shown facts")?,
        purpose: row.get("purpose")?,
        decision: row.get("decision")?,
        reasons: json(row, "reasons", "reasons")?,
        risk: row.get("risk")?,
        created_at: at(row, "created_ms")?,
        expires_at: at(row, "expires_ms")?,
        run: run.map(|r| r.parse().map_err(|_| StoreError::Corrupt("run id"))).transpose()?,
        affected: row.get::<_, Option<i64>>("affected")?.map(i64::unsigned_abs),
        reason: row.get("reason")?,
        released: row.get("released")?,
        claim: row.get("claim")?,
        signed_by: row.get("signed_by")?,
    })
}

fn session(row: &Row<'_>) -> Result<SessionRow, StoreError> {
    let ended: Option<i64> = row.get("ended_ms")?;
    Ok(SessionRow {
        id: read(row, "id", "session id")?,
        agent: row.get("agent")?,
        person: row.get("person")?,
        task: read(row, "task", "task id")?,
        expires_at: at(row, "expires_ms")?,
        ended_at: ended.map(|ms| Timestamp::from_millis(ms.unsigned_abs())),
        bound_to: row.get("bound_to")?,
    })
}
