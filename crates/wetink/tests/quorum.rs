//! Several people sign one run: each once, never who asked for it, and it runs when enough have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use machine::{Machine, WETINK};
use serde_json::Value;

fn status(machine: &Machine, id: &str) -> String {
    machine.json(&["show", id], "", None)["row"]["status"].as_str().unwrap().to_owned()
}

fn orders(machine: &Machine, sql: &str) -> i64 {
    let db = rusqlite::Connection::open(machine.path("shop.db")).unwrap();
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn propose(machine: &Machine, pass: &str, target: &str, sql: &str) -> String {
    let asked = machine.json(&["propose", "--target", target, "--purpose", "try"], sql, Some(pass));
    assert_eq!(asked["status"], "pending", "{asked}");
    asked["proposal_id"].as_str().unwrap().to_owned()
}

/// Ada's task on a target where two others have to sign. Answers the agent's pass.
fn guarded(machine: &Machine) -> String {
    let address = format!("sqlite:{}", machine.path("shop.db").display());
    let (ok, text) = machine.person(&["target", "add", "ledger", &address, "--quorum", "2", "--not-requester"], "");
    assert!(ok, "{text}");
    let scope = ["--may", "read main.orders", "--may", "update main.orders(status)"];
    let task = [&["task", "new", "Close the books", "--agent", "robin", "--target", "ledger"], &scope[..]].concat();
    let (ok, text) = machine.person(&task, "");
    assert!(ok, "{text}");
    let tasks = machine.json(&["task", "list"], "", None);
    let statement = |task: &Value| task["statement"].as_str().unwrap().to_owned();
    let books = tasks.as_array().unwrap().iter().map(statement).find(|text| text.contains("Close the books")).unwrap();
    let task = books.lines().find_map(|l| l.strip_prefix("task: ")).unwrap().to_owned();
    machine.json(&["task", "pass", &task], "", None)["pass"].as_str().unwrap().to_owned()
}

#[test]
fn enough_others_sign_the_same_statement_and_it_runs_once() {
    let mut machine = Machine::start();
    machine.furnish();
    for (person, key) in [("Bo", "bo"), ("Cy", "cy"), ("Di", "di")] {
        machine.reviewer(person, key);
    }
    let pass = guarded(&machine);
    let id = propose(&machine, &pass, "ledger", "UPDATE orders SET status = 'closed' WHERE id = 1");

    let (ok, text) = machine.person(&["approve", &id], "");
    assert!(!ok && text.contains("may not sign this one"), "{text}");
    let (ok, text) = machine.person_with("bo", &["approve", &id], "");
    assert!(ok && text.contains("1 of 2"), "{text}");
    let (ok, text) = machine.person_with("bo", &["approve", &id], "");
    assert!(ok && text.contains("1 of 2"), "the same person twice: {text}");
    assert_eq!(
        (status(&machine, &id).as_str(), orders(&machine, "SELECT count(*) FROM orders WHERE status = 'closed'")),
        ("pending", 0)
    );
    let view = machine.json(&["show", &id], "", None);
    assert_eq!(
        (&view["quorum"], &view["signed_by"], &view["not_by"]),
        (&2.into(), &["Bo"].into_iter().collect(), &["Ada"].into_iter().collect())
    );
    assert!(view["statement"].as_str().unwrap().contains("\nquorum: 2\nnot-by: Ada\n"));

    // What was signed stays over a kill.
    let folder = machine.killed();
    machine = Machine::start_in(folder, WETINK);
    let (ok, text) = machine.person_with("cy", &["approve", &id], "");
    assert!(ok && text.contains("ran"), "{text}");
    assert_eq!(orders(&machine, "SELECT count(*) FROM orders WHERE status = 'closed'"), 1);
    let (ok, _) = machine.person_with("di", &["approve", &id], "");
    assert!(!ok, "there is nothing left to sign");

    // Offline, the same rules hold over what the log has.
    let export = machine.path("export");
    let exported = machine.run(&["audit", "export", export.to_str().unwrap()], "", None);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let verified = machine.run(&["audit", "verify", export.to_str().unwrap()], "", None);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn of_people_who_sign_at_once_each_counts_once() {
    let machine = Machine::start();
    machine.furnish();
    let people = ["bo", "cy", "di", "ed"];
    for key in people {
        machine.reviewer(key, key);
    }
    let pass = guarded(&machine);
    let id = propose(&machine, &pass, "ledger", "UPDATE orders SET status = status || '+' WHERE id = 1");
    std::thread::scope(|scope| {
        for key in people {
            let (machine, id) = (&machine, id.as_str());
            // Whoever meets somebody else's signature looks again and signs that.
            scope.spawn(move || {
                (0..5).any(|_| machine.person_with(key, &["approve", id], "").0 || status(machine, id) != "pending")
            });
        }
    });
    assert_eq!(
        (status(&machine, &id).as_str(), orders(&machine, "SELECT count(*) FROM orders WHERE status = 'paid+'")),
        ("held", 1)
    );
}

#[test]
fn a_policy_asks_for_others_and_for_two() {
    let machine = Machine::start();
    let pass = machine.furnish();
    machine.reviewer("Bo", "bo");
    machine.reviewer("Cy", "cy");
    let (ok, text) = machine.person(&["policy", "set", "regulated"], "");
    assert!(ok, "{text}");
    let id = propose(&machine, &pass, "shop", "UPDATE orders SET status = 'two' WHERE id = 2");
    let (ok, text) = machine.person(&["approve", &id], "main.orders\n");
    assert!(!ok && text.contains("may not sign this one"), "{text}");
    for (key, said) in [("bo", "1 of 2"), ("cy", "ran")] {
        let (ok, text) = machine.person_with(key, &["approve", &id], "main.orders\n");
        assert!(ok && text.contains(said), "{text}");
    }
    assert_eq!(orders(&machine, "SELECT count(*) FROM orders WHERE status = 'two'"), 1);
}

#[test]
fn a_signature_whose_key_was_revoked_does_not_count() {
    let machine = Machine::start();
    machine.furnish();
    for (person, key) in [("Bo", "bo"), ("Cy", "cy"), ("Di", "di")] {
        machine.reviewer(person, key);
    }
    let pass = guarded(&machine);
    let id = propose(&machine, &pass, "ledger", "UPDATE orders SET status = 'closed' WHERE id = 3");
    let (ok, text) = machine.person_with("bo", &["approve", &id], "");
    assert!(ok && text.contains("1 of 2"), "{text}");
    let keys = machine.json(&["key", "list"], "", None);
    let fingerprint = keys.as_array().unwrap().iter().find(|k| k["person"] == "Bo").unwrap()["fingerprint"].clone();
    let (ok, text) = machine.person(&["key", "revoke", fingerprint.as_str().unwrap()], "");
    assert!(ok, "{text}");
    let (ok, text) = machine.person_with("cy", &["approve", &id], "");
    assert!(ok && text.contains("1 of 2"), "only Cy counts: {text}");
    assert_eq!(orders(&machine, "SELECT count(*) FROM orders WHERE status = 'closed'"), 0);
    let (ok, text) = machine.person_with("di", &["approve", &id], "");
    assert!(ok && text.contains("ran"), "{text}");
    assert_eq!(orders(&machine, "SELECT count(*) FROM orders WHERE status = 'closed'"), 1);
}
