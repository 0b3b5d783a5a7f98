//! What somebody should know about an agent, drawn from the log alone: the same entries give the same signals, also after the
//! view is made again. What is remembered goes across sessions and tasks.

use std::collections::BTreeMap;

use lifecycle::log::{Entry, EventKind};
use rusqlite::{Connection, params};

use crate::StoreError;
use crate::fold::ms;

/// A signal of the same kind about the same agent and target is not raised again for this long, in milliseconds.
const QUIET_MS: i64 = 10 * 60 * 1000;
/// Denials within [`QUIET_MS`] that are a burst.
const BURST: i64 = 5;
/// Proposals of an agent at a target after which what it does there for the first time is news.
const SETTLED: i64 = 10;
/// Proposals of an agent after which an hour of the day that it never worked in is news.
const HABIT: i64 = 100;
/// Rows that an agent was given of a target, over all its tasks, each of which is told once.
const ROWS: [i64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Shares of a relation in percent, each of which is told once.
const SHARES: [i64; 3] = [25, 50, 75];
/// Rows from which on a share of a relation means something.
const SHARED_MIN: i64 = 20;
/// Findings that an honest artifact does not have.
const SIGNS: [&str; 9] = [
    "canary",
    "held_value",
    "not_from_request",
    "masked_value",
    "secret_inside",
    "hidden_in_code",
    "mixed_script",
    "multi_statement",
    "trailing_content",
];
/// Most relations of one effect that are remembered.
const OBJECTS_MAX: usize = 100;

/// Who and where.
struct About<'a> {
    index: i64,
    at: i64,
    agent: &'a str,
    person: &'a str,
    task: &'a str,
    target: &'a str,
    proposal: Option<&'a str>,
}

/// Draws the signals of the entry at `index`, within the caller's transaction and before the entry has rows of its own.
pub(crate) fn watch(
    db: &Connection,
    index: i64,
    entry: &Entry,
    contents: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    match entry.event {
        EventKind::Proposed | EventKind::Denied if entry.actor.role == lifecycle::log::Role::Agent => {
            let (Some(task), Some(target)) = (&entry.task, &entry.target) else { return Ok(()) };
            let about = About {
                index,
                at: ms(entry.at),
                agent: &entry.actor.name,
                person: entry.on_behalf_of.as_deref().unwrap_or_default(),
                task,
                target,
                proposal: entry.proposal.as_deref(),
            };
            proposed(db, &about, entry.event == EventKind::Denied, contents)
        }
        EventKind::Released => released(db, index, entry),
        EventKind::SecretOverdue => overdue(db, index, entry),
        _ => Ok(()),
    }
}

fn proposed(
    db: &Connection,
    about: &About<'_>,
    denied: bool,
    contents: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    let json = |name: &str| -> serde_json::Value {
        contents.get(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    };
    let (shown, effect) = (json("shown"), json("effect"));
    let headline = shown["headline"].as_str().unwrap_or_default();
    if shown["in_scope"] == false && shown["understood"] == true {
        raise(db, about, "out_of_scope", &format!("asked for what its task does not name: {headline}"))?;
    }
    let codes = shown["findings"].as_array().into_iter().flatten().filter_map(|finding| finding["code"].as_str());
    for code in codes.filter(|code| SIGNS.contains(code)) {
        raise(db, about, code, &format!("handed in an artifact with {code}: {headline}"))?;
    }
    if denied {
        let since = about.at - QUIET_MS;
        // Of its last entries only: a burst is short, a history may be long.
        let sql = "SELECT count(*) FROM (SELECT event, at_ms FROM entries WHERE actor = ?1 AND idx < ?2 ORDER BY idx DESC LIMIT 50) WHERE event = 'denied' AND at_ms >= ?3";
        let before: i64 =
            db.prepare_cached(sql)?.query_row(params![about.agent, about.index, since], |row| row.get(0))?;
        if before + 1 >= BURST {
            raise(db, about, "denials", &format!("was denied {} times within ten minutes", before + 1))?;
        }
    }
    habits(db, about)?;
    first_seen(db, about, &effect)
}

/// The hours of the day (UTC) in which an agent works.
fn habits(db: &Connection, about: &About<'_>) -> Result<(), StoreError> {
    let hour = about.at.div_euclid(3_600_000).rem_euclid(24);
    let sql = "SELECT coalesce(sum(n), 0), coalesce(sum(CASE WHEN hour IN (?2, (?2 + 1) % 24, (?2 + 23) % 24) THEN n END), 0) FROM hours WHERE agent = ?1";
    let (all, near): (i64, i64) =
        db.prepare_cached(sql)?.query_row(params![about.agent, hour], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if all >= HABIT && near == 0 {
        raise(db, about, "unusual_hour", &format!("works at {hour:02}:00 UTC, as it never did before"))?;
    }
    let sql = "INSERT INTO hours (agent, hour, n) VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET n = n + 1";
    db.prepare_cached(sql)?.execute(params![about.agent, hour])?;
    Ok(())
}

/// Relations, and methods with paths, that an agent touches at a target.
fn first_seen(db: &Connection, about: &About<'_>, effect: &serde_json::Value) -> Result<(), StoreError> {
    let relations = effect["relations"].as_array().into_iter().flatten().filter_map(|used| used["name"].as_str());
    let mut objects: Vec<String> = relations.take(OBJECTS_MAX).map(str::to_owned).collect();
    let request = &effect["request"];
    if let (Some(method), Some(path)) = (request["method"].as_str(), request["path"].as_str()) {
        objects.push(format!("{method} {path}"));
    }
    let sql = "SELECT coalesce(max(n), 0) FROM worked WHERE agent = ?1 AND target = ?2";
    let before: i64 = db.prepare_cached(sql)?.query_row(params![about.agent, about.target], |row| row.get(0))?;
    let mut new = Vec::new();
    for object in objects {
        let sql = "INSERT OR IGNORE INTO touched (agent, target, object) VALUES (?1, ?2, ?3)";
        if db.prepare_cached(sql)?.execute(params![about.agent, about.target, object])? > 0 {
            new.push(object);
        }
    }
    let sql = "INSERT INTO worked (agent, target, n) VALUES (?1, ?2, 1) ON CONFLICT DO UPDATE SET n = n + 1";
    db.prepare_cached(sql)?.execute(params![about.agent, about.target])?;
    if before >= SETTLED && !new.is_empty() {
        raise(db, about, "first_seen", &format!("touches for the first time: {}", new.join(", ")))?;
    }
    Ok(())
}

/// A credential that is due. It is nobody's doing, so the guard stands where an agent would.
fn overdue(db: &Connection, index: i64, entry: &Entry) -> Result<(), StoreError> {
    let Some(target) = &entry.target else { return Ok(()) };
    let fact = |name: &str| entry.facts.get(name).map_or("", String::as_str);
    let days = fact("age_s").parse::<u64>().unwrap_or(0) / 86_400;
    let about =
        About { index, at: ms(entry.at), agent: &entry.actor.name, person: "", task: "", target, proposal: None };
    let sentence = format!("says that the credential {} is {days} days old and due to be changed", fact("name"));
    write(db, &about, "secret_overdue", &sentence)
}

/// What an agent was given of a target adds up, whatever the task: in all, and for each relation that was read.
fn released(db: &Connection, index: i64, entry: &Entry) -> Result<(), StoreError> {
    let rows = entry.facts.get("rows").and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
    let (Some(id), Some(target), true) = (&entry.proposal, &entry.target, rows > 0) else { return Ok(()) };
    let sql = "SELECT agent, person, task, effect, shown FROM proposals WHERE id = ?1 ORDER BY revision DESC LIMIT 1";
    let found = db
        .prepare_cached(sql)?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    let (agent, person, task, effect, shown): (String, String, String, String, String) = match found {
        Ok(found) => found,
        Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let about =
        About { index, at: ms(entry.at), agent: &agent, person: &person, task: &task, target, proposal: Some(id) };
    let sum = add(db, &about, "", rows)?;
    // Told whatever was told a moment ago: each limit is said once.
    if let Some(limit) = ROWS.into_iter().rev().find(|limit| sum >= *limit && sum - rows < *limit) {
        write(db, &about, "rows", &format!("was given {sum} rows of {target} so far, more than {limit}"))?;
    }
    let json = |text: &str| -> serde_json::Value { serde_json::from_str(text).unwrap_or_default() };
    let (effect, shown) = (json(&effect), json(&shown));
    let mut told = Vec::new();
    for relation in read_relations(&effect) {
        let sum = add(db, &about, &relation, rows)?;
        let Some(size) = shown["sizes"][&relation].as_i64().filter(|size| *size >= SHARED_MIN) else { continue };
        let share = |sum: i64| sum.saturating_mul(100) / size;
        let crossed = SHARES.into_iter().any(|limit| share(sum) >= limit && share(sum - rows) < limit);
        if crossed {
            told.push(format!("{} % of {relation} (up to {sum} of about {size} rows)", share(sum).min(100)));
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    write(db, &about, "share", &format!("has been given {}", told.join(", ")))
}

/// Relations of which columns are read.
fn read_relations(effect: &serde_json::Value) -> Vec<String> {
    let reads = |used: &&serde_json::Value| used["reads"].as_array().is_some_and(|columns| !columns.is_empty());
    let relations = effect["relations"].as_array().into_iter().flatten().filter(reads);
    relations.filter_map(|used| used["name"].as_str()).take(OBJECTS_MAX).map(str::to_owned).collect()
}

fn add(db: &Connection, about: &About<'_>, relation: &str, rows: i64) -> Result<i64, StoreError> {
    let sql = "INSERT INTO given (agent, target, relation, rows) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET rows = rows + excluded.rows RETURNING rows";
    Ok(db.prepare_cached(sql)?.query_row(params![about.agent, about.target, relation, rows], |row| row.get(0))?)
}

fn raise(db: &Connection, about: &About<'_>, kind: &str, sentence: &str) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM signals WHERE agent = ?1 AND target = ?2 AND kind = ?3 AND at_ms > ?4";
    let lately: i64 = db
        .prepare_cached(sql)?
        .query_row(params![about.agent, about.target, kind, about.at - QUIET_MS], |row| row.get(0))?;
    if lately > 0 { Ok(()) } else { write(db, about, kind, sentence) }
}

fn write(db: &Connection, about: &About<'_>, kind: &str, sentence: &str) -> Result<(), StoreError> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO signals (idx, kind, at_ms, agent, person, task, target, proposal, sentence) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)",
    )?
    .execute(params![
        about.index,
        kind,
        about.at,
        about.agent,
        about.person,
        about.task,
        about.target,
        about.proposal,
        sentence
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use artifact::Timestamp;
    use lifecycle::log::{Actor, Domain, Role};

    use super::*;
    use crate::Store;

    /// A minute, in milliseconds.
    const MINUTE: u64 = 60_000;
    /// Noon of a day.
    const NOON: u64 = 20_000 * 86_400_000 + 12 * 3_600_000;

    struct Log {
        store: Store,
        next: u64,
    }

    impl Log {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("wetink-signals-{name}-{}.db", std::process::id()));
            let _ = std::fs::remove_file(&path);
            let store = Store::open(&path).unwrap();
            let _ = std::fs::remove_file(&path);
            Self { store, next: 0 }
        }

        fn add(&mut self, mut entry: Entry, contents: &[(&str, String)]) {
            entry.target = Some("shop".into());
            let contents = contents.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
            self.store.apply(&[(self.next, String::from_utf8(entry.to_bytes().unwrap()).unwrap(), contents)]).unwrap();
            self.next += 1;
        }

        fn propose(&mut self, at: u64, denied: bool, relation: &str) {
            let actor = Actor { role: Role::Agent, name: "robin".into() };
            let event = if denied { EventKind::Denied } else { EventKind::Proposed };
            let mut entry = Entry::new(Timestamp::from_millis(at), Domain::Desk, event, actor);
            // In turns of two tasks: what is remembered is the agent's.
            entry.task = Some(format!("t-00000000000{}", self.next % 2));
            entry.on_behalf_of = Some("Ada".into());
            let shown = serde_json::json!({"headline": "READS", "in_scope": true, "understood": true, "findings": []});
            let effect = serde_json::json!({"relations": [{"name": relation}]});
            self.add(entry, &[("shown", shown.to_string()), ("effect", effect.to_string())]);
        }

        /// A read of ten rows of a relation that has a hundred, released.
        fn release(&mut self, at: u64, id: u64, relation: &str) {
            let id = format!("p-{id:012}");
            let event = |event| {
                Entry::new(
                    Timestamp::from_millis(at),
                    Domain::Desk,
                    event,
                    Actor { role: Role::Agent, name: "robin".into() },
                )
            };
            let mut entry = event(EventKind::Proposed);
            (entry.proposal, entry.revision) = (Some(id.clone()), Some(1));
            entry.task = Some("t-000000000001".into());
            entry.session = Some("s-000000000001".into());
            entry.on_behalf_of = Some("Ada".into());
            entry.digests.insert("artifact".into(), artifact::Digest::of(b"x"));
            for (name, value) in
                [("decision", "ask"), ("risk", "low"), ("kind", "sql/sqlite"), ("expires", "2030-01-01T00:00:00.000Z")]
            {
                entry.facts.insert(name.into(), value.into());
            }
            let shown = serde_json::json!({"headline": "READS", "sentence": "", "in_scope": true, "understood": true, "findings": [], "undo": "", "arm": null, "sizes": {relation: 100}});
            let mut effect = artifact::Effect::empty();
            effect.relation_mut(relation).reads.push("id".into());
            let effect = String::from_utf8(effect.to_canonical()).unwrap();
            self.add(
                entry,
                &[
                    ("shown", shown.to_string()),
                    ("effect", effect),
                    ("artifact", "SELECT 1".into()),
                    ("purpose", String::new()),
                ],
            );
            let mut entry = event(EventKind::Released);
            entry.proposal = Some(id);
            entry.facts.insert("rows".into(), "10".into());
            self.add(entry, &[]);
        }

        fn told(&self) -> Vec<String> {
            let mut told: Vec<String> = self.store.signals(None).unwrap().into_iter().map(|row| row.kind).collect();
            told.reverse();
            told
        }
    }

    #[test]
    fn what_is_new_after_a_while_is_told_once() {
        let mut log = Log::new("new");
        for n in 0..15 {
            log.propose(NOON + n * MINUTE, false, "main.orders");
        }
        assert_eq!(log.told(), [""; 0]);
        log.propose(NOON + 20 * MINUTE, false, "main.salaries");
        log.propose(NOON + 40 * MINUTE, false, "main.salaries");
        assert_eq!(log.told(), ["first_seen"]);
        assert!(log.store.signals(None).unwrap()[0].sentence.contains("main.salaries"));
    }

    #[test]
    fn a_burst_of_denials_and_an_unusual_hour_are_told() {
        let mut log = Log::new("burst");
        for n in 0..4 {
            log.propose(NOON + n * MINUTE, true, "main.orders");
        }
        // Slow ones are no burst.
        for n in 0..6 {
            log.propose(NOON + 60 * MINUTE + n * 20 * MINUTE, true, "main.orders");
        }
        assert_eq!(log.told(), [""; 0]);
        let again = NOON + 86_400_000;
        for n in 0..12 {
            log.propose(again + n * 1000, true, "main.orders");
        }
        assert_eq!(log.told(), ["denials"]);
        for n in 0..90 {
            log.propose(again + n * 1000, false, "main.orders");
        }
        log.propose(again + 12 * 60 * MINUTE, false, "main.orders");
        assert_eq!(log.told(), ["denials", "unusual_hour"]);
    }

    /// S4-14: whoever takes a table in small parts is seen.
    #[test]
    fn parts_of_a_relation_add_up() {
        let mut log = Log::new("share");
        for n in 0..10 {
            // In turns with another relation, and over an hour apart.
            log.release(NOON + n * 70 * MINUTE, 2 * n, "main.customers");
            log.release(NOON + n * 70 * MINUTE, 2 * n + 1, "main.orders");
        }
        let shares: Vec<String> = log
            .store
            .signals(None)
            .unwrap()
            .into_iter()
            .filter(|row| row.kind == "share")
            .map(|row| row.sentence)
            .collect();
        assert_eq!(shares.len(), 6, "{shares:?}");
        assert!(
            shares.contains(&"has been given 30 % of main.customers (up to 30 of about 100 rows)".to_owned()),
            "{shares:?}"
        );
        assert_eq!(log.store.given("robin", "shop").unwrap()["main.orders"], 100);
        assert!(log.store.given("other", "shop").unwrap().is_empty());
    }
}
