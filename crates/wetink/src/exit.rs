//! Exit codes: stable, part of the interface.

use std::process::ExitCode;

/// How a command failed; 0 is success. The numbers never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It failed.
    Error = 1,
    /// The command line is wrong, or the command needs a person at a terminal.
    Usage = 2,
    /// Denied or rejected.
    Denied = 3,
    /// Still pending, or time ran out.
    Pending = 4,
    /// What was shown no longer holds.
    Stale = 5,
    /// Verification failed.
    Unverified = 6,
    /// A way around the gateway was found.
    Bypass = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that carries its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The code.
    pub(crate) exit: Exit,
    /// What happened and what to do next.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with a code of its own.
    pub(crate) fn of(exit: Exit, message: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { exit, message: message.into() })
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The exit code of an error: its own, or 1.
pub(crate) fn code(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Failure>().map_or(Exit::Error, |failure| failure.exit)
}
