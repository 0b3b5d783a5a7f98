//! The MariaDB connector against a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mariadb_server;

use artifact::effect::{RelationUse, Verb};
use artifact::{Effect, Kind};
use execute::perform;
use mariadb_server::Mariadb;
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

const SCHEMA: &str = "
USE shop;
CREATE TABLE orders (id int PRIMARY KEY, status varchar(20) NOT NULL, owner varchar(20), amount decimal(10,2), at datetime, data blob) ENGINE=InnoDB;
INSERT INTO orders SELECT seq, 'paid', IF(seq % 2, 'bo', 'ada'), seq + 0.5, '2026-01-02 03:04:05', x'00ff' FROM seq_1_to_20;
CREATE TABLE secrets (id int, ssn varchar(20)) ENGINE=InnoDB; INSERT INTO secrets VALUES (1, '078-05-1120');
CREATE TABLE plain (id int) ENGINE=MyISAM; INSERT INTO plain VALUES (1);
CREATE USER app@'%' IDENTIFIED BY 'pw'; GRANT SELECT, UPDATE, DELETE, INSERT ON shop.orders TO app@'%'; GRANT SELECT ON shop.secrets TO app@'%';
CREATE USER strong@'%' IDENTIFIED BY 'pw'; GRANT ALL ON *.* TO strong@'%';
CREATE USER minter@'%' IDENTIFIED BY 'pw'; GRANT CREATE USER ON *.* TO minter@'%'; GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO minter@'%' WITH GRANT OPTION; GRANT SELECT ON mysql.user TO minter@'%';
";

fn target(server: &Mariadb, login: &str, rights: Rights) -> Registration {
    Registration {
        name: "shop".into(),
        address: Address::Mariadb {
            host: server.socket(),
            port: 3306,
            database: "shop".into(),
            login: login.into(),
            rights,
            tls: Tls::Disable,
            ca_file: None,
        },
        environment: "test".into(),
        run_as: login.into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 2_000,
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

fn effect(verb: Verb, reads: &[&str], writes: &[&str]) -> Effect {
    let mut effect = Effect::empty();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    effect.relations.push(RelationUse {
        name: "shop.orders".into(),
        verbs: vec![Verb::Read, verb],
        reads: owned(reads),
        writes: owned(writes),
        ..RelationUse::default()
    });
    effect.normalize();
    effect
}

fn run(target: &Registration, effect: Effect, ceiling: u64, sql: &str) -> Report {
    let job = Job {
        target: target.clone(),
        kind: Kind::SqlMariadb,
        artifact: sql.into(),
        effect,
        signer: "Ada".into(),
        additions: Vec::new(),
    };
    perform(&Order::Run { job, ceiling_rows: ceiling }, b"pw", &mut |_, _| true)
}

fn code(report: &Report) -> Option<FailCode> {
    if let Report::Failed { code, .. } = report { Some(*code) } else { None }
}

#[test]
fn against_a_real_mariadb() {
    let server = Mariadb::start();
    server.sql(SCHEMA);
    let paid = || server.sql("SELECT count(*) FROM shop.orders WHERE status = 'paid'");
    for (login, rights) in [("app", Rights::Login), ("minter", Rights::Minted)] {
        let shop = target(&server, login, rights);
        let read = || effect(Verb::Read, &["amount", "at", "data", "id", "owner", "status"], &[]);
        let report =
            run(&shop, read(), 0, "SELECT id, amount, at, upper(status) AS s, data, NULL FROM orders ORDER BY id");
        let Report::Done { result, affected: 0, .. } = report else { panic!("{login}: {report:?}") };
        let cells: Vec<Option<&str>> = result.rows[0].iter().map(Option::as_deref).collect();
        assert_eq!(cells, [Some("1"), Some("1.50"), Some("2026-01-02 03:04:05"), Some("PAID"), Some("0x00ff"), None]);
        assert_eq!((result.rows.len(), result.total_rows), (10, 20));
        let origins: Vec<Option<&str>> = result.columns.iter().map(|c| c.origin.as_deref()).collect();
        assert_eq!(origins[..4], [Some("shop.orders.id"), Some("shop.orders.amount"), Some("shop.orders.at"), None]);

        // A write within its ceiling, one row more than signed, a trial, two statements, a write in a read.
        let update = || effect(Verb::Update, &["id"], &["status"]);
        let before = paid();
        assert!(matches!(
            run(&shop, update(), 5, "UPDATE orders SET status = 'sent' WHERE id <= 5"),
            Report::Done { affected: 5, .. }
        ));
        assert_ne!(paid(), before);
        server.sql("UPDATE shop.orders SET status = 'paid'");
        assert_eq!(
            code(&run(&shop, update(), 4, "UPDATE orders SET status = 'sent' WHERE id <= 5")),
            Some(FailCode::CeilingExceeded)
        );
        let job = Job {
            target: shop.clone(),
            kind: Kind::SqlMariadb,
            artifact: "UPDATE orders SET status = 'tried' WHERE id <= 3".into(),
            effect: update(),
            signer: "Ada".into(),
            additions: Vec::new(),
        };
        let trial =
            perform(&Order::Preview { job, sample: true }, b"pw", &mut |_, _| panic!("a trial commits nothing"));
        assert!(matches!(trial, Report::Preview { rows: 3, of: Some(20), sample: Some(_) }), "{trial:?}");
        for (sql, what) in [
            ("UPDATE orders SET status = 'x' WHERE id = 1; DELETE FROM orders", "two statements"),
            ("UPDATE orders SET status = 'x' WHERE id = 1; COMMIT", "a commit"),
        ] {
            assert!(matches!(run(&shop, update(), 5, sql), Report::Failed { .. }), "{what}");
        }
        // A desk that lies about what is read: the server's own reading, or the minted user's rights, say no.
        for sql in [
            "SELECT id FROM orders UNION SELECT ssn FROM secrets",
            "SELECT (SELECT max(ssn) FROM secrets) FROM orders",
            "SELECT orders.ssn AS id FROM secrets orders",
            "SELECT id FROM orders WHERE EXISTS (SELECT 1 FROM secrets WHERE ssn LIKE '0%')",
            "WITH orders AS (SELECT ssn AS id FROM secrets) SELECT id FROM orders",
            "SELECT `orders`.`id` FROM `shop`.`orders` JOIN `shop` . `secrets` `shop.orders`",
            "SELECT owner FROM orders",
            "SELECT id FROM orders ORDER BY owner",
            "SELECT x.id FROM orders x WHERE x.owner = 'bo' AND 'it\\'s `' <> '`'",
            "SELECT * FROM orders",
        ] {
            let report = run(&shop, effect(Verb::Read, &["id"], &[]), 0, sql);
            // What the optimizer decides ahead is not in the server's own reading; rights are asked before that.
            if rights == Rights::Minted || !sql.contains("EXISTS") {
                assert_eq!(code(&report), Some(FailCode::BeyondEffect), "{sql}: {report:?}");
            }
        }
        let report = run(&shop, read(), 0, "DELETE FROM orders");
        assert_eq!(code(&report), Some(FailCode::BeyondEffect), "{report:?}");
        assert_eq!(paid(), "20");
        let slow = run(&shop, read(), 0, "SELECT sleep(9) FROM orders WHERE id = 1 AND status = 'paid'");
        assert_eq!(code(&slow), Some(FailCode::TimedOut), "{slow:?}");
        assert_eq!(
            server.sql("SELECT count(*) FROM mysql.user WHERE User LIKE 'wetink%'"),
            "0",
            "nothing is left behind"
        );
    }
    let strong =
        run(&target(&server, "strong", Rights::Login), effect(Verb::Read, &["id"], &[]), 0, "SELECT id FROM orders");
    assert_eq!(code(&strong), Some(FailCode::BadOrder), "{strong:?}");
    assert!(matches!(
        run(&target(&server, "nobody", Rights::Login), effect(Verb::Read, &["id"], &[]), 0, "SELECT 1"),
        Report::Failed { code: FailCode::LoginRefused, .. }
    ));
}

#[test]
fn a_minted_user_can_do_nothing_else_and_is_swept() {
    let server = Mariadb::start();
    server.sql(SCHEMA);
    let shop = target(&server, "minter", Rights::Minted);
    let narrow = || effect(Verb::Update, &["id"], &["status"]);
    for sql in [
        "UPDATE orders SET amount = 0 WHERE id = 1",
        "UPDATE orders SET status = owner WHERE id = 1",
        "UPDATE orders SET status = (SELECT ssn FROM secrets) WHERE id = 1",
        "UPDATE orders SET status = 'x' WHERE amount > 1",
        "DELETE FROM orders WHERE id = 1",
        "INSERT INTO orders(id, status) VALUES (99, 'x')",
        "SELECT ssn FROM secrets",
        "SELECT load_file('/etc/passwd')",
        "UPDATE mysql.user SET User = 'x'",
        "CREATE TABLE other (id int)",
        "DROP TABLE orders",
        "GRANT SELECT ON shop.* TO app@'%'",
        "SET PASSWORD = PASSWORD('x')",
    ] {
        let before = server.sql("SELECT * FROM shop.orders ORDER BY id");
        let report = run(&shop, narrow(), 5, sql);
        let harmless =
            sql.contains("load_file") && matches!(&report, Report::Done { result, .. } if result.rows == [[None]]);
        let refused = matches!(
            report,
            Report::Failed { code: FailCode::BeyondEffect | FailCode::StatementFailed | FailCode::OutcomeUnknown, .. }
        );
        assert!(refused || harmless || sql.contains("SET PASSWORD"), "{sql}: {report:?}");
        assert_eq!(server.sql("SELECT * FROM shop.orders ORDER BY id"), before, "{sql}");
    }
    // That rows exist is a right on a column that is not named; where all are named there is none.
    for sql in [
        "SELECT * FROM secrets WHERE id = 1 AND ssn = 'x'",
        "SELECT id FROM orders, (SELECT 1 AS status, 2 AS owner, 3 AS amount, 4 AS at, 5 AS data) t",
    ] {
        let mut seen = Effect::empty();
        for name in ["shop.orders", "shop.secrets"] {
            seen.relation_mut(name).verbs.push(Verb::Read);
        }
        let report = run(&shop, seen, 0, sql);
        assert_eq!(code(&report), Some(FailCode::BeyondEffect), "{sql}: {report:?}");
    }
    // A user that a crash left is gone after the next run; one whose minter lives stays.
    server.sql("CREATE USER wetink_run_left@'%'");
    assert!(matches!(
        run(&shop, narrow(), 5, "UPDATE orders SET status = 'a' WHERE id = 1"),
        Report::Done { affected: 1, .. }
    ));
    assert_eq!(server.sql("SELECT count(*) FROM mysql.user WHERE User LIKE 'wetink%'"), "0");
}

#[test]
fn what_cannot_be_rolled_back_is_known() {
    let server = Mariadb::start();
    server.sql(SCHEMA);
    let shop = target(&server, "minter", Rights::Minted);
    let report = perform(&Order::Catalog { target: shop.clone() }, b"pw", &mut |_, _| false);
    let Report::Catalog { catalog } = report else { panic!("{report:?}") };
    assert!(catalog.relation("shop.plain").unwrap().commits_alone);
    assert!(!catalog.relation("shop.orders").unwrap().commits_alone);
    assert_eq!(catalog.relation("shop.orders").unwrap().key, ["id"]);
    let mut effect = effect(Verb::Read, &["id"], &[]);
    effect.commits_itself = true;
    let job = Job {
        target: shop,
        kind: Kind::SqlMariadb,
        artifact: "DELETE FROM plain".into(),
        effect,
        signer: "Ada".into(),
        additions: Vec::new(),
    };
    let report = perform(&Order::Preview { job, sample: false }, b"pw", &mut |_, _| true);
    assert_eq!(code(&report), Some(FailCode::BadOrder), "there is no trial of it");
}
