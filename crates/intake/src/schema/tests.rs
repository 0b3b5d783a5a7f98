use std::collections::BTreeSet;

use artifact::{Digest, ProposalId, TaskId, Timestamp};
use doors::agents;
use doors::agents::ParameterType;
use serde::Serialize;
use serde_json::json;

use super::*;

/// Fields of an effect that are there only where they say something.
const RARE: [&str; 9] =
    ["computed", "date", "operation", "payee", "payment", "recipients", "reference", "request", "unminted"];

/// True if `value` has exactly the fields, types and required names of the schema, as deep as both go.
fn agree(schema: &Value, value: &Value, path: &str) {
    if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
        let fitting = any.iter().find(|s| (s["type"] == "null") == value.is_null());
        return agree(fitting.unwrap_or_else(|| panic!("{path}")), value, path);
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(kinds.contains(&kind), "{path}: {kinds:?} is not {kind}");
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        assert!(allowed.contains(value), "{path}: {value}");
    }
    if let Value::Object(fields) = value {
        assert_eq!(schema["additionalProperties"], false, "{path}");
        let named: BTreeSet<_> = schema["properties"].as_object().unwrap().keys().collect();
        let required: BTreeSet<_> = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let there = |name: &&String| !RARE.contains(&name.as_str()) || fields.contains_key(*name);
        assert_eq!(fields.keys().collect::<BTreeSet<_>>(), named.into_iter().filter(there).collect(), "{path}");
        let always = fields.keys().filter(|name| !RARE.contains(&name.as_str())).count();
        assert!(required.len() == always || path == "input", "{path}: {required:?}");
        fields.iter().for_each(|(name, field)| agree(&schema["properties"][name], field, name));
    }
    if let Value::Array(items) = value {
        for item in items {
            agree(&schema["items"], item, path);
        }
    }
}

fn output<T: JsonSchema>(value: &impl Serialize) {
    agree(&Value::Object(Inline::<T>::output()), &serde_json::to_value(value).unwrap(), "output");
}

fn input<T: JsonSchema>(value: &impl Serialize) {
    agree(&Value::Object(Inline::<T>::input()), &serde_json::to_value(value).unwrap(), "input");
}

fn target() -> agents::TargetSummary {
    agents::TargetSummary {
        name: "orders".to_owned(),
        kind: "sql/sqlite".to_owned(),
        environment: "prod".to_owned(),
        may: vec!["read main.orders".to_owned()],
        reads_run_without_asking: false,
    }
}

#[test]
fn what_agents_send_is_what_the_schemas_say() {
    let (target, body) = ("orders".to_owned(), "SELECT 1".to_owned());
    let parameters = vec![agents::Given { of: ParameterType::Integer, value: 37.into() }];
    input::<Check>(&agents::Check { target: target.clone(), body: body.clone(), parameters: parameters.clone() });
    input::<Propose>(&agents::Propose {
        target,
        body,
        parameters,
        purpose: "why".to_owned(),
        task: Some(TaskId::random()),
        revises: Some(ProposalId::random()),
        wait_s: Some(0),
    });
}

#[test]
fn what_agents_get_is_what_the_schemas_say() {
    for full in [false, true] {
        output::<ProposalAnswer>(&agents::ProposalAnswer {
            proposal_id: ProposalId::random(),
            revision: 1,
            status: agents::Status::Pending,
            digest: Digest::of(b"x"),
            words: "a b c".to_owned(),
            target: "orders".to_owned(),
            task: TaskId::random(),
            review_url: "http://127.0.0.1:1/p/x".to_owned(),
            expires_at: Timestamp::from_millis(0),
            retry_after_s: full.then_some(1),
            result: full.then(|| json!({"rows": []})),
            reason: full.then(String::new),
            reasons: vec![String::new()],
            message: String::new(),
        });
        let rows = artifact::effect::Rows {
            grade: artifact::effect::Grade::RanAndRolledBack,
            count: 1,
            of: full.then_some(2),
        };
        let mut effect =
            artifact::Effect { functions: vec!["count".to_owned()], rows: Some(rows), ..artifact::Effect::empty() };
        effect.relation_mut("main.orders").verbs.push(artifact::effect::Verb::Define);
        effect.relation_mut("main.orders").reads.push("*".to_owned());
        effect.relation_mut("main.orders").computed.push("twice".to_owned());
        effect.unminted = true;
        let names = || vec!["a".to_owned()];
        let (method, path) = ("GET".to_owned(), "/".to_owned());
        let text = || "a".to_owned();
        let payment = artifact::money::Payment {
            amount: "49.90 EUR".parse().unwrap(),
            payee: text(),
            account: text(),
            reference: text(),
            date: text(),
        };
        let operation = artifact::effect::Operation { kind: artifact::effect::OperationKind::Query, fields: names() };
        effect.request = Some(artifact::effect::RequestUse {
            method,
            path,
            query: names(),
            body: names(),
            recipients: names(),
            payment: Some(payment),
            operation: Some(operation),
        });
        output::<CheckAnswer>(&agents::CheckAnswer {
            decision: "ask".to_owned(),
            sentence: String::new(),
            understood: true,
            effect: if full { effect } else { artifact::Effect::empty() },
            findings: vec![agents::FindingView {
                code: "x".to_owned(),
                severity: "info".to_owned(),
                span: full.then_some((0, 1)),
                sentence: String::new(),
            }],
            reasons: vec![],
            digest: Digest::of(b"x"),
            message: String::new(),
        });
    }
    output::<TargetSummary>(&target());
    output::<TargetDescription>(&agents::TargetDescription {
        target: target(),
        relations: vec![agents::RelationDescription {
            name: "main.orders".to_owned(),
            columns: vec!["id integer".to_owned()],
        }],
        message: String::new(),
    });
    for refusal in doors::Refusal::ALL {
        output::<RefusalAnswer>(&agents::RefusalAnswer::from(refusal));
    }
}

#[test]
fn every_status_is_named() {
    let schema = schemars::schema_for!(Status).to_value();
    let named: Vec<&str> = schema["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(named, agents::Status::ALL.map(agents::Status::as_str));
}

#[test]
fn inputs_have_one_type_a_field_and_no_reference() {
    for schema in [Inline::<Propose>::input(), Inline::<GetProposal>::input(), Inline::<Nothing>::input()] {
        assert_eq!(schema["type"], "object");
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["properties"].as_object().unwrap().values().all(|f| f["type"].is_string()), "{schema:?}");
    }
    assert!(!serde_json::to_string(&Inline::<CheckAnswer>::output()).unwrap().contains("$ref"));
}
