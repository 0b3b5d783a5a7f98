//! `/openapi.json`: made from the same schemas as the tools, committed as `openapi.json` so that a change is a visible diff.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::get;
use doors::Refusal;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::{http, schema};

/// The document as it is served.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

pub(crate) fn routes() -> Router {
    let answer = || async {
        let json = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, json)], DOCUMENT.as_str()).into_response()
    };
    Router::new().route("/openapi.json", get(answer))
}

/// The document as the code describes itself now.
fn document() -> Value {
    let mut schemas = schema::components();
    let refused = content::<schema::RefusalAnswer>(&mut schemas);
    let mut paths = Map::new();
    for (method, path, verb) in http::ROUTES {
        let (summary, given, answered) = operation(verb, &mut schemas);
        let mut responses = Map::from_iter([("200".to_owned(), json!({"description": "Done.", "content": answered}))]);
        for refusal in Refusal::ALL {
            let status = http::status(refusal);
            responses.insert(
                status.as_str().to_owned(),
                json!({"description": status.canonical_reason().unwrap_or_default(), "content": refused}),
            );
        }
        let mut operation = json!({
            "operationId": verb, "summary": summary, "responses": responses, "parameters": parameters(path, verb),
        });
        if let Some(content) = given {
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        let entry = paths.entry(path.to_owned()).or_insert_with(|| json!({}));
        entry[method.as_str().to_ascii_lowercase()] = operation;
    }
    let mut components = Value::Object(schemas.take_definitions(true));
    schema::plain(&mut components);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Wetink for agents",
            "version": "1",
            "description": "Propose; a person signs; only then it runs. The same calls are MCP tools at /mcp.",
        },
        "security": [{"pass": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"pass": {"type": "http", "scheme": "bearer", "description": "The agent pass. It proposes and collects; it opens nothing."}},
            "schemas": components,
        },
    })
}

fn operation(verb: &str, schemas: &mut SchemaGenerator) -> (&'static str, Option<Value>, Value) {
    match verb {
        "check" => (
            "What an artifact would do and how it would be decided",
            Some(content::<schema::Check>(schemas)),
            content::<schema::CheckAnswer>(schemas),
        ),
        "propose" => (
            "Hand in an artifact; handing in the same again gives the same proposal",
            Some(content::<schema::Propose>(schemas)),
            content::<schema::ProposalAnswer>(schemas),
        ),
        "get_proposal" => ("How a proposal stands", None, content::<schema::ProposalAnswer>(schemas)),
        "withdraw" => ("Take a pending proposal back", None, content::<schema::ProposalAnswer>(schemas)),
        "list_proposals" => {
            ("Your proposals, newest first, at most 50", None, content::<schema::ProposalList>(schemas))
        }
        "list_targets" => ("The targets of your task", None, content::<schema::TargetList>(schemas)),
        _ => ("The names your task's scope covers on a target", None, content::<schema::TargetDescription>(schemas)),
    }
}

fn content<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    json!({"application/json": {"schema": schemas.subschema_for::<T>()}})
}

fn parameters(path: &str, verb: &str) -> Value {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut all: Vec<Value> =
        named.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})).collect();
    if matches!(verb, "propose" | "get_proposal") {
        let seconds = json!({"type": "integer", "minimum": 0, "maximum": doors::agents::WAIT_MAX_S});
        all.push(
            json!({"name": "wait", "in": "query", "description": "Seconds to wait for a change.", "schema": seconds}),
        );
    }
    Value::Array(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `WETINK_BLESS=1 cargo test -p intake` writes the files anew.
    fn golden(path: &str, now: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("WETINK_BLESS").is_some() {
            std::fs::write(&path, now).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap();
        // The order of an object's names means nothing, and depends on what else is built along.
        let same = match (serde_json::from_str::<Value>(&committed), serde_json::from_str::<Value>(now)) {
            (Ok(committed), Ok(now)) => committed == now,
            _ => committed == now,
        };
        assert!(same, "run again with WETINK_BLESS=1 if this change is meant");
    }

    #[test]
    fn the_committed_document_is_the_code_s() {
        golden("openapi.json", DOCUMENT.as_str());
    }

    #[test]
    fn the_committed_verbs_are_the_code_s() {
        golden("verbs.golden", &format!("{}\n", crate::verbs().join("\n")));
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let text = document.to_string();
        for part in text.split("\"$ref\":\"#/").skip(1) {
            let path = format!("/{}", part.split('"').next().unwrap());
            assert!(document.pointer(&path).is_some(), "{path}");
        }
        assert!(text.contains("\"$ref\""));
    }
}
