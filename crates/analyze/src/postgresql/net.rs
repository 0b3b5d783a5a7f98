//! Relations, columns and calls of a statement that is not walked carefully, a definition mostly, wherever they stand.

use serde_json::Value;

/// A relation as named in the tree: (schema, name, made for the session only).
pub(super) struct Named {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) temporary: bool,
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

    fn visit(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            Value::Object(map) => {
                let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
                let location = map.get("location").and_then(Value::as_i64).unwrap_or(-1);
                if let (Some(name), Some(schema)) = (text("relname"), text("schemaname")) {
                    let temporary = text("relpersistence").is_some_and(|p| p == "t");
                    self.relations.push(Named { schema, name, temporary });
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
