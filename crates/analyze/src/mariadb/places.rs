//! The walk: every query, table and expression of a statement, wherever it stands.

use std::ops::ControlFlow;

use artifact::effect::Verb;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, JoinConstraint, JoinOperator, Query,
    Select, SelectFlavor, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableFactor, TableWithJoins, Visit,
    Visitor,
};

use super::functions::{Judgment, judge};
use super::resolve::{Names, parts, reads};
use crate::Code;
use crate::draft::{Draft, quoted};

/// First round: which names there are.
struct Collect<'n, 'c> {
    names: &'n mut Names<'c>,
    draft: &'n mut Draft,
}

/// Collects the names a piece of a statement gives and uses. Relations in FROM count as read.
pub(super) fn collect(piece: &impl Visit, names: &mut Names<'_>, draft: &mut Draft) {
    // Names of common table expressions first: a relation of that name is none.
    let mut ctes = Ctes { names };
    let _ = piece.visit(&mut ctes);
    let _ = piece.visit(&mut Collect { names, draft });
}

struct Ctes<'n, 'c> {
    names: &'n mut Names<'c>,
}

impl Visitor for Ctes<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.names.derived.insert(cte.alias.name.value.clone());
        }
        ControlFlow::Continue(())
    }
}

impl Visitor for Collect<'_, '_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let name = &cte.alias.name.value;
            let hides = self.names.catalog.search_path.first().map(|path| format!("{path}.{name}"));
            if hides.is_some_and(|full| self.names.catalog.relation(&full).is_some()) {
                let sentence = format!("{} names both a table and a part of this statement.", quoted(name));
                self.draft.note(Code::AmbiguousName, None, sentence);
            }
            self.names.given.extend(cte.alias.columns.iter().map(|column| column.name.value.clone()));
        }
        let odd = query.fetch.is_some()
            || !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty();
        if odd {
            self.draft.note(
                Code::UnsupportedSyntax,
                None,
                "A query that locks rows, or with a clause that is not followed.",
            );
        }
        body(&query.body, self.draft);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => {
                    self.names.given.insert(alias.value.clone());
                }
                SelectItem::UnnamedExpr(_) | SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => {}
                SelectItem::ExprWithAliases { .. } => {
                    self.draft.note(Code::UnsupportedSyntax, None, "An expression with several names.");
                }
            }
        }
        let plain = select.optimizer_hints.is_empty()
            && select.top.is_none()
            && select.exclude.is_none()
            && select.into.is_none()
            && select.lateral_views.is_empty()
            && select.prewhere.is_none()
            && select.connect_by.is_empty()
            && select.cluster_by.is_empty()
            && select.distribute_by.is_empty()
            && select.sort_by.is_empty()
            && select.qualify.is_none()
            && select.value_table_mode.is_none()
            && matches!(select.flavor, SelectFlavor::Standard)
            && matches!(select.group_by, GroupByExpr::Expressions(..));
        if !plain {
            self.draft.note(Code::UnsupportedSyntax, None, "A SELECT with a clause that is not followed.");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name, alias, args, with_hints, version, with_ordinality, json_path, sample, ..
            } => {
                let plain = args.is_none()
                    && with_hints.is_empty()
                    && version.is_none()
                    && !with_ordinality
                    && json_path.is_none()
                    && sample.is_none();
                if !plain {
                    self.draft.note(Code::UnsupportedSyntax, None, "A table with a clause that is not followed.");
                }
                if self.names.is_derived(name) {
                    let alias = alias.as_ref().map(|alias| alias.name.value.clone());
                    self.names.derived.extend(alias);
                } else if let Some(full) = self.names.relation(name, self.draft) {
                    let own = parts(name).and_then(|parts| parts.last().map(|part| part.value.clone()));
                    let called = alias.as_ref().map(|alias| alias.name.value.clone()).or(own).unwrap_or_default();
                    self.names.alias(&called, &full);
                    reads(&full, self.names.catalog, self.draft);
                }
            }
            TableFactor::Derived { lateral: false, alias, sample: None, .. } => {
                self.names.derived.extend(alias.as_ref().map(|alias| alias.name.value.clone()));
                let columns = alias.iter().flat_map(|alias| &alias.columns);
                self.names.given.extend(columns.map(|column| column.name.value.clone()));
            }
            TableFactor::NestedJoin { .. } => {}
            _ => self.draft.note(Code::UnsupportedSyntax, None, "A source of rows that is not followed."),
        }
        ControlFlow::Continue(())
    }
}

fn body(set: &SetExpr, draft: &mut Draft) {
    match set {
        SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Query(_) => {}
        SetExpr::SetOperation { left, right, .. } => {
            body(left, draft);
            body(right, draft);
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) | SetExpr::Table(_) => {
            draft.note(Code::UnsupportedSyntax, None, "A query of a kind that is not followed.");
        }
    }
}

/// Second round: what is read under those names.
struct Claim<'n, 'c> {
    names: &'n Names<'c>,
    draft: &'n mut Draft,
}

/// Claims every column and function that a piece of a statement uses in expressions.
pub(super) fn claim(piece: &impl Visit, names: &Names<'_>, draft: &mut Draft) {
    let _ = piece.visit(&mut Claim { names, draft });
}

/// How a join of an ordinary kind meets.
const fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::CrossJoin(c)
        | JoinOperator::StraightJoin(c) => Some(c),
        _ => None,
    }
}

/// Claims what the joins of a FROM outside a SELECT name.
pub(super) fn joins(joined: &TableWithJoins, names: &Names<'_>, draft: &mut Draft) {
    Claim { names, draft }.joined(joined);
}

impl Claim<'_, '_> {
    fn all_of(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table { name, .. } if !self.names.is_derived(name) => {
                if let Some(full) = self.names.relation(name, self.draft) {
                    self.draft.claim_read(&full, "*");
                }
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.all_of_joined(table_with_joins),
            _ => {}
        }
    }

    fn all_of_joined(&mut self, joined: &TableWithJoins) {
        self.all_of(&joined.relation);
        for join in &joined.joins {
            self.all_of(&join.relation);
        }
    }

    fn joined(&mut self, joined: &TableWithJoins) {
        for join in &joined.joins {
            let Some(constraint) = constraint(&join.join_operator) else {
                self.draft.note(Code::UnsupportedSyntax, None, "A join of a kind that is not followed.");
                continue;
            };
            match constraint {
                JoinConstraint::On(_) | JoinConstraint::None => {}
                JoinConstraint::Using(columns) => {
                    for column in columns {
                        match parts(column).as_deref() {
                            Some([one]) => self.names.read_bare(one, self.draft),
                            _ => self.draft.note(Code::UnsupportedSyntax, None, "USING names a column in an odd way."),
                        }
                    }
                }
                JoinConstraint::Natural => {
                    self.draft.note(Code::UnsupportedSyntax, None, "A NATURAL JOIN, whose columns stand nowhere.");
                }
            }
            if let TableFactor::NestedJoin { table_with_joins, .. } = &join.relation {
                self.joined(table_with_joins);
            }
        }
        if let TableFactor::NestedJoin { table_with_joins, .. } = &joined.relation {
            self.joined(table_with_joins);
        }
    }

    fn function(&mut self, function: &Function) {
        let name = match parts(&function.name).as_deref() {
            Some([one]) if one.quote_style.is_none() => one.value.to_lowercase(),
            _ => {
                let sentence = format!("{} is not a function of the server's own.", quoted(&function.name.to_string()));
                return self.draft.note(Code::UnknownFunction, None, sentence);
            }
        };
        let odd = function.uses_odbc_syntax
            || !matches!(function.parameters, FunctionArguments::None)
            || function.filter.is_some()
            || matches!(function.args, FunctionArguments::Subquery(_));
        match judge(&name) {
            Judgment::Pure if !odd => self.draft.effect.functions.push(name),
            Judgment::Refused => {
                self.draft.note(
                    Code::DangerousFunction,
                    None,
                    format!("{} is never run through the gateway.", quoted(&name)),
                );
            }
            Judgment::Pure | Judgment::Unknown => {
                self.draft.note(
                    Code::UnknownFunction,
                    None,
                    format!("{} is not one of the functions that are known.", quoted(&name)),
                );
            }
        }
        if let FunctionArguments::List(list) = &function.args {
            for argument in &list.args {
                match argument {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard) => {}
                    _ => self.draft.note(Code::UnsupportedSyntax, None, "An argument of a kind that is not followed."),
                }
            }
        }
    }
}

impl Visitor for Claim<'_, '_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        for item in &select.projection {
            match item {
                SelectItem::Wildcard(_) => {
                    for joined in &select.from {
                        self.all_of_joined(joined);
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    all_of_named(name, self.names, self.draft);
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    self.draft.note(Code::UnsupportedSyntax, None, "A star after an expression.");
                }
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } | SelectItem::ExprWithAliases { .. } => {}
            }
        }
        for joined in &select.from {
            self.joined(joined);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.names.read_bare(ident, self.draft),
            Expr::CompoundIdentifier(idents) => self.names.read_qualified(idents, self.draft),
            Expr::Function(function) => self.function(function),
            Expr::MatchAgainst { columns, .. } => {
                for column in columns {
                    let idents: Vec<_> = parts(column).unwrap_or_default().into_iter().cloned().collect();
                    match idents.as_slice() {
                        [one] => self.names.read_bare(one, self.draft),
                        idents => self.names.read_qualified(idents, self.draft),
                    }
                }
            }
            Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::BinaryOp { .. }
            | Expr::Like { .. }
            | Expr::RLike { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::Convert { .. }
            | Expr::Cast { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Collate { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::Prefixed { .. }
            | Expr::TypedString(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::Tuple(_)
            | Expr::Interval(_) => {}
            _ => self.draft.note(Code::UnsupportedSyntax, None, "An expression of a kind that is not followed."),
        }
        ControlFlow::Continue(())
    }
}

/// `name.*`.
pub(super) fn all_of_named(name: &sqlparser::ast::ObjectName, names: &Names<'_>, draft: &mut Draft) {
    let called = parts(name).unwrap_or_default();
    match called.as_slice() {
        [one] if names.named(&one.value).is_some() => {
            for relation in names.named(&one.value).into_iter().flatten() {
                draft.claim_read(relation, "*");
            }
        }
        [one] if names.derived.contains(&one.value) => {}
        _ => match names.relation(name, draft) {
            Some(full) => draft.claim_read(&full, "*"),
            None => draft.claim("", Verb::Read),
        },
    }
}
