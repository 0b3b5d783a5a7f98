//! Values of parameters reach the target as the values that were signed, and never as SQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mariadb_server;
mod support;

use artifact::effect::{RelationUse, Verb};
use artifact::{Effect, Kind};
use execute::perform;
use mariadb_server::Mariadb;
use reading::bound::{Parameter, ParameterType, compose};
use support::Server;
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

/// Text that means something to one of the servers where it is not held as a value.
const HOSTILE: [&str; 8] = [
    "O'Brien",
    "'; DROP TABLE orders; --",
    "a\\' OR 1=1 #",
    "$1 ? @wetink_1 :a",
    "line\nbreak\r\n-- 9 text \"x\"",
    "*/ /*! SELECT 1 */",
    "\u{202e}\u{2028}é\u{1f600}",
    "",
];

struct Shop {
    target: Registration,
    kind: Kind,
    schema: &'static str,
    password: &'static [u8],
}

fn registration(address: Address) -> Registration {
    Registration {
        name: "shop".into(),
        address,
        environment: "test".into(),
        run_as: "app".into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 5_000,
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

fn value(of: ParameterType, value: &str) -> Parameter {
    Parameter { of, value: Some(value.to_owned()) }
}

impl Shop {
    fn run(&self, verb: Verb, parameters: &[Parameter], sql: &str) -> Report {
        let mut effect = Effect::empty();
        effect.relations.push(RelationUse {
            name: format!("{}.orders", self.schema),
            verbs: vec![Verb::Read, verb],
            reads: vec!["id".into(), "status".into()],
            writes: if verb == Verb::Update { vec!["status".into()] } else { vec![] },
            ..RelationUse::default()
        });
        effect.functions = vec!["coalesce".into()];
        effect.normalize();
        let artifact = compose(parameters, sql).unwrap();
        let job = Job {
            target: self.target.clone(),
            kind: self.kind,
            artifact,
            effect,
            signer: "Ada".into(),
            additions: Vec::new(),
        };
        perform(&Order::Run { job, ceiling_rows: 1 }, self.password, &mut |_, _| true)
    }

    fn cells(&self, parameters: &[Parameter], sql: &str) -> Vec<Option<String>> {
        match self.run(Verb::Read, parameters, sql) {
            Report::Done { mut result, .. } => result.rows.remove(0),
            report => panic!("{:?} {sql}: {report:?}", self.kind),
        }
    }

    /// What every dialect has to do.
    fn holds(&self, first: &str, second: &str) {
        use ParameterType::{Integer, Text};
        for hostile in HOSTILE {
            let update = format!("UPDATE orders SET status = {first} WHERE id = {second}");
            let report = self.run(Verb::Update, &[value(Text, hostile), value(Integer, "7")], &update);
            assert!(matches!(report, Report::Done { affected: 1, .. }), "{:?} {hostile}: {report:?}", self.kind);
            let read = self.cells(&[value(Integer, "7")], &format!("SELECT status FROM orders WHERE id = {first}"));
            assert_eq!(read, [Some(hostile.to_owned())], "{:?}", self.kind);
        }
        let none = Parameter { of: Text, value: None };
        let read = self.cells(&[none], &format!("SELECT coalesce({first}, 'none')"));
        assert_eq!(read, [Some("none".to_owned())]);
        // The ceiling, the lock and the rule of one statement hold as without values.
        let one = [value(Text, "x")];
        let all = self.run(Verb::Update, &one, &format!("UPDATE orders SET status = {first}"));
        assert_eq!(code(&all), Some(FailCode::CeilingExceeded), "{all:?}");
        let two = self.run(Verb::Update, &one, &format!("UPDATE orders SET status = {first}; SELECT 1"));
        assert!(matches!(two, Report::Failed { .. }), "{two:?}");
        let other = self.run(Verb::Read, &one, &format!("UPDATE orders SET status = {first} WHERE id = 1"));
        assert_eq!(code(&other), Some(FailCode::BeyondEffect), "{other:?}");
        // One too few.
        let few =
            self.run(Verb::Read, &one, &format!("SELECT status FROM orders WHERE status = {first} AND id = {second}"));
        assert!(matches!(few, Report::Failed { .. }), "{few:?}");
    }
}

fn code(report: &Report) -> Option<FailCode> {
    if let Report::Failed { code, .. } = report { Some(*code) } else { None }
}

fn each_type() -> Vec<Parameter> {
    use ParameterType::{Boolean, Bytes, Date, Double, Integer, Numeric, Text, Timestamp, Uuid};
    vec![
        value(Integer, "-9007199254740993"),
        value(Numeric, "12345678901234567890.0500"),
        value(Double, "0.1"),
        value(Boolean, "true"),
        value(Text, "x"),
        value(Date, "2026-11-21"),
        value(Timestamp, "2026-11-21T23:30:00.5-05:30"),
        value(Uuid, "0193e4a1-5b2c-7d3e-8f40-112233445566"),
        value(Bytes, "00ff"),
    ]
}

fn some(cells: &[&str]) -> Vec<Option<String>> {
    cells.iter().map(|cell| Some((*cell).to_owned())).collect()
}

#[test]
fn values_are_values_on_postgresql() {
    let server = Server::start();
    server.sql(
        "CREATE TABLE orders (id int PRIMARY KEY, status text); INSERT INTO orders SELECT i, 'paid' FROM generate_series(1, 20) i;
         CREATE ROLE app LOGIN; GRANT SELECT, UPDATE ON orders TO app;
         CREATE ROLE minter LOGIN CREATEROLE; GRANT SELECT, UPDATE ON orders TO minter WITH GRANT OPTION",
    );
    for (login, rights) in [("app", Rights::Login), ("minter", Rights::Minted)] {
        let shop = Shop {
            target: registration(Address::Postgresql {
                host: server.socket(),
                port: 5432,
                database: "postgres".into(),
                login: login.into(),
                mirror: None,
                rights,
                tls: Tls::Disable,
                ca_file: None,
                search_path: vec!["public".into()],
            }),
            kind: Kind::SqlPostgresql,
            schema: "public",
            password: b"",
        };
        shop.holds("$1", "$2");
        let read = shop.cells(&each_type(), "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, pg_typeof($2), $1 + 1");
        let expected = [
            "-9007199254740993",
            "12345678901234567890.0500",
            "0.1",
            "t",
            "x",
            "2026-11-21",
            "2026-11-22 05:00:00.5+00",
            "0193e4a1-5b2c-7d3e-8f40-112233445566",
            "\\x00ff",
            "numeric",
            "-9007199254740992",
        ];
        assert_eq!(read, some(&expected));
    }
}

#[test]
fn values_are_values_on_mariadb() {
    let server = Mariadb::start();
    server.sql(
        "USE shop; CREATE TABLE orders (id int PRIMARY KEY, status varchar(60)) CHARACTER SET utf8mb4 ENGINE=InnoDB;
         INSERT INTO orders SELECT seq, 'paid' FROM seq_1_to_20;
         CREATE USER app@'%' IDENTIFIED BY 'pw'; GRANT SELECT, UPDATE ON shop.orders TO app@'%'",
    );
    let shop = Shop {
        target: registration(Address::Mariadb {
            host: server.socket(),
            port: 3306,
            database: "shop".into(),
            login: "app".into(),
            rights: Rights::Login,
            tls: Tls::Disable,
            ca_file: None,
        }),
        kind: Kind::SqlMariadb,
        schema: "shop",
        password: b"pw",
    };
    shop.holds("?", "?");
    let read = shop.cells(&each_type(), "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?");
    let expected = [
        "-9007199254740993",
        "12345678901234567890.0500",
        "0.1",
        "1",
        "x",
        "2026-11-21",
        "2026-11-22 05:00:00.500000",
        "0193e4a1-5b2c-7d3e-8f40-112233445566",
        "0x00ff",
    ];
    assert_eq!(read, some(&expected));
}

#[test]
fn values_are_values_on_sqlite() {
    let path = std::env::temp_dir().join(format!("wetink-{}.db", artifact::RunId::random()));
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, status TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) INSERT INTO orders SELECT i, 'paid' FROM n",
    )
    .unwrap();
    let shop = Shop {
        target: registration(Address::Sqlite { path: path.to_str().unwrap().into() }),
        kind: Kind::SqlSqlite,
        schema: "main",
        password: b"",
    };
    shop.holds("?1", "?2");
    let given: Vec<Parameter> = each_type().into_iter().filter(|p| p.of != ParameterType::Numeric).collect();
    let read = shop.cells(&given, "SELECT ?, ?, ?, ?, ?, ?, ?, ?");
    let expected = [
        "-9007199254740993",
        "0.1",
        "1",
        "x",
        "2026-11-21",
        "2026-11-21T23:30:00.5-05:30",
        "0193e4a1-5b2c-7d3e-8f40-112233445566",
        "x'00ff'",
    ];
    assert_eq!(read, some(&expected));
    std::fs::remove_file(path).unwrap();
}
