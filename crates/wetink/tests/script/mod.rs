//! A server in JavaScript that prints what it sees, a line of JSON each; the first line says where it is.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::browser_tools;

/// It ends with this.
pub struct Script {
    child: Child,
    pub first: Value,
    seen: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Script {
    /// Starts `tests/NAME`.
    pub fn start(name: &str, environment: &[(&str, &str)]) -> Self {
        Self::run(Command::new("node"), name, environment)
    }

    /// Starts `tests/NAME` in Python, with packages of PyPI.
    pub fn start_python(name: &str, packages: &Path, environment: &[(&str, &str)]) -> Self {
        assert!(packages.is_dir(), "packages of PyPI are missing; `cargo xtask setup` brings them");
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", packages);
        Self::run(command, name, environment)
    }

    fn run(mut command: Command, name: &str, environment: &[(&str, &str)]) -> Self {
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name));
        command.env("WETINK_NPM", browser_tools::packages().parent().unwrap());
        let mut child = command.envs(environment.iter().copied()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // Packages print remarks of their own.
        let first = lines.by_ref().find_map(|line| serde_json::from_str(&line).ok());
        let first: Value = first.expect("the script did not start");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        std::thread::spawn(move || {
            lines.filter_map(|line| serde_json::from_str(&line).ok()).for_each(|line| kept.lock().unwrap().push(line));
        });
        Self { child, first, seen }
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.first["port"])
    }

    /// What it printed so far. It may print later than it answers.
    pub fn seen(&self) -> Vec<Value> {
        std::thread::sleep(Duration::from_millis(50));
        self.seen.lock().unwrap().clone()
    }

    /// Requests whose path has this part.
    pub fn asked(&self, part: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|one| one["path"].as_str().is_some_and(|path| path.contains(part))).count()
    }
}

/// Waits until it holds.
pub fn settled(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
