//! What certainly contradicts a JSON Schema: a required member that is missing, one that there is not, one of another type or
//! outside of a list. What a schema says in other ways is left to whoever it belongs to.

use serde_json::{Map, Value as Json};

use crate::draft::quoted;

/// One sentence for each contradiction. `what` owns the members, `member` is what they are called.
pub(crate) fn contradictions(members: &Map<String, Json>, schema: &Json, what: &str, member: &str) -> Vec<String> {
    let mut out = Vec::new();
    let required = schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    for name in required.filter(|name| !members.contains_key(*name)) {
        out.push(format!("{what} needs the {member} {}.", quoted(name)));
    }
    let properties = schema.get("properties").and_then(Json::as_object);
    let closed =
        schema.get("additionalProperties") == Some(&Json::Bool(false)) && schema.get("patternProperties").is_none();
    for (name, value) in members {
        let Some(wanted) = properties.and_then(|properties| properties.get(name)) else {
            if closed {
                out.push(format!("{what} has no {member} {}.", quoted(name)));
            }
            continue;
        };
        let types: Vec<&str> = match wanted.get("type") {
            Some(Json::String(one)) => vec![one.as_str()],
            Some(Json::Array(some)) => some.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        // OpenAPI 3.0 says so beside the type.
        let nothing = value.is_null() && wanted.get("nullable") == Some(&Json::Bool(true));
        if !types.is_empty() && !nothing && !types.iter().any(|of| is_of(value, of)) {
            out.push(format!("The {member} {} is not of type {}.", quoted(name), types.join(" or ")));
        }
        if let Some(list) = wanted.get("enum").and_then(Json::as_array)
            && !list.contains(value)
        {
            out.push(format!("The {member} {} is none of the values that are taken.", quoted(name)));
        }
    }
    out
}

fn is_of(value: &Json, name: &str) -> bool {
    match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        // A type of a newer vocabulary contradicts nothing that we know.
        _ => true,
    }
}
