//! The PostgreSQL connector against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use artifact::effect::{RelationUse, Verb};
use artifact::{Effect, Kind};
use execute::perform;
use support::Server;
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

const SCHEMA: &str = "
CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, owner text NOT NULL, amount numeric(10,2));
INSERT INTO orders SELECT i, 'paid', CASE i % 2 WHEN 0 THEN 'ada' ELSE 'bo' END, i + 0.50 FROM generate_series(1, 20) i;
CREATE TABLE secrets (id int, ssn text); INSERT INTO secrets VALUES (1, '078-05-1120');
CREATE TABLE lines (id int, order_id int REFERENCES orders ON DELETE CASCADE); INSERT INTO lines SELECT i, 1 + i % 20 FROM generate_series(1, 60) i;
CREATE ROLE app LOGIN; GRANT SELECT, UPDATE, DELETE ON orders TO app; GRANT SELECT ON lines TO app;
CREATE ROLE ada NOLOGIN; GRANT SELECT ON orders TO ada;
CREATE ROLE mirror_ada LOGIN NOINHERIT; GRANT ada TO mirror_ada;
CREATE ROLE inheriting LOGIN INHERIT; GRANT ada TO inheriting;
CREATE ROLE two LOGIN NOINHERIT; GRANT ada TO two; GRANT pg_read_all_data TO two;
CREATE ROLE maker LOGIN CREATEROLE;
ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON orders TO ada USING (owner = 'ada'); CREATE POLICY every ON orders TO app USING (true);
CREATE SCHEMA hidden; CREATE TABLE hidden.t (id int GENERATED ALWAYS AS IDENTITY, f int DEFAULT 1); CREATE VIEW hidden.v AS SELECT id FROM hidden.t;
CREATE VIEW paid AS SELECT id, status FROM orders WHERE status = 'paid';
";

fn target(server: &Server, login: &str, mirror: Option<&str>) -> Registration {
    Registration {
        name: "shop".into(),
        address: Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: login.into(),
            mirror: mirror.map(str::to_owned),
            rights: Rights::Login,
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        },
        environment: "test".into(),
        run_as: mirror.unwrap_or(login).into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 1_500,
        result_rows_max: 10,
        labels: std::collections::BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

fn effect(verb: Verb) -> Effect {
    let mut effect = Effect::empty();
    effect.relations.push(RelationUse {
        name: "public.orders".into(),
        verbs: vec![Verb::Read, verb],
        reads: vec!["*".into()],
        writes: if verb == Verb::Update { vec!["status".into()] } else { vec![] },
        ..RelationUse::default()
    });
    if verb == Verb::Delete {
        effect.relation_mut("public.lines").verbs.push(Verb::Delete);
    }
    effect.normalize();
    effect
}

struct Run<'a> {
    target: &'a Registration,
    verb: Verb,
    ceiling: u64,
}

impl Run<'_> {
    fn of(&self, sql: &str) -> Report {
        self.deciding(sql, true)
    }

    fn deciding(&self, sql: &str, yes: bool) -> Report {
        let job = Job {
            target: self.target.clone(),
            kind: Kind::SqlPostgresql,
            artifact: sql.into(),
            effect: effect(self.verb),
            signer: "Ada".into(),
            additions: Vec::new(),
        };
        perform(&Order::Run { job, ceiling_rows: self.ceiling }, b"", &mut |_, _| yes)
    }
}

fn code(report: &Report) -> Option<FailCode> {
    if let Report::Failed { code, .. } = report { Some(*code) } else { None }
}

#[test]
fn against_a_real_server() {
    let server = Server::start();
    server.sql(SCHEMA);
    let app = target(&server, "app", None);
    let read = Run { target: &app, verb: Verb::Read, ceiling: 0 };
    let update = Run { target: &app, verb: Verb::Update, ceiling: 5 };
    let paid = || server.sql("SELECT count(*) FROM orders WHERE status = 'paid'");

    // A read: values as the server renders them, origins of columns, rows cut off and counted.
    let Report::Done { result, affected: 0, .. } =
        read.of("SELECT id, amount, upper(status) AS s FROM orders ORDER BY id")
    else {
        panic!("read")
    };
    assert_eq!(result.rows[0], [Some("1".into()), Some("1.50".into()), Some("PAID".into())]);
    assert_eq!((result.rows.len(), result.total_rows), (10, 20));
    let origins: Vec<Option<&str>> = result.columns.iter().map(|c| c.origin.as_deref()).collect();
    assert_eq!(origins, [Some("public.orders.id"), Some("public.orders.amount"), None]);

    // A write within its ceiling, and one row more than signed.
    let Report::Done { affected: 5, .. } = update.of("UPDATE orders SET status = 'sent' WHERE id <= 5") else {
        panic!("update")
    };
    assert_eq!(paid(), "15");
    assert_eq!(
        code(&update.of("UPDATE orders SET status = 'sent' WHERE id BETWEEN 6 AND 11")),
        Some(FailCode::CeilingExceeded)
    );
    assert_eq!(paid(), "15");
    // The guard says no at the last moment.
    assert_eq!(
        code(&update.deciding("UPDATE orders SET status = 'sent' WHERE id = 6", false)),
        Some(FailCode::Withdrawn)
    );
    assert_eq!(paid(), "15");
    // Rows changed inside a CTE count, whatever the outer statement returns.
    let hidden = "WITH w AS (UPDATE orders SET status = 'sent' RETURNING id) SELECT count(*) FROM w";
    assert_eq!(code(&update.of(hidden)), Some(FailCode::CeilingExceeded));
    // So do cascades.
    let delete = Run { target: &app, verb: Verb::Delete, ceiling: 1 };
    assert_eq!(code(&delete.of("DELETE FROM orders WHERE id = 20")), Some(FailCode::CeilingExceeded));
    assert_eq!(server.sql("SELECT count(*) FROM orders"), "20");

    // More than one statement, transaction control, programs, files, rights, other tables.
    for (sql, wanted) in [
        ("SELECT 1; DELETE FROM orders", FailCode::NotOneStatement),
        ("SELECT 1; COMMIT; DELETE FROM orders", FailCode::NotOneStatement),
        ("DELETE FROM orders", FailCode::BeyondEffect),
        ("SELECT ssn FROM secrets", FailCode::BeyondEffect),
        ("COPY (SELECT 1) TO PROGRAM 'true'", FailCode::BeyondEffect),
        ("SELECT pg_read_file('/etc/passwd')", FailCode::BeyondEffect),
        ("COMMIT", FailCode::BeyondEffect),
        ("SELECT nonsense FROM orders", FailCode::StatementFailed),
        ("SELECT pg_sleep(30)", FailCode::TimedOut),
    ] {
        assert_eq!(code(&read.of(sql)), Some(wanted), "{sql}");
    }
    assert_eq!(code(&update.of("COMMIT")), Some(FailCode::BeyondEffect));
    assert_eq!(code(&update.of("ROLLBACK AND CHAIN")), Some(FailCode::BeyondEffect));
    assert_eq!(server.sql("SELECT count(*) FROM orders"), "20");

    // A lock that is not given up.
    let holder = std::process::Command::new("psql")
        .args([
            "-X",
            "-q",
            "-U",
            "boss",
            "-h",
            &server.socket(),
            "-d",
            "postgres",
            "-c",
            "BEGIN; SELECT 1 FROM orders WHERE id = 7 FOR UPDATE; SELECT pg_sleep(6)",
        ])
        .stdout(std::process::Stdio::null())
        .spawn();
    let sleeps = || server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") != "0";
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !sleeps() && std::time::Instant::now() < until {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let locked = code(&update.of("UPDATE orders SET status = 'x' WHERE id = 7"));
    assert!(matches!(locked, Some(FailCode::Locked | FailCode::TimedOut)), "{locked:?}");
    let mut holder = holder.unwrap();
    let _ = holder.kill();
    let _ = holder.wait();
    // The server does not notice a client that went away while it sleeps.
    server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()");

    // A mirrored run obeys row-level security, and the escape of one statement fails.
    let mirror = target(&server, "mirror_ada", Some("ada"));
    let as_ada = Run { target: &mirror, verb: Verb::Read, ceiling: 0 };
    let Report::Done { result, .. } = as_ada.of("SELECT count(*) FROM orders") else { panic!("mirrored") };
    assert_eq!(result.rows[0][0].as_deref(), Some("10"));
    let escape = "SELECT set_config('role', 'none', true), query_to_xml('SELECT ssn FROM secrets', true, false, '')";
    assert_eq!(code(&as_ada.of(escape)), Some(FailCode::BeyondEffect));
    assert_eq!(code(&as_ada.of("SELECT ssn FROM secrets")), Some(FailCode::BeyondEffect));

    // Logins that could do too much are refused before anything runs.
    for (login, mirror) in
        [("boss", None), ("maker", None), ("inheriting", Some("ada")), ("two", Some("ada")), ("app", Some("ada"))]
    {
        let target = target(&server, login, mirror);
        let refused = code(&Run { target: &target, verb: Verb::Read, ceiling: 0 }.of("SELECT 1"));
        assert_eq!(refused, Some(FailCode::BadOrder), "{login}");
    }
    let nobody = target(&server, "nobody_here", None);
    assert_eq!(
        code(&Run { target: &nobody, verb: Verb::Read, ceiling: 0 }.of("SELECT 1")),
        Some(FailCode::LoginRefused)
    );

    // What became of a transaction can be asked later.
    let mut seen = None;
    let job = |sql: &str| Job {
        target: app.clone(),
        kind: Kind::SqlPostgresql,
        artifact: sql.into(),
        effect: effect(Verb::Update),
        signer: "Ada".into(),
        additions: Vec::new(),
    };
    let order = Order::Run { job: job("UPDATE orders SET status = 'sent' WHERE id = 8"), ceiling_rows: 1 };
    let report = perform(&order, b"", &mut |_, transaction| {
        seen = transaction.map(str::to_owned);
        true
    });
    assert!(matches!(report, Report::Done { .. }), "{report:?}");
    let ask =
        |transaction: String| perform(&Order::Resolve { target: app.clone(), transaction }, b"", &mut |_, _| false);
    assert_eq!(ask(seen.clone().unwrap()), Report::Resolved { status: Some("committed".into()) });
    assert_eq!(code(&ask("1; DROP TABLE orders".into())), Some(FailCode::BadOrder));

    // A trial leaves nothing behind.
    let trial =
        perform(&Order::Preview { job: job("UPDATE orders SET status = 'gone'"), sample: false }, b"", &mut |_, _| {
            true
        });
    assert_eq!(trial, Report::Preview { rows: 20, of: Some(20), sample: None });
    assert_eq!(server.sql("SELECT count(*) FROM orders WHERE status = 'gone'"), "0");

    // The schema.
    let Report::Catalog { catalog } = perform(&Order::Catalog { target: app.clone() }, b"", &mut |_, _| false) else {
        panic!("catalog")
    };
    let orders = catalog.relation("public.orders").unwrap();
    assert!(orders.row_security && orders.columns.iter().any(|c| c.name == "amount" && c.type_name == "numeric(10,2)"));
    assert_eq!(orders.cascades_to, ["public.lines"]);
    assert_eq!(catalog.relation("public.paid").unwrap().reads_from, ["public.orders"]);
    assert!(catalog.functions.iter().any(|f| f.name == "pg_catalog.lower"));
    // Also of a schema that the login may not use: the effect has to know what others' rights reach.
    let filled = catalog.relation("hidden.t").unwrap().columns[0].default.clone();
    assert_eq!(filled.as_deref(), Some("nextval('hidden.t_id_seq'::regclass)"));
}

#[test]
fn a_schema_that_changed_since_is_stale() {
    let server = Server::start();
    server.sql(SCHEMA);
    server.sql(
        "CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'; GRANT EXECUTE ON FUNCTION twice TO app;
         CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'",
    );
    let app = target(&server, "app", None);
    let catalog = || {
        let report = perform(&Order::Catalog { target: app.clone() }, b"", &mut |_, _| false);
        let Report::Catalog { catalog } = report else { panic!("{report:?}") };
        catalog
    };
    let run = |shown: &artifact::catalog::Catalog| {
        let mut effect = effect(Verb::Update);
        effect.relation_mut("public.orders").reads = vec!["amount".into(), "id".into(), "status".into()];
        effect.functions = vec!["public.twice".into()];
        effect.shapes = artifact::shapes(shown, &effect);
        assert_eq!(effect.shapes.len(), 2, "{:?}", effect.shapes);
        let artifact = "UPDATE orders SET status = 'seen' WHERE id = twice(1)".into();
        let job = Job {
            target: app.clone(),
            kind: Kind::SqlPostgresql,
            artifact,
            effect,
            signer: "Ada".into(),
            additions: Vec::new(),
        };
        perform(&Order::Run { job, ceiling_rows: 5 }, b"", &mut |_, _| true)
    };
    assert!(matches!(run(&catalog()), Report::Done { affected: 1, .. }));
    for (change, word) in [
        ("ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2)", "column amount"),
        ("ALTER TABLE orders RENAME COLUMN status TO state", "was column status"),
        ("CREATE TRIGGER stamp BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION stamp()", "trigger stamp"),
        ("CREATE POLICY more ON orders TO app USING (id > 0)", "check or policy"),
        ("ALTER TABLE orders ADD CHECK (amount > -5)", "check or policy"),
        (
            "CREATE OR REPLACE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'",
            "function public.twice",
        ),
        (
            "ALTER TABLE orders RENAME TO old; CREATE VIEW orders AS SELECT * FROM old; GRANT ALL ON orders TO app",
            "relation public.orders: was",
        ),
    ] {
        let shown = catalog();
        server.sql(change);
        let report = run(&shown);
        let Report::Failed { code: FailCode::Drifted, detail } = &report else { panic!("{change}: {report:?}") };
        assert!(detail.contains(word), "{change}: {detail}");
        if word == "was column status" {
            server.sql("ALTER TABLE orders RENAME COLUMN state TO status");
        }
    }
    // What the statement does not see makes nothing stale.
    server.sql("DROP VIEW orders; ALTER TABLE old RENAME TO orders");
    let shown = catalog();
    server.sql("ALTER TABLE orders ADD COLUMN note text; ANALYZE orders; ALTER TABLE secrets ADD COLUMN more int");
    assert!(matches!(run(&shown), Report::Done { .. }));
}
