//! A provider checks, with nothing but a file of keys, that people signed the request that arrived: the sample provider, and what an
//! attacker would make of a good request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
#[allow(dead_code, reason = "no browser here")]
mod browser_tools;
mod machine;
#[path = "../../receipt/examples/provider.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main is not used here")]
mod provider;
mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use artifact::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use machine::Machine;
use receipt::{Provider, Refused, Request};

const REFUND: &str = "POST /v1/refunds?notify=no\nx-ticket: 17\ncontent-type: application/json\n\n{\"charge\":\"ch_1\",\"amount\":4990}\n";

/// The sample provider behind a listener that keeps each request as it came.
struct Service {
    port: u16,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Service {
    /// `trusted` is read when the first request comes.
    fn start(trusted: impl FnOnce(u16) -> Provider + Send + 'static) -> Self {
        let (front, back) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let (port, inner) = (front.local_addr().unwrap().port(), back.local_addr().unwrap().port());
        back.set_nonblocking(true).unwrap();
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut trusted = Some(trusted);
            let mut back = Some(back);
            for stream in front.incoming() {
                let mut stream = stream.unwrap();
                if let (Some(trusted), Some(back)) = (trusted.take(), back.take()) {
                    let provider = trusted(port);
                    std::thread::spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                        runtime.block_on(async {
                            provider::serve(tokio::net::TcpListener::from_std(back).unwrap(), provider).await.unwrap();
                        });
                    });
                }
                let whole = read(&mut stream);
                if whole.is_empty() {
                    continue;
                }
                let answer = send(inner, &whole);
                kept.lock().unwrap().push(whole);
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { port, seen }
    }
}

fn read(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut part) = (Vec::new(), vec![0; 65_536]);
    loop {
        let head = all.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        let length = |head: usize| {
            let text = String::from_utf8_lossy(&all[..head]).to_lowercase();
            text.split("content-length: ").nth(1).map_or(0, |l| l.split("\r\n").next().unwrap().parse().unwrap())
        };
        if head.is_some_and(|head| all.len() >= head + length(head)) {
            return all;
        }
        match stream.read(&mut part) {
            Ok(count) if count > 0 => all.extend_from_slice(&part[..count]),
            _ => return all,
        }
    }
}

fn send(port: u16, whole: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let text = String::from_utf8_lossy(whole).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// What a provider sees of it.
struct Arrived {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Arrived {
    fn of(whole: &[u8]) -> Self {
        let text = String::from_utf8_lossy(whole).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.split("\r\n");
        let mut line = lines.next().unwrap().split(' ');
        let headers = lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n.to_owned(), v.to_owned()));
        Self {
            method: line.next().unwrap().into(),
            target: line.next().unwrap().into(),
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
        }
    }

    fn check(&self, provider: &Provider, now: Timestamp) -> Result<receipt::Receipt, Refused> {
        let headers: Vec<(&str, &str)> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let request = Request { method: &self.method, target: &self.target, headers: &headers, body: &self.body };
        provider.check(&request, now)
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut other = Self {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        };
        change(&mut other);
        other
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(known, _)| known == name).unwrap().1
    }
}

/// What the npm package of that name says. `key` is the end of an OpenSSH line.
fn verified_elsewhere(arrived: &Arrived, origin: &str, key: &str) -> String {
    let blob = STANDARD.decode(key).unwrap();
    let headers: serde_json::Map<_, _> = arrived.headers.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
    let asked = serde_json::json!({
        "method": arrived.method, "url": format!("{origin}{}", arrived.target), "headers": headers,
        "key": STANDARD.encode(&blob[blob.len() - 32..]),
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/receipts_by/verify.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .env("WETINK_NPM", browser_tools::packages().parent().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).trim().to_owned()
}

#[test]
fn a_provider_checks_offline_that_people_signed() {
    let machine = Machine::start();
    machine.furnish();
    machine.reviewer("Bo", "bo");
    let out = machine.run(&["key", "receipts"], "", None);
    let trusted = String::from_utf8(out.stdout).unwrap();
    assert!(trusted.contains("person Ada; ssh-ed25519 ") && trusted.contains("person Bo; "), "{trusted}");
    let file = trusted.clone();
    let service = Service::start(move |port| Provider::read(&format!("http://127.0.0.1:{port}"), &file).unwrap());
    let origin = format!("http://127.0.0.1:{}", service.port);
    let add = [
        "target",
        "add",
        "api",
        &origin,
        "--receipts",
        "--quorum",
        "2",
        "--request",
        "POST /**",
        "--request",
        "GET /**",
    ];
    let (ok, text) = machine.person(&add, "");
    assert!(ok, "{text}");
    let new = [
        "task",
        "new",
        "Refund 4990 for ch_1",
        "--agent",
        "robin",
        "--target",
        "api",
        "--may",
        "call POST /v1/refunds",
    ];
    assert!(machine.person(&new, "").0);
    let pass = machine.pass_of("api");
    let propose = |text: &str| {
        let answer = machine.json(&["propose", "--target", "api", "--purpose", "as asked"], text, Some(&pass));
        answer["proposal_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let sign = |id: &str| {
        machine.person_with("key", &["approve", id], "api\n");
        let (ok, text) = machine.person_with("bo", &["approve", id], "api\n");
        assert!(ok, "{text}");
    };
    let refund = propose(REFUND);
    sign(&refund);
    let run = machine.json(&["show", &refund], "", None)["run"].as_str().unwrap().to_owned();
    let shown = machine.json(&["result", "show", &run], "", None).to_string();
    assert!(shown.contains("signed by Ada, Bo"), "{shown}");

    let whole = service.seen.lock().unwrap()[0].clone();
    let (arrived, now) = (Arrived::of(&whole), Timestamp::now());
    let provider = Provider::read(&origin, &trusted).unwrap();
    let receipt = arrived.check(&provider, now).unwrap();
    assert_eq!(
        (receipt.people.as_slice(), receipt.proposal.to_string()),
        (&["Ada".to_owned(), "Bo".to_owned()][..], refund)
    );
    assert!(send(service.port, &whole).contains("409"), "a second time");

    // Another implementation of RFC 9421 says the same.
    let key = trusted.split(' ').nth(3).unwrap().lines().next().unwrap();
    assert_eq!(verified_elsewhere(&arrived, &origin, key), "true");
    let payouts = arrived.with(|a| a.target = a.target.replace("refunds", "payouts"));
    assert_ne!(verified_elsewhere(&payouts, &origin, key), "true");

    // Whatever is changed on the way.
    let check = |arrived: &Arrived| arrived.check(&provider, now);
    for (what, changed, wanted) in [
        ("body", arrived.with(|a| a.body[12] ^= 1), Refused::Message),
        ("method", arrived.with(|a| a.method = "PUT".into()), Refused::Message),
        ("path", arrived.with(|a| a.target = a.target.replace("refunds", "payouts")), Refused::Message),
        ("query", arrived.with(|a| a.target = a.target.replace("=no", "=yes")), Refused::Message),
        ("header", arrived.with(|a| *a.header("x-ticket") = "18".into()), Refused::OtherRequest),
        ("header gone", arrived.with(|a| a.headers.retain(|(n, _)| n != "x-ticket")), Refused::OtherRequest),
        ("digest", arrived.with(|a| a.header("content-digest").push(' ')), Refused::Message),
        ("receipt", arrived.with(|a| a.header("wetink-receipt").push('A')), Refused::Message),
        ("no receipt", arrived.with(|a| a.headers.retain(|(n, _)| n != "wetink-receipt")), Refused::Absent),
        (
            "two receipts",
            arrived.with(|a| {
                let one = a.headers.iter().find(|(n, _)| n == "wetink-receipt").unwrap().clone();
                a.headers.push(one);
            }),
            Refused::Absent,
        ),
        (
            "created",
            arrived.with(|a| {
                let input = a.header("signature-input");
                *input = input.replace("created=1", "created=2");
            }),
            Refused::Message,
        ),
        (
            "components",
            arrived.with(|a| {
                let input = a.header("signature-input");
                *input = input.replace(" \"content-digest\"", "");
            }),
            Refused::Malformed,
        ),
        (
            "algorithm",
            arrived.with(|a| {
                let input = a.header("signature-input");
                *input = input.replace("ed25519", "hmac-sha256");
            }),
            Refused::Malformed,
        ),
    ] {
        assert_eq!(check(&changed).unwrap_err(), wanted, "{what}");
    }
    // Another place, another time, other people, more people.
    let at = |origin: &str, file: &str| Provider::read(origin, file).unwrap();
    assert_eq!(arrived.check(&at("https://other.example", &trusted), now), Err(Refused::Message));
    assert_eq!(arrived.check(&provider, now.plus_seconds(301)), Err(Refused::Time));
    let without_bo: String = trusted.lines().filter(|line| !line.contains("Bo;")).map(|l| format!("{l}\n")).collect();
    assert_eq!(arrived.check(&at(&origin, &without_bo), now), Err(Refused::Person));
    let without_gateway: String =
        trusted.lines().filter(|l| !l.starts_with("gateway")).map(|l| format!("{l}\n")).collect();
    assert_eq!(arrived.check(&at(&origin, &without_gateway), now), Err(Refused::Gateway));
    assert_eq!(arrived.check(&provider.clone().at_least(3), now), Err(Refused::TooFew));
    assert!(Provider::read(&origin, "person Ada ssh-ed25519 AAAA").is_err());

    // The receipt of one request on another one, by somebody who could have the gateway send it.
    let other = propose(&REFUND.replace("4990", "4991"));
    sign(&other);
    let other = Arrived::of(&service.seen.lock().unwrap().last().unwrap().clone());
    assert!(other.check(&provider, Timestamp::now()).is_ok());
    let receipt = arrived.headers.iter().find(|(n, _)| n == "wetink-receipt").unwrap().1.clone();
    assert_eq!(other.with(|a| *a.header("wetink-receipt") = receipt).check(&provider, now), Err(Refused::Message));
    // A request that brings such a header itself is not sent.
    let posing = propose(&REFUND.replace("x-ticket: 17", "wetink-receipt: x"));
    let before = service.seen.lock().unwrap().len();
    machine.person_with("key", &["approve", &posing], "api\n");
    machine.person_with("bo", &["approve", &posing], "api\n");
    assert_eq!(service.seen.lock().unwrap().len(), before);
}
