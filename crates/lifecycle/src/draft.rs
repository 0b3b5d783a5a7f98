//! Entries that the desk asks the guard to log. The guard sets time, domain and commitments itself.

use artifact::{Artifact, Digest, Effect, ProposalId, SessionId, TaskId, Timestamp};
use audit::entry::{Actor, Domain, Entry, EventKind, Role};
use policy::Decision;

use crate::{Risk, Shown, TaskScope};

/// An entry and the contents it commits to.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The entry, without commitments.
    pub entry: Entry,
    /// Contents by name.
    pub contents: Vec<(String, String)>,
}

fn draft(event: EventKind, role: Role, name: &str) -> Draft {
    let actor = Actor { role, name: name.to_owned() };
    Draft { entry: Entry::new(Timestamp::from_millis(0), Domain::Desk, event, actor), contents: Vec::new() }
}

fn about(event: EventKind, role: Role, name: &str, id: ProposalId, revision: u32, task: TaskId) -> Draft {
    let mut draft = draft(event, role, name);
    draft.entry.proposal = Some(id.to_string());
    draft.entry.revision = Some(revision);
    draft.entry.task = Some(task.to_string());
    draft
}

/// The rules of a decision, `id: reason` each.
pub fn reasons(decision: &Decision) -> Vec<String> {
    decision.rules().iter().map(|rule| format!("{}: {}", rule.id, rule.reason)).collect()
}

/// What is handed in, with everything that was found out about it.
#[derive(Clone, Copy, Debug)]
pub struct Handing<'a> {
    /// Proposal.
    pub id: ProposalId,
    /// Revision.
    pub revision: u32,
    /// True for an agent, false for a person.
    pub agent: bool,
    /// Who wrote it.
    pub author: &'a str,
    /// The person it is done for.
    pub person: &'a str,
    /// Agent's session.
    pub session: SessionId,
    /// Network address.
    pub address: &'a str,
    /// Task.
    pub task: &'a TaskScope,
    /// Target's name.
    pub target: &'a str,
    /// Fingerprint of its registration.
    pub target_fingerprint: Digest,
    /// The bytes.
    pub artifact: &'a Artifact,
    /// The effect with its number of rows.
    pub effect: &'a Effect,
    /// What the reviewer is shown.
    pub shown: &'a Shown,
    /// Decision.
    pub decision: &'a Decision,
    /// Risk.
    pub risk: Risk,
    /// The author's words.
    pub purpose: &'a str,
    /// When waiting ends.
    pub expires: Timestamp,
}

/// A proposal was handed in: decided `ask` or `allow`, or denied.
pub fn proposed(h: &Handing<'_>) -> Draft {
    let event = if matches!(h.decision, Decision::Deny { .. }) { EventKind::Denied } else { EventKind::Proposed };
    let role = if h.agent { Role::Agent } else { Role::Person };
    let mut draft = about(event, role, h.author, h.id, h.revision, h.task.task);
    let entry = &mut draft.entry;
    entry.on_behalf_of = Some(h.person.to_owned());
    entry.session = Some(h.session.to_string());
    entry.target = Some(h.target.to_owned());
    entry.address = Some(h.address.to_owned()).filter(|a| !a.is_empty());
    let effect = String::from_utf8(h.effect.to_canonical()).unwrap_or_default();
    let shown = serde_json::to_string(h.shown).unwrap_or_default();
    entry.digests.insert("artifact".into(), h.artifact.digest());
    entry.digests.insert("effect".into(), Digest::of(effect.as_bytes()));
    entry.digests.insert("shown".into(), Digest::of(shown.as_bytes()));
    entry.digests.insert("target".into(), h.target_fingerprint);
    entry.reasons = reasons(h.decision);
    for (name, value) in [
        ("decision", h.decision.as_str().to_owned()),
        ("risk", h.risk.as_str().to_owned()),
        ("kind", h.artifact.kind().to_string()),
        ("expires", h.expires.to_string()),
    ] {
        entry.facts.insert(name.into(), value);
    }
    draft.contents = vec![
        ("artifact".into(), h.artifact.text().to_owned()),
        ("effect".into(), effect),
        ("shown".into(), shown),
        ("purpose".into(), h.purpose.to_owned()),
    ];
    draft
}

/// A newer revision takes the place of this one.
pub fn superseded(id: ProposalId, revision: u32, task: TaskId, by: &str, agent: bool) -> Draft {
    about(EventKind::Superseded, if agent { Role::Agent } else { Role::Person }, by, id, revision, task)
}

/// A person opened it.
pub fn opened(id: ProposalId, revision: u32, task: TaskId, person: &str) -> Draft {
    about(EventKind::Opened, Role::Person, person, id, revision, task)
}

/// A person asked for changes or said no, with a sentence.
pub fn decided(event: EventKind, id: ProposalId, revision: u32, task: TaskId, person: &str, sentence: &str) -> Draft {
    let mut draft = about(event, Role::Person, person, id, revision, task);
    draft.contents.push(("reason".into(), sentence.to_owned()));
    draft
}

/// The agent took it back.
pub fn withdrawn(id: ProposalId, revision: u32, task: TaskId, agent: &str, address: &str) -> Draft {
    let mut draft = about(EventKind::Withdrawn, Role::Agent, agent, id, revision, task);
    draft.entry.address = Some(address.to_owned()).filter(|a| !a.is_empty());
    draft
}

/// Nobody decided in time, or it could not be run at all.
pub fn expired(id: ProposalId, revision: u32, task: TaskId, cause: &str) -> Draft {
    let mut draft = about(EventKind::Expired, Role::System, "deadline", id, revision, task);
    draft.entry.facts.insert("cause".into(), cause.chars().take(300).collect());
    draft
}

/// An agent got a pass for a task.
pub fn agent_enrolled(
    session: SessionId,
    task: &TaskScope,
    by: &str,
    pass: Digest,
    expires: Timestamp,
    bound_to: Option<&str>,
) -> Draft {
    let mut draft = draft(EventKind::AgentEnrolled, Role::Person, by);
    let entry = &mut draft.entry;
    entry.session = Some(session.to_string());
    entry.task = Some(task.task.to_string());
    entry.on_behalf_of = Some(task.person.clone());
    entry.digests.insert("pass".into(), pass);
    entry.facts.insert("agent".into(), task.agent.clone());
    entry.facts.insert("expires".into(), expires.to_string());
    if let Some(key) = bound_to {
        entry.facts.insert("key".into(), key.to_owned());
    }
    draft
}
