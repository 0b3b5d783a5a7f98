//! Names to relations and columns of the catalog.

use std::collections::{BTreeMap, BTreeSet};

use artifact::catalog::{Catalog, Relation, RelationKind};
use artifact::effect::Verb;
use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use crate::Code;
use crate::draft::{Behind, Draft, quoted};

/// Parts of a name.
pub(super) fn parts(name: &ObjectName) -> Option<Vec<&Ident>> {
    name.0.iter().map(|part| if let ObjectNamePart::Identifier(ident) = part { Some(ident) } else { None }).collect()
}

/// Columns are one name in either case.
fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// What the names of one statement mean.
pub(super) struct Names<'a> {
    pub(super) catalog: &'a Catalog,
    /// Relations by the names they go by in the statement.
    by_alias: BTreeMap<String, BTreeSet<String>>,
    /// Names of derived tables and common table expressions: what stands behind them is claimed where it is read.
    pub(super) derived: BTreeSet<String>,
    /// Names given to expressions, by which the rest of the statement may call them.
    pub(super) given: BTreeSet<String>,
}

impl<'a> Names<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Self {
        Self { catalog, by_alias: BTreeMap::new(), derived: BTreeSet::new(), given: BTreeSet::new() }
    }

    /// Full name of a relation. None, with a finding, if the catalog does not have it.
    pub(super) fn relation(&self, name: &ObjectName, draft: &mut Draft) -> Option<String> {
        let parts = parts(name).unwrap_or_default();
        let full = match parts.as_slice() {
            [name] => format!("{}.{}", self.catalog.search_path.first().map_or("", String::as_str), name.value),
            [database, name] => format!("{}.{}", database.value, name.value),
            _ => String::new(),
        };
        if parts.iter().any(|part| {
            part.value.contains('.') || part.value.contains('*') || part.value.chars().any(artifact::has_hidden)
        }) {
            draft.note(
                Code::AmbiguousName,
                None,
                format!("The name {} cannot be told apart from others.", quoted(&full)),
            );
            return None;
        }
        if self.catalog.relation(&full).is_none() {
            let sentence = format!("There is no table or view {} that the login sees.", quoted(&name.to_string()));
            draft.note(Code::UnknownRelation, None, sentence);
            return None;
        }
        Some(full)
    }

    /// True if a name without a database is a common table expression of the statement.
    pub(super) fn is_derived(&self, name: &ObjectName) -> bool {
        parts(name).is_some_and(|parts| matches!(parts.as_slice(), [one] if self.derived.contains(&one.value)))
    }

    /// Lets a relation go by a name.
    pub(super) fn alias(&mut self, alias: &str, relation: &str) {
        self.by_alias.entry(alias.to_owned()).or_default().insert(relation.to_owned());
    }

    /// The relations in reach.
    pub(super) fn relations(&self) -> BTreeSet<String> {
        self.by_alias.values().flatten().cloned().collect()
    }

    /// The relations that `alias` may stand for; none if it is no name of a relation here.
    pub(super) fn named(&self, alias: &str) -> Option<&BTreeSet<String>> {
        self.by_alias.get(alias)
    }

    fn column(&self, relation: &str, column: &str) -> Option<String> {
        let relation = self.catalog.relation(relation)?;
        relation.columns.iter().find(|known| same(&known.name, column)).map(|known| known.name.clone())
    }

    /// Claims a column by its own name as read, wherever it may be meant.
    pub(super) fn read_bare(&self, ident: &Ident, draft: &mut Draft) {
        let mut found = self.given.iter().any(|name| same(name, &ident.value)) || same(&ident.value, "default");
        for relation in self.relations() {
            if let Some(column) = self.column(&relation, &ident.value) {
                draft.claim_read(&relation, &column);
                found = true;
            }
        }
        if !found && self.derived.is_empty() {
            draft.note(Code::UnknownColumn, None, format!("No relation here has a column {}.", quoted(&ident.value)));
        }
    }

    /// Claims `relation.column` or `database.relation.column` as read.
    pub(super) fn read_qualified(&self, idents: &[Ident], draft: &mut Draft) {
        let Some((relations, column)) = self.qualified(idents) else {
            let shown = idents.iter().map(|ident| ident.value.as_str()).collect::<Vec<_>>().join(".");
            return draft.note(Code::UnknownColumn, None, format!("{} is no column here.", quoted(&shown)));
        };
        // One alias may stand for several relations, each in its part of the statement; it is meant where the column is.
        let mut found = relations.is_empty();
        for relation in &relations {
            if let Some(column) = self.column(relation, column) {
                draft.claim_read(relation, &column);
                found = true;
            }
        }
        if !found {
            draft.note(Code::UnknownColumn, None, format!("No relation of that name has a column {}.", quoted(column)));
        }
    }

    fn qualified<'n>(&self, idents: &'n [Ident]) -> Option<(BTreeSet<String>, &'n str)> {
        match idents {
            [table, column] => match self.named(&table.value) {
                Some(relations) => Some((relations.clone(), &column.value)),
                None if self.derived.contains(&table.value) => Some((BTreeSet::new(), &column.value)),
                None => None,
            },
            [database, table, column] => {
                let full = format!("{}.{}", database.value, table.value);
                self.relations().contains(&full).then(|| (BTreeSet::from([full]), column.value.as_str()))
            }
            _ => None,
        }
    }

    /// Relations and column that an assignment sets.
    pub(super) fn target(
        &self,
        name: &ObjectName,
        among: &BTreeSet<String>,
        draft: &mut Draft,
    ) -> Vec<(String, String)> {
        let idents: Vec<Ident> = parts(name).unwrap_or_default().into_iter().cloned().collect();
        let (relations, column) = match idents.as_slice() {
            [column] => (among.clone(), column.value.as_str()),
            idents => self.qualified(idents).unwrap_or_default(),
        };
        let set: Vec<(String, String)> =
            relations.iter().filter_map(|relation| Some((relation.clone(), self.column(relation, column)?))).collect();
        if set.is_empty() {
            draft.note(
                Code::UnknownColumn,
                None,
                format!("{} is no column to be set here.", quoted(&name.to_string())),
            );
        }
        set
    }
}

/// A relation is read: its rows' existence, and what stands behind a view.
pub(super) fn reads(relation: &str, catalog: &Catalog, draft: &mut Draft) {
    draft.claim(relation, Verb::Read);
    let Some(known) = catalog.relation(relation) else { return };
    match known.kind {
        RelationKind::Table => {}
        RelationKind::View => {
            draft.note(Code::ViewRead, None, format!("The view {} is read.", quoted(relation)));
            match &known.definition {
                Some(sql) => draft.follow(Behind::View { name: relation.to_owned(), sql: sql.clone() }),
                None => draft.note(
                    Code::UnsupportedSyntax,
                    None,
                    format!("The definition of {} is not known.", quoted(relation)),
                ),
            }
        }
        _ => draft.note(Code::UnsupportedSyntax, None, format!("{} is no ordinary table or view.", quoted(relation))),
    }
}

/// Rows of a relation are written: with triggers, foreign keys and the engine's own ways.
pub(super) fn writes(relation: &str, verb: Verb, columns: &[String], catalog: &Catalog, draft: &mut Draft) {
    let Some(known) = catalog.relation(relation) else { return };
    if known.kind != RelationKind::Table {
        let sentence = format!("Rows are written through {}, which is no table.", quoted(relation));
        return draft.note(Code::UnsupportedSyntax, None, sentence);
    }
    if columns.is_empty() {
        draft.claim(relation, verb);
    }
    for column in columns {
        draft.claim_write(relation, verb, column);
    }
    if known.commits_alone {
        draft.effect.commits_itself = true;
        let sentence =
            format!("The engine of {} keeps what is written, whatever becomes of the transaction.", quoted(relation));
        draft.note(Code::CommitsItself, None, sentence);
    }
    if verb == Verb::Insert
        && known.columns.iter().any(|c| c.default.as_deref().is_some_and(|d| d.to_lowercase().contains("nextval")))
    {
        draft.note(Code::UnsupportedSyntax, None, format!("A default of {} moves a sequence.", quoted(relation)));
    }
    fires(known, verb, draft);
    carries(known, verb, columns, catalog, draft);
}

/// Each trigger's definition begins with the verb it fires on.
fn fires(relation: &Relation, verb: Verb, draft: &mut Draft) {
    if relation.triggers.len() != relation.trigger_definitions.len() {
        return draft.note(
            Code::TriggerNotFollowed,
            None,
            format!("Triggers of {} are not known.", quoted(&relation.name)),
        );
    }
    for definition in &relation.trigger_definitions {
        let Some((event, body)) = definition.split_once(' ') else { continue };
        if event.eq_ignore_ascii_case(verb.as_str()) {
            draft.note(Code::TriggerFires, None, format!("A trigger of {} fires.", quoted(&relation.name)));
            draft.follow(Behind::Trigger { relation: relation.name.clone(), verb, definition: body.to_owned() });
        }
    }
}

/// Foreign keys that change rows elsewhere. They fire no triggers there.
fn carries(relation: &Relation, verb: Verb, columns: &[String], catalog: &Catalog, draft: &mut Draft) {
    use artifact::catalog::Carry;
    for cascade in &relation.cascades {
        let carry = match verb {
            Verb::Delete => cascade.on_delete,
            Verb::Update if cascade.on.iter().any(|on| columns.iter().any(|c| c == on || c == "*")) => {
                cascade.on_update
            }
            _ => Carry::Nothing,
        };
        let known = draft.effect.relation(&cascade.to).is_some_and(|used| match carry {
            Carry::Delete => used.verbs.contains(&Verb::Delete),
            Carry::Set => cascade.columns.iter().all(|column| used.writes.contains(column)),
            Carry::Nothing => true,
        });
        if carry == Carry::Nothing || known {
            continue;
        }
        let sentence = format!("A foreign key carries it on to {}, where rows are not counted.", quoted(&cascade.to));
        draft.note(Code::Cascades, None, sentence);
        let Some(child) = catalog.relation(&cascade.to) else {
            draft.note(Code::UnknownRelation, None, format!("{} is not known.", quoted(&cascade.to)));
            continue;
        };
        if carry == Carry::Delete {
            draft.claim(&child.name, Verb::Delete);
            carries(child, Verb::Delete, &[], catalog, draft);
        } else {
            for column in &cascade.columns {
                draft.claim_write(&child.name, Verb::Update, column);
            }
            carries(child, Verb::Update, &cascade.columns, catalog, draft);
        }
    }
}
