use artifact::Timestamp;

use crate::statement::StatementError;

/// Why a claim does not count. Nothing happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The text is not a statement.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The statement is of another form than this step takes.
    #[error("the statement is of another form than this step takes")]
    WrongForm,
    /// Signed for another gateway.
    #[error("the statement is for another gateway")]
    OtherGateway,
    /// A field of the statement is not what would run.
    #[error("the statement and what would run differ in {0}")]
    Differs(&'static str),
    /// Too late.
    #[error("the statement ended at {0}; make a new one")]
    Ended(Timestamp),
    /// Valid for longer than any statement may be.
    #[error("the statement is valid for too long")]
    TooLong,
    /// No or too many signatures.
    #[error("the claim carries {0} signatures, expected 1 to 10")]
    Signatures(usize),
    /// A signature does not verify under any granted key.
    #[error("{0}")]
    Signature(String),
    /// A signer may not sign this.
    #[error("`{0}` may not sign this; an admin grants the role")]
    NotAllowed(String),
    /// Too few different people.
    #[error("{have} of {need} different people signed")]
    Quorum {
        /// People who signed.
        have: usize,
        /// People needed.
        need: usize,
    },
    /// Somebody signed whose signature is not to count here.
    #[error("{0} may not sign this one: whoever asked for it is not among those who approve it")]
    Apart(String),
    /// The key is of a weaker kind than asked for.
    #[error("this needs a stronger kind of key")]
    Assurance,
    /// The effect is not in its one spelling, or commits by itself.
    #[error("the effect is not acceptable: {0}")]
    Effect(&'static str),
    /// Outside the signed scope.
    #[error("it is outside the signed scope of the task")]
    OutOfScope,
    /// A key that cannot be granted.
    #[error("{0}")]
    Key(String),
    /// Granted before, or not there to be ended.
    #[error("{0}")]
    State(&'static str),
}
