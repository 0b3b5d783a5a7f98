//! FROM: which sources a level of a statement has.

use pg_query::protobuf::{
    Alias, JoinExpr, JsonTable, JsonTableColumn, RangeFunction, RangeTableFunc, RangeTableSample, RangeVar,
};
use pg_query::{Node, NodeEnum};

use super::scope::{Env, Source};
use super::walk::{Walker, span_at, text_of};

impl<'a> Walker<'a, '_> {
    /// The sources of a FROM list. `base` is the level without them; `left` stands to the left of the list.
    pub(super) fn sources(&mut self, nodes: &[Node], base: &Env<'_, 'a>) -> Vec<Source<'a>> {
        let mut all: Vec<Source<'a>> = Vec::new();
        for node in nodes {
            let more = self.source(node, base, &all);
            all.extend(more);
        }
        all
    }

    pub(super) fn source(&mut self, node: &Node, base: &Env<'_, 'a>, left: &[Source<'a>]) -> Vec<Source<'a>> {
        use NodeEnum as N;
        let lateral = |is: bool| Env::inside(base, if is { left.to_vec() } else { Vec::new() });
        match node.node.as_ref() {
            Some(N::RangeVar(n)) => self.range_var(n, base).into_iter().collect(),
            Some(N::JoinExpr(n)) => self.join(n, base, left),
            Some(N::RangeSubselect(n)) => {
                let env = lateral(n.lateral);
                let columns = if let Some(N::SelectStmt(select)) = n.subquery.as_deref().and_then(|q| q.node.as_ref()) {
                    self.select(select, &env)
                } else {
                    self.unsupported("a subquery in FROM that is not a SELECT", None);
                    None
                };
                let (alias, renamed) = alias_of(n.alias.as_ref());
                vec![Source::derived(&alias, columns, &renamed)]
            }
            Some(N::RangeFunction(n)) => vec![self.range_function(n, &lateral(true))],
            Some(N::RangeTableFunc(n)) => vec![self.xml_table(n, &lateral(true))],
            Some(N::JsonTable(n)) => vec![self.json_table(n, &lateral(true))],
            Some(N::RangeTableSample(n)) => self.sample(n, base, left),
            _ => {
                self.unsupported("this item in FROM", None);
                Vec::new()
            }
        }
    }

    fn range_var(&mut self, n: &RangeVar, base: &Env<'_, 'a>) -> Option<Source<'a>> {
        self.saw_relation(n);
        let (alias, renamed) = alias_of(n.alias.as_ref());
        if n.schemaname.is_empty()
            && let Some(cte) = base.cte(&n.relname)
        {
            let name = if alias.is_empty() { &n.relname } else { &alias };
            return Some(Source::derived(name, cte.columns.clone(), &renamed));
        }
        let relation = self.names.relation(&n.schemaname, &n.relname, span_at(n.location), self.draft)?;
        self.names.touch(relation, self.draft);
        self.met.push(relation.name.clone());
        Some(Source::of(relation, &alias, &renamed))
    }

    fn join(&mut self, n: &JoinExpr, base: &Env<'_, 'a>, left: &[Source<'a>]) -> Vec<Source<'a>> {
        let mut sides = n.larg.as_deref().map(|item| self.source(item, base, left)).unwrap_or_default();
        let seen: Vec<Source<'a>> = left.iter().chain(&sides).cloned().collect();
        sides.extend(n.rarg.as_deref().map(|item| self.source(item, base, &seen)).unwrap_or_default());
        let mut env = Env::inside(base, sides);
        for column in n.using_clause.iter().filter_map(text_of) {
            for source in env.sources.iter().filter(|s| !s.qualified_only) {
                let real = source
                    .columns
                    .iter()
                    .flat_map(|columns| columns.iter())
                    .find(|(visible, _)| visible == column)
                    .map(|(_, real)| real);
                if let (Some(relation), Some(real)) = (source.relation, real) {
                    self.names.read(relation, real, self.draft);
                }
            }
        }
        let (alias, _) = alias_of(n.alias.as_ref());
        if n.is_natural || !alias.is_empty() {
            // Which columns meet, or hide behind the alias, is not worked out: all of them are claimed.
            for relation in env.sources.iter().filter_map(|s| s.relation) {
                self.names.read(relation, "*", self.draft);
            }
        }
        self.all(&env, n.quals.as_deref());
        if !alias.is_empty() {
            return vec![Source::derived(&alias, None, &[])];
        }
        if let Some(using) = &n.join_using_alias {
            env.sources.push(Source::derived(&using.aliasname, None, &[]).qualified_only());
        }
        env.sources
    }

    fn range_function(&mut self, n: &RangeFunction, env: &Env<'_, 'a>) -> Source<'a> {
        let mut name = String::new();
        for call in &n.functions {
            // Each is a pair: the call and its own column definitions.
            if let Some(NodeEnum::List(pair)) = &call.node {
                if let Some(NodeEnum::FuncCall(f)) = pair.items.first().and_then(|n| n.node.as_ref()) {
                    f.funcname.last().and_then(text_of).unwrap_or_default().clone_into(&mut name);
                }
                for item in &pair.items {
                    self.function_item(env, item);
                }
            } else {
                self.function_item(env, call);
            }
        }
        for item in &n.coldeflist {
            self.function_item(env, item);
        }
        let (alias, renamed) = alias_of(n.alias.as_ref());
        Source::derived(if alias.is_empty() { &name } else { &alias }, None, &renamed)
    }

    /// A call, or a column definition list that only gives names and types.
    fn function_item(&mut self, env: &Env<'_, 'a>, node: &Node) {
        match node.node.as_ref() {
            Some(NodeEnum::ColumnDef(n)) => self.type_name(env, n.type_name.as_ref()),
            Some(NodeEnum::List(n)) => n.items.iter().for_each(|item| self.function_item(env, item)),
            Some(_) => self.value(env, node),
            None => {}
        }
    }

    fn xml_table(&mut self, n: &RangeTableFunc, env: &Env<'_, 'a>) -> Source<'a> {
        self.all(env, n.docexpr.as_deref());
        self.all(env, n.rowexpr.as_deref());
        self.all(env, &n.namespaces);
        for column in &n.columns {
            if let Some(NodeEnum::RangeTableFuncCol(column)) = &column.node {
                self.type_name(env, column.type_name.as_ref());
                self.all(env, column.colexpr.as_deref());
                self.all(env, column.coldefexpr.as_deref());
            }
        }
        Source::derived(&alias_of(n.alias.as_ref()).0, None, &[])
    }

    fn json_table(&mut self, n: &JsonTable, env: &Env<'_, 'a>) -> Source<'a> {
        self.json_value(env, n.context_item.as_deref());
        self.json_path(env, n.pathspec.as_deref());
        self.all(env, &n.passing);
        self.json_behavior(env, n.on_error.as_deref());
        for column in &n.columns {
            if let Some(NodeEnum::JsonTableColumn(column)) = &column.node {
                self.json_table_column(column, env);
            }
        }
        Source::derived(&alias_of(n.alias.as_ref()).0, None, &[])
    }

    fn json_table_column(&mut self, n: &JsonTableColumn, env: &Env<'_, 'a>) {
        self.type_name(env, n.type_name.as_ref());
        self.json_path(env, n.pathspec.as_deref());
        self.json_behavior(env, n.on_empty.as_deref());
        self.json_behavior(env, n.on_error.as_deref());
        for column in &n.columns {
            if let Some(NodeEnum::JsonTableColumn(column)) = &column.node {
                self.json_table_column(column, env);
            }
        }
    }

    fn sample(&mut self, n: &RangeTableSample, base: &Env<'_, 'a>, left: &[Source<'a>]) -> Vec<Source<'a>> {
        let method = n.method.last().and_then(text_of).unwrap_or_default();
        if n.method.len() != 1 || !matches!(method, "bernoulli" | "system") {
            self.unsupported("this sampling method", span_at(n.location));
        }
        let env = Env::inside(base, left.to_vec());
        self.all(&env, &n.args);
        self.all(&env, n.repeatable.as_deref());
        n.relation.as_deref().map(|item| self.source(item, base, left)).unwrap_or_default()
    }
}

/// The alias (empty if there is none) and its column names.
pub(super) fn alias_of(alias: Option<&Alias>) -> (String, Vec<String>) {
    alias.map_or_else(Default::default, |a| {
        (a.aliasname.clone(), a.colnames.iter().filter_map(text_of).map(str::to_owned).collect())
    })
}
