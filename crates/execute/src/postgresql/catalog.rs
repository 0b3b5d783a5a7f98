//! What a PostgreSQL database says about itself. A handful of queries, whatever the number of relations.

use artifact::catalog::{Catalog, Column, Function, Relation, RelationKind, Volatility};
use wire::order::Report;
use wire::target::{Address, Registration};

use super::session::{login, table};

/// Most relations in a snapshot; most functions.
const RELATIONS_MAX: usize = 5_000;

fn text(row: &[Option<String>], index: usize) -> String {
    row.get(index).cloned().flatten().unwrap_or_default()
}

/// A list that the server joined with a character that no name may hold in a registration.
fn list(row: &[Option<String>], index: usize) -> Vec<String> {
    let joined = text(row, index);
    if joined.is_empty() { Vec::new() } else { joined.split('\u{1f}').map(str::to_owned).collect() }
}

/// Reads the schema.
pub(crate) async fn read(target: &Registration, credential: &[u8]) -> Result<Catalog, Report> {
    let mut db = login(target, credential, "catalog").await?;
    let version = table(&mut db, "SELECT current_setting('server_version')").await?;
    let relations = format!(
        "SELECT n.nspname || '.' || c.relname, c.relkind::text, c.reltuples::int8::text, c.relrowsecurity::text,
           (SELECT string_agg(a.attname || E'\\x1e' || format_type(a.atttypid, a.atttypmod), E'\\x1f' ORDER BY a.attnum)
              FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
           (SELECT string_agg(t.tgname, E'\\x1f' ORDER BY t.tgname) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal),
           (SELECT string_agg(w.rulename, E'\\x1f' ORDER BY w.rulename) FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN'),
           (SELECT string_agg(DISTINCT fn.nspname || '.' || fc.relname, E'\\x1f') FROM pg_constraint k
              JOIN pg_class fc ON fc.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace
              WHERE k.confrelid = c.oid AND k.contype = 'f' AND (k.confdeltype IN ('c','n','d') OR k.confupdtype IN ('c','n','d'))),
           (WITH RECURSIVE uses(oid) AS (
              SELECT DISTINCT d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass
                AND d.refclassid = 'pg_class'::regclass WHERE w.ev_class = c.oid AND d.refobjid <> c.oid
              UNION
              SELECT d.refobjid FROM uses u JOIN pg_rewrite w ON w.ev_class = u.oid JOIN pg_depend d ON d.objid = w.oid
                AND d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass WHERE d.refobjid <> u.oid)
            SELECT string_agg(DISTINCT un.nspname || '.' || uc.relname, E'\\x1f') FROM uses u JOIN pg_class uc ON uc.oid = u.oid
              JOIN pg_namespace un ON un.oid = uc.relnamespace)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r','p','v','m','f','S') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
         ORDER BY 1 LIMIT {RELATIONS_MAX}"
    );
    let relations = table(&mut db, &relations).await?.iter().map(|row| relation(row)).collect();
    let functions = "SELECT n.nspname || '.' || p.proname, max(CASE p.provolatile WHEN 'i' THEN 0 WHEN 's' THEN 1 ELSE 2 END)::text,
           bool_or(p.prosecdef)::text, bool_or(l.lanname NOT IN ('internal', 'c') OR (l.lanname = 'sql' AND n.nspname <> 'pg_catalog'))::text
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
         WHERE n.nspname <> 'information_schema' GROUP BY 1 ORDER BY 1 LIMIT 20000";
    let functions = table(&mut db, functions).await?.iter().map(|row| function(row)).collect();
    let Address::Postgresql { search_path, .. } = &target.address else { return Ok(Catalog::default()) };
    Ok(Catalog {
        version: version.first().map(|row| text(row, 0)).unwrap_or_default(),
        search_path: search_path.clone(),
        relations,
        functions,
        ddl: Vec::new(),
    })
}

fn relation(row: &[Option<String>]) -> Relation {
    let columns = list(row, 4);
    let columns = columns.iter().filter_map(|c| c.split_once('\u{1e}'));
    let columns = columns.map(|(name, kind)| Column { name: name.to_owned(), type_name: kind.to_owned() });
    Relation {
        name: text(row, 0),
        kind: match text(row, 1).as_str() {
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Table,
        },
        columns: columns.collect(),
        // -1: never analyzed.
        rows_estimate: text(row, 2).parse().ok(),
        triggers: list(row, 5),
        rules: list(row, 6),
        row_security: text(row, 3) == "true",
        cascades_to: list(row, 7),
        reads_from: list(row, 8),
    }
}

fn function(row: &[Option<String>]) -> Function {
    Function {
        name: text(row, 0),
        volatility: match text(row, 1).as_str() {
            "0" => Volatility::Immutable,
            "1" => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        security_definer: text(row, 2) == "true",
        user_code: text(row, 3) == "true",
    }
}
