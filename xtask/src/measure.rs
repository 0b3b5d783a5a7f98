//! `measure NAME [--size N]`: one measurement, a `name: value` line for each figure. Each is a test that the gate runs too, at
//! a smaller size.

use std::process::Command;

use crate::run::{Outcome, cargo, stream};
use crate::setup;

/// One measurement.
struct Measure {
    name: &'static str,
    /// What `cargo test` runs.
    arguments: &'static [&'static str],
    /// Variable that carries the size, and the full size.
    size: Option<(&'static str, &'static str)>,
}

const MEASURES: &[Measure] = &[
    Measure {
        name: "crash",
        arguments: &["-p", "wetink", "--test", "crash", "kill_at_any_point"],
        size: Some(("WETINK_POINTS", "2000")),
    },
    Measure {
        name: "hostile",
        arguments: &["-p", "wetink", "--test", "hostile", "a_hostile_desk_gets_nothing"],
        size: None,
    },
    Measure {
        name: "tamper",
        arguments: &["--release", "-p", "audit", "--lib", "every_changed_byte_is_found"],
        size: Some(("WETINK_ENTRIES", "1000")),
    },
];

/// Runs one measurement and prints its figures.
pub(crate) fn run(arguments: &[String]) -> Outcome<u8> {
    let known = || MEASURES.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
    let (name, size) = match arguments {
        [name] => (name, None),
        [name, option, size] if option == "--size" && size.parse::<u64>().is_ok() => (name, Some(size.as_str())),
        _ => return Err(format!("usage: measure NAME [--size N]; known: {}", known())),
    };
    let Some(measure) = MEASURES.iter().find(|m| m.name == name) else {
        return Err(format!("unknown measurement `{name}`; known: {}", known()));
    };
    setup::ensure(setup::TO_TEST)?;
    let mut command: Command = cargo();
    command.arg("test").args(measure.arguments).args(["--", "--nocapture", "--exact"]);
    // The last argument of a unit test is its path within the crate, so only whole-program tests match exactly.
    if measure.arguments.contains(&"--lib") {
        command = cargo();
        command.arg("test").args(measure.arguments).args(["--", "--nocapture"]);
    }
    if let Some((variable, full)) = measure.size {
        command.env(variable, size.unwrap_or(full));
    }
    let mut figures = 0;
    let ok = stream(&mut command, |line| {
        if line.split_once(": ").is_some_and(|(name, value)| is_name(name) && value.parse::<u64>().is_ok()) {
            figures += 1;
        }
    })?;
    if ok && figures > 0 { Ok(0) } else { Err(format!("the measurement `{name}` does not hold")) }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
