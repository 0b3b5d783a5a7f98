//! Counting syncs from outside, by the kernel's own trace of the process.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// `strace` attached to a process and all its threads.
pub(crate) struct Counter(Child);

impl Counter {
    /// Attaches; none if there is no `strace` or it may not.
    pub(crate) fn attach(id: u32) -> Result<Option<Self>> {
        let arguments = ["-f", "-c", "-e", "trace=fdatasync,fsync", "-p", &id.to_string()];
        let started = Command::new("strace").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = started else { return Ok(None) };
        let mut lines = BufReader::new(child.stderr.take().context("no output")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        child.stderr = Some(lines.into_inner());
        Ok(line.contains("attached").then_some(Self(child)))
    }

    /// Detaches and gives the number of syncs seen.
    pub(crate) fn finish(self) -> Result<u64> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGINT)?;
        let output = self.0.wait_with_output()?;
        let table = String::from_utf8_lossy(&output.stderr).into_owned();
        // Columns: share of time, seconds, microseconds a call, calls, errors if any, name.
        let calls = table.lines().filter(|line| line.ends_with(" fdatasync") || line.ends_with(" fsync"));
        Ok(calls.filter_map(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok()).sum())
    }
}
