//! The product's own processes, started as a person would, with one enrolled person, one target and one task.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use approve::Nonce;
use approve::statement::GrantTarget;
use artifact::{Digest, TaskId, Timestamp};
use serde_json::{Value, json};
use testkit::SoftKey;
use wire::frame::{self, MAX_SOCKET_FRAME};
use wire::socket::{Answer, Request};
use wire::target::{Address, Registration};

use crate::corpus;
use crate::load::Connection;

/// Rows in the target.
const ROWS: u32 = 5_000;

/// A folder beside the program that goes away. Not in a memory file system: syncs are measured in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new one.
    pub(crate) fn new() -> Result<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().context("the program has no folder")?;
        let path = beside.join(format!("bench-work-{}", std::process::id()));
        private(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A folder that only this user enters, as the product demands.
pub(crate) fn private(path: &Path) -> Result<()> {
    Ok(std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?)
}

/// The product's program file, beside this one.
pub(crate) fn program() -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("wetink");
    ensure!(path.exists(), "there is no {}; `cargo xtask bench` builds it", path.display());
    Ok(path)
}

/// A process that says `ready`, ended on drop.
pub(crate) struct Process {
    child: Child,
    said: Vec<String>,
    /// From start to `ready`.
    pub(crate) ready: Duration,
}

impl Process {
    /// Starts a program, on the second half of the cores where that can be arranged, and waits until it is ready.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = match subject_cores() {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &cores]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let start = Instant::now();
        let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let mut process = Self { child, said: Vec::new(), ready: Duration::ZERO };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if line == "ready" {
                process.ready = start.elapsed();
                return Ok(process);
            }
            process.said.push(line);
        }
        bail!("{} {arguments:?} ended before it was ready", program.display())
    }

    /// What it said before `ready` after this word.
    pub(crate) fn said(&self, word: &str) -> Option<String> {
        self.said.iter().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned())
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time used so far, in microseconds. `/proc` counts it in hundredths of a second.
    pub(crate) fn cpu_us(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id()))?;
        let after = stat.rsplit(") ").next().context("unreadable /proc stat")?;
        let ticks: Vec<f64> = after.split(' ').skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
        Ok(ticks.iter().sum::<f64>() * 10_000.0)
    }

    /// Bytes handed to `write` so far, files and sockets; none where the process may not be looked into.
    pub(crate) fn written(&self) -> Option<f64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.id())).ok()?;
        io.lines().find_map(|line| line.strip_prefix("wchar: "))?.parse().ok()
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cores of the program under test: the upper half, none if there is only one or nothing to pin with.
pub(crate) fn subject_cores() -> Option<String> {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let found = Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    (count > 1 && found.is_ok_and(|status| status.success())).then(|| format!("{}-{}", count / 2, count - 1))
}

/// Keeps the load generator, this process, off the subject's cores for as long as it lives.
pub(crate) struct Pinned(Option<String>);

impl Pinned {
    /// Pins it.
    pub(crate) fn new() -> Self {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if subject_cores().is_none() {
            return Self(None);
        }
        pin(&format!("0-{}", count / 2 - 1));
        Self(Some(format!("0-{}", count - 1)))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(all) = &self.0 {
            pin(all);
        }
    }
}

fn pin(cores: &str) {
    let id = std::process::id().to_string();
    let _ = Command::new("taskset").args(["-a", "-c", "-p", cores, &id]).stdout(Stdio::null()).status();
}

/// How many cores the subject has.
pub(crate) fn cores_of_subject() -> f64 {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if subject_cores().is_some() { (count - count / 2) as f64 } else { count as f64 }
}

fn ask(socket: &Path, request: &Request) -> Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    frame::write(&mut stream, request, MAX_SOCKET_FRAME)?;
    match frame::read(&mut stream, MAX_SOCKET_FRAME)? {
        Answer::Refused { code, detail } => bail!("the guard refused: {code:?}: {detail}"),
        answer => Ok(answer),
    }
}

/// A gateway that was set up: its folder and what a person signed in it.
pub(crate) struct Gateway {
    /// Its folder.
    pub(crate) home: PathBuf,
    /// The person's key.
    pub(crate) ada: SoftKey,
    /// The task.
    pub(crate) task: TaskId,
    /// The task's signed statement.
    pub(crate) statement: String,
    /// The target's fingerprint.
    pub(crate) target: Digest,
}

impl Gateway {
    /// Starts a guard once and has it learn a person, a target and a task.
    pub(crate) fn set_up(folder: &Path) -> Result<Self> {
        let data = folder.join("data");
        private(&data)?;
        let database = data.join("shop.db");
        let mut db = rusqlite::Connection::open(&database)?;
        db.execute_batch(&format!("PRAGMA journal_mode = WAL; {}", corpus::DDL))?;
        let tx = db.transaction()?;
        for n in 0..ROWS {
            tx.execute("INSERT INTO orders VALUES (?1, 'paid', ?1 * 3, 'c' || ?1 || '@example.com')", [n])?;
        }
        tx.commit()?;
        drop(db);
        let (home, ada) = (folder.join("home"), SoftKey::new(7));
        private(&home)?;
        let guard = start_guard(&home)?;
        let socket = home.join("desk.sock");
        let token = guard.said("enroll ").context("a new guard gave no enrollment token")?;
        ask(&socket, &Request::EnrollFirst { token, person: "Ada".into(), key: ada.line() })?;
        let Answer::Hello { gateway, .. } = ask(&socket, &Request::Hello {})? else { bail!("no hello") };
        let registration = Registration {
            name: "shop".into(),
            address: Address::Sqlite { path: database.to_str().context("a path that is not UTF-8")?.into() },
            environment: "dev".into(),
            run_as: "owner".into(),
            credential: None,
            credential_of: None,
            statement_timeout_ms: 10_000,
            result_rows_max: 100,
            labels: std::collections::BTreeMap::default(),
            approvals: wire::target::Approvals::default(),
            payments: wire::payments::Payments::default(),
            idempotency_header: None,
            receipts: false,
            rotate_after_s: None,
            graphql: None,
        };
        let granted = GrantTarget {
            gateway,
            name: "shop".into(),
            registration: registration.fingerprint(),
            nonce: Nonce::random(),
            not_after: Timestamp::now().plus_seconds(600),
        };
        let attachment = Some(String::from_utf8(artifact::canonical::to_vec(&registration)?)?);
        ask(&socket, &Request::Grant { claim: ada.sign(&granted.to_text()?), attachment })?;
        let task = corpus::task(gateway, registration.fingerprint(), false)?;
        let statement = task.to_text()?;
        ask(&socket, &Request::Grant { claim: ada.sign(&statement), attachment: None })?;
        Ok(Self { home, ada, task: task.task, statement, target: registration.fingerprint() })
    }

    /// A service, its credential, and a task whose reads run by themselves. The guard runs for as long as it takes.
    pub(crate) fn grant_service(&self, registration: &Registration, key: &str) -> Result<TaskId> {
        let _guard = start_guard(&self.home)?;
        let socket = self.home.join("desk.sock");
        let Answer::Hello { gateway, .. } = ask(&socket, &Request::Hello {})? else { bail!("no hello") };
        let granted = GrantTarget {
            gateway,
            name: registration.name.clone(),
            registration: registration.fingerprint(),
            nonce: Nonce::random(),
            not_after: Timestamp::now().plus_seconds(600),
        };
        let attachment = Some(String::from_utf8(artifact::canonical::to_vec(registration)?)?);
        ask(&socket, &Request::Grant { claim: self.ada.sign(&granted.to_text()?), attachment })?;
        let value = wire::socket::SecretText(key.to_owned());
        ask(&self.home.join("operator.sock"), &Request::StoreSecret { name: "api".into(), value })?;
        let mut task = corpus::task(gateway, registration.fingerprint(), true)?;
        task.target_name.clone_from(&registration.name);
        task.may = vec!["call GET /v1/**".parse().map_err(|error| anyhow::anyhow!("scope: {error:?}"))?];
        task.rows_total = 1_000_000;
        ask(&socket, &Request::Grant { claim: self.ada.sign(&task.to_text()?), attachment: None })?;
        Ok(task.task)
    }

    /// Starts guard and desk on it.
    pub(crate) fn start(&self) -> Result<Running> {
        let guard = start_guard(&self.home)?;
        let home = self.home.to_str().context("a path that is not UTF-8")?;
        let arguments = ["desk", "--dir", home, "--people", "127.0.0.1:0", "--agents", "127.0.0.1:0"];
        let desk = Process::start(&program()?, &arguments)?;
        let people = desk.said("people ").context("the desk named no people's address")?;
        let agents = desk.said("agents ").context("the desk named no agents' address")?;
        Ok(Running { desk, guard, people, agents })
    }
}

fn start_guard(home: &Path) -> Result<Process> {
    Process::start(&program()?, &["guard", "--dir", home.to_str().context("a path that is not UTF-8")?])
}

/// Guard and desk at work. The desk ends first.
pub(crate) struct Running {
    /// The desk.
    pub(crate) desk: Process,
    /// The guard.
    pub(crate) guard: Process,
    /// People's address.
    pub(crate) people: String,
    /// Agents' address.
    pub(crate) agents: String,
}

const JSON: &str = "content-type: application/json\r\n";

impl Running {
    /// Signs a person in; gives the session's token.
    pub(crate) async fn sign_in(&self, key: &SoftKey) -> Result<String> {
        let mut open = Connection::open(&self.people).await?;
        let body = open.send("POST", "/api/v1/login/challenge", JSON, b"{}").await?.good()?;
        let challenge: Value = serde_json::from_slice(&body)?;
        let text = challenge["text"].as_str().context("a challenge without text")?;
        let signature = key.sign_as("wetink-login@v1", text).signatures.remove(0);
        let login = json!({ "id": challenge["id"], "signature": signature });
        let body = open.send("POST", "/api/v1/login", JSON, login.to_string().as_bytes()).await?.good()?;
        let logged_in: Value = serde_json::from_slice(&body)?;
        Ok(logged_in["token"].as_str().context("no token")?.to_owned())
    }

    /// Fresh passes for the task's agent.
    pub(crate) async fn passes(&self, token: &str, task: TaskId, count: usize) -> Result<Vec<String>> {
        let headers = format!("{JSON}authorization: Bearer {token}\r\n");
        let body = json!({ "task": task, "minutes": 60 }).to_string();
        let mut makers = Vec::new();
        // Several at once, so that they share syncs.
        for _ in 0..16 {
            let (people, headers, body) = (self.people.clone(), headers.clone(), body.clone());
            makers.push(tokio::spawn(async move {
                let mut connection = Connection::open(&people).await?;
                let mut passes = Vec::new();
                for _ in 0..count.div_ceil(16) {
                    let answer = connection.send("POST", "/api/v1/passes", &headers, body.as_bytes()).await?.good()?;
                    let answer: Value = serde_json::from_slice(&answer)?;
                    passes.push(answer["pass"].as_str().context("no pass")?.to_owned());
                }
                anyhow::Ok(passes)
            }));
        }
        let mut passes = Vec::with_capacity(count);
        for maker in makers {
            passes.extend(maker.await??);
        }
        Ok(passes)
    }
}
