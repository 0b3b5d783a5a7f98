//! An entry becomes rows. Deterministic: the same entries in the same order give the same tables.

use std::collections::BTreeMap;

use artifact::Timestamp;
use lifecycle::log::{Entry, EventKind};
use lifecycle::{Event, State, step};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{Moved, StoreError, signal};

/// Applies the entry at `index` within the caller's transaction.
pub(crate) fn apply(
    db: &Connection,
    index: u64,
    body: &str,
    contents: &BTreeMap<String, String>,
) -> Result<Option<Moved>, StoreError> {
    let next: i64 = db.prepare_cached("SELECT next FROM position")?.query_row([], |row| row.get(0))?;
    let wanted = next.unsigned_abs();
    if index != wanted {
        return Err(StoreError::Gap { wanted, got: index });
    }
    let entry = Entry::parse(body.as_bytes()).map_err(|_| StoreError::Entry(index))?;
    let at = ms(entry.at);
    db.prepare_cached(
        "INSERT INTO entries (idx, at_ms, event, actor, task, target, proposal, body) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)",
    )?
    .execute(params![
        next,
        at,
        lifecycle::log::event_name(entry.event),
        entry.actor.name,
        entry.task,
        entry.target,
        entry.proposal,
        body
    ])?;
    for digest in entry.digests.values() {
        db.prepare_cached("INSERT OR IGNORE INTO digests VALUES (?1, ?2)")?
            .execute(params![digest.to_string(), next])?;
    }
    signal::watch(db, next, &entry, contents)?;
    let moved = match entry.event {
        EventKind::Proposed | EventKind::Denied => propose(db, &entry, contents)?,
        EventKind::AgentEnrolled => enroll(db, &entry)?,
        EventKind::AgentRevoked => {
            db.execute(
                "UPDATE sessions SET ended_ms = ?2 WHERE id = ?1 AND ended_ms IS NULL",
                params![entry.session, at],
            )?;
            None
        }
        EventKind::TaskClosed => {
            db.execute(
                "UPDATE sessions SET ended_ms = ?2 WHERE task = ?1 AND ended_ms IS NULL",
                params![entry.task, at],
            )?;
            None
        }
        _ => advance(db, &entry, contents)?,
    };
    db.prepare_cached("UPDATE position SET next = ?1")?.execute([next + 1])?;
    Ok(moved)
}

pub(crate) fn ms(at: Timestamp) -> i64 {
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}

/// A desk that lies can log a proposal that lacks what a page needs. Such an entry stays in the log and gets no row.
fn propose(db: &Connection, entry: &Entry, contents: &BTreeMap<String, String>) -> Result<Option<Moved>, StoreError> {
    let fact = |name: &str| entry.facts.get(name).map(String::as_str);
    let (Some(event), Some(id), Some(revision)) = (Event::of_entry(entry), &entry.proposal, entry.revision) else {
        return Ok(None);
    };
    let (Some(task), Some(session), Some(target), Some(person)) =
        (&entry.task, &entry.session, &entry.target, &entry.on_behalf_of)
    else {
        return Ok(None);
    };
    let content = |name: &str| contents.get(name);
    let (Some(artifact), Some(effect), Some(shown)) = (content("artifact"), content("effect"), content("shown")) else {
        return Ok(None);
    };
    let (Some(kind), Some(digest)) = (fact("kind"), entry.digests.get("artifact")) else { return Ok(None) };
    let Ok((state, effects)) = step(None, &event) else { return Ok(None) };
    let expires = fact("expires").and_then(|t| t.parse::<Timestamp>().ok()).unwrap_or(entry.at);
    let reasons = serde_json::to_string(&entry.reasons).unwrap_or_default();
    db.prepare_cached("UPDATE proposals SET current = 0 WHERE id = ?1 AND revision < ?2")?
        .execute(params![id, revision])?;
    db.prepare_cached(
        "INSERT OR IGNORE INTO proposals (id, revision, current, state, task, session, agent, person, target, kind, digest, artifact, effect,
         shown, purpose, decision, reasons, risk, created_ms, expires_ms, pattern) VALUES (?1,?2,1,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20)",
    )?
    .execute(params![
        id,
        revision,
        state.as_str(),
        task,
        session,
        entry.actor.name,
        person,
        target,
        kind,
        digest.to_string(),
        artifact,
        effect,
        shown,
        content("purpose").map_or("", String::as_str),
        fact("decision").unwrap_or("deny"),
        reasons,
        fact("risk").unwrap_or("high"),
        ms(entry.at),
        ms(expires),
        kind.parse().map_or_else(|_| String::new(), |kind| lifecycle::pattern(kind, artifact).to_string())
    ])?;
    Ok(id.parse().ok().map(|id| Moved { id, revision, state, effects }))
}

fn enroll(db: &Connection, entry: &Entry) -> Result<Option<Moved>, StoreError> {
    let (Some(session), Some(task), Some(person)) = (&entry.session, &entry.task, &entry.on_behalf_of) else {
        return Ok(None);
    };
    let (Some(pass), Some(agent)) = (entry.digests.get("pass"), entry.facts.get("agent")) else { return Ok(None) };
    let Some(expires) = entry.facts.get("expires").and_then(|t| t.parse::<Timestamp>().ok()) else { return Ok(None) };
    db.execute(
        // A renewed pass takes the place of the one before; a session never changes whose it is.
        "INSERT INTO sessions (id, pass, agent, person, task, created_ms, expires_ms, bound_to) VALUES (?1,?2,?3,?4,?5,?6,?7,?8)
         ON CONFLICT (id) DO UPDATE SET pass = excluded.pass, expires_ms = excluded.expires_ms, bound_to = excluded.bound_to
         WHERE agent = excluded.agent AND person = excluded.person AND task = excluded.task",
        params![session, pass.hex(), agent, person, task, ms(entry.at), ms(expires), entry.facts.get("key")],
    )?;
    Ok(None)
}

/// Moves a proposal on. An event that cannot follow is kept in the log and changes nothing here.
fn advance(db: &Connection, entry: &Entry, contents: &BTreeMap<String, String>) -> Result<Option<Moved>, StoreError> {
    let (Some(event), Some(id), Some(revision)) = (Event::of_entry(entry), &entry.proposal, entry.revision) else {
        return Ok(None);
    };
    let found: Option<(String, String)> = db
        .prepare_cached("SELECT state, task FROM proposals WHERE id = ?1 AND revision = ?2")?
        .query_row(params![id, revision], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((state, of_task)) = found else { return Ok(None) };
    let state = State::from_name(&state).ok_or(StoreError::Corrupt("state"))?;
    let Ok((next, effects)) = step(Some(state), &event) else { return Ok(None) };
    if let (State::Released, Some(task), Some(claim)) = (next, &entry.task, contents.get("claim")) {
        for value in lifecycle::statement::vouched(claim) {
            db.prepare_cached("INSERT OR IGNORE INTO vouched (task, value) VALUES (?1, ?2)")?
                .execute(params![task, value])?;
        }
    }
    if contents.contains_key("released") {
        db.prepare_cached("INSERT OR IGNORE INTO released VALUES (?1, ?2, ?3)")?.execute(params![
            of_task,
            ms(entry.at),
            id
        ])?;
    }
    let affected = entry.facts.get("affected").and_then(|n| n.parse::<i64>().ok());
    let reason = contents.get("reason").or_else(|| entry.facts.get("cause"));
    db.prepare_cached(
        "UPDATE proposals SET state = ?3, run = coalesce(?4, run), affected = coalesce(?5, affected), reason = coalesce(?6, reason),
         released = coalesce(?7, released), claim = coalesce(?8, claim), signed_by = coalesce(?9, signed_by) WHERE id = ?1 AND revision = ?2",
    )?
    .execute(params![
        id,
        revision,
        next.as_str(),
        entry.run,
        affected,
        reason,
        contents.get("released"),
        contents.get("claim").filter(|_| event == Event::Signed),
        entry.on_behalf_of.as_ref().filter(|_| event == Event::Signed)
    ])?;
    Ok(id.parse().ok().map(|id| Moved { id, revision, state: next, effects }))
}
