//! The processes: guard, desk, both together; and the operator's direct line to the guard.

use std::io::{BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use artifact::ProposalId;
use clap::Args;
use desk::DeskConfig;
use guard::{Door, ExecutorConfig, Floor, Guard, GuardConfig, KeySource};
use wire::frame::{self, MAX_SOCKET_FRAME};
use wire::socket::{Answer, Request};

use crate::commands::agent::Pass;
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;
use crate::{sign, up};

/// The pack a new gateway starts with.
const FIRST_PACK: (&str, &str) = ("solo-careful", include_str!("../../../../policies/solo-careful.cedar"));

#[derive(Args)]
pub(crate) struct GuardArgs {
    /// The vault's passphrase comes on standard input.
    #[arg(long)]
    passphrase_stdin: bool,
    /// End when the process that started this one ends.
    #[arg(long)]
    end_with_parent: bool,
}

#[derive(Args)]
pub(crate) struct DeskArgs {
    /// People's address.
    #[arg(long)]
    people: SocketAddr,
    /// Agents' address.
    #[arg(long)]
    agents: SocketAddr,
    /// End when the process that started this one ends.
    #[arg(long)]
    end_with_parent: bool,
}

fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").map_or(u32::MAX, |meta| meta.uid())
}

/// The guard's process. Ready when it prints `ready`; ends when its standard input's other end is gone for a child, or by a signal.
pub(crate) fn guard(args: GuardArgs, dir: Option<PathBuf>) -> ExitCode {
    // Before a passphrase is read: nobody may look into this process.
    let hardened = guard::harden();
    if args.end_with_parent {
        guard::end_with_parent();
    }
    match guard_main(args, dir, hardened.all()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wetink guard: {error:#}");
            crate::exit::code(&error).into()
        }
    }
}

fn guard_main(args: GuardArgs, dir: Option<PathBuf>, hardened: bool) -> Result<()> {
    let home = Home::find(dir)?;
    home.prepare()?;
    if !hardened {
        eprintln!(
            "wetink guard: this system does not let the process hide its memory; other programs of this user can read it"
        );
    }
    let key = if args.passphrase_stdin {
        let mut passphrase = Vec::with_capacity(1024);
        std::io::stdin().lock().take(1024).read_to_end(&mut passphrase)?;
        while passphrase.last().is_some_and(|b| *b == b'\n') {
            passphrase.pop();
        }
        KeySource::passphrase(passphrase)
    } else {
        KeySource::KeyFile(home.guard().join("key"))
    };
    if !up::is_set_up(&home) {
        Guard::set_up(&home.guard(), &key, FIRST_PACK.0, FIRST_PACK.1).context("the guard could not be set up")?;
    }
    let program = std::env::current_exe().context("cannot find my own program file")?;
    let executor = ExecutorConfig { program, arguments: vec!["executor".into()], idle: 2, prepared: 4, busy_max: 16 };
    let guard = Guard::open(GuardConfig { dir: home.guard(), executor, floor: Floor::default() }, &key)?;
    let token = guard.enrollment_token();
    let uid = own_uid();
    guard::listen(&home.desk_socket(), Door::Desk, uid, Arc::clone(&guard) as Arc<dyn guard::Answerer>)?;
    Guard::look_after_ages(&guard)?;
    guard::listen(&home.operator_socket(), Door::Operator, uid, Arc::clone(&guard) as Arc<dyn guard::Answerer>)?;
    let mut out = std::io::stdout();
    if let Some(token) = token {
        writeln!(out, "enroll {token}")?;
    }
    writeln!(out, "ready")?;
    out.flush()?;
    // The sockets' threads do the work. A signal ends the process; nothing is buffered that would be lost.
    loop {
        std::thread::park();
    }
}

/// The desk's process.
pub(crate) async fn desk(args: DeskArgs, home: &Home) -> Result<()> {
    if args.end_with_parent {
        guard::end_with_parent();
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let mut config = DeskConfig::local(home.desk_socket(), home.view(), args.people, args.agents);
    config.hooks = desk::hooks(&home.webhooks())?;
    config.oidc = desk::oidc(&home.oidc())?;
    config.agents_tls = desk::agents_tls(&home.agents_tls())?;
    config.outbound = desk::outbound(&home.outbound())?;
    let ready = desk::serve(config).await?;
    let mut out = std::io::stdout();
    writeln!(out, "people {}\nagents {}\nready", ready.people_url(), ready.agents_url())?;
    out.flush()?;
    ready.run(std::future::pending()).await?;
    Ok(())
}

/// One question to the guard, past the desk.
pub(crate) fn ask_guard(home: &Home, request: &Request) -> Result<Answer> {
    let path = home.operator_socket();
    let stream = UnixStream::connect(&path).map_err(|_| {
        Failure::of(Exit::Error, format!("no guard answers at {}; start it with `wetink up`", path.display()))
    })?;
    let mut writer = &stream;
    frame::write(&mut writer, request, MAX_SOCKET_FRAME)?;
    match frame::read(&mut BufReader::new(&stream), MAX_SOCKET_FRAME)? {
        Answer::Refused { code, detail } => {
            let code = serde_json::to_value(code)?;
            Err(Failure::of(
                Exit::Error,
                format!("the guard refused: {detail} ({})", code.as_str().unwrap_or_default()),
            ))
        }
        answer => Ok(answer),
    }
}

/// The first key, by the token that `up` printed. Goes straight to the guard: the desk has no part in it.
pub(crate) fn enroll(terminal: &Terminal, home: &Home, person: &str, token: &str) -> Result<()> {
    let key_file = sign::find_key(terminal.key.as_deref())?;
    let key = sign::public_line(&key_file)?;
    ask_guard(home, &Request::EnrollFirst { token: token.to_owned(), person: person.to_owned(), key: key.clone() })?;
    let fingerprint = artifact::Digest::of(key.as_bytes());
    terminal.print(&serde_json::json!({ "person": person, "fingerprint": fingerprint }), || {
        format!("{person} is enrolled with {} ({fingerprint}), as admin and reviewer", key_file.display())
    })
}

/// The guard's own view, on its own socket.
pub(crate) async fn show_from_guard(terminal: &Terminal, home: &Home, id: ProposalId) -> Result<()> {
    let client = terminal.sign_in().await?;
    let view: doors::people::ReviewView = client.get(&format!("/api/v1/proposals/{id}")).await?;
    match ask_guard(home, &Request::Show { proposal: id, revision: view.row.revision })? {
        Answer::Text { text } => terminal.print(&text, || text.clone()),
        _ => Err(Failure::of(Exit::Error, "the guard answered out of turn")),
    }
}

/// Makes the view anew while the desk is down, or beside a running one.
pub(crate) async fn rebuild(terminal: &Terminal, home: &Home) -> Result<()> {
    let beside = home.desk().join("rebuilt.db");
    let fresh = desk::rebuild(&home.desk_socket(), &beside).await?;
    let fingerprint = fresh.view_fingerprint().await?;
    drop(fresh);
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with_suffix(&beside, suffix), with_suffix(&home.view(), suffix));
        if from.exists() {
            std::fs::rename(from, to)?;
        } else {
            let _ = std::fs::remove_file(to);
        }
    }
    terminal.print(&serde_json::json!({ "fingerprint": fingerprint }), || {
        format!("the view is made anew ({fingerprint}); restart the desk to use it")
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The bridge for hosts that speak MCP over standard input and output.
pub(crate) async fn mcp(agents: &str, pass: Pass) -> Result<()> {
    let (token, key) = pass.read()?;
    desk::bridge(agents, &token, key).await.map_err(|error| Failure::of(Exit::Error, error.to_string()))
}

/// A key for an agent's side, to which passes can be bound.
pub(crate) fn agent_key(terminal: &Terminal, file: &Path) -> Result<()> {
    let key = desk::AgentKey::make(file).map_err(|error| Failure::of(Exit::Usage, error.to_string()))?;
    let thumbprint = key.thumbprint();
    terminal.print(&serde_json::json!({ "thumbprint": thumbprint }), || {
        format!(
            "{thumbprint}\n  bind a pass to it: wetink task pass TASK --agent-key {thumbprint}\n  and use it: wetink mcp --agent-key {}",
            file.display()
        )
    })
}

/// The gateway on a laptop.
pub(crate) async fn up(
    terminal: &Terminal,
    home: &Home,
    people: SocketAddr,
    agents: SocketAddr,
    passphrase_file: Option<PathBuf>,
) -> Result<()> {
    let passphrase = match passphrase_file {
        Some(path) => Some(std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?),
        None => None,
    };
    if passphrase.is_none() {
        terminal.say(
            "The vault's key lies in a file that only you can read. A passphrase is stronger: --passphrase-file FILE.",
        );
    }
    let start = up::Start { home, people, agents, passphrase: passphrase.as_deref() };
    let mut pair = up::start(&start)?;
    let (guard, desk) = pair.ids();
    let mut text =
        format!("people  {}\nagents  {}/mcp\nguard   process {guard}, desk process {desk}\n", pair.people, pair.agents);
    if let Some(token) = &pair.enrollment {
        text += &format!(
            "\nNo key is enrolled yet. This link works once, and only until a first key is enrolled:\n  {}/enroll#token={token}\n\
             or in a terminal with your SSH key or security key:\n  wetink key enroll YOUR-NAME --token {token}\n",
            pair.people
        );
    }
    terminal.print(
        &serde_json::json!({ "people": pair.people, "agents": pair.agents, "enrollment": pair.enrollment }),
        || text,
    )?;
    // Ctrl-C ends both children on the way out.
    tokio::select! {
        ended = pair.wait() => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}
