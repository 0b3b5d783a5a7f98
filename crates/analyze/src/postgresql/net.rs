//! A second, generic walk over the parsed statement. It knows no statement kinds, only how a relation, a column and a
//! call look wherever they stand, so it catches a part that the careful walk forgot.

use serde_json::Value;

use super::walk::Seen;

/// A relation as named in the tree: (schema, name, made for the session only, byte offset).
pub(super) struct Named {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) temporary: bool,
    pub(super) location: i64,
}

/// Everything of interest below a value.
#[derive(Default)]
pub(super) struct Found {
    pub(super) relations: Vec<Named>,
    pub(super) functions: Vec<(Vec<String>, i64)>,
    pub(super) columns: Vec<(String, i64)>,
    /// True if anything below is to be done concurrently, outside of a transaction.
    pub(super) concurrent: bool,
}

impl Found {
    pub(super) fn below(value: &Value) -> Self {
        let mut found = Self::default();
        found.visit(value);
        found
    }

    /// The same places as the careful walk records them.
    pub(super) fn places(&self) -> Seen {
        let relations = self.relations.iter().map(|r| ("relation", r.location, r.name.clone()));
        let functions = self.functions.iter().map(|(name, at)| ("function", *at, name.join(".")));
        let columns = self.columns.iter().map(|(name, at)| ("column", *at, name.clone()));
        relations.chain(functions).chain(columns).collect()
    }

    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
                let location = map.get("location").and_then(Value::as_i64).unwrap_or(-1);
                if let (Some(name), Some(schema)) = (text("relname"), text("schemaname")) {
                    let temporary = text("relpersistence").is_some_and(|p| p == "t");
                    self.relations.push(Named { schema, name, temporary, location });
                }
                if let (Some(Value::Array(name)), true) = (map.get("funcname"), map.contains_key("agg_star")) {
                    self.functions.push((parts(name), location));
                }
                if let (Some(Value::Array(fields)), 2) = (map.get("fields"), map.len()) {
                    self.columns.push((parts(fields).join("."), location));
                }
                self.concurrent |= map.get("concurrent").and_then(Value::as_bool).unwrap_or(false);
                map.values().for_each(|item| self.visit(item));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// The parts of a dotted name; `*` where a part is no text.
pub(super) fn parts(nodes: &[Value]) -> Vec<String> {
    let text = |n: &Value| n.pointer("/node/String/sval").and_then(Value::as_str).unwrap_or("*").to_owned();
    nodes.iter().map(text).collect()
}
