//! The real binary as `wetink up` starts it, with OpenSSH's own signer and a pseudo-terminal.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::support::Folder;

pub const WETINK: &str = env!("CARGO_BIN_EXE_wetink");

/// A gateway in a folder of its own, and a person and agents who use it by the command line.
pub struct Machine {
    pub folder: Folder,
    up: Up,
    pub people: String,
    pub agents: String,
    pub token: String,
}

/// The supervisor.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        // Guard and desk end with their supervisor, however it ends.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    pub fn start() -> Self {
        Self::start_as(WETINK)
    }

    /// With another build of the binary as the gateway.
    pub fn start_as(binary: impl AsRef<std::ffi::OsStr>) -> Self {
        Self::start_in(Folder::new(), binary)
    }

    /// In a folder that may hold a gateway's home already.
    pub fn start_in(folder: Folder, binary: impl AsRef<std::ffi::OsStr>) -> Self {
        let mut up = Command::new(binary)
            .args(["up", "--people", "127.0.0.1:0", "--agents", "127.0.0.1:0", "--json", "--dir"])
            .arg(folder.0.join("home"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: serde_json::Value = serde_json::from_str(&line).unwrap();
        // Once a key is enrolled there is no such link any more.
        let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        Self { up: Up(up), people: text("people"), agents: text("agents"), token: text("enrollment"), folder }
    }

    /// kill -9; what is left is its folder.
    pub fn killed(self) -> Folder {
        drop(self.up);
        self.folder
    }

    /// kill -9 of the guard, or of its children of that role.
    pub fn kill(&self, role: &str) {
        let home = self.path("home");
        let of = |pid: &str, what: &str| {
            String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default()).into_owned()
        };
        let names =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
        let pids: Vec<String> = names.filter(|name| name.bytes().all(|b| b.is_ascii_digit())).collect();
        let is_ours = |pid: &String| {
            let line = of(pid, "cmdline");
            line.contains("\0guard\0") && line.contains(home.to_str().unwrap())
        };
        let guards: Vec<String> = pids.iter().filter(|pid| is_ours(pid)).cloned().collect();
        for pid in &pids {
            let status = of(pid, "status");
            let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap_or_default();
            let child =
                of(pid, "cmdline").contains(&format!("\0{role}\0")) && guards.iter().any(|guard| guard == parent);
            if (role == "guard" && guards.contains(pid)) || child {
                let _ = Command::new("kill").args(["-9", pid]).status();
            }
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
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
    pub fn run(&self, arguments: &[&str], input: &str, pass: Option<&str>) -> Output {
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

    pub fn json(&self, arguments: &[&str], input: &str, pass: Option<&str>) -> serde_json::Value {
        let output = self.run(&[arguments, &["--json"]].concat(), input, pass);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// In a terminal, where a person types `typed`.
    pub fn person(&self, arguments: &[&str], typed: &str) -> (bool, String) {
        self.person_with("key", arguments, typed)
    }

    /// A key of that name, granted to `person` as a reviewer.
    pub fn reviewer(&self, person: &str, key: &str) {
        let path = self.path(key);
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status().unwrap();
        assert!(made.success());
        let public = path.with_extension("pub");
        let (ok, text) = self.person(&["key", "grant", person, public.to_str().unwrap(), "--role", "reviewer"], "");
        assert!(ok, "{text}");
    }

    /// The same, with another key.
    pub fn person_with(&self, key: &str, arguments: &[&str], typed: &str) -> (bool, String) {
        let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
        let mut command = Command::new("script");
        self.prepare(&mut command);
        command.env("WETINK_KEY", self.path(key));
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

impl Machine {
    /// Ada's key, a shop of 40 orders, a task for robin with its scope. Answers robin's pass.
    pub fn furnish(&self) -> String {
        let key = self.path("key");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status().unwrap();
        assert!(made.success());
        let shop = self.path("shop.db");
        let db = rusqlite::Connection::open(&shop).unwrap();
        db.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT NOT NULL, customer TEXT NOT NULL);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)
             INSERT INTO orders SELECT i, 'paid', 'c' || i || '@example.com' FROM n;",
        )
        .unwrap();
        let enrolled = self.run(&["key", "enroll", "Ada", "--token", &self.token], "", None);
        assert!(enrolled.status.success(), "{}", String::from_utf8_lossy(&enrolled.stderr));
        let address = format!("sqlite:{}", shop.display());
        let (ok, text) =
            self.person(&["target", "add", "shop", &address, "--label", "main.orders.customer=personal"], "");
        assert!(ok, "{text}");
        let scope = ["--may", "read main.orders", "--may", "update main.orders(status)", "--auto-reads"];
        let task = [&["task", "new", "Refund the batch", "--agent", "robin", "--target", "shop"], &scope[..]].concat();
        let (ok, text) = self.person(&task, "");
        assert!(ok, "{text}");
        self.pass_of("shop")
    }

    /// A pass for the open task of that target.
    pub fn pass_of(&self, target: &str) -> String {
        let tasks = self.json(&["task", "list"], "", None);
        let mut statements = tasks.as_array().unwrap().iter().filter_map(|task| task["statement"].as_str());
        let ours = statements.find(|statement| statement.contains(&format!("\ntarget: {target} "))).unwrap();
        let task = ours.lines().find_map(|line| line.strip_prefix("task: ")).unwrap();
        self.json(&["task", "pass", task], "", None)["pass"].as_str().unwrap().to_owned()
    }
}

/// A request to one of the doors.
pub struct Asked<'a> {
    pub base: &'a str,
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, String)],
    pub body: &'a str,
}

/// One request on a connection of its own. Answers the status, and where a redirection leads.
pub fn ask(asked: &Asked<'_>) -> (u16, String, String) {
    let authority = asked.base.trim_start_matches("http://");
    let port = authority.split(':').nth(1).unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    let mut text = format!(
        "{} {} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n",
        asked.method,
        asked.path,
        asked.body.len()
    );
    if !asked.headers.iter().any(|(name, _)| *name == "host") {
        let _ = write!(text, "host: {authority}\r\n");
    }
    for (name, value) in asked.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text += "\r\n";
    text += asked.body;
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // An event stream does not end by itself; its head is enough.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let location = answer.lines().find_map(|l| l.strip_prefix("location: ")).unwrap_or_default().trim().to_owned();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned();
    (status, location, body)
}

/// What OpenSSH signs with that key, for that purpose.
pub fn signed(key: &Path, namespace: &str, text: &str) -> String {
    let mut signer = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", namespace, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    signer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(signer.wait_with_output().unwrap().stdout).unwrap()
}

/// A session of whoever holds this key.
pub fn session(machine: &Machine, key: &Path) -> String {
    let json = [("content-type", "application/json".to_owned())];
    let post = |path: &str, body: &str| {
        let asked = Asked { base: &machine.people, method: "POST", path, headers: &json, body };
        let (status, _, body) = ask(&asked);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let challenge = post("/api/v1/login/challenge", "{}");
    let armored = signed(key, "wetink-login@v1", challenge["text"].as_str().unwrap());
    let login = serde_json::json!({ "id": challenge["id"], "signature": { "type": "ssh", "armored": armored } });
    post("/api/v1/login", &login.to_string())["token"].as_str().unwrap().to_owned()
}
