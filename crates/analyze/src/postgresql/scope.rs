//! What a column name can mean at a place in a statement.
//!
//! A name belongs to the innermost level that has it. Where a level has a source whose columns are not known, the
//! search goes on outward as well, so that every relation the name could mean is claimed: too much, never too little.

use std::borrow::Cow;
use std::rc::Rc;

use artifact::catalog::Relation;

use super::names::SYSTEM_COLUMNS;

/// Columns as (visible, real) names. Sources are copied often, their columns never.
pub(super) type Columns<'a> = Rc<[(Cow<'a, str>, Cow<'a, str>)]>;

/// One thing in FROM.
#[derive(Clone)]
pub(super) struct Source<'a> {
    /// The name other parts of the statement use for it.
    pub(super) alias: Cow<'a, str>,
    /// The schema it may be qualified with; none if an alias hides it.
    pub(super) schema: Option<Cow<'a, str>>,
    /// The relation, unless it is a subquery, a function and the like (whose reads were claimed inside).
    pub(super) relation: Option<&'a Relation>,
    /// None if not known.
    pub(super) columns: Option<Columns<'a>>,
    /// True if its columns are only reached with its name in front (`old`, `new`, the alias of a join's columns).
    pub(super) qualified_only: bool,
}

fn owned<'b>(name: &str) -> Cow<'b, str> {
    Cow::Owned(name.to_owned())
}

impl<'a> Source<'a> {
    pub(super) fn of(relation: &'a Relation, alias: &str, renamed: &[String]) -> Self {
        let visible = |at: usize, name: &'a str| renamed.get(at).map_or(Cow::Borrowed(name), |n| Cow::Owned(n.clone()));
        let names = relation.columns.iter().map(|c| c.name.as_str()).enumerate();
        let columns = names.map(|(at, name)| (visible(at, name), Cow::Borrowed(name))).collect();
        let (schema, name) = relation.name.split_once('.').unwrap_or(("", &relation.name));
        let hidden = !alias.is_empty();
        Self {
            alias: if hidden { owned(alias) } else { Cow::Borrowed(name) },
            schema: (!hidden).then_some(Cow::Borrowed(schema)),
            relation: Some(relation),
            columns: Some(columns),
            qualified_only: false,
        }
    }

    pub(super) fn derived(alias: &str, columns: Option<Vec<String>>, renamed: &[String]) -> Self {
        let columns = columns.map(|mut names| {
            for (column, name) in names.iter_mut().zip(renamed) {
                column.clone_from(name);
            }
            names.into_iter().map(|n| (Cow::Owned(n.clone()), Cow::Owned(n))).collect()
        });
        Self { alias: owned(alias), schema: None, relation: None, columns, qualified_only: false }
    }

    /// The same source where no relation stands behind it.
    pub(super) fn detached<'b>(&self) -> Source<'b> {
        Source {
            alias: owned(&self.alias),
            schema: self.schema.as_deref().map(owned),
            relation: None,
            columns: self
                .columns
                .as_ref()
                .map(|columns| columns.iter().map(|(visible, real)| (owned(visible), owned(real))).collect()),
            qualified_only: self.qualified_only,
        }
    }

    pub(super) fn named(mut self, alias: Cow<'a, str>) -> Self {
        self.alias = alias;
        self.schema = None;
        self
    }

    pub(super) fn qualified_only(mut self) -> Self {
        self.qualified_only = true;
        self
    }
}

/// A name that a WITH clause gives to a query.
#[derive(Clone)]
pub(super) struct Cte {
    pub(super) name: String,
    pub(super) columns: Option<Vec<String>>,
}

/// A level of a statement and the levels around it.
pub(super) struct Env<'p, 'a> {
    pub(super) parent: Option<&'p Env<'p, 'a>>,
    pub(super) sources: Vec<Source<'a>>,
    pub(super) ctes: Vec<Cte>,
}

/// Every column.
const EVERY: Cow<'static, str> = Cow::Borrowed("*");

/// What a name turned out to mean.
pub(super) enum Meaning<'a> {
    /// These columns (`*` for all of them) of these relations; possibly none, if it is a column computed inside.
    Columns(Vec<(&'a Relation, Cow<'a, str>)>),
    /// Something of a row that is no column: a function of that name may be called.
    Attribute(Vec<&'a Relation>),
    /// Nothing that analysis can see.
    Unknown,
}

impl<'p, 'a> Env<'p, 'a> {
    pub(super) fn root() -> Self {
        Self { parent: None, sources: Vec::new(), ctes: Vec::new() }
    }

    pub(super) fn inside(parent: &'p Env<'p, 'a>, sources: Vec<Source<'a>>) -> Self {
        Self { parent: Some(parent), sources, ctes: Vec::new() }
    }

    fn levels(&self) -> impl Iterator<Item = &Env<'p, 'a>> {
        let mut next = Some(self);
        std::iter::from_fn(move || {
            let level = next?;
            next = level.parent;
            Some(level)
        })
    }

    pub(super) fn cte(&self, name: &str) -> Option<&Cte> {
        self.levels().find_map(|level| level.ctes.iter().rev().find(|c| c.name == name))
    }

    /// `*`: every column of every source of this level.
    pub(super) fn everything(&self) -> Vec<(&'a Relation, Cow<'a, str>)> {
        let visible = self.sources.iter().filter(|s| !s.qualified_only);
        visible.filter_map(|s| s.relation).map(|r| (r, EVERY)).collect()
    }

    /// A name without a qualifier.
    pub(super) fn bare(&self, name: &str) -> Meaning<'a> {
        let mut claims = Vec::new();
        let mut known = false;
        for level in self.levels() {
            let mut here = false;
            let mut doubt = false;
            for source in level.sources.iter().filter(|s| !s.qualified_only) {
                match &source.columns {
                    Some(columns) => {
                        for (_, real) in columns.iter().filter(|(visible, _)| visible == name) {
                            here = true;
                            claims.extend(source.relation.map(|r| (r, real.clone())));
                        }
                        if SYSTEM_COLUMNS.contains(&name) && source.relation.is_some() {
                            here = true;
                            claims.extend(source.relation.map(|r| (r, EVERY)));
                        }
                    }
                    None => doubt = true,
                }
            }
            known |= here || doubt;
            if here && !doubt {
                return Meaning::Columns(claims);
            }
        }
        // The name of a source on its own stands for the whole row.
        for source in self.levels().flat_map(|l| &l.sources).filter(|s| s.alias == name) {
            known = true;
            claims.extend(source.relation.map(|r| (r, EVERY)));
        }
        if known { Meaning::Columns(claims) } else { Meaning::Unknown }
    }

    fn qualified_by(&self, schema: Option<&str>, alias: &str) -> Vec<&Source<'a>> {
        let fits = |s: &&Source<'a>| s.alias == alias && schema.is_none_or(|q| s.schema.as_deref() == Some(q));
        self.levels()
            .map(|l| l.sources.iter().filter(fits).collect::<Vec<_>>())
            .find(|v| !v.is_empty())
            .unwrap_or_default()
    }

    /// `alias.*` or `schema.alias.*`.
    pub(super) fn all_of(&self, schema: Option<&str>, alias: &str) -> Meaning<'a> {
        let sources = self.qualified_by(schema, alias);
        if sources.is_empty() {
            return Meaning::Unknown;
        }
        Meaning::Columns(sources.iter().filter_map(|s| s.relation).map(|r| (r, EVERY)).collect())
    }

    /// `alias.name` or `schema.alias.name`.
    pub(super) fn qualified(&self, schema: Option<&str>, alias: &str, name: &str) -> Meaning<'a> {
        let sources = self.qualified_by(schema, alias);
        if sources.is_empty() {
            return Meaning::Unknown;
        }
        let mut claims = Vec::new();
        let mut found = false;
        for source in &sources {
            for (_, real) in
                source.columns.iter().flat_map(|columns| columns.iter()).filter(|(visible, _)| visible == name)
            {
                found = true;
                claims.extend(source.relation.map(|r| (r, real.clone())));
            }
            if SYSTEM_COLUMNS.contains(&name) {
                found = true;
                claims.extend(source.relation.map(|r| (r, EVERY)));
            }
        }
        if found {
            Meaning::Columns(claims)
        } else {
            Meaning::Attribute(sources.iter().filter_map(|s| s.relation).collect())
        }
    }
}
