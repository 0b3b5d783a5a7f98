//! From a claim to an approval, and from an approval to one run.

use artifact::claim::Signed;
use artifact::effect::{Verb, within_scope};
use artifact::{Artifact, Digest, Effect, Kind, ProposalId, RunId, TaskId, Timestamp};

use crate::statement::{Approval, OpenTask, Statement};
use crate::trust::{Role, Signer, Trust};
use crate::{Assurance, Nonce, Refused};

/// Longest validity of an approval, in seconds (24 hours).
pub const VALIDITY_MAX_S: u64 = 86_400;

/// What the guard itself knows about the run that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who may sign.
    pub trust: &'a Trust,
    /// The proposal the desk names.
    pub proposal: ProposalId,
    /// Its revision.
    pub revision: u32,
    /// Target's name.
    pub target_name: &'a str,
    /// Fingerprint of its registration.
    pub target_fingerprint: Digest,
    /// Kind of artifact the target takes.
    pub kind: Kind,
    /// Who it runs as there.
    pub run_as: &'a str,
    /// Digest of the policy in force.
    pub policy: Digest,
    /// Different people needed, whatever the statement says.
    pub quorum: usize,
    /// A person whose signature does not count, whatever the statement says: whoever asked for it, where that is to be another.
    pub apart_from: Option<&'a str>,
    /// Weakest key accepted.
    pub least: Assurance,
    /// Now.
    pub now: Timestamp,
}

/// People signed exactly these bytes and this effect, in time, and enough of them are known.
///
/// INVARIANT (I2): made only by [`Approved::verify`] and [`Approved::under_task`], which check all of it. It is not Clone,
/// not Default and does not travel; on disk and on sockets there are only claims.
#[derive(Debug)]
pub struct Approved {
    artifact: Artifact,
    effect: Effect,
    proposal: ProposalId,
    revision: u32,
    task: TaskId,
    target_name: String,
    nonce: Nonce,
    ceiling_rows: u64,
    authority: Authority,
}

#[derive(Debug)]
enum Authority {
    Signed { statement: Digest, signers: Vec<Signer> },
    Task { person: String },
}

/// A task scope that a person signed.
///
/// Made only by [`VerifiedTask::verify`].
#[derive(Debug)]
pub struct VerifiedTask {
    statement: OpenTask,
    person: String,
}

impl VerifiedTask {
    /// Verifies a signed task statement. Ended tasks are accepted here, so that history can be read; running under one checks the time.
    pub fn verify(claim: &Signed, trust: &Trust, signed_at: Timestamp) -> Result<Self, Refused> {
        let Statement::Task(statement) = trust.read(claim, signed_at)? else { return Err(Refused::WrongForm) };
        let signers = trust.signers(claim, Role::Reviewer)?;
        Ok(Self { statement, person: signers[0].person.clone() })
    }

    /// The statement.
    pub fn statement(&self) -> &OpenTask {
        &self.statement
    }

    /// Who signed it.
    pub fn person(&self) -> &str {
        &self.person
    }
}

fn check_effect(effect: &Effect, kind: Kind) -> Result<(), Refused> {
    if !effect.is_normal() {
        return Err(Refused::Effect("it is not in its one spelling"));
    }
    // What is written without a verb that writes would be shown as a read. No analysis says so; a lying desk might.
    let contradicts = |r: &artifact::effect::RelationUse| {
        r.verbs.is_empty() || (!r.writes.is_empty() && r.verbs.iter().all(|v| *v == Verb::Read))
    };
    if effect.relations.iter().any(contradicts) {
        return Err(Refused::Effect("what it does to a relation contradicts itself"));
    }
    if !effect.is_of(kind) {
        return Err(Refused::Effect("it is not that of such an artifact"));
    }
    if effect.to_canonical().len() > Effect::MAX_BYTES {
        return Err(Refused::Effect("it is too large to be reviewed"));
    }
    Ok(())
}

impl Approved {
    /// Verifies a claim against the bytes, the effect and what the guard itself knows. Every difference refuses.
    pub fn verify(claim: &Signed, artifact: Artifact, effect: Effect, ctx: &Context<'_>) -> Result<Self, Refused> {
        let Statement::Approval(statement) = ctx.trust.read(claim, ctx.now)? else { return Err(Refused::WrongForm) };
        check_effect(&effect, artifact.kind())?;
        if statement.not_after > ctx.now.plus_seconds(VALIDITY_MAX_S) {
            return Err(Refused::TooLong);
        }
        let differs = |what| Err(Refused::Differs(what));
        if statement.artifact != artifact.digest() {
            return differs("the artifact");
        }
        if statement.kind != artifact.kind() || statement.kind != ctx.kind {
            return differs("the kind");
        }
        if statement.effect != effect.digest() {
            return differs("the effect");
        }
        if statement.proposal != ctx.proposal || statement.revision != ctx.revision {
            return differs("the proposal");
        }
        if statement.target_name != ctx.target_name || statement.target_fingerprint != ctx.target_fingerprint {
            return differs("the target");
        }
        if statement.run_as != ctx.run_as {
            return differs("who it runs as");
        }
        if statement.policy != ctx.policy {
            return differs("the policy in force");
        }
        if effect.is_read_only() && statement.ceiling_rows != 0 {
            return differs("the ceiling of a read, which is 0");
        }
        let signers = ctx.trust.signers(claim, Role::Reviewer)?;
        if signers.iter().any(|s| s.assurance < ctx.least) {
            return Err(Refused::Assurance);
        }
        // One person with two keys counts once, also where the names differ in case only.
        let mut people: Vec<String> = signers.iter().map(|s| s.person.to_lowercase()).collect();
        people.sort_unstable();
        people.dedup();
        let left_out = statement.not_by.iter().map(String::as_str).chain(ctx.apart_from).map(str::to_lowercase);
        if let Some(person) = left_out.into_iter().find(|person| people.contains(person)) {
            return Err(Refused::Apart(person));
        }
        // What policy asked for stands in the statement; what the guard asks for stays when a desk leaves it out.
        let need = ctx.quorum.max(usize::try_from(statement.quorum).unwrap_or(usize::MAX));
        // Whoever signs after the first signs the same text, which a batch is not.
        if claim.batch.is_some() && need > 1 {
            return Err(Refused::WrongForm);
        }
        if people.len() < need {
            return Err(Refused::Quorum { have: people.len(), need });
        }
        let Approval { proposal, revision, task, target_name, nonce, ceiling_rows, .. } = statement;
        let authority = Authority::Signed { statement: Digest::of(claim.statement.as_bytes()), signers };
        Ok(Self { artifact, effect, proposal, revision, task, target_name, nonce, ceiling_rows, authority })
    }

    /// A read inside a signed task scope, where the person let such reads run. Nothing that writes gets through here.
    pub fn under_task(
        task: &VerifiedTask,
        artifact: Artifact,
        effect: Effect,
        ctx: &Context<'_>,
    ) -> Result<Self, Refused> {
        check_effect(&effect, artifact.kind())?;
        let scope = &task.statement;
        if scope.not_after <= ctx.now {
            return Err(Refused::Ended(scope.not_after));
        }
        if scope.target_name != ctx.target_name || scope.target_fingerprint != ctx.target_fingerprint {
            return Err(Refused::Differs("the target"));
        }
        if artifact.kind() != ctx.kind {
            return Err(Refused::Differs("the kind"));
        }
        let inside = scope.auto_reads
            && effect.is_read_only()
            && within_scope(&effect, &scope.may)
            && effect.functions.iter().all(|f| scope.functions.contains(f));
        if !inside {
            return Err(Refused::OutOfScope);
        }
        Ok(Self {
            artifact,
            effect,
            proposal: ctx.proposal,
            revision: ctx.revision,
            task: scope.task,
            target_name: scope.target_name.clone(),
            nonce: Nonce::random(),
            ceiling_rows: 0,
            authority: Authority::Task { person: task.person.clone() },
        })
    }

    /// Task.
    pub fn task(&self) -> TaskId {
        self.task
    }

    /// People whose authority it is.
    pub fn people(&self) -> Vec<&str> {
        match &self.authority {
            Authority::Signed { signers, .. } => signers.iter().map(|s| s.person.as_str()).collect(),
            Authority::Task { person } => vec![person],
        }
    }

    /// Spends the approval. From here on there is at most one run, and it is in the log.
    ///
    /// INVARIANT (I3): the approval is consumed whatever the ledger answers. If this process ends after the ledger has
    /// spent the nonce and before the run, the approval is lost; it is never used twice.
    pub fn redeem<L: SpendLedger>(self, ledger: &mut L) -> Result<Warrant, L::Error> {
        let run = RunId::random();
        ledger.spend(&Spend { nonce: self.nonce, run, approved: &self })?;
        Ok(Warrant { run, approved: self })
    }
}

/// What the ledger is asked to spend.
#[derive(Debug)]
pub struct Spend<'a> {
    /// Spent at most once, ever.
    pub nonce: Nonce,
    /// The run that is announced.
    pub run: RunId,
    /// What it is for; the `started` entry is made of it.
    pub approved: &'a Approved,
}

impl Approved {
    /// Proposal and revision.
    pub fn proposal(&self) -> (ProposalId, u32) {
        (self.proposal, self.revision)
    }

    /// What was signed that it does.
    pub fn effect(&self) -> &Effect {
        &self.effect
    }

    /// Target's name.
    pub fn target_name(&self) -> &str {
        &self.target_name
    }

    /// Digests that the `started` entry names.
    pub fn digests(&self) -> Vec<(&'static str, Digest)> {
        let mut digests = vec![("artifact", self.artifact.digest()), ("effect", self.effect.digest())];
        if let Authority::Signed { statement, .. } = &self.authority {
            digests.push(("statement", *statement));
        }
        digests
    }

    /// Weakest key among the signers; none under a task.
    pub fn assurance(&self) -> Option<Assurance> {
        match &self.authority {
            Authority::Signed { signers, .. } => signers.iter().map(|s| s.assurance).min(),
            Authority::Task { .. } => None,
        }
    }
}

/// Where approvals are spent.
///
/// Contract: `spend` returns `Ok` at most once for each nonce, over restarts and over every process that shares the ledger.
/// When it returns `Ok`, the spent nonce and the `started` entry are durable, both from one transaction. When it returns an
/// error, either nothing is durable or the implementation refuses everything until it is opened again.
pub trait SpendLedger {
    /// Why it was not spent.
    type Error;
    /// Spends the nonce and appends the `started` entry.
    fn spend(&mut self, spend: &Spend<'_>) -> Result<(), Self::Error>;
}

/// An approval that was spent. Lives in the guard's memory only, for one run.
#[derive(Debug)]
pub struct Warrant {
    run: RunId,
    approved: Approved,
}

impl Warrant {
    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// What was approved.
    pub fn approved(&self) -> &Approved {
        &self.approved
    }

    /// Takes it apart into what the one order is made of: artifact, effect, most rows changed.
    pub fn into_order(self) -> (Artifact, Effect, u64) {
        (self.approved.artifact, self.approved.effect, self.approved.ceiling_rows)
    }
}
