//! Following a log entry by entry and checking each person's signature again, offline: what the guard believed when it ran
//! something is worked out anew from the log alone.

use std::collections::{HashMap, HashSet};

use approve::statement::Statement;
use approve::{Approved, Assurance, Context, Role, Trust, VerifiedTask};
use artifact::claim::Signed;
use artifact::money::Payment;
use artifact::{Artifact, Digest, Effect, TaskId};
use audit::entry::{Domain, Entry, EventKind};
use audit::verify::Opened;
use wire::target::Registration;

/// What was followed so far.
#[derive(Default)]
pub(crate) struct Evidence {
    trust: Option<Trust>,
    root: Option<String>,
    targets: HashMap<String, Registration>,
    tasks: HashMap<TaskId, VerifiedTask>,
    closed: HashSet<TaskId>,
    policy: Option<Digest>,
    /// Artifact and effect by proposal and revision, as handed in.
    handed_in: HashMap<(String, u32), (String, Effect)>,
    spent: HashSet<String>,
    /// Targets and accounts that were paid.
    paid: HashSet<(String, String)>,
    /// Approvals whose signatures verified.
    pub(crate) approvals: u64,
    /// Runs under a signed task scope.
    pub(crate) under_task: u64,
    /// Grants whose signatures verified.
    pub(crate) grants: u64,
    /// Releases whose signatures verified.
    pub(crate) releases: u64,
}

fn content<'a>(contents: &'a [Opened], name: &str) -> Option<&'a [u8]> {
    contents.iter().find(|c| c.name == name).map(|c| c.opening.bytes())
}

fn claim(contents: &[Opened]) -> Result<Signed, String> {
    let bytes = content(contents, "claim").ok_or("the signed statement is missing")?;
    serde_json::from_slice(bytes).map_err(|_| "the signed statement is not readable".to_owned())
}

impl Evidence {
    /// Looks at one entry with the contents it commits to.
    pub(crate) fn follow(&mut self, entry: &Entry, contents: &[Opened]) -> Result<(), String> {
        match entry.event {
            EventKind::Inception => {
                let root = entry.facts.get("root").ok_or("the first entry names no root key")?;
                let trust = Trust::new(root).map_err(|e| e.to_string())?;
                if entry.digests.get("gateway") != Some(&trust.gateway()) {
                    return Err("the gateway's fingerprint is not that of its root key".to_owned());
                }
                (self.trust, self.root) = (Some(trust), Some(root.clone()));
            }
            EventKind::KeyGranted
            | EventKind::KeyRevoked
            | EventKind::TargetGranted
            | EventKind::TaskOpened
            | EventKind::TaskClosed
            | EventKind::PolicySet
            | EventKind::Resumed => self.grant(entry, contents)?,
            EventKind::Proposed | EventKind::Denied => {
                let id = entry.proposal.clone().zip(entry.revision);
                let artifact = content(contents, "artifact").map(|b| String::from_utf8_lossy(b).into_owned());
                let effect = content(contents, "effect").and_then(|b| serde_json::from_slice(b).ok());
                if let (Some(id), Some(artifact), Some(effect)) = (id, artifact, effect) {
                    // The first one of that name counts; a desk that logs it twice gains nothing.
                    self.handed_in.entry(id).or_insert((artifact, effect));
                }
            }
            EventKind::Started => self.started(entry, contents)?,
            EventKind::Released if content(contents, "claim").is_some() => self.released(entry, contents)?,
            _ => {}
        }
        Ok(())
    }

    fn grant(&mut self, entry: &Entry, contents: &[Opened]) -> Result<(), String> {
        if entry.domain != Domain::Guard {
            return Err("a grant that the guard does not vouch for".to_owned());
        }
        let claim = claim(contents)?;
        let trust = self.trust.as_mut().ok_or("a grant before the first entry")?;
        let failed = |e: approve::Refused| e.to_string();
        let statement = trust.read(&claim, entry.at).map_err(failed)?;
        let attachment = content(contents, "attachment").unwrap_or_default();
        match statement {
            Statement::Key(_) | Statement::RevokeKey(_) => drop(trust.apply_key(&claim, entry.at).map_err(failed)?),
            Statement::Target(s) => {
                trust.signers(&claim, Role::Admin).map_err(failed)?;
                if Digest::of(attachment) != s.registration {
                    return Err("the registration is not the one that was signed".to_owned());
                }
                let registration =
                    serde_json::from_slice(attachment).map_err(|_| "the registration is not readable")?;
                self.targets.insert(s.name, registration);
            }
            Statement::Task(s) => {
                let task = VerifiedTask::verify(&claim, trust, entry.at).map_err(failed)?;
                self.tasks.insert(s.task, task);
            }
            Statement::CloseTask(s) => {
                trust.signers(&claim, Role::Reviewer).map_err(failed)?;
                self.closed.insert(s.task);
            }
            Statement::Policy(s) => {
                let by_root = self.policy.is_none()
                    && self.root.as_deref().and_then(|r| approve::PublicKey::parse(r).ok()).is_some_and(|root| {
                        matches!(&claim.signatures[..], [one] if root.verify(approve::NAMESPACE, &claim.statement, one).is_ok())
                    });
                if !by_root {
                    trust.signers(&claim, Role::Admin).map_err(failed)?;
                }
                if Digest::of(attachment) != s.policy {
                    return Err("the policy is not the one that was signed".to_owned());
                }
                self.policy = Some(s.policy);
            }
            Statement::Resume(_) => drop(trust.signers(&claim, Role::Reviewer).map_err(failed)?),
            Statement::Approval(_) | Statement::Release(_) => {
                return Err("an approval where a grant should be".to_owned());
            }
        }
        self.grants += 1;
        Ok(())
    }

    fn started(&mut self, entry: &Entry, contents: &[Opened]) -> Result<(), String> {
        let trust = self.trust.as_ref().ok_or("a run before the first entry")?;
        let nonce = entry.facts.get("nonce").ok_or("a run without a nonce")?;
        if !self.spent.insert(nonce.clone()) {
            return Err("an approval was used twice".to_owned());
        }
        let (proposal, revision) = entry.proposal.clone().zip(entry.revision).ok_or("a run without a proposal")?;
        let (artifact, effect) = self
            .handed_in
            .get(&(proposal.clone(), revision))
            .cloned()
            .ok_or("a run of something that was never handed in")?;
        let target = entry
            .target
            .as_ref()
            .and_then(|t| self.targets.get(t))
            .ok_or("a run at a target that is not registered")?;
        let artifact = Artifact::new(target.kind(), artifact.into_bytes()).map_err(|e| e.to_string())?;
        let requester = if target.approvals.not_requester {
            let id = entry.task.as_deref().and_then(|t| t.parse::<TaskId>().ok());
            Some(id.and_then(|id| self.tasks.get(&id)).ok_or("a run of a task that nobody opened")?.person())
        } else {
            None
        };
        let paid = |payment: &Payment| (target.name.clone(), payment.account_key());
        let people =
            target.approvals.quorum.max(target.payments.quorum(&effect, |payment| self.paid.contains(&paid(payment))));
        if let Some(payment) = effect.request.as_ref().and_then(|request| request.payment.as_ref()) {
            self.paid.insert(paid(payment));
        }
        let context = Context {
            trust,
            proposal: proposal.parse().map_err(|_| "a run of an unreadable proposal")?,
            revision,
            target_name: &target.name,
            target_fingerprint: target.fingerprint(),
            kind: target.kind(),
            run_as: &target.run_as,
            policy: self.policy.ok_or("a run without a policy")?,
            quorum: usize::try_from(people).unwrap_or(usize::MAX),
            apart_from: requester,
            least: Assurance::PlainKey,
            now: entry.at,
        };
        if entry.digests.get("artifact") != Some(&artifact.digest())
            || entry.digests.get("effect") != Some(&effect.digest())
        {
            return Err("what ran is not what was handed in".to_owned());
        }
        if content(contents, "claim").is_some() {
            let claim = claim(contents)?;
            if !claim.statement.contains(&format!("\nnonce: {nonce}\n")) {
                return Err("the nonce is not the signed one".to_owned());
            }
            Approved::verify(&claim, artifact, effect, &context).map_err(|e| e.to_string())?;
            self.approvals += 1;
        } else {
            let id: TaskId =
                entry.task.as_deref().and_then(|t| t.parse().ok()).ok_or("a run without signature and task")?;
            let task = self
                .tasks
                .get(&id)
                .filter(|_| !self.closed.contains(&id))
                .ok_or("a run under a task that is not open")?;
            Approved::under_task(task, artifact, effect, &context).map_err(|e| e.to_string())?;
            self.under_task += 1;
        }
        Ok(())
    }

    fn released(&mut self, entry: &Entry, contents: &[Opened]) -> Result<(), String> {
        let trust = self.trust.as_ref().ok_or("a release before the first entry")?;
        let claim = claim(contents)?;
        let Statement::Release(statement) = trust.read(&claim, entry.at).map_err(|e| e.to_string())? else {
            return Err("another statement where a release should be".to_owned());
        };
        trust.signers(&claim, Role::Reviewer).map_err(|e| e.to_string())?;
        if entry.run.as_deref() != Some(&statement.run.to_string()) {
            return Err("the release is about another run".to_owned());
        }
        let released = content(contents, "released").ok_or("what was released is missing")?;
        if entry.digests.get("released") != Some(&Digest::of(released)) {
            return Err("what was released is not what the entry names".to_owned());
        }
        self.releases += 1;
        Ok(())
    }
}
