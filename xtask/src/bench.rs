//! `bench` and `measure`: both are subcommands of the `bench` program, built for release.

use crate::run::{Outcome, cargo, exit_code};
use crate::setup;

/// Builds the program and hands it the command. The exit code is the program's.
pub(crate) fn run(command: &str, arguments: &[String]) -> Outcome<u8> {
    setup::ensure(setup::TO_DEMO)?;
    exit_code(cargo().args(["run", "--release", "--quiet", "--package", "bench", "--", command]).args(arguments))
}
