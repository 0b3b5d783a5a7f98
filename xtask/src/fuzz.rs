//! `fuzz TARGET [--seconds N]`: libFuzzer on one property, with coverage, on stable Rust.

use std::fs;
use std::process::Command;

use crate::run::{Outcome, cargo, output, root, run};

/// What makes the compiler count edges for libFuzzer (its `-fsanitize-coverage` of inline counters and a table of places).
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";

/// Builds the fuzzer beside the workspace and runs it; what it finds stays in `fuzz/corpus`.
pub(crate) fn fuzz(arguments: &[String]) -> Outcome {
    let usage = "usage: fuzz TARGET [--seconds N]; targets are the folders of fuzz/seeds";
    let (target, seconds) = match arguments {
        [target] => (target, "60"),
        [target, option, seconds] if option == "--seconds" && seconds.parse::<u32>().is_ok() => {
            (target, seconds.as_str())
        }
        _ => return Err(usage.to_owned()),
    };
    let folder = root().join("fuzz");
    let seeds = folder.join("seeds").join(target);
    if !seeds.is_dir() {
        return Err(format!("there is no target `{target}`; {usage}"));
    }
    let corpus = folder.join("corpus").join(target);
    fs::create_dir_all(&corpus).map_err(|error| format!("`{}`: {error}", corpus.display()))?;
    let mut build = cargo();
    build.args(["build", "--release", "--manifest-path"]).arg(folder.join("Cargo.toml")).env("RUSTFLAGS", FLAGS);
    // Named, so that the flags are for the fuzzer and not for what runs while it is built.
    let version = output(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not say its host")?;
    run(build.args(["--target", host, "--target-dir"]).arg(folder.join("target")))?;
    let mut fuzzer = Command::new(folder.join("target").join(host).join("release/fuzz"));
    fuzzer.env("FUZZ_TARGET", target).arg(format!("-max_total_time={seconds}")).arg(corpus).arg(seeds);
    run(fuzzer.arg(format!("-artifact_prefix={}/", folder.join("corpus").display())))
}
