//! Connections to services that stay for the next read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use machine::Machine;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]";

/// Connections that stay: how many there were, and whether the next request on one is left without an answer.
struct Staying {
    port: u16,
    connections: Arc<Mutex<Vec<Vec<String>>>>,
    hang_up: Arc<AtomicBool>,
}

impl Staying {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let hang_up = Arc::new(AtomicBool::new(false));
        let (kept, ends) = (Arc::clone(&connections), Arc::clone(&hang_up));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, kept, ends) = (stream.unwrap(), Arc::clone(&kept), Arc::clone(&ends));
                let at = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                std::thread::spawn(move || {
                    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
                    loop {
                        let (mut head, mut line) = (String::new(), String::new());
                        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                            head += &line;
                            line.clear();
                        }
                        if head.is_empty() {
                            return;
                        }
                        let length = head.to_lowercase();
                        let length = length
                            .split("content-length: ")
                            .nth(1)
                            .map_or(0, |l| l.lines().next().unwrap().parse().unwrap());
                        reader.read_exact(&mut vec![0; length]).unwrap();
                        let first = kept.lock().unwrap()[at].is_empty();
                        kept.lock().unwrap()[at].push(head);
                        if !first && ends.swap(false, Ordering::SeqCst) {
                            return;
                        }
                        stream.write_all(ANSWER.as_bytes()).unwrap();
                    }
                });
            }
        });
        Self { port, connections, hang_up }
    }

    /// Requests of each connection.
    fn shape(&self) -> Vec<usize> {
        self.connections.lock().unwrap().iter().map(Vec::len).collect()
    }
}

#[test]
fn a_connection_stays_for_what_reads_and_never_for_what_changes() {
    let service = Staying::start();
    let machine = Machine::start();
    machine.furnish();
    assert!(machine.run(&["secret", "set", "api"], "first-4eC39HqLyjWDarj", None).status.success());
    let origin = format!("http://127.0.0.1:{}", service.port);
    let add = ["target", "add", "api", &origin, "--credential", "api", "--request", "GET /**", "--request", "POST /**"];
    assert!(machine.person(&add, "").0);
    let new = [
        "task",
        "new",
        "Look",
        "--agent",
        "robin",
        "--target",
        "api",
        "--may",
        "call GET /**",
        "--may",
        "call POST /**",
        "--auto-reads",
    ];
    assert!(machine.person(&new, "").0);
    let pass = machine.pass_of("api");
    let read = |n: u32| {
        let asked = ["propose", "--json", "--target", "api", "--purpose", "look"];
        let told = machine.run(&asked, &format!("GET /v1/{n}"), Some(&pass));
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
        let told = machine.json(&["wait", told["proposal_id"].as_str().unwrap()], "", Some(&pass));
        assert_eq!(told["status"], "released", "{told}");
    };
    (0..5).for_each(read);
    assert_eq!(service.shape(), [5]);
    // The server goes away with the question: what reads is asked again, on a connection of its own.
    service.hang_up.store(true, Ordering::SeqCst);
    read(6);
    assert_eq!(service.shape(), [6, 1]);
    // What changes something goes over a fresh one, which serves the next read.
    let asked = ["propose", "--json", "--target", "api", "--purpose", "pay"];
    let told = machine.run(&asked, "POST /v1/pay\ncontent-type: application/json\n\n{\"n\":1}", Some(&pass));
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let (ok, text) = machine.person(&["approve", told["proposal_id"].as_str().unwrap()], "yes\n");
    assert!(ok, "{text}");
    assert_eq!(service.shape(), [6, 1, 1]);
    // Another credential is another connection, at once.
    assert!(machine.run(&["secret", "set", "api"], "second-4eC39HqLyjWDarj", None).status.success());
    read(7);
    let all = service.connections.lock().unwrap().clone();
    assert_eq!(all.last().unwrap().len(), 1, "{all:?}");
    assert!(
        all.last().unwrap()[0].contains("second-4eC39HqLyjWDarj") && !all[1].iter().any(|head| head.contains("second"))
    );
    // Two at once need two.
    std::thread::scope(|scope| (8..12).for_each(|n| _ = scope.spawn(move || read(n))));
    let sum: usize = service.shape().iter().sum();
    assert_eq!(sum, 6 + 1 + 1 + 1 + 4, "{:?}", service.shape());
}
