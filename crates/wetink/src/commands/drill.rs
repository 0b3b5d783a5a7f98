//! A drill: what an attacker would try first, tried on this installation, while it runs. Nothing is changed: what is handed in
//! is only checked, what is signed is signed by a key that nobody granted, and the log is spoiled in a copy.
//!
//! That everything holds says that these attempts fail here today, and no more.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use artifact::claim::Signed;
use audit::VerifierKey;
use audit::verify::{Contents, Options};
use doors::people::{QueueRow, ReviewView};
use serde::Serialize;
use wire::socket::{Answer, Request};

use crate::client::Client;
use crate::commands::evidence::Evidence;
use crate::commands::roles::ask_guard;
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;
use crate::sign;

/// How long a door may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes of a body that is too large for either door.
const TOO_LARGE: usize = 4 * 1024 * 1024;
/// Places in the copied log where a byte is changed.
const SPOILED: usize = 40;

/// One attempt.
#[derive(Serialize)]
struct Tried {
    /// What an attacker would have.
    area: &'static str,
    attempt: String,
    /// None: it could not be tried here.
    held: Option<bool>,
    told: String,
}

/// Everything tried so far.
#[derive(Default)]
struct Drill(Vec<Tried>);

impl Drill {
    fn add(&mut self, area: &'static str, attempt: &str, held: Option<bool>, told: impl Into<String>) {
        self.0.push(Tried { area, attempt: attempt.to_owned(), held, told: told.into() });
    }

    /// A request that has to be refused before anything is looked at.
    fn refused(&mut self, area: &'static str, attempt: &str, status: Result<u16>) {
        match status {
            // What is not there (404) was refused by nobody.
            Ok(status) => {
                let held = (400..500).contains(&status) && status != 404;
                self.add(area, attempt, Some(held), format!("answered {status}"));
            }
            // Not an answer, so nothing was refused; whether the gateway is there is asked apart.
            Err(error) => self.add(area, attempt, None, format!("no answer: {error}")),
        }
    }
}

/// Host and port of an `http://` address on this machine.
fn authority(base: &str) -> Result<(String, u16)> {
    let rest = base.strip_prefix("http://").context("a drill is for a gateway on this machine")?;
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "80"));
    Ok((host.to_owned(), port.parse().context("the address has no port")?))
}

/// Sends exactly these headers and this body. Answers the status.
fn send(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<u16> {
    let (host, port) = authority(base)?;
    let mut stream = TcpStream::connect((if host == "localhost" { "127.0.0.1" } else { &host }, port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {host}:{port}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    // A door may answer and close before it has read everything.
    let _ = stream.write_all(body);
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    let status = std::str::from_utf8(&start[9..]).unwrap_or_default().parse();
    status.context("the answer is not HTTP")
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Whoever reaches the doors and has nothing.
fn strangers(drill: &mut Drill, people: &str, agents: &str) {
    const AREA: &str = "no identity";
    let own = format!("Bearer {}", "a".repeat(43));
    let invented: (&str, &str) = ("authorization", &own);
    let host = ("host", "evil.example");
    let origin = ("origin", "http://evil.example");
    for (door, base, path) in [("agents' door", agents, "/v1/targets"), ("people's door", people, "/api/v1/overview")] {
        drill.refused(AREA, &format!("{door}: without a pass"), send(base, "GET", path, &[], b""));
        drill.refused(AREA, &format!("{door}: with an invented pass"), send(base, "GET", path, &[invented], b""));
        drill.refused(AREA, &format!("{door}: under another host's name"), send(base, "GET", path, &[host], b""));
    }
    drill.refused(
        AREA,
        "agents' door: from a page of another site",
        send(agents, "POST", "/mcp", &[origin, JSON], b"{}"),
    );
    let approve = "/api/v1/proposals/p-000000000000/approve";
    drill.refused(AREA, "an approval without a session", send(people, "POST", approve, &[JSON], b"{}"));
    let form = ("content-type", "application/x-www-form-urlencoded");
    drill.refused(
        AREA,
        "a stop from a page of another site",
        send(people, "POST", "/stop", &[origin, form], b"scope=all"),
    );
}

/// What no parser should choke on.
fn malformed(drill: &mut Drill, people: &str, agents: &str, pass: Option<&str>) {
    const AREA: &str = "malformed input";
    let deep = "[".repeat(100_000);
    let large = vec![b' '; TOO_LARGE];
    let bearer = pass.map(|pass| format!("Bearer {pass}"));
    let mut headers = vec![JSON, ("accept", "application/json, text/event-stream")];
    if let Some(bearer) = &bearer {
        headers.push(("authorization", bearer));
    }
    for (what, body) in [
        ("100,000 brackets", deep.as_bytes()),
        ("4 MiB of blanks", large.as_slice()),
        ("bytes that are no UTF-8", b"{\"a\":\"\xff\xfe\"}".as_slice()),
        ("half a document", b"{\"target\":".as_slice()),
    ] {
        drill.refused(AREA, &format!("agents' door: {what}"), send(agents, "POST", "/v1/check", &headers, body));
        let login = send(people, "POST", "/api/v1/login", &[JSON], body);
        drill.refused(AREA, &format!("people's door: {what}"), login);
    }
    let alive = matches!(send(agents, "GET", "/healthz", &[], b""), Ok(200));
    drill.add(
        AREA,
        "the gateway lives afterwards",
        Some(alive),
        if alive { "it answers" } else { "it does not answer" },
    );
}

/// An agent, or whoever has its pass.
async fn agents_tricks(drill: &mut Drill, people: &str, agents: &str, pass: Option<&str>) -> Result<()> {
    const AREA: &str = "an agent's pass";
    let Some(pass) = pass else {
        drill.add(AREA, "everything that needs one", None, "give it in WETINK_TOKEN (wetink task pass TASK)");
        return Ok(());
    };
    let bearer = format!("Bearer {pass}");
    for path in ["/api/v1/overview", "/api/v1/queue", "/api/v1/audit", "/api/v1/alerts"] {
        let asked = send(people, "GET", path, &[("authorization", &bearer)], b"");
        drill.refused(AREA, &format!("people's door: {path}"), asked);
    }
    let spoiled = format!("{}x", pass.get(..pass.len().saturating_sub(1)).unwrap_or_default());
    let asked = send(agents, "GET", "/v1/targets", &[("authorization", &format!("Bearer {spoiled}"))], b"");
    drill.refused(AREA, "a pass with one letter changed", asked);
    let client = Client::new(agents, Some(pass.to_owned()))?;
    let targets = match client.get::<serde_json::Value>("/v1/targets").await {
        Ok(answer) => answer["targets"].as_array().cloned().unwrap_or_default(),
        Err(error) => {
            drill.add(AREA, "artifacts that reach out", None, format!("the pass is not taken here: {error}"));
            return Ok(());
        }
    };
    for target in &targets {
        let (name, kind) = (target["name"].as_str().unwrap_or_default(), target["kind"].as_str().unwrap_or_default());
        for (what, body) in tricks(kind) {
            let asked = serde_json::json!({ "target": name, "body": body });
            let answer: Result<serde_json::Value> = client.post("/v1/check", &asked).await;
            let decision = answer.as_ref().ok().and_then(|answer| answer["decision"].as_str()).unwrap_or("refused");
            let held = decision != "allow";
            drill.add(AREA, &format!("{name}: {what}"), Some(held), decision.to_owned());
        }
    }
    Ok(())
}

/// Artifacts that no scope lets run by itself, by kind of target.
fn tricks(kind: &str) -> Vec<(&'static str, &'static str)> {
    match kind {
        "sql/postgresql" => vec![
            ("reads a file of the server", "SELECT pg_read_file('/etc/passwd')"),
            ("runs a program", "COPY (SELECT 1) TO PROGRAM 'id'"),
            ("a second statement", "SELECT 1; DROP SCHEMA public CASCADE"),
            ("becomes somebody else", "SET ROLE postgres"),
            ("reads password hashes", "SELECT rolpassword FROM pg_authid"),
            ("calls another server", "SELECT dblink_connect('host=192.0.2.1')"),
            ("a block of code", "DO $$ BEGIN EXECUTE 'DROP TABLE x'; END $$"),
            ("text that runs backwards", "SELECT 1 /* \u{202e} */"),
        ],
        "sql/mariadb" => vec![
            ("reads a file of the server", "SELECT load_file('/etc/passwd')"),
            ("writes a file of the server", "SELECT 1 INTO OUTFILE '/srv/x'"),
            ("a comment that runs", "SELECT 1 /*!50000 , sleep(9) */"),
            ("a second statement", "SELECT 1; DROP DATABASE mysql"),
            ("reads password hashes", "SELECT authentication_string FROM mysql.user"),
            ("text that runs backwards", "SELECT 1 /* \u{202e} */"),
        ],
        "sql/sqlite" => vec![
            ("opens another file", "ATTACH '/etc/passwd' AS p"),
            ("loads code", "SELECT load_extension('/srv/x.so')"),
            ("writes a file", "VACUUM INTO '/srv/x.db'"),
            ("turns safety off", "PRAGMA writable_schema = ON"),
            ("a second statement", "SELECT 1; DROP TABLE sqlite_schema"),
            ("text that runs backwards", "SELECT 1 /* \u{202e} */"),
        ],
        "http" => vec![
            ("leads elsewhere", "GET //evil.example/"),
            ("brings a credential of its own", "GET /\nauthorization: Bearer x"),
            ("goes up the path", "GET /a/../../admin"),
            ("a second request inside", "POST /\ntransfer-encoding: chunked\n\n0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n"),
        ],
        "mcp" => vec![
            ("a tool that is not there", "CALL /wetink_no_such_tool\n\n{}"),
            ("an argument twice", "CALL /x\n\n{\"a\":1,\"a\":2}"),
            ("a request in place of a call", "POST /\n\n{}"),
        ],
        _ => Vec::new(),
    }
}

/// Whoever can sign, with a key that nobody granted.
async fn forgeries(drill: &mut Drill, client: &Client, people: &str, folder: &Path) -> Result<()> {
    const AREA: &str = "forged signatures";
    let key = folder.join("stranger");
    let mut make = Command::new("ssh-keygen");
    make.args(["-q", "-t", "ed25519", "-N", "", "-C", "drill", "-f"]).arg(&key).stdin(Stdio::null());
    let made = make.status().is_ok_and(|status| status.success());
    if !made {
        drill.add(AREA, "everything that needs a key", None, "ssh-keygen is not here");
        return Ok(());
    }
    let open = Client::new(people, None)?;
    let challenge: serde_json::Value = open.post("/api/v1/login/challenge", &serde_json::json!({})).await?;
    let text = challenge["text"].as_str().unwrap_or_default();
    let signature = sign::sign(text, sign::LOGIN, &key)?;
    let login = serde_json::json!({ "id": challenge["id"], "signature": signature });
    let taken = open.post::<serde_json::Value>("/api/v1/login", &login).await;
    drill.add(AREA, "signing in with a key that nobody granted", Some(taken.is_err()), words(&taken));

    let waiting: Vec<QueueRow> = client.get("/api/v1/queue").await?;
    let pending = waiting.iter().find(|row| row.status == doors::agents::Status::Pending);
    let Some(pending) = pending else {
        drill.add(AREA, "approving with such a key", None, "no proposal waits; try again while one does");
        return Ok(());
    };
    let path = format!("/api/v1/proposals/{}", pending.id);
    let view: ReviewView = client.get(&path).await?;
    let Some(statement) = &view.statement else { return Ok(()) };
    let by_stranger = sign::sign(statement, sign::APPROVAL, &key)?;
    let changed = statement.replace("ceiling: rows<=", "ceiling: rows<=9");
    let for_another_purpose = sign::sign(statement, sign::LOGIN, &key)?;
    for (what, statement, signatures) in [
        ("approving with such a key", statement, vec![by_stranger.clone()]),
        ("approving with no signature", statement, vec![]),
        ("the same signature twice", statement, vec![by_stranger.clone(), by_stranger.clone()]),
        ("a signature over other words", &changed, vec![by_stranger]),
        ("a signature for another purpose", statement, vec![for_another_purpose]),
    ] {
        let claim = Signed { statement: statement.clone(), batch: None, signatures };
        let taken = client.post::<serde_json::Value>(&format!("{path}/approve"), &claim).await;
        drill.add(AREA, what, Some(taken.is_err()), words(&taken));
    }
    let after: ReviewView = client.get(&path).await?;
    let held = after.row.status == doors::agents::Status::Pending;
    drill.add(AREA, "the proposal waits as before", Some(held), after.row.status.as_str());
    Ok(())
}

fn words(taken: &Result<serde_json::Value>) -> String {
    match taken {
        Ok(_) => "taken".to_owned(),
        Err(error) => artifact::visible(&error.to_string()),
    }
}

/// Whoever can write where the log lies.
fn spoiled_log(drill: &mut Drill, home: &Home, folder: &Path) -> Result<()> {
    const AREA: &str = "a changed log";
    let copy = folder.join("log");
    let text = copy.to_str().context("the folder's path is not UTF-8")?.to_owned();
    let exported = ask_guard(home, &Request::Hello {}).and_then(|hello| {
        let Answer::Hello { log_key, .. } = hello else { anyhow::bail!("the guard answered out of turn") };
        ask_guard(home, &Request::Export { folder: text })?;
        Ok(log_key)
    });
    let log_key = match exported {
        Ok(key) => key,
        Err(error) => {
            drill.add(AREA, "everything that needs a copy of the log", None, artifact::visible(&error.to_string()));
            return Ok(());
        }
    };
    let key: VerifierKey = log_key.trim().parse().map_err(|_| Failure::of(Exit::Error, "the guard's key is no key"))?;
    let verify = || {
        let mut evidence = Evidence::default();
        let options = Options { contents: Contents::Partial, ..Options::default() };
        audit::dir::verify_dir(&copy, &key, &options, &mut |_, entry, contents| evidence.follow(entry, contents))
            .is_ok()
    };
    let good = verify();
    drill.add(AREA, "the copy as it is", Some(good), if good { "it verifies" } else { "it does not verify" });
    let files = files(&copy)?;
    let total: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut missed = Vec::new();
    for n in 0..SPOILED.min(total) {
        let mut at = n * total / SPOILED;
        let found = files.iter().find(|(_, bytes)| {
            let here = at < bytes.len();
            if !here {
                at -= bytes.len();
            }
            here
        });
        let Some((path, bytes)) = found else { continue };
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(path, &changed)?;
        if verify() {
            missed.push(format!("{} at {at}", path.strip_prefix(&copy).unwrap_or(path).display()));
        }
        fs::write(path, bytes)?;
    }
    let told =
        if missed.is_empty() { format!("each of {SPOILED} found") } else { format!("missed: {}", missed.join(", ")) };
    drill.add(AREA, "one bit changed, anywhere", Some(missed.is_empty()), told);
    Ok(())
}

/// Every file below a folder with its bytes; empty ones have none to change.
fn files(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let (mut left, mut found) = (vec![folder.to_owned()], Vec::new());
    while let Some(path) = left.pop() {
        if path.is_dir() {
            for inner in fs::read_dir(&path)? {
                left.push(inner?.path());
            }
        } else {
            let bytes = fs::read(&path)?;
            if !bytes.is_empty() {
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whoever has another account on the machine.
fn neighbours(drill: &mut Drill, home: &Home) {
    use std::os::unix::fs::PermissionsExt as _;
    const AREA: &str = "another account here";
    for (what, path) in [
        ("the guard's folder", home.guard()),
        ("the desk's folder", home.desk()),
        ("the operator's socket", home.operator_socket()),
        ("the desk's socket", home.desk_socket()),
    ] {
        let Ok(about) = fs::metadata(&path) else {
            drill.add(AREA, what, None, "it is not there");
            continue;
        };
        let mode = about.permissions().mode() & 0o777;
        drill.add(AREA, what, Some(mode % 0o100 == 0), format!("mode {mode:03o}"));
    }
    let confined = execute::probe();
    drill.add(AREA, "executors are confined to their files and ports", Some(confined.landlock), "Landlock");
    drill.add(AREA, "executors cannot start programs or trace", Some(confined.seccomp), "seccomp");
}

/// Tries everything, prints what held, and fails if anything did not.
pub(crate) async fn run(terminal: &Terminal, home: &Home, agents: &str, pass: Option<String>) -> Result<()> {
    let client = terminal.sign_in().await?;
    let people = terminal.server.clone();
    let folder = home.root().join(format!("drill-{}", artifact::RunId::random()));
    {
        use std::os::unix::fs::DirBuilderExt as _;
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
    }
    let mut drill = Drill::default();
    let tried = async {
        strangers(&mut drill, &people, agents);
        malformed(&mut drill, &people, agents, pass.as_deref());
        agents_tricks(&mut drill, &people, agents, pass.as_deref()).await?;
        forgeries(&mut drill, &client, &people, &folder).await?;
        spoiled_log(&mut drill, home, &folder)?;
        neighbours(&mut drill, home);
        Ok::<(), anyhow::Error>(())
    };
    let tried = tried.await;
    let _ = fs::remove_dir_all(&folder);
    tried?;
    let Drill(tried) = drill;
    let count = |held: Option<bool>| tried.iter().filter(|tried| tried.held == held).count();
    let (held, fell, skipped) = (count(Some(true)), count(Some(false)), count(None));
    terminal.print(&tried, || {
        let mut text = String::new();
        let mut area = "";
        for one in &tried {
            if one.area != area {
                area = one.area;
                text += &format!("{area}\n");
            }
            let mark = match one.held {
                Some(true) => "held",
                Some(false) => "FELL",
                None => "--  ",
            };
            text += &format!("  {mark}  {}  ({})\n", artifact::visible(&one.attempt), artifact::visible(&one.told));
        }
        text + &format!("{held} held, {fell} fell, {skipped} not tried. These are usual attempts; that they fail does not prove that others do.\n")
    })?;
    if fell > 0 {
        return Err(Failure::of(Exit::Unverified, format!("{fell} attempts did not fail as they should")));
    }
    Ok(())
}
