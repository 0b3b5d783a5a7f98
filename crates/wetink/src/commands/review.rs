//! Deciding in a terminal: the same facts in the same order as the page, from the same renderer.

use anyhow::Result;
use approve::statement::Batch;
use artifact::claim::Signed;
use artifact::{Artifact, Digest, Kind, ProposalId, RunId};
use doors::agents::Status;
use doors::people::{HeldView, QueueRow, ReviewView, RowsView, Selection, ToSign, Together};
use wire::target::{Address, Rights};

use crate::exit::{Exit, Failure};
use crate::person::{Terminal, line};

/// What waits.
pub(crate) async fn queue(terminal: &Terminal, all: bool) -> Result<()> {
    let client = terminal.sign_in().await?;
    let group = if all { "all" } else { "pending" };
    let rows: Vec<QueueRow> = client.get(&format!("/api/v1/queue?group={group}")).await?;
    terminal.print(&rows, || {
        if rows.is_empty() {
            return "Nothing waits.".to_owned();
        }
        let line = |row: &QueueRow| {
            let risk = format!("{:?}", row.risk).to_uppercase();
            let scope = if row.in_scope { "in task" } else { "out of task" };
            let (headline, target) = (artifact::visible(&row.headline), artifact::visible(&row.target));
            format!("{:<16} {:<8} {risk:<7} {headline}  [{target}, {scope}]\n", row.id, row.status.as_str())
        };
        rows.iter().map(line).collect()
    })
}

/// Everything about one proposal.
pub(crate) async fn show(terminal: &Terminal, id: ProposalId) -> Result<()> {
    let client = terminal.sign_in().await?;
    let view: ReviewView = client.get(&format!("/api/v1/proposals/{id}")).await?;
    terminal.print(&view, || desk::plain(&view))
}

/// The statement must say what this terminal shows, or nothing is signed. The desk is not believed.
fn statement_fits(view: &ReviewView, statement: &str) -> Result<()> {
    let wrong = |what: &str| {
        Err(Failure::of(
            Exit::Unverified,
            format!("the statement and what is shown differ in {what}; nothing was signed"),
        ))
    };
    let kind: Kind = view.kind.parse()?;
    let artifact = Artifact::new(kind, view.artifact.clone().into_bytes())?;
    let parsed = approve::statement::Approval::parse(statement);
    let Ok(parsed) = parsed else { return wrong("its form") };
    if parsed.artifact != artifact.digest() {
        return wrong("the artifact");
    }
    if parsed.effect != view.effect.digest() {
        return wrong("the effect");
    }
    if parsed.kind != kind || parsed.proposal != view.row.id || parsed.revision != view.row.revision {
        return wrong("the proposal");
    }
    if parsed.target_name != view.row.target || parsed.target_fingerprint != view.registration.fingerprint() {
        return wrong("the target");
    }
    Ok(())
}

/// Shows, arms, signs, runs.
pub(crate) async fn approve(terminal: &Terminal, id: ProposalId) -> Result<()> {
    terminal.needs_person("approve")?;
    let client = terminal.sign_in().await?;
    let view: ReviewView = client.get(&format!("/api/v1/proposals/{id}")).await?;
    eprint!("{}", desk::plain(&view));
    let Some(statement) = &view.statement else {
        return Err(Failure::of(Exit::Denied, format!("it is {} and cannot be signed", view.row.status.as_str())));
    };
    statement_fits(&view, statement)?;
    if view.row.risk == doors::people::Risk::High {
        let second = client.get_text(&format!("/api/v1/from-guard/{id}")).await?;
        eprintln!(
            "\nThe guard's own view of what it will run:\n{}",
            crate::person::indent(&artifact::visible(&second))
        );
    }
    if let Some(name) = &view.arm {
        let typed = Terminal::ask(&format!("This is grave. Type {} to go on: ", artifact::visible(name)))?;
        if typed != *name {
            return Err(Failure::of(Exit::Denied, "the name differs; nothing was signed"));
        }
    }
    let claim = terminal.sign_shown(statement)?;
    let after: ReviewView = client.post(&format!("/api/v1/proposals/{id}/approve"), &claim).await?;
    outcome(terminal, &after)
}

/// Shows each in full, has each one ticked, signs the list of them once. Each runs by itself.
pub(crate) async fn approve_together(terminal: &Terminal, ids: &[ProposalId]) -> Result<()> {
    terminal.needs_person("approve")?;
    let client = terminal.sign_in().await?;
    let together: Together = client.post("/api/v1/together", &serde_json::json!({ "proposals": ids })).await?;
    let batch = Batch::parse(&together.batch)?;
    let unlike = || Failure::of(Exit::Unverified, "the list and what is shown differ; nothing was signed");
    if batch.items.len() != together.views.len() {
        return Err(unlike());
    }
    let mut statements = Vec::new();
    for (view, item) in together.views.iter().zip(&batch.items) {
        let statement = view.statement.as_deref().ok_or_else(unlike)?;
        statement_fits(view, statement)?;
        if !ids.contains(&view.row.id)
            || *item != (view.row.id, view.row.revision, Digest::of(statement.as_bytes()))
            || view.row.risk == doors::people::Risk::High
        {
            return Err(unlike());
        }
        eprint!("{}", desk::plain(view));
        let answer = Terminal::ask(&format!("Approve {} with the others? (yes/no) ", view.row.id))?;
        if answer != "yes" {
            return Err(Failure::of(Exit::Denied, "nothing was signed; name only those that you approve"));
        }
        statements.push((view.row.id, statement.to_owned()));
    }
    let signed = terminal.sign_shown(&together.batch)?;
    let mut views = Vec::new();
    for (id, statement) in statements {
        let claim = Signed { statement, batch: Some(signed.statement.clone()), signatures: signed.signatures.clone() };
        // One that fails stops none of the others.
        let answer: Result<ReviewView> = client.post(&format!("/api/v1/proposals/{id}/approve"), &claim).await;
        match answer {
            Ok(view) => views.push(view),
            Err(error) => eprintln!("{id}: {error:#}"),
        }
    }
    let line = |view: &ReviewView| {
        let run = view.run.map(|run| format!("  {run}")).unwrap_or_default();
        format!("{:<16} {}{run}\n", view.row.id, view.row.status.as_str())
    };
    terminal.print(&views, || views.iter().map(line).collect())?;
    let ran = views.iter().filter(|view| matches!(view.row.status, Status::Held | Status::Released)).count();
    if ran == ids.len() { Ok(()) } else { Err(Failure::of(Exit::Error, "not all of them happened")) }
}

fn outcome(terminal: &Terminal, view: &ReviewView) -> Result<()> {
    let status = view.row.status;
    terminal.print(view, || match (status, view.run) {
        (Status::Held, Some(run)) => {
            format!("ran; the result is held. Release a part with: wetink result release {run}")
        }
        (Status::Pending, _) => {
            format!("signed: {} of {} people so far; it runs when enough have", view.signed_by.len(), view.quorum)
        }
        _ => format!("{}: {}", status.as_str(), view.reason.as_deref().map(artifact::visible).unwrap_or_default()),
    })?;
    match status {
        Status::Held | Status::Released | Status::Pending => Ok(()),
        Status::Stale => Err(Failure::of(Exit::Stale, "what was shown no longer held; nothing was changed")),
        Status::Unknown => {
            Err(Failure::of(Exit::Error, "nobody can say whether it happened; look at the target before anything else"))
        }
        _ => Err(Failure::of(Exit::Error, "it did not happen")),
    }
}

/// Some of the rows before and after.
pub(crate) async fn rows(terminal: &Terminal, id: ProposalId) -> Result<()> {
    let client = terminal.sign_in().await?;
    let view: RowsView = client.post(&format!("/api/v1/proposals/{id}/rows"), &serde_json::json!({})).await?;
    terminal.print(&view, || {
        let mut out = format!("Run just now and rolled back: {} rows. Nothing was changed.\n", view.rows);
        let Some(sample) = &view.sample else {
            return out + "No single rows: the target cannot tell them, or no open task covers all that this does.";
        };
        let line = |mark: &str, cells: &[Option<String>]| {
            let cell = |c: &Option<String>| c.as_deref().map_or("NULL".to_owned(), one_line);
            format!("{mark} {}\n", cells.iter().map(cell).collect::<Vec<_>>().join(" | "))
        };
        let names: Vec<Option<String>> = sample.columns.iter().cloned().map(Some).collect();
        out += &format!("{}\n{}", artifact::visible(&sample.relation), line(" ", &names));
        for change in &sample.rows {
            out += &change.before.as_deref().map(|cells| line("-", cells)).unwrap_or_default();
            out += &change.after.as_deref().map(|cells| line("+", cells)).unwrap_or_default();
        }
        out.trim_end().to_owned()
    })
}

/// Proposes the way back.
pub(crate) async fn undo(terminal: &Terminal, run: RunId) -> Result<()> {
    let client = terminal.sign_in().await?;
    let view: ReviewView = client.post(&format!("/api/v1/runs/{run}/undo"), &serde_json::json!({})).await?;
    terminal.print(&view, || {
        format!(
            "{} puts it back once it is signed: wetink approve {}",
            artifact::visible(&view.row.headline),
            view.row.id
        )
    })
}

/// No, or not like this, with a sentence.
pub(crate) async fn decide(terminal: &Terminal, id: ProposalId, verb: &str, sentence: &str) -> Result<()> {
    let client = terminal.sign_in().await?;
    let body = serde_json::json!({ "sentence": sentence });
    let view: ReviewView = client.post(&format!("/api/v1/proposals/{id}/{verb}"), &body).await?;
    terminal.print(&view, || view.row.status.as_str().to_owned())
}

/// The held result.
pub(crate) async fn held(terminal: &Terminal, run: RunId) -> Result<()> {
    let client = terminal.sign_in().await?;
    let held: HeldView = client.get(&format!("/api/v1/runs/{run}/held")).await?;
    terminal.print(&held, || table(&held))
}

fn table(held: &HeldView) -> String {
    use std::fmt::Write as _;
    let mut out =
        format!("{} rows changed, {} returned. Nobody but you has seen this.\n", held.affected, held.result.total_rows);
    for line in &held.seen {
        let _ = writeln!(out, "{}", artifact::visible(line));
    }
    for (i, (column, label)) in held.result.columns.iter().zip(&held.labels).enumerate() {
        let _ = writeln!(out, "  column {i}: {} ({})", artifact::visible(&column.name), artifact::visible(label));
    }
    for row in held.result.rows.iter().take(50) {
        let cell = |c: &Option<String>| {
            c.as_deref().map_or("NULL".to_owned(), |t| one_line(&t.chars().take(60).collect::<String>()))
        };
        let _ = writeln!(out, "  {}", row.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    if held.result.rows.len() > 50 {
        let _ = writeln!(out, "  … {} more (--json shows all)", held.result.rows.len() - 50);
    }
    out
}

fn one_line(text: &str) -> String {
    artifact::visible(text).replace('\n', "⏎").replace('\t', " ")
}

/// Which part is released.
pub(crate) struct Part {
    /// Columns by name, as they are.
    pub(crate) columns: Vec<String>,
    /// Columns by name, as stable tokens.
    pub(crate) mask: Vec<String>,
    /// Only the counts.
    pub(crate) count_only: bool,
    /// Values vouched for.
    pub(crate) vouch: Vec<String>,
}

/// Signs a release.
pub(crate) async fn release(terminal: &Terminal, run: RunId, part: &Part) -> Result<()> {
    terminal.needs_person("releasing")?;
    let client = terminal.sign_in().await?;
    let held: HeldView = client.get(&format!("/api/v1/runs/{run}/held")).await?;
    let index = |name: &String| {
        let at = held.result.columns.iter().position(|c| c.name == *name).and_then(|i| u32::try_from(i).ok());
        at.ok_or_else(|| {
            Failure::of(
                Exit::Usage,
                format!("there is no column `{}`; wetink result show {run} names them", one_line(name)),
            )
        })
    };
    let selection = if part.count_only {
        Selection { rows: "none".to_owned(), ..Selection::default() }
    } else {
        Selection {
            rows: "all".to_owned(),
            row_indexes: Vec::new(),
            show: part.columns.iter().map(index).collect::<Result<_>>()?,
            mask: part.mask.iter().map(index).collect::<Result<_>>()?,
            vouch: part.vouch.clone(),
        }
    };
    eprint!("{}", table(&held));
    let to_sign: ToSign = client.post(&format!("/api/v1/runs/{run}/release-statement"), &selection).await?;
    let canonical = artifact::canonical::to_vec(&held.result)?;
    if line(&to_sign.statement, "result") != Some(&Digest::of(&canonical).to_string()) {
        return Err(Failure::of(Exit::Unverified, "the statement is about another result; nothing was signed"));
    }
    let claim: Signed = terminal.sign_shown(&to_sign.statement)?;
    let view: ReviewView = client.post(&format!("/api/v1/runs/{run}/release"), &claim).await?;
    terminal.print(&view, || "released".to_owned())
}

/// What somebody should know about agents, newest first.
pub(crate) async fn alerts(terminal: &Terminal) -> Result<()> {
    let client = terminal.sign_in().await?;
    let alerts: Vec<doors::people::SignalView> = client.get("/api/v1/alerts").await?;
    terminal.print(&alerts, || {
        let line = |alert: &doors::people::SignalView| {
            let (agent, target) = (artifact::visible(&alert.agent), artifact::visible(&alert.target));
            let sentence = artifact::visible(&alert.sentence);
            format!("{}  {:<16} {agent} at {target}: {sentence}\n", alert.at, artifact::visible(&alert.signal))
        };
        if alerts.is_empty() { "nothing unusual so far".to_owned() } else { alerts.iter().map(line).collect() }
    })
}

/// The target as the person's own login meets it: no role of another, nothing minted.
fn as_own(address: &mut Address, own: String) -> Result<()> {
    match address {
        Address::Postgresql { login, rights, mirror, .. } => (*login, *rights, *mirror) = (own, Rights::Login, None),
        Address::Http { .. } | Address::Mcp { .. } => {}
        Address::Mail { login, .. } => *login = own,
        Address::Mariadb { login, rights, .. } => (*login, *rights) = (own, Rights::Login),
        Address::Sqlite { .. } => {
            return Err(Failure::of(Exit::Usage, "a SQLite file has no logins; leave --login out"));
        }
    }
    Ok(())
}

/// Runs a proposal on this machine with the person's own access. The server sees neither credential nor result: only that
/// the person took it over, which ends the proposal there.
pub(crate) async fn run_here(
    terminal: &Terminal,
    id: ProposalId,
    login: Option<String>,
    password: String,
) -> Result<()> {
    use wire::order::{Job, Order, Report};
    terminal.needs_person("run")?;
    let client = terminal.sign_in().await?;
    let view: ReviewView = client.get(&format!("/api/v1/proposals/{id}")).await?;
    eprint!("{}", desk::plain(&view));
    let Some(statement) = &view.statement else {
        return Err(Failure::of(Exit::Denied, format!("it is {} and cannot be run", view.row.status.as_str())));
    };
    statement_fits(&view, statement)?;
    let parsed = approve::statement::Approval::parse(statement)?;
    let typed = Terminal::ask("This runs here, with your own access, within the effect shown. Type run to go on: ")?;
    if typed != "run" {
        return Err(Failure::of(Exit::Denied, "nothing was run"));
    }
    let mut target = view.registration.clone();
    if let Some(own) = login {
        as_own(&mut target.address, own)?;
    }
    let job = Job {
        kind: view.kind.parse()?,
        artifact: view.artifact.clone(),
        effect: view.effect.clone(),
        signer: view.row.person.clone(),
        additions: Vec::new(),
        target: target.settled(&view.effect),
    };
    // Taken first, so that nobody signs it meanwhile: if we crash here it was not run, and nobody runs it.
    let sentence = "I run this myself on my own machine; nothing of the result is released.";
    client
        .post::<ReviewView>(&format!("/api/v1/proposals/{id}/reject"), &serde_json::json!({ "sentence": sentence }))
        .await?;
    let order = Order::Run { job, ceiling_rows: parsed.ceiling_rows };
    let report =
        tokio::task::spawn_blocking(move || execute::perform(&order, password.as_bytes(), &mut |_, _| true)).await?;
    let Report::Done { affected, result, elapsed_ms, undo, .. } = report else {
        let Report::Failed { code, detail } = report else {
            return Err(Failure::of(Exit::Error, "the executor answered out of turn"));
        };
        return Err(Failure::of(Exit::Error, format!("it did not happen: {code:?} {detail}")));
    };
    terminal.print(&result, || {
        let ran = format!("ran here in {elapsed_ms} ms: {affected} rows changed, {} returned", result.total_rows);
        undo.map_or(ran.clone(), |undo| format!("{ran}\nTo put them back:\n{}", artifact::visible(&undo.statement)))
    })
}
