//! What a MariaDB database says about itself: of one database, what the login may see.

use std::collections::BTreeMap;

use artifact::Effect;
use artifact::catalog::{Carry, Cascade, Catalog, Column, Relation, RelationKind};
use sqlx::mysql::MySqlConnection;
use wire::order::Report;
use wire::target::{Address, Registration, Rights};

use super::session::{literal, login, not_ours, strings, table};

/// Most rows of each list.
const ROWS_MAX: usize = 100_000;

/// Reads the schema.
pub(crate) async fn read(target: &Registration, credential: &[u8]) -> Result<Catalog, Report> {
    let Address::Mariadb { database, rights, .. } = &target.address else { return Err(not_ours()) };
    let mut db = login(target, credential).await?;
    let mut catalog = relations(&mut db, &format!("TABLE_SCHEMA = {}", literal(database)), database).await?;
    if *rights == Rights::MintedIfPossible {
        let may = |grant: &String| grant.contains(" ON *.* ") && grant.contains("CREATE USER");
        catalog.mints = Some(strings(&mut db, "SHOW GRANTS").await?.iter().any(may));
    }
    Ok(catalog)
}

/// What the relations that an effect names look like now.
pub(super) async fn now(db: &mut MySqlConnection, effect: &Effect) -> Result<Catalog, Report> {
    let named: Vec<String> = effect
        .relations
        .iter()
        .filter_map(|used| used.name.split_once('.'))
        .map(|(database, name)| format!("(TABLE_SCHEMA = {} AND TABLE_NAME = {})", literal(database), literal(name)))
        .collect();
    if named.is_empty() {
        return Ok(Catalog::default());
    }
    relations(db, &format!("({})", named.join(" OR ")), "").await
}

/// Cells of a row; NULL is empty.
fn cells<const N: usize>(row: Vec<Option<String>>) -> Option<[String; N]> {
    row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().try_into().ok()
}

async fn rows<const N: usize>(db: &mut MySqlConnection, sql: &str) -> Result<Vec<[String; N]>, Report> {
    Ok(table(db, &format!("{sql} LIMIT {ROWS_MAX}")).await?.into_iter().filter_map(cells).collect())
}

async fn relations(db: &mut MySqlConnection, only: &str, database: &str) -> Result<Catalog, Report> {
    let version = strings(db, "SELECT VERSION()").await?.pop().unwrap_or_default();
    let mut found: BTreeMap<String, Relation> = BTreeMap::new();
    let sql = format!(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), TABLE_TYPE, COALESCE(t.ENGINE, ''), COALESCE(TABLE_ROWS, ''), COALESCE(e.TRANSACTIONS, '')
         FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE {only} ORDER BY 1"
    );
    for [name, kind, engine, estimate, transactions] in rows(db, &sql).await? {
        let kind = match kind.as_str() {
            "BASE TABLE" => RelationKind::Table,
            "VIEW" => RelationKind::View,
            "SEQUENCE" => RelationKind::Sequence,
            _ => RelationKind::Foreign,
        };
        let relation = Relation {
            name: name.clone(),
            kind,
            rows_estimate: estimate.parse().ok(),
            commits_alone: kind == RelationKind::Table && !engine.is_empty() && transactions != "YES",
            ..Relation::default()
        };
        found.insert(name, relation);
    }
    let sql = format!(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), COLUMN_NAME, COLUMN_TYPE, COALESCE(COLUMN_DEFAULT, ''), COALESCE(GENERATION_EXPRESSION, ''), COLUMN_KEY
         FROM information_schema.COLUMNS WHERE {only} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
    );
    for [relation, name, type_name, default, generated, key] in rows(db, &sql).await? {
        let Some(relation) = found.get_mut(&relation) else { continue };
        if key == "PRI" {
            relation.key.push(name.clone());
        }
        let computed = !generated.is_empty();
        let expression = if computed { generated } else { default };
        let default = Some(expression).filter(|text| !text.is_empty() && text != "NULL");
        relation.columns.push(Column { name, type_name, default, generated: computed });
    }
    let sql = format!(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), VIEW_DEFINITION FROM information_schema.VIEWS WHERE {only}"
    );
    for [relation, definition] in rows(db, &sql).await? {
        if let Some(relation) = found.get_mut(&relation) {
            relation.definition = Some(definition).filter(|text| !text.is_empty());
        }
    }
    let fires = only.replace("TABLE_SCHEMA", "EVENT_OBJECT_SCHEMA").replace("TABLE_NAME", "EVENT_OBJECT_TABLE");
    let sql = format!(
        "SELECT CONCAT(EVENT_OBJECT_SCHEMA, '.', EVENT_OBJECT_TABLE), TRIGGER_NAME, EVENT_MANIPULATION, ACTION_STATEMENT
         FROM information_schema.TRIGGERS WHERE {fires} ORDER BY 1, 2"
    );
    for [relation, name, event, body] in rows(db, &sql).await? {
        if let Some(relation) = found.get_mut(&relation) {
            relation.triggers.push(name);
            relation.trigger_definitions.push(format!("{} {body}", event.to_lowercase()));
        }
    }
    foreign_keys(db, only, &mut found).await?;
    let mut catalog = Catalog {
        version,
        search_path: if database.is_empty() { vec![] } else { vec![database.to_owned()] },
        relations: found.into_values().collect(),
        ..Catalog::default()
    };
    catalog.sort();
    Ok(catalog)
}

/// Foreign keys that carry changes, at the relation they refer to.
async fn foreign_keys(
    db: &mut MySqlConnection,
    only: &str,
    found: &mut BTreeMap<String, Relation>,
) -> Result<(), Report> {
    let only =
        only.replace("TABLE_SCHEMA", "k.REFERENCED_TABLE_SCHEMA").replace("TABLE_NAME", "k.REFERENCED_TABLE_NAME");
    let sql = format!(
        "SELECT CONCAT(k.REFERENCED_TABLE_SCHEMA, '.', k.REFERENCED_TABLE_NAME), CONCAT(k.TABLE_SCHEMA, '.', k.TABLE_NAME), k.CONSTRAINT_NAME, k.COLUMN_NAME,
           k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE
         FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r
           ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
         WHERE {only} ORDER BY 1, 2, 3, k.ORDINAL_POSITION"
    );
    let mut keys: BTreeMap<(String, String, String), Cascade> = BTreeMap::new();
    for [to, from, name, column, on, on_delete, on_update] in rows(db, &sql).await? {
        let carry = |rule: &str, cascade: Carry| match rule {
            "CASCADE" => cascade,
            "SET NULL" | "SET DEFAULT" => Carry::Set,
            _ => Carry::Nothing,
        };
        let cascade = keys.entry((to, from.clone(), name)).or_insert_with(|| Cascade {
            to: from,
            columns: vec![],
            on: vec![],
            on_delete: carry(&on_delete, Carry::Delete),
            on_update: carry(&on_update, Carry::Set),
        });
        cascade.columns.push(column);
        cascade.on.push(on);
    }
    for ((to, from, _), cascade) in keys {
        if cascade.on_delete == Carry::Nothing && cascade.on_update == Carry::Nothing {
            continue;
        }
        if let Some(relation) = found.get_mut(&to) {
            if !relation.cascades_to.contains(&from) {
                relation.cascades_to.push(from);
            }
            relation.cascades.push(cascade);
        }
    }
    Ok(())
}
