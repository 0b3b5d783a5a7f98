//! The calls as both MCP and HTTP make them: parsed, within limits, answered in time. Each function takes what the agent
//! sent and gives what the agent gets.

use std::future::Future;
use std::time::Duration;

use artifact::{MAX_ARTIFACT_BYTES, ProposalId};
use doors::Refusal;
use doors::agents::{
    Check, CheckAnswer, OwnTool, PURPOSE_MAX, Principal, ProposalAnswer, Propose, Status, TargetDescription,
    TargetSummary, WAIT_MAX_S,
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::{Door, IntakeConfig, Refused};

/// Seconds that `propose` waits if the agent names none.
pub(crate) const PROPOSE_WAIT_S: u8 = 20;
/// Seconds that `get_proposal` waits if the agent names none.
pub(crate) const GET_WAIT_S: u8 = 25;
/// Proposals in one list, whatever the desk gives.
const LIST_MAX: usize = 50;
/// Longest target name, in bytes, as registration allows it.
const TARGET_MAX: usize = 40;

/// The door with its limits.
#[derive(Clone)]
pub(crate) struct Surface<D> {
    door: D,
    door_time: Duration,
}

impl<D: Door> Surface<D> {
    pub(crate) fn new(door: D, config: &IntakeConfig) -> Self {
        Self { door, door_time: config.door_time }
    }

    pub(crate) async fn check(&self, who: &Principal, check: Check) -> Result<CheckAnswer, Refused> {
        fits(&check.target, &check.body)?;
        self.in_time(self.door.check(who, check)).await
    }

    /// Hands in and returns at once; [`Self::follow`] waits.
    pub(crate) async fn propose(&self, who: &Principal, propose: Propose) -> Result<ProposalAnswer, Refused> {
        fits(&propose.target, &propose.body)?;
        if propose.purpose.trim().is_empty() {
            return Err(Refused::because(Refusal::Malformed, "`purpose` is empty; say why in one sentence."));
        }
        if propose.purpose.chars().count() > PURPOSE_MAX {
            return Err(Refused::because(Refusal::TooLarge, "`purpose` is over its limit."));
        }
        // A connection that is cut must not stop a hand-in half-way: it goes on by itself.
        let (door, who) = (self.door.clone(), who.clone());
        let handing_in = tokio::spawn(async move { door.propose(&who, propose).await });
        match timeout(self.door_time, handing_in).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(uncertain("handed in")),
        }
    }

    pub(crate) async fn get(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        self.in_time(self.door.get(who, id)).await
    }

    pub(crate) async fn withdraw(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        let (door, who) = (self.door.clone(), who.clone());
        let withdrawing = tokio::spawn(async move { door.withdraw(&who, id).await });
        match timeout(self.door_time, withdrawing).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(uncertain("withdrawn")),
        }
    }

    pub(crate) async fn list(&self, who: &Principal) -> Result<Vec<ProposalAnswer>, Refused> {
        let mut all = self.in_time(self.door.list(who)).await?;
        all.truncate(LIST_MAX);
        Ok(all)
    }

    pub(crate) async fn targets(&self, who: &Principal) -> Result<Vec<TargetSummary>, Refused> {
        self.in_time(self.door.targets(who)).await
    }

    pub(crate) async fn tools(&self, who: &Principal) -> Result<Option<Vec<OwnTool>>, Refused> {
        self.in_time(self.door.tools(who)).await
    }

    pub(crate) async fn describe(&self, who: &Principal, target: &str) -> Result<TargetDescription, Refused> {
        target_fits(target)?;
        self.in_time(self.door.describe(who, target)).await
    }

    /// Waits until the proposal rests in another state than `first`, or `time` is over. Machine states (signed, runs) pass by
    /// quickly and are waited through. A refusal while waiting takes nothing back: what was known last is the answer.
    pub(crate) async fn follow(
        &self,
        who: &Principal,
        mut answer: ProposalAnswer,
        first: Status,
        time: Duration,
    ) -> ProposalAnswer {
        let end = Instant::now() + time;
        while !rests(first, answer.status) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waiting = self.door.wait(who, answer.proposal_id, answer.status, left);
            match timeout(left.saturating_add(self.door_time), waiting).await {
                Ok(Ok(next)) if next.status != answer.status => answer = next,
                Ok(Ok(next)) => return next,
                Ok(Err(_)) | Err(_) => break,
            }
        }
        answer
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Refused>>) -> Result<T, Refused> {
        timeout(self.door_time, call).await.unwrap_or_else(|_| Err(Refusal::Unavailable.into()))
    }
}

/// True if an agent that saw `first` has something to do now.
pub(crate) fn rests(first: Status, now: Status) -> bool {
    now.is_final() || (now != first && !matches!(now, Status::Approved | Status::Running))
}

/// Seconds to wait, parsed: at most [`WAIT_MAX_S`].
pub(crate) fn wait(asked: Option<u8>, absent: u8) -> Result<Duration, Refused> {
    let seconds = asked.unwrap_or(absent);
    if seconds > WAIT_MAX_S {
        return Err(Refused::because(Refusal::Malformed, format!("The wait is at most {WAIT_MAX_S} seconds.")));
    }
    Ok(Duration::from_secs(u64::from(seconds)))
}

/// The agent's JSON as a `T`, or what is wrong with it.
pub(crate) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(json).map_err(|error| malformed(&error))
}

/// What is wrong with the agent's JSON, in words that come from the agent's own text and the public schema only.
pub(crate) fn malformed(error: &serde_json::Error) -> Refused {
    let text: String = error.to_string().chars().take(200).map(artifact::visible_char).collect();
    Refused::because(Refusal::Malformed, format!("The request does not fit: {text}."))
}

fn fits(target: &str, body: &str) -> Result<(), Refused> {
    target_fits(target)?;
    if body.len() > MAX_ARTIFACT_BYTES {
        return Err(Refused::because(Refusal::TooLarge, format!("`body` has {} bytes.", body.len())));
    }
    if body.trim().is_empty() {
        return Err(Refused::because(Refusal::Malformed, "`body` is empty."));
    }
    Ok(())
}

fn target_fits(target: &str) -> Result<(), Refused> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    let named = !target.is_empty() && target.len() <= TARGET_MAX && target.bytes().all(plain);
    if named { Ok(()) } else { Err(Refusal::UnknownTarget.into()) }
}

/// The call was sent and its end was not learned.
fn uncertain(done: &str) -> Refused {
    Refused::because(
        Refusal::Unavailable,
        format!("It was not learned in time whether this was {done}; see list_proposals. If it was not:"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_s_step_ends_the_wait_and_a_machine_s_does_not() {
        assert!(!rests(Status::Pending, Status::Pending));
        assert!(!rests(Status::Pending, Status::Approved));
        assert!(!rests(Status::Pending, Status::Running));
        assert!(!rests(Status::Held, Status::Held));
        assert!(rests(Status::Pending, Status::Held));
        for status in Status::ALL.into_iter().filter(|s| s.is_final()) {
            assert!(rests(status, status), "{status:?}");
        }
    }

    #[test]
    fn limits() {
        assert!(fits("orders-prod", "SELECT 1").is_ok());
        assert!(fits("orders-prod", &"x".repeat(MAX_ARTIFACT_BYTES)).is_ok());
        let over = fits("orders-prod", &"x".repeat(MAX_ARTIFACT_BYTES + 1)).unwrap_err();
        assert_eq!(over.refusal, Refusal::TooLarge);
        assert_eq!(fits("orders-prod", " \n").unwrap_err().refusal, Refusal::Malformed);
        for bad in ["", "../x", "a b", "Ä", &"a".repeat(41)] {
            assert_eq!(fits(bad, "SELECT 1").unwrap_err().refusal, Refusal::UnknownTarget, "{bad}");
        }
        assert_eq!(wait(None, 20).unwrap(), Duration::from_secs(20));
        assert_eq!(wait(Some(45), 20).unwrap(), Duration::from_secs(45));
        assert_eq!(wait(Some(46), 20).unwrap_err().refusal, Refusal::Malformed);
    }

    #[test]
    fn hidden_characters_of_the_agent_come_back_visible() {
        let refused = parse::<Check>("{\"target\":\"a\",\"body\":\"b\",\"x\u{202e}y\":1}".as_bytes()).unwrap_err();
        let sentence = refused.sentence.unwrap();
        assert!(sentence.contains("unknown field"), "{sentence}");
        assert!(!sentence.contains('\u{202e}'));
    }
}
