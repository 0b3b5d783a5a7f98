//! A policy of one's own: tested beside its file, tried on what was, put in force by a signature, and refused when it does not fit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use machine::Machine;

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
