//! What each action of SQLite's authorizer callback means (<https://sqlite.org/c3ref/c_alter_table.html>).
//!
//! The executor keeps a lock by the same table: it allows an action exactly if the signed effect has what [`step`]
//! makes of it.
//!
//! | action | in the effect |
//! |---|---|
//! | Read(t, c) | `read` of `db.t`, column `c` in `reads` (or `*`); c empty: the verb alone |
//! | Insert(t) | `insert` of `db.t`, `*` in `writes` |
//! | Update(t, c) | `update` of `db.t`, column `c` in `writes` (or `*`) |
//! | Delete(t) | `delete` of `db.t` |
//! | Create.., Drop.., AlterTable, Reindex, Analyze | `define` of `db.t`: the table, or the view, that it is about |
//! | Create, Drop of a virtual table | the same, for the modules in [`MODULES`] only |
//! | Insert, Update, Delete of a schema table | allowed only if the effect's verb is `define` |
//! | Read of a schema table | also allowed if the effect's verb is `define` |
//! | Function(f) | `f`, lowercase, in `functions` (the engine's own helpers of ALTER TABLE aside) |
//! | Select, Recursive | always |
//! | Pragma, Attach, Detach, Transaction, Savepoint, unknown | never |
//!
//! `db` is `main` or `temp`; names are spelled as the engine reports them.

use rusqlite::hooks::{AuthAction, AuthContext};

use crate::Code;

/// Modules of virtual tables that keep their data inside the database.
pub const MODULES: &[&str] = &["fts3", "fts4", "fts5", "rtree", "rtree_i32"];

/// What one action means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Always allowed, claims nothing.
    Nothing,
    /// A column is read; an empty column means that only the rows' existence is used.
    Read {
        /// `db.table`.
        relation: String,
        /// Column as the engine names it.
        column: String,
    },
    /// Rows are added.
    Insert {
        /// `db.table`.
        relation: String,
    },
    /// A column is changed.
    Update {
        /// `db.table`.
        relation: String,
        /// Column as the engine names it.
        column: String,
    },
    /// Rows are removed.
    Delete {
        /// `db.table`.
        relation: String,
    },
    /// The schema is changed.
    Define {
        /// `db.table` or `db.view` that it is about.
        relation: String,
    },
    /// A row of a schema table is written, as every definition does.
    SchemaTable,
    /// A function is called.
    Call {
        /// Name as the engine reports it.
        function: String,
    },
    /// Never allowed.
    Refuse {
        /// Why.
        code: Code,
        /// What it is, for the finding's sentence.
        what: String,
    },
}

/// The meaning of an action.
pub fn step(context: &AuthContext<'_>) -> Step {
    let db = context.database_name.unwrap_or("main");
    let of = |table: &str| format!("{db}.{table}");
    let temp = |table: &str| format!("temp.{table}");
    match context.action {
        AuthAction::Select | AuthAction::Recursive => Step::Nothing,
        AuthAction::Read { table_name, column_name } => {
            Step::Read { relation: of(table_name), column: column_name.to_owned() }
        }
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
            if is_schema_table(table_name) =>
        {
            Step::SchemaTable
        }
        AuthAction::Insert { table_name } => Step::Insert { relation: of(table_name) },
        AuthAction::Update { table_name, column_name } => {
            Step::Update { relation: of(table_name), column: column_name.to_owned() }
        }
        AuthAction::Delete { table_name } => Step::Delete { relation: of(table_name) },
        AuthAction::CreateVtable { module_name, .. } | AuthAction::DropVtable { module_name, .. }
            if !MODULES.iter().any(|m| m.eq_ignore_ascii_case(module_name)) =>
        {
            Step::Refuse { code: Code::ServerControl, what: format!("The module {module_name}") }
        }
        AuthAction::CreateTable { table_name }
        | AuthAction::CreateIndex { table_name, .. }
        | AuthAction::CreateTrigger { table_name, .. }
        | AuthAction::CreateView { view_name: table_name }
        | AuthAction::CreateVtable { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::DropIndex { table_name, .. }
        | AuthAction::DropTrigger { table_name, .. }
        | AuthAction::DropView { view_name: table_name }
        | AuthAction::DropVtable { table_name, .. }
        | AuthAction::Reindex { index_name: table_name }
        | AuthAction::Analyze { table_name } => Step::Define { relation: of(table_name) },
        AuthAction::CreateTempTable { table_name }
        | AuthAction::CreateTempIndex { table_name, .. }
        | AuthAction::CreateTempTrigger { table_name, .. }
        | AuthAction::CreateTempView { view_name: table_name }
        | AuthAction::DropTempTable { table_name }
        | AuthAction::DropTempIndex { table_name, .. }
        | AuthAction::DropTempTrigger { table_name, .. }
        | AuthAction::DropTempView { view_name: table_name } => Step::Define { relation: temp(table_name) },
        AuthAction::AlterTable { database_name, table_name } => {
            Step::Define { relation: format!("{database_name}.{table_name}") }
        }
        AuthAction::Function { function_name } => Step::Call { function: function_name.to_owned() },
        AuthAction::Pragma { pragma_name, .. } => {
            Step::Refuse { code: Code::PragmaStatement, what: format!("PRAGMA {pragma_name}") }
        }
        AuthAction::Attach { .. } => {
            Step::Refuse { code: Code::AttachStatement, what: "ATTACH or VACUUM INTO".to_owned() }
        }
        AuthAction::Detach { .. } => Step::Refuse { code: Code::AttachStatement, what: "DETACH".to_owned() },
        AuthAction::Transaction { .. } => {
            Step::Refuse { code: Code::TransactionStatement, what: "A transaction statement".to_owned() }
        }
        AuthAction::Savepoint { .. } => {
            Step::Refuse { code: Code::TransactionStatement, what: "A savepoint".to_owned() }
        }
        // The engine's list may grow, so this one match has to end openly: what is new is refused.
        other => Step::Refuse { code: Code::UnknownAction, what: format!("{other:?}").chars().take(80).collect() },
    }
}

/// The tables that hold the schema itself.
pub fn is_schema_table(name: &str) -> bool {
    ["sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema"]
        .iter()
        .any(|t| name.eq_ignore_ascii_case(t))
}
