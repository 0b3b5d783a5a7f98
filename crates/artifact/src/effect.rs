//! What an artifact does, as plain data: made by analysis, shown to a person, signed by digest, enforced by the
//! executor. No parsing of artifacts here; only comparison.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::money::{Money, Payment};
use crate::request::{self, Method};
use crate::{Digest, Kind, Shapes, canonical, mail};

/// Most rows changed by one run whose old contents are kept, so that they can be put back.
pub const UNDO_ROWS_MAX: u64 = 500;

/// What is done to a relation, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Rows or columns are read.
    Read,
    /// Rows are added.
    Insert,
    /// Rows are changed.
    Update,
    /// Rows are removed.
    Delete,
    /// The schema, a right or a setting is changed.
    Define,
}

impl Verb {
    /// The name used in scopes and effects.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Define => "define",
        }
    }
}

impl FromStr for Verb {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let all = [Self::Read, Self::Insert, Self::Update, Self::Delete, Self::Define];
        all.into_iter().find(|v| v.as_str() == text).ok_or(ScopeError(()))
    }
}

/// What happens to one relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelationUse {
    /// Schema-qualified name, e.g. `main.orders` or `public.orders`.
    pub name: String,
    /// What is done, sorted, each once.
    pub verbs: Vec<Verb>,
    /// Columns read, sorted; `*` stands for every column. Empty with the verb `read`: only the rows' existence.
    pub reads: Vec<String>,
    /// Columns set by insert or update, sorted; `*` stands for every column.
    pub writes: Vec<String>,
    /// Columns that the target computes anew from written ones by itself, sorted. They follow, so no scope has to name them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub computed: Vec<String>,
}

/// What a request does, as far as its form says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestUse {
    /// Method.
    pub method: String,
    /// Path, exactly.
    pub path: String,
    /// Names of the query's parameters, sorted.
    pub query: Vec<String>,
    /// Names of the body's members where it is a JSON object, sorted; of the headers of a mail.
    pub body: Vec<String>,
    /// Addresses that a mail goes to, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// The payment that it is, where the target's registration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// The GraphQL operation that it is, where the target's registration says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
}

/// What a GraphQL request asks of its service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Whether it reads or changes.
    pub kind: OperationKind,
    /// Fields of the root type, by their real names, sorted.
    pub fields: Vec<String>,
}

/// Kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Changes something.
    Mutation,
}

impl RequestUse {
    /// What it does: as its method says, or its operation.
    pub fn verb(&self) -> Option<Verb> {
        let asks = self.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Query);
        let method = Method::from_name(&self.method)?;
        Some(if asks && method == Method::Post { Verb::Read } else { method.verb() })
    }

    /// Whether rules allow it: one names method and path, or for a mail that is sent, each recipient.
    pub fn within<'a>(&self, rules: &[(Method, &'a str)]) -> bool {
        let mut rules = rules.iter().filter(|(method, _)| method.as_str() == self.method);
        if self.method != Method::Send.as_str() {
            return rules.any(|(_, pattern)| request::covers(pattern, &self.path));
        }
        let rules: Vec<&'a str> = rules.map(|(_, pattern)| *pattern).collect();
        let named = |address: &String| rules.iter().any(|pattern| mail::covers_recipient(pattern, address));
        !self.recipients.is_empty() && self.recipients.iter().all(named)
    }

    /// Whether a rule names it, or for a mail that is sent, any of its recipients.
    fn touched_by(&self, (method, pattern): (Method, &str)) -> bool {
        method.as_str() == self.method
            && match method {
                Method::Send => self.recipients.iter().any(|address| mail::covers_recipient(pattern, address)),
                _ => request::covers(pattern, &self.path),
            }
    }
}

/// How a number of rows was learned. Fixed vocabulary of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The planner's estimate.
    Guess,
    /// Counted with the same predicate in a read-only transaction.
    Counted,
    /// Run in a transaction that was rolled back.
    RanAndRolledBack,
}

/// A number of rows and how it was learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// How it was learned.
    pub grade: Grade,
    /// Rows changed (or, for a read, returned).
    pub count: u64,
    /// Rows in the relation, where known.
    pub of: Option<u64>,
}

/// What an artifact does. Canonical JSON of this is what the signed digest covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// Format version, 1.
    pub v: u8,
    /// The strongest verb of the whole artifact.
    pub verb: Verb,
    /// Every relation touched, sorted by name, each once.
    pub relations: Vec<RelationUse>,
    /// Every function called that is not an operator of the language itself, sorted, lowercase.
    pub functions: Vec<String>,
    /// True if the target commits it by itself, so that no ceiling or roll-back can hold it.
    pub commits_itself: bool,
    /// Rows changed, where learned.
    pub rows: Option<Rows>,
    /// How the objects touched looked (see [`shapes`](crate::shapes)); empty where the target has no schema to compare.
    #[serde(default, skip_serializing_if = "Shapes::is_empty")]
    pub shapes: Shapes,
    /// True if the run has all rights of the target's login, since that login may not mint a narrower one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unminted: bool,
    /// The request that is sent; only for artifacts that are one, and then there is nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestUse>,
}

impl Effect {
    /// Largest effect accepted on a socket, in bytes of canonical JSON.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// An effect of nothing but reading, to be filled.
    pub fn empty() -> Self {
        Self {
            v: 1,
            verb: Verb::Read,
            relations: Vec::new(),
            functions: Vec::new(),
            commits_itself: false,
            rows: None,
            shapes: Shapes::new(),
            unminted: false,
            request: None,
        }
    }

    /// True if code runs that does not stand in the artifact: functions and procedures of users.
    pub fn runs_code_of_users(&self) -> bool {
        let of_the_server = ["pg_catalog.", "information_schema."];
        self.functions.iter().any(|name| name.contains('.') && !of_the_server.iter().any(|own| name.starts_with(own)))
    }

    /// Canonical JSON.
    pub fn to_canonical(&self) -> Vec<u8> {
        // Strings, booleans and integers only. Row counts beyond 2^53 do not come from a real table; they are capped.
        let mut copy = self.clone();
        copy.rows = copy.rows.map(|r| Rows { count: r.count.min(1 << 52), of: r.of.map(|n| n.min(1 << 52)), ..r });
        canonical::to_vec(&copy).unwrap_or_default()
    }

    /// SHA-256 of the canonical JSON.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_canonical())
    }

    /// True if nothing is written anywhere.
    pub fn is_read_only(&self) -> bool {
        self.verb == Verb::Read
            && !self.commits_itself
            && self.relations.iter().all(|r| r.verbs.iter().all(|v| *v == Verb::Read))
    }

    /// The use of `name`, if the relation is touched.
    pub fn relation(&self, name: &str) -> Option<&RelationUse> {
        self.relations.iter().find(|r| r.name == name)
    }

    /// The use of `name`, added if it is new.
    pub fn relation_mut(&mut self, name: &str) -> &mut RelationUse {
        let at = self.relations.iter().position(|r| r.name == name).unwrap_or_else(|| {
            self.relations.push(RelationUse { name: name.to_owned(), ..RelationUse::default() });
            self.relations.len() - 1
        });
        &mut self.relations[at]
    }

    /// Sorts and deduplicates every list and sets `verb` to the strongest one used (never weaker than it is now).
    pub fn normalize(&mut self) {
        for relation in &mut self.relations {
            relation.verbs.sort_unstable();
            relation.verbs.dedup();
            relation.reads.sort_unstable();
            relation.reads.dedup();
            relation.writes.sort_unstable();
            relation.writes.dedup();
            relation.computed.sort_unstable();
            relation.computed.dedup();
            self.verb = self.verb.max(relation.verbs.last().copied().unwrap_or(Verb::Read));
        }
        self.relations.sort_unstable();
        self.functions.sort_unstable();
        self.functions.dedup();
        if let Some(request) = &mut self.request {
            for names in [&mut request.query, &mut request.body, &mut request.recipients] {
                names.sort_unstable();
                names.dedup();
            }
        }
    }

    /// True if the request, or its absence, agrees with everything else: what sends something is committed by whoever gets it.
    pub fn is_of(&self, kind: Kind) -> bool {
        match &self.request {
            None => !kind.is_request(),
            Some(request) => {
                let method = Method::from_name(&request.method);
                method.is_some_and(|method| method.kind() == kind)
                    && request.verb() == Some(self.verb)
                    && self.commits_itself == (self.verb != Verb::Read)
                    && self.relations.is_empty()
                    && self.functions.is_empty()
                    && self.rows.is_none()
                    // A service has no schema; a tool has its definition.
                    && (self.shapes.is_empty() || kind == Kind::Mcp)
                    && (request.recipients.is_empty() || matches!(method, Some(Method::Send | Method::Draft)))
                    && (request.payment.is_none() || (kind == Kind::Http && self.verb != Verb::Read))
                    && (request.operation.is_none() || (kind == Kind::Http && method == Some(Method::Post)))
            }
        }
    }

    /// True if this effect has the one spelling [`normalize`](Self::normalize) gives.
    pub fn is_normal(&self) -> bool {
        let mut copy = self.clone();
        copy.normalize();
        let shaped = self.shapes.values().all(|lines| lines.windows(2).all(|w| w[0] < w[1]));
        copy == *self && self.v == 1 && shaped && self.relations.windows(2).all(|w| w[0].name < w[1].name)
    }
}

/// What a scope's line about requests begins with.
const CALL: &str = "call";
/// What stands before the most that may be paid.
const UP_TO: &str = " up to ";

/// One thing a task may do: `read main.orders(id,status)`, `update main.orders(status)`, `read main.*`, `call POST /v1/refunds`,
/// `call SEND *@example.com`, `call POST /v1/payments up to 500.00 EUR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The verb.
    pub verb: Verb,
    /// Schema-qualified relation, or `schema.*` for every relation of a schema; method and pattern of a request.
    pub relation: String,
    /// The columns, or none for every column.
    pub columns: Option<Vec<String>>,
    /// Most that may be paid with such requests, all together; they are payments then, in this currency.
    pub up_to: Option<Money>,
}

/// Text that is no allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an allowance; expected e.g. `read main.orders(id,status)`, `update public.orders(status)`, `read main.*`, `call GET /v1/**` or `call SEND *@example.com`"
)]
pub struct ScopeError(());

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| crate::has_hidden(c) || c.is_whitespace() || "(),*;\"'".contains(c))
}

impl FromStr for Allowance {
    type Err = ScopeError;
    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let (verb, rest) = text.split_once(' ').ok_or(ScopeError(()))?;
        if verb == CALL {
            let (rest, up_to) = match rest.split_once(UP_TO) {
                Some((rest, amount)) => (rest, Some(Money::try_from(amount.to_owned()).map_err(|_| ScopeError(()))?)),
                None => (rest, None),
            };
            let (method, _) = request::rule(rest).ok_or(ScopeError(()))?;
            if up_to.is_some() && (method.kind() != Kind::Http || method.verb() == Verb::Read) {
                return Err(ScopeError(()));
            }
            return Ok(Self { verb: method.verb(), relation: rest.to_owned(), columns: None, up_to });
        }
        let (relation, columns) = match rest.split_once('(') {
            None => (rest, None),
            Some((relation, list)) => {
                let list = list.strip_suffix(')').ok_or(ScopeError(()))?;
                let columns: Vec<String> = list.split(',').map(str::to_owned).collect();
                (relation, if columns.iter().all(|c| is_name(c)) { Some(columns) } else { return Err(ScopeError(())) })
            }
        };
        let (schema, name) = relation.split_once('.').ok_or(ScopeError(()))?;
        if !is_name(schema) || !(name == "*" || is_name(name)) {
            return Err(ScopeError(()));
        }
        Ok(Self { verb: verb.parse()?, relation: relation.to_owned(), columns, up_to: None })
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of relations have no spaces; a method and a path do.
        let verb = if self.relation.contains(' ') { CALL } else { self.verb.as_str() };
        write!(f, "{verb} {}", self.relation)?;
        self.columns.as_ref().map_or(Ok(()), |columns| write!(f, "({})", columns.join(",")))?;
        self.up_to.as_ref().map_or(Ok(()), |most| write!(f, "{UP_TO}{most}"))
    }
}

impl Allowance {
    /// Method and pattern, where it speaks of requests.
    pub fn rule(&self) -> Option<(Method, &str)> {
        request::rule(&self.relation)
    }

    /// Whether the request is one that it speaks of. With an amount it speaks of payments only, each of them within it.
    pub fn covers_request(&self, sent: &RequestUse) -> bool {
        let pays = self.up_to.as_ref().is_none_or(|most| {
            let payment = sent.payment.as_ref();
            payment.is_some_and(|p| p.amount.currency == most.currency && p.amount.units <= most.units)
        });
        pays && self.rule().is_some_and(|rule| sent.within(&[rule]))
    }

    fn covers_relation(&self, name: &str) -> bool {
        match self.relation.strip_suffix('*') {
            Some(schema_dot) => name.starts_with(schema_dot),
            None => self.relation == name,
        }
    }

    /// Whether this allowance speaks of that column of that relation, whatever the verb.
    pub fn names(&self, relation: &str, column: &str) -> bool {
        self.covers_relation(relation) && self.covers_column(column)
    }

    fn covers_column(&self, column: &str) -> bool {
        self.columns.as_ref().is_none_or(|columns| columns.iter().any(|c| c == column))
    }
}

/// Whether everything the effect does is allowed by at least one allowance each. Functions are not part of a scope:
/// whoever uses this decides about them apart. Pure, small, and used by the guard itself.
pub fn within_scope(effect: &Effect, scope: &[Allowance]) -> bool {
    if let Some(request) = &effect.request {
        let rules = scope.iter().filter(|line| line.up_to.is_none() || line.covers_request(request));
        let rules: Vec<_> = rules.filter_map(Allowance::rule).collect();
        return Kind::ALL.into_iter().any(|kind| kind.is_request() && effect.is_of(kind)) && request.within(&rules);
    }
    !effect.commits_itself
        && effect.relations.iter().all(|r| {
            let some = |verb: Verb, column: Option<&str>| {
                scope
                    .iter()
                    .any(|a| a.verb == verb && a.covers_relation(&r.name) && column.is_none_or(|c| a.covers_column(c)))
            };
            let reads = r.reads.iter().all(|c| some(Verb::Read, Some(c)));
            let verbs = r.verbs.iter().all(|v| match v {
                Verb::Insert | Verb::Update => r.writes.iter().all(|c| some(*v, Some(c))) && some(*v, None),
                Verb::Read | Verb::Delete | Verb::Define => some(*v, None),
            });
            reads && verbs
        })
        && (effect.verb == Verb::Read || effect.relations.iter().any(|r| r.verbs.contains(&effect.verb)))
}

/// What of `never` the effect does, if anything. In doubt it does: `*` is every column, and what a target commits by itself could
/// be anything.
pub fn touched<'a>(effect: &Effect, never: &'a [Allowance]) -> Option<&'a Allowance> {
    never.iter().find(|denied| {
        if let Some(request) = &effect.request {
            return denied.rule().is_some_and(|rule| request.touched_by(rule));
        }
        let some = |columns: &[String]| {
            columns.iter().any(|c| c == "*" || denied.covers_column(c))
                || (columns.is_empty() && denied.columns.is_none())
        };
        effect.commits_itself
            || effect.relations.iter().filter(|r| denied.covers_relation(&r.name)).any(|r| {
                r.verbs.contains(&Verb::Define)
                    || r.verbs.contains(&denied.verb)
                        && match denied.verb {
                            Verb::Read => some(&r.reads),
                            Verb::Insert | Verb::Update => some(&r.writes),
                            Verb::Delete | Verb::Define => true,
                        }
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect() -> Effect {
        let mut effect = Effect::empty();
        *effect.relation_mut("main.orders") = RelationUse {
            name: "main.orders".into(),
            verbs: vec![Verb::Update, Verb::Read],
            reads: vec!["status".into(), "id".into(), "id".into()],
            writes: vec!["status".into()],
            ..RelationUse::default()
        };
        effect.normalize();
        effect
    }

    fn scope(lines: &[&str]) -> Vec<Allowance> {
        lines.iter().map(|l| l.parse().unwrap()).collect()
    }

    #[test]
    fn normal_form_is_one() {
        let effect = effect();
        assert!(effect.is_normal());
        assert_eq!(effect.verb, Verb::Update);
        assert_eq!(effect.relations[0].reads, ["id", "status"]);
        assert!(!effect.is_read_only());
    }

    #[test]
    fn what_is_never_allowed_is_found_wherever_it_hides() {
        let hit = |line: &str, effect: &Effect| touched(effect, &scope(&[line])).is_some();
        // Reads id and status of main.orders, updates status.
        let plain = effect();
        for line in [
            "update main.orders",
            "update main.orders(status)",
            "read main.orders(id)",
            "read main.*",
            "update main.*(note,status)",
        ] {
            assert!(hit(line, &plain), "{line}");
        }
        for line in [
            "update main.orders(amount)",
            "read main.orders(note)",
            "delete main.orders",
            "read main.customers",
            "call POST /v1/**",
        ] {
            assert!(!hit(line, &plain), "{line}");
        }
        let mut all = effect();
        all.relation_mut("main.orders").reads = vec!["*".into()];
        assert!(hit("read main.orders(note)", &all));
        let mut definition = effect();
        definition.relation_mut("main.orders").verbs.push(Verb::Define);
        assert!(hit("delete main.orders", &definition));
        let mut alone = Effect::empty();
        alone.commits_itself = true;
        assert!(hit("delete main.orders", &alone));
        let mut sent = Effect::empty();
        sent.request = Some(RequestUse {
            method: "POST".into(),
            path: "/v1/payouts/7".into(),
            query: vec![],
            body: vec![],
            recipients: vec![],
            payment: None,
            operation: None,
        });
        assert!(
            hit("call POST /v1/payouts/**", &sent)
                && !hit("call GET /v1/**", &sent)
                && !hit("delete main.orders", &sent)
        );
    }

    #[test]
    fn scope_needs_verb_relation_and_column() {
        let e = effect();
        assert!(within_scope(&e, &scope(&["read main.orders", "update main.orders(status)"])));
        assert!(within_scope(&e, &scope(&["read main.*", "update main.*"])));
        assert!(!within_scope(&e, &scope(&["read main.orders"])));
        assert!(!within_scope(&e, &scope(&["read main.orders", "update main.orders(amount)"])));
        assert!(!within_scope(&e, &scope(&["read main.orders(id)", "update main.orders(status)"])));
        assert!(!within_scope(&e, &scope(&["read mainx.*", "update mainx.*"])));
        assert!(!within_scope(&e, &[]));
    }

    #[test]
    fn a_star_column_needs_a_whole_relation() {
        let mut e = effect();
        e.relations[0].reads = vec!["*".into()];
        assert!(!within_scope(&e, &scope(&["read main.orders(id,status)", "update main.orders"])));
        assert!(within_scope(&e, &scope(&["read main.orders", "update main.orders"])));
    }

    #[test]
    fn an_effect_stronger_than_its_relations_is_out_of_scope() {
        let mut e = Effect::empty();
        e.verb = Verb::Define;
        assert!(!within_scope(&e, &scope(&["read main.*"])));
    }

    #[test]
    fn a_request_needs_its_method_and_path() {
        let mut e = Effect::empty();
        let request = |method: &str, path: &str| RequestUse {
            method: method.into(),
            path: path.into(),
            query: vec![],
            body: vec![],
            recipients: vec![],
            payment: None,
            operation: None,
        };
        e.request = Some(request("POST", "/v1/refunds"));
        (e.verb, e.commits_itself) = (Verb::Insert, true);
        assert!(e.is_of(Kind::Http) && !e.is_of(Kind::SqlSqlite));
        assert!(
            within_scope(&e, &scope(&["call POST /v1/refunds"])) && within_scope(&e, &scope(&["call POST /v1/**"]))
        );
        assert!(!within_scope(&e, &scope(&["call GET /v1/refunds", "insert main.*", "call POST /v1"])));
        // What says it only reads, and sends.
        (e.verb, e.commits_itself) = (Verb::Read, false);
        assert!(!e.is_of(Kind::Http) && !within_scope(&e, &scope(&["call POST /v1/refunds"])));
        e.request = Some(request("GET", "/v1/refunds"));
        assert!(within_scope(&e, &scope(&["call GET /v1/*"])));
        e.relations.push(RelationUse {
            name: "main.o".into(),
            verbs: vec![Verb::Read],
            reads: vec![],
            writes: vec![],
            ..RelationUse::default()
        });
        assert!(!within_scope(&e, &scope(&["call GET /v1/*", "read main.o"])));
    }

    #[test]
    fn allowances_have_one_spelling() {
        for text in [
            "call GET /v1/charges/*",
            "call POST /v1/**",
            "read main.orders(id,status)",
            "update public.o",
            "read main.*",
            "define main.*",
        ] {
            assert_eq!(text.parse::<Allowance>().unwrap().to_string(), text);
        }
        for bad in [
            "call",
            "call GET",
            "call GET v1",
            "call TRACE /",
            "call GET /a*",
            "read GET /v1",
            "",
            "read",
            "read orders",
            "drop main.o",
            "read main.o(",
            "read main.o()",
            "read main.o(a, b)",
            "read *.*",
        ] {
            assert!(bad.parse::<Allowance>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mail_goes_to_people_whom_the_scope_names_each() {
        let mail = |recipients: &[&str]| {
            let mut effect = Effect::empty();
            effect.verb = Verb::Insert;
            effect.commits_itself = true;
            let recipients = recipients.iter().map(|address| (*address).to_owned()).collect();
            let (method, path) = ("SEND".to_owned(), "/".to_owned());
            effect.request = Some(RequestUse {
                method,
                path,
                query: vec![],
                body: vec!["to".into()],
                recipients,
                payment: None,
                operation: None,
            });
            effect
        };
        let both = mail(&["bo@acme.example", "cy@shop.example"]);
        assert!(both.is_of(Kind::Mail) && both.is_normal() && !both.is_of(Kind::Http));
        assert!(within_scope(&both, &scope(&["call SEND *@acme.example", "call SEND cy@shop.example"])));
        for short in [&["call SEND *@acme.example"][..], &["call DRAFT /"], &["call POST /**"], &[]] {
            assert!(!within_scope(&both, &scope(short)), "{short:?}");
        }
        assert!(!within_scope(&mail(&[]), &scope(&["call SEND *"])));
        assert!(touched(&both, &scope(&["call SEND *@shop.example"])).is_some());
        assert!(touched(&both, &scope(&["call SEND *@else.example"])).is_none());
        assert!("call SEND /".parse::<Allowance>().is_err() && "call SEND a*@b.c".parse::<Allowance>().is_err());
        let mut posing = both.clone();
        posing.request.as_mut().unwrap().method = "LIST".into();
        posing.verb = Verb::Read;
        posing.commits_itself = false;
        assert!(!posing.is_of(Kind::Mail));
    }
}
