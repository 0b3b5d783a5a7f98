//! What the server itself says the statement touched, compared with the signed effect before anything is committed.
//!
//! Grants bind what a statement names; what happens behind a view or in somebody else's name is not bound by them. But every
//! relation that is touched is locked until the transaction ends, and every row that is changed is counted by its relation.
//! Both are read here, from the session that ran the statement, by names that nothing in it can shadow.

use artifact::Effect;
use artifact::effect::Verb;
use sqlx::postgres::PgConnection;
use wire::order::{FailCode, Report};

use super::session::table;
use crate::child::failed;

/// Whether rows are counted, in one column; then relations of users that this transaction holds locks on, and what it did to
/// their rows. No table of the server is read for it, which a new session would have to get to know first. What has no name is
/// told as such, and is in no effect.
const TOUCHED: &str = "
SELECT pg_catalog.current_setting('track_counts');
SELECT coalesce(pg_catalog.array_to_string(a.object_names, '.'), ''), l.mode, l.relation::text, coalesce(pg_catalog.pg_stat_get_xact_tuples_inserted(l.relation), 0)::text,
  coalesce(pg_catalog.pg_stat_get_xact_tuples_updated(l.relation), 0)::text, coalesce(pg_catalog.pg_stat_get_xact_tuples_deleted(l.relation), 0)::text
FROM pg_catalog.pg_lock_status() l, LATERAL pg_catalog.pg_identify_object_as_address('pg_catalog.pg_class'::regclass, l.relation, 0) a
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.database <> 0
  AND coalesce(a.type, '') NOT IN ('index', 'toast table') AND coalesce(a.object_names[1], '') NOT IN ('pg_catalog', 'information_schema')";

/// The partition roots or parents of a relation, and those that foreign keys tie to it, which the server looks at by itself.
const FAMILY: &str = "
WITH RECURSIVE up(oid) AS (
  SELECT /* oid */::oid UNION SELECT i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid),
name(oid, name) AS NOT MATERIALIZED (
  SELECT c.oid, n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r','p','v','m','f','S') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast'))
SELECT 'family', name.name FROM up JOIN name ON name.oid = up.oid
UNION ALL SELECT 'key', name.name FROM pg_catalog.pg_constraint k JOIN name ON name.oid = CASE WHEN k.conrelid = /* oid */ THEN k.confrelid ELSE k.conrelid END
   WHERE k.contype = 'f' AND /* oid */ IN (k.conrelid, k.confrelid)";

/// One lock that is held.
struct Touched {
    name: String,
    mode: String,
    oid: String,
    /// Rows inserted, updated, deleted.
    rows: [String; 3],
}

impl Touched {
    fn of(row: &[Option<String>]) -> Self {
        let text = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
        Self { name: text(0), mode: text(1), oid: text(2), rows: [text(3), text(4), text(5)] }
    }

    /// Whether the effect names it, or what it belongs to. `family`: with its parents; `keys`: those tied to it by foreign keys.
    fn allowed(&self, effect: &Effect, family: &[String], keys: &[String]) -> Result<(), Report> {
        let verbs: Vec<Verb> =
            family.iter().filter_map(|n| effect.relation(n)).flat_map(|r| r.verbs.iter().copied()).collect();
        let writes = |verb: Verb| verbs.contains(&verb);
        let tied = || keys.iter().filter_map(|n| effect.relation(n)).any(|r| r.verbs.iter().any(|v| *v > Verb::Read));
        let locked = match self.mode.as_str() {
            "AccessShareLock" => !verbs.is_empty() || tied(),
            "RowShareLock" => verbs.iter().any(|v| *v > Verb::Read) || tied(),
            "RowExclusiveLock" => verbs.iter().any(|v| *v > Verb::Read),
            _ => false,
        };
        if !locked {
            return Err(beyond(&self.name, &format!("was touched ({})", self.mode)));
        }
        let columns = family.iter().filter_map(|n| effect.relation(n)).any(|r| !r.writes.is_empty());
        // A row that moves to another partition is deleted there and inserted here.
        let moved = family.len() > 1 && writes(Verb::Update);
        for (rows, verb) in self.rows.iter().zip([Verb::Insert, Verb::Update, Verb::Delete]) {
            // Locking rows needs the right to update, and updates nothing.
            let named = writes(verb) && (verb != Verb::Update || columns);
            if rows != "0" && !named && !moved {
                return Err(beyond(&self.name, &format!("had rows changed ({})", verb.as_str())));
            }
        }
        Ok(())
    }
}

/// Asks once without need, so that the server has read its own tables when it counts.
pub(super) async fn warm(db: &mut PgConnection) {
    let _ = table(db, TOUCHED).await;
}

/// Refuses what the effect does not name. For a read, any write at all.
pub(super) async fn check(db: &mut PgConnection, effect: &Effect) -> Result<(), Report> {
    // The schema is changed under locks of many kinds; such an effect is bound by the login's rights alone.
    if effect.relations.iter().any(|r| r.verbs.contains(&Verb::Define)) || effect.verb == Verb::Define {
        return Ok(());
    }
    let mut rows = table(db, TOUCHED).await?.into_iter();
    if rows.next() != Some(vec![Some("on".to_owned())]) {
        return Err(failed(FailCode::BadOrder, "the server does not count changed rows; set track_counts = on"));
    }
    for row in rows {
        let touched = Touched::of(&row);
        // Most stand in the effect by their own name; only for the others is it worth asking who they belong to.
        if touched.allowed(effect, std::slice::from_ref(&touched.name), &[]).is_ok() {
            continue;
        }
        let (mut family, mut keys) = (Vec::new(), Vec::new());
        for row in table(db, &FAMILY.replace("/* oid */", &touched.oid)).await? {
            match row.as_slice() {
                [Some(kind), Some(name)] if kind == "family" => family.push(name.clone()),
                [_, Some(name)] => keys.push(name.clone()),
                _ => {}
            }
        }
        touched.allowed(effect, &family, &keys)?;
    }
    Ok(())
}

fn beyond(name: &str, what: &str) -> Report {
    failed(FailCode::BeyondEffect, &format!("{name} {what}, which the signed effect does not name; rolled back"))
}
