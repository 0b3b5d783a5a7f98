//! `bench` and `measure`: both are subcommands of the `bench` program, built for release.

use crate::graph::Workspace;
use crate::run::{Outcome, cargo, exit_code};
use crate::setup;

/// The crate that has the program.
const CRATE: &str = "bench";

/// Builds the program and hands it the command. The exit code is the program's.
pub(crate) fn run(command: &str, arguments: &[String]) -> Outcome<u8> {
    if !Workspace::load()?.crates.contains(CRATE) {
        return Err(format!("nothing to run: this workspace has no crate `{CRATE}`"));
    }
    setup::ensure(setup::TO_DEMO)?;
    exit_code(cargo().args(["run", "--release", "--quiet", "--package", CRATE, "--", command]).args(arguments))
}
