//! PL/pgSQL: the statements and expressions of a function, found by the language's own parser.
//!
//! Only what cannot build text and run it is followed. A kind of step that is not in the list here ends the following.

use std::collections::BTreeSet;

use serde_json::Value;

/// Steps whose statements stand in the text, and the parts they are made of.
const KNOWN: &[&str] = &[
    "PLpgSQL_case_when",
    "PLpgSQL_condition",
    "PLpgSQL_diag_item",
    "PLpgSQL_exception",
    "PLpgSQL_exception_block",
    "PLpgSQL_expr",
    "PLpgSQL_function",
    "PLpgSQL_if_elsif",
    "PLpgSQL_raise_option",
    "PLpgSQL_rec",
    "PLpgSQL_recfield",
    "PLpgSQL_row",
    "PLpgSQL_stmt_assert",
    "PLpgSQL_stmt_assign",
    "PLpgSQL_stmt_block",
    "PLpgSQL_stmt_case",
    "PLpgSQL_stmt_execsql",
    "PLpgSQL_stmt_exit",
    "PLpgSQL_stmt_foreach_a",
    "PLpgSQL_stmt_fori",
    "PLpgSQL_stmt_fors",
    "PLpgSQL_stmt_getdiag",
    "PLpgSQL_stmt_if",
    "PLpgSQL_stmt_loop",
    "PLpgSQL_stmt_perform",
    "PLpgSQL_stmt_raise",
    "PLpgSQL_stmt_return",
    "PLpgSQL_stmt_return_next",
    "PLpgSQL_stmt_return_query",
    "PLpgSQL_stmt_while",
    "PLpgSQL_type",
    "PLpgSQL_var",
];

/// What a function does, step by step, flattened.
#[derive(Debug, Default)]
pub(super) struct Steps {
    /// Statements to be walked; an expression stands as `SELECT expression`.
    pub(super) statements: Vec<String>,
    /// Names of variables, parameters and records.
    pub(super) variables: BTreeSet<String>,
    /// Columns of the row of a trigger that are set; `*` where it is set as a whole.
    pub(super) set_in_new: BTreeSet<String>,
}

/// A function that runs for a trigger, as one that is called: the parser's output for the former cannot be read.
const OF_TRIGGER: &str = "CREATE FUNCTION f(new record, old record, tg_name text, tg_when text, tg_level text, tg_op text, tg_relid oid, \
    tg_relname name, tg_table_name name, tg_table_schema name, tg_nargs int, tg_argv text[]) RETURNS record LANGUAGE plpgsql AS ";

/// The steps of a trigger function with this body.
pub(super) fn steps_of_trigger(body: &str) -> Option<Steps> {
    steps(&format!("{OF_TRIGGER}'{}'", body.replace('\'', "''")))
}

/// The steps of the function that `definition` creates; none if any of them is not known.
pub(super) fn steps(definition: &str) -> Option<Steps> {
    // Somebody else's code: a panic in it means not understood, nothing else.
    let tree = std::panic::catch_unwind(|| pg_query::parse_plpgsql(definition)).ok()?.ok()?;
    let mut steps = Steps::default();
    steps.visit(&tree).then_some(steps)
}

impl Steps {
    fn visit(&mut self, value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().all(|item| self.visit(item)),
            Value::Object(map) => map.iter().all(|(key, inner)| self.member(key, inner)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        }
    }

    fn member(&mut self, key: &str, inner: &Value) -> bool {
        if key.starts_with("PLpgSQL_") && !KNOWN.contains(&key) {
            return false;
        }
        match key {
            // Text that is built and run.
            "dynquery" => return false,
            "refname" => {
                let Some(name) = inner.as_str() else { return false };
                self.variables.insert(name.to_owned());
            }
            // A type's name; `%TYPE` reads the catalog only.
            "PLpgSQL_type" => return true,
            "PLpgSQL_expr" => return self.expression(inner),
            // Where a result goes. A row of a trigger is changed by it.
            "target" if inner.to_string().contains("\"new") => _ = self.set_in_new.insert("*".to_owned()),
            _ => {}
        }
        self.visit(inner)
    }

    /// The parser says how the text is to be read: 0 a statement, 1 a type, 2 an expression, 3 to 5 an assignment.
    fn expression(&mut self, expression: &Value) -> bool {
        let Some(query) = expression.get("query").and_then(Value::as_str) else { return false };
        match expression.get("parseMode").and_then(Value::as_u64).unwrap_or(0) {
            0 => self.statements.push(query.to_owned()),
            1 => {}
            2 => self.statements.push(format!("SELECT {query}")),
            3..=5 => {
                let Some((left, right)) = assignment(query) else { return false };
                let left = left.trim().to_lowercase();
                if left == "new" {
                    self.set_in_new.insert("*".to_owned());
                } else if let Some(column) = left.strip_prefix("new.") {
                    let plain = column.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    self.set_in_new.insert(if plain { column.to_owned() } else { "*".to_owned() });
                } else if left.contains('"') || left.contains('[') {
                    // An index is an expression of its own, and a quoted name may be any.
                    self.set_in_new.insert("*".to_owned());
                    self.statements.push(format!("SELECT {left}"));
                }
                self.statements.push(format!("SELECT {right}"));
            }
            _ => return false,
        }
        true
    }
}

/// `left := right` or `left = right`, at the first sign outside of brackets and quotes.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let (mut depth, mut quote) = (0_u32, None);
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            quote = Some(open).filter(|open| *open != c);
            continue;
        }
        match c {
            '\'' | '"' => quote = Some(c),
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && text[at..].starts_with(":=") => return Some((&text[..at], &text[at + 2..])),
            '=' if depth == 0 => return Some((&text[..at], &text[at + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(body: &str) -> Option<Steps> {
        let called = steps(&format!("CREATE FUNCTION public.f(a int) RETURNS int LANGUAGE plpgsql AS $f$ {body} $f$"));
        let fired = steps_of_trigger(body);
        assert!(called.is_none() || fired.is_some(), "{body}");
        fired
    }

    #[test]
    fn steps_are_found() {
        let body = "DECLARE n int := 1; r record; BEGIN
            IF new.id > n THEN INSERT INTO log(what) VALUES (n); END IF;
            FOR r IN SELECT id FROM orders LOOP UPDATE orders SET status = 'x' WHERE id = r.id; END LOOP;
            NEW.changed := clock_timestamp(); PERFORM lookup(n);
            RETURN NEW; END";
        let steps = function(body).unwrap();
        for part in ["INSERT INTO log", "SELECT id FROM orders", "UPDATE orders", "clock_timestamp()", "lookup(n)"] {
            assert!(steps.statements.iter().any(|s| s.contains(part)), "{part}: {:?}", steps.statements);
        }
        assert!(steps.set_in_new.contains("changed"), "{:?}", steps.set_in_new);
        assert!(steps.variables.contains("n") && steps.variables.contains("r"), "{:?}", steps.variables);
    }

    #[test]
    fn text_that_is_built_ends_it() {
        for body in [
            "BEGIN EXECUTE 'DELETE FROM orders'; RETURN NULL; END",
            "DECLARE r record; BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; RETURN NULL; END",
            "BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END",
            "BEGIN RETURN NULL; END; nonsense",
            "BEGIN COMMIT; RETURN NULL; END",
            "DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE 'SELECT 1'; RETURN NULL; END",
        ] {
            assert!(function(body).is_none(), "{body}");
        }
    }

    #[test]
    fn assignments_are_split_at_the_right_sign() {
        assert_eq!(assignment("a := b = c"), Some(("a ", " b = c")));
        assert_eq!(assignment("a[x = 1] = 2"), Some(("a[x = 1] ", " 2")));
        assert_eq!(assignment("\"a=b\" := 1"), Some(("\"a=b\" ", " 1")));
        assert_eq!(assignment("a"), None);
    }
}
