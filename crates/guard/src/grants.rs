//! What is granted: folded from the signed grants in the ledger, and from nothing else.

use std::collections::{BTreeMap, BTreeSet};

use approve::statement::Statement;
use approve::{Refused, Role, Trust, VerifiedTask};
use artifact::claim::Signed;
use artifact::effect::within_scope;
use artifact::{Digest, Effect, ProposalId, TaskId, Timestamp};
use audit::entry::EventKind;
use wire::socket::{KeyView, Registry, TargetView, TaskView};
use wire::target::Registration;
use wire::whose::OF;

/// Closed tasks stay in sight for a day.
const CLOSED_SHOWN_S: u64 = 86_400;
/// Most tasks in a registry.
const TASKS_SHOWN: usize = 500;

/// Everything people granted.
pub(crate) struct Grants {
    pub(crate) trust: Trust,
    root: approve::PublicKey,
    pub(crate) targets: BTreeMap<String, Registration>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) policy: Digest,
    pub(crate) policy_text: String,
    pub(crate) stopped: BTreeSet<String>,
}

/// A signed task.
pub(crate) struct Task {
    pub(crate) verified: VerifiedTask,
    pub(crate) text: String,
    pub(crate) opened_at: Timestamp,
    pub(crate) closed_at: Option<Timestamp>,
}

/// Why a grant was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error("{0}")]
    Refused(#[from] Refused),
    #[error("{0}")]
    Attachment(&'static str),
}

/// What a grant was about, for its log entry.
#[derive(Debug)]
pub(crate) struct Applied {
    pub(crate) event: EventKind,
    pub(crate) people: Vec<String>,
    pub(crate) nonce: String,
    pub(crate) task: Option<TaskId>,
    pub(crate) target: Option<String>,
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// Whether a stop lasts until it is resumed. One of a single run is over with the run, and so with this process at the latest.
pub(crate) fn lasts(scope: &str) -> bool {
    !scope.starts_with("proposal:")
}

impl Grants {
    /// Trust in the gateway's root and nobody else.
    pub(crate) fn new(root: &str) -> Result<Self, Refused> {
        Ok(Self {
            trust: Trust::new(root)?,
            root: approve::PublicKey::parse(root)?,
            targets: BTreeMap::new(),
            tasks: BTreeMap::new(),
            policy: Digest::of(b""),
            policy_text: String::new(),
            stopped: BTreeSet::new(),
        })
    }

    /// Verifies a signed grant and applies it, all or nothing. Used for new grants, and at start for those in the ledger
    /// with the time they were made: nothing in the ledger is believed without its signature.
    pub(crate) fn apply(
        &mut self,
        claim: &Signed,
        attachment: Option<&str>,
        now: Timestamp,
    ) -> Result<Applied, GrantError> {
        let statement = self.trust.read(claim, now)?;
        let (_, nonce, _) = statement.frame();
        let nonce = nonce.to_string();
        let (event, people, mut task, mut target, mut facts) = (EventKind::Note, Vec::new(), None, None, Vec::new());
        let mut applied = Applied { event, people, nonce, task: None, target: None, facts: Vec::new() };
        match &statement {
            Statement::Key(s) => {
                applied.people = names(self.trust.apply_key(claim, now)?.1);
                applied.event = EventKind::KeyGranted;
                facts = vec![("person", s.person.clone()), ("roles", s.roles.clone())];
            }
            Statement::RevokeKey(s) => {
                applied.people = names(self.trust.apply_key(claim, now)?.1);
                applied.event = EventKind::KeyRevoked;
                facts = vec![("key", s.fingerprint.to_string())];
            }
            Statement::Target(s) => {
                let registration = registration(attachment, &s.name, s.registration)?;
                applied.people = names(self.trust.signers(claim, Role::Admin)?);
                applied.event = EventKind::TargetGranted;
                target = Some(s.name.clone());
                self.targets.insert(s.name.clone(), registration);
            }
            Statement::Task(s) => {
                let known = self.targets.get(&s.target_name).is_some_and(|r| r.fingerprint() == s.target_fingerprint);
                if !known {
                    return Err(GrantError::Attachment(
                        "the task names a target that is not registered, or was registered anew",
                    ));
                }
                if self.tasks.contains_key(&s.task) {
                    return Err(GrantError::Attachment("there is a task of that id already"));
                }
                let verified = VerifiedTask::verify(claim, &self.trust, now)?;
                applied.people = vec![verified.person().to_owned()];
                applied.event = EventKind::TaskOpened;
                (task, target) = (Some(s.task), Some(s.target_name.clone()));
                facts = vec![("agent", s.agent.clone())];
                let text = claim.statement.clone();
                self.tasks.insert(s.task, Task { verified, text, opened_at: now, closed_at: None });
            }
            Statement::CloseTask(s) => {
                applied.people = names(self.trust.signers(claim, Role::Reviewer)?);
                let open = self.tasks.get_mut(&s.task).filter(|t| t.closed_at.is_none());
                open.ok_or(GrantError::Attachment("there is no open task of that id"))?.closed_at = Some(now);
                applied.event = EventKind::TaskClosed;
                task = Some(s.task);
            }
            Statement::Policy(s) => {
                let text = attachment.unwrap_or_default();
                if Digest::of(text.as_bytes()) != s.policy {
                    return Err(GrantError::Attachment("the policy text is not the one that was signed"));
                }
                // The first policy comes with set-up and is signed by the root, every later one by an admin.
                let first = self.policy_text.is_empty() && self.root_signed(claim);
                applied.people = if first { vec![] } else { names(self.trust.signers(claim, Role::Admin)?) };
                applied.event = EventKind::PolicySet;
                facts = vec![("name", s.name.clone()), ("policy", s.policy.to_string())];
                (self.policy, self.policy_text) = (s.policy, text.to_owned());
            }
            Statement::Resume(s) => {
                applied.people = names(self.trust.signers(claim, Role::Reviewer)?);
                if !self.stopped.remove(&s.scope) {
                    return Err(GrantError::Attachment("that is not stopped"));
                }
                applied.event = EventKind::Resumed;
                facts = vec![("scope", s.scope.clone())];
            }
            Statement::Approval(_) | Statement::Release(_) => return Err(Refused::WrongForm.into()),
        }
        (applied.task, applied.target, applied.facts) = (task, target, facts);
        Ok(applied)
    }

    fn root_signed(&self, claim: &Signed) -> bool {
        matches!(&claim.signatures[..], [one] if self.root.verify(approve::NAMESPACE, &claim.statement, one).is_ok())
    }

    /// Whether a stop switch covers this.
    pub(crate) fn is_stopped(
        &self,
        people: &[&str],
        task: Option<TaskId>,
        target: &str,
        proposal: Option<ProposalId>,
    ) -> bool {
        let agent = task.and_then(|t| self.tasks.get(&t)).map(|t| t.verified.statement().agent.clone());
        self.stopped.iter().any(|scope| match scope.split_once(':') {
            None => scope == "all",
            Some(("task", id)) => task.is_some_and(|t| t.to_string() == id),
            Some(("target", name)) => name == target,
            Some(("proposal", id)) => proposal.is_some_and(|p| p.to_string() == id),
            Some(("person", name)) => people.contains(&name),
            Some(("agent", name)) => agent.as_deref() == Some(name),
            Some(_) => false,
        })
    }

    /// Whether a task is open in whose signed scope all of the effect lies.
    pub(crate) fn within_open_task(&self, target: &str, effect: &Effect, now: Timestamp) -> bool {
        self.tasks.values().filter(|task| task.closed_at.is_none()).any(|task| {
            let statement = task.verified.statement();
            statement.target_name == target && statement.not_after > now && within_scope(effect, &statement.may)
        })
    }

    /// The registry as the desk sees it.
    pub(crate) fn registry(&self, size: u64, now: Timestamp, used: impl Fn(TaskId) -> u64) -> Registry {
        let keys = self.trust.keys().iter().map(|k| KeyView {
            person: k.person.clone(),
            key: k.key.to_string(),
            fingerprint: k.fingerprint,
            roles: k.roles.iter().map(|r| r.as_str().to_owned()).collect(),
            granted_at: k.granted_at,
            revoked_at: k.revoked_at,
        });
        let targets =
            self.targets.values().map(|r| TargetView { registration: r.clone(), fingerprint: r.fingerprint() });
        let mut recent: Vec<&Task> = self
            .tasks
            .values()
            .filter(|t| {
                let end = t.closed_at.unwrap_or(t.verified.statement().not_after);
                end.plus_seconds(CLOSED_SHOWN_S) > now
            })
            .collect();
        recent.sort_by_key(|t| std::cmp::Reverse(t.opened_at));
        let tasks = recent.into_iter().take(TASKS_SHOWN).map(|t| TaskView {
            statement: t.text.clone(),
            person: t.verified.person().to_owned(),
            closed_at: t.closed_at,
            rows_used: used(t.verified.statement().task),
        });
        Registry {
            size,
            keys: keys.collect(),
            targets: targets.collect(),
            tasks: tasks.collect(),
            policy: self.policy,
            policy_text: self.policy_text.clone(),
            receipt_key: String::new(),
            stopped: self.stopped.iter().filter(|scope| lasts(scope)).cloned().collect(),
        }
    }
}

fn names(signers: Vec<approve::Signer>) -> Vec<String> {
    signers.into_iter().map(|s| s.person).collect()
}

fn registration(attachment: Option<&str>, name: &str, digest: Digest) -> Result<Registration, GrantError> {
    let text = attachment.unwrap_or_default();
    if Digest::of(text.as_bytes()) != digest {
        return Err(GrantError::Attachment("the registration is not the one that was signed"));
    }
    let registration: Registration =
        serde_json::from_str(text).map_err(|_| GrantError::Attachment("the registration is not readable"))?;
    // One registration has one spelling, so that its fingerprint is the digest that was signed.
    if registration.fingerprint() != digest || registration.name != name {
        return Err(GrantError::Attachment("the registration is not in canonical form"));
    }
    if registration.credential.as_deref().is_some_and(|name| name.contains(OF)) || registration.check().is_err() {
        return Err(GrantError::Attachment("the registration is not acceptable; the desk says why"));
    }
    Ok(registration)
}
