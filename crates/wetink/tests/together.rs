//! Several proposals under one signature, in a terminal: each is shown, each runs by itself, and the log is checked without the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use artifact::claim::{Signature, Signed};
use artifact::{ProposalId, TaskId};
use machine::{Asked, Machine, ask, session, signed};
use serde_json::{Value, json};

fn propose(machine: &Machine, pass: &str, sql: &str) -> String {
    let answer = machine.json(&["propose", "--target", "shop", "--purpose", "tidy"], sql, Some(pass));
    assert_eq!(answer["status"], "pending", "{answer}");
    answer["proposal_id"].as_str().unwrap().to_owned()
}

fn status(machine: &Machine, id: &str) -> String {
    machine.json(&["show", id], "", None)["row"]["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn one_signature_runs_each_of_them_once() {
    let machine = Machine::start();
    let pass = machine.furnish();
    let update = |n: u32| format!("UPDATE orders SET status = status || '!' WHERE id = {n}");
    let ids: Vec<String> = (1..=4).map(|n| propose(&machine, &pass, &update(n))).collect();
    let [a, b, c, d] = [&ids[0], &ids[1], &ids[2], &ids[3]].map(String::as_str);
    // One no ends it, and a name that does not exist, one that is grave, one that is decided.
    let (ok, text) = machine.person(&["approve", a, b], "yes\nno\n");
    assert!(!ok && text.contains("nothing was signed"), "{text}");
    let every = propose(&machine, &pass, "UPDATE orders SET status = status || '!'");
    for other in [every.as_str(), &ProposalId::random().to_string()] {
        assert!(!machine.person(&["approve", a, other], "yes\nyes\n").0);
    }
    let (ok, text) = machine.person(&["approve", a, b, c], "yes\nyes\nyes\n");
    assert!(ok, "{text}");
    for id in [a, b, c] {
        assert_eq!(status(&machine, id), "held", "{id}");
        assert!(text.contains(&format!("approve: {id} r1 sha256:")), "{text}");
    }
    assert_eq!(status(&machine, d), "pending");
    assert!(!machine.person(&["approve", a, d], "yes\nyes\n").0, "decided already");
    let shop = rusqlite::Connection::open(machine.path("shop.db")).unwrap();
    let changed = |sql: &str| shop.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(changed("SELECT count(*) FROM orders WHERE status = 'paid!' AND id <= 3"), 3);
    assert_eq!(changed("SELECT count(*) FROM orders WHERE status <> 'paid'"), 3);

    // Offline: every approval in the log is one, with its list.
    let file = machine.path("log.wetink");
    let exported = machine.run(&["audit", "export", file.to_str().unwrap()], "", None);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let verified = machine.run(&["audit", "verify", file.to_str().unwrap()], "", None);
    let said = String::from_utf8_lossy(&[verified.stdout, verified.stderr].concat()).into_owned();
    assert!(verified.status.success(), "{said}");
}

/// A desk would not offer it; whoever speaks to it by hand gets no more.
#[test]
fn what_is_grave_or_not_in_the_list_is_not_signed_with_others() {
    let machine = Machine::start();
    let pass = machine.furnish();
    let ids: Vec<String> = (1..=3)
        .map(|n| propose(&machine, &pass, &format!("UPDATE orders SET status = status || '!' WHERE id = {n}")))
        .collect();
    let every = propose(&machine, &pass, "UPDATE orders SET status = status || '!'");
    let token = session(&machine, &machine.path("key"));
    let headers = [("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {token}"))];
    let post = |path: &str, body: &Value| {
        let body = body.to_string();
        let (status, _, body) =
            ask(&Asked { base: &machine.people, method: "POST", path, headers: &headers, body: &body });
        (status, serde_json::from_str::<Value>(&body).unwrap_or_default())
    };
    let get = |id: &str| {
        let path = format!("/api/v1/proposals/{id}");
        let (_, _, body) =
            ask(&Asked { base: &machine.people, method: "GET", path: &path, headers: &headers, body: "" });
        serde_json::from_str::<Value>(&body).unwrap()["statement"].as_str().unwrap().to_owned()
    };
    for bad in [
        json!([]),
        json!([ids[0]]),
        json!([ids[0], ids[0]]),
        json!([ids[0], every]),
        json!(vec![ProposalId::random(); 21]),
    ] {
        let (status, body) = post("/api/v1/together", &json!({ "proposals": bad }));
        assert!((400..500).contains(&status), "{status} {body}");
    }
    let sign = |statements: &[&str], task: Option<TaskId>| {
        let approvals: Vec<_> =
            statements.iter().map(|text| approve::statement::Approval::parse(text).unwrap()).collect();
        let items = statements
            .iter()
            .zip(&approvals)
            .map(|(text, a)| (a.proposal, a.revision, artifact::Digest::of(text.as_bytes())))
            .collect();
        let (gateway, own) = (approvals[0].gateway, approvals[0].task);
        let batch = approve::statement::Batch { gateway, task: task.unwrap_or(own), target_name: "shop".into(), items };
        let text = batch.to_text().unwrap();
        let armored = signed(&machine.path("key"), approve::NAMESPACE, &text);
        (text, Signature::Ssh { armored })
    };
    let (one, two, three, grave) = (get(&ids[0]), get(&ids[1]), get(&ids[2]), get(&every));
    let try_one = |id: &str, statement: &str, (batch, signature): &(String, Signature)| {
        let claim =
            Signed { statement: statement.to_owned(), batch: Some(batch.clone()), signatures: vec![signature.clone()] };
        post(&format!("/api/v1/proposals/{id}/approve"), &serde_json::to_value(claim).unwrap()).0
    };
    let list = sign(&[&one, &two], None);
    assert_ne!(try_one(&ids[2], &three, &list), 200, "not in the list");
    assert_ne!(try_one(&every, &grave, &sign(&[&one, &grave], None)), 200, "grave");
    assert_ne!(try_one(&ids[0], &one, &sign(&[&one, &two], Some(TaskId::random()))), 200, "another task");
    assert_eq!(try_one(&ids[0], &one, &list), 200);
    assert_ne!(try_one(&ids[0], &one, &list), 200, "a second time");
    assert_eq!(try_one(&ids[1], &two, &list), 200, "the other one still is one");
    let shop = rusqlite::Connection::open(machine.path("shop.db")).unwrap();
    let count: i64 =
        shop.query_row("SELECT count(*) FROM orders WHERE status <> 'paid'", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 2);
}
