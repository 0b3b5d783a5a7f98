//! The guard's log (G7): what durability costs over the disk's own sync, alone and under load.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use artifact::Timestamp;
use audit::{Actor, Domain, Entry, EventKind, Role};
use aws_lc_rs::signature::Ed25519KeyPair;
use ledger::{Class, Draft, Job, Keys, Ledger, NewContent};

use crate::floors::RawLog;
use crate::measure::{Compared, Times, rounds, timed};
use crate::table::{Goal, Table, rate, time};

/// How long one side of a round runs.
const SLICE: Duration = Duration::from_millis(500);
/// Rounds.
const ROUNDS: usize = 5;
/// Callers under load.
const CALLERS: usize = 64;

/// The log's name.
pub(crate) const ORIGIN: &str = "bench/log";

/// The log's keys, always the same ones.
pub(crate) fn keys() -> Result<Keys> {
    let log = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).ok().context("no key of this seed")?;
    Ok(Keys { log, seal: [9; 32] })
}

/// A new log in a new folder.
pub(crate) fn create(folder: &Path) -> Result<Ledger> {
    std::fs::create_dir_all(folder)?;
    Ok(Ledger::create(folder, ORIGIN, keys()?, Draft { entry: entry(EventKind::Inception), contents: Vec::new() })?)
}

/// An entry of usual size.
pub(crate) fn entry(event: EventKind) -> Entry {
    let actor = Actor { role: Role::Guard, name: "guard-1".into() };
    let mut entry = Entry::new(Timestamp::from_millis(1_760_000_000_000), Domain::Guard, event, actor);
    entry.target = Some("shop".into());
    entry.task = Some("t-00000000000000000000000001".into());
    // Some 300 bytes in all, as entries about proposals have on average.
    entry.reasons =
        vec!["ask-writes: a change inside the signed scope of the task still needs a person's signature".into()];
    entry.facts.insert("note".into(), "as the desk saw it".into());
    entry
}

/// A decision with one content, in one job.
pub(crate) fn job() -> Job {
    let content = NewContent { name: "reason".into(), class: Class::Desk, bytes: vec![b'r'; 120] };
    Job { drafts: vec![Draft { entry: entry(EventKind::Rejected), contents: vec![content] }], ..Job::default() }
}

/// Many callers in closed loops; gives the times and appends a second.
fn under_load(call: impl Fn() -> Result<()> + Sync) -> Result<(Times, f64)> {
    let start = Instant::now();
    let done: Result<Vec<Times>> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| timed(SLICE, &call))).collect();
        callers.into_iter().map(|caller| caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?).collect()
    });
    let mut all = Times::default();
    done?.iter().for_each(|times| all.join(times));
    let a_second = all.len() as f64 / start.elapsed().as_secs_f64();
    Ok((all, a_second))
}

/// The bare form of what the ledger does: callers that arrive during a sync share the next one.
struct Grouped(SyncSender<SyncSender<()>>);

impl Grouped {
    fn start(mut file: RawLog) -> Self {
        let (send, queue): (_, Receiver<SyncSender<()>>) = sync_channel(1024);
        std::thread::spawn(move || -> Result<()> {
            while let Ok(first) = queue.recv() {
                let mut batch = vec![first];
                batch.extend(queue.try_iter().take(255));
                file.append(batch.len())?;
                for caller in batch {
                    let _ = caller.send(());
                }
            }
            Ok(())
        });
        Self(send)
    }

    fn append(&self) -> Result<()> {
        let (reply, answer) = sync_channel(1);
        self.0.send(reply)?;
        answer.recv().context("the writer ended")
    }
}

pub(crate) fn rows(folder: &Path, table: &mut Table) -> Result<()> {
    let ledger = create(&folder.join("log"))?;
    let append = || -> Result<()> { ledger.append(job()).map(drop).map_err(Into::into) };
    let mut raw = RawLog::create(&folder.join("beside.log"))?;

    let before = (ledger.size(), ledger.commits());
    let seen = rounds(
        ROUNDS,
        || Ok(timed(SLICE, append)?.percentile(0.5)),
        || Ok(timed(SLICE, || raw.append(1))?.percentile(0.5)),
    )?;
    table.compared("G7 append, 1 caller, p50: write + fdatasync", seen, time, Goal::AtMost(1.5));
    let alone = share(before, &ledger);

    let grouped = Grouped::start(RawLog::create(&folder.join("grouped.log"))?);
    let mut times = Times::default();
    let before = (ledger.size(), ledger.commits());
    let loaded = rounds(
        ROUNDS,
        || {
            let (of_round, a_second) = under_load(append)?;
            times.join(&of_round);
            Ok(a_second)
        },
        || Ok(under_load(|| grouped.append())?.1),
    )?;
    let crowd = share(before, &ledger);
    let rounds_seen = loaded.ours / (1e9 / seen.anchor);
    table.counted(
        "G7 append, 64 callers: times the sync rate",
        rate(loaded.ours),
        rate(1e9 / seen.anchor),
        rounds_seen,
        Goal::AtLeast(7.0),
    );
    table.compared("G7 append, 64 callers: a bare group-commit file", loaded, rate, Goal::AtLeast(0.8));
    let p99 = times.percentile(0.99);
    let goal = Goal::AtMost(50.0);
    table.counted(
        "G7 append, 64 callers, p99: write + fdatasync p50",
        time(p99),
        time(seen.anchor),
        p99 / seen.anchor,
        goal,
    );
    let one = Compared { ours: alone, anchor: 1.0, ratio: alone, low: alone, high: alone, noisy: false };
    table.put(
        "G7 commits (one sync each) an append, 1 caller: exactly 1, as the ledger counts",
        format!("{alone:.3}"),
        "1".into(),
        one,
        Goal::AtMost(1.0),
    );
    table.counted(
        "G7 commits an append, 64 callers, as the ledger counts",
        format!("{crowd:.4}"),
        "1/8".into(),
        crowd * 8.0,
        Goal::AtMost(1.0),
    );
    Ok(())
}

/// Commits for each append since then.
fn share((size, commits): (u64, u64), ledger: &Ledger) -> f64 {
    (ledger.commits() - commits) as f64 / (ledger.size() - size) as f64
}
