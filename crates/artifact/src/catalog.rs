//! What a target says about itself, as plain data: read by an executor, served by the guard, used by analysis.

use serde::{Deserialize, Serialize};

use crate::{Digest, canonical};

/// A read-only snapshot of a target's schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The server's own version text, e.g. `17.2` or `3.51.1`.
    pub version: String,
    /// Whether the login may make others with fewer rights; none where that was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mints: Option<bool>,
    /// Where an unqualified name is looked up, in order, e.g. `["public"]` or `["main"]`.
    pub search_path: Vec<String>,
    /// Tables, views and the like, sorted by name.
    pub relations: Vec<Relation>,
    /// Functions known by name. Built-in immutable and stable ones included; sorted by name.
    pub functions: Vec<Function>,
    /// PostgreSQL only: operators that are not the server's own.
    #[serde(default)]
    pub operators: Vec<Operator>,
    /// MCP servers only: what can be called, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// SQLite only: the exact `CREATE` statements, in the order that rebuilds the schema.
    pub ddl: Vec<String>,
}

/// A tool of an MCP server, as the server describes it. All of it is the server's word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// What it says it does.
    pub description: String,
    /// JSON Schema of the arguments, as JSON text.
    pub input_schema: String,
    /// `readOnlyHint`, where given.
    pub reads_only: Option<bool>,
    /// `destructiveHint`, where given.
    pub destroys: Option<bool>,
    /// Of the whole definition, members in order of their names.
    pub digest: Digest,
}

/// Kinds of relations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelationKind {
    /// An ordinary or partitioned table.
    #[default]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Schema-qualified name, e.g. `public.orders`.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns in order.
    pub columns: Vec<Column>,
    /// Columns of its primary key; empty where there is none.
    #[serde(default)]
    pub key: Vec<String>,
    /// True if what is written stays, whatever becomes of the transaction (MariaDB engines without transactions).
    #[serde(default)]
    pub commits_alone: bool,
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
    /// PostgreSQL: the same, with what each foreign key carries where.
    #[serde(default)]
    pub cascades: Vec<Cascade>,
    /// For views: the relations read by its definition, followed to the tables.
    pub reads_from: Vec<String>,
    /// PostgreSQL views: the query, as the server prints it. None where it is not known.
    #[serde(default)]
    pub definition: Option<String>,
    /// PostgreSQL: expressions of check constraints and of row-level security, which run by themselves.
    #[serde(default)]
    pub checks: Vec<String>,
    /// PostgreSQL: the `CREATE TRIGGER` statements of enabled triggers, one for each name in `triggers`.
    #[serde(default)]
    pub trigger_definitions: Vec<String>,
}

/// What a foreign key does to the rows that refer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Carry {
    /// Nothing, or the statement fails.
    Nothing,
    /// They are deleted.
    Delete,
    /// Their referring columns are set.
    Set,
}

/// A foreign key that carries changes of the relation it refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cascade {
    /// The relation that refers.
    pub to: String,
    /// Its referring columns.
    pub columns: Vec<String>,
    /// The columns they refer to.
    pub on: Vec<String>,
    /// When rows here are deleted.
    pub on_delete: Carry,
    /// When the columns referred to are changed.
    pub on_update: Carry,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name.
    pub name: String,
    /// The target's own type name.
    pub type_name: String,
    /// PostgreSQL: the expression that fills it where the statement does not: default, generated, identity.
    #[serde(default)]
    pub default: Option<String>,
    /// PostgreSQL: the expression is computed anew with every change of the row.
    #[serde(default)]
    pub generated: bool,
}

/// One operator by its schema-qualified name, all overloads together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Name, e.g. `public.===`.
    pub name: String,
    /// The functions that it calls.
    pub calls: Vec<String>,
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
    /// PostgreSQL: the `CREATE FUNCTION` statements of overloads in SQL and PL/pgSQL whose settings are the session's.
    #[serde(default)]
    pub definitions: Vec<String>,
    /// True if some overload has no definition here: another language, settings of its own, too long.
    #[serde(default)]
    pub opaque: bool,
    /// Functions that this one calls by construction: those of an aggregate.
    #[serde(default)]
    pub calls: Vec<String>,
}

/// A column that the text of a statement certainly does not name, so that a right on it opens nothing.
///
/// A server that asks for a right on some column before it shows that a row exists is given this one. None where every name
/// occurs in the text, or where a column may be meant without its name (`NATURAL JOIN`, escapes in names); a statement that
/// means all columns at once needs more than one of them.
pub fn unnamed_column<'a>(columns: impl IntoIterator<Item = &'a str>, text: &str) -> Option<&'a str> {
    let text = text.to_lowercase();
    let columns: Vec<&str> = columns.into_iter().collect();
    if columns.len() < 2 || text.contains("natural") || text.contains("u&") {
        return None;
    }
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let words: Vec<&str> = text.split(|c| !part_of_name(c)).collect();
    let named = |column: &str| {
        let column = column.to_lowercase();
        // A name of one word stands as a word; any other name may stand in quotes only, and then as it is.
        if column.chars().all(part_of_name) { words.contains(&column.as_str()) } else { text.contains(&column) }
    };
    columns.into_iter().find(|column| !named(column))
}

impl Catalog {
    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Fingerprint of the whole snapshot, row estimates left out: changes when the schema changes.
    pub fn fingerprint(&self) -> Digest {
        let mut copy = self.clone();
        for relation in &mut copy.relations {
            relation.rows_estimate = None;
        }
        Digest::of(&canonical::to_vec(&copy).unwrap_or_default())
    }

    /// Puts every list into the order that look-ups rely on. A list in another order hides names, it never shows wrong ones.
    pub fn sort(&mut self) {
        self.relations.sort_by(|a, b| a.name.cmp(&b.name));
        self.functions.sort_by(|a, b| a.name.cmp(&b.name));
        self.operators.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// The relation of that schema-qualified name.
    pub fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.binary_search_by(|r| r.name.as_str().cmp(name)).ok().map(|at| &self.relations[at])
    }

    /// The function of that schema-qualified name.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.binary_search_by(|f| f.name.as_str().cmp(name)).ok().map(|at| &self.functions[at])
    }

    /// The operator of that schema-qualified name.
    pub fn operator(&self, name: &str) -> Option<&Operator> {
        self.operators.binary_search_by(|o| o.name.as_str().cmp(name)).ok().map(|at| &self.operators[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unnamed_column_is_not_in_the_text() {
        let of = |text: &str| unnamed_column(["id", "Status", "note"], text);
        assert_eq!(of("SELECT count(*) FROM orders"), Some("id"));
        assert_eq!(of("SELECT ID FROM orders"), Some("Status"));
        assert_eq!(of("SELECT id, status, note FROM other"), None);
        assert_eq!(unnamed_column(["a", "b c"], "SELECT count(*) FROM tab"), Some("a"));
        assert_eq!(unnamed_column(["a", "b c"], "SELECT a, \"b c\" FROM tab"), None);
        assert_eq!(of("SELECT 1 FROM orders NATURAL JOIN lines"), None);
        assert_eq!(of("SELECT U&\"\\0069d\" FROM orders"), None);
        assert_eq!(unnamed_column(["id"], "SELECT count(*) FROM one"), None);
    }

    #[test]
    fn names_are_found_in_a_sorted_catalog() {
        let named = |name: &str| Relation { name: name.to_owned(), ..Relation::default() };
        let mut catalog = Catalog { relations: vec![named("b.x"), named("a.y"), named("a.B")], ..Catalog::default() };
        catalog.sort();
        assert!(["b.x", "a.y", "a.B"].iter().all(|n| catalog.relation(n).is_some_and(|r| r.name == *n)));
        assert!(catalog.relation("a.b").is_none());
    }
}
