//! `test` and `ci`: the only gate, the same for people and for CI.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::graph::Workspace;
use crate::run::{Outcome, cargo, on_path, run, stream};
use crate::{demo, deps, npm, pypi, setup, tidy};

/// Results of test programs, added up.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
}

impl Tally {
    /// Adds what a line such as `test result: ok. 3 passed; 0 failed; ...` says.
    fn see(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result: ") else { return };
        let mut before = "";
        for word in counts.split([' ', ';']).filter(|word| !word.is_empty()) {
            let count = before.parse::<u64>().unwrap_or(0);
            match word {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
            before = word;
        }
    }
}

/// What the tests need of the machine.
pub(crate) fn prepare() -> Outcome {
    setup::ensure(setup::TO_TEST)?;
    npm::ensure()?;
    pypi::ensure(&pypi::AWS).map(|_| ())
}

/// Runs every check, with `slow` also the lane of real agents' hosts and of other versions of PostgreSQL, which brings about 1.3 GB by npm
/// and pip. All of them run, whatever fails.
pub(crate) fn test(slow: bool) -> Outcome {
    prepare()?;
    let mut failures = Vec::new();
    let mut step = |name: &str, work: &mut dyn FnMut() -> Outcome| {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        let seconds = start.elapsed().as_secs_f64();
        if let Err(error) = &outcome {
            println!("{error}");
            failures.push(name.to_owned());
        }
        println!("== {name}: {} in {seconds:.1} s", if outcome.is_ok() { "ok" } else { "FAILED" });
    };

    step("fmt", &mut || run(cargo().args(["fmt", "--all", "--check"])));
    step("clippy", &mut || run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])));
    step("deps", &mut deps::run);
    step("tidy", &mut tidy::run);
    step("deny", &mut deny);
    step("doc", &mut || {
        run(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
    let mut tally = Tally::default();
    step("tests", &mut || {
        // Every test program runs, so that the sum is the whole sum.
        let mut command = cargo();
        command.args(["test", "--workspace", "--no-fail-fast"]);
        if slow {
            // Shown as they print it: what a host answered, and which ones this machine cannot bring.
            command.env("WETINK_SLOW", "1").args(["--", "--nocapture"]);
        }
        let ok = stream(&mut command, |line| tally.see(line))?;
        if ok { Ok(()) } else { Err("`cargo test --workspace` failed".to_owned()) }
    });
    if slow {
        step("other versions of PostgreSQL", &mut crate::servers::test);
    }
    step("demo", &mut || match demo::run_demo(&["--unattended".to_owned()])? {
        0 => Ok(()),
        code => Err(format!("`wetink demo --unattended` ended with {code}")),
    });

    println!();
    let (passed, failed) = (tally.passed, total_failed(&tally, &failures));
    if !failures.is_empty() {
        println!("failed: {}", failures.join(", "));
    }
    println!("{passed} passed, {failed} failed");
    if failures.is_empty() { Ok(()) } else { Err("not everything holds, see above".to_owned()) }
}

/// Tests that failed, and each other step that did: zero only if all is well.
fn total_failed(tally: &Tally, failures: &[String]) -> u64 {
    let steps = failures.iter().filter(|name| *name != "tests" || tally.failed == 0).count();
    tally.failed + u64::try_from(steps).unwrap_or(u64::MAX)
}

/// `test`, after bringing the tools that a person may do without.
pub(crate) fn ci() -> Outcome {
    prepare()?;
    if deny_program()?.is_none() {
        println!("== cargo-deny: installing into the target folder");
        let tools = Workspace::load()?.target.join("tools");
        run(cargo().args(["install", "cargo-deny", "--locked", "--root"]).arg(tools))?;
    }
    test(false)
}

fn deny_program() -> Outcome<Option<PathBuf>> {
    if on_path("cargo-deny") {
        return Ok(Some(PathBuf::from("cargo-deny")));
    }
    let ours = Workspace::load()?.target.join("tools/bin/cargo-deny");
    Ok(ours.is_file().then_some(ours))
}

/// Licenses, bans and sources. Advisories need a database from the network: `cargo deny check advisories` by hand.
fn deny() -> Outcome {
    let Some(program) = deny_program()? else {
        println!("skipped: cargo-deny is not here; `cargo xtask ci` installs it");
        return Ok(());
    };
    let mut command = Command::new(program);
    run(command.current_dir(crate::run::root()).args(["--all-features", "check", "bans", "licenses", "sources"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut tally = Tally::default();
        tally.see("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s");
        tally.see("\u{1b}[32mtest result: FAILED. 3 passed; 2 failed; 0 ignored");
        tally.see("test some::test ... ok");
        tally.see("5 passed");
        assert_eq!(tally, Tally { passed: 15, failed: 2 });
    }

    #[test]
    fn a_failed_step_is_never_zero_failed() {
        let tally = Tally { passed: 9, failed: 0 };
        assert_eq!(total_failed(&tally, &[]), 0);
        assert_eq!(total_failed(&tally, &["clippy".to_owned()]), 1);
        assert_eq!(total_failed(&tally, &["tests".to_owned()]), 1);
        let broken = Tally { passed: 9, failed: 2 };
        assert_eq!(total_failed(&broken, &["tests".to_owned(), "tidy".to_owned()]), 3);
    }
}
