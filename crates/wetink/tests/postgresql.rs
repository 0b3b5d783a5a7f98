//! The whole way to a real PostgreSQL: guard process, confined executor child, server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../../execute/tests/support/mod.rs"]
mod server;
mod support;

use artifact::Kind;
use artifact::effect::{RelationUse, Verb};
use server::Server;
use support::{Scene, is_refused};
use wire::order::FailCode;
use wire::socket::{Answer, Outcome, Refused, Request};
use wire::target::{Address, Registration, Rights, Tls};

#[test]
fn a_confined_child_runs_what_was_signed_once() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE rows (id int PRIMARY KEY, n int NOT NULL, secret text);
         INSERT INTO rows SELECT i, 0, 'x' FROM generate_series(1, 10) i;
         CREATE ROLE app LOGIN; GRANT SELECT (id, n), UPDATE (n) ON rows TO app;",
    );
    let mut scene = Scene::new();
    scene.registration = Registration {
        address: Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: "app".into(),
            mirror: None,
            rights: Rights::Login,
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        },
        run_as: "app".into(),
        ..scene.registration.clone()
    };
    scene.grant_target();
    let mut effect = artifact::Effect::empty();
    effect.relations.push(RelationUse {
        name: "public.rows".into(),
        verbs: vec![Verb::Read, Verb::Update],
        reads: vec!["id".into(), "n".into()],
        writes: vec!["n".into()],
        ..RelationUse::default()
    });
    effect.normalize();
    let run = |sql: &str, ceiling: u64| {
        let mut proposed = scene.proposed(sql, effect.clone());
        proposed.kind = Kind::SqlPostgresql;
        let claim = scene.ada.sign(&scene.approval(&proposed, ceiling).to_text().unwrap());
        let request = Request::Run { claim, proposed };
        (scene.guard.ask(&request), request)
    };
    let sum = || server.sql("SELECT sum(n) FROM rows");

    let (answer, request) = run("UPDATE rows SET n = n + 1 WHERE id <= 3", 3);
    assert!(matches!(answer, Answer::Ran { outcome: Outcome::Held { affected: 3, .. }, .. }), "{answer:?}");
    assert_eq!(sum(), "3");
    assert!(is_refused(&scene.guard.ask(&request), Refused::AlreadySpent));
    for (sql, ceiling, wanted) in [
        ("UPDATE rows SET n = n + 1", 3, FailCode::CeilingExceeded),
        ("UPDATE rows SET secret = 'y'", 10, FailCode::BeyondEffect),
        ("UPDATE rows SET n = 1; DROP TABLE rows", 10, FailCode::NotOneStatement),
        ("COPY rows TO PROGRAM 'true'", 10, FailCode::BeyondEffect),
        ("DELETE FROM rows", 10, FailCode::BeyondEffect),
    ] {
        let (answer, _) = run(sql, ceiling);
        let code =
            if let Answer::Ran { outcome: Outcome::Failed { code, .. }, .. } = &answer { Some(*code) } else { None };
        assert_eq!(code, Some(wanted), "{sql}: {answer:?}");
    }
    assert_eq!(sum(), "3");

    // The log has the server's own transaction id, written before it was told to commit.
    let Answer::Entries { entries, .. } = scene.guard.ask(&Request::Read { from: 0, limit: 1024, wait_ms: 0 }) else {
        panic!("read")
    };
    let committing = entries.iter().find(|e| e.entry.contains("\"committing\"")).expect("a committing entry");
    let entry = audit::Entry::parse(committing.entry.as_bytes()).unwrap();
    let transaction = entry.facts.get("transaction").expect("a transaction id");
    assert_eq!(server.sql(&format!("SELECT pg_xact_status('{transaction}'::xid8)")), "committed");
}
