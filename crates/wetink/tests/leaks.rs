//! The hunt for planted credentials: after everything that can be done with two real databases, a service and a program that tell everything was done, and much of it failed on
//! purpose, no file, answer, error, message or process listing holds one of them in any form they take on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
#[path = "../../execute/tests/mariadb_server/mod.rs"]
mod mariadb_server;
#[path = "../../execute/tests/support/mod.rs"]
mod server;
mod support;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use machine::Machine;
use mariadb_server::Mariadb;
use server::Server;

/// A secret that nobody has by chance.
fn planted(name: &str) -> String {
    let random = artifact::Digest::of(artifact::RunId::random().to_string().as_bytes()).hex();
    format!("Zq{name}{}", &random[..24])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A secret in each form in which it can stand in something. Of Base64 the part that does not depend on what is before it.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let raw = secret.as_bytes();
    let mut forms = vec![
        raw.to_vec(),
        secret.chars().rev().collect::<String>().into_bytes(),
        hex(raw).into_bytes(),
        hex(raw).to_uppercase().into_bytes(),
        raw.iter().map(|b| format!("%{b:02X}")).collect::<String>().into_bytes(),
        raw.iter().map(|b| format!("\\x{b:02x}")).collect::<String>().into_bytes(),
        raw.iter().flat_map(|b| [*b, 0]).collect(),
    ];
    for shift in 0..3 {
        let shifted = [&vec![b'x'; shift][..], raw].concat();
        for text in [STANDARD_NO_PAD.encode(&shifted), URL_SAFE_NO_PAD.encode(&shifted)] {
            let from = if shift == 0 { 0 } else { 4 };
            forms.push(text.as_bytes()[from..text.len() - 3].to_vec());
        }
    }
    forms
}

/// What is searched, by name.
#[derive(Default)]
struct Places(Mutex<Vec<(String, Vec<u8>)>>);

impl Places {
    fn add(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.lock().unwrap().push((name.to_owned(), bytes.into()));
    }

    fn files(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                self.files(&path);
            } else if path.is_file() {
                self.add(&path.display().to_string(), std::fs::read(&path).unwrap_or_default());
            }
        }
    }

    /// Names and forms of what is found.
    fn hits(&self, secrets: &[(&str, String)]) -> Vec<String> {
        let places = self.0.lock().unwrap();
        let mut hits = Vec::new();
        for (what, secret) in secrets {
            for (n, form) in forms(secret).iter().enumerate() {
                let finder = memchr::memmem::Finder::new(form);
                let found = places.iter().filter(|(_, bytes)| finder.find(bytes).is_some());
                hits.extend(found.map(|(name, _)| format!("{what} (form {n}) in {name}")));
            }
        }
        hits
    }
}

/// Command lines and environments of the gateway's own processes, again and again.
fn watch(places: &Places, over: &AtomicBool) {
    let mut seen = std::collections::BTreeSet::new();
    while !over.load(Ordering::Relaxed) {
        for entry in std::fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
            let of = |name: &str| std::fs::read(entry.path().join(name)).unwrap_or_default();
            let line = of("cmdline");
            let roles: [&[u8]; 4] = [b"guard", b"desk", b"executor", b"up"];
            let ours = line.split(|b| *b == 0).nth(1).is_some_and(|role| roles.contains(&role));
            if ours && memchr::memmem::find(&line, b"wetink").is_some() {
                let all = [line, of("environ"), of("comm"), of("wchan")].concat();
                if seen.insert(all.clone()) {
                    places.add(&format!("process {}", entry.file_name().display()), all);
                }
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Answers with everything it was sent, in several forms.
fn echo() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut part = [0; 8192];
            let read = stream.read(&mut part).unwrap_or(0);
            let raw = &part[..read];
            let text = String::from_utf8_lossy(raw);
            let secret = text.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or_default();
            let percent: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
            let body = format!(
                "{text}\n{}\n{}\n{}\n{}\n{percent}",
                STANDARD.encode(raw),
                STANDARD.encode(format!("user:{secret}")),
                URL_SAFE_NO_PAD.encode(format!("us:{secret}!")),
                hex(secret.as_bytes())
            );
            let head = format!("HTTP/1.1 401 No\r\nlocation: /?key={secret}\r\ncontent-length: {}\r\n\r\n", body.len());
            // In pieces, so that it stands across the ends of them.
            for piece in (head + &body).as_bytes().chunks(7) {
                if stream.write_all(piece).and_then(|()| stream.flush()).is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// Runs a command, and keeps what it said to be searched.
type ByHand<'a> = dyn Fn(&[&str], &str, Option<&str>) -> serde_json::Value + 'a;

/// Everything that can be done with a service that sends its credential back. Answers the agent's pass.
fn a_service_that_tells(machine: &Machine, by_hand: &ByHand<'_>, person: &dyn Fn(&[&str]), secret: &str) -> String {
    by_hand(&["secret", "set", "api"], secret, None);
    let origin = format!("http://127.0.0.1:{}", echo());
    person(&["target", "add", "api", &origin, "--credential", "api", "--request", "GET /**", "--request", "POST /**"]);
    let scope = ["--may", "call GET /**", "--may", "call POST /**", "--auto-reads"];
    person(&[&["task", "new", "Look and pay", "--agent", "robin", "--target", "api"], &scope[..]].concat());
    let pass = machine.pass_of("api");
    let propose = |text: &str| {
        by_hand(&["propose", "--target", "api", "--purpose", "try", "--wait", "2", "--json"], text, Some(&pass))
    };
    let read = propose("GET /everything");
    assert_eq!(read["status"], "released", "{read}");
    assert!(read.to_string().contains("[credential]"), "it was told, and taken out: {read}");
    let id = propose("POST /pay\n\nx")["proposal_id"].as_str().unwrap().to_owned();
    let arm = machine.json(&["show", &id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    let (ok, text) = machine.person(&["approve", &id], &format!("{arm}\n"));
    assert!(ok, "{text}");
    let run = machine.json(&["show", &id], "", None)["run"].as_str().unwrap().to_owned();
    by_hand(&["result", "show", &run], "", None);
    person(&["result", "release", &run, "--column", "status", "--column", "body", "--column", "location"]);
    by_hand(&["wait", &id, "--json"], "", Some(&pass));
    by_hand(&["receipt", "get", &run], "", None);
    pass
}

/// A program that gives its credential back in every way it can think of, also where it fails.
const TELLS: &str = r#"
import base64, json, os, sys, urllib.parse
s = os.environ["TOKEN"]; b = s.encode()
ways = [s, base64.b64encode(b).decode(), base64.urlsafe_b64encode(b"us:" + b + b"!").decode(), b.hex(), b.hex().upper(),
    "".join("%%%02X" % c for c in b), urllib.parse.quote(s), json.dumps(s)]
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": s, "version": s}}
    if m["method"] == "tools/list": result = {"tools": [{"name": "tell", "description": "Tells.", "inputSchema": {}, "annotations": {"readOnlyHint": True}}]}
    if m["method"] == "tools/call":
        sys.stderr.write(s)
        if m["params"]["arguments"].get("fail"):
            print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -1, "message": " ".join(ways)}}), flush=True)
            continue
        result = {"content": [{"type": "text", "text": w} for w in ways] + [{"type": "resource_link", "uri": "x:" + s, "name": s}], "structuredContent": {s: ways}}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], "result": result}), flush=True)
"#;

/// The same with a program whose credential the vault does not hold itself.
fn a_tool_that_tells(machine: &Machine, by_hand: &ByHand<'_>, person: &dyn Fn(&[&str]), secret: &str, place: &Path) {
    let (script, token) = (place.join("server.py"), place.join("token"));
    std::fs::write(&script, TELLS).unwrap();
    std::fs::write(&token, secret).unwrap();
    by_hand(&["secret", "refer", "tool", "--", "/bin/cat", token.to_str().unwrap()], "", None);
    let python = Path::new("/usr/bin/python3").canonicalize().unwrap();
    let address = format!("mcp:{} {}", python.display(), script.display());
    let rules = ["--request", "ASK /tell", "--request", "CALL /tell", "--credential-variable", "TOKEN"];
    person(
        &[
            &["target", "add", "tool", &address, "--credential", "tool", "--reads", script.to_str().unwrap()],
            &rules[..],
        ]
        .concat(),
    );
    let scope = ["--may", "call ASK /tell", "--may", "call CALL /tell", "--auto-reads"];
    person(&[&["task", "new", "Let it tell", "--agent", "robin", "--target", "tool"], &scope[..]].concat());
    let pass = machine.pass_of("tool");
    for text in ["ASK /tell\n\n{}", "ASK /tell\n\n{\"fail\":true}"] {
        let told =
            by_hand(&["propose", "--target", "tool", "--purpose", "try", "--wait", "5", "--json"], text, Some(&pass));
        assert_eq!(told["status"] == "released", !text.contains("fail"), "{told}");
        assert!(text.contains("fail") || told.to_string().matches("[credential]").count() >= 8, "{told}");
    }
    let asked =
        by_hand(&["propose", "--target", "tool", "--purpose", "try", "--json"], "CALL /tell\n\n{}", Some(&pass));
    let id = asked["proposal_id"].as_str().unwrap().to_owned();
    by_hand(&["show", &id, "--from-guard"], "", None);
    let arm = machine.json(&["show", &id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    let (ok, text) = machine.person(&["approve", &id], &format!("{arm}\n"));
    assert!(ok, "{text}");
    let run = machine.json(&["show", &id], "", None)["run"].as_str().unwrap().to_owned();
    by_hand(&["result", "show", &run], "", None);
    person(&["result", "release", &run, "--column", "kind", "--column", "name", "--column", "text"]);
    by_hand(&["wait", &id, "--json"], "", Some(&pass));
}

#[test]
fn no_credential_is_anywhere() {
    let [for_pg, for_my, for_api, for_tool, wrong] = ["pg", "my", "api", "tool", "no"].map(planted);
    let elsewhere = support::Folder::new();
    let postgresql = Server::start();
    postgresql.sql(&format!(
        "CREATE TABLE orders (id int PRIMARY KEY, status text); INSERT INTO orders SELECT i, 'paid' FROM generate_series(1, 20) i;
         CREATE ROLE app LOGIN PASSWORD '{for_pg}'; GRANT SELECT, UPDATE ON orders TO app"
    ));
    postgresql.let_in("local all boss trust\nlocal all all scram-sha-256\n");
    let mariadb = Mariadb::start();
    mariadb.sql(&format!(
        "USE shop; CREATE TABLE orders (id int PRIMARY KEY, status varchar(40)); INSERT INTO orders SELECT seq, 'paid' FROM seq_1_to_20;
         CREATE USER app@'%' IDENTIFIED BY '{for_my}'; GRANT SELECT, UPDATE ON shop.orders TO app@'%'"
    ));
    let machine = Machine::start();
    machine.furnish();
    let (places, over) = (Places::default(), AtomicBool::new(false));
    let secrets = [
        ("PostgreSQL", for_pg.clone()),
        ("MariaDB", for_my.clone()),
        ("service", for_api.clone()),
        ("tool", for_tool.clone()),
        ("wrong", wrong.clone()),
    ];
    let mut passes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&places, &over));
        let by_hand = |arguments: &[&str], input: &str, pass: Option<&str>| {
            let output = machine.run(arguments, input, pass);
            places.add(&arguments.join(" "), [output.stdout.clone(), output.stderr].concat());
            serde_json::from_slice(&output.stdout).unwrap_or(serde_json::Value::Null)
        };
        let person = |arguments: &[&str]| {
            let (ok, text) = machine.person(arguments, "");
            places.add(&arguments.join(" "), text.clone());
            assert!(ok, "{arguments:?}: {text}");
        };
        let address =
            |scheme: &str, folder: String, rest: &str| format!("{scheme}://app@{}/{rest}", folder.replace('/', "%2F"));
        let pg = address("postgresql", postgresql.socket(), "postgres");
        let my = address("mariadb", mariadb.socket(), "shop");
        for (name, address, secret, schema) in [
            ("pg", &pg, &for_pg, "public"),
            ("my", &my, &for_my, "shop"),
            ("pgwrong", &pg, &wrong, "public"),
            ("mywrong", &my, &wrong, "shop"),
        ] {
            by_hand(&["secret", "set", name], secret, None);
            person(&["target", "add", name, address, "--credential", name]);
            let (read, update) = (format!("read {schema}.orders"), format!("update {schema}.orders(status)"));
            person(&[
                "task",
                "new",
                "Look and refund",
                "--agent",
                "robin",
                "--target",
                name,
                "--may",
                &read,
                "--may",
                &update,
                "--auto-reads",
            ]);
            let pass = machine.pass_of(name);
            let propose = |sql: &str| {
                by_hand(&["propose", "--target", name, "--purpose", "try", "--wait", "2", "--json"], sql, Some(&pass))
            };
            propose("SELECT id, status FROM orders WHERE id < 4");
            propose("SELECT nothing FROM orders");
            propose("SELECT version(), current_user");
            by_hand(&["check", "--target", name, "--json"], "SELECT 1; DROP TABLE orders", Some(&pass));
            let update = propose("UPDATE orders SET status = 'late' WHERE id = 1");
            if let Some(id) = update["proposal_id"].as_str() {
                by_hand(&["show", id], "", None);
                by_hand(&["show", id, "--rows"], "", None);
                by_hand(&["show", id, "--from-guard"], "", None);
                assert!(!name.contains("wrong"), "a wrong password made a proposal possible: {update}");
                person(&["approve", id]);
                let run = machine.json(&["show", id], "", None)["run"].as_str().unwrap().to_owned();
                by_hand(&["result", "show", &run], "", None);
                person(&["result", "release", &run]);
                by_hand(&["receipt", "get", &run], "", None);
            } else {
                assert!(name.contains("wrong"), "{update}");
            }
            passes.push(pass);
        }
        passes.push(a_service_that_tells(&machine, &by_hand, &person, &for_api));
        a_tool_that_tells(&machine, &by_hand, &person, &for_tool, &elsewhere.0);
        for arguments in [
            &["target", "list", "--json"][..],
            &["task", "list", "--json"],
            &["audit", "search", "--json"],
            &["audit", "search"],
            &["doctor"],
            &["policy", "show"],
            &["connect", "claude-code"],
            &["review", "--all", "--json"],
        ] {
            by_hand(arguments, "", None);
        }
        let copy = machine.path("copy");
        by_hand(&["audit", "export", copy.to_str().unwrap()], "", None);
        over.store(true, Ordering::Relaxed);
    });
    // While everything still runs, and once more when it was killed: what a crash leaves is searched as well.
    places.files(&machine.folder.0);
    let folder = machine.killed();
    places.files(&folder.0);

    // The hunt finds what there is to be found.
    let control = Places::default();
    for form in forms(&for_pg) {
        control.add("control", [b"before ", &form[..], b" after"].concat());
    }
    control.add("control", STANDARD.encode(format!("postgresql://app:{for_pg}@host/db")));
    assert!(control.hits(&secrets[..1]).len() > forms(&for_pg).len());

    let count = places.0.lock().unwrap().len();
    let processes = places.0.lock().unwrap().iter().filter(|(name, _)| name.starts_with("process")).count();
    assert!(processes > 4, "the processes were not seen: {processes}");
    let mut hits = places.hits(&secrets);
    // A pass is printed once to the person who made it; at rest there is its digest.
    let resting = Places::default();
    resting.files(&folder.0);
    let passes: Vec<(&str, String)> = passes.into_iter().map(|pass| ("pass", pass)).collect();
    hits.extend(resting.hits(&passes));
    println!("places: {count}\nhits: {}", hits.len());
    assert!(count > 60 && hits.is_empty(), "{hits:#?}");
}
