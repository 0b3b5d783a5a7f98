use std::future::Future;
use std::time::Duration;

use artifact::ProposalId;
use doors::Refusal;
use doors::agents::{
    Check, CheckAnswer, OwnTool, Principal, ProposalAnswer, Propose, RefusalAnswer, Status, TargetDescription,
    TargetSummary,
};

use crate::oauth::{Exchange, ExchangeError, Exchanged};

/// What stands behind the agents' door; the desk implements it.
///
/// Every call names the principal, and every call checks that what it is asked about belongs to that principal: ids are
/// names, not capabilities. Answers for things that do not exist and things of others are the same.
pub trait Door: Clone + Send + Sync + 'static {
    /// Whose pass this is. `address` is the peer's network address as the listener saw it.
    ///
    /// # Errors
    /// [`Refusal::NotAuthenticated`] for an unknown or ended pass, [`Refusal::Unavailable`] if that cannot be looked up.
    fn authenticate(&self, pass: &str, address: &str) -> impl Future<Output = Result<Principal, Refusal>> + Send;

    /// A pass for what a person allowed before. `key`: the thumbprint of the key that the client proved to have.
    fn exchange(
        &self,
        exchange: Exchange,
        key: Option<String>,
    ) -> impl Future<Output = Result<Exchanged, ExchangeError>> + Send;

    /// What the artifact would do and how it would be decided. Stores nothing for a person.
    fn check(&self, who: &Principal, check: Check) -> impl Future<Output = Result<CheckAnswer, Refused>> + Send;

    /// Hands an artifact in. Durable when it returns, and returns without waiting for a person. The same artifact, target
    /// and task again gives the same proposal.
    fn propose(
        &self,
        who: &Principal,
        propose: Propose,
    ) -> impl Future<Output = Result<ProposalAnswer, Refused>> + Send;

    /// How a proposal stands now.
    fn get(&self, who: &Principal, id: ProposalId) -> impl Future<Output = Result<ProposalAnswer, Refused>> + Send;

    /// How a proposal stands as soon as that differs from `seen`, or when `time` is over. Dropping the future only ends the
    /// waiting.
    fn wait(
        &self,
        who: &Principal,
        id: ProposalId,
        seen: Status,
        time: Duration,
    ) -> impl Future<Output = Result<ProposalAnswer, Refused>> + Send;

    /// Takes a proposal back that waits for a person.
    ///
    /// # Errors
    /// [`Refusal::WrongState`] once it is signed or over.
    fn withdraw(&self, who: &Principal, id: ProposalId)
    -> impl Future<Output = Result<ProposalAnswer, Refused>> + Send;

    /// The principal's proposals, newest first, at most 50.
    fn list(&self, who: &Principal) -> impl Future<Output = Result<Vec<ProposalAnswer>, Refused>> + Send;

    /// The targets of the principal's task.
    fn targets(&self, who: &Principal) -> impl Future<Output = Result<Vec<TargetSummary>, Refused>> + Send;

    /// Tools of the MCP server that the principal's task is about, inside its scope; none where its target is something else.
    fn tools(&self, who: &Principal) -> impl Future<Output = Result<Option<Vec<OwnTool>>, Refused>> + Send;

    /// The names that the task's scope covers on one target.
    fn describe(
        &self,
        who: &Principal,
        target: &str,
    ) -> impl Future<Output = Result<TargetDescription, Refused>> + Send;
}

/// Why a call was refused, with what may be added to the fixed advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The closed code.
    pub refusal: Refusal,
    /// One sentence that is only about what the agent itself sent (I9): never data of a target, another agent or a person.
    pub sentence: Option<String>,
    /// Seconds until it makes sense to try again, where that is known.
    pub retry_after_s: Option<u32>,
}

impl Refused {
    /// A refusal with a sentence about what the agent sent.
    pub fn because(refusal: Refusal, sentence: impl Into<String>) -> Self {
        Self { sentence: Some(sentence.into()), ..Self::from(refusal) }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, sentence: None, retry_after_s: None }
    }
}

impl From<Refused> for RefusalAnswer {
    fn from(refused: Refused) -> Self {
        let fixed = Self::from(refused.refusal);
        let message = match refused.sentence {
            Some(sentence) => format!("{sentence} {}", fixed.message),
            None => fixed.message,
        };
        Self { message, retry_after_s: refused.retry_after_s.or(fixed.retry_after_s), ..fixed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_comes_before_the_fixed_advice() {
        let answer = RefusalAnswer::from(Refused::because(Refusal::Malformed, "`wait_s` is at most 45."));
        assert!(answer.message.starts_with("`wait_s` is at most 45. Correct the request"));
        assert_eq!(RefusalAnswer::from(Refused::from(Refusal::SlowDown)).retry_after_s, Some(15));
        let slow = Refused { retry_after_s: Some(3), ..Refusal::SlowDown.into() };
        assert_eq!(RefusalAnswer::from(slow).retry_after_s, Some(3));
    }
}
