//! What costs more as the log grows (G10), and how large it is on disk (G11).

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use audit::{EventKind, inclusion_proof};
use ledger::{Draft, Job, Ledger};

use crate::log::{ORIGIN, create, entry, job, keys};
use crate::measure::{Compared, median, rounds, timed};
use crate::table::{Goal, Table, time};

/// Entries of one job while filling; one transaction each.
const BATCH: u64 = 4_096;
/// The two sizes compared.
const SMALL: u64 = 10_000;
const LARGE: u64 = 1_000_000;

/// Appends that many entries, through the ledger's own append.
pub(crate) fn fill(ledger: &Ledger, entries: u64) -> Result<()> {
    let draft = Draft { entry: entry(EventKind::Viewed), contents: Vec::new() };
    let mut left = entries;
    while left > 0 {
        let take = left.min(BATCH);
        let drafts = vec![draft.clone(); usize::try_from(take)?];
        ledger.append(Job { drafts, ..Job::default() })?;
        left -= take;
    }
    Ok(())
}

/// Bytes of the log's files.
pub(crate) fn bytes(folder: &Path) -> Result<u64> {
    let mut total = 0;
    for item in std::fs::read_dir(folder)? {
        total += item?.metadata()?.len();
    }
    Ok(total)
}

/// A log of some size, and how long it took to open it.
struct Sized {
    ledger: Ledger,
    open: f64,
}

impl Sized {
    fn make(folder: &Path, entries: u64) -> Result<(Self, Duration)> {
        let start = Instant::now();
        let ledger = create(folder)?;
        fill(&ledger, entries)?;
        let took = start.elapsed();
        drop(ledger);
        let mut times = Vec::new();
        let mut opened = None;
        for _ in 0..5 {
            drop(opened.take());
            let start = Instant::now();
            opened = Some(reopen(folder)?);
            times.push(start.elapsed().as_nanos() as f64);
        }
        Ok((Self { ledger: opened.context("the log was not opened")?, open: median(&mut times) }, took))
    }

    /// Median of proofs for entries all over the log.
    fn proof(&self) -> Result<f64> {
        let size = self.ledger.size();
        let log = self.ledger.without_held();
        let mut at = 0;
        let mut times = timed(Duration::from_millis(300), || {
            // A large odd step visits the whole log without a pattern that fits a page.
            at = (at + 614_657) % size;
            inclusion_proof(at, size, &log).map(drop).map_err(Into::into)
        })?;
        Ok(times.percentile(0.5))
    }

    fn append(&self) -> Result<f64> {
        let mut times = timed(Duration::from_millis(400), || self.ledger.append(job()).map(drop).map_err(Into::into))?;
        Ok(times.percentile(0.5))
    }
}

/// The writer of a ledger ends after its last handle, so a lock may outlive the handle for a moment.
fn reopen(folder: &Path) -> Result<Ledger> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match Ledger::open(folder, ORIGIN, keys()?) {
            Err(ledger::LedgerError::Locked) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            other => return Ok(other?),
        }
    }
}

pub(crate) fn rows(folder: &Path, table: &mut Table) -> Result<()> {
    let (small, _) = Sized::make(&folder.join("small"), SMALL)?;
    let (large, took) = Sized::make(&folder.join("large"), LARGE)?;
    let made = format!("1e6 entries, loaded in {:.0} s", took.as_secs_f64());
    let grown = |name: &str| format!("G10 {name} at 1e6 entries: at 1e4");

    let appended = rounds(5, || large.append(), || small.append())?;
    table.compared(&grown("append, 1 caller"), appended, time, Goal::AtMost(2.0));
    let proof = rounds(5, || large.proof(), || small.proof())?;
    table.compared(&grown("inclusion proof"), proof, time, Goal::AtMost(2.0));
    let goal = Goal::AtMost(1.0);
    table.counted("G10 inclusion proof at 1e6: 25 us", time(proof.ours), time(25e3), proof.ours / 25e3, goal);
    let ratio = large.open / small.open;
    let open = Compared { ours: large.open, anchor: small.open, ratio, low: ratio, high: ratio, noisy: false };
    table.compared(&grown(&format!("start ({made})")), open, time, Goal::AtMost(2.0));

    let (entries, size) = (large.ledger.size(), bytes(&folder.join("large"))?);
    let last = large.ledger.read(entries / 2, 1)?.first().map_or(0, |logged| logged.body.len());
    let extra = size as f64 / entries as f64 - last as f64;
    table.counted(
        "G11 bytes on disk an entry beyond its body, no contents: 100",
        format!("{extra:.0} B"),
        format!("body {last} B"),
        extra / 100.0,
        Goal::AtMost(1.0),
    );
    Ok(())
}
