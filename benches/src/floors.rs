//! What this machine does at best, measured in the same run. Goals are multiples of these.

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::Connection;

use crate::measure::{Times, per_call, timed};
use crate::table::{Goal, Table, rate, time};

/// Bytes of one appended entry, as the product's entries are.
const ENTRY: usize = 304;
/// How long a disk floor is watched.
const WATCH: Duration = Duration::from_millis(600);

/// A growing file whose every entry is made durable.
pub(crate) struct RawLog(File);

impl RawLog {
    /// A new one.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Ok(Self(OpenOptions::new().create(true).append(true).open(path)?))
    }

    /// Appends that many entries under one sync.
    pub(crate) fn append(&mut self, entries: usize) -> Result<()> {
        self.0.write_all(&vec![7; ENTRY * entries])?;
        self.0.sync_data()?;
        Ok(())
    }
}

/// SQLite as the ledger uses it, with one row in each transaction and nothing else.
pub(crate) struct OneRow(Connection);

impl OneRow {
    /// A new database.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let db = Connection::open(path)?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (b BLOB)",
        )?;
        Ok(Self(db))
    }

    /// One durable row.
    pub(crate) fn commit(&self) -> Result<()> {
        self.0.prepare_cached("INSERT INTO t VALUES (?1)")?.execute([[7_u8; ENTRY].as_slice()])?;
        Ok(())
    }

    /// Times of single commits.
    pub(crate) fn watch(&self, duration: Duration) -> Result<Times> {
        timed(duration, || self.commit())
    }
}

/// What an entry made durable takes in this folder, in the middle.
pub(crate) fn sync_p50(folder: &Path) -> Result<f64> {
    let mut raw = RawLog::create(&folder.join("raw.log"))?;
    Ok(timed(WATCH, || raw.append(1))?.percentile(0.5))
}

/// Measures them all. Rows about the disk take their own floor again, in turns: it may be another one a minute later.
pub(crate) fn rows(folder: &Path, table: &mut Table) -> Result<()> {
    let mut raw = RawLog::create(&folder.join("raw.log"))?;
    let mut syncs = timed(WATCH, || raw.append(1))?;
    let sync = syncs.percentile(0.5);
    let mut commits = OneRow::create(&folder.join("one-row.db"))?.watch(WATCH)?;
    let long = vec![b'x'; 1 << 20];
    let hash_byte = per_call(|| digest(&SHA256, black_box(&long))) / long.len() as f64;
    let search_byte = per_call(|| memchr::memchr(b'@', black_box(&long))) / long.len() as f64;
    let mut floor = |name: &str, ours: String, anchor: String| table.counted(name, ours, anchor, 1.0, Goal::None);
    floor("floor: write + fdatasync, p50", time(sync), format!("p99 {}", time(syncs.percentile(0.99))));
    floor(
        "floor: SQLite one-row commit, p50",
        time(commits.percentile(0.5)),
        format!("p99 {}", time(commits.percentile(0.99))),
    );
    floor("floor: sha256, 1 MiB", format!("{:.0} MB/s", 1e3 / hash_byte), String::new());
    floor("floor: memchr, 1 MiB", format!("{:.0} MB/s", 1e3 / search_byte), String::new());
    floor("floor: sync rate, one after another", rate(1e9 / sync), String::new());
    Ok(())
}
