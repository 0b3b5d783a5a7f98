//! A GraphQL request: one operation, and what it asks of the service (GraphQL, October 2021; GraphQL over HTTP).

use std::collections::{BTreeMap, BTreeSet};

use apollo_parser::Parser;
use apollo_parser::cst::{Definition, Selection};
use artifact::effect::{Operation, OperationKind};
use artifact::request::Method;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::request::{Request, leniently};

/// Deepest nesting.
const DEPTH_MAX: usize = 60;
/// Most tokens.
const TOKENS_MAX: usize = 20_000;
/// Most fields asked of the service itself.
const FIELDS_MAX: usize = 100;

/// A request that could be another operation to another reader, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no single GraphQL operation: a POST of application/json with `query`, `variables` and `operationName` only, one query or mutation in it, no query string"
)]
pub struct Unclear(());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    query: String,
    /// Only that it is an object: what stands in it is looked at as values of the body.
    #[serde(default, rename = "variables")]
    _variables: Option<Map<String, Value>>,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
}

/// The operation that a request is, if `path` takes GraphQL and it goes there: its kind, and the real names of the fields that it asks of the
/// service, through fragments too, sorted.
///
/// Errors: it goes there, or to what only some servers take for the same path, and is no single operation beyond doubt.
pub fn operation(path: Option<&str>, request: &Request<'_>) -> Result<Option<Operation>, Unclear> {
    match path {
        Some(path) if path == request.path => read(request).map(Some).ok_or(Unclear(())),
        Some(path) if leniently(path) == leniently(request.path) => Err(Unclear(())),
        _ => Ok(None),
    }
}

fn read(request: &Request<'_>) -> Option<Operation> {
    if request.method != Method::Post || !request.is_json() || request.query.is_some() {
        return None;
    }
    // A member that stands twice is refused by the reader of structs.
    let body: Body = serde_json::from_str(request.body).ok()?;
    let parsed = Parser::new(&body.query).recursion_limit(DEPTH_MAX).token_limit(TOKENS_MAX).parse();
    if parsed.errors().next().is_some() {
        return None;
    }
    let (mut operation, mut fragments) = (None, BTreeMap::new());
    for definition in parsed.document().definitions() {
        match definition {
            Definition::OperationDefinition(found) if operation.is_none() => operation = Some(found),
            Definition::FragmentDefinition(found) => {
                let name = found.fragment_name()?.name()?.text().to_string();
                if fragments.insert(name, found.selection_set()?).is_some() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    let operation = operation?;
    let name = operation.name().map(|name| name.text().to_string());
    if body.operation_name.is_some() && body.operation_name != name {
        return None;
    }
    let kind = match operation.operation_type() {
        None => OperationKind::Query,
        Some(of) if of.query_token().is_some() => OperationKind::Query,
        Some(of) if of.mutation_token().is_some() => OperationKind::Mutation,
        Some(_) => return None,
    };
    let mut fields = BTreeSet::new();
    // Each fragment once and none inside another call: a few that spread each other twice would be without end.
    let (mut left, mut spread) = (vec![operation.selection_set()?], BTreeSet::new());
    while let Some(set) = left.pop() {
        for selection in set.selections() {
            match selection {
                Selection::Field(field) => drop(fields.insert(field.name()?.text().to_string())),
                Selection::InlineFragment(inline) => left.push(inline.selection_set()?),
                Selection::FragmentSpread(found) => {
                    let name = found.fragment_name()?.name()?.text().to_string();
                    let set = fragments.get(&name)?;
                    if spread.insert(name) {
                        left.push(set.clone());
                    }
                }
            }
        }
    }
    let fields: Vec<String> = fields.into_iter().collect();
    Some(Operation { kind, fields }).filter(|operation| (1..=FIELDS_MAX).contains(&operation.fields.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn of(query: &str) -> Option<(OperationKind, String)> {
        let body = serde_json::json!({ "query": query, "variables": { "id": 7 } });
        post(&body.to_string())
    }

    fn post(body: &str) -> Option<(OperationKind, String)> {
        let text = format!("POST /graphql\ncontent-type: application/json\n\n{body}");
        let found = operation(Some("/graphql"), &request::read(&text).unwrap()).ok()??;
        Some((found.kind, found.fields.join(" ")))
    }

    #[test]
    fn an_operation_is_what_it_asks_of_the_service() {
        let query = |fields: &str| Some((OperationKind::Query, fields.to_owned()));
        let mutation = |fields: &str| Some((OperationKind::Mutation, fields.to_owned()));
        assert_eq!(of("{ me { name } orders(first: 3) { id } }"), query("me orders"));
        assert_eq!(of("query Q($id: ID!) { order(id: $id) { id } }"), query("order"));
        assert_eq!(of("mutation { harmless: refund(charge: \"ch_1\", amount: 4990) { id } }"), mutation("refund"));
        // Through fragments, under directives, beside a name that says something else.
        let hidden = "mutation query { ok { id } ...F ... on Mutation @include(if: true) { pay { id } } } fragment F on Mutation { refund { id } }";
        assert_eq!(of(hidden), mutation("ok pay refund"));
        assert_eq!(post("{\"query\":\"query A { a }\",\"operationName\":\"A\"}"), query("a"));
    }

    #[test]
    fn fragments_that_spread_each_other_come_to_an_end() {
        let twice = |n: usize| format!("fragment F{n} on Mutation {{ a{} ...F{} ...F{} }} ", n % 3, n + 1, n + 1);
        let many: String = (0..400).map(twice).collect();
        let text = format!("mutation {{ ...F0 }} {many} fragment F400 on Mutation {{ refund {{ id }} }}");
        assert_eq!(of(&text), Some((OperationKind::Mutation, "a0 a1 a2 refund".to_owned())));
    }

    #[test]
    fn what_could_be_another_operation_is_none() {
        for bad in [
            "",
            "mutation",
            "{",
            "{ a } { b }",
            "query A { a } mutation B { b }",
            "subscription { a }",
            "type Query { a: Int }",
            "{ ...F } fragment F on Query { ...F }",
            "{ ...F }",
            "{ ...F } fragment F on Query { a } fragment F on Query { b }",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
        for bad in [
            "[{\"query\":\"{ a }\"}]",
            "{\"query\":\"{ a }\",\"query\":\"mutation { b }\"}",
            "{\"query\":\"{ a }\",\"extensions\":{}}",
            "{\"query\":\"query A { a }\",\"operationName\":\"B\"}",
            "{\"variables\":{}}",
            "{ a }",
        ] {
            assert_eq!(post(bad), None, "{bad}");
        }
        let deep = format!("{}a{}", "{ a ".repeat(200), "}".repeat(200));
        assert_eq!(of(&deep), None);
        assert_eq!(of(&format!("{{ {} }}", (0..200).map(|n| format!("a{n} ")).collect::<String>())), None);
        for head in [
            "GET /graphql",
            "POST /GraphQL\ncontent-type: application/json",
            "POST /graphql/\ncontent-type: application/json",
            "POST /graphql?query=x\ncontent-type: application/json",
            "POST /graphql\ncontent-type: text/plain",
        ] {
            let body = if head.starts_with("GET") { "" } else { "\n\n{\"query\":\"{ a }\"}" };
            let text = format!("{head}{body}");
            assert!(operation(Some("/graphql"), &request::read(&text).unwrap()).is_err(), "{head}");
        }
    }
}
