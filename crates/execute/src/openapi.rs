//! What a service's description (OpenAPI 3.0 and 3.1, as JSON or YAML) says about its operations, for those who read requests. The service
//! does not see it, and nothing is held to it but the words on the page.

use std::io::Read as _;

use artifact::Digest;
use artifact::catalog::{Catalog, Tool};
use serde_json::{Map, Value as Json, json};
use wire::order::{FailCode, Report};

use crate::child::failed;

/// Largest description in bytes.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// Most operations.
const OPERATIONS_MAX: usize = 2_000;
/// Deepest reference within a reference, and most values of one operation's schema; what lies beyond is left open.
const DEPTH_MAX: usize = 12;
const VALUES_MAX: usize = 2_000;
/// Characters kept of what an operation says about itself.
const WORDS_MAX: usize = 1_000;

const METHODS: [(&str, &str); 6] =
    [("get", "GET"), ("head", "HEAD"), ("post", "POST"), ("put", "PUT"), ("patch", "PATCH"), ("delete", "DELETE")];

/// Reads the file. Each operation is a [`Tool`] whose name is method and path with its places in braces, and whose schema has
/// `query` and `body`.
pub(crate) fn read(path: &str) -> Result<Catalog, Report> {
    let bad = |detail: &str| failed(FailCode::BadOrder, &format!("the service's description {detail}"));
    let file = std::fs::File::open(path).map_err(|error| bad(&format!("cannot be read: {error}")))?;
    let mut text = String::new();
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|_| bad("is not UTF-8"))?;
    if text.len() as u64 > FILE_MAX {
        return Err(bad("is larger than 16 MiB"));
    }
    let document = document(&text).ok_or_else(|| bad("is neither JSON nor YAML"))?;
    if !document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")) {
        return Err(bad("is not OpenAPI 3"));
    }
    Ok(Catalog { version: "openapi".into(), tools: operations(&document), ..Catalog::default() })
}

/// JSON, or else YAML within the parser's own bounds on aliases and depth.
fn document(text: &str) -> Option<Json> {
    serde_json::from_str(text).ok().or_else(|| serde_saphyr::from_str(text).ok())
}

fn operations(document: &Json) -> Vec<Tool> {
    let prefix = prefix(document);
    let mut tools = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, name) in METHODS {
            let Some(operation) = item.get(method) else { continue };
            if tools.len() >= OPERATIONS_MAX {
                return sorted(tools);
            }
            let text = |key: &str| operation[key].as_str().unwrap_or_default();
            let words = [text("summary"), text("description")].into_iter().filter(|words| !words.is_empty());
            let words: String = words.collect::<Vec<_>>().join(". ").chars().take(WORDS_MAX).collect();
            let schema = schema(document, item, operation);
            tools.push(Tool {
                name: format!("{name} {prefix}{path}"),
                description: if words.is_empty() {
                    text("operationId").chars().take(WORDS_MAX).collect()
                } else {
                    words
                },
                digest: Digest::of(schema.to_string().as_bytes()),
                input_schema: schema.to_string(),
                reads_only: None,
                destroys: None,
            });
        }
    }
    sorted(tools)
}

fn sorted(mut tools: Vec<Tool>) -> Vec<Tool> {
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools
}

/// The path of the first server, which stands before every operation's.
fn prefix(document: &Json) -> String {
    let url = document["servers"][0]["url"].as_str().unwrap_or_default();
    let rest = url.find("://").map_or(url, |at| &url[at + 3..]);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    if url.starts_with('/') { url.trim_end_matches('/').to_owned() } else { path.trim_end_matches('/').to_owned() }
}

/// Parameters of the query, and the body's schema, references followed.
fn schema(document: &Json, item: &Json, operation: &Json) -> Json {
    let mut left = VALUES_MAX;
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for parameter in [item, operation].into_iter().filter_map(|of| of["parameters"].as_array()).flatten() {
        let parameter = followed(document, parameter, 0, &mut left);
        let (Some(name), Some("query")) = (parameter["name"].as_str(), parameter["in"].as_str()) else { continue };
        if parameter["required"] == true {
            required.push(json!(name));
        }
        properties.insert(name.to_owned(), parameter["schema"].clone());
    }
    let body = followed(document, &operation["requestBody"], 0, &mut left);
    let content = body["content"].as_object();
    let wanted = |kind: &str| content.and_then(|content| content.get(kind)).map(|content| content["schema"].clone());
    let form = wanted("application/x-www-form-urlencoded");
    json!({
        "query": { "properties": properties, "required": required },
        "body": wanted("application/json").or(form).unwrap_or_default(),
        "body_required": body["required"] == true,
    })
}

/// The value with every `$ref` within the document replaced by what it names.
fn followed(document: &Json, value: &Json, depth: usize, left: &mut usize) -> Json {
    if depth > DEPTH_MAX || *left == 0 {
        return json!({});
    }
    *left -= 1;
    match value {
        Json::Object(members) => {
            if let Some(at) = members.get("$ref").and_then(Json::as_str) {
                let named = at.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
                return named.map_or_else(|| json!({}), |named| followed(document, named, depth + 1, left));
            }
            // Words of schemas are not kept: they are long, and the page shows the operation's own.
            let kept = members.iter().filter(|(name, value)| !(*name == "description" && value.is_string()));
            let kept = kept.map(|(name, value)| (name.clone(), followed(document, value, depth + 1, left)));
            Json::Object(kept.collect())
        }
        Json::Array(items) => items.iter().map(|item| followed(document, item, depth + 1, left)).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_with_what_they_refer_to() {
        let document = json!({
            "openapi": "3.1.0",
            "servers": [{ "url": "https://api.example/v1/" }],
            "paths": { "/refunds/{id}": {
                "parameters": [{ "$ref": "#/components/parameters/expand" }],
                "post": {
                    "summary": "Create a refund",
                    "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/refund" } } } },
                },
            } },
            "components": {
                "parameters": { "expand": { "name": "expand", "in": "query", "required": true, "schema": { "type": "string" } } },
                "schemas": { "refund": { "type": "object", "required": ["amount"], "properties": {
                    "amount": { "type": "integer", "description": "long" }, "again": { "$ref": "#/components/schemas/refund" } } } },
            },
        });
        let tools = operations(&document);
        assert_eq!((tools.len(), tools[0].name.as_str()), (1, "POST /v1/refunds/{id}"));
        assert_eq!(tools[0].description, "Create a refund");
        let schema: Json = serde_json::from_str(&tools[0].input_schema).unwrap();
        assert_eq!(schema["query"]["required"][0], "expand");
        assert_eq!(schema["body"]["properties"]["amount"], json!({ "type": "integer" }));
        assert_eq!(schema["body_required"], true);
        // What refers to itself ends somewhere.
        assert!(tools[0].input_schema.len() < 10_000);
        for (server, wanted) in
            [("/v2", "/v2"), ("https://a.example", ""), ("", ""), ("https://a.example/x/y/", "/x/y")]
        {
            assert_eq!(prefix(&json!({ "servers": [{ "url": server }] })), wanted, "{server}");
        }
    }

    #[test]
    fn yaml_says_the_same_and_bombs_say_nothing() {
        let yaml = "openapi: 3.0.3\npaths:\n  /refunds:\n    post:\n      summary: 'Create a refund'\n      requestBody:\n        required: true\n        content:\n          application/json:\n            schema: &refund\n              type: object\n              required: [amount]\n              properties:\n                amount: {type: integer}\n      responses:\n        200:\n          description: yes\n";
        let read = document(yaml).unwrap();
        let tools = operations(&read);
        assert_eq!(
            (tools.len(), tools[0].name.as_str(), tools[0].description.as_str()),
            (1, "POST /refunds", "Create a refund")
        );
        let schema: Json = serde_json::from_str(&tools[0].input_schema).unwrap();
        assert_eq!((&schema["body"]["required"][0], &schema["body_required"]), (&json!("amount"), &json!(true)));
        assert_eq!(read["openapi"], "3.0.3");
        // Ten lines that would be ten thousand million.
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            bomb += &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(", "));
        }
        assert!(document(&bomb).is_none());
        assert!(document(&"[".repeat(100_000)).is_none());
        assert!(document("a: [b").is_none() && document("\0").is_none());
    }
}
