//! SQL that the server runs by itself because of what a statement names: views, defaults, checks, policies, triggers,
//! functions. Each is parsed and walked like the statement; what that claims may lead to more, until nothing is left.

use artifact::catalog::Catalog;
use artifact::effect::Verb;
use pg_query::protobuf::{CreateFunctionStmt, CreateTrigStmt, ParseResult};
use pg_query::{Node, NodeEnum};

use super::plpgsql;
use super::resolve::Resolver;
use super::scope::{Env, Source};
use super::walk::{Walker, text_of};
use crate::Code;
use crate::draft::{Behind, Draft, quoted};

/// Walks everything that is waiting, and what that adds.
pub(super) fn follow(catalog: &Catalog, draft: &mut Draft) {
    while let Some(item) = draft.next_behind() {
        let mut walker = Walker::new(Resolver::new(catalog), draft);
        walker.parameters = true;
        match &item {
            Behind::View { name, sql } => walker.query_behind(name, sql),
            Behind::Expression { relation, sql } => walker.expression_behind(relation, sql),
            Behind::Function { name, definition, row } => walker.body(name, definition, row.as_ref()),
            Behind::Trigger { relation, verb, definition } => walker.trigger_behind(relation, *verb, definition),
        }
    }
}

pub(super) fn parse(sql: &str) -> Option<ParseResult> {
    // Somebody else's code: a panic in it means not understood, nothing else.
    std::panic::catch_unwind(|| pg_query::parse(sql, 0)).ok()?.ok().map(|result| result.protobuf)
}

fn statements(tree: &ParseResult) -> impl Iterator<Item = &NodeEnum> {
    tree.stmts.iter().filter_map(|raw| raw.stmt.as_deref()?.node.as_ref())
}

impl Walker<'_, '_> {
    fn lost(&mut self, what: &str, name: &str) {
        let sentence = format!("{what} {} cannot be followed.", quoted(name));
        self.draft.note(Code::AnalysisIncomplete, None, sentence);
    }

    fn query_behind(&mut self, name: &str, sql: &str) {
        let tree = parse(sql);
        match tree.as_ref().map(|tree| statements(tree).collect::<Vec<_>>()).as_deref() {
            Some([NodeEnum::SelectStmt(select)]) => _ = self.select(select, &Env::root()),
            _ => self.lost("The view", name),
        }
    }

    /// An expression over the columns of one row, which the server has at hand: naming them reads nothing.
    fn expression_behind(&mut self, relation: &str, sql: &str) {
        let columns = self.names.catalog.relation(relation).map(|r| r.columns.iter().map(|c| c.name.clone()).collect());
        let alias = relation.split_once('.').map_or(relation, |(_, name)| name);
        let mut env = Env::root();
        env.sources.push(Source::derived(alias, columns, &[]));
        self.value_of(&env, sql, relation);
    }

    fn value_of(&mut self, env: &Env<'_, '_>, sql: &str, name: &str) {
        let tree = parse(&format!("SELECT {sql}"));
        match tree.as_ref().map(|tree| statements(tree).collect::<Vec<_>>()).as_deref() {
            Some([NodeEnum::SelectStmt(select)]) => {
                // Sources are copied without their relations' lifetime: they have none here.
                let mut outer = Env::root();
                outer.sources = env.sources.iter().map(Source::detached).collect();
                self.select(select, &outer);
            }
            _ => self.lost("An expression of", name),
        }
    }

    /// The statements of a function, with its parameters in reach.
    fn body(&mut self, name: &str, definition: &str, row: Option<&(String, Verb)>) {
        let Some(tree) = parse(definition) else { return self.lost("The function", name) };
        let Some(NodeEnum::CreateFunctionStmt(function)) = statements(&tree).next() else {
            return self.lost("The function", name);
        };
        let mut names = Vec::new();
        for node in &function.parameters {
            let Some(NodeEnum::FunctionParameter(parameter)) = &node.node else {
                return self.lost("The function", name);
            };
            names.push(parameter.name.clone());
            self.all(&Env::root(), parameter.defexpr.as_deref());
        }
        names.retain(|name| !name.is_empty());
        let alias = name.split_once('.').map_or(name, |(_, name)| name);
        let mut env = Env::root();
        env.sources.push(Source::derived(alias, Some(names.clone()), &[]));
        match (language(function).as_deref(), text(function)) {
            (Some("sql"), Some(body)) => {
                let Some(tree) = parse(body) else { return self.lost("The function", name) };
                for statement in statements(&tree) {
                    self.dml(statement, &env);
                }
            }
            (Some("sql") | None, None) => match function.sql_body.as_deref() {
                Some(body) => self.standard_body(body, &env),
                None => self.lost("The function", name),
            },
            (Some("plpgsql"), Some(body)) => {
                let steps = if returns_trigger(function) {
                    plpgsql::steps_of_trigger(body)
                } else {
                    plpgsql::steps(definition)
                };
                let Some(steps) = steps else { return self.lost("The function", name) };
                for variable in &steps.variables {
                    // What fields a record has is not known.
                    env.sources.push(Source::derived(variable, None, &[]).qualified_only());
                }
                names.extend(steps.variables.iter().cloned());
                env.sources.push(Source::derived(alias, Some(names), &[]));
                for sql in &steps.statements {
                    let Some(tree) = parse(sql) else { return self.lost("The function", name) };
                    for statement in statements(&tree) {
                        self.dml(statement, &env);
                    }
                }
                if let Some((relation, verb)) = row {
                    for column in &steps.set_in_new {
                        self.draft.claim_write(relation, *verb, column);
                    }
                }
            }
            _ => self.lost("The function", name),
        }
    }

    /// `RETURN expression` or `BEGIN ATOMIC ... END`.
    fn standard_body(&mut self, body: &Node, env: &Env<'_, '_>) {
        let mut outer = Env::root();
        outer.sources = env.sources.iter().map(Source::detached).collect();
        match body.node.as_ref() {
            Some(NodeEnum::ReturnStmt(n)) => self.all(&outer, n.returnval.as_deref()),
            Some(NodeEnum::List(list)) => list.items.iter().for_each(|item| self.standard_body(item, env)),
            Some(statement) => self.dml(statement, &outer),
            None => {}
        }
    }

    /// Whether the trigger fires for the verb, and what it then does.
    fn trigger_behind(&mut self, relation: &str, verb: Verb, definition: &str) {
        const INSERT: i32 = 1 << 2;
        const DELETE: i32 = 1 << 3;
        const UPDATE: i32 = 1 << 4;
        const TRUNCATE: i32 = 1 << 5;
        let tree = parse(definition);
        let Some(NodeEnum::CreateTrigStmt(trigger)) = tree.as_ref().and_then(|tree| statements(tree).next()) else {
            return self.lost("A trigger of", relation);
        };
        let fires = match verb {
            Verb::Insert => trigger.events & INSERT != 0,
            Verb::Update => trigger.events & UPDATE != 0,
            Verb::Delete => trigger.events & (DELETE | TRUNCATE) != 0,
            Verb::Read | Verb::Define => true,
        };
        if !fires {
            return;
        }
        let sentence = format!("The trigger {} of {} fires.", quoted(&trigger.trigname), quoted(relation));
        self.draft.note(Code::TriggerFires, None, sentence);
        let mut env = Env::root();
        for row in ["old", "new"] {
            env.sources.push(Source::derived(row, None, &[]).qualified_only());
        }
        self.all(&env, trigger.when_clause.as_deref());
        self.trigger_function(relation, verb, trigger);
    }

    fn trigger_function(&mut self, relation: &str, verb: Verb, trigger: &CreateTrigStmt) {
        let parts: Vec<&str> = trigger.funcname.iter().filter_map(text_of).collect();
        let found = match parts[..] {
            [name] => self.names.candidates("", name),
            [.., schema, name] => self.names.candidates(schema, name),
            [] => Vec::new(),
        };
        let known = |f: &&artifact::catalog::Function| !f.security_definer && !f.opaque && !f.definitions.is_empty();
        if found.is_empty() || !found.iter().all(known) {
            let sentence = format!("What the trigger {} does is not known.", quoted(&trigger.trigname));
            return self.draft.note(Code::TriggerNotFollowed, None, sentence);
        }
        for function in found {
            self.draft.effect.functions.push(function.name.to_lowercase());
            for definition in &function.definitions {
                self.draft.follow(Behind::Function {
                    name: function.name.clone(),
                    definition: definition.clone(),
                    row: Some((relation.to_owned(), verb)),
                });
            }
        }
    }
}

fn option<'f>(function: &'f CreateFunctionStmt, wanted: &str) -> Option<&'f Node> {
    function.options.iter().find_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) if option.defname == wanted => option.arg.as_deref(),
        _ => None,
    })
}

fn language(function: &CreateFunctionStmt) -> Option<String> {
    option(function, "language").and_then(text_of).map(str::to_owned)
}

fn returns_trigger(function: &CreateFunctionStmt) -> bool {
    let name = function.return_type.as_ref().and_then(|t| t.names.last()).and_then(text_of);
    name == Some("trigger")
}

/// The body as a string; none where it is written as statements.
fn text(function: &CreateFunctionStmt) -> Option<&str> {
    match option(function, "as")?.node.as_ref()? {
        NodeEnum::List(list) if list.items.len() == 1 => list.items.first().and_then(text_of),
        _ => None,
    }
}
