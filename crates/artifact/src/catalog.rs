//! What a target says about itself, as plain data: read by an executor, served by the guard, used by analysis.

use serde::{Deserialize, Serialize};

use crate::{Digest, canonical};

/// A read-only snapshot of a target's schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The server's own version text, e.g. `17.2` or `3.51.1`.
    pub version: String,
    /// Where an unqualified name is looked up, in order, e.g. `["public"]` or `["main"]`.
    pub search_path: Vec<String>,
    /// Tables, views and the like, sorted by name.
    pub relations: Vec<Relation>,
    /// Functions known by name. Built-in immutable and stable ones included; sorted by name.
    pub functions: Vec<Function>,
    /// SQLite only: the exact `CREATE` statements, in the order that rebuilds the schema.
    pub ddl: Vec<String>,
}

/// Kinds of relations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// An ordinary or partitioned table.
    Table,
    /// A view; reading it runs its definition.
    View,
    /// A materialized view.
    MaterializedView,
    /// A table whose data is elsewhere.
    Foreign,
    /// A sequence.
    Sequence,
}

/// One relation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Schema-qualified name, e.g. `public.orders`.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Rows by the planner's estimate, where the target has one.
    pub rows_estimate: Option<u64>,
    /// Names of triggers that fire on writes.
    pub triggers: Vec<String>,
    /// Names of rewrite rules other than a view's own.
    pub rules: Vec<String>,
    /// True if row-level security is on.
    pub row_security: bool,
    /// Relations whose rows are deleted or changed when rows here are (foreign keys with CASCADE, SET NULL, SET DEFAULT).
    pub cascades_to: Vec<String>,
    /// For views: the relations read by its definition, followed to the tables.
    pub reads_from: Vec<String>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name.
    pub name: String,
    /// The target's own type name.
    pub type_name: String,
}

/// How far a function's effects reach (PostgreSQL `provolatile`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Volatility {
    /// Same answer for ever; writes nothing.
    Immutable,
    /// Same answer within a statement; writes nothing.
    Stable,
    /// May do anything.
    Volatile,
}

/// One function, all overloads of a name taken together (the worst of each property).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Schema-qualified name, e.g. `pg_catalog.lower`.
    pub name: String,
    /// The worst volatility of the overloads.
    pub volatility: Volatility,
    /// True if any overload runs with its owner's rights.
    pub security_definer: bool,
    /// True if any overload is written in something other than the server's own C code.
    pub user_code: bool,
}

impl Catalog {
    /// Fingerprint of the whole snapshot, row estimates left out: changes when the schema changes.
    pub fn fingerprint(&self) -> Digest {
        let mut copy = self.clone();
        for relation in &mut copy.relations {
            relation.rows_estimate = None;
        }
        Digest::of(&canonical::to_vec(&copy).unwrap_or_default())
    }

    /// The relation of that schema-qualified name.
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|r| r.name == name)
    }
}
