//! `wetink`: one binary, several roles. This file is the map: every command and where it is carried out.

mod client;
mod commands;
mod demo;
mod exit;
mod home;
mod person;
mod sign;
mod up;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use artifact::{Digest, ProposalId, RunId, TaskId};
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use doors::agents::{Check, Given, Propose};
use doors::people::GrantRequest;

use crate::commands::agent::Pass;
use crate::commands::certificate::CertificateCommand;
use crate::commands::review::Part;
use crate::commands::secret::SecretCommand;
use crate::commands::target::TargetAdd;
use crate::commands::webhook::WebhookCommand;
use crate::commands::{
    agent, audit, canary, certificate, connect, doctor, drill, grant, policy, review, roles, secret, task, webhook,
};
use crate::home::Home;
use crate::person::Terminal;

#[derive(Parser)]
#[command(
    name = "wetink",
    version,
    about = "AI agents propose, people sign, only then does anything run.",
    max_term_width = 110
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
struct Global {
    /// Machine-readable output.
    #[arg(long, global = true)]
    json: bool,
    /// No remarks.
    #[arg(long, global = true)]
    quiet: bool,
    /// People's door.
    #[arg(long, global = true, env = "WETINK_SERVER", default_value = "http://localhost:7117")]
    server: String,
    /// Agents' door.
    #[arg(long, global = true, env = "WETINK_AGENTS", default_value = "http://localhost:7118")]
    agents_server: String,
    /// The gateway's folder (default: ~/.wetink).
    #[arg(long, global = true, env = "WETINK_HOME")]
    dir: Option<PathBuf>,
    /// SSH key to sign with (default: the first usual one in ~/.ssh).
    #[arg(long, global = true, env = "WETINK_KEY")]
    key: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Try it: throw-away data, a scripted agent, no network, no account.
    Demo(demo::DemoArgs),
    /// Run the gateway on this machine.
    #[command(visible_alias = "serve")]
    Up {
        /// People's address.
        #[arg(long, default_value = "127.0.0.1:7117")]
        people: SocketAddr,
        /// Agents' address.
        #[arg(long, default_value = "127.0.0.1:7118")]
        agents: SocketAddr,
        /// File that holds the vault's passphrase (default: asked in the terminal; without one: a key file, which is weaker).
        #[arg(long)]
        passphrase_file: Option<PathBuf>,
    },
    /// Find ways around the gateway, and what does not hold here.
    Doctor {
        /// Folder to look through (default: here).
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Print what an agent's host needs, with a fresh pass for a task.
    Connect {
        /// claude-code, codex, cursor, vscode, goose or stdio.
        host: String,
        /// The task; without one, only the snippet is printed.
        #[arg(long)]
        task: Option<TaskId>,
        /// How long the pass lives.
        #[arg(long, default_value_t = 60)]
        minutes: u32,
    },
    /// Targets: where agents may propose something.
    #[command(subcommand)]
    Target(TargetCommand),
    /// Tasks: what a person asked an agent to do, with a signed scope.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Keys that may sign.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The policy in force.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Credentials of targets. They go straight to the guard.
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Who is told when a proposal changes its state.
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Try on this running installation what an attacker would try first. Changes nothing.
    Drill {
        /// A pass of an agent, to try what only it could (better in WETINK_TOKEN).
        #[arg(long, env = "WETINK_TOKEN", hide_env_values = true)]
        pass: Option<String>,
    },
    /// What somebody should know about agents: out of scope, bursts of denials, things done for the first time, rows given.
    Alerts,
    /// Certificates for the agents' door and for agents, from an authority of this gateway's own.
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// Markers to plant in decoy records: where one turns up in an artifact, data has left its place.
    Canary {
        /// How many.
        #[arg(long, default_value_t = 3)]
        count: u8,
    },
    /// What would happen with an artifact? (agent side)
    Check {
        /// Target's name.
        #[arg(long)]
        target: String,
        /// Value of a parameter, in order, e.g. `integer=37`, `text=paid`; `text` alone is NULL.
        #[arg(long = "param", value_name = "TYPE=VALUE", value_parser = agent::parameter)]
        parameters: Vec<Given>,
        /// File with the artifact; `-` for standard input.
        #[arg(default_value = "-")]
        file: String,
        #[command(flatten)]
        pass: Pass,
    },
    /// Hand an artifact in. (agent side)
    Propose {
        /// Target's name.
        #[arg(long)]
        target: String,
        /// Why, for the person.
        #[arg(long)]
        purpose: String,
        /// The proposal this is a new revision of.
        #[arg(long)]
        revises: Option<ProposalId>,
        /// Seconds to wait.
        #[arg(long, default_value_t = 0)]
        wait: u8,
        /// Value of a parameter, in order, e.g. `integer=37`, `text=paid`; `text` alone is NULL.
        #[arg(long = "param", value_name = "TYPE=VALUE", value_parser = agent::parameter)]
        parameters: Vec<Given>,
        /// File with the artifact; `-` for standard input.
        #[arg(default_value = "-")]
        file: String,
        #[command(flatten)]
        pass: Pass,
    },
    /// Wait for a decision. (agent side)
    Wait {
        /// Proposal.
        id: ProposalId,
        /// Seconds.
        #[arg(long, default_value_t = 45)]
        timeout: u64,
        #[command(flatten)]
        pass: Pass,
    },
    /// What waits for you.
    Review {
        /// Decided ones too.
        #[arg(long)]
        all: bool,
    },
    /// Everything about a proposal.
    Show {
        /// Proposal.
        id: ProposalId,
        /// The guard's own view, from its own copy of the bytes.
        #[arg(long)]
        from_guard: bool,
        /// Some of the rows before and after, by a trial that is rolled back.
        #[arg(long, conflicts_with = "from_guard")]
        rows: bool,
    },
    /// Propose the statement that puts back what a run changed. It still needs a signature.
    Undo {
        /// Run.
        run: RunId,
    },
    /// Sign and run once. Needs a person and a key.
    Approve {
        /// Proposal; several of one task, none of them grave, are signed at once, each after it was shown.
        #[arg(required = true)]
        ids: Vec<ProposalId>,
    },
    /// Ask for changes.
    Changes {
        /// Proposal.
        id: ProposalId,
        /// What to change; the agent gets this sentence.
        sentence: String,
    },
    /// Say no.
    Reject {
        /// Proposal.
        id: ProposalId,
        /// Why; the agent gets this sentence.
        sentence: String,
    },
    /// Held results.
    #[command(subcommand)]
    Result(ResultCommand),
    /// Run a proposal on this machine with your own login; the server sees neither credential nor result.
    Run {
        /// Proposal.
        id: ProposalId,
        /// Your own login at the target, where it has logins.
        #[arg(long)]
        login: Option<String>,
        /// Its password.
        #[arg(long, env = "WETINK_PASSWORD", hide_env_values = true)]
        password: Option<String>,
    },
    /// The log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Receipts of runs.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Press stop: `all`, `task:ID`, `target:NAME`, `agent:NAME`, `person:NAME`, or one run by `proposal:ID`.
    Stop {
        /// What to stop.
        scope: String,
    },
    /// Resume what was stopped (needs a signature).
    Resume {
        /// What was stopped.
        scope: String,
    },
    /// The desk's view of the log.
    #[command(subcommand)]
    Store(StoreCommand),
    /// Bridge for hosts that speak MCP over standard input and output.
    Mcp {
        #[command(flatten)]
        pass: Pass,
    },
    /// Shell completion.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// The trusted process (started by `up`).
    #[command(hide = true)]
    Guard(roles::GuardArgs),
    /// The front process (started by `up`).
    #[command(hide = true)]
    Desk(roles::DeskArgs),
    /// A child of the guard.
    #[command(hide = true)]
    Executor,
    /// A child of the guard that asks a server of credentials.
    #[command(hide = true)]
    Broker,
}

#[derive(Subcommand)]
enum TargetCommand {
    /// Register a target (signed).
    Add(Box<TargetAdd>),
    /// The commands that register the servers of an mcp.json, to be read, completed and run.
    Import {
        /// The file.
        file: std::path::PathBuf,
    },
    /// Registered targets.
    List,
}

#[derive(Subcommand)]
enum TaskCommand {
    /// Open a task with a signed scope.
    New(Box<task::New>),
    /// Open and recent tasks.
    List,
    /// Close a task (signed); its passes end with it.
    Close {
        /// Task.
        task: TaskId,
    },
    /// A fresh pass for the task's agent.
    Pass {
        /// Task.
        task: TaskId,
        /// How long it lives.
        #[arg(long, default_value_t = 60)]
        minutes: u32,
        /// Thumbprint of the agent's key that the pass is bound to (`wetink key agent` makes one).
        #[arg(long, value_name = "THUMBPRINT", allow_hyphen_values = true)]
        agent_key: Option<String>,
    },
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key for an agent's side, to which passes can be bound. Prints its thumbprint.
    Agent {
        /// A new file for the key.
        file: PathBuf,
    },
    /// Enroll the first key with the token that `wetink up` printed.
    Enroll {
        /// Your name.
        person: String,
        /// The token.
        #[arg(long)]
        token: String,
    },
    /// Granted keys.
    List,
    /// What a service needs to check receipts: this gateway's key and the people who may sign (docs/receipts.md).
    Receipts,
    /// Grant another key (signed).
    Grant {
        /// The person.
        person: String,
        /// File with the public key.
        public_key: PathBuf,
        /// admin, reviewer, auditor; repeatable.
        #[arg(long = "role", default_value = "reviewer")]
        roles: Vec<String>,
    },
    /// Revoke a key (signed).
    Revoke {
        /// Its fingerprint.
        fingerprint: Digest,
    },
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Put a shipped pack in force (signed): strict, solo-careful, team or regulated.
    Set {
        /// The pack.
        pack: String,
    },
    /// The policy in force.
    Show,
    /// Read a policy of your own and run the tests beside it (NAME.tests.json); needs no gateway.
    Check {
        /// NAME.cedar
        file: PathBuf,
    },
    /// What it would have decided otherwise about the last proposals.
    Replay {
        /// NAME.cedar
        file: PathBuf,
    },
    /// Check it, show what it changes, and put it in force (signed).
    Apply {
        /// NAME.cedar
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum ResultCommand {
    /// A held result.
    Show {
        /// Run.
        run: RunId,
    },
    /// Release a part to the agent (signed). Without columns: the counts only.
    Release {
        /// Run.
        run: RunId,
        /// Columns as they are; repeatable.
        #[arg(long = "column")]
        columns: Vec<String>,
        /// Columns as stable tokens; repeatable.
        #[arg(long = "mask")]
        mask: Vec<String>,
        /// A value of the result that the agent may act on in this task as if you had named it; repeatable.
        #[arg(long = "vouch")]
        vouch: Vec<String>,
    },
}

#[derive(Subcommand)]
enum AuditCommand {
    /// Newest entries.
    Search(audit::SearchArgs),
    /// Copy the log to a folder that verifies offline.
    Export {
        /// New folder.
        folder: PathBuf,
    },
    /// Verify an exported log, offline.
    Verify {
        /// The folder.
        folder: PathBuf,
        /// The log's verifier key (default: the one in the folder, which proves less).
        #[arg(long)]
        log_key: Option<String>,
    },
}

#[derive(Subcommand)]
enum ReceiptCommand {
    /// The receipt of a run.
    Get {
        /// Run.
        run: RunId,
    },
    /// Verify a receipt, offline.
    Verify {
        /// File; `-` for standard input.
        file: String,
        /// The log's verifier key.
        #[arg(long)]
        log_key: String,
    },
}

#[derive(Subcommand)]
enum StoreCommand {
    /// Make the view anew from the log.
    Rebuild,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The two roles that must not have more threads or memory than they need start before anything else is set up.
    match cli.command {
        Command::Executor => return execute::main(),
        Command::Broker => return execute::broker(),
        Command::Guard(args) => return roles::guard(args, cli.global.dir),
        _ => {}
    }
    let json = cli.global.json;
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let exit = exit::code(&error);
            if json {
                eprintln!("{}", serde_json::json!({ "error": format!("{error:#}"), "exit": exit as u8 }));
            } else {
                eprintln!("wetink: {error:#}");
            }
            exit.into()
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let home = Home::find(cli.global.dir)?;
    let agents_server = cli.global.agents_server;
    let terminal = Terminal {
        server: cli.global.server,
        home: home.root().to_owned(),
        key: cli.global.key,
        json: cli.global.json,
        quiet: cli.global.quiet,
    };
    match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Up { people, agents, passphrase_file } => {
            roles::up(&terminal, &home, people, agents, passphrase_file).await
        }
        Command::Doctor { folder } => doctor::run(&terminal, &home, &folder),
        Command::Connect { host, task: None, .. } => {
            let text = connect::snippet(&host, &format!("{agents_server}/mcp"))?;
            terminal.print(&text, || text.clone())
        }
        Command::Connect { host, task: Some(task), minutes } => {
            let pass = grant::pass(&terminal, task, minutes, None).await?;
            let text = connect::with_pass(&host, &pass)?;
            terminal.print(&text, || text.clone())
        }
        Command::Target(TargetCommand::Import { file }) => commands::import::run(&terminal, &file),
        Command::Target(TargetCommand::Add(add)) => commands::target::target_add(&terminal, *add).await,
        Command::Target(TargetCommand::List) => grant::list(&terminal, "targets").await,
        Command::Task(TaskCommand::New(new)) => grant::task_new(&terminal, new.request(&home)?).await,
        Command::Task(TaskCommand::List) => grant::list(&terminal, "tasks").await,
        Command::Task(TaskCommand::Close { task }) => {
            grant::simple(&terminal, GrantRequest::CloseTask { task }, "the task is closed").await
        }
        Command::Task(TaskCommand::Pass { task, minutes, agent_key }) => {
            let pass = grant::pass(&terminal, task, minutes, agent_key).await?;
            terminal.print(&pass, || pass.pass.clone())
        }
        Command::Key(KeyCommand::Agent { file }) => roles::agent_key(&terminal, &file),
        Command::Key(KeyCommand::Enroll { person, token }) => roles::enroll(&terminal, &home, &person, &token),
        Command::Key(KeyCommand::List) => grant::list(&terminal, "keys").await,
        Command::Key(KeyCommand::Receipts) => grant::receipts(&terminal).await,
        Command::Key(KeyCommand::Grant { person, public_key, roles }) => {
            let key = sign::public_line(&public_key)?;
            grant::simple(&terminal, GrantRequest::Key { person, key, roles }, "the key is granted").await
        }
        Command::Key(KeyCommand::Revoke { fingerprint }) => grant::revoke(&terminal, fingerprint).await,
        Command::Policy(PolicyCommand::Set { pack }) => {
            grant::simple(&terminal, GrantRequest::Policy { pack }, "the policy is in force").await
        }
        Command::Policy(PolicyCommand::Check { file }) => policy::check(&terminal, &file).map(|_| ()),
        Command::Policy(PolicyCommand::Replay { file }) => policy::replay(&terminal, &file).await,
        Command::Policy(PolicyCommand::Apply { file }) => policy::apply(&terminal, &file).await,
        Command::Policy(PolicyCommand::Show) => audit::policy(&terminal).await,
        Command::Secret(command) => secret::run(&terminal, &home, command),
        Command::Drill { pass } => drill::run(&terminal, &home, &agents_server, pass).await,
        Command::Alerts => review::alerts(&terminal).await,
        Command::Certificate(command) => certificate::run(&terminal, &home, command),
        Command::Canary { count } => canary::run(&terminal, &home, count),
        Command::Webhook(command) => webhook::run(&terminal, &home, command),
        Command::Check { target, parameters, file, pass } => {
            let check = Check { target, body: agent::read_body(&file)?, parameters };
            agent::check(&terminal, &agent::client(&agents_server, pass)?, &check).await
        }
        Command::Propose { target, purpose, revises, wait, parameters, file, pass } => {
            let body = agent::read_body(&file)?;
            let propose = Propose { target, body, parameters, purpose, task: None, revises, wait_s: None };
            agent::propose(&terminal, &agent::client(&agents_server, pass)?, propose, wait).await
        }
        Command::Wait { id, timeout, pass } => {
            agent::wait(&terminal, &agent::client(&agents_server, pass)?, id, timeout).await
        }
        Command::Review { all } => review::queue(&terminal, all).await,
        Command::Show { id, from_guard: true, .. } => roles::show_from_guard(&terminal, &home, id).await,
        Command::Show { id, rows: true, .. } => review::rows(&terminal, id).await,
        Command::Show { id, .. } => review::show(&terminal, id).await,
        Command::Undo { run } => review::undo(&terminal, run).await,
        Command::Approve { ids } => match ids[..] {
            [id] => review::approve(&terminal, id).await,
            _ => review::approve_together(&terminal, &ids).await,
        },
        Command::Changes { id, sentence } => review::decide(&terminal, id, "changes", &sentence).await,
        Command::Reject { id, sentence } => review::decide(&terminal, id, "reject", &sentence).await,
        Command::Result(ResultCommand::Show { run }) => review::held(&terminal, run).await,
        Command::Result(ResultCommand::Release { run, columns, mask, vouch }) => {
            let count_only = columns.is_empty() && mask.is_empty();
            review::release(&terminal, run, &Part { columns, mask, count_only, vouch }).await
        }
        Command::Run { id, login, password } => {
            review::run_here(&terminal, id, login, password.unwrap_or_default()).await
        }
        Command::Audit(AuditCommand::Search(args)) => audit::search(&terminal, args).await,
        Command::Audit(AuditCommand::Export { folder }) => audit::export(&terminal, &home, &folder),
        Command::Audit(AuditCommand::Verify { folder, log_key }) => {
            audit::verify(&terminal, &folder, log_key.as_deref())
        }
        Command::Receipt(ReceiptCommand::Get { run }) => audit::receipt(&terminal, run).await,
        Command::Receipt(ReceiptCommand::Verify { file, log_key }) => audit::receipt_verify(&terminal, &file, &log_key),
        Command::Stop { scope } => grant::stop(&terminal, &scope).await,
        Command::Resume { scope } => grant::simple(&terminal, GrantRequest::Resume { scope }, "resumed").await,
        Command::Store(StoreCommand::Rebuild) => roles::rebuild(&terminal, &home).await,
        Command::Mcp { pass } => roles::mcp(&agents_server, pass).await,
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "wetink", &mut std::io::stdout());
            Ok(())
        }
        Command::Desk(args) => roles::desk(args, &home).await,
        // Handled before the runtime was made.
        Command::Guard(_) | Command::Executor | Command::Broker => Ok(()),
    }
}
