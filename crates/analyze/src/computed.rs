//! Columns that the target computes from others by itself: who changes those, changes these.

use artifact::catalog::{Catalog, Column};
use artifact::effect::Verb;

use crate::draft::Draft;

/// Claims the generated columns whose expression names an updated column, or is not known.
pub(crate) fn claim(catalog: &Catalog, draft: &mut Draft) {
    for used in draft.effect.relations.iter_mut().filter(|used| used.verbs.contains(&Verb::Update)) {
        let Some(relation) = catalog.relation(&used.name) else { continue };
        if !relation.columns.iter().any(|column| column.generated) {
            continue;
        }
        let mut changed: Vec<String> = used.writes.iter().map(|column| column.to_lowercase()).collect();
        let mut left: Vec<&Column> = relation.columns.iter().filter(|column| column.generated).collect();
        // One may be computed from another that is.
        loop {
            let (more, rest): (Vec<&Column>, Vec<&Column>) =
                left.into_iter().partition(|column| follows(column, &changed));
            if more.is_empty() {
                break;
            }
            changed.extend(more.iter().map(|column| column.name.to_lowercase()));
            used.computed.extend(more.iter().map(|column| column.name.clone()));
            left = rest;
        }
    }
}

/// Letters' case aside, an identifier of the expression is a changed column; one that is no plain word may stand anywhere.
fn follows(column: &Column, changed: &[String]) -> bool {
    let Some(sql) = &column.default else { return !changed.is_empty() };
    let sql = sql.to_lowercase();
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let named = |name: &String| {
        name == "*"
            || if name.chars().all(in_word) {
                sql.split(|c| !in_word(c)).any(|word| word == name)
            } else {
                sql.contains(name.as_str()) || name.contains('"') || name.contains('`')
            }
    };
    changed.iter().any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(expression: Option<&str>) -> Column {
        Column { name: "made".into(), default: expression.map(str::to_owned), generated: true, ..Column::default() }
    }

    #[test]
    fn what_names_a_changed_column_follows() {
        let follows = |expression: &str, changed: &str| follows(&column(Some(expression)), &[changed.to_owned()]);
        assert!(follows("(amount * (2)::numeric)", "amount") && follows("`Amount` * 2", "amount"));
        assert!(follows("lower((\"Full Name\")::text)", "full name") && follows("a + b", "*"));
        assert!(!follows("(amounts * 2)", "amount") && !follows("note", "amount"));
        assert!(super::follows(&column(None), &["a".to_owned()]) && !super::follows(&column(None), &[]));
    }
}
