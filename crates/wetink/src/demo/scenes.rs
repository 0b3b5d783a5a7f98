//! Four scenes, each proving one sentence. Each checks what it shows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use audit::VerifierKey;
use audit::verify::{Contents, Options};
use doors::agents::Status;
use doors::people::{GrantRequest, Risk};
use rusqlite::{Connection, OpenFlags};
use wire::socket::{Answer, Request};
use wire::target::{Address, Registration};

use crate::commands::evidence::Evidence;
use crate::commands::roles::ask_guard;
use crate::demo::person::Ada;
use crate::demo::robin::Robin;
use crate::demo::shop;
use crate::home::Home;

/// The statement of scene two.
pub(crate) const REFUND: &str = "UPDATE orders\n   SET status = 'refunded', refunded_at = '2026-11-20'\n WHERE ship_batch = 'B-1112' AND status = 'paid'\nRETURNING id, status, customer";

/// Everybody and everything on stage.
pub(crate) struct Stage<'a> {
    pub(crate) ada: &'a Ada,
    home: &'a Home,
    shop: PathBuf,
    folder: PathBuf,
    pub(crate) robin: Robin,
}

fn ensure_eq<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<()> {
    ensure!(got == wanted, "{what}: expected {wanted:?}, got {got:?}");
    Ok(())
}

impl<'a> Stage<'a> {
    /// Registers the shop, opens the task, gives Robin a pass.
    pub(crate) async fn set(ada: &'a Ada, home: &'a Home, shop: &Path, folder: &Path) -> Result<Self> {
        let labels = BTreeMap::from([
            ("main.customers.email".to_owned(), "personal".to_owned()),
            ("main.customers.name".to_owned(), "personal".to_owned()),
        ]);
        let registration = Registration {
            name: "shop".to_owned(),
            address: Address::Sqlite { path: shop.to_str().context("the path is UTF-8")?.to_owned() },
            environment: "demo".to_owned(),
            run_as: "owner".to_owned(),
            credential: None,
            approvals: wire::target::Approvals::default(),
            payments: wire::payments::Payments::default(),
            idempotency_header: None,
            receipts: false,
            rotate_after_s: None,
            graphql: None,
            credential_of: None,
            statement_timeout_ms: 10_000,
            result_rows_max: 1_000,
            labels,
        };
        ada.grant(GrantRequest::Target { registration: Box::new(registration) }).await?;
        let task = ada
            .open_task(GrantRequest::Task {
                task_type: None,
                never: vec![],
                title: "Refund the 37 orders hit by the 12 Nov shipping bug".to_owned(),
                agent: "robin".to_owned(),
                target: "shop".to_owned(),
                may: vec![
                    "read main.orders".to_owned(),
                    "update main.orders(status,refunded_at)".to_owned(),
                    "read main.customers(id,note)".to_owned(),
                ],
                functions: vec!["count".to_owned()],
                rows_per_run: 500,
                rows_total: 5_000,
                auto_reads: true,
                minutes: 60,
            })
            .await?;
        let pass = ada.pass(task).await?;
        println!(
            "  task    {task} \"Refund the 37 orders hit by the 12 Nov shipping bug\"\n  robin   has a pass that can propose and collect, sees no credential\n"
        );
        let robin = Robin::new(&pass.url, &pass.pass);
        Ok(Self { ada, home, shop: shop.to_owned(), folder: folder.to_owned(), robin })
    }

    fn count(&self, sql: &str) -> Result<u32> {
        let db = Connection::open_with_flags(&self.shop, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        Ok(db.query_row(sql, [], |row| row.get(0))?)
    }
}

/// All four.
pub(crate) async fn play(stage: &Stage<'_>) -> Result<()> {
    read_in_scope(stage).await.context("scene 1")?;
    refund(stage).await.context("scene 2")?;
    lying_agent(stage).await.context("scene 3")?;
    let evidence = tampered_log(stage).context("scene 4")?;
    ensure!(
        evidence.approvals == 1 && evidence.under_task >= 2,
        "one signed approval, the rest under the signed scope"
    );
    Ok(())
}

/// Inside the signed scope nobody is asked.
pub(crate) async fn read_in_scope(stage: &Stage<'_>) -> Result<()> {
    let (described, is_error) = stage.robin.call("describe_target", serde_json::json!({ "target": "shop" })).await?;
    ensure!(!is_error, "describe_target was refused: {described}");
    let relations = described["relations"].as_array().context("relations")?;
    ensure!(
        !relations.iter().any(|r| r["columns"].to_string().contains("email")),
        "the scope does not cover e-mail addresses"
    );
    let sql = "SELECT id, status, cents FROM orders WHERE ship_batch = 'B-1112' AND status = 'paid'";
    let answer = stage.robin.propose("shop", sql, "find the orders of the batch", 20).await?;
    ensure_eq("a read inside the scope", answer.status, Status::Released)?;
    let result = answer.result.context("a result")?;
    ensure_eq("rows", result["rows"].as_array().map(Vec::len), Some(shop::BATCH as usize))?;
    println!("ok 1/4  read inside the task's scope: ran without a prompt, 37 rows came back, logged");
    // A personal column is out of scope, so a person would have to sign it.
    let answer = stage.robin.propose("shop", "SELECT email FROM customers", "look up addresses", 0).await?;
    ensure_eq("a read of personal data", answer.status, Status::Pending)?;
    stage.ada.reject(answer.proposal_id, "You do not need e-mail addresses for this.").await?;
    Ok(())
}

/// What was shown is what runs, once; the result is held, and released in part.
async fn refund(stage: &Stage<'_>) -> Result<()> {
    let answer = stage.robin.propose("shop", REFUND, "refund orders of batch B-1112, see ticket 4411", 0).await?;
    ensure_eq("an update", answer.status, Status::Pending)?;
    let again = stage.robin.propose("shop", REFUND, "the same again", 0).await?;
    ensure_eq("the same bytes again", again.proposal_id, answer.proposal_id)?;
    let id = answer.proposal_id;
    let view = stage.ada.look(id).await?;
    ensure!(
        view.row.headline.contains("37") && view.row.headline.contains("5,311"),
        "the headline has the numbers: {}",
        view.row.headline
    );
    ensure!(view.row.in_scope && view.row.risk == Risk::Medium, "inside the scope, medium: {:?}", view.row);
    let second_look = stage.ada.guard_view(id).await?;
    ensure!(second_look.contains(&view.words) && second_look.contains("at most 37"), "the guard's own view agrees");
    println!("        Ada sees: {}   words {}", artifact::visible(&view.row.headline), view.words);
    let statement = view.statement.context("a statement to sign")?;
    // A signature over other words than those shown is worth nothing.
    let changed = stage.ada.sign(&statement.replace("rows<=37", "rows<=5311"));
    let mut forged = changed.clone();
    forged.statement.clone_from(&statement);
    ensure!(stage.ada.approve(id, &forged).await.is_err(), "a signature over another statement was accepted");
    let claim = stage.ada.sign(&statement);
    let after = stage.ada.approve(id, &claim).await?;
    ensure_eq("after signing", after.row.status, Status::Held)?;
    ensure_eq("rows refunded", stage.count("SELECT count(*) FROM orders WHERE status = 'refunded'")?, shop::BATCH)?;
    ensure!(stage.ada.approve(id, &claim).await.is_err(), "the same approval ran twice");
    let seen = stage.robin.get(id, 0).await?;
    ensure!(seen.status == Status::Held && seen.result.is_none(), "Robin sees nothing before the release");
    let held = stage.ada.held(after.run.context("a run")?).await?;
    ensure_eq("rows held", held.result.rows.len(), shop::BATCH as usize)?;
    stage.ada.release(&held, &["id", "status"], &["customer"]).await?;
    let seen = stage.robin.get(id, 10).await?;
    ensure_eq("after the release", seen.status, Status::Released)?;
    let result = seen.result.context("a released result")?;
    let row = result["rows"][0].as_array().context("a row")?;
    ensure_eq("columns", row.len(), 3)?;
    ensure!(
        row[1] == "refunded" && row[2].as_str().is_some_and(|t| t.starts_with("masked_")),
        "customer is a token: {row:?}"
    );
    println!(
        "ok 2/4  37 rows updated once under a signed ceiling of 37; Robin got id, status and a token for the customer"
    );
    Ok(())
}

/// The gateway narrates, never the agent.
async fn lying_agent(stage: &Stage<'_>) -> Result<()> {
    let sql = format!("SELECT note FROM customers WHERE id = {}", shop::HOSTILE_CUSTOMER);
    let read = stage.robin.propose("shop", &sql, "read the customer's note", 20).await?;
    ensure_eq("reading the note", read.status, Status::Released)?;
    let answer = stage.robin.propose("shop", "DELETE FROM customers", "just a quick read-only check", 0).await?;
    ensure_eq("a delete", answer.status, Status::Pending)?;
    let view = stage.ada.look(answer.proposal_id).await?;
    ensure!(
        view.row.headline.contains("1,204") && view.row.risk == Risk::High && !view.row.in_scope,
        "shown for what it is: {:?}",
        view.row
    );
    ensure_eq("what must be typed", view.arm.as_deref(), Some("main.customers"))?;
    println!(
        "        Robin says: \"{}\"\n        Ada sees:   {}",
        artifact::visible(&view.purpose),
        artifact::visible(&view.row.headline)
    );
    stage.ada.reject(answer.proposal_id, "That deletes every customer. Read the task again.").await?;
    let seen = stage.robin.get(answer.proposal_id, 5).await?;
    ensure_eq("after the no", seen.status, Status::Rejected)?;
    ensure_eq("Robin's sentence", seen.reason.as_deref(), Some("That deletes every customer. Read the task again."))?;
    ensure_eq("customers left", stage.count("SELECT count(*) FROM customers")?, shop::CUSTOMERS)?;
    println!("ok 3/4  the lying agent: shown as what it does, outside the task, rejected with a sentence; nothing ran");
    Ok(())
}

/// Anyone can verify the log, and a changed byte is found.
pub(crate) fn tampered_log(stage: &Stage<'_>) -> Result<Evidence> {
    let copy = stage.folder.join("log-copy");
    let Answer::Hello { log_key, .. } = ask_guard(stage.home, &Request::Hello {})? else {
        bail!("the guard answered out of turn")
    };
    let folder = copy.to_str().context("the path is UTF-8")?.to_owned();
    ask_guard(stage.home, &Request::Export { folder })?;
    let key: VerifierKey = log_key.parse()?;
    let check = || {
        let mut evidence = Evidence::default();
        let options = Options { contents: Contents::Partial, ..Options::default() };
        let report =
            audit::dir::verify_dir(&copy, &key, &options, &mut |_, entry, contents| evidence.follow(entry, contents))?;
        Ok::<_, audit::Error>((report, evidence))
    };
    let (report, evidence) = check()?;
    println!(
        "        {} entries, {} approval signed, {} reads under the signed scope, {} grants: the copy verifies",
        report.entries, evidence.approvals, evidence.under_task, evidence.grants
    );
    let mut file = None;
    let mut folders = vec![copy.join("tile/entries")];
    while let Some(folder) = folders.pop() {
        for found in std::fs::read_dir(folder)? {
            let path = found?.path();
            if path.is_dir() { folders.push(path) } else { file = Some(path) }
        }
    }
    let file = file.context("the copy has entries")?;
    let mut bytes = std::fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes)?;
    match check() {
        Ok(_) => bail!("a changed byte was not found"),
        Err(error) => println!("ok 4/4  one byte of the copy was changed and is found: FAIL {error}"),
    }
    Ok(evidence)
}
