//! Policies of one's own: they live in files, are tested beside them, tried on what was, and put in force by a signature.

use std::path::Path;

use anyhow::Result;
use artifact::visible;
use desk::{Cases, Policy, run_cases};
use doors::people::{GrantRequest, PolicyReplay, TryPolicy};

use crate::exit::{Exit, Failure};
use crate::person::Terminal;

/// Largest file that is read, in bytes.
const FILE_MAX: u64 = 256 * 1024;

fn text(file: &Path) -> Result<String> {
    let refuse = |why: String| Failure::of(Exit::Usage, format!("{}: {why}", file.display()));
    let size = std::fs::metadata(file).map_err(|error| refuse(error.to_string()))?.len();
    if size > FILE_MAX {
        return Err(refuse("larger than 256 KiB".to_owned()));
    }
    std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))
}

/// Reads the policy and runs the tests that stand beside it. Answers its text.
pub(crate) fn check(terminal: &Terminal, file: &Path) -> Result<String> {
    let refuse = |why: String| Failure::of(Exit::Usage, format!("{}: {why}", file.display()));
    let text = text(file)?;
    let policy = Policy::load(&text).map_err(|error| refuse(error.to_string()))?;
    let beside = file.with_extension("tests.json");
    let cases = if beside.exists() {
        run_cases(&policy, &self::text(&beside)?).map_err(|error| refuse(error.to_string()))?
    } else {
        Cases { run: 0, failed: Vec::new() }
    };
    if !cases.failed.is_empty() {
        let lines = cases.failed.join("\n  ");
        return Err(refuse(format!("{} of {} tests do not hold:\n  {lines}", cases.failed.len(), cases.run)));
    }
    terminal.print(&serde_json::json!({ "digest": policy.digest(), "tests": cases.run }), || {
        let tests = if cases.run == 0 {
            format!("no tests beside it ({})", beside.display())
        } else {
            format!("{} tests hold", cases.run)
        };
        format!("{} fits the schema; {tests}", policy.digest())
    })?;
    Ok(text)
}

/// What it would have decided otherwise.
pub(crate) async fn replay(terminal: &Terminal, file: &Path) -> Result<()> {
    let text = text(file)?;
    let client = terminal.sign_in().await?;
    let told: PolicyReplay = client.post("/api/v1/policy/replay", &TryPolicy { text }).await?;
    terminal.print(&told, || lines(&told))
}

fn lines(told: &PolicyReplay) -> String {
    let mut out = format!("{} of the last {} proposals would come out otherwise", told.differ, told.looked_at);
    for tried in &told.changed {
        out += &format!(
            "\n  {} {}: {} -> {} ({})",
            tried.proposal,
            visible(&tried.headline),
            tried.was,
            tried.now,
            visible(&tried.rules.join(", "))
        );
    }
    out
}

/// Tests it, shows what it changes, and has a person sign it.
pub(crate) async fn apply(terminal: &Terminal, file: &Path) -> Result<()> {
    terminal.needs_person("policy apply")?;
    let text = check(terminal, file)?;
    let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let client = terminal.sign_in().await?;
    let told: PolicyReplay = client.post("/api/v1/policy/replay", &TryPolicy { text: text.clone() }).await?;
    eprintln!("{}", lines(&told));
    terminal.grant(&client, GrantRequest::OwnPolicy { name, text }).await?;
    terminal.print(&serde_json::json!({ "policy": told.digest }), || "the policy is in force".to_owned())
}
