//! The vault's secrets, on the operator's line to the guard. No value is ever shown.

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use wire::socket::{Answer, Request, SecretText, SecretView};
use wire::whose::own;

use crate::commands::roles::ask_guard;
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;

#[derive(Subcommand)]
pub(crate) enum SecretCommand {
    /// Store a credential, read from standard input.
    Set {
        /// Its name.
        name: String,
        /// Whose own it is, for a target with --credential-of: the person's name as they were enrolled.
        #[arg(long)]
        of: Option<String>,
    },
    /// The secrets of the vault: names, versions, ages, who uses them; never values.
    List {
        /// Only those that are older, in days; there is an error if there are any.
        #[arg(long)]
        older_than: Option<u32>,
    },
    /// Give the login of a PostgreSQL or MariaDB target a new password, made at random.
    Rotate {
        /// The target.
        target: String,
    },
    /// Store where a credential is; the guard fetches it each time it is used.
    Refer {
        /// Its name.
        name: String,
        /// Whose own it is, for a target with --credential-of: the person's name as they were enrolled.
        #[arg(long)]
        of: Option<String>,
        #[command(flatten)]
        at: Where,
    },
}

/// Does what is asked.
pub(crate) fn run(terminal: &Terminal, home: &Home, command: SecretCommand) -> Result<()> {
    match command {
        SecretCommand::List { older_than } => list(terminal, home, older_than),
        SecretCommand::Rotate { target } => rotate(terminal, home, &target),
        SecretCommand::Refer { name, of, at } => refer(terminal, home, &named(name, of.as_deref()), at),
        SecretCommand::Set { name, of } => set(terminal, home, &named(name, of.as_deref())),
    }
}

fn named(name: String, of: Option<&str>) -> String {
    of.map_or_else(|| name.clone(), |person| own(&name, person))
}

/// Stores a credential. The value comes on standard input and goes to the guard's own socket.
fn set(terminal: &Terminal, home: &Home, name: &str) -> Result<()> {
    if std::io::stdin().is_terminal() {
        terminal.say("Type the credential and end with Ctrl-D. It is shown while you type; `wetink secret set NAME < file` does not show it.");
    }
    let mut value = String::new();
    std::io::stdin().lock().take(64 * 1024 + 1).read_to_string(&mut value)?;
    let value = SecretText(value.trim_end_matches('\n').to_owned());
    ask_guard(home, &Request::StoreSecret { name: name.to_owned(), value })?;
    terminal.print(&serde_json::json!({ "stored": name }), || format!("{name} is stored in the vault"))
}

/// Where a credential is: one of them.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Where {
    /// A file that others cannot read.
    #[arg(long)]
    file: Option<PathBuf>,
    /// A variable of the guard's environment.
    #[arg(long)]
    variable: Option<String>,
    /// A credential that systemd gives the guard's service (LoadCredential=).
    #[arg(long)]
    systemd: Option<String>,
    /// A TOML file that describes a server of credentials: OpenBao, HashiCorp Vault, an OAuth 2 authorization server.
    #[arg(long)]
    broker: Option<PathBuf>,
    /// After `--`: a program by its whole path and its arguments, which prints the credential.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Stores where a credential is. Goes to the guard's own socket.
fn refer(terminal: &Terminal, home: &Home, name: &str, at: Where) -> Result<()> {
    let source = match at {
        Where { file: Some(file), .. } => {
            let path = std::path::absolute(file)?;
            serde_json::json!({ "from": "file", "path": path })
        }
        Where { variable: Some(variable), .. } => serde_json::json!({ "from": "variable", "name": variable }),
        Where { systemd: Some(credential), .. } => serde_json::json!({ "from": "systemd", "name": credential }),
        Where { broker: Some(file), .. } => {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let broker: wire::broker::Broker =
                toml::from_str(&text).map_err(|error| Failure::of(Exit::Usage, error.to_string()))?;
            broker.check().map_err(|error| Failure::of(Exit::Usage, error))?;
            serde_json::json!({ "from": "broker", "broker": broker })
        }
        Where { command, .. } => serde_json::json!({ "from": "command", "command": command }),
    };
    ask_guard(home, &Request::ReferSecret { name: name.to_owned(), source: source.to_string() })?;
    terminal.print(&serde_json::json!({ "stored": name }), || format!("{name} is fetched each time it is used"))
}

/// What is known of the vault's secrets. With `older_than`, there being any is an error, so that a timer can tell somebody.
fn list(terminal: &Terminal, home: &Home, older_than: Option<u32>) -> Result<()> {
    let Answer::Secrets { mut secrets } = ask_guard(home, &Request::Secrets {})? else {
        return Err(Failure::of(Exit::Error, "the guard answered out of turn"));
    };
    let now = artifact::Timestamp::now();
    let days = |secret: &SecretView| now.millis_since(secret.stored_at) / 86_400_000;
    if let Some(limit) = older_than {
        secrets.retain(|secret| !secret.refers && days(secret) >= u64::from(limit));
    }
    terminal.print(&secrets, || {
        let line = |secret: &SecretView| {
            let place = if secret.refers { "fetched" } else { "vault" };
            let used = if secret.targets.is_empty() { "nobody".to_owned() } else { secret.targets.join(", ") };
            let name = artifact::visible(&secret.name);
            format!(
                "{name:<24} v{:<4} {place:<8} {:>4} days  used by {}\n",
                secret.version,
                days(secret),
                artifact::visible(&used)
            )
        };
        if secrets.is_empty() {
            "none".to_owned()
        } else {
            secrets.iter().map(line).collect::<String>().trim_end().to_owned()
        }
    })?;
    match older_than {
        Some(limit) if !secrets.is_empty() => Err(Failure::of(
            Exit::Error,
            format!(
                "{} secrets are {limit} days old or older; `wetink secret rotate TARGET` changes passwords of databases",
                secrets.len()
            ),
        )),
        _ => Ok(()),
    }
}

/// A new password for a target's login.
fn rotate(terminal: &Terminal, home: &Home, target: &str) -> Result<()> {
    ask_guard(home, &Request::RotateSecret { target: target.to_owned() })?;
    terminal.print(&serde_json::json!({ "rotated": target }), || {
        format!("the login of {} has a new password, which is in the vault", artifact::visible(target))
    })
}
