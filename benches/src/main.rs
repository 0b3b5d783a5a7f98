//! Measures the product: every row runs the product's own code or its own processes beside an anchor, in turns, so that a
//! busy machine slows both alike. Only ratios within one run count. `docs/performance.md` has the goals and how to read it.
//!
//! Read [`measure`] first, then [`table`]; every other module is one subject with its rows.
#![allow(clippy::cast_precision_loss, reason = "figures are printed with three digits")]

mod analysis;
mod corpus;
mod decision;
mod detectors;
mod echo;
mod floors;
mod footprint;
mod growth;
mod hop;
mod load;
mod log;
mod mcp;
mod measure;
mod page;
mod peers;
mod product;
mod propose;
mod public;
mod requests;
mod runs;
#[path = "../../crates/execute/tests/support/mod.rs"]
mod server;
mod syncs;
mod table;
mod through;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::table::Table;

const USAGE: &str = "usage: cargo xtask bench [--quick|--full] [--peers] [--only NAME,NAME] [--json FILE]

  --quick   default: under four minutes; stores of 100,000 proposals, logs of 1,000,000 entries
  --full    stores of 1,000,000 proposals and longer rounds
  --peers   adds what is found on this machine: a Python with sqlglot or presidio-analyzer, nginx, mitmproxy
  --only    some of: analysis, detectors, policy, requests, hop, through, runs, ledger, verify, growth, propose, mcp, page,
            footprint
  --json    writes the rows to a file as well";

/// Names for `--only`, in the order in which they run.
const NAMES: [&str; 14] = [
    "analysis",
    "detectors",
    "policy",
    "requests",
    "hop",
    "through",
    "runs",
    "ledger",
    "verify",
    "growth",
    "propose",
    "mcp",
    "page",
    "footprint",
];

/// What was asked for on the command line.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Large stores and long rounds.
    pub(crate) full: bool,
    /// Programs of others, where there are some.
    pub(crate) peers: bool,
    only: Vec<String>,
    json: Option<PathBuf>,
}

impl Plan {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut plan = Self { full: false, peers: false, only: Vec::new(), json: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => plan.full = false,
                "--full" => plan.full = true,
                "--peers" => plan.peers = true,
                "--only" => {
                    let names = arguments.next().context(USAGE)?;
                    plan.only = names.split(',').map(str::to_owned).collect();
                    if let Some(unknown) = plan.only.iter().find(|name| !NAMES.contains(&name.as_str())) {
                        bail!("there is no row `{unknown}`\n{USAGE}");
                    }
                }
                "--json" => plan.json = Some(arguments.next().context(USAGE)?.into()),
                _ => bail!("{USAGE}"),
            }
        }
        Ok(plan)
    }

    fn has(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    // The bare server that proposals are compared with is a process of its own, as the product is.
    let done = match arguments.peek().map(String::as_str) {
        Some(echo::ROLE) => match arguments.nth(1) {
            Some(file) => echo::serve(file.as_ref()),
            None => Err(anyhow::anyhow!("the server needs a file for its rows")),
        },
        Some(mcp::ROLE) => mcp::serve(),
        // Figures of a measurement, not rows.
        Some("public-set") => match arguments.nth(1) {
            Some(folder) => public::run(folder.as_ref()),
            None => Err(anyhow::anyhow!("public-set needs the folder of the set")),
        },
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Plan::read(arguments).and_then(|plan| run(&plan)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(plan: &Plan) -> Result<()> {
    let folder = product::Folder::new()?;
    let mut table = Table::start();
    floors::rows(folder.path(), &mut table)?;
    if plan.has("analysis") {
        analysis::rows(plan, &mut table)?;
    }
    if plan.has("detectors") {
        detectors::rows(&mut table, plan.peers)?;
    }
    if plan.has("requests") {
        requests::rows(&mut table)?;
    }
    if plan.has("hop") {
        hop::rows(&mut table, plan.peers)?;
    }
    if plan.has("through") {
        through::rows(folder.path(), &mut table)?;
    }
    if plan.has("policy") {
        decision::rows(&mut table)?;
    }
    if plan.has("runs") {
        runs::rows(&mut table)?;
    }
    if plan.has("ledger") {
        log::rows(folder.path(), &mut table)?;
    }
    if plan.has("verify") {
        verify::rows(folder.path(), &mut table)?;
    }
    if plan.has("growth") {
        growth::rows(folder.path(), &mut table)?;
    }
    if plan.has("propose") {
        propose::rows(plan, folder.path(), &mut table)?;
    }
    if plan.has("mcp") {
        mcp::rows(folder.path(), &mut table)?;
    }
    if plan.has("page") || plan.has("footprint") {
        let stored = page::stored(plan, folder.path())?;
        if plan.has("page") {
            page::rows(&stored, &mut table)?;
        }
        if plan.has("footprint") {
            footprint::rows(&stored, &mut table)?;
        }
    }
    table.finish(plan.json.as_deref())
}
