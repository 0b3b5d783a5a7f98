//! Limits and the stop switch while many clients call at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use machine::Machine;
use serde_json::{Value, json};

/// Clients at once.
const CLIENTS: usize = 64;
/// Sessions under load when everything is stopped.
const SESSIONS: usize = 200;

/// One call of the agents' door on a connection of its own.
fn call(base: &str, pass: &str, path: &str, body: &Value) -> (u16, Value) {
    let authority = base.trim_start_matches("http://");
    let port = authority.split(':').nth(1).unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\nauthorization: Bearer {pass}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    // A chunked body has its lengths on lines of their own.
    let json = body.lines().find(|line| line.starts_with('{')).unwrap_or("null");
    (status, serde_json::from_str(json).unwrap_or(Value::Null))
}

/// The same, again and again while the session has as many calls open as it may.
fn insist(base: &str, pass: &str, path: &str, body: &Value) -> (u16, Value) {
    loop {
        let (status, answer) = call(base, pass, path, body);
        let words = answer["message"].as_str().unwrap_or_default();
        if status != 429 || answer["retry_after_s"] != 15 || words.contains("wait for a person already") {
            return (status, answer);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn propose(machine: &Machine, pass: &str, sql: &str) -> (u16, Value) {
    let body = json!({ "target": "shop", "body": sql, "purpose": "try", "wait_s": 0 });
    insist(&machine.agents, pass, "/v1/proposals", &body)
}

/// Another session of the one task.
fn pass(machine: &Machine) -> String {
    let statement = machine.json(&["task", "list"], "", None)[0]["statement"].as_str().unwrap().to_owned();
    let task = statement.lines().find_map(|l| l.strip_prefix("task: ")).unwrap().to_owned();
    machine.json(&["task", "pass", &task], "", None)["pass"].as_str().unwrap().to_owned()
}

/// All at the same moment.
fn together<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let run = |n| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(n)
            })
        };
        let all: Vec<_> = (0..CLIENTS).map(run).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn limits_hold_exactly_under_many_clients() {
    let machine = Machine::start();
    let first = machine.furnish();
    let update = |n: usize| format!("UPDATE orders SET status = 'x{n}' WHERE id = 1");
    let answers = together(|n| propose(&machine, &first, &update(n)));
    let pending = answers.iter().filter(|(_, answer)| answer["status"] == "pending").count();
    let slowed = answers.iter().filter(|(_, answer)| answer["refused"] == "slow_down").count();
    assert_eq!((pending, slowed), (20, CLIENTS - 20), "{:?}", answers.iter().map(|(s, _)| s).collect::<Vec<_>>());
    assert_eq!(machine.json(&["review"], "", None).as_array().map(Vec::len), Some(20));

    // The same bytes in the same task are one proposal, whoever hands them in first.
    let second = pass(&machine);
    let answers = together(|_| propose(&machine, &second, "UPDATE orders SET status = 'same' WHERE id = 2"));
    let mut ids: Vec<&str> = answers.iter().map(|(_, answer)| answer["proposal_id"].as_str().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(machine.json(&["review"], "", None).as_array().map(Vec::len), Some(21));

    // 120 calls a minute, refilled at two a second, and no more.
    let third = pass(&machine);
    let began = Instant::now();
    let check = json!({ "target": "shop", "body": "SELECT id FROM orders" });
    let taken = together(|_| (0..3).filter(|_| insist(&machine.agents, &third, "/v1/check", &check).0 == 200).count());
    let taken = taken.into_iter().sum::<usize>();
    let refilled = usize::try_from(began.elapsed().as_secs() * 2 + 2).unwrap();
    assert!((120..=120 + refilled).contains(&taken), "{taken} calls in {:?}", began.elapsed());
}

#[test]
fn a_stop_holds_for_every_session_within_a_second() {
    let machine = Machine::start();
    let mut passes = vec![machine.furnish()];
    passes.extend((1..SESSIONS).map(|_| pass(&machine)));
    let over = AtomicBool::new(false);
    let served: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let stopped = std::thread::scope(|scope| {
        for part in passes.chunks(SESSIONS / 16) {
            let (machine, over, served) = (&machine, &over, &served);
            scope.spawn(move || {
                for (n, pass) in part.iter().cycle().enumerate().take_while(|_| !over.load(Ordering::Relaxed)) {
                    let began = Instant::now();
                    let (_, answer) = propose(machine, pass, &format!("SELECT id, status FROM orders WHERE id = {n}"));
                    if answer["proposal_id"].is_string() {
                        served.lock().unwrap().push(began);
                    }
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(30);
        while served.lock().unwrap().len() < SESSIONS {
            assert!(Instant::now() < until, "no load");
            std::thread::sleep(Duration::from_millis(20));
        }
        let stopped = Instant::now();
        assert!(machine.run(&["stop", "all"], "", None).status.success());
        std::thread::sleep(Duration::from_millis(1_500).saturating_sub(stopped.elapsed()));
        // Each session is asked once more.
        for pass in &passes {
            let (status, answer) = propose(&machine, pass, "SELECT id FROM orders WHERE id = 7");
            assert!(status >= 400 && answer["proposal_id"].is_null(), "{status} {answer}");
        }
        over.store(true, Ordering::Relaxed);
        stopped
    });
    let late = served.into_inner().unwrap().into_iter().filter(|at| *at > stopped + Duration::from_secs(1)).count();
    assert_eq!(late, 0, "served later than a second after the stop");
    // In the log, nothing starts after the stop.
    let entries = machine.json(&["audit", "search", "--event", "stopped"], "", None);
    let index = |entry: &Value| entry["index"].as_u64().unwrap();
    let stop = entries.as_array().unwrap().iter().map(index).max().unwrap();
    let started = machine.json(&["audit", "search", "--event", "started"], "", None);
    assert!(started.as_array().unwrap().iter().all(|entry| index(entry) < stop), "a run began after the stop");
}
