//! The drill on a running installation: everything holds, nothing is changed, and what does not hold is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::os::unix::fs::PermissionsExt as _;

use machine::Machine;
use serde_json::Value;

#[test]
fn a_drill_tries_everything_and_changes_nothing() {
    let machine = Machine::start();
    let pass = machine.furnish();
    let sql = "UPDATE orders SET status = 'refunded' WHERE id = 1";
    let waiting = machine.json(&["propose", "--target", "shop", "--purpose", "refund"], sql, Some(&pass));
    let id = waiting["proposal_id"].as_str().unwrap();
    let entries = || -> Vec<String> {
        let log = machine.json(&["audit", "search"], "", None);
        let events = log.as_array().unwrap().iter().map(|row| row["entry"].as_str().unwrap().to_owned());
        events
            .filter(|entry| {
                ["\"started\"", "\"approved\"", "\"key_granted\"", "\"stopped\""].iter().any(|e| entry.contains(e))
            })
            .collect()
    };
    let before = entries();
    let tried = machine.json(&["drill"], "", Some(&pass));
    let tried = tried.as_array().unwrap();
    let not_held: Vec<&Value> = tried.iter().filter(|one| one["held"] != true).collect();
    assert!(not_held.is_empty(), "{not_held:#?}");
    for area in [
        "no identity",
        "malformed input",
        "an agent's pass",
        "forged signatures",
        "a changed log",
        "another account here",
    ] {
        assert!(tried.iter().filter(|one| one["area"] == area).count() >= 2, "{area}");
    }
    assert!(tried.len() >= 40, "{}", tried.len());
    assert_eq!(entries(), before, "nothing is signed, granted, run or stopped");
    assert_eq!(machine.json(&["show", id], "", None)["row"]["status"], "pending");
    let home = machine.path("home");
    assert!(
        std::fs::read_dir(&home)
            .unwrap()
            .flatten()
            .all(|file| !file.file_name().to_string_lossy().starts_with("drill-"))
    );
    assert!(!String::from_utf8_lossy(&machine.run(&["drill"], "", None).stdout).contains("FELL"));

    // What does not hold is told, and the command fails.
    let guard = home.join("guard");
    std::fs::set_permissions(&guard, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = machine.run(&["drill"], "", Some(&pass));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("FELL  the guard's folder") && text.contains("1 fell"), "{text}");
    std::fs::set_permissions(&guard, std::fs::Permissions::from_mode(0o700)).unwrap();
}
