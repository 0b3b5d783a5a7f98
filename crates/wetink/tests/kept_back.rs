//! What a person kept back is recognized when it turns up, and a planted marker ends the session that carries it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use base64::Engine as _;
use machine::{Asked, Machine, ask};
use serde_json::Value;

fn propose(machine: &Machine, pass: &str, sql: &str) -> Value {
    machine.json(&["propose", "--target", "shop", "--purpose", "look", "-"], sql, Some(pass))
}

fn findings(machine: &Machine, proposal: &Value) -> Vec<String> {
    let shown = machine.json(&["show", proposal["proposal_id"].as_str().unwrap()], "", None);
    let codes = shown["findings"].as_array().unwrap().iter();
    codes.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn alerts(machine: &Machine) -> Vec<String> {
    let alerts = machine.json(&["alerts"], "", None);
    alerts.as_array().unwrap().iter().map(|alert| alert["signal"].as_str().unwrap().to_owned()).collect()
}

/// Approves it and answers its run.
fn approve(machine: &Machine, proposal: &Value) -> String {
    let id = proposal["proposal_id"].as_str().unwrap();
    let arm = machine.json(&["show", id], "", None)["arm"].as_str().unwrap_or_default().to_owned();
    let (ok, text) = machine.person(&["approve", id], &format!("{arm}\n"));
    assert!(ok, "{text}");
    machine.json(&["show", id], "", None)["run"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_kept_back_is_seen_when_it_turns_up_and_no_agent_is_told() {
    let machine = Machine::start();
    let pass = machine.furnish();
    // Sizes are the server's own estimate.
    rusqlite::Connection::open(machine.path("shop.db")).unwrap().execute_batch("ANALYZE").unwrap();
    let read = propose(&machine, &pass, "SELECT id, customer FROM orders WHERE id <= 12");
    let id = read["proposal_id"].as_str().unwrap();
    let (ok, text) = machine.person(&["approve", id], "");
    assert!(ok, "{text}");
    let run = machine.json(&["show", id], "", None)["run"].as_str().unwrap().to_owned();
    let (ok, text) = machine.person(&["result", "show", &run], "");
    assert!(ok && text.contains("up to 30 % of main.orders (12 of about 40 rows)"), "{text}");
    let (ok, text) = machine.person(&["result", "release", &run, "--column", "id", "--mask", "customer"], "");
    assert!(ok, "{text}");

    let with = "UPDATE orders SET status = 'refunded' WHERE customer = 'C7@example.com'";
    let check = machine.json(&["check", "--target", "shop", "-"], with, Some(&pass));
    assert!(!check.to_string().contains("held_value"), "an agent can ask which guess is right: {check}");
    let proposal = propose(&machine, &pass, with);
    assert!(!proposal.to_string().contains("held_value"), "{proposal}");
    assert!(findings(&machine, &proposal).contains(&"held_value".to_owned()));
    // A value of the same kind that stands in no result is none.
    let other = propose(&machine, &pass, "UPDATE orders SET status = 'refunded' WHERE customer = 'c31@example.com'");
    assert!(!findings(&machine, &other).contains(&"held_value".to_owned()));
    assert!(alerts(&machine).contains(&"held_value".to_owned()) && alerts(&machine).contains(&"share".to_owned()));

    // What an agent wrote before it stood in a result is nothing that was kept from it; what it writes only later is.
    let write = propose(&machine, &pass, "UPDATE orders SET status = 'written-by-robin-17' WHERE id = 20");
    approve(&machine, &write);
    let read = propose(&machine, &pass, "SELECT status, customer FROM orders WHERE id = 20");
    let run = approve(&machine, &read);
    assert!(machine.person(&["result", "show", &run], "").0);
    let again = propose(&machine, &pass, "UPDATE orders SET status = 'written-by-robin-17' WHERE id = 21");
    assert!(!findings(&machine, &again).contains(&"held_value".to_owned()), "{again}");
    for _ in 0..2 {
        let leak = propose(&machine, &pass, "UPDATE orders SET status = 'c20@example.com' WHERE id = 21");
        assert!(findings(&machine, &leak).contains(&"held_value".to_owned()), "{leak}");
    }
}

#[test]
fn a_planted_marker_ends_the_session_that_carries_it() {
    let machine = Machine::start();
    let pass = machine.furnish();
    let bearer = |pass: &str| [("authorization", format!("Bearer {pass}"))];
    let describe = |pass: &str| {
        let (base, path) = (machine.agents.as_str(), "/v1/targets/shop");
        ask(&Asked { base, method: "GET", path, headers: &bearer(pass), body: "" })
    };
    let (status, _, body) = describe(&pass);
    assert_eq!(status, 200, "{body}");
    let marker = body.split("Reference ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    // A marker of nobody's making is a word.
    let word = propose(&machine, &pass, "SELECT id FROM orders WHERE status = 'wckabcdefghijklmnopqrst'");
    assert_ne!(word["status"], "denied", "{word}");
    let carried = propose(&machine, &pass, &format!("SELECT id FROM orders WHERE status = 'context: {marker}'"));
    assert_eq!(carried["status"], "denied", "{carried}");
    assert_eq!(describe(&pass).0, 401);
    assert!(alerts(&machine).contains(&"canary".to_owned()));
    // One from a decoy record, in base64; it ends a session of another task the same way.
    let pass = machine.pass_of("shop");
    let planted = machine.json(&["canary", "--count", "1"], "", None)[0].as_str().unwrap().to_owned();
    let hidden = base64::engine::general_purpose::STANDARD.encode(format!("row: {planted}"));
    let carried = propose(&machine, &pass, &format!("SELECT id FROM orders WHERE status = '{hidden}'"));
    assert_eq!(carried["status"], "denied", "{carried}");
    assert_eq!(describe(&pass).0, 401);
}
