//! Guard to executor and back, over the child's pipes.
//!
//! The guard writes one [`Order`] frame and one [`Credential`-bytes](CREDENTIAL_LIMIT) frame (raw: four bytes of
//! length, then the bytes). The child answers with [`Report`] frames. For a write the child stops at
//! [`Report::Prepared`], holding the transaction open, until the guard writes a [`Go`] frame; a closed pipe means no.
//! So the guard has logged the transaction id before anything can commit.

use artifact::catalog::Catalog;
use artifact::{Effect, Kind};
use serde::{Deserialize, Serialize};

use crate::target::Registration;

/// Largest order frame in bytes (artifact, effect and registration, escaped).
pub const ORDER_LIMIT: usize = 4 * 1024 * 1024;
/// Largest credential in bytes.
pub const CREDENTIAL_LIMIT: usize = 64 * 1024;
/// Largest report frame in bytes. The guard reads no more, whatever the child says.
pub const REPORT_LIMIT: usize = 12 * 1024 * 1024;
/// Most bytes of cell text an executor puts into one result; the rest is cut off and counted.
pub const RESULT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What an executor is told to do. One order, then it ends; only [`Order::Prepare`] is followed by the one it prepares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Connect, and wait up to a minute for an order on the same target, which comes without a credential. Reports nothing by itself.
    Prepare {
        /// Where.
        target: Registration,
    },
    /// Read the target's schema. Reports [`Report::Catalog`].
    Catalog {
        /// Where.
        target: Registration,
    },
    /// Run the artifact in a transaction and roll it back, locked to the effect. Reports [`Report::Preview`].
    Preview {
        /// What, where, within what.
        job: Job,
        /// True: with some of the rows before and after.
        sample: bool,
    },
    /// Run the artifact once. Reports [`Report::Prepared`] (writes only) and [`Report::Done`].
    Run {
        /// What, where, within what.
        job: Job,
        /// Most rows it may change; above it the child rolls back and reports [`FailCode::CeilingExceeded`].
        ceiling_rows: u64,
    },
    /// Give the target's login a new password. The credential is both: four bytes of big-endian length of the one it has, that one, the
    /// new one. Reports [`Report::Resolved`] with `rotated`.
    Rotate {
        /// Where.
        target: Registration,
    },
    /// Ask the target what became of a transaction. Reports [`Report::Resolved`].
    Resolve {
        /// Where.
        target: Registration,
        /// Transaction id as reported by [`Report::Prepared`].
        transaction: String,
    },
}

impl Order {
    /// Where.
    pub fn target(&self) -> &Registration {
        match self {
            Self::Prepare { target }
            | Self::Catalog { target }
            | Self::Rotate { target }
            | Self::Resolve { target, .. } => target,
            Self::Preview { job, .. } | Self::Run { job, .. } => &job.target,
        }
    }

    /// The same, to be settled.
    pub fn target_mut(&mut self) -> &mut Registration {
        match self {
            Self::Prepare { target }
            | Self::Catalog { target }
            | Self::Rotate { target }
            | Self::Resolve { target, .. } => target,
            Self::Preview { job, .. } | Self::Run { job, .. } => &mut job.target,
        }
    }
}

/// What to run, where, within what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Where.
    pub target: Registration,
    /// Kind of the artifact; must be the target's kind.
    pub kind: Kind,
    /// The exact artifact.
    pub artifact: String,
    /// The signed effect. Nothing beyond it may happen.
    pub effect: Effect,
    /// Who signed; put into the session's `application_name` where the target has one.
    pub signer: String,
    /// Headers that the guard adds to a request which changes something, names in lower case: a key for carrying it out once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additions: Vec<(String, String)>,
}

/// The guard's answer to [`Report::Prepared`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Go {
    /// True: commit. False: roll back.
    pub commit: bool,
}

/// What an executor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case", deny_unknown_fields)]
pub enum Report {
    /// The schema.
    Catalog {
        /// Snapshot.
        catalog: Box<Catalog>,
    },
    /// What the artifact did before it was rolled back.
    Preview {
        /// Rows changed (or returned, for a read).
        rows: u64,
        /// Rows in the one relation changed, where there is exactly one.
        of: Option<u64>,
        /// Some of the rows before and after, if that was asked for and the target can tell.
        sample: Option<Sample>,
    },
    /// The statement ran inside a transaction that is still open.
    Prepared {
        /// Rows changed.
        affected: u64,
        /// The target's transaction id, where it can be asked about later.
        transaction: Option<String>,
    },
    /// It ran (and committed, if it wrote).
    Done {
        /// Rows changed; 0 for a read.
        affected: u64,
        /// What came back.
        result: ResultSet,
        /// Time at the target in milliseconds.
        elapsed_ms: u64,
        /// How to put back what it changed, where the old rows could be kept.
        undo: Option<Undo>,
        /// True: the child is connected still, and takes another order for the same target, without a credential, for a minute.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stays: bool,
    },
    /// What became of a transaction.
    Resolved {
        /// `committed`, `aborted`, `in progress`, or none if the target no longer knows.
        status: Option<String>,
    },
    /// It did not happen (or, for [`FailCode::OutcomeUnknown`], nobody can say).
    Failed {
        /// Why, from a closed list.
        code: FailCode,
        /// The target's words for a person, hidden characters escaped, at most 500 characters. Never for the agent.
        detail: String,
    },
}

/// A statement that puts back what a run changed. To be read and signed like any other; it leaves alone what was changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// The statement, of the target's kind.
    pub statement: String,
    /// Rows it puts back.
    pub rows: u64,
}

/// Some of the rows of one relation, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Schema-qualified name.
    pub relation: String,
    /// Its columns in order.
    pub columns: Vec<String>,
    /// At most 20.
    pub rows: Vec<Change>,
}

/// One row before and after. Cells as text, none is NULL, cut at 200 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// None for a row that is added.
    pub before: Option<Vec<Option<String>>>,
    /// None for a row that is removed, or where the target does not tell.
    pub after: Option<Vec<Option<String>>>,
}

/// Why an executor did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailCode {
    /// The target cannot be reached or does not answer.
    TargetUnreachable,
    /// The target refused the credential.
    LoginRefused,
    /// The artifact does more than the signed effect (the target or the lock refused it).
    BeyondEffect,
    /// The artifact is not exactly one statement.
    NotOneStatement,
    /// More rows than the signed ceiling; rolled back.
    CeilingExceeded,
    /// Something that the statement touches is not as it was when it was shown; rolled back.
    Drifted,
    /// The target reports an error in the statement; rolled back.
    StatementFailed,
    /// It took longer than allowed; rolled back.
    TimedOut,
    /// The target holds a lock that was not given up in time; rolled back.
    Locked,
    /// The guard said no at the last moment; rolled back.
    Withdrawn,
    /// The connection broke while committing.
    OutcomeUnknown,
    /// The order itself makes no sense (wrong kind, bad registration, preview not possible).
    BadOrder,
    /// The child could not confine itself.
    NotConfined,
}

/// Rows as the target renders them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultSet {
    /// Columns in order.
    pub columns: Vec<ResultColumn>,
    /// Cells as text; none is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows the statement returned, including those cut off.
    pub total_rows: u64,
}

/// One column of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultColumn {
    /// Name as the target gives it.
    pub name: String,
    /// `relation.column` it comes from, where the target says so; decides its label.
    pub origin: Option<String>,
}
