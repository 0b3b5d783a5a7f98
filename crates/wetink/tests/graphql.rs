//! GraphQL at a real service: queries are reads, mutations are changes, whatever they call themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "browser_tools/mod.rs"]
#[allow(dead_code, reason = "no browser here")]
mod browser_tools;
mod machine;
mod script;
mod support;

use artifact::effect::{OperationKind, Verb};
use artifact::{Artifact, Kind};
use machine::Machine;
use script::Script;
use serde_json::{Value, json};
use wire::order::{FailCode, Job, Order, Report};

const TOKEN: &str = "gql_4eC39HqLyjWDarjtT1zdp7dc";

fn furnish(machine: &Machine, service: &Script) -> String {
    machine.furnish();
    assert!(machine.run(&["secret", "set", "gql"], TOKEN, None).status.success());
    let origin = service.origin();
    let add =
        ["target", "add", "gql", &origin, "--credential", "gql", "--graphql", "/graphql", "--request", "POST /graphql"];
    let (ok, text) = machine.person(&[&add[..], &["--label", "body.data.orders.email=personal"]].concat(), "");
    assert!(ok, "{text}");
    let new = ["task", "new", "Refund 4990 for the order 1", "--agent", "robin", "--target", "gql", "--auto-reads"];
    let (ok, text) = machine.person(&[&new[..], &["--may", "call POST /graphql"]].concat(), "");
    assert!(ok, "{text}");
    machine.pass_of("gql")
}

fn request(query: &str) -> String {
    let body = json!({ "query": query, "variables": { "id": "1" } });
    format!("POST /graphql\ncontent-type: application/json\n\n{body}")
}

fn propose(machine: &Machine, artifact: &str, pass: &str) -> Value {
    let arguments = ["propose", "--json", "--target", "gql", "--purpose", "as asked"];
    let out = machine.run(&arguments, artifact, Some(pass));
    let answer: Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)));
    match (answer["status"].as_str(), answer["proposal_id"].as_str()) {
        (Some("pending" | "denied"), _) | (_, None) => answer,
        (_, Some(id)) => machine.json(&["wait", id], "", Some(pass)),
    }
}

#[test]
fn queries_are_reads_and_mutations_are_changes() {
    let (machine, service) = (Machine::start(), Script::start("graphql_at/server.mjs", &[("TOKEN", TOKEN)]));
    let pass = furnish(&machine, &service);
    // A query inside the scope runs by itself; what is labelled in its answer stays.
    let read = propose(&machine, &request("query Orders { orders { id state email } }"), &pass);
    assert_eq!(read["status"], "released", "{read}");
    assert!(read.to_string().contains("paid") && !read.to_string().contains("shop.example"), "{read}");
    // A mutation waits for a person, whatever it calls itself, and runs once.
    let hidden = "mutation query($id: ID!) { orders: refund(id: $id, amount: 4990) { state } }";
    let asked = propose(&machine, &request(hidden), &pass);
    assert_eq!(asked["status"], "pending", "{asked}");
    let id = asked["proposal_id"].as_str().unwrap();
    let shown = machine.json(&["show", id], "", None);
    assert_eq!(shown["row"]["headline"], "SENDS the mutation refund to /graphql", "{shown}");
    assert_eq!(shown["row"]["risk"], "high");
    assert!(service.seen().is_empty());
    let (ok, text) = machine.person(&["approve", id], "gql\n");
    assert!(ok, "{text}");
    assert_eq!(service.seen(), [json!({ "refund": "1", "amount": 4990 })]);
    assert!(!machine.person(&["approve", id], "gql\n").0);
    // Through a fragment it is a change as well, and both are named.
    let two = "mutation { ...F } fragment F on Mutation { refund(id: \"2\", amount: 1) { id } remove(id: \"2\") }";
    let two = propose(&machine, &request(two), &pass);
    let shown = machine.json(&["show", two["proposal_id"].as_str().unwrap()], "", None);
    assert_eq!(shown["row"]["headline"], "SENDS the mutation refund, remove to /graphql", "{shown}");
    // What is not one operation nobody may sign.
    for bad in [
        request("query A { orders { id } } mutation B { remove(id: \"1\") }"),
        request("{ orders { id"),
        request("subscription { orders }"),
        request("{ orders { id } }").replacen("{\"query\"", "{\"query\":\"mutation { remove(id: 1) }\",\"query\"", 1),
        request("{ orders { id } }").replace("/graphql", "/graphql?query=mutation"),
        request("{ orders { id } }").replace("application/json", "application/graphql"),
        format!("POST /graphql\ncontent-type: application/json\n\n[{}]", json!({ "query": "{ orders { id } }" })),
    ] {
        let denied = propose(&machine, &bad, &pass);
        assert_eq!(denied["status"], "denied", "{bad}: {denied}");
    }
    assert_eq!(service.seen().len(), 1);
}

/// A desk that says query where the bytes are a mutation: the executor reads them once more.
#[test]
fn a_mutation_that_is_said_to_be_a_query_is_not_sent() {
    let service = Script::start("graphql_at/server.mjs", &[("TOKEN", TOKEN)]);
    let target = wire::target::Registration {
        name: "gql".into(),
        address: wire::target::Address::Http {
            origin: service.origin(),
            requests: vec!["POST /graphql".into()],
            credential_header: Some("authorization".into()),
            credential_prefix: "Bearer ".into(),
            private: false,
            ca_file: None,
            openapi: None,
            aws: None,
        },
        environment: "test".into(),
        run_as: "the gateway".into(),
        credential: Some("gql".into()),
        credential_of: None,
        statement_timeout_ms: 5_000,
        result_rows_max: 10,
        labels: std::collections::BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        rotate_after_s: None,
        graphql: Some("/graphql".into()),
        receipts: false,
    };
    target.check().unwrap();
    let run = |target: &wire::target::Registration, text: &str, kind: Option<OperationKind>| {
        let artifact = Artifact::new(Kind::Http, text.as_bytes().to_vec()).unwrap();
        let mut effect = analyze::analyze(&artifact, &artifact::catalog::Catalog::default()).effect;
        if let Some(kind) = kind {
            let fields = vec!["remove".to_owned()];
            let request = effect.request.as_mut().unwrap();
            request.operation = Some(artifact::effect::Operation { kind, fields });
            effect.verb = request.verb().unwrap();
            effect.commits_itself = effect.verb != Verb::Read;
        }
        let job = Job {
            target: target.clone(),
            kind: Kind::Http,
            artifact: text.into(),
            effect,
            signer: "Ada".into(),
            additions: Vec::new(),
        };
        execute::perform(&Order::Run { job, ceiling_rows: 0 }, TOKEN.as_bytes(), &mut |_, _| true)
    };
    let remove = request("mutation { remove(id: \"1\") }");
    let beyond = |report: &Report| matches!(report, Report::Failed { code: FailCode::BeyondEffect, .. });
    for kind in [Some(OperationKind::Query), None] {
        assert!(beyond(&run(&target, &remove, kind)), "{kind:?}");
    }
    let mut unmarked = target.clone();
    unmarked.graphql = None;
    assert!(beyond(&run(&unmarked, &remove, Some(OperationKind::Query))));
    assert!(service.seen().is_empty());
    assert!(matches!(run(&target, &remove, Some(OperationKind::Mutation)), Report::Done { .. }));
    assert_eq!(service.seen(), [json!({ "remove": "1" })]);
}
