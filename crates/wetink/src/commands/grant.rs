//! Granting: keys, tasks, policy. Each is a statement that a person signs.

use anyhow::Result;
use artifact::{Digest, TaskId};
use doors::people::{GrantRequest, NewPass, Overview};

use crate::person::{Terminal, line};

/// What is granted.
pub(crate) async fn list(terminal: &Terminal, what: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    let overview: Overview = client.get("/api/v1/overview").await?;
    let registry = overview.registry;
    match what {
        "targets" => terminal.print(&registry.targets, || {
            let line = |t: &wire::socket::TargetView| {
                format!(
                    "{:<20} {:<16} {:<8} {}\n",
                    t.registration.name,
                    t.registration.kind(),
                    t.registration.environment,
                    t.fingerprint
                )
            };
            registry.targets.iter().map(line).collect()
        }),
        "keys" => terminal.print(&registry.keys, || {
            let line = |k: &wire::socket::KeyView| {
                let state = k.revoked_at.map_or("granted".to_owned(), |at| format!("revoked {at}"));
                format!("{:<16} {:<24} {state}  {}\n", artifact::visible(&k.person), k.roles.join(","), k.fingerprint)
            };
            registry.keys.iter().map(line).collect()
        }),
        _ => terminal.print(&registry.tasks, || {
            let line = |t: &wire::socket::TaskView| {
                let value = |name| line(&t.statement, name).unwrap_or_default();
                let state = t
                    .closed_at
                    .map_or_else(|| format!("open until {}", value("not-after")), |at| format!("closed {at}"));
                format!(
                    "{:<16} {state}  {}  {} rows used\n",
                    value("task"),
                    artifact::visible(value("title")),
                    t.rows_used
                )
            };
            registry.tasks.iter().map(line).collect()
        }),
    }
}

/// `task new`.
pub(crate) async fn task_new(terminal: &Terminal, request: GrantRequest) -> Result<()> {
    let client = terminal.sign_in().await?;
    let statement = terminal.grant(&client, request).await?;
    let task = line(&statement, "task").unwrap_or_default().to_owned();
    terminal.print(&serde_json::json!({ "task": task }), || {
        format!("task {task} is open\n  connect an agent: wetink connect claude-code --task {task}")
    })
}

/// A pass for an agent.
pub(crate) async fn pass(terminal: &Terminal, task: TaskId, minutes: u32, key: Option<String>) -> Result<NewPass> {
    let client = terminal.sign_in().await?;
    client.post("/api/v1/passes", &serde_json::json!({ "task": task, "minutes": minutes, "key": key })).await
}

/// Anything else that is a signed statement and nothing more.
pub(crate) async fn simple(terminal: &Terminal, request: GrantRequest, done: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    terminal.grant(&client, request).await?;
    terminal.print(&serde_json::json!({ "done": done }), || done.to_owned())
}

/// Presses stop. No signature: stopping is always free.
pub(crate) async fn stop(terminal: &Terminal, scope: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    client.post::<serde_json::Value>("/api/v1/stop", &serde_json::json!({ "scope": scope })).await?;
    terminal.print(&serde_json::json!({ "stopped": scope }), || {
        format!("stopped: {scope}. Resume with `wetink resume {scope}` (needs a signature).")
    })
}

/// Revokes a key.
pub(crate) async fn revoke(terminal: &Terminal, fingerprint: Digest) -> Result<()> {
    simple(terminal, GrantRequest::RevokeKey { fingerprint }, "the key is revoked").await
}

/// What a service needs to check receipts.
pub(crate) async fn receipts(terminal: &Terminal) -> Result<()> {
    let client = terminal.sign_in().await?;
    let overview: Overview = client.get("/api/v1/overview").await?;
    let registry = overview.registry;
    let may_sign = |key: &&wire::socket::KeyView| key.revoked_at.is_none() && key.roles.iter().any(|r| r == "reviewer");
    let people: Vec<_> = registry.keys.iter().filter(may_sign).collect();
    let shown = serde_json::json!({
        "gateway": overview.gateway, "key": registry.receipt_key,
        "people": people.iter().map(|key| serde_json::json!({ "person": key.person, "key": key.key })).collect::<Vec<_>>(),
    });
    terminal.print(&shown, || {
        let person = |key: &&wire::socket::KeyView| format!("person {}; {}\n", artifact::visible(&key.person), key.key);
        let people: String = people.iter().map(person).collect();
        format!("gateway {} {}\n{}", overview.gateway, registry.receipt_key, people.trim_end())
    })
}
