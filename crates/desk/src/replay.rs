//! What a policy would have decided about the last proposals: before it is signed, everybody sees what it changes.

use std::sync::Arc;

use doors::people::{PersonError, PolicyReplay, PolicyTried};
use lifecycle::{Policy, TaskScope, decide_again};
use store::Page;

use crate::people::person_error;
use crate::state::Desk;

/// Most proposals that are decided again.
const REPLAYED_MAX: usize = 500;
/// Most of them that are listed.
const LISTED_MAX: usize = 100;

impl Desk {
    /// Loads a policy's text, and decides the newest proposals again with it.
    pub(crate) async fn replay_policy(&self, text: String) -> Result<PolicyReplay, PersonError> {
        let load = tokio::task::spawn_blocking(move || Policy::load(&text)).await;
        let policy = load.map_err(|_| person_error("unavailable", "The desk is shutting down."))?;
        let policy = Arc::new(policy.map_err(|error| person_error("malformed", format!("{error}.")))?);
        let registry = self.fresh_registry().await?;
        let tasks: Vec<TaskScope> =
            registry.tasks.iter().filter_map(|t| TaskScope::read(&t.statement, &t.person)).collect();
        let (mut looked_at, mut changed, mut before): (u64, Vec<PolicyTried>, Option<Page>) = (0, Vec::new(), None);
        let mut more = 0;
        loop {
            let page = before.take();
            let rows = self.view(move |store| store.newest(page)).await?;
            let Some(last) = rows.last().map(|row| (row.created_at, row.id)) else { break };
            for row in &rows {
                let Some(target) = registry.targets.iter().find(|t| t.registration.name == row.target) else {
                    continue;
                };
                let task = tasks.iter().find(|t| t.task == row.task);
                looked_at += 1;
                let case = lifecycle::Again {
                    agent: &row.agent,
                    person: &row.person,
                    task: &row.task.to_string(),
                    task_type: task.map_or("", |t| &t.task_type),
                    never: task.map_or(&[], |t| &t.never),
                    auto_reads: task.is_some_and(|t| t.auto_reads),
                    target: &row.target,
                    environment: &target.registration.environment,
                    labels: &target.registration.labels,
                    kind: row.kind,
                    effect: &row.effect,
                    shown: &row.shown,
                };
                let (now, rules) = decide_again(&policy, &case);
                let was = lifecycle::decision_words(&row.decision, row.shown.quorum, row.shown.apart);
                if now != was {
                    more += 1;
                    if changed.len() < LISTED_MAX {
                        changed.push(PolicyTried {
                            proposal: row.id,
                            headline: row.shown.headline.clone(),
                            was,
                            now,
                            rules,
                        });
                    }
                }
            }
            if usize::try_from(looked_at).unwrap_or(usize::MAX) >= REPLAYED_MAX {
                break;
            }
            before = Some(Page { before: last.0, id: Some(last.1) });
        }
        Ok(PolicyReplay { digest: policy.digest(), looked_at, differ: more, changed })
    }
}
