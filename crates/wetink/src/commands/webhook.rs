//! Who is told when a proposal changes its state.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;

#[derive(Subcommand)]
pub(crate) enum WebhookCommand {
    /// Add a receiver. Prints the secret that it verifies signatures with, this once.
    Add {
        /// `https://HOST/PATH`, or `http://` on this machine.
        url: String,
        /// Certificates that the receiver's chain may end at besides the usual ones (PEM).
        #[arg(long)]
        ca_file: Option<PathBuf>,
        /// The address is an incoming webhook of Slack, Mattermost or the like: it gets one line with a link.
        #[arg(long)]
        slack: bool,
        /// The address is a mail server, smtps://HOST:465 or smtp://HOST:587: alerts go from this address ...
        #[arg(long, requires = "mail_to", conflicts_with = "slack")]
        mail_from: Option<String>,
        /// ... to this one.
        #[arg(long, requires = "mail_from")]
        mail_to: Option<String>,
        /// Who signs in at the mail server; the password is read from standard input.
        #[arg(long, requires = "mail_from")]
        mail_user: Option<String>,
    },
    /// Receivers.
    List,
    /// Take a receiver out.
    Remove {
        /// Its address.
        url: String,
    },
}

const NEXT: &str = "it takes effect when the gateway is started next";

pub(crate) fn run(terminal: &Terminal, home: &Home, command: WebhookCommand) -> Result<()> {
    home.prepare()?;
    let file = home.webhooks();
    let usage = |error: desk::HookError| Failure::of(Exit::Usage, error.to_string());
    match command {
        WebhookCommand::Add { url, ca_file, slack, mail_from, mail_to, mail_user } => {
            let ca_file = ca_file.map(std::fs::canonicalize).transpose()?;
            if let (Some(from), Some(to)) = (mail_from, mail_to) {
                let mut password = String::new();
                if mail_user.is_some() {
                    std::io::stdin().read_line(&mut password)?;
                }
                let password = password.trim_end_matches(['\r', '\n']).to_owned();
                desk::add_mail(&file, &url, ca_file, desk::MailOf { from, to, user: mail_user }, password)
                    .map_err(usage)?;
                return terminal.print(&json!({ "url": url }), || NEXT.to_owned());
            }
            let secret =
                desk::add_hook(&file, &url, ca_file, if slack { desk::Form::Slack } else { desk::Form::Standard })
                    .map_err(usage)?;
            if slack {
                return terminal.print(&json!({ "url": url }), || NEXT.to_owned());
            }
            terminal.print(&json!({ "url": url, "secret": secret }), || format!("{secret}\n{NEXT}"))
        }
        WebhookCommand::List => {
            let urls: Vec<String> = desk::hooks(&file).map_err(usage)?.into_iter().map(|hook| hook.url).collect();
            terminal.print(&urls, || urls.join("\n"))
        }
        WebhookCommand::Remove { url } => {
            desk::remove_hook(&file, &url).map_err(usage)?;
            terminal.print(&json!({ "removed": url }), || format!("removed; {NEXT}"))
        }
    }
}
