//! One run: verify, spend, order, log.

use std::sync::PoisonError;
use std::time::Duration;

use approve::statement::Approval;
use approve::{Approved, Context, Role, Signer, Spend, SpendLedger, Warrant};
use artifact::claim::Signed;
use artifact::effect::touched;
use artifact::{Artifact, ProposalId, RunId, TaskId, Timestamp, canonical};
use audit::entry::{Entry, EventKind};
use ledger::{Budget, Class, Draft, Job, Ledger, LedgerError, NewContent};
use release::{Held, ReleaseOrder, open};
use wire::order::{FailCode, Job as OrderJob, Order, Report, Undo};
use wire::socket::{Answer, Outcome, Proposed, Refused};
use wire::target::{Address, Registration};
use wire::whose::Whose;

use crate::broker::Lent;
use crate::entries::{entry, open_content, plain};
use crate::executors::ExecutorError;
use crate::grants::Grants;
use crate::guard::Guard;
use crate::money;
use crate::receipt;

/// Added to the statement's own time-out for connecting, waiting for locks and committing.
const SLACK: Duration = Duration::from_secs(30);

/// By what right something runs.
pub(crate) enum Authority<'a> {
    /// A signed approval.
    Claim(&'a Signed),
    /// A signed task scope.
    Task(TaskId),
}

/// A refusal: a code and words for a person.
pub(crate) struct Refusal(Refused, String);

impl From<Refusal> for Answer {
    fn from(Refusal(code, detail): Refusal) -> Self {
        Self::Refused { code, detail }
    }
}

/// Refuses with a code and words for a person.
pub(crate) fn refused(code: Refused, detail: impl Into<String>) -> Refusal {
    Refusal(code, detail.into())
}

/// The same as an answer.
pub(crate) fn answer_refused(code: Refused, detail: impl Into<String>) -> Answer {
    refused(code, detail).into()
}

/// Spends at the ledger, with the claim beside the `started` entry so that anyone can verify it later.
struct Spender<'a> {
    ledger: &'a Ledger,
    claim: Option<&'a Signed>,
    target: &'a Registration,
    budgets: Vec<Budget>,
}

impl SpendLedger for Spender<'_> {
    type Error = LedgerError;

    fn spend(&mut self, spend: &Spend<'_>) -> Result<(), LedgerError> {
        let mut started = about(EventKind::Started, spend.approved, spend.run);
        started.digests.extend(spend.approved.digests().into_iter().map(|(n, d)| (n.to_owned(), d)));
        started.digests.insert("target".into(), self.target.fingerprint());
        started.facts.insert("nonce".into(), spend.nonce.to_string());
        started.facts.insert("run_as".into(), self.target.run_as.clone());
        let assurance = spend.approved.assurance().map_or("task scope".to_owned(), |a| format!("{a:?}"));
        started.facts.insert("assurance".into(), assurance);
        let contents = match self.claim.map(serde_json::to_string) {
            Some(Ok(claim)) => vec![open_content("claim", claim)],
            _ => Vec::new(),
        };
        let payment = spend.approved.effect().request.as_ref().and_then(|request| request.payment.as_ref());
        if let Some(payment) = payment {
            started.facts.insert("amount".into(), payment.amount.to_string());
        }
        let job = Job {
            drafts: vec![Draft { entry: started, contents }],
            spend: Some(spend.nonce.to_string()),
            grant: None,
            budgets: std::mem::take(&mut self.budgets),
        };
        self.ledger.append(job).map(|_| ())
    }
}

/// What a server of credentials is told that they are for: 64 of the characters that every server takes.
fn session(run: RunId, people: &str) -> String {
    let people = people.chars().map(|c| if c.is_ascii_alphanumeric() || c == '@' { c } else { '.' });
    format!("{run}.").chars().chain(people).take(64).collect()
}

fn about(event: EventKind, approved: &Approved, run: RunId) -> Entry {
    let (proposal, revision) = approved.proposal();
    let mut entry = entry(event);
    entry.on_behalf_of = Some(approved.people().join(", "));
    entry.proposal = Some(proposal.to_string());
    entry.revision = Some(revision);
    entry.run = Some(run.to_string());
    entry.task = Some(approved.task().to_string());
    entry.target = Some(approved.target_name().to_owned());
    entry
}

/// How a run ended that ran.
struct Ended<'a> {
    /// The result as canonical JSON.
    json: &'a [u8],
    affected: u64,
    returned: u64,
    elapsed_ms: u64,
    undo: Option<Undo>,
}

/// What stays known of a run after its warrant has become an order.
struct Running {
    run: RunId,
    base: Entry,
    task: Option<TaskId>,
}

impl Guard {
    /// Runs what was approved, once.
    pub(crate) fn run(&self, authority: &Authority<'_>, proposed: Proposed) -> Answer {
        let artifact = match Artifact::new(proposed.kind, proposed.artifact.into_bytes()) {
            Ok(artifact) => artifact,
            Err(error) => return answer_refused(Refused::Malformed, error.to_string()),
        };
        let now = Timestamp::now();
        let about_proposed = (proposed.proposal, proposed.revision, proposed.target.clone());
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let Some(target) = grants.targets.get(&proposed.target).cloned() else {
            return answer_refused(Refused::Unknown, "there is no target of that name");
        };
        let requester = match authority {
            Authority::Claim(claim) if target.approvals.not_requester => {
                let task = Approval::parse(&claim.statement).ok().and_then(|approval| grants.tasks.get(&approval.task));
                let Some(task) = task else {
                    return answer_refused(
                        Refused::OutOfScope,
                        "there is no task of that id, so nobody knows who asked for it",
                    );
                };
                Some(task.verified.person())
            }
            Authority::Claim(_) | Authority::Task(_) => None,
        };
        // What cannot be looked up was never paid to.
        let known =
            |payment: &_| self.ledger.budget(&money::account_key(&target, payment)).is_ok_and(|units| units > 0);
        let people = target.approvals.quorum.max(target.payments.quorum(&proposed.effect, known));
        let context = Context {
            trust: &grants.trust,
            proposal: proposed.proposal,
            revision: proposed.revision,
            target_name: &target.name,
            target_fingerprint: target.fingerprint(),
            kind: target.kind(),
            run_as: &target.run_as,
            policy: grants.policy,
            quorum: self.floor.quorum.max(usize::try_from(people).unwrap_or(usize::MAX)),
            apart_from: requester,
            least: self.floor.least,
            now,
        };
        let approved = match authority {
            Authority::Claim(claim) => Approved::verify(claim, artifact, proposed.effect, &context),
            Authority::Task(id) => {
                let Some(task) = grants.tasks.get(id).filter(|t| t.closed_at.is_none()) else {
                    return answer_refused(Refused::OutOfScope, "there is no open task of that id");
                };
                if !self.floor.reads_under_task {
                    return answer_refused(Refused::BelowFloor, "at this guard every run needs a signature");
                }
                match self.ledger.task_use(&id.to_string()) {
                    Ok(used) if used < task.verified.statement().rows_total => {}
                    Ok(_) => return answer_refused(Refused::OutOfScope, "the rows of the task's scope are used up"),
                    Err(error) => return answer_refused(Refused::LedgerFailed, error.to_string()),
                }
                Approved::under_task(&task.verified, artifact, proposed.effect, &context)
            }
        };
        let approved = match approved {
            Ok(approved) => approved,
            Err(approve::Refused::Quorum { have, need }) => {
                let Authority::Claim(claim) = authority else {
                    return answer_refused(Refused::NotApproved, "a task scope is no signature");
                };
                let signers = grants.trust.signers(claim, Role::Reviewer).unwrap_or_default();
                drop(grants);
                return self.countersigned(claim, &about_proposed, &signers, (have, need));
            }
            Err(approve::Refused::OutOfScope) => {
                return answer_refused(Refused::OutOfScope, "it is outside the signed scope of the task");
            }
            Err(error) => return answer_refused(Refused::NotApproved, error.to_string()),
        };
        let never = grants.tasks.get(&approved.task()).map(|task| task.verified.statement().never.as_slice());
        if let Some(denied) = touched(approved.effect(), never.unwrap_or_default()) {
            return answer_refused(Refused::OutOfScope, format!("its task never allows: {denied}"));
        }
        let may = grants.tasks.get(&approved.task()).map(|task| task.verified.statement().may.as_slice());
        let budgets = match money::budgets(&target, (approved.task(), may.unwrap_or_default()), approved.effect(), now)
        {
            Ok(budgets) => budgets,
            Err(detail) => return answer_refused(Refused::OutOfScope, detail),
        };
        let (mine, owner) = match self.owner(&target, &grants, &approved) {
            Ok(owned) => owned,
            Err(refusal) => return refusal.into(),
        };
        if grants.is_stopped(&approved.people(), Some(approved.task()), &target.name, Some(approved.proposal().0)) {
            return answer_refused(Refused::Stopped, "it is stopped");
        }
        drop(grants);

        let (claim, task) = match authority {
            Authority::Claim(claim) => (Some(*claim), None),
            Authority::Task(task) => (None, Some(*task)),
        };
        let base = |run| about(EventKind::Settled, &approved, run);
        let mut template = base(RunId::random());
        template.facts.extend(owner.map(|person| ("credential_of".to_owned(), person)));
        let mut spender = Spender { ledger: &self.ledger, claim, target: &target, budgets };
        let warrant = match approved.redeem(&mut spender) {
            Ok(warrant) => warrant,
            Err(LedgerError::AlreadySpent) => {
                return answer_refused(Refused::AlreadySpent, "this approval was used before");
            }
            Err(error @ LedgerError::OverBudget(_)) => return answer_refused(Refused::OutOfScope, error.to_string()),
            Err(error) => return answer_refused(Refused::LedgerFailed, error.to_string()),
        };
        // Announced. If we die from here on, `recover` settles the run at the next start; the approval stays spent.
        self.carry_out(warrant, template, (claim, task), mine)
    }

    /// The target as this run meets it, and with whose own credential. Refused before anything is spent if they have none.
    fn owner(
        &self,
        target: &Registration,
        grants: &Grants,
        approved: &Approved,
    ) -> Result<(Registration, Option<String>), Refusal> {
        let person = match target.credential_of {
            None => return Ok((target.clone(), None)),
            Some(Whose::Requester) => grants.tasks.get(&approved.task()).map(|task| task.verified.person().to_owned()),
            // Of two nobody knows who is meant.
            Some(Whose::Signer) => <[&str; 1]>::try_from(approved.people()).ok().map(|[person]| person.to_owned()),
        };
        let person =
            person.ok_or_else(|| refused(Refused::OutOfScope, "nobody knows with whose credential it would run"))?;
        let mine = target.for_person(&person);
        let name = mine.credential.as_deref().unwrap_or_default();
        let found = self.vault.lock().unwrap_or_else(PoisonError::into_inner).credential(name);
        if matches!(found, Ok(Some(_))) {
            return Ok((mine, Some(person)));
        }
        let store = "has no credential of their own there; `wetink secret set NAME --of PERSON` stores one. Nothing was used up";
        Err(refused(Refused::Unknown, format!("{} {store}", artifact::visible(&person))))
    }

    /// Headers that a request carries besides what was signed.
    fn additions(
        &self,
        target: &Registration,
        (run, artifact): (RunId, &str),
        reads: bool,
        claim: Option<&Signed>,
    ) -> Vec<(String, String)> {
        let once = target.idempotency_header.as_ref().filter(|_| !reads);
        let mut added: Vec<_> = once.map(|name| (name.clone(), run.to_string())).into_iter().collect();
        if let (true, Some(claim), Address::Http { origin, .. }) = (target.receipts, claim, &target.address) {
            let key = (&self.receipts, self.gateway());
            added.extend(receipt::headers(key, origin, (run, artifact), claim, Timestamp::now()).unwrap_or_default());
        }
        added
    }

    /// Keeps signatures that are good and too few. Nothing is spent; if we crash here they are collected once more.
    fn countersigned(
        &self,
        claim: &Signed,
        proposed: &(ProposalId, u32, String),
        signers: &[Signer],
        (have, need): (usize, usize),
    ) -> Answer {
        let (proposal, revision, target) = proposed;
        let mut signed = entry(EventKind::Approved);
        let mut people: Vec<&str> = signers.iter().map(|signer| signer.person.as_str()).collect();
        people.sort_unstable();
        people.dedup();
        signed.on_behalf_of = Some(people.join(", "));
        signed.proposal = Some(proposal.to_string());
        signed.revision = Some(*revision);
        signed.target = Some(target.clone());
        signed.task = Approval::parse(&claim.statement).ok().map(|approval| approval.task.to_string());
        signed.digests.insert("statement".into(), artifact::Digest::of(claim.statement.as_bytes()));
        signed.facts.insert("have".into(), have.to_string());
        signed.facts.insert("need".into(), need.to_string());
        let Ok(text) = serde_json::to_string(claim) else {
            return answer_refused(Refused::Malformed, "the claim has no text");
        };
        let job = Job {
            drafts: vec![Draft { entry: signed, contents: vec![open_content("claim", text)] }],
            ..Job::default()
        };
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        match self.ledger.append(job) {
            Ok(index) => Answer::Countersigned { have: number(have), need: number(need), index },
            Err(error) => answer_refused(Refused::LedgerFailed, error.to_string()),
        }
    }

    fn carry_out(
        &self,
        warrant: Warrant,
        mut base: Entry,
        (claim, task): (Option<&Signed>, Option<TaskId>),
        target: Registration,
    ) -> Answer {
        let run = warrant.run();
        base.run = Some(run.to_string());
        let mut running = Running { run, base, task };
        let people = warrant.approved().people().join(", ");
        let (task_id, proposal) = (warrant.approved().task(), warrant.approved().proposal().0);
        let (artifact, effect, ceiling_rows) = warrant.into_order();
        let credential = match self.credential(&target, &session(run, &people)) {
            Ok(credential) => credential,
            Err(detail) => return self.settle(&running, "failed", FailCode::LoginRefused, &detail),
        };
        if let Some(lease) = credential.as_ref().and_then(Lent::lease) {
            // What the server's own log calls it.
            running.base.facts.insert("lease".into(), artifact::visible(lease));
        }
        let limit = Duration::from_millis(target.statement_timeout_ms) + SLACK;
        let target_name = target.name.clone();
        let labels = target.labels.clone();
        let job = OrderJob {
            target: target.settled(&effect),
            kind: artifact.kind(),
            artifact: artifact.text().to_owned(),
            additions: self.additions(&target, (run, artifact.text()), effect.is_read_only(), claim),
            effect,
            signer: people.clone(),
        };
        let order = Order::Run { job, ceiling_rows };
        let mut told_to_commit = false;
        let secret = credential.as_ref().map(|lent| &lent.credential);
        let lasts = credential.as_ref().is_none_or(|lent| lent.lasts);
        let report = self.executors.run(&order, (secret, lasts), limit, &mut |affected, transaction| {
            // Here the target holds the change open. A stop pressed meanwhile, or more rows than signed, and it rolls back.
            let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
            let stopped = grants.is_stopped(&[people.as_str()], Some(task_id), &target_name, Some(proposal));
            drop(grants);
            if stopped || affected > ceiling_rows {
                return false;
            }
            let mut committing = running.base.clone();
            committing.event = EventKind::Committing;
            committing.facts.insert("affected".into(), affected.to_string());
            if let Some(transaction) = transaction {
                committing.facts.insert("transaction".into(), transaction.to_owned());
            }
            // Durable before the target may commit: after a crash this entry says what to ask the target about.
            told_to_commit = self.ledger.append(Job { drafts: vec![plain(committing)], ..Job::default() }).is_ok();
            told_to_commit
        });
        match report {
            Ok(Report::Done { affected, result, elapsed_ms, undo, stays: _ }) => {
                let returned = result.total_rows;
                let Ok(json) = canonical::to_vec(&result) else {
                    return self.settle(
                        &running,
                        "unknown",
                        FailCode::OutcomeUnknown,
                        "the result has no canonical form",
                    );
                };
                self.hold(&running, &Ended { json: &json, affected, returned, elapsed_ms, undo }, &labels)
            }
            Ok(Report::Failed { code: code @ (FailCode::CeilingExceeded | FailCode::Drifted), detail }) => {
                self.settle(&running, "stale", code, &detail)
            }
            Ok(Report::Failed { code: FailCode::OutcomeUnknown, detail }) if told_to_commit => {
                self.settle(&running, "unknown", FailCode::OutcomeUnknown, &detail)
            }
            // Without our word nothing was committed, whatever the child believes about its connection.
            Ok(Report::Failed { code, detail }) => self.settle(&running, "failed", code, &detail),
            Ok(_) => self.settle(
                &running,
                if told_to_commit { "unknown" } else { "failed" },
                FailCode::BadOrder,
                "the executor broke the protocol",
            ),
            Err(error @ (ExecutorError::Busy | ExecutorError::Start(_))) => {
                self.settle(&running, "failed", FailCode::BadOrder, &error.to_string())
            }
            Err(error) if told_to_commit => {
                self.settle(&running, "unknown", FailCode::OutcomeUnknown, &error.to_string())
            }
            Err(error) => self.settle(&running, "failed", FailCode::TimedOut, &error.to_string()),
        }
    }

    /// Seals the result and logs the end. Under a task that says so, the plain columns are released in the same transaction.
    fn hold(
        &self,
        running: &Running,
        ended: &Ended<'_>,
        labels: &std::collections::BTreeMap<String, String>,
    ) -> Answer {
        let Ended { json, affected, returned, elapsed_ms, ref undo } = *ended;
        let mut settled = running.base.clone();
        settled.digests.insert("result".into(), artifact::Digest::of(json));
        for (name, value) in [
            ("outcome", "ran".to_owned()),
            ("affected", affected.to_string()),
            ("returned", returned.to_string()),
            ("elapsed_ms", elapsed_ms.to_string()),
        ] {
            settled.facts.insert(name.into(), value);
        }
        let mut contents = vec![NewContent { name: "result".into(), class: Class::Held, bytes: json.to_vec() }];
        if let Some(undo) = undo {
            settled.facts.insert("undo".into(), undo.rows.to_string());
            let bytes = undo.statement.clone().into_bytes();
            contents.push(NewContent { name: "undo".into(), class: Class::Held, bytes });
        }
        let mut drafts = Vec::with_capacity(2);
        let released = running.task.and_then(|task| self.release_under_task(running, task, json, affected, labels));
        if released.is_some() {
            settled.facts.insert("release".into(), "task".into());
        }
        drafts.push(Draft { entry: settled, contents });
        drafts.extend(released);
        let outcome = Outcome::Held { affected, returned, elapsed_ms };
        match self.ledger.append(Job { drafts, ..Job::default() }) {
            Ok(_) => Answer::Ran { run: running.run, outcome },
            // It ran, and the log does not say so yet: at the next start it is found unsettled.
            Err(error) => {
                answer_refused(Refused::LedgerFailed, format!("it ran, but its end could not be logged: {error}"))
            }
        }
    }

    fn release_under_task(
        &self,
        running: &Running,
        task: TaskId,
        json: &[u8],
        affected: u64,
        labels: &std::collections::BTreeMap<String, String>,
    ) -> Option<Draft> {
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let task = &grants.tasks.get(&task)?.verified;
        let held = Held::new(running.run, json, affected).ok()?;
        // A column without a known origin may carry anything, unless nothing here is labelled at all.
        let plain = |origin: Option<&str>| match origin {
            Some(origin) => labels.get(origin).is_none_or(|label| label == "plain"),
            None => labels.is_empty(),
        };
        let order = ReleaseOrder::under_task(task, &held, plain, task.statement().rows_per_run).ok()?;
        let mut released = running.base.clone();
        released.event = EventKind::Released;
        self.released_draft(released, held, order).ok()
    }

    /// The `released` entry with what the agent gets.
    pub(crate) fn released_draft(&self, mut entry: Entry, held: Held, order: ReleaseOrder) -> Result<Draft, Refusal> {
        let statement = order.statement();
        let people = order.people().join(", ");
        let released = open(held, order, &self.masks(entry.task.as_deref().unwrap_or_default()));
        let (rows, columns) = released.shape();
        let json = canonical::to_vec(&released).map_err(|error| refused(Refused::Malformed, error.to_string()))?;
        entry.on_behalf_of = Some(people);
        entry.digests.insert("released".into(), artifact::Digest::of(&json));
        if let Some(statement) = statement {
            entry.digests.insert("statement".into(), statement);
        }
        entry.facts.insert("rows".into(), rows.to_string());
        entry.facts.insert("columns".into(), columns.to_string());
        Ok(Draft { entry, contents: vec![open_content("released", json)] })
    }

    /// Logs an end that is not a result.
    fn settle(&self, running: &Running, outcome: &str, code: FailCode, detail: &str) -> Answer {
        let mut settled = running.base.clone();
        settled.facts.insert("outcome".into(), outcome.to_owned());
        let cause = serde_json::to_value(code).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
        settled.facts.insert("cause".into(), cause);
        // The target's words may quote data, so they are a content (erasable, for people), not part of the entry.
        let contents = vec![open_content("reason", detail.chars().take(500).collect::<String>())];
        let outcome = match outcome {
            "unknown" => Outcome::Unknown { detail: detail.to_owned() },
            _ => Outcome::Failed { code, detail: detail.to_owned() },
        };
        match self.ledger.append(Job { drafts: vec![Draft { entry: settled, contents }], ..Job::default() }) {
            Ok(_) => Answer::Ran { run: running.run, outcome },
            Err(error) => answer_refused(Refused::LedgerFailed, format!("its end could not be logged: {error}")),
        }
    }

    /// Settles runs that a crash left open. Called before any door opens.
    ///
    /// Without a `committing` entry nothing was committed: an executor commits only on our word, which follows that entry, and
    /// it ended when our end of its pipe closed. With one, the target is asked where it can be; else nobody can say.
    pub(crate) fn recover(&self) -> Result<(), LedgerError> {
        for (_, started) in self.ledger.unsettled()? {
            let Some(run) = started.run.as_deref().and_then(|r| r.parse().ok()) else { continue };
            let history = self.ledger.of_run(started.run.as_deref().unwrap_or_default())?;
            let committing = history.iter().rev().find(|(_, e)| e.event == EventKind::Committing).map(|(_, e)| e);
            let mut base = started.clone();
            base.event = EventKind::Settled;
            base.at = Timestamp::now();
            base.digests.clear();
            base.facts.clear();
            base.contents.clear();
            let running = Running { run, base, task: None };
            let read_only_or_early = committing.is_none();
            let answer = if read_only_or_early {
                self.settle(
                    &running,
                    "failed",
                    FailCode::Withdrawn,
                    "the guard was ended before the target was told to commit; nothing was changed",
                )
            } else {
                self.resolve(&running, committing)
            };
            if let Answer::Refused { code: Refused::LedgerFailed, .. } = answer {
                return Err(LedgerError::Poisoned);
            }
        }
        Ok(())
    }

    fn resolve(&self, running: &Running, committing: Option<&Entry>) -> Answer {
        let unknown =
            "the guard was ended while the target was committing, and the target cannot say what became of it";
        let transaction = committing.and_then(|e| e.facts.get("transaction")).cloned();
        let grants = self.grants.read().unwrap_or_else(PoisonError::into_inner);
        let target = running.base.target.as_ref().and_then(|t| grants.targets.get(t)).cloned();
        drop(grants);
        let (Some(transaction), Some(target)) = (transaction, target) else {
            return self.settle(running, "unknown", FailCode::OutcomeUnknown, unknown);
        };
        let target = match committing.and_then(|entry| entry.facts.get("credential_of")) {
            Some(person) => target.for_person(person),
            None => target,
        };
        let credential = self.credential(&target, &session(running.run, "")).ok().flatten();
        let order = Order::Resolve { target, transaction };
        let secret = credential.as_ref().map(|lent| &lent.credential);
        let report = self.executors.run(&order, (secret, false), SLACK, &mut |_, _| false);
        match report {
            Ok(Report::Resolved { status: Some(status) }) if status == "committed" => {
                let affected = committing.and_then(|e| e.facts.get("affected")?.parse().ok()).unwrap_or(0);
                // It happened; what it returned is lost with the guard that held it.
                let json = br#"{"columns":[],"rows":[],"total_rows":0}"#;
                let ended = Ended { json, affected, returned: 0, elapsed_ms: 0, undo: None };
                self.hold(running, &ended, &std::collections::BTreeMap::new())
            }
            Ok(Report::Resolved { status: Some(status) }) if status == "aborted" => {
                self.settle(running, "failed", FailCode::Withdrawn, "the target rolled it back; nothing was changed")
            }
            _ => self.settle(running, "unknown", FailCode::OutcomeUnknown, unknown),
        }
    }
}
