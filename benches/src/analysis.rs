//! SQL analysis (G13): the whole of it, against the bare parse that it starts with.

use analyze::{Snapshot, analyze};
use anyhow::{Result, ensure};
use artifact::catalog::Catalog;
use artifact::{Artifact, Kind};

use crate::measure::{self, per_call};
use crate::table::{Goal, Table, time};
use crate::{Plan, corpus, peers};

/// Statements of three sizes, by name.
pub(crate) const STATEMENTS: [(&str, &str); 3] = [
    ("simple select", "SELECT id, status FROM orders WHERE id = 41 AND status = 'paid'"),
    (
        "update",
        "UPDATE orders SET status = 'refunded', refunded_at = now() WHERE id IN (41, 42, 43) AND status = 'paid' RETURNING id",
    ),
    (
        "CTE, window, lateral",
        "WITH recent AS (SELECT o.id, o.customer_id, o.amount, row_number() OVER (PARTITION BY o.customer_id ORDER BY o.id DESC) AS n \
         FROM orders o WHERE o.status = 'paid' AND o.amount > 100) SELECT c.name, c.email, r.amount, l.total FROM recent r \
         JOIN customers c ON c.id = r.customer_id LEFT JOIN LATERAL (SELECT sum(x.amount) AS total FROM orders x \
         WHERE x.customer_id = c.id AND x.refunded_at IS NULL) l ON true WHERE r.n <= 5 AND c.region IN ('eu', 'us') ORDER BY r.amount DESC LIMIT 50",
    ),
];

pub(crate) fn rows(plan: &Plan, table: &mut Table) -> Result<()> {
    let postgresql = corpus::postgresql()?;
    for (name, sql) in STATEMENTS {
        let artifact = Artifact::new(Kind::SqlPostgresql, sql.as_bytes().to_vec())?;
        understood(&artifact, &postgresql)?;
        let seen = measure::calls(|| analyze(&artifact, &postgresql), || pg_query::parse(sql, 0).is_ok())?;
        table.compared(&format!("G13 analysis, {name}: pg_query::parse alone"), seen, time, Goal::AtMost(1.5));
        if plan.peers {
            match peers::sqlglot(sql)? {
                Some(nanos) => {
                    let ours = per_call(|| analyze(&artifact, &postgresql));
                    let times = nanos / ours;
                    let name = format!("G13 analysis, {name}: times as fast as sqlglot's bare parse");
                    table.counted(&name, time(ours), time(nanos), times, Goal::AtLeast(2.0));
                }
                None => table.absent(&format!("G13 analysis, {name}: sqlglot"), "no Python with sqlglot on the path"),
            }
        }
    }
    let wide = corpus::wide(2_000)?;
    for (name, sql) in STATEMENTS {
        let artifact = Artifact::new(Kind::SqlPostgresql, sql.as_bytes().to_vec())?;
        understood(&artifact, &wide)?;
        let mut times = measure::Times::default();
        for _ in 0..5_000 {
            let began = std::time::Instant::now();
            std::hint::black_box(analyze(&artifact, &wide));
            times.add(began.elapsed());
        }
        let (median, p99) = (times.percentile(0.5), times.percentile(0.99));
        let shown = format!("{}; p99 {}", time(median), time(p99));
        let goal = Goal::AtMost(1.0);
        table.counted(&format!("analysis with 2,000 tables, {name}: 1 ms"), shown, time(1e6), median / 1e6, goal);
    }
    let snapshot = Snapshot::from(postgresql);
    let artifact = Artifact::new(Kind::SqlPostgresql, STATEMENTS[0].1.as_bytes().to_vec())?;
    let again = per_call(|| snapshot.analyze(&artifact));
    let goal = Goal::AtMost(1.0);
    table.counted("G13 the same statement again: 2 us", time(again), time(2e3), again / 2e3, goal);

    let sql = corpus::statement(41);
    let artifact = Artifact::new(Kind::SqlSqlite, sql.as_bytes().to_vec())?;
    for tables in [1, 200] {
        let catalog = corpus::sqlite(tables - 1);
        understood(&artifact, &catalog)?;
        let db = rusqlite::Connection::open_in_memory()?;
        for ddl in &catalog.ddl {
            db.execute_batch(ddl)?;
        }
        let seen = measure::calls(|| analyze(&artifact, &catalog), || db.prepare(&sql).is_ok())?;
        let name = format!("analysis for SQLite, {tables} tables: the engine's prepare alone, schema loaded");
        table.compared(&name, seen, time, Goal::None);
    }
    Ok(())
}

/// A row about something refused would measure the wrong way.
fn understood(artifact: &Artifact, catalog: &Catalog) -> Result<()> {
    let analysis = analyze(artifact, catalog);
    ensure!(analysis.understood, "not understood: {}: {:?}", artifact.text(), analysis.findings);
    Ok(())
}
