//! Analysis against what a real server says that statements did.
//!
//! Each line of the data is a statement with the server's word: whether it wrote (a transaction id was assigned) and which
//! relations it locked. The statements run in order on a scratch database, and each is analyzed with the catalog as it is at
//! that point. A statement called read-only that wrote is a wrong effect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../execute/tests/support/mod.rs"]
mod pg;

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::path::PathBuf;

use artifact::catalog::{Catalog, Column, Relation, RelationKind};
use artifact::{Artifact, Kind};
use execute::perform;
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use wire::order::{Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

#[derive(Deserialize)]
struct Line {
    file: String,
    kind: String,
    wrote: bool,
    locks: BTreeMap<String, Vec<String>>,
    sql: String,
}

/// Statements whose top node leaves the catalog as it is.
const LEAVE_CATALOG: &[&str] = &[
    "SelectStmt",
    "InsertStmt",
    "UpdateStmt",
    "DeleteStmt",
    "MergeStmt",
    "ExplainStmt",
    "VariableShowStmt",
    "FetchStmt",
    "DeclareCursorStmt",
    "ClosePortalStmt",
    "LockStmt",
    "VacuumStmt",
    "NotifyStmt",
    "ListenStmt",
    "UnlistenStmt",
    "CheckPointStmt",
    "PrepareStmt",
    "ExecuteStmt",
    "DeallocateStmt",
    "TruncateStmt",
];

fn data() -> Option<PathBuf> {
    let given = std::env::var_os("WETINK_DATA").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/pgoracle");
    given.or(Some(beside)).map(|folder| folder.join("pgoracle.jsonl")).filter(|file| file.is_file())
}

fn target(server: &pg::Server) -> Registration {
    Registration {
        name: "scratch".into(),
        address: Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: "reader".into(),
            rights: Rights::Login,
            mirror: None,
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        },
        environment: "test".into(),
        run_as: "reader".into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 20_000,
        result_rows_max: 10,
        labels: BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

fn catalog(target: &Registration) -> Catalog {
    match perform(&Order::Catalog { target: target.clone() }, b"", &mut |_, _| false) {
        Report::Catalog { catalog } => *catalog,
        other => panic!("{other:?}"),
    }
}

async fn search_path(db: &mut PgConnection) -> Vec<String> {
    let row = sqlx::raw_sql(AssertSqlSafe("SELECT array_to_string(current_schemas(false), ',')".to_owned()))
        .fetch_one(db)
        .await
        .unwrap();
    row.get::<String, _>(0).split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

/// Temporary relations of the session, which no other session sees: a run of the product never meets any, but the statements
/// of the data do.
async fn temporary(db: &mut PgConnection) -> Vec<Relation> {
    let sql = "SELECT c.relname::text, c.relkind::text, (SELECT array_to_string(array_agg(a.attname), ',') FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
        FROM pg_class c WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'S')";
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(db).await.unwrap();
    let column = |name: &str| Column { name: name.to_owned(), ..Column::default() };
    let relation = |row: &sqlx::postgres::PgRow| Relation {
        name: format!("pg_temp.{}", row.get::<String, _>(0)),
        kind: match row.get::<String, _>(1).as_str() {
            "v" => RelationKind::View,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Table,
        },
        columns: row.get::<Option<String>, _>(2).unwrap_or_default().split(',').map(column).collect(),
        definition: row.get(3),
        ..Relation::default()
    };
    rows.iter().map(relation).collect()
}

#[test]
fn what_is_called_a_read_never_wrote() {
    let Some(file) = data() else {
        println!("oracle: skipped: no folder with pgoracle.jsonl; name one in WETINK_DATA");
        return;
    };
    let most: usize = std::env::var("WETINK_STATEMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let server = pg::Server::start();
    server.sql("CREATE ROLE reader LOGIN; GRANT ALL ON SCHEMA public TO PUBLIC");
    let target = target(&server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connect = || {
        let options =
            PgConnectOptions::new_without_pgpass().socket(server.socket()).username("boss").database("postgres");
        runtime
            .block_on(PgConnection::connect_with(&options.disable_statement_logging().statement_cache_capacity(0)))
            .unwrap()
    };
    let mut db = connect();
    let (mut known, mut stale, mut path) = (Catalog::default(), true, vec!["public".to_owned()]);
    let (mut statements, mut false_reads, mut reads, mut kept, mut named, mut locked) = (0, 0, 0, 0, 0_u32, 0_u32);
    let mut why: BTreeMap<String, usize> = BTreeMap::new();
    let mut last = String::new();
    for line in std::io::BufReader::new(std::fs::File::open(file).unwrap()).lines().take(most) {
        let line: Line = serde_json::from_str(&line.unwrap()).unwrap();
        if line.file != last {
            // Each file began with a session of its own.
            last.clone_from(&line.file);
            db = connect();
            (path, stale) = (vec!["public".to_owned()], true);
        }
        if stale {
            known = catalog(&target);
            known.relations.extend(runtime.block_on(temporary(&mut db)));
            known.sort();
            stale = false;
        }
        known.search_path = std::iter::once("pg_temp".to_owned()).chain(path.iter().cloned()).collect();
        let artifact = Artifact::new(Kind::SqlPostgresql, line.sql.clone().into_bytes());
        let analysis = artifact.ok().map(|artifact| analyze::analyze(&artifact, &known));
        let ran = runtime.block_on(async {
            sqlx::raw_sql("BEGIN").execute(&mut db).await.unwrap();
            let done = sqlx::raw_sql(AssertSqlSafe(line.sql.clone())).execute(&mut db).await.is_ok();
            let end = if done { "COMMIT" } else { "ROLLBACK" };
            done && sqlx::raw_sql(end).execute(&mut db).await.is_ok() || {
                let _ = sqlx::raw_sql("ROLLBACK").execute(&mut db).await;
                false
            }
        });
        if !LEAVE_CATALOG.contains(&line.kind.as_str()) {
            stale = true;
            path = runtime.block_on(search_path(&mut db));
        }
        if !ran {
            continue;
        }
        statements += 1;
        let Some(analysis) = analysis else { continue };
        let read_only = analysis.understood && analysis.effect.is_read_only();
        if read_only && line.wrote {
            false_reads += 1;
            println!("FALSE READ {} {}: {}", line.file, line.kind, line.sql.replace('\n', " "));
        }
        if !line.wrote && matches!(line.kind.as_str(), "SelectStmt" | "ExplainStmt") {
            reads += 1;
            if read_only {
                kept += 1;
            } else {
                let blocking =
                    analysis.findings.iter().filter(|f| f.code.blocks() || !analysis.understood && f.code.blocks());
                let codes: BTreeSet<&str> = blocking.map(|f| f.code.as_str()).collect();
                *why.entry(codes.into_iter().collect::<Vec<_>>().join("+")).or_default() += 1;
                if std::env::var_os("WETINK_SHOW").is_some() {
                    let sentence = analysis.findings.iter().find(|f| f.code.blocks()).map(|f| f.sentence.as_str());
                    println!(
                        "LOST {} | {} | {}",
                        line.file,
                        sentence.unwrap_or("a write"),
                        line.sql.replace('\n', " ")
                    );
                }
            }
        }
        if analysis.understood {
            locked += u32::try_from(line.locks.len()).unwrap();
            let has = |name: &&String| {
                analysis.effect.relations.iter().any(|r| r.name.rsplit('.').next() == name.rsplit('.').next())
            };
            named += line.locks.keys().filter(has).map(|_| 1_u32).sum::<u32>();
        }
    }
    for (codes, count) in &why {
        println!("lost {count} {codes}");
    }
    println!("oracle_statements: {statements}\noracle_false_reads: {false_reads}");
    println!("oracle_reads_kept_percent: {:.1}", 100.0 * f64::from(kept) / f64::from(reads.max(1)));
    println!("oracle_relation_recall_percent: {:.1}", 100.0 * f64::from(named) / f64::from(locked.max(1)));
    assert_eq!(false_reads, 0, "statements that wrote were called read-only");
}
