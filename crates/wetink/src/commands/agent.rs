//! The agent's side, for scripts: check, propose, wait.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::Result;
use artifact::{MAX_ARTIFACT_BYTES, ProposalId};
use clap::Args;
use desk::AgentKey;
use doors::agents::ParameterType;
use doors::agents::{Check, CheckAnswer, Given, ProposalAnswer, Propose, Status, WAIT_MAX_S};

use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::person::Terminal;

/// What an agent has.
#[derive(Args)]
pub(crate) struct Pass {
    /// The agent's pass.
    #[arg(long, env = "WETINK_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with the key that the pass is bound to, if it is.
    #[arg(long, env = "WETINK_AGENT_KEY", value_name = "FILE")]
    agent_key: Option<PathBuf>,
}

impl Pass {
    /// Both, the key read from its file.
    pub(crate) fn read(self) -> Result<(String, Option<AgentKey>)> {
        let token = self.token.ok_or_else(|| {
            Failure::of(Exit::Usage, "no agent pass; set WETINK_TOKEN (`wetink task pass TASK` makes one)")
        })?;
        let key = self.agent_key.as_deref().map(AgentKey::read).transpose();
        Ok((token, key.map_err(|error| Failure::of(Exit::Usage, error.to_string()))?))
    }
}

/// A client with the agent's pass.
pub(crate) fn client(url: &str, pass: Pass) -> Result<Client> {
    let (token, key) = pass.read()?;
    Ok(Client::new(url, Some(token))?.with_key(key))
}

/// The artifact: a file, or standard input for `-`.
pub(crate) fn read_body(path: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_ARTIFACT_BYTES as u64 + 1;
    if path == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path)
            .map_err(|error| Failure::of(Exit::Usage, format!("cannot read {path}: {error}")))?;
        file.take(limit).read_to_end(&mut bytes)?;
    }
    if bytes.len() > MAX_ARTIFACT_BYTES {
        return Err(Failure::of(Exit::Usage, "the artifact is larger than 1 MiB; split it into smaller proposals"));
    }
    String::from_utf8(bytes).map_err(|error| {
        Failure::of(
            Exit::Usage,
            format!("the artifact is not UTF-8 at byte {}; send it as UTF-8 text", error.utf8_error().valid_up_to()),
        )
    })
}

/// A value on the command line: `type=value`, or `type` alone for NULL.
pub(crate) fn parameter(text: &str) -> Result<Given, String> {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let of = ParameterType::ALL.into_iter().find(|known| known.as_str() == name).ok_or_else(|| {
        let names: Vec<&str> = ParameterType::ALL.iter().map(|known| known.as_str()).collect();
        format!("unknown type `{}`; known types: {}", artifact::visible(name), names.join(", "))
    })?;
    Ok(Given { of, value: value.into() })
}

/// What would happen.
pub(crate) async fn check(terminal: &Terminal, client: &Client, check: &Check) -> Result<()> {
    let answer: CheckAnswer = client.post("/v1/check", check).await?;
    terminal.print(&answer, || {
        let mut text = format!("{}: {}\n", answer.decision, artifact::visible(&answer.sentence));
        for finding in &answer.findings {
            text += &format!("  {} {}: {}\n", finding.severity, finding.code, artifact::visible(&finding.sentence));
        }
        for reason in &answer.reasons {
            text += &format!("  rule {}\n", artifact::visible(reason));
        }
        text
    })?;
    if answer.decision == "deny" { Err(Failure::of(Exit::Denied, answer.message)) } else { Ok(()) }
}

/// Hands it in.
pub(crate) async fn propose(terminal: &Terminal, client: &Client, propose: Propose, wait_s: u8) -> Result<()> {
    let wait = wait_s.min(WAIT_MAX_S);
    let answer: ProposalAnswer = client.post(&format!("/v1/proposals?wait={wait}"), &propose).await?;
    done(terminal, &answer)
}

/// Waits for a decision.
pub(crate) async fn wait(terminal: &Terminal, client: &Client, id: ProposalId, timeout_s: u64) -> Result<()> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(timeout_s);
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now()).as_secs().min(u64::from(WAIT_MAX_S));
        let answer: ProposalAnswer = client.get(&format!("/v1/proposals/{id}?wait={left}")).await?;
        if answer.status.is_final() || left == 0 {
            return done(terminal, &answer);
        }
    }
}

fn done(terminal: &Terminal, answer: &ProposalAnswer) -> Result<()> {
    terminal.print(answer, || {
        let mut text =
            format!("{} r{} {}: {}\n", answer.proposal_id, answer.revision, answer.status.as_str(), answer.message);
        if let Some(reason) = &answer.reason {
            text += &format!("  reason: {}\n", artifact::visible(reason));
        }
        if let Some(result) = &answer.result {
            text += &format!("  result: {}\n", artifact::visible(&result.to_string()));
        }
        text
    })?;
    match answer.status {
        Status::Released => Ok(()),
        Status::Denied | Status::Rejected => Err(Failure::of(Exit::Denied, "it will not run")),
        Status::Stale => Err(Failure::of(Exit::Stale, "what was shown no longer held")),
        status if !status.is_final() => Err(Failure::of(Exit::Pending, "nobody has decided yet")),
        _ => Err(Failure::of(Exit::Error, "it did not happen")),
    }
}
