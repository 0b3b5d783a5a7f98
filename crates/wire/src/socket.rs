//! Desk to guard (and a person's terminal to guard) over a Unix socket: one request frame, one answer frame, in order.
//!
//! The desk is not trusted with authority. Every request that could cause a run, a release or a grant carries a claim
//! ([`Signed`]) that the guard verifies against its own trust.

use artifact::catalog::Catalog;
use artifact::claim::Signed;
use artifact::{Digest, Effect, Kind, ProposalId, RunId, TaskId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::order::{FailCode, ResultSet, Sample};
use crate::target::Registration;

/// A request to the guard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Who are you, and where does the log stand? Answered by [`Answer::Hello`].
    Hello {},
    /// Append the desk's own entries, all or none. Answered by [`Answer::Appended`] when they are durable.
    Append {
        /// At most 1,024.
        entries: Vec<NewEntry>,
    },
    /// Entries from `from` on, waiting up to `wait_ms` for the first. Answered by [`Answer::Entries`].
    Read {
        /// First index.
        from: u64,
        /// At most this many (and at most 1,024, and at most a frame).
        limit: u32,
        /// At most 30,000.
        wait_ms: u32,
    },
    /// Keys, targets, tasks, policy and stop switches as the guard holds them. Answered by [`Answer::Registry`].
    Registry {},
    /// The schema of a target. Answered by [`Answer::Catalog`].
    Catalog {
        /// Target's name.
        target: String,
    },
    /// Run within the effect and roll back, to learn how many rows. Answered by [`Answer::Preview`].
    Preview {
        /// What.
        proposed: Proposed,
        /// True: with some of the rows before and after, labelled columns masked.
        sample: bool,
        /// The task it belongs to, for whose person it is tried where people have credentials of their own.
        task: TaskId,
    },
    /// Run once under an approval. Answered by [`Answer::Ran`].
    Run {
        /// The signed approval statement.
        claim: Signed,
        /// What it is about.
        proposed: Proposed,
    },
    /// Run once under a signed task scope (reads only). Answered by [`Answer::Ran`].
    RunUnderTask {
        /// The task.
        task: TaskId,
        /// What.
        proposed: Proposed,
    },
    /// Show a held result to a person. Logged. Answered by [`Answer::Held`].
    Peek {
        /// The run.
        run: RunId,
        /// The person the desk shows it to.
        person: String,
    },
    /// The statement that puts back what a run changed, for a person to propose. Logged. Answered by [`Answer::Text`].
    Undo {
        /// The run.
        run: RunId,
        /// The person the desk shows it to.
        person: String,
    },
    /// Release part of a held result. Answered by [`Answer::Released`].
    Release {
        /// The signed release statement.
        claim: Signed,
    },
    /// Apply a signed grant: key, revocation, target, task, closing, policy, resuming. Answered by [`Answer::Done`].
    Grant {
        /// The signed statement.
        claim: Signed,
        /// What the statement names by digest: a [`Registration`] as JSON for a target, the policy text for a policy.
        attachment: Option<String>,
    },
    /// Enroll the very first person's key with the one-time token printed at set-up. Answered by [`Answer::Done`].
    EnrollFirst {
        /// The token.
        token: String,
        /// The person's name.
        person: String,
        /// Public key, one line.
        key: String,
    },
    /// Press stop. Takes effect at once; needs no signature, resuming does. Answered by [`Answer::Done`].
    Stop {
        /// `all`, `task:<id>`, `target:<name>`, `agent:<name>`, `person:<name>`, or `proposal:<id>` for one run that has not happened yet.
        scope: String,
        /// Who pressed it, as the desk knows.
        by: String,
    },
    /// The guard's own plain-text view of a proposal, from its own copy of the bytes. Answered by [`Answer::Text`].
    Show {
        /// The proposal.
        proposal: ProposalId,
        /// The revision.
        revision: u32,
    },
    /// The newest checkpoint. Answered by [`Answer::Text`] (a C2SP signed note).
    Checkpoint {},
    /// A receipt for a run. Answered by [`Answer::Text`] (receipt JSON).
    Receipt {
        /// The run.
        run: RunId,
    },
    /// Copy the log into a folder, so that it verifies offline; held results stay out. Only on the operator's socket.
    /// Answered by [`Answer::Done`] with the number of entries.
    Export {
        /// Absolute path of the folder; made if absent.
        folder: String,
    },
    /// Store a credential. Only on the operator's socket. Answered by [`Answer::Done`].
    StoreSecret {
        /// Its name.
        name: String,
        /// The value. Never logged.
        value: SecretText,
    },
    /// Give the login of a target a new password, made at random, and keep it. Only on the operator's socket. Answered by
    /// [`Answer::Done`].
    RotateSecret {
        /// The target's name.
        target: String,
    },
    /// Names, versions and ages of the vault's secrets. Only on the operator's socket. Answered by [`Answer::Secrets`].
    Secrets {},
    /// Store where a credential is fetched from when it is used. Only on the operator's socket. Answered by [`Answer::Done`].
    ReferSecret {
        /// Its name.
        name: String,
        /// Where it is, JSON as the vault reads it.
        source: String,
    },
}

/// A secret on its way into the vault. No Debug output of the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(pub String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretText(...)")
    }
}

/// An entry the desk vouches for. The guard sets domain, time and index itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEntry {
    /// An `audit::Entry` as JSON; its `domain` must be `desk`.
    pub entry: serde_json::Value,
    /// Contents the entry commits to.
    pub contents: Vec<Content>,
}

/// A named content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Name within the entry, e.g. `artifact`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// An artifact at a target within an effect, for a revision of a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposed {
    /// Proposal.
    pub proposal: ProposalId,
    /// Its revision.
    pub revision: u32,
    /// Target's name.
    pub target: String,
    /// Kind.
    pub kind: Kind,
    /// The exact artifact.
    pub artifact: String,
    /// The effect shown.
    pub effect: Effect,
}

/// The guard's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Identity and head of the log.
    Hello {
        /// Fingerprint of the guard's root.
        gateway: Digest,
        /// Verifier key of the log (C2SP form).
        log_key: String,
        /// Entries in the log.
        size: u64,
        /// Program version.
        version: String,
    },
    /// Index of the first entry appended.
    Appended {
        /// Index.
        first: u64,
    },
    /// Entries in order.
    Entries {
        /// Index of the first one.
        from: u64,
        /// Canonical entries with the contents the desk may read.
        entries: Vec<LoggedEntry>,
    },
    /// What is granted now.
    Registry {
        /// The registry.
        registry: Registry,
    },
    /// The schema.
    Catalog {
        /// Snapshot.
        catalog: Box<Catalog>,
    },
    /// What it would change.
    Preview {
        /// Rows changed or returned.
        rows: u64,
        /// Rows in the one relation changed.
        of: Option<u64>,
        /// Some of the rows before and after.
        sample: Option<Sample>,
    },
    /// The run ended.
    Ran {
        /// The run.
        run: RunId,
        /// How.
        outcome: Outcome,
    },
    /// The signatures are good and too few; they are in the log.
    Countersigned {
        /// Different people so far.
        have: u32,
        /// Different people needed.
        need: u32,
        /// Index of the log entry.
        index: u64,
    },
    /// A held result.
    Held {
        /// The rows.
        result: ResultSet,
        /// SHA-256 of the canonical JSON of the result; stands in the release statement.
        digest: Digest,
    },
    /// What the agent may have, as canonical JSON.
    Released {
        /// JSON.
        released: String,
    },
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// What may be known of the vault's secrets.
    Secrets {
        /// By name.
        secrets: Vec<SecretView>,
    },
    /// Done and durable.
    Done {
        /// Index of the log entry.
        index: u64,
    },
    /// Refused or failed; nothing was done (unless the code says otherwise).
    Refused {
        /// Why, from a closed list.
        code: Refused,
        /// For a person; no secrets.
        detail: String,
    },
}

/// What may be known of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretView {
    /// Name.
    pub name: String,
    /// Version, from 1.
    pub version: u32,
    /// When this version was stored.
    pub stored_at: Timestamp,
    /// True if the vault holds only where it is.
    pub refers: bool,
    /// Targets that use it.
    pub targets: Vec<String>,
}

/// One entry as logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedEntry {
    /// Canonical JSON of the `audit::Entry`.
    pub entry: String,
    /// Contents the desk may read (never held results).
    pub contents: Vec<Content>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// It ran; the result is held.
    Held {
        /// Rows changed.
        affected: u64,
        /// Rows returned.
        returned: u64,
        /// Time at the target in milliseconds.
        elapsed_ms: u64,
    },
    /// It did not happen.
    Failed {
        /// Why.
        code: FailCode,
        /// For a person.
        detail: String,
    },
    /// Nobody can say whether it happened.
    Unknown {
        /// What is known.
        detail: String,
    },
}

/// Why the guard refused. Each has one stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The request is not of the documented form or over a limit.
    Malformed,
    /// The claim does not verify (signature, signer, bytes, effect, target, gateway, policy, time).
    NotApproved,
    /// This approval was spent before.
    AlreadySpent,
    /// Out of the signed task scope, or its budget is used up.
    OutOfScope,
    /// The thing named does not exist.
    Unknown,
    /// Stopped by a person.
    Stopped,
    /// Not allowed on this socket or from this user.
    NotPermitted,
    /// The floor of this target forbids it.
    BelowFloor,
    /// The executor could not do it (catalog, preview).
    TargetFailed,
    /// Something touched is not as the effect says (preview).
    Drifted,
    /// The ledger cannot be written; nothing was done.
    LedgerFailed,
    /// Too many runs at once; nothing was done.
    Busy,
}

/// What is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Entries in the log when this was read.
    pub size: u64,
    /// Keys in the order they were granted.
    pub keys: Vec<KeyView>,
    /// Targets by name.
    pub targets: Vec<TargetView>,
    /// Tasks, newest first, open ones and those closed in the last day.
    pub tasks: Vec<TaskView>,
    /// Digest of the policy in force.
    pub policy: Digest,
    /// Its text.
    pub policy_text: String,
    /// OpenSSH line of the key that signs what services get along with requests.
    pub receipt_key: String,
    /// Stop switches pressed.
    pub stopped: Vec<String>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyView {
    /// The person.
    pub person: String,
    /// Public key, one line.
    pub key: String,
    /// Fingerprint.
    pub fingerprint: Digest,
    /// Roles.
    pub roles: Vec<String>,
    /// Since when.
    pub granted_at: Timestamp,
    /// Until when, if revoked.
    pub revoked_at: Option<Timestamp>,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetView {
    /// Registration.
    pub registration: Registration,
    /// Its fingerprint.
    pub fingerprint: Digest,
}

/// One task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskView {
    /// The signed statement's text; everything about the task stands in it.
    pub statement: String,
    /// The person who signed it.
    pub person: String,
    /// When it was closed, if it was.
    pub closed_at: Option<Timestamp>,
    /// Rows returned or changed so far under the scope without a signature of their own.
    pub rows_used: u64,
}
