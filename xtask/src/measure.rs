//! `measure NAME [--size N]`: one measurement, a `name: value` line for each figure. Each is a test that the gate runs too, at
//! a smaller size.

use std::path::PathBuf;
use std::process::Command;

use crate::run::{Outcome, cargo, stream};
use crate::{pypi, setup};

/// One measurement.
struct Measure {
    name: &'static str,
    /// What `cargo test` runs, one after the other.
    runs: &'static [&'static [&'static str]],
    /// Variable that carries the size, and the full size.
    size: Option<(&'static str, &'static str)>,
}

const MEASURES: &[Measure] = &[
    Measure {
        name: "crash",
        runs: &[&["-p", "wetink", "--test", "crash", "kill_at_any_point"]],
        size: Some(("WETINK_POINTS", "2000")),
    },
    Measure {
        name: "crash-postgresql",
        runs: &[&["-p", "wetink", "--test", "crash", "kill_at_any_point_of_a_run_on_postgresql"]],
        size: Some(("WETINK_POINTS", "200")),
    },
    Measure {
        name: "detectors",
        runs: &[&["-p", "analyze", "--lib", "precision_and_recall"]],
        size: Some(("WETINK_VALUES", "200000")),
    },
    Measure {
        name: "hostile",
        runs: &[&["-p", "wetink", "--test", "hostile", "a_hostile_desk_gets_nothing"]],
        size: None,
    },
    Measure {
        name: "intent",
        runs: &[&["-p", "wetink", "--test", "intent", "attacks_are_red_and_honest_calls_are_not"]],
        size: None,
    },
    Measure { name: "leaks", runs: &[&["-p", "wetink", "--test", "leaks", "no_credential_is_anywhere"]], size: None },
    Measure {
        name: "lock",
        runs: &[
            &["-p", "wetink", "--test", "sql", "a_weaker_effect_holds"],
            &["-p", "wetink", "--test", "dialects", "a_weaker_effect_holds_on_mariadb"],
        ],
        size: Some(("WETINK_LOCK", "5000")),
    },
    Measure {
        name: "minted",
        runs: &[&["-p", "wetink", "--test", "minted_crash", "nothing_is_left_after_kills"]],
        size: Some(("WETINK_KILLS", "500")),
    },
    Measure {
        name: "money",
        runs: &[&["-p", "wetink", "--test", "bank", "of_many_bodies_none_pays_another_amount_than_shown"]],
        size: Some(("WETINK_BODIES", "1000000")),
    },
    Measure {
        name: "oracle",
        runs: &[&["-p", "wetink", "--test", "oracle", "what_is_called_a_read_never_wrote"]],
        size: Some(("WETINK_STATEMENTS", "100000")),
    },
    Measure {
        name: "policy",
        runs: &[&["--release", "-p", "policy", "--lib", "nothing_errs_open"]],
        size: Some(("WETINK_DECISIONS", "100000")),
    },
    Measure {
        name: "sql",
        runs: &[
            &["-p", "wetink", "--test", "sql", "the_claimed_rights_are_enough"],
            &["-p", "wetink", "--test", "sql", "what_the_server_logged_was_claimed"],
            &["-p", "wetink", "--test", "dialects", "the_claims_hold_on_sqlite"],
            &["-p", "wetink", "--test", "dialects", "the_claimed_rights_are_enough_on_mariadb"],
            &["-p", "wetink", "--test", "dialects", "the_server_reads_no_more_than_is_claimed_on_mariadb"],
        ],
        size: Some(("WETINK_SQL", "10000")),
    },
    Measure {
        name: "ssrf",
        runs: &[&["-p", "wetink", "--test", "requests", "no_address_leads_elsewhere"]],
        size: None,
    },
    Measure {
        name: "tamper",
        runs: &[&["--release", "-p", "audit", "--lib", "every_changed_byte_is_found"]],
        size: Some(("WETINK_ENTRIES", "1000")),
    },
    Measure {
        name: "wire",
        runs: &[&["-p", "wetink", "--test", "requests", "the_wire_has_what_was_signed"]],
        size: Some(("WETINK_WIRE", "1000")),
    },
];

/// Options that name a folder, and the variable that carries it.
const FOLDERS: &[(&str, &str)] = &[("--corpus", "WETINK_CORPUS"), ("--data", "WETINK_DATA")];

/// Runs one measurement and prints its figures.
pub(crate) fn run(arguments: &[String]) -> Outcome<u8> {
    let known = || MEASURES.iter().map(|m| m.name).collect::<Vec<_>>().join(", ");
    let usage = || format!("usage: measure NAME [--size N] [--corpus DIR] [--data DIR]; known: {}", known());
    let Some((name, options)) = arguments.split_first() else { return Err(usage()) };
    let Some(measure) = MEASURES.iter().find(|m| m.name == name) else {
        return Err(format!("unknown measurement `{name}`; known: {}", known()));
    };
    let mut variables: Vec<(&str, String)> = measure.size.iter().map(|(v, full)| (*v, (*full).to_owned())).collect();
    for pair in options.chunks(2) {
        let [option, value] = pair else { return Err(usage()) };
        if let Some((_, variable)) = FOLDERS.iter().find(|(name, _)| name == option) {
            let folder = std::fs::canonicalize(value).map_err(|error| format!("`{value}`: {error}"))?;
            variables.push((variable, folder.display().to_string()));
        } else if let (Some((variable, _)), "--size", Ok(_)) = (measure.size, option.as_str(), value.parse::<u64>()) {
            variables.push((variable, value.clone()));
        } else {
            return Err(usage());
        }
    }
    setup::ensure(setup::TO_TEST)?;
    let (mut figures, mut ok) = (0, true);
    for words in measure.runs {
        let mut command: Command = cargo();
        command.arg("test").args(*words).args(["--", "--nocapture"]);
        // The name of a unit test is its path within the crate, so only whole-program tests match exactly.
        if !words.contains(&"--lib") {
            command.arg("--exact");
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        ok &= stream(&mut command, |line| figures += u32::from(is_figure(line)))?;
    }
    if name == "detectors" {
        let mut command = cargo();
        command.args(["run", "--quiet", "-p", "bench", "--", "public-set"]).arg(public_set()?);
        ok &= stream(&mut command, |line| figures += u32::from(is_figure(line)))?;
    }
    if ok && figures > 0 { Ok(0) } else { Err(format!("the measurement `{name}` does not hold")) }
}

/// Where the public set's data is.
fn public_set() -> Outcome<PathBuf> {
    Ok(pypi::ensure(&pypi::PUBLIC_SET)?.join("presidio_evaluator/data_generator/raw_data"))
}

/// `name: 12` or `name: 12.3`.
fn is_figure(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, value)| is_name(name) && value.parse::<f64>().is_ok())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}
