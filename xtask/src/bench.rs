//! `bench [ARGS]`: builds the product and the benchmark as they ship, and runs the benchmark.

use std::process::Command;

use crate::graph::Workspace;
use crate::run::{Outcome, cargo, exit_code, run};
use crate::setup;

/// Builds both and hands the arguments over. The exit code is the benchmark's.
pub(crate) fn run_bench(arguments: &[String]) -> Outcome<u8> {
    setup::ensure(setup::TO_DEMO)?;
    // One after the other: built together, the product would get features that only the benchmark asks for.
    for package in ["wetink", "bench"] {
        run(cargo().args(["build", "--release", "--package", package]))?;
    }
    let binary = Workspace::load()?.target.join("release").join("bench");
    exit_code(Command::new(binary).args(arguments))
}
