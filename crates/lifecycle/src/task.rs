use approve::statement::OpenTask;
use artifact::effect::Allowance;
use artifact::{Digest, TaskId, Timestamp};

/// A task's signed scope, read from its statement. The guard verified the signature; the desk reads the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskScope {
    /// Task.
    pub task: TaskId,
    /// What the person asks for, in their words.
    pub title: String,
    /// The agent's name.
    pub agent: String,
    /// Who signed it.
    pub person: String,
    /// Target's name.
    pub target: String,
    /// Fingerprint of the target's registration when it was signed.
    pub target_fingerprint: Digest,
    /// Its type; empty if it has none.
    pub task_type: String,
    /// What may be done.
    pub may: Vec<Allowance>,
    /// What may not be done, whoever signs it.
    pub never: Vec<Allowance>,
    /// Functions that reads without a signature may call.
    pub functions: Vec<String>,
    /// True: reads inside the scope run without a signature.
    pub auto_reads: bool,
    /// The task's end.
    pub not_after: Timestamp,
}

impl TaskScope {
    /// Reads a task statement; none if it is not one.
    pub fn read(statement: &str, person: &str) -> Option<Self> {
        let s = OpenTask::parse(statement).ok()?;
        Some(Self {
            task: s.task,
            title: s.title,
            agent: s.agent,
            person: person.to_owned(),
            target: s.target_name,
            target_fingerprint: s.target_fingerprint,
            task_type: s.task_type.unwrap_or_default(),
            may: s.may,
            never: s.never,
            functions: s.functions,
            auto_reads: s.auto_reads,
            not_after: s.not_after,
        })
    }
}
