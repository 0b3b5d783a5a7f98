//! What is analyzed, logged and stored: schemas, one agent's statements, and proposals as the desk logs them.

use analyze::Snapshot;
use anyhow::{Context as _, Result, ensure};
use approve::Nonce;
use approve::statement::OpenTask;
use artifact::catalog::Catalog;
use artifact::{Artifact, Digest, Kind, ProposalId, SessionId, TaskId, Timestamp};
use lifecycle::draft::Draft;
use lifecycle::{Decision, Examined, Policy, Setting, TaskScope, draft, examine};
use serde_json::{Value, json};

/// The agent's name, everywhere.
pub(crate) const AGENT: &str = "robin";
/// The table of the SQLite target.
pub(crate) const DDL: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT NOT NULL, amount INTEGER NOT NULL, customer TEXT NOT NULL)";
/// What the task may do.
pub(crate) const MAY: [&str; 2] = ["read main.orders", "update main.orders(status)"];
/// The policy that a new gateway has.
const POLICY: &str = include_str!("../../policies/solo-careful.cedar");

/// The agent's statement number `n`: each is another text with the same effect.
pub(crate) fn statement(n: u64) -> String {
    format!("SELECT id, status, amount FROM orders WHERE id = {n} AND status = 'paid' ORDER BY id LIMIT 20")
}

/// The SQLite target's schema, and that many tables more.
pub(crate) fn sqlite(more: usize) -> Catalog {
    let more = (0..more).map(|n| format!("CREATE TABLE table_{n:03} (id INTEGER PRIMARY KEY, state TEXT, note TEXT)"));
    Catalog {
        version: "3.51.1".into(),
        search_path: vec!["main".into()],
        ddl: std::iter::once(DDL.to_owned()).chain(more).collect(),
        ..Catalog::default()
    }
}

/// A PostgreSQL schema of usual size: 200 tables, and as many functions as a server of version 17 has. Written as executors
/// send it, so that what a catalog may leave out is left out.
pub(crate) fn postgresql() -> Result<Catalog> {
    wide(200)
}

/// The same with that many tables.
pub(crate) fn wide(tables: usize) -> Result<Catalog> {
    let table = |name: String, columns: &str| {
        let columns = columns.split(' ').map(|name| json!({ "name": name, "type_name": "text" })).collect::<Vec<_>>();
        json!({
            "name": name, "kind": "table", "columns": columns, "rows_estimate": null, "triggers": [], "rules": [],
            "row_security": false, "cascades_to": [], "reads_from": [],
        })
    };
    let function =
        |name: String| json!({ "name": name, "volatility": "stable", "security_definer": false, "user_code": false });
    // Sorted by name, as look-ups demand.
    let mut relations = vec![
        table("public.customers".into(), "id name email region"),
        table("public.orders".into(), "id customer_id status amount refunded_at"),
    ];
    relations.extend((0..tables - 2).map(|n| table(format!("public.table_{n:04}"), "id created_at owner state note")));
    let mut functions: Vec<Value> = (0..2_700).map(|n| function(format!("pg_catalog.function_{n:04}"))).collect();
    functions.extend(["now", "row_number", "sum"].map(|name| function(format!("pg_catalog.{name}"))));
    let catalog = json!({
        "version": "17.2", "search_path": ["public"], "relations": relations, "functions": functions, "ddl": [],
    });
    serde_json::from_value(catalog).context("the generated catalog is not one")
}

/// A task of this agent at the target `shop`, as a person signs it.
pub(crate) fn task(gateway: Digest, target_fingerprint: Digest, auto_reads: bool) -> Result<OpenTask> {
    let may: Result<Vec<_>, _> = MAY.iter().map(|may| may.parse()).collect();
    Ok(OpenTask {
        gateway,
        task: TaskId::random(),
        title: "look after the orders".into(),
        agent: AGENT.into(),
        target_name: "shop".into(),
        target_fingerprint,
        may: may.map_err(|error| anyhow::anyhow!("scope: {error:?}"))?,
        task_type: None,
        never: vec![],
        functions: vec![],
        rows_per_run: 50,
        rows_total: 1_000,
        auto_reads,
        nonce: Nonce::random(),
        not_after: Timestamp::now().plus_seconds(12 * 3600),
    })
}

/// The agent's statement, examined as the desk does it.
pub(crate) fn examined() -> Result<Examined> {
    let catalog = Snapshot::from(sqlite(0));
    let scope: Result<Vec<_>, _> = MAY.iter().map(|may| may.parse()).collect();
    let scope = scope.map_err(|error| anyhow::anyhow!("scope: {error:?}"))?;
    let labels = std::collections::BTreeMap::default();
    let setting = Setting {
        agent: AGENT,
        person: "Ada",
        task: "t-1",
        task_type: "",
        scope: &scope,
        never: &[],
        functions: &[],
        auto_reads: false,
        target: "shop",
        environment: "dev",
        labels: &labels,
        catalog: &catalog,
        requests: &[],
        rights: lifecycle::RunRights::Effect,
        own: None,
        written_to: &[],
        graphql: None,
        forms: &[],
        paid: &[],
        asked: None,
    };
    let artifact = Artifact::new(Kind::SqlSqlite, statement(1).into_bytes())?;
    let policy = Policy::load(POLICY).context("the shipped policy does not load")?;
    let examined = examine(&artifact, &setting, &policy);
    ensure!(matches!(examined.decision, Decision::Ask { .. }), "the statement is decided otherwise than intended");
    Ok(examined)
}

/// Makes the entries of proposals as the desk hands them to the guard.
pub(crate) struct Proposals {
    examined: Examined,
    denied: Decision,
    task: TaskScope,
    sessions: Vec<SessionId>,
    target: Digest,
    expires: Timestamp,
}

impl Proposals {
    /// For the task in this signed statement.
    pub(crate) fn of(statement: &str, target: Digest) -> Result<Self> {
        Ok(Self {
            examined: examined()?,
            denied: Decision::Deny { rules: vec![] },
            task: TaskScope::read(statement, "Ada").context("the task's statement does not read")?,
            sessions: (0..1_000).map(|_| SessionId::random()).collect(),
            target,
            expires: Timestamp::now().plus_seconds(12 * 3600),
        })
    }

    /// Number `n`, waiting for a person or denied.
    pub(crate) fn draft(&self, n: u64, waiting: bool) -> Result<Draft> {
        let artifact = Artifact::new(Kind::SqlSqlite, statement(n).into_bytes())?;
        let shown = self.examined.shown(None);
        let session = usize::try_from(n)? % self.sessions.len();
        let mut draft = draft::proposed(&draft::Handing {
            id: ProposalId::random(),
            revision: 1,
            agent: true,
            author: AGENT,
            person: "Ada",
            session: self.sessions[session],
            address: "127.0.0.1",
            task: &self.task,
            target: "shop",
            target_fingerprint: self.target,
            artifact: &artifact,
            effect: &self.examined.analysis.effect,
            shown: &shown,
            decision: if waiting { &self.examined.decision } else { &self.denied },
            risk: self.examined.risk(),
            purpose: "the customer asked where the order is",
            expires: self.expires,
        });
        // Spread over a month, so that pages have something to sort by.
        draft.entry.at = Timestamp::from_millis(1_760_000_000_000 + n * 1_000);
        Ok(draft)
    }
}
