//! Executors killed at any moment of minted runs: no role and no grant stays behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../execute/tests/support/mod.rs"]
mod pg;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use artifact::effect::Verb;
use artifact::{Effect, Kind};
use execute::perform;
use wire::frame;
use wire::order::{Go, Job, ORDER_LIMIT, Order, REPORT_LIMIT, Report};
use wire::target::{Address, Registration, Rights, Tls};

const LEFT: &str = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'wetink%')
    + (SELECT count(*) FROM pg_class WHERE relacl::text LIKE '%wetink%') + (SELECT count(*) FROM pg_attribute WHERE attacl::text LIKE '%wetink%')";

fn job(server: &pg::Server) -> Job {
    let mut effect = Effect::empty();
    let used = effect.relation_mut("public.rows");
    used.verbs = vec![Verb::Read, Verb::Update];
    used.reads = vec!["id".into()];
    used.writes = vec!["n".into()];
    effect.normalize();
    let address = Address::Postgresql {
        host: server.socket(),
        port: 5432,
        database: "postgres".into(),
        login: "minter".into(),
        rights: Rights::Minted,
        mirror: None,
        tls: Tls::Disable,
        ca_file: None,
        search_path: vec!["public".into()],
    };
    let target = Registration {
        name: "rows".into(),
        address,
        environment: "test".into(),
        run_as: "minted".into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 5_000,
        result_rows_max: 10,
        labels: BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    };
    let artifact = "UPDATE rows SET n = 7 WHERE id = 3".into();
    Job { target, kind: Kind::SqlPostgresql, artifact, effect, signer: "Ada".into(), additions: Vec::new() }
}

/// A real executor process with its order, which then holds the change open.
fn executor(order: &Order) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wetink"))
        .arg("executor")
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    frame::write(stdin, order, ORDER_LIMIT).unwrap();
    stdin.write_all(&0_u32.to_be_bytes()).unwrap();
    child
}

/// The guard's side of a run that changes one row.
fn let_through(child: &mut Child) {
    let report: Report = frame::read(child.stdout.as_mut().unwrap(), REPORT_LIMIT).unwrap();
    assert!(matches!(report, Report::Prepared { affected: 1, .. }), "{report:?}");
    frame::write(child.stdin.as_mut().unwrap(), &Go { commit: true }, 1024).unwrap();
    let report: Report = frame::read(child.stdout.as_mut().unwrap(), REPORT_LIMIT).unwrap();
    assert!(matches!(report, Report::Done { affected: 1, .. }), "{report:?}");
}

#[test]
fn nothing_is_left_after_kills() {
    let kills: u64 = std::env::var("WETINK_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let server = pg::Server::start();
    server.sql(
        "CREATE ROLE minter LOGIN CREATEROLE; GRANT ALL ON SCHEMA public TO minter; SET ROLE minter;
         CREATE TABLE rows (id int PRIMARY KEY, n int); INSERT INTO rows SELECT i, 0 FROM generate_series(1, 9) i",
    );
    server.let_in("local all boss,minter trust\nlocal all all scram-sha-256\n");
    let order = Order::Run { job: job(&server), ceiling_rows: 5 };

    // A run that is let through, by a confined child, tells how long one takes.
    let began = Instant::now();
    let mut child = executor(&order);
    let_through(&mut child);
    drop(child.stdin.take());
    child.wait().unwrap();
    let whole = began.elapsed();
    assert_eq!(server.sql(LEFT), "0");
    server.sql("UPDATE rows SET n = 0");

    let ahead = Order::Prepare { target: order.target().clone() };
    for kill in 0..kills {
        // Every other one was connected before its order came.
        let mut child = executor(if kill % 2 == 0 { &order } else { &ahead });
        if kill % 2 != 0 {
            frame::write(child.stdin.as_mut().unwrap(), &order, ORDER_LIMIT).unwrap();
        }
        let part = u32::try_from(kill * 100 / kills.max(1)).unwrap();
        std::thread::sleep(whole * part / 90);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // The server notices a client that is gone; then one more run sweeps, as any run does.
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let report = perform(&order, b"", &mut |_, _| false);
        assert!(matches!(report, Report::Failed { .. }), "{report:?}");
        if server.sql(LEFT) == "0" || Instant::now() > until {
            break;
        }
    }
    let (left, changed) = (server.sql(LEFT), server.sql("SELECT count(*) FROM rows WHERE n <> 0"));
    println!("kills: {kills}\nleft_behind: {left}\nchanged: {changed}");
    assert_eq!((left.as_str(), changed.as_str()), ("0", "0"));
}

/// Waits until the server has that many roles of ours.
fn roles(server: &pg::Server, wanted: &str) -> bool {
    let until = Instant::now() + Duration::from_secs(10);
    while server.sql(LEFT) != wanted && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.sql(LEFT) == wanted
}

#[test]
fn a_child_connected_ahead_serves_its_target_once_and_leaves_nothing() {
    let server = pg::Server::start();
    server.sql(
        "CREATE ROLE minter LOGIN CREATEROLE; GRANT ALL ON SCHEMA public TO minter; SET ROLE minter;
         CREATE TABLE rows (id int PRIMARY KEY, n int); INSERT INTO rows SELECT i, 0 FROM generate_series(1, 9) i",
    );
    server.let_in("local all boss,minter trust\nlocal all all scram-sha-256\n");
    let run = Order::Run { job: job(&server), ceiling_rows: 5 };
    let ahead = || executor(&Order::Prepare { target: run.target().clone() });
    let ends = |mut child: Child| {
        drop(child.stdin.take());
        child.wait().unwrap();
    };

    // Its role may do nothing while it waits, and is gone when nobody needs it.
    let child = ahead();
    assert!(roles(&server, "1"));
    assert_eq!(server.sql("SELECT count(*) FROM pg_class WHERE relacl::text LIKE '%wetink%'"), "0");
    ends(child);
    assert_eq!(server.sql(LEFT), "0");

    // An order for another target gets no session and no answer.
    let mut child = ahead();
    assert!(roles(&server, "1"));
    let mut other = job(&server);
    other.target.name = "elsewhere".into();
    let other = Order::Run { job: other, ceiling_rows: 5 };
    frame::write(child.stdin.as_mut().unwrap(), &other, ORDER_LIMIT).unwrap();
    assert!(frame::read::<Report>(child.stdout.as_mut().unwrap(), REPORT_LIMIT).is_err());
    ends(child);
    assert_eq!(server.sql(LEFT), "0");

    // The server ended its sessions meanwhile: it connects once more.
    for broken in [false, true] {
        let mut child = ahead();
        assert!(roles(&server, "1"));
        if broken {
            server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'wetink%' OR usename = 'minter'");
        }
        frame::write(child.stdin.as_mut().unwrap(), &run, ORDER_LIMIT).unwrap();
        let_through(&mut child);
        ends(child);
    }
    let report = perform(&run, b"", &mut |_, _| false);
    assert!(matches!(report, Report::Failed { .. }), "{report:?}");
    assert_eq!((server.sql(LEFT), server.sql("SELECT n FROM rows WHERE id = 3")), ("0".into(), "7".into()));
}
