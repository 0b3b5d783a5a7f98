//! The tasks extension (SEP-2663) as a view on proposals: no task is kept anywhere. A task's id is the proposal's id and the
//! time it became a task, so any gateway can answer for it, also after a restart. The id is a name, not a capability: each
//! call asks the door for the proposal under the caller's own name.

use artifact::{ProposalId, Timestamp};
use doors::agents::{ProposalAnswer, Status};
use rmcp::model::{CallToolResult, DetailedTask, Task, TaskPayload, TaskStatus};

/// First polling interval, in milliseconds.
const POLL_MS: u64 = 5_000;
/// Polling interval once it has lasted [`SLOW_AFTER_MS`].
const POLL_SLOW_MS: u64 = 30_000;
const SLOW_AFTER_MS: u64 = 10 * 60 * 1000;
/// How long a task outlives the waiting: one that ended together with it could never say `expired`, and results are often
/// released later.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;

/// A task's id, parsed: `task-<proposal id>-<milliseconds since 1970>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskName {
    pub(super) proposal: ProposalId,
    created: Timestamp,
}

impl TaskName {
    pub(super) const fn new(proposal: ProposalId, created: Timestamp) -> Self {
        Self { proposal, created }
    }

    /// None if it is no id that this gateway gives.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (proposal, created) = text.strip_prefix("task-")?.rsplit_once('-')?;
        let name = Self { proposal: proposal.parse().ok()?, created: Timestamp::from_millis(created.parse().ok()?) };
        (name.text() == text).then_some(name)
    }

    fn text(self) -> String {
        format!("task-{}-{}", self.proposal, self.created.as_millis())
    }

    /// The task's fields for a proposal as it stands `now`.
    pub(super) fn task(self, answer: &ProposalAnswer, now: Timestamp) -> Task {
        let status = status(answer.status);
        // When exactly a person decided is not part of the answer; what is known is that it had happened by now.
        let updated = if status == TaskStatus::Working { self.created } else { now };
        let slow = now.millis_since(self.created) > SLOW_AFTER_MS;
        Task::new(self.text(), status, self.created.to_string(), updated.to_string())
            .with_status_message(format!(
                "{} ({}): {} A person decides at {}",
                answer.proposal_id,
                answer.status.as_str(),
                answer.message,
                answer.review_url
            ))
            .with_ttl_ms(answer.expires_at.millis_since(self.created).saturating_add(KEPT_MS))
            .with_poll_interval_ms(if slow { POLL_SLOW_MS } else { POLL_MS })
    }

    /// The task with its outcome, where there is one.
    pub(super) fn detailed(self, answer: &ProposalAnswer, result: CallToolResult, now: Timestamp) -> DetailedTask {
        let task = self.task(answer, now);
        let payload = match task.status {
            TaskStatus::Completed => match serde_json::to_value(result) {
                Ok(serde_json::Value::Object(result)) => TaskPayload::Completed { result },
                _ => TaskPayload::Working,
            },
            TaskStatus::Cancelled => TaskPayload::Cancelled,
            _ => TaskPayload::Working,
        };
        DetailedTask::new(task, payload)
    }
}

/// A rejection is an outcome of the work, not a failure of the protocol: `failed` is never used.
const fn status(status: Status) -> TaskStatus {
    match status {
        Status::Pending | Status::Approved | Status::Running | Status::Held => TaskStatus::Working,
        Status::Withdrawn => TaskStatus::Cancelled,
        Status::Released
        | Status::Denied
        | Status::ChangesRequested
        | Status::Rejected
        | Status::Expired
        | Status::Superseded
        | Status::Stale
        | Status::Failed
        | Status::Unknown => TaskStatus::Completed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_s_id_is_read_back_and_nothing_else_is() {
        let name = TaskName::new(ProposalId::random(), Timestamp::from_millis(1_795_185_120_000));
        assert_eq!(TaskName::parse(&name.text()), Some(name));
        let id = ProposalId::random();
        for bad in [
            String::new(),
            "task-".to_owned(),
            format!("task-{id}"),
            format!("{id}-5"),
            format!("task-{id}-+5"),
            format!("task-{id}-05"),
            format!("task-{id}-99999999999999999999"),
            format!("task-{id}-999999999999999999"),
            format!("task-{id}-5-5"),
            format!("TASK-{id}-5"),
        ] {
            assert_eq!(TaskName::parse(&bad), None, "{bad}");
        }
    }

    #[test]
    fn every_final_status_ends_the_task_and_no_other_does() {
        for one in Status::ALL {
            assert_eq!(status(one).is_terminal(), one.is_final(), "{one:?}");
            assert_ne!(status(one), TaskStatus::Failed);
        }
    }
}
