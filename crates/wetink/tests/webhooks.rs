//! A receiver is told of each change once, whatever fails on the way, and can tell that it comes from the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use machine::{Machine, WETINK};
use serde_json::Value;
use support::Folder;

/// A request that came in: its headers and body, and whether it was taken.
struct Got {
    headers: BTreeMap<String, String>,
    body: String,
    taken: bool,
}

/// A receiver on this machine that can be told to refuse.
struct Receiver {
    port: u16,
    refuses: Arc<AtomicBool>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (refuses, got) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (refusing, getting) = (Arc::clone(&refuses), Arc::clone(&got));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream = BufReader::new(stream);
                let mut headers = BTreeMap::new();
                loop {
                    let mut line = String::new();
                    if stream.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    if let Some((name, value)) = line.split_once(": ") {
                        headers.insert(name.to_lowercase(), value.trim().to_owned());
                    }
                }
                let length = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).is_err() || headers.is_empty() {
                    continue;
                }
                let taken = !refusing.load(Ordering::SeqCst);
                let status = if taken { "204 No Content" } else { "503 Busy" };
                let body = String::from_utf8(body).unwrap();
                getting.lock().unwrap().push(Got { headers, body, taken });
                let _ = write!(stream.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Self { port, refuses, got }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks/wetink", self.port)
    }

    fn wait(&self, what: &str, is_there: impl Fn(&Got) -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.got.lock().unwrap().iter().any(&is_there) {
            assert!(Instant::now() < until, "{what} did not come");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn kind(got: &Got) -> String {
    let body: Value = serde_json::from_str(&got.body).unwrap();
    body["type"].as_str().unwrap().to_owned()
}

#[test]
fn a_receiver_is_told_each_change_once() {
    let receiver = Receiver::start();
    let folder = Folder::new();
    let webhook = |arguments: &[&str]| {
        let mut command = Command::new(WETINK);
        let output =
            command.args(["webhook"]).args(arguments).env("WETINK_HOME", folder.0.join("home")).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (ok, said) = webhook(&["add", &receiver.url()]);
    let secret = said.lines().next().unwrap().to_owned();
    assert!(ok && secret.starts_with("whsec_"), "{said}");
    assert!(!webhook(&["add", "http://192.0.2.1/x"]).0, "an address elsewhere without TLS");
    assert!(!webhook(&["list"]).1.contains("whsec_"));

    let machine = Machine::start_in(folder, WETINK);
    let pass = machine.furnish();
    let propose = |machine: &Machine, status: &str| {
        let sql = format!("UPDATE orders SET status = '{status}' WHERE id = 1");
        let proposal = machine.json(&["propose", "--target", "shop", "--purpose", "secret-words"], &sql, Some(&pass));
        proposal["proposal_id"].as_str().unwrap().to_owned()
    };
    // Refused, then taken: the same change, the same id.
    receiver.refuses.store(true, Ordering::SeqCst);
    let first = propose(&machine, "one");
    receiver.wait("a first attempt", |got| !got.taken && got.body.contains(&first));
    receiver.refuses.store(false, Ordering::SeqCst);
    receiver.wait("the change", |got| got.taken && kind(got) == "proposal.pending" && got.body.contains(&first));
    // What happens while nobody listens is told after a crash.
    receiver.refuses.store(true, Ordering::SeqCst);
    assert!(machine.person(&["reject", &first, "not now"], "").0);
    let second = propose(&machine, "two");
    let folder = machine.killed();
    receiver.refuses.store(false, Ordering::SeqCst);
    let machine = Machine::start_in(folder, WETINK);
    receiver.wait("the rejection", |got| got.taken && kind(got) == "proposal.rejected" && got.body.contains(&first));
    receiver.wait("the second", |got| got.taken && kind(got) == "proposal.pending" && got.body.contains(&second));
    assert!(machine.person(&["approve", &second], "").0);
    receiver.wait("the run", |got| got.taken && kind(got) == "proposal.held" && got.body.contains(&second));

    let got = receiver.got.lock().unwrap();
    let taken: Vec<&Got> = got.iter().filter(|got| got.taken).collect();
    let mut ids: Vec<&String> = taken.iter().map(|got| &got.headers["webhook-id"]).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), taken.len(), "a change was told twice");
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    for got in got.iter() {
        let (id, at) = (&got.headers["webhook-id"], &got.headers["webhook-timestamp"]);
        let tag = STANDARD.decode(got.headers["webhook-signature"].strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, format!("{id}.{at}.{}", got.body).as_bytes(), &tag).unwrap();
        // Facts and a link: neither the artifact nor anybody's words.
        assert!(!["UPDATE", "secret-words", "not now"].iter().any(|word| got.body.contains(word)), "{}", got.body);
        assert!(got.body.contains("/r/p-"), "{}", got.body);
    }
}

#[test]
fn each_alert_arrives_once_and_a_line_goes_to_the_chat() {
    let (receiver, chat) = (Receiver::start(), Receiver::start());
    let folder = Folder::new();
    for (url, form) in [(receiver.url(), None), (chat.url(), Some("--slack"))] {
        let mut command = Command::new(WETINK);
        command.args(["webhook", "add", &url]).args(form).env("WETINK_HOME", folder.0.join("home"));
        assert!(command.output().unwrap().status.success());
    }
    let machine = Machine::start_in(folder, WETINK);
    let pass = machine.furnish();
    let propose = |machine: &Machine, sql: &str| {
        machine.run(&["propose", "--json", "--target", "shop", "--purpose", "secret-words"], sql, Some(&pass))
    };
    // Nobody listens when it happens, and the gateway is killed before anybody is told.
    receiver.refuses.store(true, Ordering::SeqCst);
    for n in 0..3 {
        propose(&machine, &format!("DELETE FROM orders WHERE id = {n}"));
    }
    for n in 0..6 {
        propose(&machine, &format!("SELECT {n}; DROP TABLE orders"));
    }
    // Small reads of every row add up.
    for n in 0..26 {
        propose(&machine, &format!("SELECT id FROM orders WHERE id > {}", -n));
    }
    let until = Instant::now() + Duration::from_secs(20);
    let mut alerts = machine.json(&["alerts"], "", None);
    while !alerts.to_string().contains("more than 1000") {
        assert!(Instant::now() < until, "{alerts}");
        std::thread::sleep(Duration::from_millis(200));
        alerts = machine.json(&["alerts"], "", None);
    }
    let raised = |alerts: &Value| -> Vec<String> {
        let mut raised: Vec<String> =
            alerts.as_array().unwrap().iter().map(|alert| alert["signal"].as_str().unwrap().to_owned()).collect();
        raised.sort();
        raised
    };
    let wanted = ["denials", "multi_statement", "out_of_scope", "rows"];
    for signal in wanted {
        assert_eq!(raised(&alerts).iter().filter(|s| *s == signal).count(), 1, "{signal}: {alerts}");
    }
    let folder = machine.killed();
    receiver.refuses.store(false, Ordering::SeqCst);
    let machine = Machine::start_in(folder, WETINK);
    let signal = |got: &Got| -> String {
        let body: Value = serde_json::from_str(&got.body).unwrap();
        body["data"]["signal"].as_str().unwrap_or_default().to_owned()
    };
    for name in wanted {
        receiver.wait(name, |got| got.taken && kind(got) == "signal.raised" && signal(got) == name);
        chat.wait(name, |got| got.taken && got.body.contains(&format!("{name}. http")));
    }
    // The same after a restart, and after the view was made anew: the log says it all.
    assert_eq!(raised(&machine.json(&["alerts"], "", None)), raised(&alerts));
    let got = receiver.got.lock().unwrap();
    let told: Vec<String> = got.iter().filter(|g| g.taken && kind(g) == "signal.raised").map(&signal).collect();
    for name in wanted {
        assert_eq!(told.iter().filter(|told| *told == name).count(), 1, "{name}: {told:?}");
    }
    for got in got.iter().chain(chat.got.lock().unwrap().iter()) {
        assert!(!["DELETE", "DROP", "secret-words"].iter().any(|word| got.body.contains(word)), "{}", got.body);
    }
    // The line for a chat is text alone.
    let chat = chat.got.lock().unwrap();
    let line: Value = serde_json::from_str(&chat.first().unwrap().body).unwrap();
    assert!(line["text"].is_string() && line.as_object().unwrap().len() == 3 && line["mrkdwn"] == false, "{line}");
}
