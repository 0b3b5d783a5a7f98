//! Names against the catalog: which relation or function a name means, and what using it entails.

use std::collections::BTreeSet;

use artifact::catalog::{Carry, Catalog, Function, Operator, Relation, RelationKind, Volatility};
use artifact::effect::Verb;
use artifact::has_hidden;

use super::names;
use crate::Code;
use crate::draft::{Behind, Draft, quoted};

/// Most relations followed behind one write, which also bounds the depth of the recursion.
const MAX_CONSEQUENCES: usize = 500;

pub(super) type Span = Option<(usize, usize)>;

/// The catalog, indexed, with the order in which names are looked up.
pub(super) struct Resolver<'a> {
    pub(super) catalog: &'a Catalog,
    path: Vec<&'a str>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Self {
        let mut path: Vec<&str> = catalog.search_path.iter().map(String::as_str).collect();
        // The server looks there first unless the path says otherwise.
        if !path.contains(&"pg_catalog") {
            path.insert(0, "pg_catalog");
        }
        Self { catalog, path }
    }

    /// The relation a name means; none after noting why it is not known.
    pub(super) fn relation(&self, schema: &str, name: &str, span: Span, draft: &mut Draft) -> Option<&'a Relation> {
        let shown = || if schema.is_empty() { name.to_owned() } else { format!("{schema}.{name}") };
        if !is_plain(schema) || !is_plain(name) {
            draft.note(
                Code::AmbiguousName,
                span,
                format!("The name {} cannot be shown without doubt.", quoted(&shown())),
            );
            return None;
        }
        let found = self.find_relation(schema, name);
        if found.is_none() {
            draft.note(Code::UnknownRelation, span, format!("The target has no relation {}.", quoted(&shown())));
        }
        found
    }

    /// The same, quietly. A name as the system's own tables have it is never looked for elsewhere.
    pub(super) fn find_relation(&self, schema: &str, name: &str) -> Option<&'a Relation> {
        let mut full = String::new();
        let mut at = |schema: &str| self.catalog.relation(joined(&mut full, schema, name));
        if !schema.is_empty() {
            return at(schema);
        }
        if name.starts_with("pg_") {
            return at("pg_catalog");
        }
        self.path.iter().find_map(|schema| at(schema))
    }

    /// Where an unqualified new name is made.
    pub(super) fn creation_schema(&self) -> &'a str {
        self.path.iter().find(|s| **s != "pg_catalog").copied().unwrap_or("public")
    }

    /// Notes a read of `column` (`*` for all) and what follows from it.
    pub(super) fn read(&self, relation: &'a Relation, column: &str, draft: &mut Draft) {
        draft.claim_read(&relation.name, column);
        self.touch(relation, draft);
    }

    /// Notes that rows of the relation are looked at, whatever columns are read of it.
    pub(super) fn touch(&self, relation: &'a Relation, draft: &mut Draft) {
        draft.claim(&relation.name, Verb::Read);
        match relation.kind {
            // The server's own views show its own state to whoever may see it.
            RelationKind::View if of_the_server(&relation.name) => {}
            RelationKind::View => {
                let sentence = format!("{} is a view.", quoted(&relation.name));
                draft.note(Code::ViewRead, None, sentence);
                if let Some(sql) = &relation.definition {
                    draft.follow(Behind::View { name: relation.name.clone(), sql: sql.clone() });
                } else {
                    for behind in &relation.reads_from {
                        draft.claim_read(behind, "*");
                        if self.catalog.relation(behind).is_some_and(|r| r.kind == RelationKind::Foreign) {
                            foreign(behind, draft);
                        }
                    }
                }
            }
            RelationKind::Foreign => foreign(&relation.name, draft),
            RelationKind::Table | RelationKind::MaterializedView | RelationKind::Sequence => {}
        }
        // Rules other than a view's own query apply to writes only.
        if relation.row_security {
            let sentence = format!("Row-level security is on for {}.", quoted(&relation.name));
            draft.note(Code::RowSecurity, None, sentence);
            expressions(relation, &relation.checks, draft);
        }
    }

    /// Follows what fills columns by itself: those that are generated, and of the others those that `wanted` names.
    pub(super) fn defaults(relation: &Relation, wanted: impl Fn(usize, &str) -> bool, draft: &mut Draft) {
        let columns = relation.columns.iter().enumerate().filter(|(at, c)| c.generated || wanted(*at, &c.name));
        let sql: Vec<String> = columns.filter_map(|(_, c)| c.default.clone()).collect();
        expressions(relation, &sql, draft);
    }

    /// Notes that rows are written, with everything that follows: triggers, rules, cascades, what is behind a view.
    pub(super) fn write(&self, relation: &'a Relation, verb: Verb, columns: &[String], span: Span, draft: &mut Draft) {
        draft.claim(&relation.name, verb);
        for column in columns {
            draft.claim_write(&relation.name, verb, column);
        }
        if relation.name.starts_with("pg_catalog.") || relation.name.starts_with("information_schema.") {
            let sentence = format!("{} belongs to the server itself.", quoted(&relation.name));
            draft.note(Code::SystemCatalog, span, sentence);
        }
        if matches!(verb, Verb::Insert | Verb::Update) {
            expressions(relation, &relation.checks, draft);
        }
        let mut seen = BTreeSet::new();
        self.consequences(relation, verb, columns, span, &mut seen, draft);
    }

    fn consequences(
        &self,
        relation: &'a Relation,
        verb: Verb,
        columns: &[String],
        span: Span,
        seen: &mut BTreeSet<(&'a str, Verb)>,
        draft: &mut Draft,
    ) {
        if !seen.insert((relation.name.as_str(), verb)) {
            return;
        }
        if seen.len() > MAX_CONSEQUENCES {
            return draft.note(Code::EffectTooLarge, span, "More relations follow than analysis goes after.");
        }
        if relation.triggers.len() == relation.trigger_definitions.len() {
            for definition in &relation.trigger_definitions {
                let (relation, definition) = (relation.name.clone(), definition.clone());
                draft.follow(Behind::Trigger { relation, verb, definition });
            }
        } else {
            let names = relation.triggers.iter().take(5).map(|t| quoted(t)).collect::<Vec<_>>().join(", ");
            let sentence = format!("Triggers of {} may fire: {names}.", quoted(&relation.name));
            draft.note(Code::TriggerNotFollowed, span, sentence);
        }
        if !relation.rules.is_empty() {
            rules(relation, draft);
        }
        if relation.row_security {
            let sentence = format!("Row-level security is on for {}.", quoted(&relation.name));
            draft.note(Code::RowSecurity, None, sentence);
        }
        let every = ["*".to_owned()];
        let follow = |name: &String, verb: Verb, columns: &[String], seen: &mut _, draft: &mut Draft| match self
            .catalog
            .relation(name)
        {
            Some(next) => self.consequences(next, verb, columns, span, seen, draft),
            None => draft.note(Code::UnknownRelation, span, format!("The target has no relation {}.", quoted(name))),
        };
        match relation.kind {
            RelationKind::Foreign => foreign(&relation.name, draft),
            RelationKind::View => {
                let sentence = format!("Rows are written through the view {}.", quoted(&relation.name));
                draft.note(Code::WritesView, span, sentence);
                for behind in &relation.reads_from {
                    draft.claim_read(behind, "*");
                    draft.claim_write(behind, verb, "*");
                    follow(behind, verb, &every, seen, draft);
                }
            }
            RelationKind::Table | RelationKind::MaterializedView | RelationKind::Sequence => {}
        }
        if !relation.cascades.is_empty() {
            for key in &relation.cascades {
                let touched = columns.iter().any(|c| c == "*" || key.on.contains(c));
                let carried = match verb {
                    Verb::Delete | Verb::Define => key.on_delete,
                    Verb::Update if touched => key.on_update,
                    Verb::Update | Verb::Insert | Verb::Read => Carry::Nothing,
                };
                if carried == Carry::Nothing {
                    continue;
                }
                let sentence =
                    format!("A foreign key carries changes of {} on to {}.", quoted(&relation.name), quoted(&key.to));
                draft.note(Code::Cascades, span, sentence);
                if carried == Carry::Delete {
                    draft.claim(&key.to, Verb::Delete);
                    follow(&key.to, Verb::Delete, &[], seen, draft);
                } else {
                    for column in &key.columns {
                        draft.claim_write(&key.to, Verb::Update, column);
                    }
                    follow(&key.to, Verb::Update, &key.columns, seen, draft);
                }
            }
        } else if matches!(verb, Verb::Update | Verb::Delete | Verb::Define) {
            for next in &relation.cascades_to {
                let sentence =
                    format!("Foreign keys carry changes of {} on to {}.", quoted(&relation.name), quoted(next));
                draft.note(Code::Cascades, span, sentence);
                draft.claim_write(next, Verb::Update, "*");
                follow(next, Verb::Update, &every, seen, draft);
                if verb != Verb::Update {
                    draft.claim(next, Verb::Delete);
                    follow(next, Verb::Delete, &[], seen, draft);
                }
            }
        }
    }

    /// Every function that a call by this name may reach; overloading may choose any of them.
    pub(super) fn candidates(&self, schema: &str, name: &str) -> Vec<&'a Function> {
        let mut full = String::new();
        let mut at = |schema: &str| self.catalog.function(joined(&mut full, schema, name));
        if schema.is_empty() {
            self.path.iter().filter_map(|schema| at(schema)).collect()
        } else {
            at(schema).into_iter().collect()
        }
    }

    /// Notes a call and judges it by the worst function it may reach.
    pub(super) fn call(&self, schema: &str, name: &str, span: Span, draft: &mut Draft) {
        let shown = || if schema.is_empty() { name.to_owned() } else { format!("{schema}.{name}") };
        if !is_plain(schema) || !is_plain(name) {
            draft.note(
                Code::AmbiguousName,
                span,
                format!("The name {} cannot be shown without doubt.", quoted(&shown())),
            );
        }
        let found = self.candidates(schema, name);
        if found.is_empty() {
            let schema = if schema.is_empty() { "pg_catalog" } else { schema };
            draft.effect.functions.push(format!("{schema}.{name}").to_lowercase());
        }
        draft.effect.functions.extend(found.iter().map(|f| f.name.to_lowercase()));
        if names::is_dangerous(name) {
            let sentence = format!("{} reaches beyond the statement.", quoted(&shown()));
            return draft.note(Code::DangerousFunction, span, sentence);
        }
        if name == "current_setting" {
            draft.note(Code::ShowsSetting, span, "A setting of the server or of the session is read.");
        }
        let own = schema.is_empty() || schema == "pg_catalog";
        let sequence = own && names::SEQUENCE_WRITERS.contains(&name);
        let harmless = own && (sequence || names::among(names::HARMLESS_VOLATILE, name));
        if found.is_empty() && !harmless {
            draft.note(Code::UnknownFunction, span, format!("The target has no function {}.", quoted(&shown())));
        }
        if own && names::ASSIGNS_TRANSACTION.contains(&name) {
            draft.note(Code::VolatileFunction, span, format!("{} uses up a transaction id.", quoted(&shown())));
        }
        for function in found {
            let shown = || quoted(&function.name);
            let own = function.name.starts_with("pg_catalog.");
            for inner in &function.calls {
                self.called(inner, span, draft);
            }
            if !own && !function.security_definer && !function.opaque && !function.definitions.is_empty() {
                draft.note(
                    Code::UserFunction,
                    span,
                    format!("{} is written by users; what it does is part of the effect.", shown()),
                );
                for definition in &function.definitions {
                    let (name, definition) = (function.name.clone(), definition.clone());
                    draft.follow(Behind::Function { name, definition, row: None });
                }
                continue;
            }
            if function.security_definer {
                draft.note(Code::SecurityDefiner, span, format!("{} runs with its owner's rights.", shown()));
            }
            match function.volatility {
                Volatility::Volatile if !(own && harmless && !function.user_code) => {
                    draft.note(Code::VolatileFunction, span, format!("{} is volatile: it may do anything.", shown()));
                }
                Volatility::Stable if function.user_code && !own => {
                    draft.note(
                        Code::UserFunctionReads,
                        span,
                        format!("{} is written by users and may read any relation.", shown()),
                    );
                }
                Volatility::Immutable if function.user_code && !own => {
                    draft.note(Code::UserFunction, span, format!("{} is written by users.", shown()));
                }
                Volatility::Volatile | Volatility::Stable | Volatility::Immutable => {}
            }
        }
    }

    /// The same for a function by its full name.
    pub(super) fn called(&self, function: &str, span: Span, draft: &mut Draft) {
        if let Some((schema, name)) = function.split_once('.') {
            self.call(schema, name, span, draft);
        }
    }

    /// Operators of users that the sign may mean.
    pub(super) fn operators(&self, schema: &str, symbol: &str) -> Vec<&'a Operator> {
        if self.catalog.operators.is_empty() {
            return Vec::new();
        }
        let at = |schema: &str| self.catalog.operator(&format!("{schema}.{symbol}"));
        if schema.is_empty() {
            self.path.iter().filter_map(|s| at(s)).collect()
        } else {
            at(schema).into_iter().collect()
        }
    }

    /// `(row).name` and `alias.name` may call a function instead of naming a column.
    pub(super) fn attribute(&self, name: &str, span: Span, draft: &mut Draft) {
        let users = self.candidates("", name).into_iter().any(|f| f.user_code || f.volatility == Volatility::Volatile);
        if users || names::is_dangerous(name) {
            self.call("", name, span, draft);
        }
    }
}

/// A full name, in a place that serves for the next one too.
fn joined<'n>(full: &'n mut String, schema: &str, name: &str) -> &'n str {
    full.clear();
    full.push_str(schema);
    full.push('.');
    full.push_str(name);
    full
}

fn foreign(name: &str, draft: &mut Draft) {
    draft.note(Code::ForeignRelation, None, format!("The data of {} is on another server.", quoted(name)));
}

fn of_the_server(name: &str) -> bool {
    name.starts_with("pg_catalog.") || name.starts_with("information_schema.")
}

fn expressions(relation: &Relation, list: &[String], draft: &mut Draft) {
    for sql in list {
        draft.follow(Behind::Expression { relation: relation.name.clone(), sql: sql.clone() });
    }
}

fn rules(relation: &Relation, draft: &mut Draft) {
    let sentence = format!("Rewrite rules apply to {}.", quoted(&relation.name));
    draft.note(Code::RuleNotFollowed, None, sentence);
}

/// True if the name has one reading inside a dotted, comma-separated list.
pub(super) fn is_plain(name: &str) -> bool {
    name != "*" && !name.contains('.') && !name.chars().any(|c| has_hidden(c) || c == '\n' || c == '\t')
}
