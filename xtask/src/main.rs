//! The project's commands, `cargo xtask COMMAND`. Needs nothing but Rust, because it is what installs the rest.

mod bench;
mod bless;
mod blocks;
mod demo;
mod deps;
mod fuzz;
mod gate;
mod graph;
mod json;
mod measure;
mod npm;
mod pypi;
mod run;
mod servers;
mod setup;
mod source;
mod tcb;
mod tidy;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  demo [ARGS]          install what the build needs, build, and run the demonstration
  test [--slow]        every check and every test, the same as CI; --slow adds real agents' hosts and other versions of PostgreSQL (1.3 GB by npm and pip)
  ci                   test, after installing cargo-deny into the target folder
  setup                install what the build and the tests need
  deps                 check the arrows between crates
  tcb                  size of the trusted base
  tidy                 check the repository's rules
  bless [--docs]       rewrite golden files; with --docs only the blocks of ARCHITECTURE.md
  bench [ARGS]         time the release build against floors and anchors; docs/performance.md
  fuzz TARGET [--seconds N]  libFuzzer on one property of fuzz/, on stable Rust
  measure NAME [--size N]  one measurement, a figure a line: crash, crash-postgresql, hostile, lock, minted,
                       oracle, policy, sql, tamper";

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let arguments = arguments.collect::<Vec<_>>();
    let done = match (command.as_str(), arguments.as_slice()) {
        ("demo", arguments) => demo::run_demo(arguments),
        ("bench", arguments) => bench::run_bench(arguments),
        ("fuzz", arguments) => fuzz::fuzz(arguments).map(|()| 0),
        ("measure", arguments) => measure::run(arguments),
        ("bless", arguments) => bless::bless(arguments).map(|()| 0),
        ("test", []) => gate::test(false).map(|()| 0),
        ("test", [lane]) if lane == "--slow" => gate::test(true).map(|()| 0),
        ("ci", []) => gate::ci().map(|()| 0),
        ("setup", []) => gate::prepare().map(|()| 0),
        ("deps", []) => deps::run().map(|()| 0),
        ("tcb", []) => tcb::run().map(|()| 0),
        ("tidy", []) => tidy::run().map(|()| 0),
        ("" | "help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            Ok(0)
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("xtask {command}: {error}");
            ExitCode::FAILURE
        }
    }
}
