//! An HTTP request: what its own form says. What the server makes of it, only the server knows; so the request itself is the effect.

use artifact::effect::RequestUse;
use artifact::request::{self, Request};
use artifact::visible;
use serde_json::Value as Json;

use crate::draft::{Draft, quoted};
use crate::provenance::Value;
use crate::{Code, MAX_NESTING};

/// Most values of a body that are looked at one by one.
const VALUES_MAX: usize = 500;

pub(crate) fn analyze_into(text: &str, draft: &mut Draft) {
    let request = match request::read(text) {
        Ok(request) => request,
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
    if let Some(Json::Object(members)) = &body
        && let Some(name) = doubled(request.body, members.len())
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
    draft.effect.verb = request.method.verb();
    draft.effect.commits_itself = request.method.verb() != artifact::effect::Verb::Read;
    draft.effect.request = Some(RequestUse {
        method: request.method.as_str().to_owned(),
        path: request.path.to_owned(),
        query,
        body: members,
    });
}

/// The body, if it says that it is JSON and is. Saying so falsely is worth knowing.
fn json(request: &Request<'_>, draft: &mut Draft) -> Option<Json> {
    let kind = request.headers.iter().find(|(name, _)| *name == "content-type").map(|(_, value)| *value);
    let essence = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    if !(essence == "application/json" || essence.ends_with("+json")) || request.body.is_empty() {
        return None;
    }
    let mut depth = 0_usize;
    let deepest = request.body.bytes().fold(0, |deepest, b| {
        match b {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth.max(deepest)
    });
    if deepest > MAX_NESTING {
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

/// A member of the outermost object that stands there twice. `members`: how many different ones there are.
fn doubled(body: &str, members: usize) -> Option<String> {
    struct Names(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Names {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Seen;
            impl<'de> serde::de::Visitor<'de> for Seen {
                type Value = Names;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                    let mut names = Vec::new();
                    while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        names.push(name);
                    }
                    Ok(Names(names))
                }
            }
            from.deserialize_map(Seen)
        }
    }
    let Names(mut names) = serde_json::from_str(body).ok()?;
    if names.len() == members {
        return None;
    }
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone())
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
    use artifact::catalog::Catalog;
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
    fn what_is_not_of_the_form_is_not_understood() {
        for bad in [
            "SELECT 1",
            "GET //evil.example/",
            "POST /x\ncontent-type: application/json\n\n{",
            "POST /x\ncontent-type: application/json\n\n{\"to\":\"a\",\"to\":\"b\"}",
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
