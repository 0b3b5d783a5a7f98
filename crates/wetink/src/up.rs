//! Guard and desk as two processes of one laptop, watched by a third that holds nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::exit::{Exit, Failure};
use crate::home::Home;

/// Longest a process may take until it is ready.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Guard and desk at work.
pub(crate) struct Pair {
    guard: Child,
    desk: Child,
    /// The one-time enrollment token, on the very first start.
    pub(crate) enrollment: Option<String>,
    /// People's address.
    pub(crate) people: String,
    /// Agents' address.
    pub(crate) agents: String,
}

/// How the pair is started.
pub(crate) struct Start<'a> {
    pub(crate) home: &'a Home,
    pub(crate) people: SocketAddr,
    pub(crate) agents: SocketAddr,
    /// The vault's passphrase, handed over a pipe; none: the vault's key file.
    pub(crate) passphrase: Option<&'a str>,
}

/// Starts the guard, then the desk, and waits until both are ready.
pub(crate) fn start(start: &Start<'_>) -> Result<Pair> {
    let program = std::env::current_exe().context("cannot find my own program file")?;
    start.home.prepare()?;
    let mut guard = Command::new(&program);
    guard.args(["guard", "--end-with-parent", "--dir"]).arg(start.home.root());
    if start.passphrase.is_some() {
        guard.arg("--passphrase-stdin");
    }
    let mut guard = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start the guard")?;
    {
        let mut stdin = guard.stdin.take().context("the guard has no input")?;
        if let Some(passphrase) = start.passphrase {
            stdin.write_all(passphrase.as_bytes())?;
        }
    }
    let lines = ready_lines(&mut guard, "guard")?;
    let enrollment = lines.iter().find_map(|line| line.strip_prefix("enroll ").map(str::to_owned));
    let desk = Command::new(&program)
        .args(["desk", "--end-with-parent", "--dir"])
        .arg(start.home.root())
        .args(["--people", &start.people.to_string(), "--agents", &start.agents.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut desk = match desk {
        Ok(desk) => desk,
        Err(error) => {
            let _ = guard.kill();
            return Err(error).context("cannot start the desk");
        }
    };
    let lines = match ready_lines(&mut desk, "desk") {
        Ok(lines) => lines,
        Err(error) => {
            let _ = guard.kill();
            return Err(error);
        }
    };
    let value =
        |name: &str| lines.iter().find_map(|line| line.strip_prefix(name).map(str::to_owned)).unwrap_or_default();
    Ok(Pair { guard, desk, enrollment, people: value("people "), agents: value("agents ") })
}

/// Lines a child prints until it says `ready`.
fn ready_lines(child: &mut Child, name: &str) -> Result<Vec<String>> {
    let stdout = child.stdout.take().context("no output")?;
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let until = Instant::now() + READY_WITHIN;
    let mut lines = Vec::new();
    loop {
        match receive.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line == "ready" => return Ok(lines),
            Ok(line) => lines.push(line),
            Err(_) => {
                let _ = child.kill();
                let status = child.wait()?;
                return Err(Failure::of(
                    Exit::Error,
                    format!("the {name} did not start ({status}); its own words stand above"),
                ));
            }
        }
    }
}

impl Pair {
    /// Waits until one of the two ends, and ends the other.
    pub(crate) async fn wait(&mut self) -> Result<()> {
        loop {
            for (name, child) in [("guard", &mut self.guard), ("desk", &mut self.desk)] {
                if let Some(status) = child.try_wait()? {
                    return Err(Failure::of(
                        Exit::Error,
                        format!(
                            "the {name} ended ({status}); the other one is ended too. Start again with `wetink up`"
                        ),
                    ));
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Process ids of guard and desk.
    pub(crate) fn ids(&self) -> (u32, u32) {
        (self.guard.id(), self.desk.id())
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // The desk first: it has nothing to lose. The guard writes nothing without a sync, so it may be ended at any point.
        for child in [&mut self.desk, &mut self.guard] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// True if a gateway was set up in this folder.
pub(crate) fn is_set_up(home: &Home) -> bool {
    home.guard().join("ledger.db").exists()
}

/// True if a guard listens there.
pub(crate) fn socket_exists(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}
