//! The demo: throw-away data, the real processes, a scripted agent that speaks real MCP, and four scenes, played by a
//! person in the browser or by a software key.

mod guest;
mod person;
mod robin;
mod scenes;
mod shop;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::demo::person::Ada;
use crate::home::Home;
use crate::up;

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Sign with a software key and check every scene; for machines.
    #[arg(long)]
    unattended: bool,
    /// Let the demo's own key sign everything, then leave the gateway running to look around.
    #[arg(long, conflicts_with = "unattended")]
    play: bool,
    /// Keep the data in this new folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// People's address (default: any free port).
    #[arg(long, default_value = "127.0.0.1:0")]
    people: SocketAddr,
    /// Agents' address (default: any free port).
    #[arg(long, default_value = "127.0.0.1:0")]
    agents: SocketAddr,
}

/// A folder that goes away with this value, unless it is to be kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn make(keep: Option<PathBuf>) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = artifact::RunId::random().to_string();
        let (path, keep) = match keep {
            Some(path) => (std::path::absolute(path)?, true),
            None => (std::env::temp_dir().join(format!("wetink-demo-{name}")), false),
        };
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path, keep })
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Starts everything, plays the scenes, ends everything.
pub(crate) async fn run(args: DemoArgs) -> Result<()> {
    let folder = Folder::make(args.keep)?;
    println!("wetink {} · DEMO: throw-away data, nothing here touches your systems", env!("CARGO_PKG_VERSION"));
    let shop = folder.path().join("corner-shop.db");
    shop::make(&shop)?;
    let home = Home::find(Some(folder.path().join("gateway")))?;
    let mut pair = up::start(&up::Start { home: &home, people: args.people, agents: args.agents, passphrase: None })?;
    println!("  people  {}\n  agents  {}/mcp", pair.people, pair.agents);
    let token = pair.enrollment.clone().context("a new gateway has an enrollment token")?;
    let ada = Ada::enroll(&home, &pair.people, &token).await?;
    let stage = scenes::Stage::set(&ada, &home, &shop, folder.path()).await?;
    let people = pair.people.clone();
    let played = async {
        if args.unattended || args.play { scenes::play(&stage).await } else { guest::play(&stage, &people).await }
    };
    tokio::select! {
        played = played => played?,
        // The folder goes away on the way out, whatever was going on.
        _ = tokio::signal::ctrl_c() => return Ok(()),
    }
    if args.unattended {
        println!("all scenes hold");
        return Ok(());
    }
    println!("\nRobin finished the job and never had a password. Now yours: wetink up");
    println!("The gateway of this demo keeps running; look around:\n  {}\nCtrl-C ends it.", pair.people);
    tokio::select! {
        ended = pair.wait() => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
