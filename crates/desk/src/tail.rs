//! Follows the log: every entry, whoever wrote it, becomes rows of the view, and what has to happen next is done.

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::log::EventKind;
use lifecycle::{Effect, State};
use review::Change;
use store::Moved;
use wire::socket::{Answer, Proposed, Request};

use crate::convert::status;
use crate::link::LinkError;
use crate::state::{Desk, DeskError};

/// Entries read at once.
const BATCH: u32 = 512;
/// How long one read waits for a first entry, in milliseconds.
const WAIT_MS: u32 = 20_000;

/// Follows the log for ever. A guard that goes away is waited for.
pub(crate) async fn follow(desk: Desk) {
    loop {
        match next_batch(&desk, WAIT_MS).await {
            Ok(moved) => {
                for moved in moved {
                    announce(&desk, &moved);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the log cannot be followed; trying again");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// Folds everything there is before the doors open, then picks up what a crash left over.
pub(crate) async fn catch_up(desk: &Desk) -> Result<(), DeskError> {
    fold_all(desk).await?;
    // The guard settles what it had started; what it never started is cleared to run and still has to be asked for.
    for row in desk.view(|store| store.in_state(State::Approved)).await? {
        carry_out(
            desk,
            &Moved { id: row.id, revision: row.revision, state: row.state, effects: &[Effect::RunUnderTask] },
        );
    }
    let held = desk.view(|store| store.in_state(State::Held)).await?;
    for row in held.into_iter().filter(|row| row.decision == "allow") {
        carry_out(
            desk,
            &Moved { id: row.id, revision: row.revision, state: row.state, effects: &[Effect::ReleaseUnderTask] },
        );
    }
    Ok(())
}

/// Folds every entry there is, and starts nothing.
pub(crate) async fn fold_all(desk: &Desk) -> Result<(), DeskError> {
    loop {
        let before = *desk.inner.applied.borrow();
        next_batch(desk, 0).await?;
        if *desk.inner.applied.borrow() == before {
            return Ok(());
        }
    }
}

async fn next_batch(desk: &Desk, wait_ms: u32) -> Result<Vec<Moved>, DeskError> {
    let from = *desk.inner.applied.borrow();
    let Answer::Entries { from: first, entries } =
        desk.inner.link.ask(&Request::Read { from, limit: BATCH, wait_ms }).await?
    else {
        return Err(LinkError::Protocol.into());
    };
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let mut grants = false;
    let rows: Vec<(u64, String, BTreeMap<String, String>)> = entries
        .into_iter()
        .zip(first..)
        .map(|(logged, index)| {
            grants |= outdates(&logged.entry);
            (index, logged.entry, logged.contents.into_iter().map(|c| (c.name, c.text)).collect())
        })
        .collect();
    let next = first + rows.len() as u64;
    let moved = desk.view(move |store| store.apply(&rows)).await?;
    if grants {
        desk.forget_registry().await;
    }
    desk.inner.applied.send_replace(next);
    Ok(moved)
}

/// Whether what the desk remembers of grants and schemas may be old now.
fn outdates(entry: &str) -> bool {
    let Ok(entry) = lifecycle::log::Entry::parse(entry.as_bytes()) else { return false };
    let drifted = entry.event == EventKind::Settled && entry.facts.get("cause").is_some_and(|cause| cause == "drifted");
    drifted
        || matches!(
            entry.event,
            EventKind::KeyGranted
                | EventKind::KeyRevoked
                | EventKind::TargetGranted
                | EventKind::TargetRemoved
                | EventKind::TaskOpened
                | EventKind::TaskClosed
                | EventKind::PolicySet
                | EventKind::Stopped
                | EventKind::Resumed
        )
}

fn announce(desk: &Desk, moved: &Moved) {
    // Opening or looking changes nothing that a page or an agent waits for.
    if moved.effects.is_empty() {
        return;
    }
    // Nobody listening is no error.
    let _ = desk.inner.changes.send(Change { id: moved.id, status: status(moved.state) });
    carry_out(desk, moved);
}

/// Starts what has to happen next. Each ends in an entry of the guard, which comes back through this same tail.
fn carry_out(desk: &Desk, moved: &Moved) {
    for effect in moved.effects {
        match effect {
            Effect::RunUnderTask => {
                let (desk, moved) = (desk.clone(), *moved);
                tokio::spawn(async move {
                    if let Err(error) = run_under_task(&desk, &moved).await {
                        tracing::warn!(proposal = %moved.id, %error, "a read inside its task scope did not run");
                    }
                });
            }
            // The guard releases inside its own settling of the run; the entry arrives by itself.
            Effect::ReleaseUnderTask | Effect::TellPeople | Effect::WakeWaiters => {}
        }
    }
}

async fn run_under_task(desk: &Desk, moved: &Moved) -> Result<(), DeskError> {
    let (id, revision) = (moved.id, moved.revision);
    let Some(row) = desk.view(move |store| store.proposal(id, Some(revision))).await? else { return Ok(()) };
    if row.state != State::Approved || row.run.is_some() {
        return Ok(());
    }
    let proposed = Proposed {
        proposal: id,
        revision,
        target: row.target,
        kind: row.kind,
        artifact: row.artifact,
        effect: row.effect,
    };
    let asked = desk.inner.link.ask(&Request::RunUnderTask { task: row.task, proposed }).await;
    if let Err(LinkError::Refused { detail, .. }) = &asked {
        // Nothing was spent or started, so the agent may propose it again.
        let entry = lifecycle::draft::expired(id, revision, row.task, &format!("the guard did not run it: {detail}"));
        desk.record(vec![crate::convert::new_entry(entry)]).await?;
    }
    asked?;
    Ok(())
}
