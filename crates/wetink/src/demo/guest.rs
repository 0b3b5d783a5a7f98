//! The demo with a person at the browser: the guest makes a passkey, reviews, signs, releases and says no; the terminal
//! shows what the agent gets to see of it.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use artifact::ProposalId;
use doors::agents::{ProposalAnswer, Status};
use doors::people::GrantRequest;

use crate::demo::scenes::{self, REFUND, Stage};

/// Rows of a released result that the terminal shows.
const ROWS_SHOWN: usize = 3;

/// All four scenes, at the guest's pace.
pub(crate) async fn play(stage: &Stage<'_>, people: &str) -> Result<()> {
    let_in(stage, people).await?;
    scenes::read_in_scope(stage).await.context("scene 1")?;
    let answer = stage.robin.propose("shop", REFUND, "refund orders of batch B-1112, see ticket 4411", 0).await?;
    println!(
        "\n▸ 2/4  Robin proposes an update and waits for you. Read it, sign it, then release what Robin may have:"
    );
    follow(stage, people, answer.proposal_id).await.context("scene 2")?;
    println!("\n▸ 3/4  Robin says \"just a quick read-only check\". See what it really is, and say no:");
    let answer = stage.robin.propose("shop", "DELETE FROM customers", "just a quick read-only check", 0).await?;
    follow(stage, people, answer.proposal_id).await.context("scene 3")?;
    println!("\n▸ 4/4  An admin tampers with the log:");
    scenes::tampered_log(stage).context("scene 4")?;
    Ok(())
}

/// The guest's passkey is granted by the demo's own admin key, without the comparison that a real admin makes.
async fn let_in(stage: &Stage<'_>, people: &str) -> Result<()> {
    let url = format!("{people}/join");
    println!("You review here. Make a passkey first (it is for this throw-away gateway only):\n  {url}");
    open_browser(&url);
    let asked = loop {
        if let Some(asked) = stage.ada.key_requests().await?.pop() {
            break asked;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    let (person, key) = (asked.person.clone(), asked.key);
    stage.ada.grant(GrantRequest::Key { person, key, roles: vec!["reviewer".to_owned()] }).await?;
    println!(
        "Granted to {} ({}). A real admin compares these words with you before signing. Sign in, then go on.\n",
        artifact::visible(&asked.person),
        asked.words
    );
    Ok(())
}

/// Tells each change of state as the agent sees it, until there is nothing more to wait for.
async fn follow(stage: &Stage<'_>, people: &str, id: ProposalId) -> Result<()> {
    let url = format!("{people}/r/{id}");
    println!("  {url}");
    open_browser(&url);
    let mut last = Status::Pending;
    loop {
        let seen = stage.robin.get(id, 25).await?;
        if seen.status == last {
            continue;
        }
        last = seen.status;
        println!("  Robin sees: {}{}", last.as_str(), told(&seen));
        if !matches!(last, Status::Pending | Status::Approved | Status::Running | Status::Held) {
            return Ok(());
        }
    }
}

fn told(seen: &ProposalAnswer) -> String {
    if let Some(reason) = &seen.reason {
        return format!(" · \"{}\"", artifact::visible(reason));
    }
    let Some(rows) = seen.result.as_ref().and_then(|result| result["rows"].as_array()) else { return String::new() };
    let mut text = format!(" · {} rows", rows.len());
    for row in rows.iter().take(ROWS_SHOWN) {
        text.push_str("\n    ");
        text.push_str(&artifact::visible(&row.to_string()));
    }
    text
}

/// Opens a page where there is a desktop; the address stands in the terminal anyhow.
fn open_browser(url: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if desktop {
        "xdg-open"
    } else {
        return;
    };
    let _ = Command::new(program).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}
