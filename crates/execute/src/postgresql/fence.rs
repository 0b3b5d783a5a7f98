//! What the server itself says the statement touched, compared with the signed effect before anything is committed.
//!
//! Grants bind what a statement names; what happens behind a view or in somebody else's name is not bound by them. But every
//! relation that is touched is locked until the transaction ends, and every row that is changed is counted by its relation.
//! Both are read here, from the session that ran the statement, by names that nothing in it can shadow.

use artifact::Effect;
use artifact::effect::Verb;
use sqlx::postgres::PgConnection;
use wire::order::{FailCode, Report};

use super::session::{strings, table};
use crate::child::failed;

/// Relations of users that this transaction holds locks on or changed rows of, with their partition roots or parents, and
/// those that foreign keys tie to it, which the server looks at by itself.
const TOUCHED: &str = "
WITH RECURSIVE me(db) AS (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
touched(oid, mode) AS (
  SELECT l.relation, l.mode FROM pg_catalog.pg_locks l, me
   WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation' AND l.database = me.db),
up(oid, parent) AS (
  SELECT DISTINCT oid, oid FROM touched
  UNION SELECT up.oid, i.inhparent FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.parent),
name(oid, name) AS (
  SELECT c.oid, n.nspname || '.' || c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r','p','v','m','f','S') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast'))
SELECT name.name, t.mode,
  (SELECT pg_catalog.string_agg(pn.name, E'\\x1f') FROM up JOIN name pn ON pn.oid = up.parent WHERE up.oid = t.oid),
  (SELECT pg_catalog.string_agg(kn.name, E'\\x1f') FROM pg_catalog.pg_constraint k JOIN name kn ON kn.oid = CASE WHEN k.conrelid = t.oid THEN k.confrelid ELSE k.conrelid END
    WHERE k.contype = 'f' AND t.oid IN (k.conrelid, k.confrelid)),
  coalesce(pg_catalog.pg_stat_get_xact_tuples_inserted(t.oid), 0)::text, coalesce(pg_catalog.pg_stat_get_xact_tuples_updated(t.oid), 0)::text,
  coalesce(pg_catalog.pg_stat_get_xact_tuples_deleted(t.oid), 0)::text
FROM touched t JOIN name ON name.oid = t.oid";

/// Refuses what the effect does not name. For a read, any write at all.
pub(super) async fn check(db: &mut PgConnection, effect: &Effect) -> Result<(), Report> {
    // The schema is changed under locks of many kinds; such an effect is bound by the login's rights alone.
    if effect.relations.iter().any(|r| r.verbs.contains(&Verb::Define)) || effect.verb == Verb::Define {
        return Ok(());
    }
    if strings(db, "SELECT pg_catalog.current_setting('track_counts')").await? != ["on"] {
        return Err(failed(FailCode::BadOrder, "the server does not count changed rows; set track_counts = on"));
    }
    for row in table(db, TOUCHED).await? {
        let text = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
        let (name, mode) = (text(0), text(1));
        let listed = |index: usize| text(index).split('\u{1f}').map(str::to_owned).collect::<Vec<_>>();
        let (family, keys) = (listed(2), listed(3));
        let verbs: Vec<Verb> =
            family.iter().filter_map(|n| effect.relation(n)).flat_map(|r| r.verbs.iter().copied()).collect();
        let writes = |verb: Verb| verbs.contains(&verb);
        let tied = || keys.iter().filter_map(|n| effect.relation(n)).any(|r| r.verbs.iter().any(|v| *v > Verb::Read));
        let locked = match mode.as_str() {
            "AccessShareLock" => !verbs.is_empty() || tied(),
            "RowShareLock" => verbs.iter().any(|v| *v > Verb::Read) || tied(),
            "RowExclusiveLock" => verbs.iter().any(|v| *v > Verb::Read),
            _ => false,
        };
        if !locked {
            return Err(beyond(&name, &format!("was touched ({mode})")));
        }
        let columns = family.iter().filter_map(|n| effect.relation(n)).any(|r| !r.writes.is_empty());
        // A row that moves to another partition is deleted there and inserted here.
        let moved = family.len() > 1 && writes(Verb::Update);
        for (index, verb) in [(4, Verb::Insert), (5, Verb::Update), (6, Verb::Delete)] {
            // Locking rows needs the right to update, and updates nothing.
            let named = writes(verb) && (verb != Verb::Update || columns);
            if text(index) != "0" && !named && !moved {
                return Err(beyond(&name, &format!("had rows changed ({})", verb.as_str())));
            }
        }
    }
    Ok(())
}

fn beyond(name: &str, what: &str) -> Report {
    failed(FailCode::BeyondEffect, &format!("{name} {what}, which the signed effect does not name; rolled back"))
}
