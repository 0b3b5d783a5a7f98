//! An HTTP request: what its own form says. What the server makes of it, only the server knows; so the request itself is the effect.

use std::cell::Cell;
use std::collections::BTreeSet;

use artifact::catalog::Catalog;
use artifact::effect::RequestUse;
use artifact::visible;
use reading::request::{self, Request};
use serde::Deserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use crate::draft::{Draft, quoted};
use crate::provenance::Value;
use crate::schema::contradictions;
use crate::{Code, MAX_NESTING};

/// Most values of a body that are looked at one by one.
const VALUES_MAX: usize = 500;

pub(crate) fn analyze_into(text: &str, catalog: &Catalog, draft: &mut Draft) {
    let request = match request::read(text) {
        Ok(request) if request.method.kind() == artifact::Kind::Http => request,
        Ok(_) => {
            let sentence = "It is no request of the gateway's form: a service has no tools to call.";
            return draft.note(Code::RequestMalformed, None, sentence);
        }
        Err(error) => {
            return draft.note(
                Code::RequestMalformed,
                None,
                format!("It is no request of the gateway's form: {error}."),
            );
        }
    };
    draft.statements = 1;
    let body = json(&request, draft);
    if body.is_some()
        && let Some(name) = doubled(request.body)
    {
        // The last one wins at most servers, the first at some.
        draft.note(Code::RequestMalformed, None, format!("The member {} stands in the body twice.", quoted(&name)));
    }
    let mut query: Vec<String> = pairs(&request).into_iter().map(|(name, _)| name).collect();
    query.sort_unstable();
    query.dedup();
    let members = match &body {
        Some(Json::Object(members)) => members.keys().cloned().collect(),
        _ => Vec::new(),
    };
    if !catalog.tools.is_empty() {
        described(&request, body.as_ref(), catalog, draft);
    }
    draft.effect.verb = request.method.verb();
    draft.effect.commits_itself = request.method.verb() != artifact::effect::Verb::Read;
    draft.effect.request = Some(RequestUse {
        method: request.method.as_str().to_owned(),
        path: request.path.to_owned(),
        query,
        body: members,
        recipients: Vec::new(),
        payment: None,
        operation: None,
    });
}

/// Whether a path has the form of an operation's, in which a place in braces stands for one segment.
fn is_form_of(form: &str, path: &str) -> bool {
    let (mut wanted, mut found) = (form.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (Some(place), Some(segment)) if place.starts_with('{') && place.ends_with('}') && !segment.is_empty() => {}
            (Some(one), Some(other)) if one == other => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// What the service's own description says about the request. It may be wrong, so that it raises and never forbids.
fn described(request: &Request<'_>, body: Option<&Json>, catalog: &Catalog, draft: &mut Draft) {
    let name = format!("{} {}", request.method, request.path);
    let operations = catalog.tools.iter().filter(|tool| {
        tool.name
            .split_once(' ')
            .is_some_and(|(method, form)| method == request.method.as_str() && is_form_of(form, request.path))
    });
    // The one with the fewest places is the one that is meant.
    let Some(operation) = operations.min_by_key(|tool| tool.name.matches('{').count()) else {
        let sentence = format!("The service's description has no {}.", visible(&name));
        return draft.note(Code::UnknownOperation, None, sentence);
    };
    let words: String =
        operation.description.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
    if !words.is_empty() {
        let sentence =
            format!("The service says about {}: \u{201c}{}\u{201d}", visible(&operation.name), visible(&words));
        draft.note(Code::ToolSays, None, sentence);
    }
    let schema: Json = serde_json::from_str(&operation.input_schema).unwrap_or_default();
    // Values of a query are text whatever they mean, so only their names are compared.
    let query = pairs(request).into_iter().map(|(name, _)| (name, Json::Null)).collect();
    let names = serde_json::json!({ "required": schema["query"]["required"] });
    let mut wrong = contradictions(&query, &names, &visible(&operation.name), "query parameter");
    match body {
        Some(Json::Object(members)) => {
            wrong.extend(contradictions(members, &schema["body"], &visible(&operation.name), "member"));
        }
        None if request.body.is_empty() && schema["body_required"] == true => {
            wrong.push(format!("{} needs a body.", visible(&operation.name)));
        }
        _ => {}
    }
    for sentence in wrong {
        draft.note(Code::OperationMismatch, None, sentence);
    }
}

/// The body, if it says that it is JSON and is. Saying so falsely is worth knowing.
fn json(request: &Request<'_>, draft: &mut Draft) -> Option<Json> {
    let kind = request.headers.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| *value);
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    if !(essence == "application/json" || essence.ends_with("+json")) || request.body.is_empty() {
        return None;
    }
    if deepest(request.body) > MAX_NESTING {
        draft.note(Code::NestedTooDeep, None, format!("Brackets are nested deeper than {MAX_NESTING}."));
        return None;
    }
    match serde_json::from_str(request.body) {
        Ok(body) => Some(body),
        Err(error) => {
            draft.note(
                Code::RequestMalformed,
                None,
                format!("The body says that it is JSON and is not: {}.", visible(&error.to_string())),
            );
            None
        }
    }
}

/// How deep brackets are nested, wherever they stand.
pub(crate) fn deepest(json: &str) -> usize {
    let mut depth = 0_usize;
    json.bytes().fold(0, |deepest, b| {
        match b {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth.max(deepest)
    })
}

/// A member that stands twice in one object, at any depth. Readers differ in which of the two counts.
pub(crate) fn doubled(json: &str) -> Option<String> {
    let found = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_str(json);
    let _ = Doubled(&found).deserialize(&mut reader);
    found.into_inner()
}

/// Reads any value and keeps the first name that an object has twice.
struct Doubled<'a>(&'a Cell<Option<String>>);

impl<'de> DeserializeSeed<'de> for Doubled<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Doubled<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            map.next_value_seed(Doubled(self.0))?;
            if !names.insert(name.clone()) {
                self.0.set(Some(name));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Doubled(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Names and values of the query, their escapes read.
fn pairs(request: &Request<'_>) -> Vec<(String, String)> {
    let parts = request.query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (unescaped(name), unescaped(value))
        })
        .collect()
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit =
                    || bytes.next().and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
                out.push(digit().unwrap_or(0) * 16 + digit().unwrap_or(0));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Every value of a request with the name it stands under, for the question where it comes from.
pub(crate) fn values(text: &str) -> Vec<Value> {
    let Ok(request) = request::read(text) else { return Vec::new() };
    let value = |name: &str, text: String| Value { name: name.to_owned(), description: String::new(), text };
    let mut values: Vec<Value> = Vec::new();
    values.extend(
        request.path.split('/').filter(|segment| !segment.is_empty()).map(|segment| value("path", unescaped(segment))),
    );
    values.extend(pairs(&request).into_iter().map(|(name, text)| value(&name, text)));
    if request.method.kind() == artifact::Kind::Mail {
        // Of lists each address is a value of its own.
        let each =
            request.headers.iter().flat_map(|(name, list)| list.split(", ").map(|one| value(name, one.to_owned())));
        values.extend(each);
        values.extend((!request.body.is_empty()).then(|| value("body", request.body.to_owned())));
        values.truncate(VALUES_MAX);
        return values;
    }
    match serde_json::from_str::<Json>(request.body) {
        Ok(body) => leaves("", &body, &mut values),
        Err(_) if !request.body.is_empty() => values.push(value("body", request.body.to_owned())),
        Err(_) => {}
    }
    values.truncate(VALUES_MAX);
    values
}

fn leaves(name: &str, json: &Json, into: &mut Vec<Value>) {
    let mut push = |text: String| into.push(Value { name: name.to_owned(), description: String::new(), text });
    match json {
        Json::Object(members) => members.iter().for_each(|(name, inner)| leaves(name, inner, into)),
        Json::Array(items) => items.iter().for_each(|inner| leaves(name, inner, into)),
        Json::String(text) => push(text.clone()),
        Json::Number(number) => push(number.to_string()),
        Json::Bool(_) | Json::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use artifact::catalog::Tool;
    use artifact::effect::Verb;
    use artifact::{Artifact, Kind};

    use super::*;
    use crate::{Analysis, analyze, headline};

    fn of(text: &str) -> Analysis {
        analyze(&Artifact::new(Kind::Http, text.as_bytes().to_vec()).unwrap(), &Catalog::default())
    }

    #[test]
    fn a_request_is_its_own_effect() {
        let refund =
            of("POST /v1/refunds?notify=no\ncontent-type: application/json\n\n{\"charge\":\"ch_1\",\"amount\":4990}");
        assert!(refund.understood, "{:?}", refund.findings);
        let request = refund.effect.request.clone().unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/refunds"));
        assert_eq!(
            (request.query, request.body),
            (vec!["notify".to_owned()], vec!["amount".to_owned(), "charge".to_owned()])
        );
        assert!(refund.effect.is_of(Kind::Http) && refund.effect.is_normal() && !refund.effect.is_read_only());
        assert_eq!(headline(&refund, None), "SENDS POST /v1/refunds");
        let read = of("GET /v1/charges?limit=3");
        assert!(read.understood && read.effect.is_read_only() && read.effect.is_of(Kind::Http));
        assert_eq!(headline(&read, None), "ASKS GET /v1/charges");
    }

    #[test]
    fn a_description_says_what_a_request_is_and_lacks() {
        let tool = |name: &str, words: &str, schema: &str| Tool {
            name: name.into(),
            description: words.into(),
            input_schema: schema.into(),
            reads_only: None,
            destroys: None,
            digest: artifact::Digest::of(b"x"),
        };
        let schema = r#"{"query":{"properties":{},"required":["notify"]},"body_required":true,
            "body":{"required":["charge","amount"],"properties":{"amount":{"type":"integer"},"note":{"type":"string","nullable":true}}}}"#;
        let tools =
            vec![tool("POST /v1/{any}", "Anything", "{}"), tool("POST /v1/refunds", "Create a\nrefund", schema)];
        let catalog = Catalog { tools, ..Catalog::default() };
        let of = |text: &str| analyze(&Artifact::new(Kind::Http, text.as_bytes().to_vec()).unwrap(), &catalog);
        let post =
            |query: &str, body: &str| of(&format!("POST /v1/refunds{query}\ncontent-type: application/json\n\n{body}"));
        let good = post("?notify=no", "{\"charge\":\"ch_1\",\"amount\":4990,\"note\":null}");
        assert!(good.understood && !good.has(Code::OperationMismatch), "{:?}", good.findings);
        assert!(good.findings.iter().any(|f| f.sentence.contains("Create a refund")));
        for bad in [
            post("", "{\"charge\":\"ch_1\",\"amount\":4990}"),
            post("?notify=no", "{\"amount\":4990}"),
            post("?notify=no", "{\"charge\":\"ch_1\",\"amount\":\"4990\"}"),
            post("?notify=no", ""),
        ] {
            // Descriptions are often wrong: a person decides.
            assert!(bad.understood && bad.has(Code::OperationMismatch), "{:?}", bad.findings);
        }
        assert!(of("POST /v1/other").findings.iter().any(|f| f.sentence.contains("Anything")));
        assert!(of("GET /v1/refunds").has(Code::UnknownOperation) && of("POST /v1/a/b").has(Code::UnknownOperation));
    }

    #[test]
    fn what_is_not_of_the_form_is_not_understood() {
        for bad in [
            "SELECT 1",
            "GET //evil.example/",
            "POST /x\ncontent-type: application/json\n\n{",
            "POST /x\ncontent-type: application/json\n\n{\"to\":\"a\",\"to\":\"b\"}",
            "POST /x\ncontent-type: application/json\n\n[{\"a\":[1.5,null,{\"to\":\"a\",\"to\":true}]}]",
            "CALL /x\n\n{}",
            "POST /x\n\n\u{202e}",
            "GET /x\nauthorization: Bearer y",
        ] {
            let analysis = of(bad);
            let hidden = analysis.has(Code::HiddenInText) || analysis.has(Code::HiddenInCode);
            assert!(!analysis.understood || hidden, "{bad}");
            assert!(analysis.effect.verb == Verb::Define || hidden, "{bad}");
        }
    }

    #[test]
    fn a_masked_value_is_never_sent() {
        let mask = "masked_0123456789ab";
        let sent = of(&format!("POST /x\ncontent-type: application/json\n\n{{\"to\":\"{mask}\"}}"));
        assert!(sent.has(Code::MaskedValue) && !sent.understood, "{:?}", sent.findings);
        assert!(of(&format!("PUT /x/{mask}")).has(Code::MaskedValue));
        assert!(!of(&format!("GET /x?q={mask}")).has(Code::MaskedValue));
    }

    #[test]
    fn values_are_found_wherever_they_stand() {
        let found = values(
            "POST /v1/users/ada%40b.example?to=x%20y\ncontent-type: application/json\n\n{\"a\":{\"iban\":[\"DE1\",2]}}",
        );
        let pairs: Vec<_> = found.iter().map(|v| (v.name.as_str(), v.text.as_str())).collect();
        let wanted = [
            ("path", "v1"),
            ("path", "users"),
            ("path", "ada@b.example"),
            ("to", "x y"),
            ("iban", "DE1"),
            ("iban", "2"),
        ];
        assert_eq!(pairs, wanted);
    }
}
