//! What people's pages and terminals send and get. Served by `review`, answered by the desk.

use artifact::claim::Signed;
use artifact::{Digest, Effect, ProposalId, RunId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::agents::{FindingView, Status};
use wire::order::{ResultSet, Sample};
use wire::socket::Registry;
use wire::target::Registration;

/// A signed-in person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Roles: `admin`, `reviewer`, `auditor`.
    pub roles: Vec<String>,
}

/// How grave a proposal is; decides layout and gesture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Reads inside the scope.
    Low,
    /// Bounded writes.
    Medium,
    /// Cannot be undone, out of scope, unbounded, or not understood.
    High,
}

/// One line of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRow {
    /// Proposal.
    pub id: ProposalId,
    /// Revision.
    pub revision: u32,
    /// State.
    pub status: Status,
    /// Risk.
    pub risk: Risk,
    /// The gateway's headline, e.g. `CHANGES 37 of 5,311 rows in main.orders`.
    pub headline: String,
    /// Target's name.
    pub target: String,
    /// Environment.
    pub environment: String,
    /// Task.
    pub task: TaskId,
    /// Inside the task's scope?
    pub in_scope: bool,
    /// Agent's name.
    pub agent: String,
    /// The person it works for.
    pub person: String,
    /// When handed in.
    pub created_at: Timestamp,
    /// When waiting ends.
    pub expires_at: Timestamp,
}

/// Everything a reviewer sees of one proposal. Facts first, the agent's words last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewView {
    /// The queue's line.
    pub row: QueueRow,
    /// The exact artifact.
    pub artifact: String,
    /// Its digest.
    pub digest: Digest,
    /// Three words of the digest.
    pub words: String,
    /// Its kind, e.g. `sql/sqlite`.
    pub kind: String,
    /// The effect shown; the signed digest covers its canonical JSON.
    pub effect: Effect,
    /// The gateway's sentence about it.
    pub sentence: String,
    /// False: NOT UNDERSTOOD.
    pub understood: bool,
    /// Coded observations.
    pub findings: Vec<FindingView>,
    /// Where the values come from, worst first.
    pub origins: Vec<OriginView>,
    /// The target's registration.
    pub registration: Registration,
    /// `can be undone` or why not, one sentence.
    pub undo: String,
    /// Title of the task, in the person's words.
    pub task_title: String,
    /// Scope lines of the task.
    pub task_scope: Vec<String>,
    /// What the policy decided, with the rules.
    pub reasons: Vec<String>,
    /// What the agent says (unverified).
    pub purpose: String,
    /// The statement to sign, exact text, while it is pending and the policy asks. None otherwise.
    pub statement: Option<String>,
    /// Different people who must sign, where that is more than one.
    pub quorum: u32,
    /// Who signed so far, where that was not enough.
    pub signed_by: Vec<String>,
    /// Whose signature does not count.
    pub not_by: Vec<String>,
    /// What the person must type to arm signing (high risk), if anything.
    pub arm: Option<String>,
    /// What happened, oldest first: time and one line.
    pub history: Vec<(Timestamp, String)>,
    /// The run, once there is one.
    pub run: Option<RunId>,
    /// Rows of that run that can be put back, if any are kept.
    pub undo_rows: Option<u64>,
    /// The last signed statement that differs in its constants only, if there was one.
    pub sibling: Option<Sibling>,
    /// The person's or system's sentence that ended it, if any.
    pub reason: Option<String>,
    /// The released result (agent's view) as JSON text, once released.
    pub released: Option<String>,
}

/// A value of the artifact and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginView {
    /// The value, cut.
    pub value: String,
    /// `request`, `vouched`, `named_record`, `result`, `nowhere`.
    pub origin: String,
    /// The result it stands in, if it does.
    pub source: Option<String>,
    /// `none`, `note`, `red`.
    pub alarm: String,
    /// One sentence.
    pub sentence: String,
}

/// A statement of the same pattern that a person signed and that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// Its proposal.
    pub proposal: ProposalId,
    /// When it was handed in.
    pub at: Timestamp,
    /// Rows it changed.
    pub affected: Option<u64>,
    /// Constants that differ, then and now; an empty one is not there. At most 50.
    pub differs: Vec<(String, String)>,
    /// How what it touches looks otherwise than then, a table, a function or a tool, a line each. At most 50.
    pub changed: Vec<String>,
}

/// Something about an agent that somebody should know, drawn from the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalView {
    /// The log entry that raised it.
    pub index: u64,
    /// E.g. `out_of_scope`, `denials`, `first_seen`, `unusual_hour`, `rows`, or a finding's code.
    pub signal: String,
    /// When.
    pub at: Timestamp,
    /// Agent.
    pub agent: String,
    /// The person it works for.
    pub person: String,
    /// Task.
    pub task: String,
    /// Target's name.
    pub target: String,
    /// Proposal, if it is about one.
    pub proposal: Option<ProposalId>,
    /// What the agent did, without its name.
    pub sentence: String,
}

/// Rows before and after, from a trial that was rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsView {
    /// Proposal.
    pub proposal: ProposalId,
    /// Rows changed.
    pub rows: u64,
    /// Rows in the one relation changed.
    pub of: Option<u64>,
    /// Some of them, values of labelled columns masked. None where the target cannot tell.
    pub sample: Option<Sample>,
}

/// A held result with labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    /// Proposal.
    pub proposal: ProposalId,
    /// Revision.
    pub revision: u32,
    /// Task.
    pub task: TaskId,
    /// Run.
    pub run: RunId,
    /// The rows.
    pub result: ResultSet,
    /// Digest that the release statement names.
    pub digest: Digest,
    /// Label of each column (`plain`, `personal`, `health`, `secret`).
    pub labels: Vec<String>,
    /// Rows changed.
    pub affected: u64,
    /// How much of a relation the agent would have been given over all its tasks with every row of this result, one sentence each.
    pub seen: Vec<String>,
}

/// What to release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// `none`: only counts; `all`; `some`: those in `row_indexes`.
    pub rows: String,
    /// Row indexes from 0, for `some`.
    #[serde(default)]
    pub row_indexes: Vec<u32>,
    /// Column indexes shown as they are.
    #[serde(default)]
    pub show: Vec<u32>,
    /// Column indexes shown as stable tokens.
    #[serde(default)]
    pub mask: Vec<u32>,
    /// Values of the result that the agent may act on in this task as if the person had named them.
    #[serde(default)]
    pub vouch: Vec<String>,
}

/// A statement for a person to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToSign {
    /// Exact text.
    pub statement: String,
}

/// Most proposals signed at once.
pub const TOGETHER_MAX: usize = 20;

/// Several proposals to be signed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Together {
    /// Exact text: the list of their statements by digest.
    pub batch: String,
    /// Each of them, with its statement.
    pub views: Vec<ReviewView>,
}

/// Ask for a statement that grants something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grant", rename_all = "snake_case", deny_unknown_fields)]
pub enum GrantRequest {
    /// Another key for a person.
    Key {
        /// Person.
        person: String,
        /// Public key, one line.
        key: String,
        /// Roles.
        roles: Vec<String>,
    },
    /// End a key.
    RevokeKey {
        /// Fingerprint.
        fingerprint: Digest,
    },
    /// A target.
    Target {
        /// Registration.
        registration: Box<Registration>,
    },
    /// A task.
    Task {
        /// What the person asks for, in their words, one line.
        title: String,
        /// The agent's name.
        agent: String,
        /// Target's name.
        target: String,
        /// What type of task it is, which policies may name; at most 40 characters.
        #[serde(default)]
        task_type: Option<String>,
        /// Scope lines, e.g. `read main.orders(id,status)`.
        may: Vec<String>,
        /// What may not be done, whoever signs it; lines of the same form.
        #[serde(default)]
        never: Vec<String>,
        /// Functions a read inside the scope may call.
        functions: Vec<String>,
        /// Most rows of one run.
        rows_per_run: u64,
        /// Most rows of all runs under the scope.
        rows_total: u64,
        /// True: reads inside the scope run without a further signature and unlabelled columns are released.
        auto_reads: bool,
        /// Minutes until it ends.
        minutes: u32,
    },
    /// Close a task.
    CloseTask {
        /// The task.
        task: TaskId,
    },
    /// Change the policy.
    Policy {
        /// Name of a shipped pack.
        pack: String,
    },
    /// Put a policy of one's own in force.
    OwnPolicy {
        /// What it is called: 1 to 40 lowercase letters, digits, `-`, `_`.
        name: String,
        /// Cedar, at most 256 KiB.
        text: String,
    },
    /// Resume what was stopped.
    Resume {
        /// The scope as pressed.
        scope: String,
    },
}

/// A statement to grant something, with what travels beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantToSign {
    /// Exact text to sign.
    pub statement: String,
    /// What the statement names by digest.
    pub attachment: Option<String>,
}

/// The signed form of [`GrantToSign`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedGrant {
    /// Claim.
    pub claim: Signed,
    /// What the statement names by digest.
    #[serde(default)]
    pub attachment: Option<String>,
}

/// A new agent pass, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPass {
    /// The pass. A secret of the agent; it can propose and collect, nothing else.
    pub pass: String,
    /// Its task.
    pub task: TaskId,
    /// Its agent.
    pub agent: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The agents' door, e.g. `http://localhost:7118/mcp`.
    pub url: String,
}

/// One entry on the audit page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Index in the log.
    pub index: u64,
    /// Canonical entry.
    pub entry: String,
}

/// Filter of the audit page and search. Empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditFilter {
    /// Entries below this index (newest first paging).
    pub before: Option<u64>,
    /// Actor's name.
    pub actor: Option<String>,
    /// Task.
    pub task: Option<String>,
    /// Target.
    pub target: Option<String>,
    /// Proposal.
    pub proposal: Option<String>,
    /// Event.
    pub event: Option<String>,
    /// A digest.
    pub digest: Option<String>,
}

/// A passkey that somebody made here and asks to have granted. Worth nothing until an admin signs a grant of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRequest {
    /// The name they gave. Unverified.
    pub person: String,
    /// Public key, one line.
    pub key: String,
    /// Six words of the key's fingerprint, which the newcomer sees too.
    pub words: String,
    /// When they asked.
    pub asked_at: Timestamp,
}

/// What the front page and `wetink status` show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overview {
    /// Gateway's fingerprint.
    pub gateway: Digest,
    /// The guard's registry.
    pub registry: Registry,
    /// Verifier key of the log.
    pub log_key: String,
}

/// What went wrong, for a person: what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct PersonError {
    /// Stable code, e.g. `not_signed_in`, `already_decided`, `stale`, `not_found`, `guard_refused`, `unavailable`.
    pub code: String,
    /// What happened and what to do next.
    pub message: String,
}

/// What a program sends with a person's browser (RFC 6749, section 4.1.1; RFC 7636; RFC 8707). Missing ones are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthorizeRequest {
    /// The program: the address of its metadata document, or what it registered as.
    pub client_id: String,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// `code`.
    pub response_type: String,
    /// SHA-256 of the verifier, base64url.
    pub code_challenge: String,
    /// `S256`.
    pub code_challenge_method: String,
    /// `propose`, or nothing.
    pub scope: String,
    /// Carried back as it is.
    pub state: String,
    /// The agents' door, or nothing.
    pub resource: String,
}

/// What a person is asked to allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizeView {
    /// What the program calls itself. Nothing proves it.
    pub client: String,
    /// The address of its metadata document, if it has one.
    pub documented: Option<String>,
    /// What it asked.
    pub request: AuthorizeRequest,
    /// Open tasks it could work on, with what they are.
    pub tasks: Vec<(TaskId, String)>,
}

/// A session of a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was last used.
    pub seen_at: Timestamp,
    /// True: opened at the identity provider; false: with a key.
    pub by_provider: bool,
}

/// A policy's text, to be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TryPolicy {
    /// Cedar.
    pub text: String,
}

/// What a policy would have decided otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReplay {
    /// SHA-256 of the text.
    pub digest: Digest,
    /// Proposals that were decided again.
    pub looked_at: u64,
    /// How many of them come out otherwise.
    pub differ: u64,
    /// The newest of those, at most 100.
    pub changed: Vec<PolicyTried>,
}

/// A proposal that comes out otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyTried {
    /// The proposal.
    pub proposal: ProposalId,
    /// Its headline.
    pub headline: String,
    /// `allow`, `ask`, `ask 2`, `ask not requester`, `deny`.
    pub was: String,
    /// The same by the new policy.
    pub now: String,
    /// Rules that decide now.
    pub rules: Vec<String>,
}

/// Labels that the parts of a mail have unless the registration says otherwise: who wrote to whom, and what.
pub const MAIL_LABELS: [&str; 6] =
    ["mail.from", "mail.to", "mail.text", "mail.html_says", "mail.links", "mail.attachments"];
