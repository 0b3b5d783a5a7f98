use std::io;
use std::sync::Arc;

/// Why the ledger did not do it. Unless it says otherwise, nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// The nonce was spent before.
    #[error("this approval was used before")]
    AlreadySpent,
    /// A budget has no room for it. Names the budget.
    #[error("the budget is used up: {0}")]
    OverBudget(String),
    /// Too many writers wait.
    #[error("the ledger is busy; try again in a moment")]
    Busy,
    /// A write had an unknown outcome, so nothing more is written until the guard is started again.
    #[error("the ledger stopped after a write that may have failed; start the guard again")]
    Poisoned,
    /// There is one already.
    #[error("there is a ledger already; it is never overwritten")]
    Exists,
    /// There is none.
    #[error("there is no ledger here; it is made once, at set-up")]
    Missing,
    /// Another guard has it open.
    #[error("another guard has this ledger open")]
    Locked,
    /// The stored head is not the head of the stored tree, or not signed by this guard.
    #[error("the ledger does not fit its signed head; verify a copy with `wetink audit verify` before anything else")]
    HeadDoesNotFit,
    /// A content does not open with this guard's key.
    #[error("a stored content does not open")]
    Content,
    /// The database.
    #[error("the ledger's database failed: {0}")]
    Database(Arc<rusqlite::Error>),
    /// The file system.
    #[error("the ledger's files failed: {0}")]
    Io(Arc<io::Error>),
    /// An entry or proof.
    #[error("{0}")]
    Audit(Arc<audit::Error>),
}

impl From<rusqlite::Error> for LedgerError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<io::Error> for LedgerError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl From<audit::Error> for LedgerError {
    fn from(error: audit::Error) -> Self {
        Self::Audit(Arc::new(error))
    }
}
