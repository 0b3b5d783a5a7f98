//! INSERT, UPDATE, DELETE and MERGE.

use std::borrow::Cow;

use artifact::catalog::Relation;
use artifact::effect::Verb;
use pg_query::protobuf::{
    AConst, CmdType, DeleteStmt, InferClause, InsertStmt, MergeStmt, MergeWhenClause, RangeVar, ReturningClause,
    UpdateStmt, a_const,
};
use pg_query::{Node, NodeEnum};

use super::from::alias_of;
use super::resolve::Resolver;
use super::scope::{Env, Source};
use super::walk::{Walker, span_at, text_of};
use crate::Code;
use crate::draft::quoted;

impl<'a> Walker<'a, '_> {
    pub(super) fn dml(&mut self, node: &NodeEnum, outer: &Env<'_, 'a>) {
        match node {
            NodeEnum::InsertStmt(n) => self.insert(n, outer),
            NodeEnum::UpdateStmt(n) => self.update(n, outer),
            NodeEnum::DeleteStmt(n) => self.delete(n, outer),
            NodeEnum::MergeStmt(n) => self.merge(n, outer),
            NodeEnum::SelectStmt(n) => _ = self.select(n, outer),
            _ => self.unsupported("this statement here", None),
        }
    }

    /// The relation written, as a source. A target is never a WITH query, whatever its name.
    fn target(&mut self, n: Option<&RangeVar>) -> Option<(&'a Relation, Source<'a>)> {
        let n = n?;
        self.saw_relation(n);
        let relation = self.names.relation(&n.schemaname, &n.relname, span_at(n.location), self.draft)?;
        let (alias, renamed) = alias_of(n.alias.as_ref());
        Some((relation, Source::of(relation, &alias, &renamed)))
    }

    fn insert(&mut self, n: &InsertStmt, outer: &Env<'_, 'a>) {
        let mut base = Env::inside(outer, Vec::new());
        self.with(n.with_clause.as_ref(), &mut base);
        let target = self.target(n.relation.as_ref());
        let own: Vec<Source<'a>> = target.iter().map(|(_, source)| source.clone()).collect();
        let written = self.assigned(&n.cols, target.as_ref().map(|t| t.0));
        if let Some((relation, _)) = &target {
            // Without a list of columns the values go to the first ones.
            let width = n.select_stmt.as_deref().and_then(values_without_default);
            let left_out = |at: usize, name: &str| match width {
                None => true,
                Some(width) if n.cols.is_empty() => at >= width,
                Some(_) => !written.iter().any(|w| w == name),
            };
            Resolver::defaults(relation, left_out, self.draft);
            let columns = if n.cols.is_empty() { vec!["*".to_owned()] } else { written };
            let span = span_at(n.relation.as_ref().map_or(-1, |r| r.location));
            self.names.write(relation, Verb::Insert, &columns, span, self.draft);
            self.sequences_of(relation);
        }
        let empty = Env::inside(&base, Vec::new());
        self.all(&empty, &n.cols);
        match n.select_stmt.as_deref().and_then(|s| s.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => _ = self.select(select, &base),
            Some(_) => self.unsupported("this source of rows", None),
            None => {}
        }
        if let Some(conflict) = n.on_conflict_clause.as_deref() {
            let excluded = own.iter().cloned().map(|s| s.named("excluded".into()));
            let env = Env::inside(&base, own.iter().cloned().chain(excluded).collect());
            self.infer(conflict.infer.as_deref(), &Env::inside(&base, own.clone()));
            let changed = self.assigned(&conflict.target_list, target.as_ref().map(|t| t.0));
            if !conflict.target_list.is_empty()
                && let Some((relation, _)) = &target
            {
                self.names.write(relation, Verb::Update, &changed, span_at(conflict.location), self.draft);
            }
            self.all(&env, &conflict.target_list);
            self.all(&env, conflict.where_clause.as_deref());
        }
        self.returning(n.returning_clause.as_ref(), &own, Vec::new(), &base);
    }

    /// Which index decides a conflict; its columns are read.
    fn infer(&mut self, n: Option<&InferClause>, env: &Env<'_, 'a>) {
        let Some(n) = n else { return };
        for element in &n.index_elems {
            let Some(NodeEnum::IndexElem(element)) = &element.node else { continue };
            self.all(env, element.expr.as_deref());
            for relation in env.sources.iter().filter_map(|s| s.relation).filter(|_| !element.name.is_empty()) {
                if relation.columns.iter().any(|c| c.name == element.name) {
                    self.names.read(relation, &element.name, self.draft);
                } else {
                    self.unknown_column(&element.name, span_at(n.location));
                }
            }
        }
        if !n.conname.is_empty() {
            for (relation, column) in env.everything() {
                self.names.read(relation, &column, self.draft);
            }
        }
        self.all(env, n.where_clause.as_deref());
    }

    /// A serial column left out moves its sequence on. Where the catalog has no defaults, the sequences that are named after
    /// the relation are claimed.
    fn sequences_of(&mut self, relation: &'a Relation) {
        if relation.columns.iter().any(|c| c.default.is_some()) {
            return;
        }
        let owned = |column: &str| format!("{}_{column}_seq", relation.name);
        for name in relation.columns.iter().map(|c| owned(&c.name)) {
            let found = name.split_once('.').and_then(|(schema, name)| self.names.find_relation(schema, name));
            if let Some(sequence) = found {
                self.draft.claim(&sequence.name, Verb::Insert);
                self.draft.note(Code::SequenceAdvanced, None, format!("{} moves on.", quoted(&sequence.name)));
            }
        }
    }

    fn update(&mut self, n: &UpdateStmt, outer: &Env<'_, 'a>) {
        let mut base = Env::inside(outer, Vec::new());
        self.with(n.with_clause.as_ref(), &mut base);
        let target = self.target(n.relation.as_ref());
        let own: Vec<Source<'a>> = target.iter().map(|(_, source)| source.clone()).collect();
        let others = self.sources(&n.from_clause, &base);
        let columns = self.assigned(&n.target_list, target.as_ref().map(|t| t.0));
        if let Some((relation, _)) = &target {
            let span = span_at(n.relation.as_ref().map_or(-1, |r| r.location));
            self.names.write(relation, Verb::Update, &columns, span, self.draft);
            let to_default = n.target_list.iter().any(is_set_to_default);
            Resolver::defaults(relation, |_, name| to_default && columns.iter().any(|c| c == name), self.draft);
            self.every_row(n.where_clause.as_deref(), relation, "changed");
        }
        let env = Env::inside(&base, own.iter().chain(&others).cloned().collect());
        self.all(&env, &n.target_list);
        self.all(&env, n.where_clause.as_deref());
        self.returning(n.returning_clause.as_ref(), &own, others, &base);
    }

    fn delete(&mut self, n: &DeleteStmt, outer: &Env<'_, 'a>) {
        let mut base = Env::inside(outer, Vec::new());
        self.with(n.with_clause.as_ref(), &mut base);
        let target = self.target(n.relation.as_ref());
        let own: Vec<Source<'a>> = target.iter().map(|(_, source)| source.clone()).collect();
        let others = self.sources(&n.using_clause, &base);
        if let Some((relation, _)) = &target {
            let span = span_at(n.relation.as_ref().map_or(-1, |r| r.location));
            self.names.write(relation, Verb::Delete, &[], span, self.draft);
            self.every_row(n.where_clause.as_deref(), relation, "deleted");
        }
        let env = Env::inside(&base, own.iter().chain(&others).cloned().collect());
        self.all(&env, n.where_clause.as_deref());
        self.returning(n.returning_clause.as_ref(), &own, others, &base);
    }

    fn merge(&mut self, n: &MergeStmt, outer: &Env<'_, 'a>) {
        let mut base = Env::inside(outer, Vec::new());
        self.with(n.with_clause.as_ref(), &mut base);
        let target = self.target(n.relation.as_ref());
        let own: Vec<Source<'a>> = target.iter().map(|(_, source)| source.clone()).collect();
        let others = n.source_relation.as_deref().map(|item| self.source(item, &base, &[])).unwrap_or_default();
        let env = Env::inside(&base, own.iter().chain(&others).cloned().collect());
        self.all(&env, n.join_condition.as_deref());
        if let Some((relation, _)) = &target {
            self.names.touch(relation, self.draft);
        }
        for clause in &n.merge_when_clauses {
            match &clause.node {
                Some(NodeEnum::MergeWhenClause(clause)) => self.when(clause, target.as_ref().map(|t| t.0), &env),
                _ => self.unsupported("this part of MERGE", None),
            }
        }
        self.returning(n.returning_clause.as_ref(), &own, others, &base);
    }

    fn when(&mut self, n: &MergeWhenClause, target: Option<&'a Relation>, env: &Env<'_, 'a>) {
        self.all(env, n.condition.as_deref());
        self.all(env, &n.target_list);
        self.all(env, &n.values);
        let columns = self.assigned(&n.target_list, target);
        let Some(relation) = target else { return };
        match CmdType::try_from(n.command_type) {
            Ok(CmdType::CmdUpdate) => self.names.write(relation, Verb::Update, &columns, None, self.draft),
            Ok(CmdType::CmdDelete) => self.names.write(relation, Verb::Delete, &[], None, self.draft),
            Ok(CmdType::CmdInsert) => {
                let columns = if columns.is_empty() { vec!["*".to_owned()] } else { columns };
                self.names.write(relation, Verb::Insert, &columns, None, self.draft);
                Resolver::defaults(relation, |_, _| true, self.draft);
                self.sequences_of(relation);
            }
            Ok(CmdType::CmdNothing) => {}
            _ => self.unsupported("this action of MERGE", None),
        }
    }

    /// The columns a list assigns to. A part of a column (`a[1]`, `a.b`) also reads the column.
    fn assigned(&mut self, targets: &[Node], relation: Option<&'a Relation>) -> Vec<String> {
        let mut columns = Vec::with_capacity(targets.len());
        for node in targets {
            let Some(NodeEnum::ResTarget(target)) = &node.node else {
                self.unsupported("this assignment", None);
                continue;
            };
            let Some(relation) = relation else { continue };
            if !relation.columns.iter().any(|c| c.name == target.name) {
                self.unknown_column(&target.name, span_at(target.location));
            }
            if !target.indirection.is_empty() {
                self.names.read(relation, &target.name, self.draft);
            }
            columns.push(target.name.clone());
        }
        columns
    }

    fn returning(
        &mut self,
        n: Option<&ReturningClause>,
        own: &[Source<'a>],
        others: Vec<Source<'a>>,
        base: &Env<'_, 'a>,
    ) {
        let Some(n) = n else { return };
        let mut sources: Vec<Source<'a>> = own.to_vec();
        sources.extend(others);
        let mut names: Vec<Cow<'a, str>> = vec!["old".into(), "new".into()];
        for option in &n.options {
            match &option.node {
                Some(NodeEnum::ReturningOption(option)) => names.push(option.value.clone().into()),
                _ => self.unsupported("this option of RETURNING", None),
            }
        }
        for name in names {
            sources.extend(own.iter().cloned().map(|s| s.named(name.clone()).qualified_only()));
        }
        let env = Env::inside(base, sources);
        self.all(&env, &n.exprs);
    }

    fn every_row(&mut self, condition: Option<&Node>, relation: &Relation, what: &str) {
        if condition.is_none_or(is_constant) {
            let sentence = format!("Every row of {} is {what}.", quoted(&relation.name));
            self.draft.note(Code::NoWhere, None, sentence);
            self.draft.all_rows.insert(relation.name.clone());
        }
    }
}

/// How many values each row has, if none of them is DEFAULT. For a query: as many as there are columns in any table, since
/// how many it has is the server's to check where no columns are listed.
fn values_without_default(select: &Node) -> Option<usize> {
    let Some(NodeEnum::SelectStmt(select)) = &select.node else { return None };
    if select.values_lists.is_empty() {
        // `SELECT 1` into a table of two columns leaves the second one to its default.
        let plain = |node: &Node| match &node.node {
            Some(NodeEnum::ResTarget(target)) => !target.val.as_deref().is_some_and(is_star),
            _ => false,
        };
        return select.target_list.iter().all(plain).then_some(select.target_list.len()).filter(|n| *n > 0);
    }
    let is_default = |item: &Node| matches!(item.node, Some(NodeEnum::SetToDefault(_)));
    let mut width = None;
    for row in &select.values_lists {
        let Some(NodeEnum::List(list)) = &row.node else { return None };
        if list.items.iter().any(is_default) {
            return None;
        }
        width = Some(list.items.len());
    }
    width
}

fn is_star(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::ColumnRef(n)) => n.fields.iter().any(|f| matches!(f.node, Some(NodeEnum::AStar(_)))),
        Some(NodeEnum::AIndirection(n)) => n.indirection.iter().any(|f| matches!(f.node, Some(NodeEnum::AStar(_)))),
        _ => false,
    }
}

fn is_set_to_default(node: &Node) -> bool {
    let Some(NodeEnum::ResTarget(target)) = &node.node else { return false };
    let value = target.val.as_deref().and_then(|v| v.node.as_ref());
    matches!(value, Some(NodeEnum::SetToDefault(_) | NodeEnum::MultiAssignRef(_)))
}

/// True if the condition names no column, so it is the same for every row.
fn is_constant(node: &Node) -> bool {
    use NodeEnum as N;
    let all = |nodes: &[Node]| nodes.iter().all(is_constant);
    let one = |node: &Option<Box<Node>>| node.as_deref().is_none_or(is_constant);
    match node.node.as_ref() {
        Some(N::AConst(AConst { val: Some(a_const::Val::Boolval(b)), .. })) => b.boolval,
        None | Some(N::AConst(_) | N::SqlvalueFunction(_)) => true,
        Some(N::TypeCast(n)) => one(&n.arg),
        Some(N::CollateClause(n)) => one(&n.arg),
        Some(N::BoolExpr(n)) => {
            let or = n.boolop == pg_query::protobuf::BoolExprType::OrExpr as i32;
            if or { n.args.iter().any(is_constant) } else { all(&n.args) }
        }
        Some(N::NullTest(n)) => one(&n.arg),
        Some(N::BooleanTest(n)) => one(&n.arg),
        Some(N::AExpr(n)) => (one(&n.lexpr) && one(&n.rexpr)) || same_column(n.lexpr.as_deref(), n.rexpr.as_deref()),
        Some(N::FuncCall(n)) => all(&n.args),
        Some(N::List(n)) => all(&n.items),
        Some(N::AArrayExpr(n)) => all(&n.elements),
        Some(N::CoalesceExpr(n)) => all(&n.args),
        Some(_) => false,
    }
}

/// `id = id` is true for every row that has an id.
fn same_column(left: Option<&Node>, right: Option<&Node>) -> bool {
    let fields = |node: Option<&Node>| match node.and_then(|n| n.node.as_ref()) {
        Some(NodeEnum::ColumnRef(c)) => {
            Some(c.fields.iter().map(|f| text_of(f).map(str::to_owned)).collect::<Vec<_>>())
        }
        _ => None,
    };
    fields(left).is_some_and(|l| Some(l) == fields(right))
}
