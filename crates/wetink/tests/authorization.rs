//! Who may do what: every route of both doors, asked by everybody who should and should not, against a golden file.
//!
//! The routes are read from the two tables that serve them, so that a new route cannot stay out of this file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod machine;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use machine::{Asked, Machine, ask, session};

/// Who gets nothing but the ways in.
const NOBODY: [&str; 7] =
    ["anonymous", "agent-as-cookie", "revoked", "logged-out", "agent-spoiled", "agent-expired", "agent-task-closed"];

type Routes = Vec<(String, String)>;

/// `route("GET", "/r/{id}", Needs::Reader)` of the people's door, `http GET /v1/targets` of the agents'.
fn routes() -> (Routes, Routes) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let people = std::fs::read_to_string(here.join("review/src/routes.rs")).unwrap();
    let mut parts = people.lines().filter(|l| l.trim_start().starts_with("route(\"")).map(|l| l.split('"'));
    let people: Vec<_> =
        parts.by_ref().map(|mut p| (p.nth(1).unwrap().to_owned(), p.nth(1).unwrap().to_owned())).collect();
    let agents = std::fs::read_to_string(here.join("intake/verbs.golden")).unwrap();
    let agents = agents.lines().filter_map(|l| l.strip_prefix("http ")).map(|l| l.split(' '));
    let agents: Vec<_> = agents.map(|mut p| (p.next().unwrap().to_owned(), p.next().unwrap().to_owned())).collect();
    assert!(people.len() > 40 && agents.len() > 8, "the tables were not found");
    (people, agents)
}

fn key(machine: &Machine, name: &str) -> PathBuf {
    let path = machine.path(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status().unwrap();
    assert!(made.success());
    path
}

#[test]
fn everybody_gets_what_the_golden_file_says() {
    let machine = Machine::start();
    let pass = machine.furnish();
    let (auditor_key, gone_key) = (key(&machine, "auditor"), key(&machine, "gone"));
    for (person, key, role) in [("Olga", &auditor_key, "auditor"), ("Gus", &gone_key, "reviewer")] {
        let public = key.with_extension("pub");
        let (ok, text) = machine.person(&["key", "grant", person, public.to_str().unwrap(), "--role", role], "");
        assert!(ok, "{text}");
    }
    let admin = session(&machine, &machine.path("key"));
    let auditor = session(&machine, &auditor_key);
    let revoked = session(&machine, &gone_key);
    let keys = machine.json(&["key", "list"], "", None);
    let fingerprint = keys.as_array().unwrap().iter().find(|k| k["person"] == "Gus").unwrap()["fingerprint"].clone();
    let (ok, text) = machine.person(&["key", "revoke", fingerprint.as_str().unwrap()], "");
    assert!(ok, "{text}");
    let out = session(&machine, &machine.path("key"));
    let bearer = |token: &str| ("authorization", format!("Bearer {token}"));
    let cookie = |token: &str| ("cookie", format!("__Host-wetink={token}; wetink={token}"));
    let logout = [bearer(&out), ("content-type", "application/json".to_owned())];
    ask(&Asked { base: &machine.people, method: "POST", path: "/api/v1/logout", headers: &logout, body: "{}" });
    let listed = machine.run(&["task", "list", "--json"], "", None).stdout;
    let task = String::from_utf8(listed).unwrap();
    let task = task.split("t-").nth(1).map(|rest| format!("t-{}", &rest[..12])).unwrap();
    // A pass whose hour is over: its clock is set back where the desk keeps it.
    let expired = machine.json(&["task", "pass", &task], "", None)["pass"].as_str().unwrap().to_owned();
    let desk = rusqlite::Connection::open(machine.path("home/desk/view.db")).unwrap();
    desk.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let past = desk.execute(
        "UPDATE sessions SET expires_ms = created_ms + 1 WHERE created_ms = (SELECT max(created_ms) FROM sessions)",
        [],
    );
    assert_eq!(past.unwrap(), 1);
    // One whose task was closed meanwhile.
    let tasks = || -> Vec<String> {
        let listed = String::from_utf8(machine.run(&["task", "list", "--json"], "", None).stdout).unwrap();
        listed.split("\\ntask: ").skip(1).map(|rest| rest[..14].to_owned()).collect()
    };
    let before = tasks();
    let new = ["task", "new", "To be closed", "--agent", "robin", "--target", "shop", "--may", "read main.orders"];
    let (ok, text) = machine.person(&new, "");
    assert!(ok, "{text}");
    let closing = tasks().into_iter().find(|task| !before.contains(task)).unwrap();
    let closed = machine.json(&["task", "pass", &closing], "", None)["pass"].as_str().unwrap().to_owned();
    let (ok, text) = machine.person(&["task", "close", &closing], "");
    assert!(ok, "{text}");
    let spoiled = format!("{}x", &pass[..pass.len() - 1]);

    let own = |base: &str| ("origin", base.to_owned());
    let people: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("anonymous", vec![]),
        ("agent", vec![bearer(&pass)]),
        ("agent-as-cookie", vec![cookie(&pass)]),
        ("admin", vec![bearer(&admin)]),
        ("admin-cookie", vec![cookie(&admin), own(&machine.people)]),
        ("admin-cookie-foreign-origin", vec![cookie(&admin), ("origin", "http://evil.example".to_owned())]),
        ("admin-cookie-no-origin", vec![cookie(&admin)]),
        ("admin-foreign-host", vec![bearer(&admin), ("host", "evil.example".to_owned())]),
        ("auditor", vec![bearer(&auditor)]),
        ("revoked", vec![bearer(&revoked)]),
        ("logged-out", vec![bearer(&out)]),
    ];
    let agents: Vec<(&str, Vec<(&str, String)>)> = vec![
        ("anonymous", vec![]),
        ("agent", vec![bearer(&pass)]),
        ("agent-spoiled", vec![bearer(&spoiled)]),
        ("agent-expired", vec![bearer(&expired)]),
        ("agent-task-closed", vec![bearer(&closed)]),
        ("agent-foreign-origin", vec![bearer(&pass), ("origin", "http://evil.example".to_owned())]),
        ("agent-foreign-host", vec![bearer(&pass), ("host", "evil.example".to_owned())]),
        ("admin", vec![bearer(&admin)]),
        ("auditor", vec![bearer(&auditor)]),
    ];
    let (people_routes, agent_routes) = routes();
    let mut lines = Vec::new();
    for (door, base, routes, actors) in
        [("people", &machine.people, &people_routes, &people), ("agents", &machine.agents, &agent_routes, &agents)]
    {
        for (method, route) in routes {
            let id = if route.starts_with("/tasks") { task.as_str() } else { "p-000000000000" };
            let path = route.replace("{id}", id).replace("{run}", "r-000000000000").replace("{name}", "shop");
            // What would end the sessions under test is asked last, by the route's own line elsewhere.
            if route.ends_with("/logout")
                || route.ends_with("/everywhere")
                || route.ends_with("/stop") && method == "POST"
            {
                let (status, to, _) = ask(&Asked { base, method, path: &path, headers: &[], body: "" });
                lines.push(format!("{door} {method} {route} anonymous {status} {to}").trim_end().to_owned());
                continue;
            }
            for (actor, headers) in actors {
                let mut headers = headers.clone();
                let body = if method == "POST" { "{}" } else { "" };
                if method == "POST" {
                    let form = door == "people" && !route.starts_with("/api/");
                    let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
                    headers.push(("content-type", kind.to_owned()));
                }
                let body = if route.starts_with("/api/") || door == "agents" { body } else { "" };
                let (status, location, _) = ask(&Asked { base, method, path: &path, headers: &headers, body });
                let to = if location.is_empty() {
                    String::new()
                } else {
                    format!(" {}", location.split('?').next().unwrap())
                };
                lines.push(format!("{door} {method} {route} {actor} {status}{to}"));
            }
        }
    }
    lines.sort();
    let said = lines.join("\n") + "\n";
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authorization.golden");
    if std::env::var_os("WETINK_BLESS").is_some() {
        std::fs::write(&golden, &said).unwrap();
    }
    let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
    let differs: Vec<&str> = said.lines().filter(|l| !wanted.lines().any(|w| w == *l)).collect();
    assert!(said == wanted, "the matrix changed; read it, then bless it with WETINK_BLESS=1:\n{}", differs.join("\n"));
    // Whatever the file says: nobody without a key gets anything but the ways in, and no agent gets a person's route.
    for line in said.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let (door, path, actor, status) = (words[0], words[2], words[3], words[4]);
        let way_in = path.starts_with("/static")
            || ["/login", "/enroll", "/enroll/finish", "/join"].contains(&path)
            || path.starts_with("/api/v1/login");
        // They say where to ask, to whoever asks.
        let open = path == "/openapi.json" || path == "/healthz" || path.starts_with("/.well-known/oauth-");
        if NOBODY.contains(&actor) && !way_in && !open {
            assert!(status.starts_with('4') || line.ends_with("303 /login"), "{line}");
        }
        if door == "people" && actor == "agent" && !way_in
            || door == "agents" && ["admin", "auditor"].contains(&actor) && !open
        {
            assert!(status.starts_with('4') || line.ends_with("303 /login"), "{line}");
        }
        if actor.ends_with("foreign-host") && !way_in && !open {
            assert!(status.starts_with('4'), "{line}");
        }
    }
}
