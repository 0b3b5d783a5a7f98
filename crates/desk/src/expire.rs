//! Silence is "no": what nobody decided in time is over, and is called expired, never rejected.

use std::time::Duration;

use artifact::Timestamp;

use crate::convert::new_entry;
use crate::state::{Desk, DeskError};

/// How often deadlines are looked at.
const EVERY: Duration = Duration::from_secs(2);

pub(crate) async fn watch(desk: Desk) {
    loop {
        if let Err(error) = sweep(&desk).await {
            tracing::warn!(%error, "deadlines could not be looked at; trying again");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn sweep(desk: &Desk) -> Result<(), DeskError> {
    let now = Timestamp::now();
    for row in desk.view(move |store| store.overdue(now)).await? {
        let (id, revision) = (row.id, row.revision);
        let _one_at_a_time = desk.lock(id).await;
        let still = desk.view(move |store| store.proposal(id, Some(revision))).await?;
        if still.is_some_and(|row| row.state.can_be_signed()) {
            let entry = lifecycle::draft::expired(id, revision, row.task, "nobody decided in time");
            desk.record(vec![new_entry(entry)]).await?;
        }
    }
    Ok(())
}
