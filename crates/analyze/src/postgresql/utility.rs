//! Everything that is not SELECT, INSERT, UPDATE, DELETE or MERGE.

use artifact::effect::Verb;
use pg_query::protobuf::{
    CopyStmt, CreateTableAsStmt, DropBehavior, DropStmt, ExplainStmt, RangeVar, RefreshMatViewStmt, TruncateStmt,
    ViewStmt,
};
use pg_query::{Node, NodeEnum};
use serde_json::Value;

use super::class::{Class, class};
use super::net::Found;
use super::resolve::is_plain;
use super::scope::Env;
use super::walk::{Walker, span_at, text_of};
use crate::Code;
use crate::draft::{Behind, quoted};

/// Settings that no transaction can hold, and statements that reach beyond this database.
fn outside_transactions(node: &NodeEnum) -> bool {
    use NodeEnum as N;
    match node {
        N::VacuumStmt(n) => n.is_vacuumcmd,
        N::IndexStmt(n) => n.concurrent,
        N::DropStmt(n) => n.concurrent,
        N::ReindexStmt(n) => n.relation.is_none() || !n.params.is_empty(),
        N::ClusterStmt(n) => n.relation.is_none(),
        N::AlterDatabaseStmt(n) => !n.options.is_empty(),
        N::CreatedbStmt(_)
        | N::DropdbStmt(_)
        | N::CreateTableSpaceStmt(_)
        | N::DropTableSpaceStmt(_)
        | N::CreateSubscriptionStmt(_)
        | N::DropSubscriptionStmt(_)
        | N::AlterSubscriptionStmt(_) => true,
        _ => false,
    }
}

/// Definitions that run scripts, load libraries or connect elsewhere.
fn reaches_out(node: &NodeEnum) -> bool {
    use NodeEnum as N;
    matches!(
        node,
        N::CreateExtensionStmt(_)
            | N::AlterExtensionStmt(_)
            | N::CreatePlangStmt(_)
            | N::CreateSubscriptionStmt(_)
            | N::AlterSubscriptionStmt(_)
            | N::DropSubscriptionStmt(_)
            | N::ImportForeignSchemaStmt(_)
            | N::CreateTableSpaceStmt(_)
            | N::DropTableSpaceStmt(_)
            | N::AlterTableSpaceOptionsStmt(_)
            | N::CreateFdwStmt(_)
            | N::AlterFdwStmt(_)
            | N::CreateForeignServerStmt(_)
            | N::AlterForeignServerStmt(_)
    )
}

impl<'a> Walker<'a, '_> {
    /// One whole statement. True if the careful walk covered it and the second walk is to be compared.
    pub(super) fn statement(&mut self, node: &Node) -> bool {
        let env = Env::root();
        let Some(inner) = &node.node else {
            self.unsupported("an empty node", None);
            return false;
        };
        match (class(inner), inner) {
            (Class::Query, query) => self.dml(query, &env),
            (Class::Explain, NodeEnum::ExplainStmt(n)) => self.explain(n, &env),
            (Class::Show, _) => self.draft.note(Code::ShowsSetting, None, "A setting of the server is shown."),
            (Class::Ddl, NodeEnum::ViewStmt(n)) => self.view(n, &env),
            (Class::Ddl, NodeEnum::CreateTableAsStmt(n)) => self.create_table_as(n, &env),
            (Class::Ddl, ddl) => {
                self.ddl(ddl);
                return false;
            }
            (Class::Copy, NodeEnum::CopyStmt(n)) => self.copy(n, &env),
            (Class::Session, NodeEnum::PrepareStmt(n)) => {
                self.refuse_session("PREPARE");
                self.inner(n.query.as_deref(), &env);
            }
            (Class::Session, NodeEnum::DeclareCursorStmt(n)) => {
                self.refuse_session("DECLARE");
                self.inner(n.query.as_deref(), &env);
            }
            (Class::Session, _) => {
                self.refuse_session("This statement");
                return false;
            }
            (Class::Transaction, _) => {
                self.draft.note(Code::TransactionStatement, None, "Transactions and locks belong to the gateway.");
                return false;
            }
            // Followed like a function that is called in a SELECT; what its text does not tell is not understood.
            (Class::Code, NodeEnum::CallStmt(n)) => match n.funccall.as_deref() {
                Some(call) => self.function(&env, call),
                None => self.unsupported("this CALL", None),
            },
            (Class::Code, _) => {
                self.draft.note(Code::CodeBlock, None, "The statements inside a block or procedure cannot be shown.");
                return false;
            }
            (Class::Server, _) => self.draft.note(Code::ServerControl, None, "The server itself would be controlled."),
            (Class::Expression | Class::Source | Class::Clause | Class::Analyzed | Class::Explain | Class::Copy, _) => {
                self.unsupported("this as a statement", None);
            }
        }
        true
    }

    fn refuse_session(&mut self, what: &str) {
        self.draft.note(Code::SessionStatement, None, format!("{what} uses the state of a session."));
    }

    fn inner(&mut self, node: Option<&Node>, env: &Env<'_, 'a>) {
        match node.and_then(|n| n.node.as_ref()) {
            Some(query) if class(query) == Class::Query => self.dml(query, env),
            Some(NodeEnum::CreateTableAsStmt(n)) => self.create_table_as(n, env),
            Some(_) => self.unsupported("the statement inside this one", None),
            None => {}
        }
    }

    fn explain(&mut self, n: &ExplainStmt, env: &Env<'_, 'a>) {
        let runs = n.options.iter().any(|option| match &option.node {
            Some(NodeEnum::DefElem(option)) => {
                option.defname.eq_ignore_ascii_case("analyze") && !is_off(option.arg.as_deref())
            }
            _ => true,
        });
        self.inner(n.query.as_deref(), env);
        let query = n.query.as_deref().and_then(|q| q.node.as_ref());
        if runs {
            self.draft.note(Code::ExplainExecutes, None, "EXPLAIN ANALYZE runs the statement.");
        } else if query.is_some_and(|q| class(q) == Class::Query) {
            self.draft.only_planned();
        }
    }

    fn view(&mut self, n: &ViewStmt, env: &Env<'_, 'a>) {
        if let Some(view) = &n.view {
            self.define(view);
        }
        self.note_ddl();
        self.inner(n.query.as_deref(), env);
    }

    fn create_table_as(&mut self, n: &CreateTableAsStmt, env: &Env<'_, 'a>) {
        if let Some(into) = n.into.as_deref() {
            self.into(into, env);
        }
        self.note_ddl();
        self.inner(n.query.as_deref(), env);
    }

    fn copy(&mut self, n: &CopyStmt, env: &Env<'_, 'a>) {
        let place = match (n.is_program, n.filename.is_empty()) {
            (true, _) => "COPY would run a program on the server.",
            (false, false) => "COPY would use a file on the server.",
            (false, true) => "COPY over the connection is not supported.",
        };
        self.draft.note(Code::CopyStatement, None, place);
        if let Some(target) = &n.relation {
            self.saw_relation(target);
            let span = span_at(target.location);
            if let Some(relation) = self.names.relation(&target.schemaname, &target.relname, span, self.draft) {
                if n.is_from {
                    self.names.write(relation, Verb::Insert, &["*".to_owned()], span, self.draft);
                } else {
                    self.names.read(relation, "*", self.draft);
                }
            }
        }
        self.inner(n.query.as_deref(), env);
        let unknown = Env::inside(env, vec![super::scope::Source::derived("", None, &[])]);
        self.all(&unknown, n.where_clause.as_deref());
    }

    fn note_ddl(&mut self) {
        self.draft.effect.verb = Verb::Define;
        self.draft.note(Code::Ddl, None, "The schema or a right is changed.");
    }

    /// Claims the definition of a relation that exists or is to be made; gives its full name.
    pub(super) fn define(&mut self, n: &RangeVar) -> String {
        self.saw_relation(n);
        let temporary = n.relpersistence == "t";
        self.define_named(&n.schemaname, &n.relname, temporary)
    }

    fn define_named(&mut self, schema: &str, name: &str, temporary: bool) -> String {
        let full = match self.names.find_relation(schema, name) {
            Some(relation) if !temporary => relation.name.clone(),
            _ if temporary => format!("pg_temp.{name}"),
            _ if schema.is_empty() => format!("{}.{name}", self.names.creation_schema()),
            _ => format!("{schema}.{name}"),
        };
        if !is_plain(schema) || !is_plain(name) {
            self.draft.note(
                Code::AmbiguousName,
                None,
                format!("The name {} cannot be shown without doubt.", quoted(&full)),
            );
        }
        if full.starts_with("pg_catalog.") || full.starts_with("information_schema.") {
            self.draft.note(Code::SystemCatalog, None, format!("{} belongs to the server itself.", quoted(&full)));
        }
        self.draft.claim(&full, Verb::Define);
        full
    }

    /// Any other definition: every relation in it is claimed as changed, every function in it is judged.
    fn ddl(&mut self, node: &NodeEnum) {
        self.note_ddl();
        if reaches_out(node) {
            self.draft.note(Code::ServerControl, None, "The definition loads code or reaches another server.");
        }
        let tree = serde_json::to_value(node).unwrap_or(Value::Null);
        if tree.is_null() {
            self.unsupported("this definition", None);
        }
        let found = Found::below(&tree);
        let concurrent = found.concurrent && !matches!(node, NodeEnum::RefreshMatViewStmt(_));
        if concurrent || outside_transactions(node) {
            self.draft.effect.commits_itself = true;
            self.draft.note(Code::CommitsItself, None, "The database commits this by itself.");
        }
        for relation in &found.relations {
            self.define_named(&relation.schema, &relation.name, relation.temporary);
        }
        for (name, location) in &found.functions {
            let span = i32::try_from(*location).ok().and_then(span_at);
            match name.as_slice() {
                [name] => self.names.call("", name, span, self.draft),
                [.., schema, name] => self.names.call(schema, name, span, self.draft),
                [] => {}
            }
        }
        if tree_has(&tree, "behavior", i64::from(DropBehavior::DropCascade as i32)) {
            self.unsupported("CASCADE, which reaches objects that are not named", None);
        }
        match node {
            NodeEnum::DropStmt(n) => self.dropped(n),
            NodeEnum::TruncateStmt(n) => self.truncate(n),
            NodeEnum::RefreshMatViewStmt(n) => self.refresh(n),
            _ => {}
        }
    }

    fn dropped(&mut self, n: &DropStmt) {
        use pg_query::protobuf::ObjectType as O;
        let kind = O::try_from(n.remove_type).unwrap_or(O::Undefined);
        let relations =
            [O::ObjectTable, O::ObjectView, O::ObjectMatview, O::ObjectSequence, O::ObjectForeignTable, O::ObjectIndex];
        let parts_of = [O::ObjectTrigger, O::ObjectRule, O::ObjectPolicy];
        for object in &n.objects {
            let Some(NodeEnum::List(list)) = &object.node else { continue };
            let mut parts: Vec<&str> = list.items.iter().filter_map(text_of).collect();
            if parts_of.contains(&kind) {
                parts.pop();
            } else if !relations.contains(&kind) {
                continue;
            }
            match parts[..] {
                [name] => _ = self.define_named("", name, false),
                [.., schema, name] => _ = self.define_named(schema, name, false),
                [] => {}
            }
        }
    }

    fn truncate(&mut self, n: &TruncateStmt) {
        for node in &n.relations {
            let Some(NodeEnum::RangeVar(target)) = &node.node else { continue };
            let span = span_at(target.location);
            if let Some(relation) = self.names.relation(&target.schemaname, &target.relname, span, self.draft) {
                self.names.write(relation, Verb::Delete, &[], span, self.draft);
                self.draft.all_rows.insert(relation.name.clone());
                let sentence = format!("Every row of {} is deleted.", quoted(&relation.name));
                self.draft.note(Code::NoWhere, span, sentence);
            }
        }
    }

    fn refresh(&mut self, n: &RefreshMatViewStmt) {
        let Some(view) = &n.relation else { return };
        let span = span_at(view.location);
        if let Some(relation) = self.names.relation(&view.schemaname, &view.relname, span, self.draft) {
            self.draft.note(Code::ViewRead, span, format!("The query behind {} is run.", quoted(&relation.name)));
            if let Some(sql) = &relation.definition {
                self.draft.follow(Behind::View { name: relation.name.clone(), sql: sql.clone() });
            } else {
                for behind in &relation.reads_from {
                    self.draft.claim_read(behind, "*");
                }
            }
        }
    }
}

/// An option's value that says no, in the spellings PostgreSQL takes.
fn is_off(arg: Option<&Node>) -> bool {
    match arg.and_then(|n| n.node.as_ref()) {
        Some(NodeEnum::Boolean(b)) => !b.boolval,
        Some(NodeEnum::Integer(i)) => i.ival == 0,
        Some(NodeEnum::String(s)) => s.sval.eq_ignore_ascii_case("false") || s.sval.eq_ignore_ascii_case("off"),
        _ => false,
    }
}

fn tree_has(tree: &Value, key: &str, wanted: i64) -> bool {
    match tree {
        Value::Array(items) => items.iter().any(|item| tree_has(item, key, wanted)),
        Value::Object(map) => {
            map.get(key).and_then(Value::as_i64) == Some(wanted) || map.values().any(|item| tree_has(item, key, wanted))
        }
        _ => false,
    }
}
