//! A role for each run: what the effect does not name, the server refuses, whatever the statement says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use artifact::effect::{RelationUse, Verb};
use artifact::{Effect, Kind};
use execute::perform;
use support::Server;
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

const SCHEMA: &str = "
CREATE ROLE minter LOGIN CREATEROLE; CREATE ROLE too_strong LOGIN SUPERUSER; CREATE ROLE weak LOGIN; CREATE ROLE other NOLOGIN;
GRANT CREATE ON SCHEMA public TO minter; GRANT other TO minter;
SET ROLE minter;
CREATE TABLE orders (id int PRIMARY KEY, status text NOT NULL, owner text NOT NULL, amount numeric(10,2));
INSERT INTO orders SELECT i, 'paid', CASE i % 2 WHEN 0 THEN 'ada' ELSE 'bo' END, i FROM generate_series(1, 20) i;
CREATE TABLE lines (id serial PRIMARY KEY, order_id int REFERENCES orders ON DELETE CASCADE, n int);
INSERT INTO lines (order_id) SELECT 1 + i % 20 FROM generate_series(1, 40) i;
CREATE TABLE audit (what text);
CREATE TABLE parted (id int, n int) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (200);
INSERT INTO parted SELECT i, i FROM generate_series(0, 199) i;
RESET ROLE; SET ROLE other;
RESET ROLE;
CREATE TABLE secrets (id int, ssn text); INSERT INTO secrets VALUES (1, '078-05-1120');
CREATE VIEW leak AS SELECT id, ssn FROM secrets; GRANT SELECT ON leak TO minter WITH GRANT OPTION;
CREATE FUNCTION sneak(int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO public.secrets VALUES ($1, ''x''); RETURN $1; END';
CREATE FUNCTION peek(int) RETURNS text LANGUAGE sql SECURITY DEFINER STABLE AS 'SELECT ssn FROM public.secrets LIMIT 1';
CREATE ROLE ada NOLOGIN; GRANT ada TO minter WITH ADMIN OPTION; GRANT SELECT, UPDATE ON orders TO ada;
ALTER TABLE orders OWNER TO minter;
";

fn target(server: &Server, login: &str, mirror: Option<&str>) -> Registration {
    Registration {
        name: "shop".into(),
        address: Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: login.into(),
            rights: Rights::Minted,
            mirror: mirror.map(str::to_owned),
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        },
        environment: "test".into(),
        run_as: "minted".into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 2_000,
        result_rows_max: 50,
        labels: std::collections::BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

/// `read public.orders(id,status); update public.orders(status); call public.f`.
fn effect(text: &str) -> Effect {
    let mut effect = Effect::empty();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (verb, rest) = part.split_once(' ').unwrap();
        if verb == "call" {
            effect.functions.push(rest.to_owned());
            continue;
        }
        let (name, columns) = rest.split_once('(').unwrap_or((rest, ")"));
        let columns = columns.trim_end_matches(')').split(',').filter(|c| !c.is_empty()).map(str::to_owned);
        let verb: Verb = verb.parse().unwrap();
        let used: &mut RelationUse = effect.relation_mut(name);
        used.verbs.push(verb);
        if verb == Verb::Read { used.reads.extend(columns) } else { used.writes.extend(columns) }
    }
    effect.normalize();
    effect
}

fn run(target: &Registration, effect_text: &str, sql: &str) -> Report {
    let job = Job {
        target: target.clone(),
        kind: Kind::SqlPostgresql,
        artifact: sql.into(),
        effect: effect(effect_text),
        signer: "Ada".into(),
        additions: Vec::new(),
    };
    perform(&Order::Run { job, ceiling_rows: 100 }, b"", &mut |_, _| true)
}

fn code(report: &Report) -> Option<FailCode> {
    if let Report::Failed { code, .. } = report { Some(*code) } else { None }
}

fn server() -> Server {
    let server = Server::start();
    server.sql(SCHEMA);
    // A minted role proves itself by its password; nobody else is let in by name alone.
    server.let_in("local all boss,minter,weak,too_strong trust\nlocal all all scram-sha-256\n");
    server
}

const LEFT: &str = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'wetink%'";

#[test]
fn a_minted_role_does_what_was_signed_and_is_gone() {
    let server = server();
    let shop = target(&server, "minter", None);
    let ran = |effect: &str, sql: &str| {
        let report = run(&shop, effect, sql);
        let Report::Done { affected, result, .. } = report else { panic!("{sql}: {report:?}") };
        assert_eq!(server.sql(LEFT), "0", "{sql}");
        (affected, result.total_rows)
    };
    assert_eq!(ran("read public.orders(id,status)", "SELECT id, status FROM orders WHERE id < 4"), (0, 3));
    assert_eq!(ran("read public.orders", "SELECT count(*) FROM orders"), (0, 1));
    let update = "read public.orders(id); update public.orders(status)";
    assert_eq!(ran(update, "UPDATE orders SET status = 'sent' WHERE id < 4"), (3, 0));
    // A serial column, a foreign key that the server checks by itself, a cascade.
    let insert = "insert public.lines(order_id); insert public.lines_id_seq(*); read public.lines(id)";
    assert_eq!(ran(insert, "INSERT INTO lines (order_id) VALUES (3) RETURNING id"), (1, 1));
    let delete = "read public.orders(id); delete public.orders; delete public.lines";
    assert_eq!(ran(delete, "DELETE FROM orders WHERE id = 20"), (3, 0));
    // Partitions belong to their table; a row that moves is one row to a reader, two to the server.
    assert_eq!(ran("read public.parted(id)", "SELECT id FROM parted WHERE id > 190"), (0, 9));
    let moved = "read public.parted(id); update public.parted(id)";
    assert_eq!(ran(moved, "UPDATE parted SET id = 150 WHERE id = 5").0, 2);
    // Locked rows.
    let locked = "read public.orders(id); update public.orders";
    assert_eq!(ran(locked, "SELECT id FROM orders WHERE id = 7 FOR UPDATE"), (1, 1));
    assert_eq!(server.sql("SELECT count(*) FROM pg_shdepend d WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = d.refobjid) AND d.refclassid = 'pg_authid'::regclass"), "0");
}

#[test]
fn a_minted_role_can_do_nothing_else() {
    let server = server();
    let shop = target(&server, "minter", None);
    let before = || {
        server.sql("SELECT (SELECT string_agg(o::text, '' ORDER BY id) FROM orders o), (SELECT count(*) FROM secrets), (SELECT count(*) FROM lines), (SELECT count(*) FROM audit)")
    };
    let was = before();
    let update = "read public.orders(id); update public.orders(status)";
    for (effect, sql) in [
        (update, "UPDATE orders SET amount = 0 WHERE id = 1"),
        (update, "UPDATE orders SET status = owner WHERE id = 1"),
        (update, "DELETE FROM orders WHERE id = 1"),
        (update, "INSERT INTO orders VALUES (99, 'a', 'b', 1)"),
        (update, "UPDATE lines SET n = 1"),
        (update, "WITH w AS (DELETE FROM lines) UPDATE orders SET status = 'x' WHERE id = 1"),
        (update, "UPDATE orders SET status = (SELECT ssn FROM secrets) WHERE id = 1"),
        ("read public.orders(id)", "SELECT owner FROM orders"),
        ("read public.orders(id)", "SELECT * FROM orders"),
        ("read public.orders(id)", "SELECT id FROM orders FOR UPDATE"),
        ("read public.orders(id)", "SELECT orders::text FROM orders"),
        (
            "read public.orders(id)",
            "SELECT set_config('role', 'minter', true), query_to_xml('SELECT ssn FROM secrets', true, true, '')",
        ),
        (
            "read public.orders(id)",
            "SELECT set_config('role', 'none', true), query_to_xml('SELECT owner FROM orders', true, true, '')",
        ),
        (
            "read public.orders(id)",
            "SELECT set_config('session_authorization', 'minter', true), query_to_xml('SELECT owner FROM orders', true, true, '')",
        ),
        // Behind a view, and in the name of another: bound by what the server says was touched.
        ("read public.leak(ssn)", "SELECT ssn FROM leak"),
        ("read public.orders(id); call public.peek", "SELECT peek(1)"),
        ("read public.orders(id); update public.orders(status); call public.sneak", "SELECT sneak(7)"),
        ("delete public.orders; read public.orders(id)", "DELETE FROM orders WHERE id = 1"),
        (update, "SET ROLE minter"),
        (update, "CREATE TABLE mine (id int)"),
        (update, "GRANT ALL ON orders TO PUBLIC"),
        (update, "COPY orders TO PROGRAM 'true'"),
        (update, "TRUNCATE orders CASCADE"),
    ] {
        let report = run(&shop, effect, sql);
        assert!(matches!(code(&report), Some(FailCode::BeyondEffect | FailCode::StatementFailed)), "{sql}: {report:?}");
        assert_eq!(before(), was, "{sql}");
        assert_eq!(server.sql(LEFT), "0", "{sql}");
    }
    // What was signed for the view and the table behind it runs.
    let both = "read public.leak(ssn); read public.secrets(*)";
    let report = run(&shop, both, "SELECT ssn FROM leak");
    assert!(matches!(report, Report::Done { .. }), "{report:?}");
    // Minting without the power to, with too much of it, and for what no grant covers.
    for (login, effect) in [("weak", update), ("too_strong", update), ("minter", "define public.orders")] {
        let report = run(&target(&server, login, None), effect, "UPDATE orders SET status = 'x' WHERE id = 1");
        assert_eq!(code(&report), Some(FailCode::BadOrder), "{login}: {report:?}");
    }
    assert_eq!(before(), was);
}

#[test]
fn a_mirrored_run_obeys_row_level_security_and_cannot_fall_back() {
    let server = server();
    server
        .sql("ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders TO ada USING (owner = 'ada')");
    let shop = target(&server, "minter", Some("ada"));
    let read = "read public.orders(*)";
    let Report::Done { result, .. } = run(&shop, read, "SELECT id, owner FROM orders") else { panic!("read") };
    assert!(result.total_rows == 10 && result.rows.iter().all(|r| r[1].as_deref() == Some("ada")));
    let escape = "SELECT set_config('role', 'none', true), query_to_xml('SELECT owner FROM orders', true, true, '')";
    assert_eq!(code(&run(&shop, read, escape)), Some(FailCode::BeyondEffect));
    assert_eq!(server.sql(LEFT), "0");
}

#[test]
fn what_a_crash_leaves_is_swept() {
    let server = server();
    let shop = target(&server, "minter", None);
    server.sql(
        "SET ROLE minter; CREATE ROLE wetink_run_old LOGIN VALID UNTIL '2020-01-01';
         GRANT SELECT (id) ON orders TO wetink_run_old; GRANT USAGE ON SEQUENCE lines_id_seq TO wetink_run_old; GRANT UPDATE ON lines TO wetink_run_old",
    );
    let read = || assert!(matches!(run(&shop, "read public.orders(id)", "SELECT id FROM orders"), Report::Done { .. }));
    read();
    assert_eq!(server.sql(LEFT), "0");
    assert_eq!(server.sql("SELECT count(*) FROM pg_attribute WHERE attacl::text LIKE '%wetink%'"), "0");
    // One that a living minter holds stays.
    server.sql("SET ROLE minter; CREATE ROLE wetink_run_held LOGIN");
    let held = std::thread::scope(|scope| {
        let holder = scope.spawn(|| {
            server.sql("SELECT pg_advisory_lock(2003137641, hashtext('wetink_run_held')); SELECT pg_sleep(1.5)")
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        read();
        let held = server.sql(LEFT);
        holder.join().unwrap();
        held
    });
    assert_eq!(held, "1");
    read();
    assert_eq!(server.sql(LEFT), "0");
}
