//! People's own credentials: a run has those of the person it is for, and of nobody else, whatever connection is open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
#[path = "../../execute/tests/support/mod.rs"]
mod pg;
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use machine::Machine;
use serde_json::Value;
use wire::socket::Answer;

/// Answers over connections that stay; each request's line and credential.
struct Service {
    origin: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
    connections: Arc<Mutex<usize>>,
}

impl Service {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (seen, connections): (Arc<Mutex<Vec<_>>>, Arc<Mutex<usize>>) = (Arc::default(), Arc::default());
        let (kept, count) = (Arc::clone(&seen), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                *count.lock().unwrap() += 1;
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                    loop {
                        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
                        let Some(first) = head.first() else { return };
                        let header = head.iter().find_map(|line| line.strip_prefix("authorization: Bearer "));
                        kept.lock().unwrap().push((first.clone(), header.unwrap_or_default().to_owned()));
                        let answer =
                            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                        if (&stream).write_all(answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { origin, seen, connections }
    }

    /// The credential of the last request, which has to be of this path.
    fn last(&self, path: &str) -> String {
        let seen = self.seen.lock().unwrap();
        let (line, credential) = seen.last().unwrap();
        assert!(line.contains(path), "{line}");
        credential.clone()
    }
}

fn set(machine: &Machine, name: &[&str], value: &str) {
    let out = machine.run(&[&["secret", "set"], name].concat(), value, None);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// A machine where Ada and Bo may sign, with one target where each has a task.
fn furnish(add: &[&str], may: &[&str]) -> (Machine, String, String) {
    let machine = Machine::start();
    machine.furnish();
    machine.reviewer("Bo Berg", "bo");
    let (fine, text) = machine.person(add, "");
    assert!(fine, "{text}");
    let new = |title: &'static str| {
        [&["task", "new", title, "--agent", "robin", "--target", add[2], "--auto-reads"], may].concat()
    };
    let (fine, text) = machine.person(&new("For Ada"), "");
    assert!(fine, "{text}");
    let adas = machine.pass_of(add[2]);
    let (fine, text) = machine.person_with("bo", &new("For Bo"), "");
    assert!(fine, "{text}");
    let bos = machine.pass_of(add[2]);
    assert_ne!(adas, bos);
    (machine, adas, bos)
}

fn ask(machine: &Machine, target: &str, text: &str, pass: &str) -> Value {
    let asked = machine.json(&["propose", "--target", target, "--purpose", "as asked"], text, Some(pass));
    machine.json(&["wait", asked["proposal_id"].as_str().unwrap()], "", Some(pass))
}

#[test]
fn a_run_has_the_credential_of_the_person_it_is_for() {
    let service = Service::start();
    let rules = ["--request", "GET /**", "--request", "DELETE /**", "--credential", "crm"];
    let add = [&["target", "add", "crm", &service.origin][..], &rules, &["--credential-of", "requester"]].concat();
    let (machine, adas, bos) = furnish(&add, &["--may", "call GET /**", "--may", "call DELETE /**"]);
    set(&machine, &["crm"], "token-of-the-gateway");
    set(&machine, &["crm", "--of", "Ada"], "token-of-ada");

    // Nobody else's serves somebody who has none, and it is said before anything is spent.
    let told = ask(&machine, "crm", "GET /v1/0", &bos);
    assert_eq!(told["status"], "expired", "{told}");
    let shown = machine.json(&["show", told["proposal_id"].as_str().unwrap()], "", None).to_string();
    assert!(shown.contains("Bo Berg has no credential of their own there"), "{shown}");
    assert!(service.seen.lock().unwrap().is_empty());
    set(&machine, &["crm", "--of", "Bo Berg"], "token-of-bo");
    // In turn, over connections that stay: one each, and none of them is the other's.
    for n in 1..6 {
        for (pass, token) in [(&adas, "token-of-ada"), (&bos, "token-of-bo")] {
            let path = format!("/v1/{n}/{token}");
            assert_eq!(ask(&machine, "crm", &format!("GET {path}"), pass)["status"], "released");
            assert_eq!(service.last(&path), token);
        }
    }
    assert_eq!(*service.connections.lock().unwrap(), 2);

    // Whoever signs: it is the requester's.
    let asked = machine.json(&["propose", "--target", "crm", "--purpose", "x"], "DELETE /v1/1", Some(&adas));
    let id = asked["proposal_id"].as_str().unwrap();
    let arm = machine.json(&["show", id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    let (fine, text) = machine.person_with("bo", &["approve", id], &format!("{arm}\n"));
    assert!(fine, "{text}");
    assert!(text.contains("With the credential of Ada, who opened the task"), "{text}");
    assert_eq!(service.last("DELETE /v1/1"), "token-of-ada");
    let log = machine.json(&["audit", "search"], "", None).to_string();
    assert!(log.contains("credential_of") && !log.contains("token-of"), "{log}");
    // A registration cannot make it everybody's.
    let taken = ["target", "add", "mine", &service.origin, "--request", "GET /**", "--credential", "crm/of/Ada"];
    let (fine, text) = machine.person(&taken, "");
    assert!(!fine && text.contains("nobody else"), "{text}");
    // Another one in its place: the open connection is not used with it.
    set(&machine, &["crm", "--of", "Ada"], "token-of-ada-anew");
    assert_eq!(ask(&machine, "crm", "GET /v1/9", &adas)["status"], "released");
    assert_eq!(service.last("/v1/9"), "token-of-ada-anew");
    let listed = machine.json(&["secret", "list"], "", None).to_string();
    assert!(listed.contains("crm/of/Bo_20Berg") && !listed.contains("token"), "{listed}");
}

#[test]
fn a_signer_without_a_credential_loses_nothing() {
    let service = Service::start();
    let rules = ["--request", "GET /**", "--request", "DELETE /**", "--credential", "crm"];
    let add = [&["target", "add", "crm", &service.origin][..], &rules, &["--credential-of", "signer"]].concat();
    let (machine, adas, _) = furnish(&add, &["--may", "call GET /**"]);
    set(&machine, &["crm", "--of", "Ada"], "token-of-ada");
    let asked = machine.json(&["propose", "--target", "crm", "--purpose", "x"], "DELETE /v1/1", Some(&adas));
    let id = asked["proposal_id"].as_str().unwrap();
    let arm = machine.json(&["show", id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    let (fine, text) = machine.person_with("bo", &["approve", id], &format!("{arm}\n"));
    assert!(!fine && text.contains("Bo Berg has no credential of their own there"), "{text}");
    assert!(service.seen.lock().unwrap().is_empty());
    set(&machine, &["crm", "--of", "Bo Berg"], "token-of-bo");
    let (fine, text) = machine.person_with("bo", &["approve", id], &format!("{arm}\n"));
    assert!(fine, "{text}");
    assert!(text.contains("With the credential of whoever signs"), "{text}");
    assert_eq!(service.last("DELETE /v1/1"), "token-of-bo");
    let (fine, _) = machine.person(&["approve", id], &format!("{arm}\n"));
    assert!(!fine, "once");

    // Whose it would be has to be beyond doubt.
    let refused = |more: &[&str]| {
        let add = ["target", "add", "other", &service.origin, "--request", "GET /**"];
        !machine.person(&[&add[..], more].concat(), "").0
    };
    assert!(refused(&["--credential", "crm", "--credential-of", "signer", "--quorum", "2"]));
    assert!(refused(&["--credential-of", "requester"]));
    let file = format!("sqlite:{}", machine.path("shop.db").display());
    assert!(
        !machine.person(&["target", "add", "file", &file, "--credential", "crm", "--credential-of", "signer"], "").0
    );
}

/// The desk may be anybody's: the guard refuses such a registration although it is signed.
#[test]
fn nobody_registers_what_is_somebody_s_own() {
    let scene = support::Scene::new();
    let with = |credential: &str| {
        let registration = wire::target::Registration {
            name: "other".into(),
            credential: Some(credential.into()),
            ..scene.registration.clone()
        };
        scene.granted(&registration)
    };
    assert!(matches!(with("crm"), Answer::Done { .. }));
    // A password of one login for all is nobody's own.
    let login = |rights| wire::target::Registration {
        name: "db".into(),
        credential: Some("db".into()),
        credential_of: Some(wire::whose::Whose::Requester),
        address: wire::target::Address::Mariadb {
            host: "localhost".into(),
            port: 3306,
            database: "shop".into(),
            login: "app".into(),
            rights,
            tls: wire::target::Tls::Disable,
            ca_file: None,
        },
        ..scene.registration.clone()
    };
    assert!(matches!(scene.granted(&login(wire::target::Rights::Login)), Answer::Refused { .. }));
    assert!(matches!(scene.granted(&login(wire::target::Rights::Leased)), Answer::Done { .. }));
    for own in ["crm/of/Ada", "x/of/", "/of/Ada"] {
        assert!(matches!(with(own), Answer::Refused { .. }), "{own}");
    }
}

#[test]
fn a_database_is_met_with_the_person_s_own_login() {
    let server = pg::Server::start();
    server.sql(
        "CREATE TABLE notes (id int PRIMARY KEY, who text NOT NULL DEFAULT current_user, text text);
         CREATE ROLE looks LOGIN PASSWORD 'looks-4eC39'; CREATE ROLE ada LOGIN PASSWORD 'ada-4eC39'; CREATE ROLE bo LOGIN PASSWORD 'bo-4eC39';
         GRANT SELECT, UPDATE ON notes TO ada, bo; GRANT USAGE ON SCHEMA public TO ada, bo;
         INSERT INTO notes VALUES (1, 'ada', 'a'), (2, 'bo', 'b'), (3, 'ada', 'c');
         ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON notes USING (who = current_user)",
    );
    server.let_in("local all boss trust\nlocal all all scram-sha-256\n");
    let address = format!("postgres://looks@{}/postgres", server.socket().replace('/', "%2F"));
    let add = ["target", "add", "notes", &address, "--credential", "notes", "--credential-of", "requester"];
    let (machine, adas, bos) = furnish(&add, &["--may", "read public.notes", "--may", "update public.notes(text)"]);
    set(&machine, &["notes"], "looks\nlooks-4eC39");
    set(&machine, &["notes", "--of", "Ada"], "ada\nada-4eC39");
    set(&machine, &["notes", "--of", "Bo Berg"], "bo\nbo-4eC39");
    let rows = |pass: &str, n: u32| {
        let got = ask(&machine, "notes", &format!("SELECT id FROM notes WHERE id < {n} ORDER BY id"), pass);
        got["result"]["rows"].to_string()
    };
    for n in 10..13 {
        assert_eq!(rows(&adas, n), "[[\"1\"],[\"3\"]]");
        assert_eq!(rows(&bos, n), "[[\"2\"]]");
    }
    // Bo signs what Ada asked for: what Ada may not change is not changed.
    let sql = "UPDATE notes SET text = 'x' WHERE id > 0";
    let asked = machine.json(&["propose", "--target", "notes", "--purpose", "x"], sql, Some(&adas));
    let id = asked["proposal_id"].as_str().unwrap();
    let arm = machine.json(&["show", id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    let (fine, text) = machine.person_with("bo", &["approve", id], &format!("{arm}\n"));
    assert!(fine, "{text}");
    assert_eq!(server.sql("SELECT string_agg(text, ',' ORDER BY id) FROM notes"), "x,b,x");
}
