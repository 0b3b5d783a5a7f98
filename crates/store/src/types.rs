use artifact::{Digest, Effect, Kind, ProposalId, RunId, SessionId, TaskId, Timestamp};
use lifecycle::{Shown, State};

/// Something about an agent that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRow {
    /// The entry that raised it.
    pub index: u64,
    /// E.g. `out_of_scope`, `denials`, `first_seen`, `unusual_hour`, `rows`, or a finding's code.
    pub kind: String,
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
    pub proposal: Option<String>,
    /// What the agent did, without its name.
    pub sentence: String,
}

/// One revision of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalRow {
    /// Id.
    pub id: ProposalId,
    /// Revision.
    pub revision: u32,
    /// The newest revision?
    pub current: bool,
    /// State.
    pub state: State,
    /// Task.
    pub task: TaskId,
    /// Agent's session.
    pub session: SessionId,
    /// Agent's name.
    pub agent: String,
    /// The person it works for.
    pub person: String,
    /// Target's name.
    pub target: String,
    /// Kind.
    pub kind: Kind,
    /// Artifact's digest.
    pub digest: Digest,
    /// Exact artifact.
    pub artifact: String,
    /// Effect.
    pub effect: Effect,
    /// What was shown besides.
    pub shown: Shown,
    /// The agent's words.
    pub purpose: String,
    /// `ask`, `allow`, `deny`.
    pub decision: String,
    /// Rules, `id: reason` each.
    pub reasons: Vec<String>,
    /// `low`, `medium`, `high`.
    pub risk: String,
    /// Handed in.
    pub created_at: Timestamp,
    /// Waiting ends.
    pub expires_at: Timestamp,
    /// The run, once started.
    pub run: Option<RunId>,
    /// Rows changed.
    pub affected: Option<u64>,
    /// The sentence that ended it.
    pub reason: Option<String>,
    /// What was released, canonical JSON.
    pub released: Option<String>,
    /// The claim so far, where more people have to sign.
    pub claim: Option<String>,
    /// Who signed it so far, joined by commas.
    pub signed_by: Option<String>,
}

/// A proposal that an entry moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The proposal.
    pub id: ProposalId,
    /// Its revision.
    pub revision: u32,
    /// Where it stands now.
    pub state: State,
    /// What has to happen next.
    pub effects: &'static [lifecycle::Effect],
}

/// An agent's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Id.
    pub id: SessionId,
    /// Agent's name.
    pub agent: String,
    /// The person it works for.
    pub person: String,
    /// Its task.
    pub task: TaskId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
    /// Thumbprint of the key that its pass is bound to.
    pub bound_to: Option<String>,
}

/// One log entry, for the audit page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Index.
    pub index: u64,
    /// Canonical JSON.
    pub body: String,
}

/// What entries to find. Empty fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Entries below this index.
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
    /// Any digest named in the entry.
    pub digest: Option<String>,
}

/// Why the view could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the desk's view failed; run `wetink store rebuild` if it persists")]
    Database(#[from] rusqlite::Error),
    /// An entry came out of order.
    #[error("entry {got} came where {wanted} was next; the view follows the log without gaps")]
    Gap {
        /// Next index wanted.
        wanted: u64,
        /// Index that came.
        got: u64,
    },
    /// A row holds what this program never wrote.
    #[error("the desk's view holds an unreadable {0}; run `wetink store rebuild`")]
    Corrupt(&'static str),
    /// An entry of the log is not readable.
    #[error("entry {0} of the log is not readable")]
    Entry(u64),
}
