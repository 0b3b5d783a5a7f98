//! The lock: SQLite asks about every action while it prepares a statement, and gets a no for whatever the signed effect does
//! not list. The same table as the analysis uses to read an effect off a statement (`analyze::sqlite::action`), the other
//! way around.

use std::sync::{Arc, Mutex, PoisonError};

use artifact::Effect;
use artifact::effect::Verb;
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Modules of virtual tables that keep their data inside the database.
const MODULES: [&str; 5] = ["fts3", "fts4", "fts5", "rtree", "rtree_i32"];
/// The engine's own helpers of ALTER TABLE.
const ALTER_HELPERS: [&str; 5] = [
    "sqlite_rename_table",
    "sqlite_rename_column",
    "sqlite_rename_test",
    "sqlite_drop_column",
    "sqlite_rename_quotefix",
];

/// What was refused first, in words.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Option<String>>>);

impl Refusals {
    pub(crate) fn first(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}

/// Locks the connection to the effect. From here on nothing else can be prepared on it.
pub(crate) fn lock(db: &Connection, effect: &Effect) -> rusqlite::Result<Refusals> {
    let refusals = Refusals::default();
    let (effect, noted) = (effect.clone(), refusals.clone());
    db.authorizer(Some(move |context: AuthContext<'_>| {
        if allows(&effect, &context) {
            Authorization::Allow
        } else {
            noted.note(format!("{:?}", context.action));
            Authorization::Deny
        }
    }))?;
    Ok(refusals)
}

fn is_schema_table(name: &str) -> bool {
    ["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema", "sqlite_sequence"]
        .iter()
        .any(|t| t.eq_ignore_ascii_case(name))
        || name.starts_with("sqlite_stat")
}

fn allows(effect: &Effect, context: &AuthContext<'_>) -> bool {
    let db = context.database_name.unwrap_or("main");
    let defines = effect.verb == Verb::Define;
    let does = |relation: &str, verb: Verb| effect.relation(relation).is_some_and(|r| r.verbs.contains(&verb));
    let lists = |columns: &[String], column: &str| columns.iter().any(|c| c == "*" || c == column);
    let of = |table: &str| format!("{db}.{table}");
    match context.action {
        AuthAction::Select | AuthAction::Recursive => true,
        AuthAction::Read { table_name, column_name } => {
            let relation = of(table_name);
            let listed = effect.relation(&relation).is_some_and(|r| {
                r.verbs.contains(&Verb::Read) && (column_name.is_empty() || lists(&r.reads, column_name))
            });
            listed || (defines && is_schema_table(table_name))
        }
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
            if is_schema_table(table_name) =>
        {
            defines
        }
        AuthAction::Insert { table_name } => does(&of(table_name), Verb::Insert),
        AuthAction::Update { table_name, column_name } => {
            let relation = of(table_name);
            effect.relation(&relation).is_some_and(|r| r.verbs.contains(&Verb::Update) && lists(&r.writes, column_name))
        }
        AuthAction::Delete { table_name } => does(&of(table_name), Verb::Delete),
        AuthAction::CreateVtable { module_name, table_name } | AuthAction::DropVtable { module_name, table_name } => {
            defines
                && MODULES.iter().any(|m| m.eq_ignore_ascii_case(module_name))
                && does(&of(table_name), Verb::Define)
        }
        AuthAction::CreateTable { table_name }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateView { view_name: table_name }
        | AuthAction::DropTable { table_name }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. }
        | AuthAction::DropView { view_name: table_name }
        | AuthAction::Reindex { index_name: table_name }
        | AuthAction::Analyze { table_name } => defines && does(&of(table_name), Verb::Define),
        AuthAction::AlterTable { database_name, table_name } => {
            defines && does(&format!("{database_name}.{table_name}"), Verb::Define)
        }
        AuthAction::Function { function_name } => {
            let name = function_name.to_lowercase();
            effect.functions.contains(&name) || (defines && ALTER_HELPERS.contains(&name.as_str()))
        }
        // Pragma, attach, detach, transactions, temporary objects, and whatever a later engine asks about.
        _ => false,
    }
}
