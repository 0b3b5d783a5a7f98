//! How the objects that an effect touches looked when it was shown. Signed as part of the effect, and compared by the
//! executor inside the transaction of the run.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Carry, Catalog, Function, Relation, Tool};
use crate::{Digest, Effect, Kind};

/// Most lines of one object; a larger one is told by its digest alone.
const LINES_MAX: usize = 200;
/// Hexadecimal digits of the digest of a text inside a line: enough to notice a change, made by accident or on purpose by
/// somebody who cannot choose both texts.
const SHORT: usize = 32;

/// One line a property, sorted, by object.
pub type Shapes = BTreeMap<String, Vec<String>>;

/// Relations of the server's own, which change with its version only.
fn is_own(name: &str) -> bool {
    name.starts_with("pg_catalog.") || name.starts_with("information_schema.")
}

/// The shapes of every relation and function of users that the effect names, as the catalog has them. Of a relation's columns
/// only those count that the effect names, so that a new column makes nothing stale that does not see it.
pub fn shapes(catalog: &Catalog, effect: &Effect) -> Shapes {
    let mut out = Shapes::new();
    for used in effect.relations.iter().filter(|used| !is_own(&used.name)) {
        let lines = catalog.relation(&used.name).map_or_else(
            || vec!["absent".to_owned()],
            |relation| {
                let named = |column: &str| used.reads.iter().chain(&used.writes).any(|c| c == column || c == "*");
                relation_lines(relation, named)
            },
        );
        out.insert(format!("relation {}", used.name), lines);
    }
    for function in effect.functions.iter().filter_map(|name| catalog.function(name)) {
        if function.user_code && !is_own(&function.name) {
            out.insert(format!("function {}", function.name), function_lines(function));
        }
    }
    let called = effect.request.as_ref().filter(|_| effect.is_of(Kind::Mcp));
    if let Some(name) = called.and_then(|request| request.path.strip_prefix('/')) {
        let lines = catalog.tool(name).map_or_else(|| vec!["absent".to_owned()], tool_lines);
        out.insert(format!("tool {name}"), lines);
    }
    out
}

/// What is different now, in words for a person. Empty if nothing is.
pub fn drift(then: &Shapes, now: &Shapes) -> Vec<String> {
    let mut out = Vec::new();
    for (name, before) in then {
        let after = now.get(name).map_or(&[][..], Vec::as_slice);
        let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
        out.extend(old.difference(&new).map(|line| format!("{name}: was {line}")));
        out.extend(new.difference(&old).map(|line| format!("{name}: is now {line}")));
    }
    out
}

fn short(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string().trim_start_matches("sha256:").chars().take(SHORT).collect()
}

fn bounded(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines.dedup();
    if lines.len() > LINES_MAX {
        vec![format!("{} properties {}", lines.len(), short(&lines.join("\n")))]
    } else {
        lines
    }
}

fn relation_lines(relation: &Relation, named: impl Fn(&str) -> bool) -> Vec<String> {
    let mut lines = vec![format!("{:?}", relation.kind).to_lowercase()];
    for column in relation.columns.iter().filter(|column| named(&column.name)) {
        let mut line = format!("column {} {}", column.name, column.type_name);
        if let Some(default) = &column.default {
            line += &format!(" {} {}", if column.generated { "generated" } else { "default" }, short(default));
        }
        lines.push(line);
    }
    lines.push(format!("key {}", relation.key.join(", ")));
    for (at, trigger) in relation.triggers.iter().enumerate() {
        let definition = relation.trigger_definitions.get(at).map(|text| short(text)).unwrap_or_default();
        lines.push(format!("trigger {trigger} {definition}").trim_end().to_owned());
    }
    lines.extend(relation.rules.iter().map(|rule| format!("rule {rule}")));
    lines.extend(relation.checks.iter().map(|check| format!("check or policy {}", short(check))));
    lines.extend(relation.definition.iter().map(|text| format!("definition {}", short(text))));
    lines.extend(relation.cascades_to.iter().map(|to| format!("foreign key of {to} carries changes")));
    let carried = |carry: Carry| match carry {
        Carry::Nothing => "nothing",
        Carry::Delete => "delete",
        Carry::Set => "set",
    };
    lines.extend(relation.cascades.iter().map(|cascade| {
        let (on_delete, on_update) = (carried(cascade.on_delete), carried(cascade.on_update));
        format!(
            "foreign key of {} ({}) on ({}): delete {on_delete}, update {on_update}",
            cascade.to,
            cascade.columns.join(", "),
            cascade.on.join(", ")
        )
    }));
    if relation.row_security {
        lines.push("row-level security".to_owned());
    }
    bounded(lines)
}

fn tool_lines(tool: &Tool) -> Vec<String> {
    let mut lines = vec![
        format!("description {}", short(&tool.description)),
        format!("arguments {}", short(&tool.input_schema)),
        format!("definition {}", short(&tool.digest.to_string())),
    ];
    if tool.reads_only == Some(true) {
        lines.push("says that it only reads".to_owned());
    }
    if tool.destroys == Some(true) {
        lines.push("says that it destroys".to_owned());
    }
    bounded(lines)
}

fn function_lines(function: &Function) -> Vec<String> {
    let mut lines = vec![format!("{:?}", function.volatility).to_lowercase()];
    if function.security_definer {
        lines.push("with its owner's rights".to_owned());
    }
    if function.opaque {
        lines.push("of unknown text".to_owned());
    }
    lines.extend(function.definitions.iter().map(|text| format!("definition {}", short(text))));
    lines.extend(function.calls.iter().map(|name| format!("calls {name}")));
    bounded(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, Volatility};
    use crate::effect::{RelationUse, Verb};

    fn catalog() -> Catalog {
        let column = |name: &str| Column { name: name.into(), type_name: "text".into(), ..Column::default() };
        let orders = Relation {
            name: "public.orders".into(),
            columns: vec![column("id"), column("status"), column("note")],
            key: vec!["id".into()],
            triggers: vec!["stamp".into()],
            trigger_definitions: vec!["CREATE TRIGGER stamp".into()],
            rows_estimate: Some(10),
            ..Relation::default()
        };
        let stamp = Function {
            name: "public.stamp".into(),
            volatility: Volatility::Volatile,
            security_definer: false,
            user_code: true,
            definitions: vec!["BEGIN END".into()],
            opaque: false,
            calls: vec![],
        };
        let mut catalog = Catalog { relations: vec![orders], functions: vec![stamp], ..Catalog::default() };
        catalog.sort();
        catalog
    }

    fn effect() -> Effect {
        let mut effect = Effect::empty();
        for name in ["public.orders", "public.gone", "pg_catalog.pg_class"] {
            effect.relations.push(RelationUse {
                name: name.into(),
                verbs: vec![Verb::Update],
                reads: vec!["id".into()],
                writes: vec!["status".into()],
                ..RelationUse::default()
            });
        }
        effect.functions = vec!["public.stamp".into(), "count".into()];
        effect.normalize();
        effect
    }

    #[test]
    fn what_the_effect_does_not_see_makes_nothing_stale() {
        let then = shapes(&catalog(), &effect());
        assert_eq!(
            then.keys().collect::<Vec<_>>(),
            ["function public.stamp", "relation public.gone", "relation public.orders"]
        );
        let mut other = catalog();
        other.relations[0].rows_estimate = Some(11);
        other.relations[0].columns[2].type_name = "int".into();
        other.relations[0].columns.swap(0, 1);
        assert_eq!(drift(&then, &shapes(&other, &effect())), Vec::<String>::new());
    }

    #[test]
    fn each_change_that_matters_is_told() {
        let then = shapes(&catalog(), &effect());
        let changed = |change: &dyn Fn(&mut Catalog)| {
            let mut other = catalog();
            change(&mut other);
            drift(&then, &shapes(&other, &effect())).join("; ")
        };
        let orders = "relation public.orders: ";
        assert_eq!(
            changed(&|c| c.relations[0].columns[1].type_name = "int".into()),
            format!("{orders}was column status text; {orders}is now column status int")
        );
        for (change, word) in [
            (&(|c: &mut Catalog| c.relations[0].triggers.clear()) as &dyn Fn(&mut Catalog), "was trigger stamp"),
            (&|c| c.relations[0].trigger_definitions[0] += " ", "is now trigger stamp"),
            (&|c| c.relations[0].checks.push("true".into()), "is now check or policy"),
            (&|c| c.relations[0].rules.push("r".into()), "is now rule r"),
            (&|c| c.relations[0].row_security = true, "is now row-level security"),
            (&|c| c.relations[0].key.clear(), "was key id"),
            (&|c| c.relations[0].definition = Some("SELECT".into()), "is now definition"),
            (&|c| c.relations[0].columns[0].default = Some("1".into()), "is now column id text default"),
            (&|c| c.relations[0].cascades_to.push("public.lines".into()), "public.lines carries"),
            (&|c| c.relations.clear(), "is now absent"),
            (&|c| c.functions[0].definitions[0] += "x", "function public.stamp: was definition"),
            (&|c| c.functions[0].security_definer = true, "owner's rights"),
            (&|c| c.functions.clear(), "function public.stamp: was volatile"),
        ] {
            assert!(changed(change).contains(word), "{word}: {}", changed(change));
        }
    }

    #[test]
    fn a_wide_relation_is_told_by_its_digest() {
        let mut wide = catalog();
        let column = |n: usize| Column { name: format!("c{n}"), type_name: "text".into(), ..Column::default() };
        wide.relations[0].columns = (0..500).map(column).collect();
        let mut effect = effect();
        effect.relation_mut("public.orders").reads = vec!["*".into()];
        let then = shapes(&wide, &effect);
        assert_eq!(then["relation public.orders"].len(), 1);
        wide.relations[0].columns[499].type_name = "int".into();
        assert_eq!(drift(&then, &shapes(&wide, &effect)).len(), 2);
    }
}
