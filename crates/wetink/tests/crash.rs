//! kill -9 of the guard at random points of propose, approve, run (T-CRASH-01). After the restart no approval was used twice,
//! no acknowledged run is missing, and every run has a defined end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../execute/tests/support/mod.rs"]
mod pg;
mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use artifact::{Effect, Timestamp};
use audit::{Entry, EventKind};
use support::{Guard, Scene, ask, mark};
use wire::socket::{Answer, Outcome, Proposed, Request};
use wire::target::{Address, Registration, Rights, Tls};

/// A small generator with a printed seed, so that a failing run can be had again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// All entries of the log.
fn entries(guard: &Guard) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let from = all.len() as u64;
        let Answer::Entries { entries, .. } = guard.ask(&Request::Read { from, limit: 1024, wait_ms: 0 }) else {
            panic!("read")
        };
        if entries.is_empty() {
            return all;
        }
        all.extend(entries.iter().map(|e| Entry::parse(e.entry.as_bytes()).unwrap()));
    }
}

fn size(usual: u64) -> u64 {
    std::env::var("WETINK_POINTS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// SQLite cannot be asked afterwards what became of a commit.
#[test]
fn kill_at_any_point() {
    let points = size(60);
    let mut scene = Scene::new();
    let path = match &scene.registration.address {
        Address::Sqlite { path } => path.clone(),
        Address::Postgresql { .. }
        | Address::Mariadb { .. }
        | Address::Http { .. }
        | wire::target::Address::Mcp { .. }
        | Address::Mail { .. } => panic!("SQLite"),
    };
    let marks = || {
        let db = rusqlite::Connection::open(&path).unwrap();
        let mut all = db.prepare("SELECT k FROM marks").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().collect::<Result<Vec<i64>, _>>().unwrap()
    };
    kill(&mut scene, points, 60_000, &mark, &marks);
}

/// PostgreSQL can, by the transaction id that was logged before: nothing is left unknown.
#[test]
fn kill_at_any_point_of_a_run_on_postgresql() {
    let points = size(25).min(200);
    let server = pg::Server::start();
    server.sql("CREATE TABLE marks (k bigint NOT NULL); CREATE ROLE app LOGIN; GRANT INSERT ON marks TO app");
    let mut scene = Scene::new();
    scene.registration = Registration {
        address: Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: "app".into(),
            rights: Rights::Login,
            mirror: None,
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        },
        run_as: "app".into(),
        ..scene.registration.clone()
    };
    scene.grant_target();
    let mark = |k: u64| {
        let (sql, mut effect) = mark(k);
        effect.relations[0].name = "public.marks".into();
        (sql, effect)
    };
    let marks = || server.sql("SELECT k FROM marks").lines().map(|k| k.parse().unwrap()).collect();
    let unknown = kill(&mut scene, points, 150_000, &mark, &marks);
    assert_eq!(unknown, 0, "the server knows what became of each transaction");
}

/// Kills the guard at `points` moments while it runs what is signed, then compares log and target. Prints `points`,
/// `double_runs`, `lost_runs` and `unsettled_runs`; answers how many ends are unknown.
fn kill(
    scene: &mut Scene,
    points: u64,
    window_us: u64,
    mark: &dyn Fn(u64) -> (String, Effect),
    marks: &dyn Fn() -> Vec<i64>,
) -> u64 {
    let kind = scene.registration.kind();
    let seed = Timestamp::now().as_millis() | 1;
    println!("seed: {seed}");
    let mut random = Random(seed);
    let home = scene.guard.home.clone();
    // What the desk was told of each mark: some outcome, or nothing.
    let mut told: HashMap<u64, Option<Outcome>> = HashMap::new();
    let mut by_proposal: HashMap<String, u64> = HashMap::new();
    let mut next = 0_u64;
    for _ in 0..points {
        let stop = AtomicBool::new(false);
        let delay = Duration::from_micros(random.next() % window_us);
        let mut batch = Vec::new();
        for _ in 0..64 {
            let (sql, effect) = mark(next);
            let proposed = Proposed { kind, ..scene.proposed(&sql, effect) };
            let claim = scene.ada.sign(&scene.approval(&proposed, 1).to_text().unwrap());
            by_proposal.insert(proposed.proposal.to_string(), next);
            batch.push((next, claim, proposed));
            next += 1;
        }
        let (left, right) = batch.split_at(32);
        // Connected before the clock runs: the guard may be gone before a thread gets its turn.
        let streams = [scene.guard.connect(), scene.guard.connect()];
        let run = |stream: &std::os::unix::net::UnixStream,
                   jobs: &[(u64, artifact::claim::Signed, wire::socket::Proposed)]| {
            let mut answers = Vec::new();
            for (k, claim, proposed) in jobs {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let request = Request::Run { claim: claim.clone(), proposed: proposed.clone() };
                let answer = ask(stream, &request);
                let outcome = match &answer {
                    Some(Answer::Ran { outcome, .. }) => Some(outcome.clone()),
                    _ => None,
                };
                answers.push((*k, outcome));
                if answer.is_none() {
                    break;
                }
            }
            answers
        };
        let pid = nix::unistd::Pid::from_raw(i32::try_from(scene.guard.child.id()).unwrap());
        let answers = std::thread::scope(|threads| {
            let workers = [threads.spawn(|| run(&streams[0], left)), threads.spawn(|| run(&streams[1], right))];
            let until = Instant::now() + delay;
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            stop.store(true, Ordering::Relaxed);
            workers.into_iter().flat_map(|w| w.join().unwrap()).collect::<Vec<_>>()
        });
        told.extend(answers);
        scene.guard.kill();
        scene.guard = Guard::start(&home);
    }

    let log = entries(&scene.guard);
    let mut ends: HashMap<u64, (bool, String)> = HashMap::new();
    let mut starts: HashMap<u64, u64> = HashMap::new();
    for entry in &log {
        let Some(k) = entry.proposal.as_ref().and_then(|p| by_proposal.get(p)) else { continue };
        match entry.event {
            EventKind::Started => *starts.entry(*k).or_default() += 1,
            EventKind::Settled => {
                ends.insert(*k, (true, entry.facts["outcome"].clone()));
            }
            _ => {}
        }
    }
    let mut found: HashMap<i64, u64> = HashMap::new();
    for k in marks() {
        *found.entry(k).or_default() += 1;
    }
    let (mut double, mut lost, mut unsettled, mut unknown) = (0, 0, 0, 0);
    for k in 0..next {
        let started = starts.get(&k).copied().unwrap_or(0);
        let marks = found.get(&i64::try_from(k).unwrap()).copied().unwrap_or(0);
        let end = ends.get(&k).map(|(_, outcome)| outcome.as_str());
        if marks > 1 || started > 1 {
            double += 1;
        }
        if started == 1 && end.is_none() {
            unsettled += 1;
        }
        unknown += u64::from(end == Some("unknown"));
        let wrong = match end {
            // The log's word and the target's state must agree, unless the log says that nobody knows.
            Some("ran") => marks != 1,
            Some("failed" | "stale") | None => marks != 0,
            Some(_) => false,
        };
        // What the desk was told must still be true.
        let contradicted = matches!(told.get(&k), Some(Some(Outcome::Held { .. }))) && end != Some("ran");
        if wrong || contradicted {
            lost += 1;
            println!("mark {k}: told {:?}, started {started}, end {end:?}, marks {marks}", told.get(&k));
        }
    }
    println!(
        "points: {points}\nruns: {}\ndouble_runs: {double}\nlost_runs: {lost}\nunsettled_runs: {unsettled}\nunknown_runs: {unknown}",
        starts.len()
    );
    assert_eq!((double, lost, unsettled), (0, 0, 0));
    assert!(starts.len() as u64 >= points / 4, "too little ran for the points to mean anything");
    unknown
}
