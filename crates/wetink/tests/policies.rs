//! A policy of one's own: tested beside its file, tried on what was, put in force by a signature, and refused when it does not fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use machine::{Asked, Machine, ask};

const OWN: &str = r#"
@id("reads-run") @reason("reads inside the scope run")
permit (principal, action == Action::"run", resource) when { context.task.auto_reads && context.read_only && context.in_scope };
@id("writes-ask-two") @reason("writes take two") @quorum("2")
permit (principal, action == Action::"ask", resource) when { context.understood };
@id("no-deletes") @reason("nothing is deleted through agents")
forbid (principal, action, resource) when { context.verb == "delete" };
"#;
const TESTS: &str = r#"[
    {"name": "a read runs", "verb": "read", "expect": "allow", "rule": "reads-run"},
    {"name": "a write takes two", "verb": "update", "expect": "ask", "quorum": 2},
    {"name": "nothing is deleted", "verb": "delete", "expect": "deny"}
]"#;

#[test]
fn a_policy_is_tested_tried_and_signed() {
    let machine = Machine::start();
    let pass = machine.furnish();
    let propose = |sql: &str| machine.json(&["propose", "--target", "shop", "--purpose", "try"], sql, Some(&pass));
    let update = propose("UPDATE orders SET status = 'x' WHERE id = 1");
    assert_eq!(update["status"], "pending", "{update}");
    let read = propose("SELECT id FROM orders WHERE id = 1");
    machine.json(&["wait", read["proposal_id"].as_str().unwrap()], "", Some(&pass));

    let file = machine.path("careful.cedar");
    let (path, beside) = (file.to_str().unwrap(), file.with_extension("tests.json"));
    let check = || {
        let out = machine.run(&["policy", "check", path], "", None);
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let refused = |why: &str| {
        let (ok, text) = check();
        assert!(!ok && text.contains(why), "{why}: {text}");
        let (ok, _) = machine.person(&["policy", "apply", path], "");
        assert!(!ok, "{why}");
    };
    refused("careful.cedar");
    for (text, why) in [
        ("permit (principal, action, resource)", "does not parse"),
        ("permit (principal, action, resource) when { context.nonsense };", "does not fit the schema"),
        ("@quorum(\"99\") permit (principal, action, resource);", "quorum"),
    ] {
        std::fs::write(&file, text).unwrap();
        refused(why);
    }
    std::fs::write(&file, OWN).unwrap();
    std::fs::write(&beside, TESTS.replace("\"allow\"", "\"ask\"")).unwrap();
    refused("a read runs: allow by reads-run, expected ask");
    std::fs::write(&beside, "[{}]").unwrap();
    refused("its tests");
    std::fs::write(&beside, TESTS).unwrap();
    let (ok, text) = check();
    assert!(ok && text.contains("3 tests hold"), "{text}");

    // What it changes is told before anybody signs it, and nothing is changed by asking.
    let before = machine.json(&["policy", "show"], "", None);
    let told = machine.json(&["policy", "replay", path], "", None);
    assert_eq!((&told["looked_at"], &told["differ"]), (&2.into(), &1.into()), "{told}");
    assert_eq!((&told["changed"][0]["was"], &told["changed"][0]["now"]), (&"ask".into(), &"ask 2".into()), "{told}");
    assert_eq!(machine.json(&["policy", "show"], "", None), before);
    let alone = machine.run(&["policy", "apply", path], "", None);
    assert!(!alone.status.success(), "without a person nothing is put in force");
    let (ok, text) = machine.person(&["policy", "apply", path], "");
    assert!(ok && text.contains("1 of the last 2 proposals would come out otherwise"), "{text}");

    assert_eq!(propose("DELETE FROM orders WHERE id = 1")["status"], "denied");
    let id = propose("UPDATE orders SET status = 'y' WHERE id = 2")["proposal_id"].as_str().unwrap().to_owned();
    assert_eq!(machine.json(&["show", &id], "", None)["quorum"], 2);
}

/// A type's file says what may be done and what never; a policy says which agent may do which type.
#[test]
fn what_a_task_never_allows_nobody_can_sign() {
    let machine = Machine::start();
    machine.furnish();
    let types = machine.path("home/desk/task-types");
    std::fs::create_dir_all(&types).unwrap();
    std::fs::write(
        types.join("refunds.toml"),
        "may = [\"read main.orders\", \"update main.orders(status)\"]\nnever = [\"delete main.*\", \"update main.orders(customer)\"]\nrows_per_run = 7\n",
    )
    .unwrap();
    let new = |title: &str, more: &[&str]| {
        machine.person(&[&["task", "new", title, "--agent", "robin", "--target", "shop"], more].concat(), "")
    };
    assert!(!new("Nothing at all", &[]).0);
    assert!(!new("An odd type", &["--type", "../refunds"]).0);
    std::fs::write(types.join("broken.toml"), "mai = []").unwrap();
    assert!(!new("A broken type", &["--type", "broken"]).0);
    let (ok, text) = new("Refund what was returned", &["--type", "refunds", "--never", "insert main.orders"]);
    for line in ["type: refunds", "never: delete main.*", "never: insert main.orders", "rows-per-run: 7"] {
        assert!(ok && text.contains(line), "{line}: {text}");
    }
    let tasks = machine.json(&["task", "list"], "", None);
    let mut statements = tasks.as_array().unwrap().iter().filter_map(|task| task["statement"].as_str());
    let ours = statements.find(|statement| statement.contains("\ntype: refunds\n")).unwrap();
    let task = ours.lines().find_map(|line| line.strip_prefix("task: ")).unwrap();
    let pass = machine.json(&["task", "pass", task], "", None)["pass"].as_str().unwrap().to_owned();
    let propose = |sql: &str| machine.json(&["propose", "--target", "shop", "--purpose", "try"], sql, Some(&pass));
    assert_eq!(propose("UPDATE orders SET status = 'x' WHERE id = 1")["status"], "pending");
    for sql in [
        "DELETE FROM orders WHERE id = 1",
        "UPDATE orders SET status = 'x', customer = 'y' WHERE id = 1",
        "INSERT INTO orders VALUES (99, 'x', 'y')",
        "REPLACE INTO orders VALUES (1, 'x', 'y')",
        "DROP TABLE orders",
    ] {
        let answer = propose(sql);
        assert!(
            answer["status"] == "denied" && answer["reasons"].to_string().contains("task-never"),
            "{sql}: {answer}"
        );
    }
    let (base, headers) = (machine.agents.as_str(), [("authorization", format!("Bearer {pass}"))]);
    let (_, _, targets) = ask(&Asked { base, method: "GET", path: "/v1/targets", headers: &headers, body: "" });
    assert!(targets.contains("never delete main.*"), "{targets}");

    let file = machine.path("types.cedar");
    let policy = OWN.replace(
        "@id(\"no-deletes\")",
        "@id(\"not-robin\") @reason(\"robin does no refunds\")
forbid (principal == Agent::\"robin\", action, resource) when { context.task.type == \"refunds\" };
@id(\"no-deletes\")",
    );
    std::fs::write(&file, policy).unwrap();
    std::fs::write(
        file.with_extension("tests.json"),
        r#"[{"name": "not robin", "verb": "update", "agent": "robin", "task_type": "refunds", "expect": "deny", "rule": "not-robin"},
            {"name": "another", "verb": "update", "agent": "sam", "task_type": "refunds", "expect": "ask", "quorum": 2}]"#,
    )
    .unwrap();
    let (ok, text) = machine.person(&["policy", "apply", file.to_str().unwrap()], "");
    assert!(ok, "{text}");
    let answer = propose("UPDATE orders SET status = 'z' WHERE id = 3");
    assert!(answer["status"] == "denied" && answer["reasons"].to_string().contains("not-robin"), "{answer}");
}
