//! SELECT, VALUES, set operations and WITH.

use artifact::effect::Verb;
use pg_query::protobuf::{IntoClause, LockingClause, SelectStmt, WithClause};
use pg_query::{Node, NodeEnum};

use super::scope::{Cte, Env, Source};
use super::walk::{Walker, span_at, text_of};
use crate::Code;
use crate::draft::quoted;

impl<'a> Walker<'a, '_> {
    /// Walks the query; gives the names of its columns where all are certain.
    pub(super) fn select(&mut self, n: &SelectStmt, outer: &Env<'_, 'a>) -> Option<Vec<String>> {
        let mut base = Env::inside(outer, Vec::new());
        self.with(n.with_clause.as_ref(), &mut base);
        if let Some(into) = n.into_clause.as_deref() {
            self.into(into, &base);
        }
        let first_met = self.met.len();
        let (env, columns) = if let (Some(left), Some(right)) = (n.larg.as_deref(), n.rarg.as_deref()) {
            let columns = self.select(left, &base);
            self.select(right, &base);
            // After a set operation only the names of its columns are in reach.
            (Env::inside(&base, vec![Source::derived("", None, &[])]), columns)
        } else {
            let sources = self.sources(&n.from_clause, &base);
            let env = Env::inside(&base, sources);
            let columns = if n.values_lists.is_empty() {
                output_columns(&n.target_list, &env)
            } else {
                let width = n.values_lists.first().map_or(0, list_width);
                Some((1..=width).map(|i| format!("column{i}")).collect())
            };
            (env, columns)
        };
        self.all(&env, &n.target_list);
        self.all(&env, &n.values_lists);
        self.all(&env, n.where_clause.as_deref());
        self.all(&env, n.having_clause.as_deref());
        self.all(&env, &n.window_clause);
        let labels: Vec<&str> = n.target_list.iter().filter_map(label).collect();
        for node in n.distinct_clause.iter().chain(&n.group_clause).chain(&n.sort_clause) {
            self.value_or_label(&env, node, &labels);
        }
        self.all(&env, n.limit_offset.as_deref());
        self.all(&env, n.limit_count.as_deref());
        for locking in &n.locking_clause {
            if let Some(NodeEnum::LockingClause(locking)) = &locking.node {
                self.locking(locking, first_met);
            }
        }
        columns
    }

    /// An item of ORDER BY, GROUP BY or DISTINCT ON, which may name a column of the output.
    fn value_or_label(&mut self, env: &Env<'_, 'a>, node: &Node, labels: &[&str]) {
        let inner = match node.node.as_ref() {
            Some(NodeEnum::GroupingSet(set)) => {
                set.content.iter().for_each(|item| self.value_or_label(env, item, labels));
                return;
            }
            Some(NodeEnum::SortBy(sort)) => {
                self.operator(&sort.use_op, span_at(sort.location));
                sort.node.as_deref()
            }
            _ => Some(node),
        };
        let Some(inner) = inner else { return };
        if let Some(NodeEnum::ColumnRef(column)) = &inner.node
            && let [only] = column.fields.as_slice()
            && let Some(name) = text_of(only).filter(|name| labels.contains(name))
            && matches!(env.bare(name), super::scope::Meaning::Unknown)
        {
            self.seen.insert(("column", i64::from(column.location), name.to_owned()));
            return;
        }
        self.value(env, inner);
    }

    pub(super) fn with(&mut self, clause: Option<&WithClause>, base: &mut Env<'_, 'a>) {
        let Some(clause) = clause else { return };
        let queries = clause.ctes.iter().filter_map(|node| match &node.node {
            Some(NodeEnum::CommonTableExpr(cte)) => Some(cte),
            _ => None,
        });
        let queries: Vec<_> = queries.collect();
        if queries.len() != clause.ctes.len() {
            self.unsupported("this WITH clause", span_at(clause.location));
        }
        let extra =
            |cte: &pg_query::protobuf::CommonTableExpr| cte.search_clause.is_some() || cte.cycle_clause.is_some();
        if clause.recursive {
            // Each may use itself and the others; what their columns are is then open.
            base.ctes.extend(queries.iter().map(|cte| Cte { name: cte.ctename.clone(), columns: None }));
        }
        for cte in queries {
            let renamed: Vec<String> = cte.aliascolnames.iter().filter_map(text_of).map(str::to_owned).collect();
            let query = cte.ctequery.as_deref().and_then(|q| q.node.as_ref());
            let mut columns = match query {
                Some(NodeEnum::SelectStmt(select)) => self.select(select, base),
                Some(
                    write @ (NodeEnum::InsertStmt(_)
                    | NodeEnum::UpdateStmt(_)
                    | NodeEnum::DeleteStmt(_)
                    | NodeEnum::MergeStmt(_)),
                ) => {
                    let sentence = format!("{} in WITH writes rows.", quoted(&cte.ctename));
                    self.draft.note(Code::WritingCte, span_at(cte.location), sentence);
                    self.dml(write, base);
                    None
                }
                _ => {
                    self.unsupported("this query in WITH", span_at(cte.location));
                    None
                }
            };
            if let Some(names) = &mut columns {
                names.iter_mut().zip(renamed).for_each(|(name, new)| *name = new);
            }
            if let Some(cycle) = cte.cycle_clause.as_deref() {
                self.all(base, cycle.cycle_mark_value.as_deref());
                self.all(base, cycle.cycle_mark_default.as_deref());
            }
            let columns = if extra(cte) || clause.recursive { None } else { columns };
            base.ctes.push(Cte { name: cte.ctename.clone(), columns });
        }
    }

    pub(super) fn into(&mut self, into: &IntoClause, env: &Env<'_, 'a>) {
        let Some(target) = &into.rel else { return };
        let name = self.define(target);
        self.draft.note(
            Code::SelectInto,
            span_at(target.location),
            format!("The query makes the table {}.", quoted(&name)),
        );
        for option in &into.options {
            if let Some(NodeEnum::DefElem(option)) = &option.node {
                self.all(env, option.arg.as_deref());
            }
        }
    }

    /// Locking needs the right to update. Without a list it reaches every relation below this query.
    fn locking(&mut self, n: &LockingClause, first_met: usize) {
        for node in &n.locked_rels {
            if let Some(NodeEnum::RangeVar(locked)) = &node.node {
                self.saw_relation(locked);
            }
        }
        // The list names aliases; claiming all that is below is the same or more.
        let below: Vec<String> = self.met.iter().skip(first_met).cloned().collect();
        for name in &below {
            self.draft.claim(name, Verb::Update);
        }
        self.draft.note(Code::RowLocks, None, format!("Rows of {} relations are locked.", below.len()));
    }
}

/// The label of a target: `AS` name, or the column's own name.
fn label(node: &Node) -> Option<&str> {
    let Some(NodeEnum::ResTarget(target)) = &node.node else { return None };
    if !target.name.is_empty() {
        return Some(&target.name);
    }
    match target.val.as_deref()?.node.as_ref()? {
        NodeEnum::ColumnRef(column) => column.fields.last().and_then(text_of),
        _ => None,
    }
}

/// The names of a query's columns; none as soon as one of them is not certain.
fn output_columns(targets: &[Node], env: &Env<'_, '_>) -> Option<Vec<String>> {
    let mut names = Vec::with_capacity(targets.len());
    for node in targets {
        if let Some(name) = label(node) {
            names.push(name.to_owned());
            continue;
        }
        let Some(NodeEnum::ResTarget(target)) = &node.node else { return None };
        let Some(NodeEnum::ColumnRef(column)) = target.val.as_deref().and_then(|v| v.node.as_ref()) else {
            return None;
        };
        // A lone `*` over sources whose columns are all known.
        if column.fields.len() != 1 {
            return None;
        }
        for source in env.sources.iter().filter(|s| !s.qualified_only) {
            names.extend(source.columns.as_ref()?.iter().map(|(visible, _)| visible.clone().into_owned()));
        }
    }
    Some(names)
}

fn list_width(node: &Node) -> usize {
    match &node.node {
        Some(NodeEnum::List(list)) => list.items.len(),
        _ => 0,
    }
}
