//! `demo`: from a fresh checkout to the demonstration.

use std::process::Command;

use crate::graph::Workspace;
use crate::run::{Outcome, cargo, exit_code, run};
use crate::setup;

/// Builds the product and runs its demonstration. The exit code is the demonstration's.
pub(crate) fn run_demo(arguments: &[String]) -> Outcome<u8> {
    setup::ensure(setup::TO_DEMO)?;
    // The dev profile: a first build takes minutes in it and a quarter of an hour in release.
    run(cargo().args(["build", "--package", "wetink"]))?;
    let binary = Workspace::load()?.target.join("debug").join("wetink");
    exit_code(Command::new(binary).arg("demo").args(arguments))
}
