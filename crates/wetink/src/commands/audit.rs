//! The log: searching it, copying it, verifying it without any server.

use std::path::Path;

use anyhow::{Context, Result};
use artifact::RunId;
use audit::verify::{Contents, Options};
use audit::{Receipt, VerifierKey};
use clap::Args;
use doors::people::{AuditRow, Overview};
use wire::socket::{Answer, Request};

use crate::commands::evidence::Evidence;
use crate::commands::roles::ask_guard;
use crate::exit::{Exit, Failure};
use crate::home::Home;
use crate::person::Terminal;

/// File beside an exported log that names its key, for convenience. Pinning the key from elsewhere proves more.
const KEY_BESIDE: &str = ".log-key";

#[derive(Args)]
pub(crate) struct SearchArgs {
    /// Entries below this index.
    #[arg(long)]
    before: Option<u64>,
    /// Actor's name.
    #[arg(long)]
    actor: Option<String>,
    /// Task.
    #[arg(long)]
    task: Option<String>,
    /// Target.
    #[arg(long)]
    target: Option<String>,
    /// Proposal.
    #[arg(long)]
    proposal: Option<String>,
    /// Event, e.g. started.
    #[arg(long)]
    event: Option<String>,
    /// Any digest named in an entry.
    #[arg(long)]
    digest: Option<String>,
}

fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Newest entries that match.
pub(crate) async fn search(terminal: &Terminal, args: SearchArgs) -> Result<()> {
    let client = terminal.sign_in().await?;
    let fields = [
        ("actor", args.actor),
        ("task", args.task),
        ("target", args.target),
        ("proposal", args.proposal),
        ("event", args.event),
        ("digest", args.digest),
        ("before", args.before.map(|b| b.to_string())),
    ];
    let query: Vec<String> =
        fields.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?)))).collect();
    let rows: Vec<AuditRow> = client.get(&format!("/api/v1/audit?{}", query.join("&"))).await?;
    terminal.print(&rows, || {
        rows.iter().map(|row| format!("{:>8}  {}\n", row.index, artifact::visible(&row.entry))).collect()
    })
}

/// The policy in force.
pub(crate) async fn policy(terminal: &Terminal) -> Result<()> {
    let client = terminal.sign_in().await?;
    let overview: Overview = client.get("/api/v1/overview").await?;
    terminal.print(&overview.registry.policy_text, || {
        format!("// {}\n{}", overview.registry.policy, artifact::visible(&overview.registry.policy_text))
    })
}

/// Copies the log into a folder.
pub(crate) fn export(terminal: &Terminal, home: &Home, folder: &Path) -> Result<()> {
    let folder = std::path::absolute(folder)?;
    let text = folder.to_str().context("the folder's path is not UTF-8")?.to_owned();
    let Answer::Hello { log_key, .. } = ask_guard(home, &Request::Hello {})? else {
        return Err(Failure::of(Exit::Error, "the guard answered out of turn"));
    };
    let Answer::Done { index } = ask_guard(home, &Request::Export { folder: text })? else {
        return Err(Failure::of(Exit::Error, "the guard answered out of turn"));
    };
    let mut beside = folder.as_os_str().to_owned();
    beside.push(KEY_BESIDE);
    std::fs::write(&beside, format!("{log_key}\n"))?;
    terminal.print(&serde_json::json!({ "entries": index, "log_key": log_key }), || {
        format!("{index} entries copied\nkey {log_key}\n  keep this key apart from the copy; verify with: wetink audit verify {} --log-key '{log_key}'", folder.display())
    })
}

/// Verifies a copy: every entry, every signature of people, every content.
pub(crate) fn verify(terminal: &Terminal, folder: &Path, log_key: Option<&str>) -> Result<()> {
    let key = if let Some(key) = log_key {
        key.to_owned()
    } else {
        let mut beside = std::path::absolute(folder)?.into_os_string();
        beside.push(KEY_BESIDE);
        terminal.say("No --log-key given: the key beside the copy is used. Whoever could change the copy could change that key too.");
        std::fs::read_to_string(&beside)
            .map_err(|_| Failure::of(Exit::Usage, "name the log's verifier key with --log-key"))?
    };
    let key: VerifierKey = key.trim().parse().map_err(|_| Failure::of(Exit::Usage, "that is not a verifier key"))?;
    let mut evidence = Evidence::default();
    let options = Options { contents: Contents::Partial, ..Options::default() };
    let began = std::time::Instant::now();
    let report =
        audit::dir::verify_dir(folder, &key, &options, &mut |_, entry, contents| evidence.follow(entry, contents));
    let report = report.map_err(|error| Failure::of(Exit::Unverified, format!("FAIL {error}")))?;
    let value = serde_json::json!({
        "entries": report.entries, "leaf_hashes": report.leaf_hashes, "runs": report.started, "approvals": evidence.approvals,
        "under_task": evidence.under_task, "grants": evidence.grants, "releases": evidence.releases, "contents": report.opened,
        "contents_not_copied": report.unopened, "contents_erased": report.erased,
    });
    terminal.print(&value, || {
        format!(
            "OK  {} entries · {} leaf hashes · {} runs: {} approvals signed, {} under signed task scopes, 0 used twice · {} grants and {} releases signed · {} contents open, {} held back, {} erased · {} ms",
            report.entries,
            report.leaf_hashes,
            report.started,
            evidence.approvals,
            evidence.under_task,
            evidence.grants,
            evidence.releases,
            report.opened,
            report.unopened,
            report.erased,
            began.elapsed().as_millis()
        )
    })
}

/// The receipt of a run.
pub(crate) async fn receipt(terminal: &Terminal, run: RunId) -> Result<()> {
    let client = terminal.sign_in().await?;
    let receipt = client.get_text(&format!("/api/v1/receipt/{run}")).await?;
    println!("{receipt}");
    Ok(())
}

/// Verifies a receipt.
pub(crate) fn receipt_verify(terminal: &Terminal, file: &str, log_key: &str) -> Result<()> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = audit::receipt::MAX_RECEIPT_BYTES as u64 + 1;
    if file == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(file)
            .with_context(|| format!("cannot read {file}"))?
            .take(limit)
            .read_to_end(&mut bytes)?;
    }
    while bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    let key: VerifierKey = log_key.parse().map_err(|_| Failure::of(Exit::Usage, "that is not a verifier key"))?;
    let failed = |error: audit::Error| Failure::of(Exit::Unverified, format!("FAIL {error}"));
    let receipt = Receipt::parse(&bytes).map_err(failed)?.verify(&key).map_err(failed)?;
    let value = serde_json::json!({ "size": receipt.checkpoint.size, "entries": receipt.entries.len() });
    terminal.print(&value, || {
        let mut text =
            format!("OK  {} entries are in the log of {} entries\n", receipt.entries.len(), receipt.checkpoint.size);
        for (index, entry) in &receipt.entries {
            let event =
                serde_json::to_value(entry.event).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
            text += &format!("  {index:>6} {} {event} {}\n", entry.at, artifact::visible(&entry.actor.name));
        }
        text
    })
}
