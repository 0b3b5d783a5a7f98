use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use artifact::claim::Signed;
use artifact::{Digest, Timestamp};
use audit::tree::Frontier;
use audit::{Checkpoint, Entry, Log, Nodes, Opening, VerifierKey};
use aws_lc_rs::signature::Ed25519KeyPair;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::sealing::Sealing;
use crate::writer::{Draft, Job, Progress, Queued, Writer, int, sign_head, verifier, write_job};
use crate::{LedgerError, schema};

/// Jobs that may wait for the writer.
const QUEUE: usize = 1024;
/// Connections for reading.
const READERS: usize = 4;
/// Most entries answered at once.
const READ_MAX: u32 = 1024;
/// How long a lock that is about to be given up is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(2);
/// Most bytes of entries and contents answered at once.
const READ_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The guard's keys that the ledger works with.
pub struct Keys {
    /// Signs the log's heads.
    pub log: Ed25519KeyPair,
    /// Seals contents.
    pub seal: [u8; 32],
}

/// Salt and bytes.
type Unsealed = ([u8; 32], Vec<u8>);

/// The open ledger. Shared by reference between threads.
pub struct Ledger {
    jobs: SyncSender<Queued>,
    progress: Arc<Progress>,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicU64,
    sealing: Arc<Sealing>,
    verifier: VerifierKey,
    _lock: File,
}

/// An entry with the contents that its reader may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Index.
    pub index: u64,
    /// Canonical bytes.
    pub body: Vec<u8>,
    /// Contents by name; erased and held ones are left out.
    pub contents: Vec<(String, Vec<u8>)>,
}

/// A grant as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGrant {
    /// The claim.
    pub claim: Signed,
    /// What travels beside it.
    pub attachment: Option<String>,
    /// When it was logged.
    pub at: Timestamp,
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, LedgerError> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(Duration::from_secs(10))?;
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )?;
    // A checkpoint costs two syncs of its own; 16 MiB of log between them.
    db.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn take_lock(dir: &Path) -> Result<File, LedgerError> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(dir.join("ledger.lock"))?;
    // A guard that was killed while it started a child leaves the lock to that child until the child becomes another program.
    let until = Instant::now() + LOCK_WAIT;
    while file.try_lock().is_err() {
        if Instant::now() > until {
            return Err(LedgerError::Locked);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(file)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Makes a new ledger in `dir` with its first entry. Refuses if there is one.
    pub fn create(dir: &Path, origin: &str, keys: Keys, inception: Draft) -> Result<Self, LedgerError> {
        let path = dir.join("ledger.db");
        if path.exists() {
            return Err(LedgerError::Exists);
        }
        {
            let _lock = take_lock(dir)?;
            // Made beside and renamed, so that a crash in here leaves no half of a ledger under the real name.
            let beside = dir.join("ledger.new");
            for suffix in ["", "-wal", "-shm"] {
                let mut name = beside.as_os_str().to_owned();
                name.push(suffix);
                let _ = std::fs::remove_file(name);
            }
            let mut db = connect(&beside, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
            std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))?;
            let tx = db.transaction()?;
            tx.execute_batch(schema::TABLES)?;
            tx.execute_batch(schema::BUDGETS)?;
            let (mut frontier, mut last_at) = (Frontier::new(), Timestamp::from_millis(0));
            let sealing = Sealing::new(&keys.seal)?;
            write_job(&tx, &Job { drafts: vec![inception], ..Job::default() }, &mut frontier, &mut last_at, &sealing)?;
            let note = sign_head(&frontier, origin, &keys.log)?;
            tx.execute(
                "INSERT INTO head VALUES (1, ?1, ?2, ?3)",
                params![int(frontier.size()), int(last_at.as_millis()), note],
            )?;
            tx.commit()?;
            db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
            drop(db);
            std::fs::rename(&beside, &path)?;
            File::open(dir)?.sync_all()?;
        }
        Self::open(dir, origin, keys)
    }

    /// Opens an existing ledger. The stored tree must have the head that this guard signed; nothing else is read for that
    /// but the tree's right edge, so the time does not depend on the number of entries.
    pub fn open(dir: &Path, origin: &str, keys: Keys) -> Result<Self, LedgerError> {
        let path = dir.join("ledger.db");
        if !path.exists() {
            return Err(LedgerError::Missing);
        }
        let held = take_lock(dir)?;
        let db = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.execute_batch(schema::BUDGETS)?;
        let (size, last_ms, note): (i64, i64, String) =
            db.query_row("SELECT size, last_ms, note FROM head", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
        let verifier = verifier(origin, &keys.log)?;
        let head = Checkpoint::verify(note.as_bytes(), &verifier).map_err(|_| LedgerError::HeadDoesNotFit)?;
        let frontier = Frontier::from_nodes(size.unsigned_abs(), |level, index| node(&db, level, index).ok().flatten());
        let frontier = frontier.map_err(|_| LedgerError::HeadDoesNotFit)?;
        let last: Option<i64> = db.query_row("SELECT max(idx) FROM entries", [], |row| row.get(0))?;
        if head.size != frontier.size() || head.root != frontier.root() || last.map(|i| i + 1) != Some(size) {
            return Err(LedgerError::HeadDoesNotFit);
        }
        let sealing = Arc::new(Sealing::new(&keys.seal)?);
        let progress = Arc::new(Progress {
            size: Mutex::new(frontier.size()),
            grown: Condvar::new(),
            poisoned: AtomicBool::new(false),
            commits: AtomicU64::new(0),
        });
        let (jobs, queue) = sync_channel(QUEUE);
        let writer = Writer {
            db,
            frontier,
            last_at: Timestamp::from_millis(last_ms.unsigned_abs()),
            sealing: Arc::clone(&sealing),
            key: keys.log,
            origin: origin.to_owned(),
            progress: Arc::clone(&progress),
        };
        std::thread::Builder::new().name("ledger".into()).spawn(move || writer.run(&queue))?;
        let readers: Result<Vec<_>, _> =
            (0..READERS).map(|_| connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map(Mutex::new)).collect();
        Ok(Self { jobs, progress, readers: readers?, next_reader: AtomicU64::new(0), sealing, verifier, _lock: held })
    }

    /// Does a job and returns the index of its first entry when it is durable.
    pub fn append(&self, job: Job) -> Result<u64, LedgerError> {
        let (reply, answer) = sync_channel(1);
        match self.jobs.try_send(Queued { job, reply }) {
            Ok(()) => answer.recv().map_err(|_| LedgerError::Poisoned)?,
            Err(TrySendError::Full(_)) => Err(LedgerError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(LedgerError::Poisoned),
        }
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "only the remainder counts")]
        lock(&self.readers[turn as usize % self.readers.len()])
    }

    /// Entries in the log.
    pub fn size(&self) -> u64 {
        *lock(&self.progress.size)
    }

    /// Commits since it was opened; one sync each.
    pub fn commits(&self) -> u64 {
        self.progress.commits.load(Ordering::Relaxed)
    }

    /// Waits until there is an entry at `index`, or `time` is over; answers the size.
    pub fn wait(&self, index: u64, time: Duration) -> u64 {
        let until = Instant::now() + time;
        let mut size = lock(&self.progress.size);
        while *size <= index {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            size = self.progress.grown.wait_timeout(size, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *size
    }

    /// The log's verifier key.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The newest checkpoint, a signed note.
    pub fn checkpoint(&self) -> Result<String, LedgerError> {
        Ok(self.reader().query_row("SELECT note FROM head", [], |row| row.get(0))?)
    }

    /// Entries from `from` on with the contents that the desk may read.
    pub fn read(&self, from: u64, limit: u32) -> Result<Vec<Logged>, LedgerError> {
        let db = self.reader();
        let mut statement = db.prepare_cached("SELECT idx, body FROM entries WHERE idx >= ?1 ORDER BY idx LIMIT ?2")?;
        let mut rows = statement.query(params![int(from), limit.min(READ_MAX)])?;
        let (mut out, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let (index, body): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let entry = Entry::parse(&body)?;
            bytes += body.len();
            let mut contents = Vec::with_capacity(entry.contents.len());
            for named in &entry.contents {
                if let Some((_, content)) = self.sealed(&db, &named.commitment, false)? {
                    bytes += content.len();
                    contents.push((named.name.clone(), content));
                }
            }
            if bytes > READ_BYTES_MAX && !out.is_empty() {
                break;
            }
            out.push(Logged { index: index.unsigned_abs(), body, contents });
        }
        Ok(out)
    }

    fn sealed(&self, db: &Connection, commitment: &Digest, held: bool) -> Result<Option<Unsealed>, LedgerError> {
        let sql = "SELECT held, sealed FROM contents WHERE commitment = ?1 AND held <= ?2";
        let found: Option<(bool, Vec<u8>)> = db
            .prepare_cached(sql)?
            .query_row(params![commitment.as_bytes(), held], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        found.map(|(held, sealed)| self.sealing.open(commitment, held, &sealed)).transpose()
    }

    /// The content of that name that `entry` commits to, held ones too; none if it was erased.
    pub fn content_of(&self, entry: &Entry, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let Some(named) = entry.contents.iter().find(|c| c.name == name) else { return Ok(None) };
        Ok(self.sealed(&self.reader(), &named.commitment, true)?.map(|(_, bytes)| bytes))
    }

    /// Entries about a proposal, oldest first, at most 1,024.
    pub fn of_proposal(&self, proposal: &str) -> Result<Vec<(u64, Entry)>, LedgerError> {
        self.entries("SELECT idx, body FROM entries WHERE proposal = ?1 ORDER BY idx LIMIT 1024", proposal)
    }

    /// Entries about a run, oldest first.
    pub fn of_run(&self, run: &str) -> Result<Vec<(u64, Entry)>, LedgerError> {
        self.entries("SELECT idx, body FROM entries WHERE run = ?1 ORDER BY idx LIMIT 1024", run)
    }

    /// `started` entries of runs that never settled.
    pub fn unsettled(&self) -> Result<Vec<(u64, Entry)>, LedgerError> {
        self.entries(
            "SELECT idx, body FROM entries WHERE idx IN (SELECT idx FROM open_runs) AND event = ?1 ORDER BY idx",
            "started",
        )
    }

    /// `stopped` and `resumed` entries, oldest first.
    pub fn switches(&self) -> Result<Vec<(u64, Entry)>, LedgerError> {
        self.entries("SELECT idx, body FROM entries WHERE event IN ('stopped', 'resumed') AND ?1 = '' ORDER BY idx", "")
    }

    /// Rows returned so far under a task's scope without a signature of their own.
    pub fn task_use(&self, task: &str) -> Result<u64, LedgerError> {
        let rows: Option<i64> = self
            .reader()
            .query_row("SELECT rows FROM task_use WHERE task = ?1", [task], |row| row.get(0))
            .optional()?;
        Ok(rows.unwrap_or(0).unsigned_abs())
    }

    /// What a counter stands at.
    pub fn budget(&self, key: &str) -> Result<u64, LedgerError> {
        let units: Option<i64> =
            self.reader().query_row("SELECT units FROM budgets WHERE key = ?1", [key], |row| row.get(0)).optional()?;
        Ok(units.unwrap_or(0).unsigned_abs())
    }

    /// This log as the desk and auditors may read it: held results do not open.
    pub fn without_held(&self) -> WithoutHeld<'_> {
        WithoutHeld(self)
    }

    fn entries(&self, sql: &str, key: &str) -> Result<Vec<(u64, Entry)>, LedgerError> {
        let db = self.reader();
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map([key], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (index, body) = row?;
            Ok((index.unsigned_abs(), Entry::parse(&body)?))
        })
        .collect()
    }

    /// Every grant, in order.
    pub fn grants(&self) -> Result<Vec<StoredGrant>, LedgerError> {
        let db = self.reader();
        let mut statement = db.prepare("SELECT claim, attachment, at_ms FROM grants ORDER BY idx")?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get::<_, i64>(2)?)))?;
        rows.map(|row| {
            let (claim, attachment, at) = row?;
            let claim = serde_json::from_str(&claim).map_err(|_| LedgerError::Content)?;
            Ok(StoredGrant { claim, attachment, at: Timestamp::from_millis(at.unsigned_abs()) })
        })
        .collect()
    }

    /// Copies the log into `dir`, so that it verifies offline. Held results stay out.
    pub fn export(&self, dir: &Path) -> Result<u64, LedgerError> {
        let note = self.checkpoint()?;
        Ok(audit::dir::export(dir, &note, &self.without_held(), true)?.entries)
    }
}

fn node(db: &Connection, level: u8, index: u64) -> Result<Option<Digest>, LedgerError> {
    let mut statement = db.prepare_cached("SELECT hash FROM nodes WHERE level = ?1 AND idx = ?2")?;
    let hash: Option<[u8; 32]> = statement.query_row(params![level, int(index)], |row| row.get(0)).optional()?;
    Ok(hash.map(Digest::from_bytes))
}

impl Nodes for Ledger {
    type Error = LedgerError;

    fn node(&self, level: u8, index: u64) -> Result<Digest, LedgerError> {
        node(&self.reader(), level, index)?.ok_or_else(|| audit::Error::NodeMissing { level, index }.into())
    }
}

/// See [`Ledger::without_held`].
pub struct WithoutHeld<'a>(&'a Ledger);

impl Nodes for WithoutHeld<'_> {
    type Error = LedgerError;

    fn node(&self, level: u8, index: u64) -> Result<Digest, LedgerError> {
        self.0.node(level, index)
    }
}

impl Log for WithoutHeld<'_> {
    fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        Ok(self
            .0
            .reader()
            .prepare_cached("SELECT body FROM entries WHERE idx = ?1")?
            .query_row([int(index)], |row| row.get(0))?)
    }

    fn opening(&self, commitment: &Digest) -> Result<Option<Opening>, LedgerError> {
        let found = self.0.sealed(&self.0.reader(), commitment, false)?;
        Ok(found.map(|(salt, bytes)| Opening::new(salt, bytes)).transpose()?)
    }
}
