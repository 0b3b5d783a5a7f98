//! The MCP conformance suite against the product's agents' door, at the newest revision and at the one that most hosts speak.
//!
//! What the suite wants and the product does not offer stands in a baseline with its reason. It is strict: a scenario that is
//! listed and passes fails the run. A second build puts the suite's fixtures before the same handler.
//! Every check is in `target/conformance/checks` afterwards. The slow lane: `cargo xtask test --slow`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use machine::{Machine, WETINK};

const SUITE: [&str; 2] = ["@modelcontextprotocol/conformance@0.2.0-alpha.12", "node@22"];

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_product_conforms_where_it_can() {
    if std::env::var_os("WETINK_SLOW").is_none() {
        println!("slow lane: not asked for (cargo xtask test --slow)");
        return;
    }
    let folder = Path::new(WETINK).ancestors().nth(2).unwrap().join("conformance");
    let brought = folder.join("brought");
    if std::fs::read_to_string(&brought).ok().as_deref() != Some(&SUITE.join(" ")) {
        std::fs::create_dir_all(&folder).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--save-exact", "--prefix"]).arg(&folder).args(SUITE);
        if !npm.stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            println!("conformance: skipped: npm cannot bring {}", SUITE.join(" "));
            return;
        }
        std::fs::write(&brought, SUITE.join(" ")).unwrap();
    }
    let built = with_fixtures(&folder);
    for (build, machine) in [("", Machine::start()), ("fixtures-", Machine::start_as(built))] {
        conforms(&folder, &machine, build);
    }
}

/// The same binary with the suite's fixtures before its handler, in a target folder of its own.
fn with_fixtures(folder: &Path) -> PathBuf {
    let target = folder.join("build");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "-p", "wetink", "--features", "conformance", "--target-dir"]).arg(&target);
    assert!(build.status().unwrap().success(), "the build with fixtures");
    target.join("debug/wetink")
}

fn conforms(folder: &Path, machine: &Machine, build: &str) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let pass = machine.furnish();
    let node = folder.join("node_modules/node/bin/node");
    let mut proxy = Command::new(&node)
        .arg(here.join("proxy.mjs"))
        .env("WETINK_TOKEN", &pass)
        .env("WETINK_URL", format!("{}/mcp", machine.agents))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let _proxy = Proxy(proxy);
    for revision in ["2026-07-28", "2025-11-25"] {
        let out = Command::new(&node)
            .arg(folder.join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
            .args(["server", "--suite", "all", "--spec-version", revision])
            .args(["--url", &format!("http://127.0.0.1:{}/mcp", port.trim())])
            .arg("-o")
            .arg(folder.join(format!("checks/{build}{revision}")))
            .arg("--expected-failures")
            .arg(here.join(format!("baseline-{build}{revision}.yml")))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{build}{revision}:\n{text}\n{}", String::from_utf8_lossy(&out.stderr));
        println!(
            "conformance {build}{revision}: {}",
            text.lines().rev().find(|l| l.contains("passed")).unwrap_or_default()
        );
    }
}
