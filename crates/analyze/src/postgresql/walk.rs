//! Expressions: what they read and what they call.

use std::collections::BTreeSet;

use artifact::effect::Verb;
use pg_query::protobuf::{
    AConst, ColumnRef, FuncCall, JsonAggConstructor, JsonBehavior, JsonOutput, JsonTablePathSpec, JsonValueExpr,
    RangeVar, TypeName, WindowDef, a_const,
};
use pg_query::{Node, NodeEnum};

use super::class::{Class, class};
use super::names;
use super::resolve::{Resolver, Span};
use super::scope::{Env, Meaning};
use crate::Code;
use crate::draft::{Draft, quoted};

/// Places that the walk accounted for, to be compared with a second, generic walk: (what, byte offset, name).
pub(super) type Seen = BTreeSet<(&'static str, i64, String)>;

pub(super) struct Walker<'a, 'd> {
    pub(super) names: Resolver<'a>,
    pub(super) draft: &'d mut Draft,
    pub(super) seen: Seen,
    /// Relations met in FROM, in order, so that a locking clause knows what is below it.
    pub(super) met: Vec<String>,
    /// True inside of functions, whose parameters have values.
    pub(super) parameters: bool,
}

impl<'a, 'd> Walker<'a, 'd> {
    pub(super) fn new(names: Resolver<'a>, draft: &'d mut Draft) -> Self {
        Self { names, draft, seen: Seen::new(), met: Vec::new(), parameters: false }
    }
}

impl<'a> Walker<'a, '_> {
    pub(super) fn unsupported(&mut self, what: &str, span: Span) {
        self.draft.note(Code::UnsupportedSyntax, span, format!("Analysis does not follow {what}."));
    }

    pub(super) fn all<'n>(&mut self, env: &Env<'_, 'a>, nodes: impl IntoIterator<Item = &'n Node>) {
        for node in nodes {
            self.value(env, node);
        }
    }

    /// Walks an expression, or a list or clause made of expressions.
    pub(super) fn value(&mut self, env: &Env<'_, 'a>, node: &Node) {
        use NodeEnum as N;
        let Some(inner) = &node.node else { return };
        match inner {
            N::AConst(_) | N::Integer(_) | N::Float(_) | N::Boolean(_) | N::String(_) | N::BitString(_)
            | N::SqlvalueFunction(_) | N::SetToDefault(_) | N::JsonFormat(_) | N::MergeSupportFunc(_) | N::JsonReturning(_)
            // `*` stands only after a row, whose columns are already claimed.
            | N::AStar(_) => {}
            N::ColumnRef(n) => self.column(env, n),
            N::ParamRef(_) if self.parameters => {}
            N::ParamRef(n) => {
                self.draft.use_parameter(usize::try_from(n.number).unwrap_or(0), span_at(n.location));
            }
            N::CurrentOfExpr(_) => self.unsupported("WHERE CURRENT OF", None),
            N::FuncCall(n) => self.function(env, n),
            N::AExpr(n) => {
                self.operator(&n.name, span_at(n.location));
                self.all(env, n.lexpr.as_deref());
                self.all(env, n.rexpr.as_deref());
            }
            N::SubLink(n) => {
                self.operator(&n.oper_name, span_at(n.location));
                self.all(env, n.testexpr.as_deref());
                self.subquery(env, n.subselect.as_deref());
            }
            N::TypeCast(n) => {
                self.type_name(env, n.type_name.as_ref());
                self.all(env, n.arg.as_deref());
            }
            N::TypeName(n) => self.type_name(env, Some(n)),
            N::BoolExpr(n) => self.all(env, &n.args),
            N::NullTest(n) => self.all(env, n.arg.as_deref()),
            N::BooleanTest(n) => self.all(env, n.arg.as_deref()),
            N::CaseExpr(n) => {
                self.all(env, n.arg.as_deref());
                self.all(env, &n.args);
                self.all(env, n.defresult.as_deref());
            }
            N::CaseWhen(n) => {
                self.all(env, n.expr.as_deref());
                self.all(env, n.result.as_deref());
            }
            N::CoalesceExpr(n) => self.all(env, &n.args),
            N::MinMaxExpr(n) => self.all(env, &n.args),
            N::RowExpr(n) => self.all(env, &n.args),
            N::AArrayExpr(n) => self.all(env, &n.elements),
            N::List(n) => self.all(env, &n.items),
            N::GroupingFunc(n) => self.all(env, &n.args),
            N::GroupingSet(n) => self.all(env, &n.content),
            N::NamedArgExpr(n) => self.all(env, n.arg.as_deref()),
            N::CollateClause(n) => self.all(env, n.arg.as_deref()),
            N::AIndirection(n) => {
                self.all(env, n.arg.as_deref());
                self.indirection(env, &n.indirection);
            }
            N::AIndices(n) => {
                self.all(env, n.lidx.as_deref());
                self.all(env, n.uidx.as_deref());
            }
            N::ResTarget(n) => {
                self.indirection(env, &n.indirection);
                self.all(env, n.val.as_deref());
            }
            N::MultiAssignRef(n) => self.all(env, n.source.as_deref()),
            N::SortBy(n) => {
                self.operator(&n.use_op, span_at(n.location));
                self.all(env, n.node.as_deref());
            }
            N::WindowDef(n) => self.window(env, n),
            N::XmlExpr(n) => {
                self.all(env, &n.named_args);
                self.all(env, &n.args);
            }
            N::XmlSerialize(n) => {
                self.type_name(env, n.type_name.as_ref());
                self.all(env, n.expr.as_deref());
            }
            N::JsonOutput(n) => self.json_output(env, Some(n)),
            N::JsonValueExpr(n) => self.json_value(env, Some(n)),
            N::JsonIsPredicate(n) => self.all(env, n.expr.as_deref()),
            N::JsonBehavior(n) => self.json_behavior(env, Some(n)),
            N::JsonArgument(n) => self.json_value(env, n.val.as_deref()),
            N::JsonTablePathSpec(n) => self.json_path(env, Some(n)),
            N::JsonFuncExpr(n) => {
                self.json_value(env, n.context_item.as_deref());
                self.all(env, n.pathspec.as_deref());
                self.all(env, &n.passing);
                self.json_output(env, n.output.as_ref());
                self.json_behavior(env, n.on_empty.as_deref());
                self.json_behavior(env, n.on_error.as_deref());
            }
            N::JsonKeyValue(n) => {
                self.all(env, n.key.as_deref());
                self.json_value(env, n.value.as_deref());
            }
            N::JsonParseExpr(n) => {
                self.json_value(env, n.expr.as_deref());
                self.json_output(env, n.output.as_ref());
            }
            N::JsonScalarExpr(n) => {
                self.all(env, n.expr.as_deref());
                self.json_output(env, n.output.as_ref());
            }
            N::JsonSerializeExpr(n) => {
                self.json_value(env, n.expr.as_deref());
                self.json_output(env, n.output.as_ref());
            }
            N::JsonObjectConstructor(n) => {
                self.all(env, &n.exprs);
                self.json_output(env, n.output.as_ref());
            }
            N::JsonArrayConstructor(n) => {
                self.all(env, &n.exprs);
                self.json_output(env, n.output.as_ref());
            }
            N::JsonArrayQueryConstructor(n) => {
                self.subquery(env, n.query.as_deref());
                self.json_output(env, n.output.as_ref());
            }
            N::JsonAggConstructor(n) => self.json_aggregate(env, Some(n)),
            N::JsonObjectAgg(n) => {
                self.json_aggregate(env, n.constructor.as_deref());
                if let Some(pair) = n.arg.as_deref() {
                    self.all(env, pair.key.as_deref());
                    self.json_value(env, pair.value.as_deref());
                }
            }
            N::JsonArrayAgg(n) => {
                self.json_aggregate(env, n.constructor.as_deref());
                self.json_value(env, n.arg.as_deref());
            }
            N::SelectStmt(n) => {
                self.select(n, env);
            }
            other => {
                // Every kind has a class, so this names what stands where no value may stand.
                let what = match class(other) {
                    Class::Analyzed => "a node that only the server makes",
                    Class::Source => "a table where a value is expected",
                    _ => "a clause where a value is expected",
                };
                self.unsupported(what, None);
            }
        }
    }

    pub(super) fn subquery(&mut self, env: &Env<'_, 'a>, node: Option<&Node>) {
        match node.and_then(|n| n.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => {
                self.select(select, env);
            }
            Some(_) => self.unsupported("a subquery that is not a SELECT", None),
            None => {}
        }
    }

    fn column(&mut self, env: &Env<'_, 'a>, n: &ColumnRef) {
        let span = span_at(n.location);
        let fields: Vec<Option<&str>> = n.fields.iter().map(text_of).collect();
        let shown = fields.iter().map(|f| f.unwrap_or("*")).collect::<Vec<_>>().join(".");
        let (meaning, last) = match fields[..] {
            [None] => (Meaning::Columns(env.everything()), None),
            [Some(name)] => (env.bare(name), None),
            [Some(alias), None] => (env.all_of(None, alias), None),
            [Some(alias), Some(name)] => (env.qualified(None, alias, name), Some(name)),
            [Some(schema), Some(alias), None] | [Some(_), Some(schema), Some(alias), None] => {
                (env.all_of(Some(schema), alias), None)
            }
            [Some(schema), Some(alias), Some(name)] | [Some(_), Some(schema), Some(alias), Some(name)] => {
                (env.qualified(Some(schema), alias, name), Some(name))
            }
            _ => (Meaning::Unknown, None),
        };
        match meaning {
            Meaning::Columns(claims) => {
                for (relation, column) in claims {
                    self.names.read(relation, &column, self.draft);
                }
            }
            Meaning::Attribute(rows) => {
                let computed = rows.is_empty();
                for relation in rows {
                    self.names.read(relation, "*", self.draft);
                }
                if let Some(name) = last {
                    self.names.attribute(name, span, self.draft);
                }
                if !computed {
                    self.unknown_column(&shown, span);
                }
            }
            Meaning::Unknown => self.unknown_column(&shown, span),
        }
        self.seen.insert(("column", i64::from(n.location), shown));
    }

    pub(super) fn unknown_column(&mut self, shown: &str, span: Span) {
        self.draft.note(Code::UnknownColumn, span, format!("No relation in reach has the column {}.", quoted(shown)));
    }

    fn indirection(&mut self, env: &Env<'_, 'a>, nodes: &[Node]) {
        for node in nodes {
            match node.node.as_ref() {
                Some(NodeEnum::String(name)) => self.names.attribute(&name.sval, None, self.draft),
                _ => self.value(env, node),
            }
        }
    }

    pub(super) fn function(&mut self, env: &Env<'_, 'a>, n: &FuncCall) {
        let span = span_at(n.location);
        let parts: Vec<&str> = n.funcname.iter().filter_map(text_of).collect();
        self.seen.insert(("function", i64::from(n.location), parts.join(".")));
        match parts[..] {
            [name] => self.names.call("", name, span, self.draft),
            [schema, name] | [_, schema, name] => self.names.call(schema, name, span, self.draft),
            _ => self.unsupported("a function name of this form", span),
        }
        if let Some(name) = parts.last() {
            self.sequence(name, n, span);
        }
        self.all(env, &n.args);
        self.all(env, &n.agg_order);
        self.all(env, n.agg_filter.as_deref());
        if let Some(over) = n.over.as_deref() {
            self.window(env, over);
        }
    }

    /// `nextval` and `setval` change the sequence that their first argument names.
    fn sequence(&mut self, name: &str, n: &FuncCall, span: Span) {
        let writes = names::SEQUENCE_WRITERS.contains(&name);
        if !writes && name != "currval" {
            return;
        }
        let parts = n.args.first().and_then(constant_text).and_then(sequence_name);
        let Some((schema, relation)) = parts else {
            return self.unsupported("a sequence named by a computed value", span);
        };
        let Some(sequence) = self.names.relation(&schema, &relation, span, self.draft) else { return };
        if writes {
            // No row of a table: a verb without columns.
            self.draft.claim(&sequence.name, Verb::Insert);
            let sentence = format!("{} moves on.", quoted(&sequence.name));
            self.draft.note(Code::SequenceAdvanced, span, sentence);
        } else {
            self.names.read(sequence, "*", self.draft);
        }
    }

    pub(super) fn operator(&mut self, name: &[Node], span: Span) {
        let parts: Vec<&str> = name.iter().filter_map(text_of).collect();
        let Some((symbol, schema)) = parts.split_last() else { return };
        let own = schema.is_empty() || schema == ["pg_catalog"];
        // An operator of users may be meant wherever it is in reach, also if the server has one of the same sign.
        let users = self.names.operators(schema.last().copied().unwrap_or_default(), symbol);
        for operator in &users {
            for function in &operator.calls {
                self.names.called(function, span, self.draft);
            }
        }
        let known = names::among(names::OPERATORS, symbol);
        if !users.is_empty() && (!own || !known) {
            return;
        }
        // Not operators in the text, but spelled as such in the tree: BETWEEN, IN, LIKE and the like.
        let words = symbol.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        if !own || !(known || words) {
            let sentence = format!("The operator {} is not the server's own.", quoted(&parts.join(".")));
            self.draft.note(Code::UserOperator, span, sentence);
        }
    }

    pub(super) fn type_name(&mut self, env: &Env<'_, 'a>, n: Option<&TypeName>) {
        let Some(n) = n else { return };
        let parts: Vec<&str> = n.names.iter().filter_map(text_of).collect();
        let own = match parts[..] {
            [name] | ["pg_catalog", name] => {
                names::among(names::TYPES, name) || names::among(names::TYPES, name.trim_start_matches('_'))
            }
            _ => parts.is_empty(),
        };
        if !own {
            let sentence = format!("The type {} is defined by users.", quoted(&parts.join(".")));
            self.draft.note(Code::UserType, span_at(n.location), sentence);
        }
        self.all(env, &n.typmods);
        self.all(env, &n.array_bounds);
    }

    pub(super) fn window(&mut self, env: &Env<'_, 'a>, n: &WindowDef) {
        self.all(env, &n.partition_clause);
        self.all(env, &n.order_clause);
        self.all(env, n.start_offset.as_deref());
        self.all(env, n.end_offset.as_deref());
    }

    pub(super) fn json_value(&mut self, env: &Env<'_, 'a>, n: Option<&JsonValueExpr>) {
        let Some(n) = n else { return };
        self.all(env, n.raw_expr.as_deref());
        self.all(env, n.formatted_expr.as_deref());
    }

    pub(super) fn json_behavior(&mut self, env: &Env<'_, 'a>, n: Option<&JsonBehavior>) {
        self.all(env, n.and_then(|n| n.expr.as_deref()));
    }

    fn json_output(&mut self, env: &Env<'_, 'a>, n: Option<&JsonOutput>) {
        self.type_name(env, n.and_then(|n| n.type_name.as_ref()));
    }

    pub(super) fn json_path(&mut self, env: &Env<'_, 'a>, n: Option<&JsonTablePathSpec>) {
        self.all(env, n.and_then(|n| n.string.as_deref()));
    }

    fn json_aggregate(&mut self, env: &Env<'_, 'a>, n: Option<&JsonAggConstructor>) {
        let Some(n) = n else { return };
        self.json_output(env, n.output.as_ref());
        self.all(env, n.agg_filter.as_deref());
        self.all(env, &n.agg_order);
        if let Some(over) = n.over.as_deref() {
            self.window(env, over);
        }
    }

    pub(super) fn saw_relation(&mut self, n: &RangeVar) {
        self.seen.insert(("relation", i64::from(n.location), n.relname.clone()));
    }
}

/// The text of a name part; none for `*`.
pub(super) fn text_of(node: &Node) -> Option<&str> {
    match node.node.as_ref() {
        Some(NodeEnum::String(s)) => Some(s.sval.as_str()),
        _ => None,
    }
}

pub(super) fn span_at(location: i32) -> Span {
    usize::try_from(location).ok().map(|at| (at, at))
}

/// The text of a string constant, also of one that is cast to `regclass` or `text`.
fn constant_text(node: &Node) -> Option<&str> {
    match node.node.as_ref()? {
        NodeEnum::AConst(AConst { val: Some(a_const::Val::Sval(s)), .. }) => Some(s.sval.as_str()),
        NodeEnum::TypeCast(cast) => {
            let to = cast.type_name.as_ref()?.names.last().and_then(text_of)?;
            if matches!(to, "regclass" | "text" | "varchar") { constant_text(cast.arg.as_deref()?) } else { None }
        }
        _ => None,
    }
}

/// A sequence's name out of the text that `regclass` reads: `s`, `schema.s`, folded or quoted parts.
fn sequence_name(text: &str) -> Option<(String, String)> {
    let part = |text: &str| -> Option<String> {
        if let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
            return (!inner.is_empty() && !inner.contains(['"', '.'])).then(|| inner.to_owned());
        }
        // Digits alone are read as the object's number.
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !text.is_empty();
        (plain && !text.starts_with(|c: char| c.is_ascii_digit())).then(|| text.to_ascii_lowercase())
    };
    match text.split_once('.') {
        Some((schema, name)) => Some((part(schema)?, part(name)?)),
        None => Some((String::new(), part(text)?)),
    }
}
