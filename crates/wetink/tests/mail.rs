//! Alerts go out by mail, over a real mail server: once each, also after a crash, and encrypted unless it is on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
#[allow(dead_code, reason = "no browser here")]
mod browser_tools;
mod machine;
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use machine::{Machine, WETINK};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use support::Folder;

struct Server {
    child: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mail/server.mjs"));
        command.env("WETINK_NPM", browser_tools::packages().parent().unwrap());
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let first: Value = serde_json::from_str(&lines.next().expect("node's smtp-server is missing")).unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        std::thread::spawn(move || {
            lines.for_each(|line| kept.lock().unwrap().push(serde_json::from_str(&line).unwrap()));
        });
        Self { child, port: u16::try_from(first["port"].as_u64().unwrap()).unwrap(), mails }
    }

    fn subjects(&self) -> Vec<String> {
        let subject = |mail: &Value| {
            let text = mail["text"].as_str().unwrap().to_owned();
            text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned()
        };
        self.mails.lock().unwrap().iter().map(subject).collect()
    }

    fn wait(&self, what: &str) {
        let until = Instant::now() + Duration::from_secs(30);
        while !self.subjects().iter().any(|subject| subject.contains(what)) {
            assert!(Instant::now() < until, "{what}: {:?}", self.subjects());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn add(folder: &Folder, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(WETINK)
        .args(["webhook", "add"])
        .args(arguments)
        .env("WETINK_HOME", folder.0.join("home"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
}

const PEOPLE: [&str; 4] = ["--mail-from", "Wetink <wetink@corp.example>", "--mail-to", "ops@corp.example"];

#[test]
fn alerts_go_out_by_mail_once() {
    let folder = Folder::new();
    let refuse = folder.0.join("refuse");
    let server = Server::start(&[("MAIL_REFUSE", refuse.to_str().unwrap())]);
    let url = format!("smtp://127.0.0.1:{}", server.port);
    for bad in [
        [&[url.as_str(), "--mail-from", "nobody", "--mail-to", "ops@corp.example"][..], &[]].concat(),
        [&["https://mail.example/"][..], &PEOPLE].concat(),
        [&["smtp://user@mail.example"][..], &PEOPLE].concat(),
    ] {
        assert!(!add(&folder, &bad, "").0, "{bad:?}");
    }
    let (ok, text) = add(&folder, &[&[url.as_str()][..], &PEOPLE].concat(), "");
    assert!(ok, "{text}");
    let machine = Machine::start_in(folder, WETINK);
    let pass = machine.furnish();
    let propose = |machine: &Machine, sql: &str| {
        machine.run(&["propose", "--target", "shop", "--purpose", "secret-words"], sql, Some(&pass))
    };
    // The server refuses at first, and the gateway is killed before it takes anything.
    std::fs::write(&refuse, "").unwrap();
    propose(&machine, "DELETE FROM orders WHERE id = 1");
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(server.subjects(), [""; 0]);
    let folder = machine.killed();
    std::fs::remove_file(&refuse).unwrap();
    let machine = Machine::start_in(folder, WETINK);
    server.wait("out_of_scope");
    propose(&machine, "SELECT 1; DROP TABLE orders");
    server.wait("multi_statement");
    let subjects = server.subjects();
    let once =
        ["not_from_request", "out_of_scope", "multi_statement"].map(|s| format!("Wetink alert: {s} (robin at shop)"));
    assert_eq!(subjects, once, "once each, and nothing else");
    for mail in server.mails.lock().unwrap().iter() {
        let text = mail["text"].as_str().unwrap();
        assert_eq!(
            (mail["from"].as_str().unwrap(), &mail["to"]),
            ("wetink@corp.example", &serde_json::json!(["ops@corp.example"]))
        );
        assert!(text.contains("/r/p-") && text.contains("Message-ID: <msg_"), "{text}");
        assert!(!["DELETE", "DROP", "secret-words"].iter().any(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_password_goes_only_where_the_name_is_proved() {
    let folder = Folder::new();
    let place = |name: &str| folder.0.join(name).display().to_string();
    let certificate = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        std::fs::write(place(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(place(&format!("{name}.key")), key.serialize_pem()).unwrap();
    };
    certificate("honest");
    certificate("mallory");
    let password = "a secret & more";
    let start = |name: &str| {
        let (key, pem) = (place(&format!("{name}.key")), place(&format!("{name}.pem")));
        Server::start(&[("MAIL_KEY", &key), ("MAIL_CERTIFICATE", &pem), ("MAIL_PASSWORD", password)])
    };
    let (honest, mallory) = (start("honest"), start("mallory"));
    let ca = place("honest.pem");
    for server in [&honest, &mallory] {
        let url = format!("smtp://localhost:{}", server.port);
        let arguments = [&[url.as_str(), "--ca-file", &ca, "--mail-user", "wetink"][..], &PEOPLE].concat();
        let (ok, text) = add(&folder, &arguments, &format!("{password}\n"));
        assert!(ok && !text.contains(password), "{text}");
    }
    let machine = Machine::start_in(folder, WETINK);
    let pass = machine.furnish();
    machine.run(&["propose", "--target", "shop", "--purpose", "x"], "DELETE FROM orders WHERE id = 1", Some(&pass));
    honest.wait("out_of_scope");
    let mail = honest.mails.lock().unwrap()[0].clone();
    assert!(mail["secure"] == true && mail["user"] == "wetink", "{mail}");
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(mallory.mails.lock().unwrap().is_empty(), "another certificate gets nothing");
}
