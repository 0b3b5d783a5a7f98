use serde::{Deserialize, Serialize};

/// Why an agent's request was refused: the closed list (I9). Every text is fixed or says only what the agent itself sent;
/// no refusal carries data of a target, another agent or a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No pass, an unknown one, or one that ended.
    NotAuthenticated,
    /// The Origin or Host header is not one of ours.
    OriginRefused,
    /// The request is not of the documented form.
    Malformed,
    /// The body or artifact is over its limit.
    TooLarge,
    /// The task does not exist, is closed, or is not this agent's.
    UnknownTask,
    /// The target does not exist or is not in this task.
    UnknownTarget,
    /// The proposal does not exist or is not this agent's.
    UnknownProposal,
    /// The artifact is not one statement that can be understood.
    NotUnderstood,
    /// Policy denies it whoever signs.
    DeniedByPolicy,
    /// Too many requests, or too many pending proposals.
    SlowDown,
    /// The agent, task, person, target or everything is stopped.
    Stopped,
    /// The proposal is in a state that does not allow this.
    WrongState,
    /// The gateway cannot log, decide or reach its guard now; nothing was done.
    Unavailable,
}

impl Refusal {
    /// Every refusal there is.
    pub const ALL: [Self; 13] = [
        Self::NotAuthenticated,
        Self::OriginRefused,
        Self::Malformed,
        Self::TooLarge,
        Self::UnknownTask,
        Self::UnknownTarget,
        Self::UnknownProposal,
        Self::NotUnderstood,
        Self::DeniedByPolicy,
        Self::SlowDown,
        Self::Stopped,
        Self::WrongState,
        Self::Unavailable,
    ];

    /// The stable code, e.g. `unknown_task`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not_authenticated",
            Self::OriginRefused => "origin_refused",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::UnknownTask => "unknown_task",
            Self::UnknownTarget => "unknown_target",
            Self::UnknownProposal => "unknown_proposal",
            Self::NotUnderstood => "not_understood",
            Self::DeniedByPolicy => "denied_by_policy",
            Self::SlowDown => "slow_down",
            Self::Stopped => "stopped",
            Self::WrongState => "wrong_state",
            Self::Unavailable => "unavailable",
        }
    }

    /// What the agent can do about it, one sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotAuthenticated => {
                "Send the agent pass as `Authorization: Bearer ...`; ask the person for a new one with `wetink connect`."
            }
            Self::OriginRefused => "Call the gateway at its own address, without a foreign Origin or Host header.",
            Self::Malformed => "Correct the request: the tool's input schema lists every accepted field and type.",
            Self::TooLarge => "Send less: an artifact has at most 1 MiB, a purpose at most 500 characters.",
            Self::UnknownTask => "Use a task from your pass; ask the person to open one with `wetink task new`.",
            Self::UnknownTarget => "Use a target that list_targets names.",
            Self::UnknownProposal => "Use a proposal_id that list_proposals names.",
            Self::NotUnderstood => "Rewrite it as one plain statement without dynamic parts; use check to try it.",
            Self::DeniedByPolicy => {
                "Do not send it again; no signature can allow it. Use check to see which rule denies it."
            }
            Self::SlowDown => "Wait as long as retry_after_s says, then continue with what is pending.",
            Self::Stopped => "A person pressed stop. Do nothing until they open a task again.",
            Self::WrongState => "Read the proposal with get_proposal; this step is not possible in its present state.",
            Self::Unavailable => "Nothing was done. Try again later with the same request.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_serialized_names() {
        for refusal in Refusal::ALL {
            assert_eq!(serde_json::to_string(&refusal).unwrap(), format!("\"{}\"", refusal.code()));
        }
    }
}
