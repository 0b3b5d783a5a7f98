//! Runs on a PostgreSQL of their own: as the registered login, mirrored, and with a role minted for the run, each against the
//! same statement on a connection made for it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use artifact::effect::{RelationUse, Verb};
use artifact::{Effect, Kind};
use execute::{Ready, perform_with};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use wire::order::{Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

use crate::measure::Times;
use crate::server::Server;
use crate::table::{Goal, Table, time};

/// Runs of each kind, in turns.
const RUNS: usize = 150;
const READ: &str = "SELECT id, status FROM orders WHERE id = 41";

fn target(server: &Server, login: &str, rights: Rights, mirror: Option<&str>) -> Registration {
    Registration {
        name: "shop".into(),
        address: Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: login.into(),
            rights,
            mirror: mirror.map(str::to_owned),
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        },
        environment: "bench".into(),
        run_as: login.into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 5_000,
        result_rows_max: 100,
        labels: std::collections::BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

fn effect() -> Effect {
    let mut effect = Effect::empty();
    effect.relations.push(RelationUse {
        name: "public.orders".into(),
        verbs: vec![Verb::Read],
        reads: vec!["id".into(), "status".into()],
        writes: vec![],
        ..RelationUse::default()
    });
    effect
}

/// `ahead`: the sessions were there before the order came, as after another run within a minute.
fn run(target: &Registration, effect: &Effect, ahead: bool) -> Result<Duration> {
    let job = Job {
        target: target.clone(),
        kind: Kind::SqlPostgresql,
        artifact: READ.into(),
        effect: effect.clone(),
        signer: "bench".into(),
        additions: Vec::new(),
    };
    let ready = ahead.then(|| Ready::make(target, b"").ok()).flatten();
    if ahead && ready.is_none() {
        bail!("no session could be made ahead");
    }
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let order = Order::Run { job, ceiling_rows: 0 };
    let report = perform_with(&order, b"", ready, &mut |_, _| true, &mut |_| took = began.elapsed());
    if matches!(report, Report::Done { .. }) { Ok(took) } else { bail!("it did not run: {report:?}") }
}

/// The same with nothing around it.
fn plain(server: &Server) -> Result<Duration> {
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(server.socket())
            .port(5432)
            .username("app")
            .database("postgres")
            .disable_statement_logging();
        let mut db = PgConnection::connect_with(&options).await?;
        sqlx::raw_sql(READ).fetch_all(&mut db).await?;
        db.close().await
    })?;
    Ok(began.elapsed())
}

pub(crate) fn rows(table: &mut Table) -> Result<()> {
    if !Path::new("/usr/lib/postgresql").exists() {
        table.absent("runs on PostgreSQL", "no server on this machine");
        return Ok(());
    }
    let server = Server::start();
    server.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, status text, note text);
         INSERT INTO orders SELECT i, 'paid', 'x' FROM generate_series(1, 10000) i; ANALYZE orders;
         CREATE ROLE app LOGIN; GRANT SELECT ON orders TO app;
         CREATE ROLE ada NOLOGIN; GRANT SELECT ON orders TO ada; CREATE ROLE mirror_ada LOGIN NOINHERIT; GRANT ada TO mirror_ada;
         CREATE ROLE minter LOGIN CREATEROLE; GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO minter WITH GRANT OPTION;
         GRANT USAGE ON SCHEMA public TO minter WITH GRANT OPTION; GRANT CONNECT ON DATABASE postgres TO minter WITH GRANT OPTION",
    );
    let kinds = [
        ("as the registered login", target(&server, "app", Rights::Login, None), 5e6),
        ("mirrored as the person's role", target(&server, "mirror_ada", Rights::Login, Some("ada")), 5e6),
        ("with a role minted for it", target(&server, "minter", Rights::Minted, None), 5e6),
        ("as the registered login, connected ahead", target(&server, "app", Rights::Login, None), 2e6),
        ("with a role minted for it, connected ahead", target(&server, "minter", Rights::Minted, None), 2e6),
    ];
    let effect = effect();
    let mut bare = Times::default();
    let mut ours: Vec<Times> = kinds.iter().map(|_| Times::default()).collect();
    for round in 0..RUNS {
        let took = plain(&server)?;
        for ((name, target, _), times) in kinds.iter().zip(&mut ours) {
            let took = run(target, &effect, name.ends_with("ahead"))?;
            if round > 4 {
                times.add(took);
            }
        }
        if round > 4 {
            bare.add(took);
        }
    }
    let anchor = bare.percentile(0.5);
    for ((name, _, limit), mut times) in kinds.into_iter().zip(ours) {
        let added = times.percentile(0.5) - anchor;
        let shown = format!("{} over {}; p99 {}", time(added), time(anchor), time(times.percentile(0.99)));
        table.counted(
            &format!("added by a run {name}: {}", time(limit)),
            shown,
            time(limit),
            added / limit,
            Goal::AtMost(1.0),
        );
    }
    Ok(())
}
