//! The one writer. Jobs that arrive while a batch is being synced form the next batch, so under load many share one sync.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use artifact::Timestamp;
use artifact::claim::Signed;
use audit::contents::MAX_CONTENT_BYTES;
use audit::entry::{Commitment, Entry, EventKind, commit};
use audit::tree::{Frontier, leaf_hash};
use audit::{Checkpoint, note};
use aws_lc_rs::rand;
use aws_lc_rs::signature::Ed25519KeyPair;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior, params};

use crate::LedgerError;
use crate::sealing::Sealing;

/// Most entries in one transaction.
const BATCH: usize = 256;

/// Who may read a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The desk may read it.
    Desk,
    /// A result that no agent may see yet; only the guard reads it.
    Held,
}

/// A content to be committed to.
#[derive(Clone, Debug)]
pub struct NewContent {
    /// Name within the entry.
    pub name: String,
    /// Who may read it.
    pub class: Class,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An entry to be appended. The ledger fills in commitments, and moves its time forward if the last entry's is later.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The entry.
    pub entry: Entry,
    /// Contents it commits to.
    pub contents: Vec<NewContent>,
}

/// A signed grant to be kept, for the guard to replay when it starts.
#[derive(Clone, Debug)]
pub struct GrantRow {
    /// The claim.
    pub claim: Signed,
    /// What travels beside it.
    pub attachment: Option<String>,
}

/// One thing to do, all or nothing, in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Entries, in order.
    pub drafts: Vec<Draft>,
    /// A nonce that must not have been spent.
    pub spend: Option<String>,
    /// A grant, stored at the index of the first entry.
    pub grant: Option<GrantRow>,
    /// What it adds to counters, none of which may go beyond its most.
    pub budgets: Vec<Budget>,
}

/// An addition to a counter. Counters only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The counter's name.
    pub key: String,
    /// Units added.
    pub add: u64,
    /// Most that it may stand at afterwards.
    pub most: u64,
}

pub(crate) struct Queued {
    pub(crate) job: Job,
    pub(crate) reply: SyncSender<Result<u64, LedgerError>>,
}

/// What the writer tells everybody.
pub(crate) struct Progress {
    pub(crate) size: Mutex<u64>,
    pub(crate) grown: Condvar,
    pub(crate) poisoned: AtomicBool,
    pub(crate) commits: AtomicU64,
}

pub(crate) struct Writer {
    pub(crate) db: Connection,
    pub(crate) frontier: Frontier,
    pub(crate) last_at: Timestamp,
    pub(crate) sealing: Arc<Sealing>,
    pub(crate) key: Ed25519KeyPair,
    pub(crate) origin: String,
    pub(crate) progress: Arc<Progress>,
}

impl Writer {
    pub(crate) fn run(mut self, queue: &Receiver<Queued>) {
        while let Ok(first) = queue.recv() {
            let mut batch = vec![first];
            let mut entries = batch[0].job.drafts.len();
            while entries < BATCH {
                let Ok(next) = queue.try_recv() else { break };
                entries += next.job.drafts.len();
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, batch: Vec<Queued>) {
        if self.progress.poisoned.load(Ordering::Acquire) {
            return refuse(batch, &LedgerError::Poisoned);
        }
        let (before, last_before) = (self.frontier.clone(), self.last_at);
        match self.write(&batch) {
            Ok(results) => {
                self.progress.commits.fetch_add(1, Ordering::Relaxed);
                *self.progress.size.lock().unwrap_or_else(PoisonError::into_inner) = self.frontier.size();
                self.progress.grown.notify_all();
                for (queued, result) in batch.into_iter().zip(results) {
                    // Whoever went away meanwhile finds it in the log.
                    let _ = queued.reply.send(result);
                }
            }
            Err(Failed { error, certain }) => {
                (self.frontier, self.last_at) = (before, last_before);
                if !certain {
                    // The commit may have reached the disk. Only the file knows; it is read again when the guard starts.
                    self.progress.poisoned.store(true, Ordering::Release);
                    self.progress.grown.notify_all();
                    // Not the cause: it would read as if nothing had been written.
                    return refuse(batch, &LedgerError::Poisoned);
                }
                refuse(batch, &error);
            }
        }
    }

    /// Writes all jobs in one transaction. A job whose nonce is spent fails alone.
    fn write(&mut self, batch: &[Queued]) -> Result<Vec<Result<u64, LedgerError>>, Failed> {
        let before = self.frontier.size();
        let mut tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut results = Vec::with_capacity(batch.len());
        for queued in batch {
            let point = tx.savepoint()?;
            let (mut frontier, mut last_at) = (self.frontier.clone(), self.last_at);
            match write_job(&point, &queued.job, &mut frontier, &mut last_at, &self.sealing) {
                Ok(first) => {
                    point.commit()?;
                    (self.frontier, self.last_at) = (frontier, last_at);
                    results.push(Ok(first));
                }
                // Dropping the savepoint takes back what this job wrote.
                Err(
                    error @ (LedgerError::AlreadySpent
                    | LedgerError::OverBudget(_)
                    | LedgerError::Audit(_)
                    | LedgerError::Content),
                ) => {
                    results.push(Err(error));
                }
                Err(error) => return Err(Failed { error, certain: true }),
            }
        }
        let head = Checkpoint { origin: self.origin.clone(), size: self.frontier.size(), root: self.frontier.root() };
        let note = head.sign(&self.key, &self.origin).map_err(LedgerError::from)?;
        // INVARIANT (I7): the head moves only from the head this writer knows.
        let moved = tx.execute(
            "UPDATE head SET size = ?1, last_ms = ?2, note = ?3 WHERE size = ?4",
            params![int(head.size), int(self.last_at.as_millis()), note, int(before)],
        )?;
        if moved != 1 {
            return Err(Failed { error: LedgerError::Poisoned, certain: false });
        }
        tx.commit().map_err(|error| Failed { error: error.into(), certain: false })?;
        Ok(results)
    }
}

struct Failed {
    error: LedgerError,
    /// True: nothing was written, for sure.
    certain: bool,
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self { error: error.into(), certain: true }
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        Self { error, certain: true }
    }
}

fn refuse(batch: Vec<Queued>, error: &LedgerError) {
    for queued in batch {
        let _ = queued.reply.send(Err(error.clone()));
    }
}

pub(crate) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What would make a log that no auditor accepts, or a nonce spent without a trace.
fn check_job(job: &Job) -> Result<(), LedgerError> {
    let rule = |text| Err(audit::Error::Rule(text).into());
    if job.drafts.is_empty() {
        return rule("a job has no entry");
    }
    let mut starts = 0;
    for draft in &job.drafts {
        let entry = &draft.entry;
        if entry.event == EventKind::Started {
            starts += 1;
            // INVARIANT (I3): the nonce spent is the one that the log says was spent.
            if job.spend.is_none() || entry.facts.get("nonce") != job.spend.as_ref() || entry.run.is_none() {
                return rule("a started run is named and spends the nonce it names");
            }
        }
        if draft.contents.iter().any(|content| content.bytes.len() > MAX_CONTENT_BYTES) {
            return rule("a content is larger than 16 MiB");
        }
    }
    // None if the nonce is that of a grant or another order.
    if starts > 1 {
        return rule("a spent nonce starts one run");
    }
    Ok(())
}

pub(crate) fn write_job(
    db: &Connection,
    job: &Job,
    frontier: &mut Frontier,
    last_at: &mut Timestamp,
    sealing: &Sealing,
) -> Result<u64, LedgerError> {
    let first = frontier.size();
    check_job(job)?;
    for draft in &job.drafts {
        let mut entry = draft.entry.clone();
        entry.at = entry.at.max(*last_at);
        *last_at = entry.at;
        entry.contents.clear();
        for content in &draft.contents {
            let mut salt = [0; 32];
            rand::fill(&mut salt).map_err(|_| LedgerError::Content)?;
            let commitment = commit(&salt, &content.bytes);
            let held = content.class == Class::Held;
            let sealed = sealing.seal(&commitment, held, &salt, &content.bytes)?;
            let row = params![commitment.as_bytes(), content.name, held, sealed];
            db.prepare_cached("INSERT INTO contents VALUES (?1, ?2, ?3, ?4)")?.execute(row)?;
            entry.contents.push(Commitment { name: content.name.clone(), commitment });
        }
        let body = entry.to_bytes()?;
        let index = int(frontier.size());
        let event = serde_json::to_value(entry.event).ok();
        let event = event.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
        db.prepare_cached("INSERT INTO entries VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
            index,
            body,
            event,
            entry.proposal,
            entry.run
        ])?;
        keep_count(db, &entry, index)?;
        let mut nodes = db.prepare_cached("INSERT INTO nodes VALUES (?1, ?2, ?3)")?;
        for node in frontier.append(leaf_hash(&body)) {
            nodes.execute(params![node.level, int(node.index), node.hash.as_bytes()])?;
        }
    }
    if let Some(nonce) = &job.spend {
        let spent = db.prepare_cached("INSERT INTO spent VALUES (?1, ?2)")?.execute(params![nonce, int(first)]);
        match spent {
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
                return Err(LedgerError::AlreadySpent);
            }
            other => other?,
        };
    }
    for Budget { key, add, most } in &job.budgets {
        let stands: Option<i64> = db
            .prepare_cached("SELECT units FROM budgets WHERE key = ?1")?
            .query_row([key], |row| row.get(0))
            .optional()?;
        // What cannot be counted any more is used up.
        let then =
            stands.unwrap_or(0).unsigned_abs().checked_add(*add).filter(|then| then <= most && int(*then) < i64::MAX);
        let then = then.ok_or_else(|| LedgerError::OverBudget(key.clone()))?;
        db.prepare_cached(
            "INSERT INTO budgets VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET units = excluded.units",
        )?
        .execute(params![key, int(then)])?;
    }
    if let Some(grant) = &job.grant {
        let claim = serde_json::to_string(&grant.claim).map_err(|_| LedgerError::Content)?;
        db.execute(
            "INSERT INTO grants VALUES (?1, ?2, ?3, ?4)",
            params![int(first), claim, grant.attachment, int(last_at.as_millis())],
        )?;
    }
    Ok(first)
}

/// What a start must know without reading the whole log: runs that have not ended, and rows used under each task's scope.
fn keep_count(db: &Connection, entry: &Entry, index: i64) -> Result<(), LedgerError> {
    match entry.event {
        EventKind::Started => {
            let sql = "INSERT OR IGNORE INTO open_runs VALUES (?1, ?2)";
            let added = db.prepare_cached(sql)?.execute(params![entry.run, index])?;
            if added != 1 {
                return Err(audit::Error::Rule("the run was started before").into());
            }
        }
        EventKind::Settled => {
            db.prepare_cached("DELETE FROM open_runs WHERE run = ?1")?.execute(params![entry.run])?;
            let returned = entry.facts.get("returned").and_then(|n| n.parse::<i64>().ok());
            if let Some(rows) = returned.filter(|_| entry.facts.get("release").is_some_and(|r| r == "task")) {
                let sql =
                    "INSERT INTO task_use VALUES (?1, ?2) ON CONFLICT (task) DO UPDATE SET rows = rows + excluded.rows";
                db.prepare_cached(sql)?.execute(params![entry.task, rows])?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The signed head of an empty or given tree, for creation.
pub(crate) fn sign_head(frontier: &Frontier, origin: &str, key: &Ed25519KeyPair) -> Result<String, LedgerError> {
    let head = Checkpoint { origin: origin.to_owned(), size: frontier.size(), root: frontier.root() };
    Ok(head.sign(key, origin)?)
}

/// The verifier key of the log.
pub(crate) fn verifier(origin: &str, key: &Ed25519KeyPair) -> Result<note::VerifierKey, LedgerError> {
    Ok(note::VerifierKey::of(origin, key)?)
}
