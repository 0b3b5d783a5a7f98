//! What a SQLite file says about itself.

use artifact::Effect;
use artifact::catalog::{Catalog, Column, Function, Relation, RelationKind, Volatility};
use rusqlite::{Connection, OptionalExtension as _};
use wire::order::{FailCode, Report};

use crate::child::failed;
use crate::sqlite::open;

/// Most relations in a snapshot.
const RELATIONS_MAX: usize = 5_000;

/// Reads the schema.
pub(crate) fn read(path: &str) -> Result<Catalog, Report> {
    let db = open(path, true)?;
    catalog(&db).map_err(|error| failed(FailCode::TargetUnreachable, &format!("the schema cannot be read: {error}")))
}

fn catalog(db: &Connection) -> rusqlite::Result<Catalog> {
    let mut ddl = Vec::new();
    let mut names: Vec<(String, RelationKind)> = Vec::new();
    // Tables before what is about them, so that running the statements in order rebuilds the schema.
    let sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
               ORDER BY CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, rowid LIMIT 20000";
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name, text): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match kind.as_str() {
            "table" => names.push((name, RelationKind::Table)),
            "view" => names.push((name, RelationKind::View)),
            _ => {}
        }
        ddl.push(text);
    }
    let mut relations = Vec::with_capacity(names.len());
    for (name, kind) in names.into_iter().take(RELATIONS_MAX) {
        relations.push(relation(db, &name, kind)?);
    }
    relations.sort_by(|a, b| a.name.cmp(&b.name));
    let mut catalog = Catalog {
        version: rusqlite::version().to_owned(),
        search_path: vec!["main".to_owned()],
        relations,
        functions: functions(db)?,
        ddl,
        ..Catalog::default()
    };
    catalog.sort();
    Ok(catalog)
}

/// What the relations that an effect names look like now.
pub(crate) fn now(db: &Connection, effect: &Effect) -> rusqlite::Result<Catalog> {
    let mut catalog = Catalog::default();
    for used in &effect.relations {
        let Some(name) = used.name.strip_prefix("main.") else { continue };
        let sql = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
        let found =
            db.query_row(sql, [name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).optional()?;
        if let Some((kind, name)) = found {
            let kind = if kind == "view" { RelationKind::View } else { RelationKind::Table };
            catalog.relations.push(relation(db, &name, kind)?);
        }
    }
    catalog.sort();
    Ok(catalog)
}

fn strings(db: &Connection, sql: &str, name: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(sql)?.query_map([name], |row| row.get(0))?.collect()
}

fn relation(db: &Connection, name: &str, kind: RelationKind) -> rusqlite::Result<Relation> {
    let mut columns = db.prepare_cached("SELECT name, type, hidden IN (2, 3) FROM pragma_table_xinfo(?1)")?;
    // A view whose definition no longer holds has no columns to show, and that must not hide the rest of the schema.
    let columns: Vec<Column> = match columns.query_map([name], |row| {
        Ok(Column { name: row.get(0)?, type_name: row.get(1)?, default: None, generated: row.get(2)? })
    }) {
        Ok(rows) => rows.filter_map(Result::ok).collect(),
        Err(_) => Vec::new(),
    };
    let triggers =
        strings(db, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 ORDER BY name", name)?;
    let cascades = "SELECT DISTINCT 'main.' || s.name FROM sqlite_schema s, pragma_foreign_key_list(s.name) f
                    WHERE s.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE AND (f.on_delete NOT IN ('NO ACTION', 'RESTRICT')
                    OR f.on_update NOT IN ('NO ACTION', 'RESTRICT')) ORDER BY 1";
    let estimate = "SELECT stat FROM sqlite_stat1 WHERE tbl = ?1 LIMIT 1";
    let rows_estimate = db
        .prepare_cached(estimate)
        .and_then(|mut s| s.query_row([name], |row| row.get::<_, String>(0)))
        .ok()
        .and_then(|stat| stat.split(' ').next()?.parse().ok());
    Ok(Relation {
        name: format!("main.{name}"),
        kind,
        columns,
        key: strings(db, "SELECT name FROM pragma_table_xinfo(?1) WHERE pk > 0 ORDER BY pk", name).unwrap_or_default(),
        rows_estimate,
        trigger_definitions: strings(
            db,
            "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 ORDER BY name",
            name,
        )?,
        definition: strings(
            db,
            "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 AND sql IS NOT NULL",
            name,
        )?
        .pop(),
        triggers,
        rules: Vec::new(),
        row_security: false,
        cascades_to: strings(db, cascades, name)?,
        reads_from: Vec::new(),
        ..Relation::default()
    })
}

fn functions(db: &Connection) -> rusqlite::Result<Vec<Function>> {
    // 0x800: SQLITE_DETERMINISTIC.
    let sql = "SELECT name, min((flags & 2048) != 0) FROM pragma_function_list GROUP BY name ORDER BY name";
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let deterministic: bool = row.get(1)?;
        let volatility = if deterministic { Volatility::Immutable } else { Volatility::Volatile };
        Ok(Function {
            name: row.get(0)?,
            volatility,
            security_definer: false,
            user_code: false,
            definitions: Vec::new(),
            opaque: false,
            calls: Vec::new(),
        })
    })?;
    rows.collect()
}
