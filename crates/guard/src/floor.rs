//! What no desk, policy or task can go below at this guard. Set by whoever runs the guard; no parsing of artifacts here.

use approve::Assurance;

/// The floor of every target of this guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Different people who must sign a run.
    pub quorum: usize,
    /// Weakest key accepted for a run.
    pub least: Assurance,
    /// Whether reads may run under a signed task scope at all.
    pub reads_under_task: bool,
}

impl Default for Floor {
    fn default() -> Self {
        Self { quorum: 1, least: Assurance::PlainKey, reads_under_task: true }
    }
}
