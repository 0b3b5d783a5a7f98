//! The reviewer's page (G12) over a large store, and the store itself: loaded through the ledger's own append and the view's
//! own fold while neither guard nor desk runs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use artifact::{Digest, Timestamp};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::{Class, Draft, Job, Keys, Ledger, NewContent};
use store::Store;
use vault::{KeySource, Vault};

use crate::Plan;
use crate::corpus::Proposals;
use crate::load::Connection;
use crate::measure::{Times, rounds};
use crate::product::{Gateway, Running, private};
use crate::table::{Goal, Table, time};

/// One proposal in this many waits for a person; the others are settled.
const WAITING: u64 = 50;
/// The same in the small store, so that its page is as long.
const WAITING_OF_SMALL: u64 = 10;
/// Proposals of one job.
const BATCH: u64 = 2_048;
/// The small store that the large one is compared with.
const SMALL: u64 = 1_000;

/// Two gateways that were set up and filled.
pub(crate) struct Stored {
    /// The large one.
    pub(crate) large: Gateway,
    /// One with a thousand proposals.
    pub(crate) small: Gateway,
    /// Proposals in the large one.
    pub(crate) count: u64,
    /// The same in words.
    pub(crate) words: String,
    filled: Filled,
}

/// Sets both up.
pub(crate) fn stored(plan: &Plan, folder: &Path) -> Result<Stored> {
    let count = if plan.full { 1_000_000 } else { 100_000 };
    let make = |name: &str, count: u64, waiting: u64| -> Result<(Gateway, Filled)> {
        let folder = folder.join(name);
        private(&folder)?;
        let gateway = Gateway::set_up(&folder)?;
        let filled = fill(&gateway, count, waiting)?;
        Ok((gateway, filled))
    };
    let (small, _) = make("small-store", SMALL, WAITING_OF_SMALL)?;
    let (large, filled) = make("large-store", count, WAITING)?;
    let took = (filled.ledger + filled.view).as_secs_f64();
    let words = format!("{count} stored, {} waiting, loaded in {took:.0} s", count / WAITING);
    Ok(Stored { large, small, count, words, filled })
}

/// The guard's own keys, out of its vault.
fn keys(home: &Path) -> Result<(Keys, String)> {
    let mut vault = Vault::open(&home.join("guard/vault"), &KeySource::KeyFile(home.join("guard/key")))?;
    let now = Timestamp::now();
    let mut seed = |name: &str| vault.own_key(name, now);
    let pair = |seed: &[u8; 32]| Ed25519KeyPair::from_seed_unchecked(seed).ok().context("no key of this seed");
    let root = pair(&*seed("root")?)?;
    let line = approve::sshsig::ed25519_line(root.public_key().as_ref());
    let origin = format!("wetink/{}", &Digest::of(line.as_bytes()).hex()[..16]);
    Ok((Keys { log: pair(&*seed("log")?)?, seal: *seed("seal")? }, origin))
}

/// How long filling took.
struct Filled {
    ledger: Duration,
    view: Duration,
}

fn fill(gateway: &Gateway, count: u64, waiting: u64) -> Result<Filled> {
    let proposals = Proposals::of(&gateway.statement, gateway.target)?;
    let (keys, origin) = keys(&gateway.home)?;
    let ledger = Ledger::open(&gateway.home.join("guard"), &origin, keys)?;
    let (mut next, start) = (0, Instant::now());
    while next < count {
        let until = count.min(next + BATCH);
        let drafts: Result<Vec<Draft>> = (next..until)
            .map(|n| {
                let draft = proposals.draft(n, n % waiting == 0)?;
                let class = Class::Desk;
                let contents = draft.contents.into_iter();
                let contents =
                    contents.map(|(name, text)| NewContent { name, class, bytes: text.into_bytes() }).collect();
                Ok(Draft { entry: draft.entry, contents })
            })
            .collect();
        ledger.append(Job { drafts: drafts?, ..Job::default() })?;
        next = until;
    }
    let (in_ledger, start) = (start.elapsed(), Instant::now());
    let desk = gateway.home.join("desk");
    private(&desk)?;
    let store = Store::open(&desk.join("view.db"))?;
    let mut at = store.next()?;
    while at < ledger.size() {
        let read = ledger.read(at, 1_024)?;
        let rows: Result<Vec<_>> = read
            .into_iter()
            .map(|logged| {
                let contents: Result<_, std::string::FromUtf8Error> = logged
                    .contents
                    .into_iter()
                    .map(|(name, bytes)| String::from_utf8(bytes).map(|text| (name, text)))
                    .collect();
                Ok((logged.index, String::from_utf8(logged.body)?, contents?))
            })
            .collect();
        let rows = rows?;
        at += rows.len() as u64;
        store.apply(&rows)?;
    }
    Ok(Filled { ledger: in_ledger, view: start.elapsed() })
}

/// A signed-in browser at a gateway.
struct Visitor {
    _running: Running,
    connection: Connection,
    cookie: String,
    runtime: tokio::runtime::Runtime,
    bytes: usize,
    times: Times,
}

impl Visitor {
    fn at(gateway: &Gateway) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let running = gateway.start()?;
        let token = runtime.block_on(running.sign_in(&gateway.ada))?;
        let connection = runtime.block_on(Connection::open(&running.people))?;
        let cookie = format!("cookie: wetink={token}\r\n");
        Ok(Self { _running: running, connection, cookie, runtime, bytes: 0, times: Times::default() })
    }

    fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        self.runtime.block_on(self.connection.send("GET", path, &self.cookie, &[]))?.good()
    }

    /// Median time of the page for a second.
    fn look(&mut self, path: &str) -> Result<f64> {
        let start = Instant::now();
        let mut times = Times::default();
        while start.elapsed() < Duration::from_secs(1) {
            let before = Instant::now();
            self.bytes = self.get(path)?.len();
            times.add(before.elapsed());
        }
        self.times.join(&times);
        Ok(times.percentile(0.5))
    }
}

pub(crate) fn rows(stored: &Stored, table: &mut Table) -> Result<()> {
    let (mut large, mut small) = (Visitor::at(&stored.large)?, Visitor::at(&stored.small)?);
    let page = String::from_utf8(large.get("/")?)?;
    let of_proposals = page.match_indices("href=\"/r/").count();
    ensure!(of_proposals >= 20, "the queue's page shows {of_proposals} proposals only");
    let seen = rounds(3, || large.look("/"), || small.look("/"))?;
    let words = &stored.words;
    table.compared(&format!("G12 queue page ({words}): at 1,000 stored"), seen, time, Goal::AtMost(1.5));
    let goal = Goal::AtMost(1.0);
    table.counted("G12 queue page, p50: 3 ms", time(seen.ours), time(3e6), seen.ours / 3e6, goal);
    let p99 = large.times.percentile(0.99);
    table.counted("G12 queue page, p99: 10 ms", time(p99), time(1e7), p99 / 1e7, goal);
    let weight = large.bytes as f64;
    table.counted(
        "G12 queue page, weight: 60 kB",
        format!("{:.1} kB", weight / 1e3),
        "60 kB".into(),
        weight / 6e4,
        goal,
    );

    let each = |took: Duration| took.as_nanos() as f64 / stored.count as f64;
    let (ledger, view) = (each(stored.filled.ledger), each(stored.filled.view));
    let name = "stage: logging a proposal, 2,048 in a batch: reading it back and folding it into the view";
    table.counted(name, time(ledger), time(view), ledger / view, Goal::None);

    let id = page.split("href=\"/r/").nth(1).and_then(|rest| rest.split(['"', '?']).next()).context("no proposal")?;
    let path = format!("/r/{id}");
    large.times = Times::default();
    let p50 = large.look(&path)?;
    table.counted("G12 a proposal's page, p50: 3 ms", time(p50), time(3e6), p50 / 3e6, goal);
    let weight = large.bytes as f64;
    let shown = format!("{:.1} kB", weight / 1e3);
    table.counted("G12 a proposal's page, weight: 60 kB", shown, "60 kB".into(), weight / 6e4, goal);
    Ok(())
}
