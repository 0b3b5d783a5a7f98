//! What a POST to `/mcp` must look like before the protocol library reads it: exactly one JSON-RPC 2.0 message, no name in
//! it twice, not nested without end, its routing headers given once. And what a refusal of the library looks like after it.

use axum::Json;
use std::collections::HashSet;
use std::fmt;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::gate::BODY_MAX;
use crate::http::in_our_words;

/// Headers that say the same as the body; one of them twice is two meanings.
const ONCE: [&str; 4] = ["mcp-protocol-version", "mcp-method", "mcp-name", "content-type"];
/// What a request that the library refused below JSON-RPC lacks.
const FORM: &str = "MCP over HTTP is a POST with `Content-Type: application/json`, `Accept: application/json, \
                    text/event-stream` and a supported `MCP-Protocol-Version`.";

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const HEADER_MISMATCH: i32 = -32020;

#[derive(Deserialize)]
struct Envelope {
    jsonrpc: Option<String>,
    id: Option<Value>,
    method: Option<String>,
    #[serde(rename = "params")]
    _params: Option<Plain>,
}

/// Lets one well-formed message through.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return in_our_words(next.run(request).await, FORM);
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else {
        return refuse(Value::Null, PARSE_ERROR, "the body did not arrive whole");
    };
    match well_formed(&parts.headers, &body) {
        Ok(()) => in_our_words(next.run(Request::from_parts(parts, Body::from(body))).await, FORM),
        Err((id, code, message)) => refuse(id, code, message),
    }
}

fn well_formed(headers: &HeaderMap, body: &Bytes) -> Result<(), (Value, i32, &'static str)> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err((Value::Null, INVALID_REQUEST, "send one message per request, not a batch"));
    }
    let envelope: Envelope = serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            (Value::Null, INVALID_REQUEST, "not a JSON-RPC 2.0 message in which every name is there once")
        } else {
            (Value::Null, PARSE_ERROR, "not JSON, or nested too deeply")
        }
    })?;
    let id = match envelope.id {
        None => Value::Null,
        Some(id) if id.is_string() || id.is_i64() => id,
        Some(_) => return Err((Value::Null, INVALID_REQUEST, "`id` must be a string or a whole number")),
    };
    if envelope.jsonrpc.as_deref() != Some("2.0") || envelope.method.is_none() {
        return Err((id, INVALID_REQUEST, "not a JSON-RPC 2.0 request or notification"));
    }
    if ONCE.iter().any(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err((id, HEADER_MISMATCH, "a header that describes the message is there more than once"));
    }
    Ok(())
}

/// Any JSON in which no object has a name twice: two readers of such an object could read two artifacts. Nothing of it is
/// kept. The parser itself ends nesting at 128.
struct Plain;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

struct PlainVisitor;

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain, A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name is there twice"));
            }
            map.next_value::<Plain>()?;
        }
        Ok(Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
        while items.next_element::<Plain>()?.is_some() {}
        Ok(Plain)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain)
    }
}

fn refuse(id: Value, code: i32, message: &str) -> Response {
    let error = json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &str) -> Option<i32> {
        well_formed(&HeaderMap::new(), &Bytes::copy_from_slice(body.as_bytes())).err().map(|(_, code, _)| code)
    }

    #[test]
    fn one_message_and_nothing_else() {
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#), None);
        assert_eq!(code(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), None);
        for bad in ["", "{", "nonsense", r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#] {
            assert_eq!(code(bad), Some(PARSE_ERROR), "{bad}");
        }
        for bad in [
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#""ping""#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":99999999999999999999,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        ] {
            assert_eq!(code(bad), Some(INVALID_REQUEST), "{bad}");
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        let nested = |n: usize| {
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{}{}}}"#, "[".repeat(n), "]".repeat(n))
        };
        assert_eq!(code(&nested(100)), None);
        assert_eq!(code(&nested(128)), Some(PARSE_ERROR));
        assert_eq!(code(&nested(1_000_000)), Some(PARSE_ERROR));
    }

    #[test]
    fn one_name_has_one_value() {
        let with = |arguments: &str| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"check","arguments":{arguments}}}}}"#
            )
        };
        assert_eq!(code(&with(r#"{"a":[1,-1,1.5,"x",true,null,{"a":{}}]}"#)), None);
        for bad in [
            r#"{"body":"SELECT 1","body":"DROP TABLE x"}"#,
            r#"{"body":"SELECT 1","bod\u0079":"DROP TABLE x"}"#,
            r#"[{"a":{"b":1,"b":1}}]"#,
            r#"{},"name":"propose""#,
        ] {
            assert_eq!(code(&with(bad)), Some(INVALID_REQUEST), "{bad}");
        }
    }

    #[test]
    fn a_header_with_two_values_has_none() {
        let mut headers = HeaderMap::new();
        for value in ["tools/list", "tools/call"] {
            headers.append("mcp-method", value.parse().unwrap());
        }
        let body = Bytes::from_static(br#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#);
        assert_eq!(well_formed(&headers, &body).unwrap_err().1, HEADER_MISMATCH);
    }
}
