//! What a run changed is put back by the statement it leaves, and nothing else is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod mariadb_server;
mod support;

use artifact::effect::{RelationUse, UNDO_ROWS_MAX, Verb};
use artifact::{Effect, Kind};
use execute::perform;
use mariadb_server::Mariadb;
use rusqlite::Connection;
use support::Server;
use wire::order::{Job, Order, Report, Undo};
use wire::target::{Address, Registration, Rights, Tls};

fn registration(address: Address) -> Registration {
    Registration {
        name: "shop".into(),
        address,
        environment: "test".into(),
        run_as: "app".into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 5_000,
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

/// Anything may be done to rows of these relations.
fn anything(relations: &[&str]) -> Effect {
    let mut effect = Effect::empty();
    for name in relations {
        effect.relations.push(RelationUse {
            name: (*name).to_owned(),
            verbs: vec![Verb::Read, Verb::Insert, Verb::Update, Verb::Delete],
            reads: vec!["*".into()],
            writes: vec!["*".into()],
            ..RelationUse::default()
        });
    }
    effect.functions = vec!["upper".into()];
    effect.normalize();
    effect
}

struct Shop<'a> {
    target: Registration,
    kind: Kind,
    relations: &'a [&'a str],
}

impl Shop<'_> {
    fn job(&self, sql: &str) -> Job {
        Job {
            target: self.target.clone(),
            kind: self.kind,
            artifact: sql.into(),
            effect: anything(self.relations),
            signer: "Ada".into(),
            additions: Vec::new(),
        }
    }

    fn run(&self, sql: &str) -> Option<Undo> {
        let order = Order::Run { job: self.job(sql), ceiling_rows: 5_000 };
        let report = perform(&order, b"pw", &mut |_, _| true);
        let Report::Done { undo, .. } = report else { panic!("{sql}: {report:?}") };
        undo
    }

    /// Runs, checks that something changed, and puts it back.
    fn there_and_back(&self, sql: &str, dump: &dyn Fn() -> String, rows: u64) {
        let before = dump();
        let undo = self.run(sql).unwrap_or_else(|| panic!("nothing was kept: {sql}"));
        assert_eq!(undo.rows, rows, "{sql}");
        assert_ne!(dump(), before, "{sql}");
        // The way back leaves a way forth, where the target tells about rows that are added.
        self.run(&undo.statement);
        assert_eq!(dump(), before, "{sql}\n{}", undo.statement);
    }
}

const SQLITE: &str = "
CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, amount REAL, data BLOB);
INSERT INTO t VALUES (1, 'it''s', 1.5, x'00ff'), (2, NULL, 1e300, NULL), (3, 'a' || char(0) || 'b', -0.1, x''), (4, 'ž\\', 9e999, 7);
CREATE TABLE pair (a TEXT, b INT, v TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;
INSERT INTO pair VALUES ('x', 1, 'one'), ('x', 2, 'two'), ('y', 1, 'three');
CREATE TABLE keyless (v TEXT); INSERT INTO keyless VALUES ('a'), ('b');
CREATE TABLE made (id INTEGER PRIMARY KEY, v INT, twice INT GENERATED ALWAYS AS (v * 2)); INSERT INTO made(id, v) VALUES (1, 1);
CREATE TABLE twice (id INTEGER PRIMARY KEY, v TEXT, seen INT DEFAULT 0); INSERT INTO twice VALUES (1, 'a', 0), (2, 'b', 0);
CREATE TRIGGER again AFTER UPDATE OF v ON twice BEGIN UPDATE twice SET seen = seen + 1 WHERE id = new.id; END;
CREATE TABLE many (id INTEGER PRIMARY KEY, v INT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600) INSERT INTO many SELECT i, i FROM n;
";

#[test]
fn what_a_run_changed_on_sqlite_is_put_back() {
    let file = std::env::temp_dir().join(format!("wetink-undo-{}.db", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let db = Connection::open(&file).unwrap();
    db.execute_batch(SQLITE).unwrap();
    let relations = ["main.t", "main.pair", "main.keyless", "main.made", "main.twice", "main.many"];
    let address = Address::Sqlite { path: file.display().to_string() };
    let shop = Shop { target: registration(address), kind: Kind::SqlSqlite, relations: &relations };
    let dump = || {
        let of = |table: &str, columns: &str| -> String {
            let sql = format!("SELECT group_concat(line, '|') FROM (SELECT {columns} AS line FROM {table} ORDER BY 1)");
            db.query_row(&sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
        };
        let cells = |names: &[&str]| {
            names
                .iter()
                .map(|n| format!("quote({n}) || typeof({n}) || hex({n})"))
                .collect::<Vec<_>>()
                .join(" || ',' || ")
        };
        [
            of("t", &cells(&["id", "name", "amount", "data"])),
            of("pair", &cells(&["a", "b", "v"])),
            of("many", &cells(&["id", "v"])),
        ]
        .join("\n")
    };
    for (sql, rows) in [
        ("UPDATE t SET name = upper(name), amount = 2 WHERE id <= 3", 3),
        ("UPDATE t SET data = x'01' WHERE id = 3", 1),
        ("DELETE FROM t WHERE id IN (1, 2, 4)", 3),
        ("DELETE FROM t", 4),
        ("INSERT INTO t(name, amount) VALUES ('new', 5), (NULL, NULL)", 2),
        ("UPDATE pair SET v = 'other' WHERE a = 'x'", 2),
        ("DELETE FROM pair WHERE a = 'y'", 1),
        ("UPDATE many SET v = -v WHERE id <= 500", UNDO_ROWS_MAX),
        ("INSERT INTO t(id, name) VALUES (1, 'upserted') ON CONFLICT (id) DO UPDATE SET name = excluded.name", 1),
    ] {
        shop.there_and_back(sql, &dump, rows);
    }
    for (sql, why) in [
        ("UPDATE many SET v = -v", "more rows than are kept"),
        ("UPDATE t SET id = id + 100", "a key changed"),
        ("DELETE FROM keyless", "no key"),
        ("UPDATE made SET v = 2", "a computed column"),
        ("REPLACE INTO t(id, name) VALUES (101, 'again'), (900, 'new')", "rows changed and rows added"),
        ("UPDATE t SET name = name WHERE id = -1", "no row"),
    ] {
        assert_eq!(shop.run(sql), None, "{why}: {sql}");
    }

    // A row that a trigger changes again is one row.
    let undo = shop.run("UPDATE twice SET v = 'c'").unwrap();
    assert_eq!((undo.rows, undo.statement.matches("'a', 'c', 0, 1").count()), (2, 1), "{}", undo.statement);

    // What somebody changed since stays.
    let undo = shop.run("UPDATE pair SET v = 'mine' WHERE a = 'x'").unwrap();
    db.execute_batch("UPDATE pair SET v = 'theirs' WHERE a = 'x' AND b = 2").unwrap();
    shop.run(&undo.statement);
    let v = |b: i64| -> String {
        db.query_row("SELECT v FROM pair WHERE a = 'x' AND b = ?1", [b], |row| row.get(0)).unwrap()
    };
    assert_eq!((v(1).as_str(), v(2).as_str()), ("one", "theirs"));

    // A trial tells rows before and after, and changes nothing.
    let before = dump();
    let job = shop.job("UPDATE pair SET v = 'tried' WHERE b = 1");
    let report = perform(&Order::Preview { job, sample: true }, b"", &mut |_, _| panic!("a trial commits nothing"));
    let Report::Preview { rows: 2, sample: Some(sample), .. } = report else { panic!("{report:?}") };
    assert_eq!((sample.relation.as_str(), sample.columns.len(), sample.rows.len()), ("main.pair", 3, 2));
    assert_eq!(sample.rows[1].before.as_ref().unwrap()[2].as_deref(), Some("three"));
    assert_eq!(sample.rows[1].after.as_ref().unwrap()[2].as_deref(), Some("tried"));
    assert_eq!(dump(), before);
    let _ = std::fs::remove_file(&file);
}

const POSTGRESQL: &str = r#"
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE t (id int PRIMARY KEY, name text, amount numeric(10,2), at timestamptz, ok boolean, doc json, docb jsonb, tags text[], m mood,
  raw bytea, f float8, p point, i interval, c char(5), twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO t VALUES (1, 'it''s \ " ž', 1.50, '2026-01-02 03:04:05.678+02', true, '{"a":  1}', '{"b": [1]}', '{"x,y",NULL}', 'glad', '\x00ff', 0.1, '(1,2)', '1 day', 'ab'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'NaN', NULL, NULL, NULL), (3, '', -1, 'infinity', false, '[]', 'null', '{}', 'sad', '', 1e300, '(0,0)', '-1 mon', '');
CREATE TABLE pair (a text, b int, v text, PRIMARY KEY (a, b)); INSERT INTO pair VALUES ('x', 1, 'one'), ('x', 2, 'two'), ('y', 1, 'three');
CREATE TABLE always (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text); INSERT INTO always(v) VALUES ('a'), ('b');
CREATE TABLE keyless (v text); INSERT INTO keyless VALUES ('a');
CREATE TABLE many (id int PRIMARY KEY, v int); INSERT INTO many SELECT i, i FROM generate_series(1, 600) i;
CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 1);
CREATE TABLE stamped (id int PRIMARY KEY, v text, changed int DEFAULT 0); INSERT INTO stamped VALUES (1, 'a'), (2, 'b');
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.changed := old.changed + 1; RETURN new; END$$;
CREATE TRIGGER stamp BEFORE UPDATE OF v ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE ROLE app LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
CREATE ROLE minter LOGIN CREATEROLE; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO minter WITH GRANT OPTION;
GRANT USAGE ON SCHEMA public TO minter WITH GRANT OPTION; GRANT CONNECT ON DATABASE postgres TO minter WITH GRANT OPTION;
"#;

#[test]
fn what_a_run_changed_on_postgresql_is_put_back() {
    let server = Server::start();
    server.sql(POSTGRESQL);
    let relations = [
        "public.t",
        "public.pair",
        "public.always",
        "public.keyless",
        "public.many",
        "public.parent",
        "public.child",
        "public.stamped",
    ];
    let dump = || {
        ["t", "pair", "always", "many", "stamped"]
            .map(|t| server.sql(&format!("SELECT * FROM {t} ORDER BY 1, 2")))
            .join("\n")
    };
    for (login, rights) in [("app", Rights::Login), ("minter", Rights::Minted)] {
        let address = Address::Postgresql {
            host: server.socket(),
            port: 5432,
            database: "postgres".into(),
            login: login.into(),
            mirror: None,
            rights,
            tls: Tls::Disable,
            ca_file: None,
            search_path: vec!["public".into()],
        };
        let shop = Shop { target: registration(address), kind: Kind::SqlPostgresql, relations: &relations };
        for (sql, rows) in [
            (
                "UPDATE t SET name = name || '!', amount = 2, at = now(), ok = NOT ok, raw = 'x', f = 1, c = 'z' WHERE id IN (1, 3)",
                2,
            ),
            ("UPDATE t SET doc = '{}', docb = '{}', tags = '{q}', m = 'sad', p = '(9,9)', i = '2 days'", 3),
            ("DELETE FROM t", 3),
            ("UPDATE pair SET v = 'other' WHERE a = 'x'", 2),
            ("WITH gone AS (DELETE FROM pair WHERE a = 'y' RETURNING *) SELECT * FROM gone", 1),
            ("DELETE FROM always", 2),
            (
                "INSERT INTO t(id, name, doc, p, f) VALUES (9, 'new', '{\"x\": 1}', '(3,4)', 0.1), (10, '', NULL, NULL, 'NaN')",
                2,
            ),
            ("INSERT INTO pair VALUES ('x', 1, 'again'), ('q', 1, 'new') ON CONFLICT DO NOTHING", 1),
            ("UPDATE many SET v = -v WHERE id <= 500", UNDO_ROWS_MAX),
        ] {
            shop.there_and_back(sql, &dump, rows);
        }
        for (sql, why) in [
            ("UPDATE many SET v = v", "more rows than are kept"),
            ("UPDATE pair SET b = b + 10", "a key changed"),
            ("DELETE FROM keyless", "no key"),
            ("INSERT INTO keyless VALUES ('b')", "no key"),
            ("INSERT INTO many SELECT i, i FROM generate_series(1000, 1600) i", "more rows than are kept"),
            (
                "INSERT INTO pair VALUES ('x', 1, 'up'), ('q', 1, 'new') ON CONFLICT (a, b) DO UPDATE SET v = 'up'",
                "two ways",
            ),
            ("DELETE FROM parent", "rows of two tables"),
            ("UPDATE t SET name = name WHERE id = -1", "no row"),
        ] {
            assert_eq!(shop.run(sql), None, "{why}: {sql}");
            server.sql("TRUNCATE keyless, parent, child; INSERT INTO keyless VALUES ('a'); INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 1)");
            server.sql("UPDATE pair SET b = b - 10 WHERE b > 10; DELETE FROM many WHERE id > 600");
            server.sql("DELETE FROM pair WHERE a = 'q'; UPDATE pair SET v = 'one' WHERE a = 'x' AND b = 1");
        }

        // A row that somebody else locks or changed since is not taken for ours.
        let undo = shop.run("UPDATE pair SET v = 'mine' WHERE a = 'x'").unwrap();
        server.sql("UPDATE pair SET v = 'theirs' WHERE a = 'x' AND b = 2");
        shop.run(&undo.statement);
        assert_eq!(server.sql("SELECT v FROM pair WHERE a = 'x' ORDER BY b"), "one\ntheirs");
        server.sql("UPDATE pair SET v = 'two' WHERE a = 'x' AND b = 2");

        let before = dump();
        let job = shop.job("UPDATE pair SET v = 'tried' WHERE b = 1");
        let report = perform(&Order::Preview { job, sample: true }, b"", &mut |_, _| panic!("a trial commits nothing"));
        let Report::Preview { rows: 2, sample: Some(sample), .. } = report else { panic!("{report:?}") };
        let mut old: Vec<_> = sample.rows.iter().map(|row| row.before.as_ref().unwrap()[2].as_deref()).collect();
        old.sort_unstable();
        assert_eq!(old, [Some("one"), Some("three")]);
        assert!(sample.rows.iter().all(|row| row.after.as_ref().unwrap()[2].as_deref() == Some("tried")));
        assert_eq!(dump(), before);

        // An added row that somebody changed since stays.
        let undo = shop.run("INSERT INTO pair VALUES ('n', 1, 'mine'), ('n', 2, 'mine')").unwrap();
        server.sql("UPDATE pair SET v = 'theirs' WHERE a = 'n' AND b = 2");
        shop.run(&undo.statement);
        assert_eq!(server.sql("SELECT b || v FROM pair WHERE a = 'n'"), "2theirs");
        server.sql("DELETE FROM pair WHERE a = 'n'");
    }
    // What a trigger did to the same row goes back too; the way back fires it again, which only a person can judge.
    let address = Address::Postgresql {
        host: server.socket(),
        port: 5432,
        database: "postgres".into(),
        login: "app".into(),
        mirror: None,
        rights: Rights::Login,
        tls: Tls::Disable,
        ca_file: None,
        search_path: vec!["public".into()],
    };
    let shop = Shop { target: registration(address), kind: Kind::SqlPostgresql, relations: &relations };
    let undo = shop.run("UPDATE stamped SET v = 'z' WHERE id = 1").unwrap();
    assert!(undo.statement.contains("\"changed\" = kept.was_1"), "{}", undo.statement);
}

const MARIADB: &str = r#"
USE shop;
CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, name varchar(40), amount decimal(10,2), at datetime(3), ok boolean, doc json, raw blob, f float, d double,
  m enum('glad', 'sad'), b bit(9), l varchar(20) CHARACTER SET latin1, u uuid, c char(5), twice int GENERATED ALWAYS AS (ok * 2) STORED,
  changed timestamp DEFAULT '2020-01-01 00:00:00' ON UPDATE current_timestamp) ENGINE=InnoDB;
INSERT INTO t(id, name, amount, at, ok, doc, raw, f, d, m, b, l, u, c) VALUES
  (1, 'it''s \\ " ž', 1.50, '2026-01-02 03:04:05.678', true, '{"a":  1}', x'00ff', 0.1, 0.1, 'glad', b'101010101', 'é', uuid(), 'ab'),
  (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, '', -1, '1970-01-01', false, '[]', '', -1e30, 1e300, 'sad', 0, '', uuid(), '');
CREATE TABLE pair (a varchar(9), b bigint, v varchar(9), PRIMARY KEY (a, b)) ENGINE=InnoDB;
INSERT INTO pair VALUES ('x', 9007199254740993, 'one'), ('x', 9007199254740992, 'two'), ('y', 1, 'three');
CREATE TABLE named (k varbinary(4) PRIMARY KEY, v text) ENGINE=InnoDB; INSERT INTO named VALUES (x'00', 'a'), (x'27', 'b');
CREATE TABLE keyless (v varchar(9)) ENGINE=InnoDB; INSERT INTO keyless VALUES ('a');
CREATE TABLE many (id int PRIMARY KEY, v int) ENGINE=InnoDB; INSERT INTO many SELECT seq, seq FROM seq_1_to_600;
CREATE TABLE parent (id int PRIMARY KEY, v varchar(9)) ENGINE=InnoDB;
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent(id) ON DELETE CASCADE) ENGINE=InnoDB;
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (1, 1);
CREATE USER app@'%' IDENTIFIED BY 'pw'; GRANT SELECT, UPDATE, DELETE, INSERT ON shop.* TO app@'%';
CREATE USER minter@'%' IDENTIFIED BY 'pw'; GRANT CREATE USER ON *.* TO minter@'%'; GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO minter@'%' WITH GRANT OPTION; GRANT SELECT ON mysql.user TO minter@'%';
"#;

#[test]
fn what_a_run_changed_on_mariadb_is_put_back() {
    let server = Mariadb::start();
    server.sql(MARIADB);
    let dump = || {
        let all =
            "id, name, amount, at, ok, doc, hex(raw), CAST(f AS double), d, m, b + 0, hex(l), u, c, twice, changed";
        [(all, "t"), ("*", "pair"), ("hex(k), v", "named"), ("*", "many")]
            .map(|(columns, t)| server.sql(&format!("SELECT {columns} FROM shop.{t} ORDER BY 1, 2")))
            .join("\n")
    };
    for (login, rights) in [("app", Rights::Login), ("minter", Rights::Minted)] {
        let address = Address::Mariadb {
            host: server.socket(),
            port: 3306,
            database: "shop".into(),
            login: login.into(),
            rights,
            tls: Tls::Disable,
            ca_file: None,
        };
        let target = registration(address);
        let on =
            |relations: &'static [&'static str]| Shop { target: target.clone(), kind: Kind::SqlMariadb, relations };
        let (t, pair, many) = (on(&["shop.t"]), on(&["shop.pair"]), on(&["shop.many"]));
        let (named, keyless) = (on(&["shop.named"]), on(&["shop.keyless"]));
        let family = on(&["shop.child", "shop.parent"]);
        for (shop, sql, rows) in [
            (
                &t,
                "UPDATE t SET name = upper(name), amount = 2, at = now(3), raw = 'x', f = 1, d = f, b = 3, l = 'z', u = uuid(), c = 'q' WHERE id IN (1, 3)",
                2,
            ),
            (&t, "UPDATE t SET doc = '{}', m = 'sad', ok = NOT ok WHERE id < 3", 2),
            (&t, "UPDATE t SET name = 'Wide' WHERE id = 2", 1),
            (&t, "DELETE FROM t", 3),
            (&t, "INSERT INTO t(name, f, l) VALUES ('new', 0.1, 'é'), (NULL, NULL, NULL)", 2),
            (&pair, "UPDATE pair SET v = 'other' WHERE b = 9007199254740993", 1),
            (&pair, "DELETE FROM pair WHERE a = 'x'", 2),
            (&named, "UPDATE named SET v = concat(v, v)", 2),
            (&named, "DELETE FROM named WHERE k = x'27'", 1),
            (&many, "UPDATE many SET v = -v WHERE id <= 500", UNDO_ROWS_MAX),
        ] {
            shop.there_and_back(sql, &dump, rows);
        }
        for (shop, sql, why) in [
            (&many, "UPDATE many SET v = -v", "more rows than are kept"),
            (&pair, "UPDATE pair SET b = b + 10", "a key changed"),
            (&keyless, "DELETE FROM keyless", "no key"),
            (&family, "DELETE FROM parent", "rows of two tables"),
            (&t, "UPDATE t SET name = name WHERE id = -1", "no row"),
        ] {
            assert_eq!(shop.run(sql), None, "{why}: {sql}");
            server.sql("USE shop; REPLACE INTO parent VALUES (1, 'p'); REPLACE INTO child VALUES (1, 1); DELETE FROM keyless; INSERT INTO keyless VALUES ('a')");
            server.sql(
                "USE shop; UPDATE pair SET b = b - 10 WHERE b > 9007199254740993 OR a = 'y'; UPDATE many SET v = id",
            );
        }

        // What somebody changed since stays, if only a letter's case.
        server.sql("USE shop; REPLACE INTO pair VALUES ('x', 9007199254740993, 'one'), ('x', 9007199254740992, 'two'), ('y', 1, 'three')");
        let undo = pair.run("UPDATE pair SET v = 'mine' WHERE a = 'x'").unwrap();
        server.sql("UPDATE shop.pair SET v = 'MINE' WHERE a = 'x' AND v = 'mine' AND b = 9007199254740992");
        pair.run(&undo.statement);
        assert_eq!(server.sql("SELECT v FROM shop.pair WHERE a = 'x' ORDER BY b"), "MINE\none");
        server.sql("UPDATE shop.pair SET v = 'two' WHERE v = 'MINE'");

        // A trial tells rows before and after, and changes nothing.
        let before = dump();
        let job = pair.job("UPDATE pair SET v = 'tried' WHERE a = 'x'");
        let report =
            perform(&Order::Preview { job, sample: true }, b"pw", &mut |_, _| panic!("a trial commits nothing"));
        let Report::Preview { rows: 2, sample: Some(sample), .. } = report else { panic!("{report:?}") };
        assert_eq!(sample.rows[0].before.as_ref().unwrap()[2].as_deref(), Some("two"));
        assert!(sample.rows.iter().all(|row| row.after.as_ref().unwrap()[2].as_deref() == Some("tried")));
        assert_eq!(dump(), before);
    }
}
