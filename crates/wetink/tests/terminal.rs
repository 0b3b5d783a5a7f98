//! A person at a terminal: the real binary, real processes, OpenSSH's own signer, a pseudo-terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use support::Folder;

const WETINK: &str = env!("CARGO_BIN_EXE_wetink");

struct Machine {
    folder: Folder,
    up: Child,
    people: String,
    agents: String,
    token: String,
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Guard and desk end with their supervisor, however it ends.
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

impl Machine {
    fn start() -> Self {
        let folder = Folder::new();
        let mut up = Command::new(WETINK)
            .args(["up", "--people", "127.0.0.1:0", "--agents", "127.0.0.1:0", "--json", "--dir"])
            .arg(folder.0.join("home"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| said[name].as_str().unwrap().to_owned();
        Self { up, people: text("people"), agents: text("agents"), token: text("enrollment"), folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.0.join(name)
    }

    fn prepare(&self, command: &mut Command) {
        command
            .env("WETINK_HOME", self.path("home"))
            .env("WETINK_SERVER", &self.people)
            .env("WETINK_AGENTS", &self.agents)
            .env("WETINK_KEY", self.path("key"));
    }

    /// Without a terminal.
    fn run(&self, arguments: &[&str], input: &str, pass: Option<&str>) -> Output {
        let mut command = Command::new(WETINK);
        self.prepare(&mut command);
        if let Some(pass) = pass {
            command.env("WETINK_TOKEN", pass);
        }
        let piped = || Stdio::piped();
        let mut child = command.args(arguments).stdin(piped()).stdout(piped()).stderr(piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    fn json(&self, arguments: &[&str], input: &str, pass: Option<&str>) -> serde_json::Value {
        let output = self.run(&[arguments, &["--json"]].concat(), input, pass);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// In a terminal, where a person types `typed`.
    fn person(&self, arguments: &[&str], typed: &str) -> (bool, String) {
        let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
        let mut command = Command::new("script");
        self.prepare(&mut command);
        let line = format!("{WETINK} {}", quoted.join(" "));
        let mut child =
            command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(stdin);
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

#[test]
fn the_whole_way_by_terminal_and_ssh_key() {
    let machine = Machine::start();
    let key = machine.path("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
    assert!(made.success());
    let shop = machine.path("shop.db");
    let db = rusqlite::Connection::open(&shop).unwrap();
    db.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT NOT NULL, customer TEXT NOT NULL)")
        .unwrap();
    for i in 1..=40 {
        db.execute("INSERT INTO orders VALUES (?1, 'paid', 'c' || ?1 || '@example.com')", [i]).unwrap();
    }

    let enrolled = machine.run(&["key", "enroll", "Ada", "--token", &machine.token], "", None);
    assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
    let address = format!("sqlite:{}", shop.display());
    // Granting needs a person.
    assert_eq!(machine.run(&["target", "add", "shop", &address], "y\n", None).status.code(), Some(2));
    let (ok, text) =
        machine.person(&["target", "add", "shop", &address, "--label", "main.orders.customer=personal"], "");
    assert!(ok, "{text}");
    let scope = ["--may", "read main.orders", "--may", "update main.orders(status)", "--auto-reads"];
    let (ok, text) = machine.person(
        &[&["task", "new", "Refund the batch", "--agent", "robin", "--target", "shop"], &scope[..]].concat(),
        "",
    );
    assert!(ok, "{text}");
    let statement = machine.json(&["task", "list"], "", None)[0]["statement"].as_str().unwrap().to_owned();
    let task = statement.lines().find_map(|l| l.strip_prefix("task: ")).unwrap().to_owned();
    let pass = machine.json(&["task", "pass", &task], "", None)["pass"].as_str().unwrap().to_owned();
    let agent = |arguments: &[&str], input: &str| machine.json(arguments, input, Some(&pass));

    // A read inside the scope runs; a labelled column asks.
    let read = agent(
        &["propose", "--target", "shop", "--purpose", "look", "--wait", "20"],
        "SELECT id, status FROM orders WHERE id < 4",
    );
    assert_eq!(
        (read["status"].as_str(), read["result"]["rows"].as_array().map(Vec::len)),
        (Some("released"), Some(3)),
        "{read}"
    );
    let update = "UPDATE orders SET status = 'refunded' WHERE id <= 5 RETURNING id, customer";
    let proposal = agent(&["propose", "--target", "shop", "--purpose", "refund"], update);
    let id = proposal["proposal_id"].as_str().unwrap().to_owned();
    assert_eq!(proposal["status"], "pending");
    let checked = agent(&["check", "--target", "shop"], "DROP TABLE orders");
    assert_eq!(checked["decision"], "ask");

    // Nobody at the terminal: nothing is signed.
    assert_eq!(machine.run(&["approve", &id], "y\n", None).status.code(), Some(2));
    let shown = machine.run(&["show", &id, "--from-guard"], "", None);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("at most 5 of 40"));
    let (ok, text) = machine.person(&["approve", &id], "");
    assert!(ok && text.contains("CHANGES 5 of 40"), "{text}");
    let count = |status: &str| -> i64 {
        db.query_row("SELECT count(*) FROM orders WHERE status = ?1", [status], |row| row.get(0)).unwrap()
    };
    assert_eq!(count("refunded"), 5);
    assert!(!machine.person(&["approve", &id], "").0, "a second run");
    let run = machine.json(&["show", &id], "", None)["run"].as_str().unwrap().to_owned();
    assert!(agent(&["wait", &id, "--timeout", "0"], "")["result"].is_null());
    let (ok, text) = machine.person(&["result", "release", &run, "--column", "id", "--mask", "customer"], "");
    assert!(ok, "{text}");
    let result = agent(&["wait", &id, "--timeout", "5"], "")["result"].clone();
    assert!(
        !result.to_string().contains("example.com") && result["rows"][0][1].as_str().unwrap().starts_with("masked_"),
        "{result}"
    );

    // Evidence, offline.
    let copy = machine.path("copy");
    let exported = machine.json(&["audit", "export", copy.to_str().unwrap()], "", None);
    let log_key = exported["log_key"].as_str().unwrap().to_owned();
    let verified = machine.json(&["audit", "verify", copy.to_str().unwrap(), "--log-key", &log_key], "", None);
    assert_eq!((verified["approvals"].as_u64(), verified["under_task"].as_u64()), (Some(1), Some(1)), "{verified}");
    let receipt = machine.run(&["receipt", "get", &run], "", None).stdout;
    std::fs::write(machine.path("receipt.json"), &receipt).unwrap();
    let check = |path: PathBuf| {
        machine.run(&["receipt", "verify", path.to_str().unwrap(), "--log-key", &log_key], "", None).status.code()
    };
    assert_eq!(check(machine.path("receipt.json")), Some(0));
    std::fs::write(machine.path("bent.json"), String::from_utf8(receipt).unwrap().replacen("started", "settled", 1))
        .unwrap();
    assert_eq!(check(machine.path("bent.json")), Some(6));

    // Stop needs no signature, resuming does.
    assert!(machine.run(&["stop", "all"], "", None).status.success());
    let stopped = machine.run(&["check", "--target", "shop"], "SELECT id FROM orders", Some(&pass));
    assert_eq!(stopped.status.code(), Some(3));
    assert_eq!(machine.run(&["resume", "all"], "", None).status.code(), Some(2));
    let (ok, text) = machine.person(&["resume", "all"], "");
    assert!(ok, "{text}");
    assert!(machine.run(&["check", "--target", "shop"], "SELECT id FROM orders", Some(&pass)).status.success());

    // The view made anew is the view as it grew.
    let grown = machine.json(&["store", "rebuild"], "", None)["fingerprint"].clone();
    assert_eq!(machine.json(&["store", "rebuild"], "", None)["fingerprint"], grown);
}
