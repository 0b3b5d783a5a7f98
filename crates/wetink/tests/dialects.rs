//! MariaDB and SQLite, statement by statement: each is run with exactly the rights it claims, and what changed is compared with
//! what it claims to change.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "dialects/generator.rs"]
mod generator;
#[path = "../../execute/tests/mariadb_server/mod.rs"]
mod mariadb_server;

use std::collections::BTreeMap;

use analyze::{Analysis, Severity, analyze};
use artifact::catalog::Catalog;
use artifact::effect::Verb;
use artifact::{Artifact, Effect, Kind};
use execute::perform;
use generator::{Dialect, Generator};
use mariadb_server::Mariadb;
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

const SCHEMA: &str = include_str!("dialects/schema.sql");
const TABLES: [&str; 7] = ["customers", "orders", "line_items", "stock", "watched", "quiet", "changes"];

/// A number for each column and table, which changes when the contents do.
type Sums = BTreeMap<String, String>;

trait Place {
    fn target(&self) -> &Registration;
    fn kind(&self) -> Kind;
    fn refill(&self);
    fn sums(&self) -> Sums;
    fn schema(&self) -> &'static str;
}

fn catalog(place: &impl Place) -> Catalog {
    let report = perform(&Order::Catalog { target: place.target().clone() }, b"pw", &mut |_, _| false);
    let Report::Catalog { catalog } = report else { panic!("{report:?}") };
    *catalog
}

fn understood(place: &impl Place, catalog: &Catalog, sql: &str) -> Analysis {
    analyze(&Artifact::new(place.kind(), sql.as_bytes().to_vec()).unwrap(), catalog)
}

fn run(place: &impl Place, analysis: &Analysis, sql: &str) -> Report {
    let job = Job {
        target: place.target().clone(),
        kind: place.kind(),
        artifact: sql.into(),
        effect: analysis.effect.clone(),
        signer: "test".into(),
        additions: Vec::new(),
    };
    perform(&Order::Run { job, ceiling_rows: 1 << 40 }, b"pw", &mut |_, _| true)
}

/// What changed and is not claimed.
fn unclaimed(before: &Sums, after: &Sums, analysis: &Analysis, schema: &str) -> Vec<String> {
    let claims = |name: &str| {
        let (table, column) = name.split_once('.').unwrap();
        let Some(used) = analysis.effect.relation(&format!("{schema}.{table}")) else { return false };
        if column == "*" {
            return used.verbs.iter().any(|v| matches!(v, Verb::Insert | Verb::Delete));
        }
        used.verbs.iter().any(|v| matches!(v, Verb::Insert | Verb::Delete))
            || used.verbs.contains(&Verb::Update) && used.writes.iter().any(|c| c == column || c == "*")
    };
    before.iter().filter(|(name, sum)| after[*name] != **sum && !claims(name)).map(|(name, _)| name.clone()).collect()
}

fn measure(place: &impl Place, dialect: Dialect, prefix: &str) {
    // A corpus of another dialect was given; there is nothing to do here.
    if std::env::var_os("WETINK_CORPUS").is_some() {
        return;
    }
    // Each statement costs a user of its own and two looks at every table.
    let asked: Option<usize> = std::env::var("WETINK_SQL").ok().and_then(|n| n.parse().ok());
    let size = asked.map_or(150, |n| (n / 10).max(500));
    place.refill();
    let catalog = catalog(place);
    let mut generator = Generator::new(20_261_121, dialect);
    let (mut statements, mut refused, mut opaque, mut failed, mut wrong) = (0_u32, 0_u32, 0_u32, 0_u32, Vec::new());
    for round in 0..size {
        if round % 15 == 0 {
            place.refill();
        }
        let sql = generator.statement();
        statements += 1;
        let analysis = understood(place, &catalog, &sql);
        if !analysis.understood {
            opaque += 1;
            if analysis.worst() >= Some(Severity::Refuse) {
                refused += 1;
            }
            if std::env::var_os("WETINK_SHOW").is_some() {
                println!("not understood: {sql}: {:?}", analysis.findings.first());
            }
            continue;
        }
        let before = place.sums();
        let report = run(place, &analysis, &sql);
        match &report {
            Report::Done { .. } => {}
            Report::Failed { code: FailCode::BeyondEffect, detail } => wrong.push(format!("{sql}: {detail}")),
            Report::Failed { detail, .. } => {
                failed += 1;
                if std::env::var_os("WETINK_SHOW").is_some() {
                    println!("failed: {sql}: {detail}");
                }
            }
            other => panic!("{other:?}"),
        }
        let after = place.sums();
        let more = unclaimed(&before, &after, &analysis, place.schema());
        if !more.is_empty() {
            wrong.push(format!("{sql}: changed {more:?}"));
        }
        if analysis.effect.is_read_only() && before != after {
            wrong.push(format!("{sql}: called a read, and wrote"));
        }
    }
    let percent = |n: u32| f64::from(n) * 100.0 / f64::from(statements.max(1));
    println!("{prefix}_statements: {statements}");
    println!("{prefix}_understood_percent: {:.1}", percent(statements - opaque));
    println!("{prefix}_refused_percent: {:.1}", percent(refused));
    println!("{prefix}_failed_percent: {:.1}", percent(failed));
    println!("{prefix}_wrong_effects: {}", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(percent(opaque) < 10.0 && percent(failed) < 15.0, "too few were tried");
}

struct OnMariadb {
    server: Mariadb,
    target: Registration,
}

impl OnMariadb {
    fn new(login: &str, rights: Rights) -> Self {
        let server = Mariadb::start();
        server.sql(&format!("USE shop; {SCHEMA}"));
        server.sql(
            "USE shop;
             CREATE TRIGGER noted AFTER UPDATE ON watched FOR EACH ROW INSERT INTO changes (at, what) VALUES (NEW.id, concat(OLD.b, NEW.b));
             CREATE TRIGGER gone AFTER DELETE ON watched FOR EACH ROW UPDATE quiet SET a = OLD.a WHERE id = OLD.id;
             CREATE USER minter@'%' IDENTIFIED BY 'pw'; GRANT CREATE USER ON *.* TO minter@'%';
             GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER, SHOW VIEW ON shop.* TO minter@'%' WITH GRANT OPTION; GRANT SELECT ON mysql.user TO minter@'%';
             CREATE USER app@'%' IDENTIFIED BY 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE, TRIGGER, SHOW VIEW ON shop.* TO app@'%'",
        );
        let target = registration(Address::Mariadb {
            host: server.socket(),
            port: 3306,
            database: "shop".into(),
            login: login.into(),
            rights,
            tls: Tls::Disable,
            ca_file: None,
        });
        Self { server, target }
    }
}

fn registration(address: Address) -> Registration {
    Registration {
        name: "shop".into(),
        address,
        environment: "test".into(),
        run_as: "test".into(),
        credential: None,
        credential_of: None,
        statement_timeout_ms: 20_000,
        result_rows_max: 100,
        labels: BTreeMap::new(),
        approvals: wire::target::Approvals::default(),
        payments: wire::payments::Payments::default(),
        idempotency_header: None,
        receipts: false,
        rotate_after_s: None,
        graphql: None,
    }
}

const ROWS: &str = "
DELETE FROM line_items; DELETE FROM orders; DELETE FROM customers; DELETE FROM stock; DELETE FROM watched; DELETE FROM quiet; DELETE FROM changes;
INSERT INTO customers SELECT n, concat('c', n), concat('c', n, '@example.com'), concat('city', n % 4) FROM numbers;
INSERT INTO orders SELECT n, 1 + n % 10, n * 3, CASE n % 3 WHEN 0 THEN 'paid' ELSE 'open' END, concat('note ', n) FROM numbers;
INSERT INTO line_items SELECT n, 1 + n % 20, n % 5, concat('sku', n % 7) FROM numbers;
INSERT INTO stock SELECT n, n % 9, concat('sku', n % 7), concat('place', n % 3) FROM numbers;
INSERT INTO watched SELECT n, n % 10, concat('b', n) FROM numbers;
INSERT INTO quiet SELECT n, n % 10, concat('q', n) FROM numbers;";

impl Place for OnMariadb {
    fn target(&self) -> &Registration {
        &self.target
    }

    fn kind(&self) -> Kind {
        Kind::SqlMariadb
    }

    fn refill(&self) {
        let rows = ROWS.replace("FROM numbers", "FROM (SELECT seq AS n FROM seq_1_to_40) numbers");
        self.server.sql(&format!("USE shop; {rows}"));
    }

    fn sums(&self) -> Sums {
        let mut wanted = Vec::new();
        for (table, columns) in columns() {
            wanted.push(format!("SELECT '{table}.*', concat(count(*), ' ', coalesce(sum(crc32(id_of)), 0)) FROM (SELECT {} AS id_of FROM {table}) x", columns[0]));
            for column in &columns {
                wanted.push(format!("SELECT '{table}.{column}', coalesce(sum(crc32(concat_ws('|', {}, coalesce({column}, '~')))), 0) FROM {table}", columns[0]));
            }
        }
        let text = self.server.sql(&format!("USE shop; {}", wanted.join(" UNION ALL ")));
        text.lines().map(|line| line.split_once('\t').unwrap()).map(|(n, s)| (n.to_owned(), s.to_owned())).collect()
    }

    fn schema(&self) -> &'static str {
        "shop"
    }
}

/// Tables with their columns, the key first.
fn columns() -> Vec<(&'static str, Vec<&'static str>)> {
    let of = |table: &'static str| {
        let line = SCHEMA.lines().find(|line| line.starts_with(&format!("CREATE TABLE {table} "))).unwrap();
        let inside = line.split_once('(').unwrap().1;
        let names = inside.split(", ").filter_map(|part| part.split(' ').next());
        (table, names.collect::<Vec<_>>())
    };
    TABLES.into_iter().map(of).collect()
}

struct OnSqlite {
    file: std::path::PathBuf,
    target: Registration,
}

impl OnSqlite {
    fn new() -> Self {
        let file = std::env::temp_dir().join(format!("wetink-dialects-{}.db", artifact::RunId::random()));
        let place = Self { target: registration(Address::Sqlite { path: file.display().to_string() }), file };
        let db = rusqlite::Connection::open(&place.file).unwrap();
        db.execute_batch(SCHEMA).unwrap();
        db.execute_batch(
            "CREATE TRIGGER noted AFTER UPDATE ON watched BEGIN INSERT INTO changes (at, what) VALUES (NEW.id, OLD.b || NEW.b); END;
             CREATE TRIGGER gone AFTER DELETE ON watched BEGIN UPDATE quiet SET a = OLD.a WHERE id = OLD.id; END;",
        )
        .unwrap();
        place
    }
}

impl Drop for OnSqlite {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl Place for OnSqlite {
    fn target(&self) -> &Registration {
        &self.target
    }

    fn kind(&self) -> Kind {
        Kind::SqlSqlite
    }

    fn refill(&self) {
        let numbers = "FROM (WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 40) SELECT n FROM r) numbers";
        let db = rusqlite::Connection::open(&self.file).unwrap();
        db.execute_batch(&format!("PRAGMA foreign_keys = ON; {}", ROWS.replace("FROM numbers", numbers))).unwrap();
    }

    fn sums(&self) -> Sums {
        let db = rusqlite::Connection::open(&self.file).unwrap();
        let ask = |sql: String| -> String {
            db.query_row(&sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
        };
        let mut sums = Sums::new();
        for (table, columns) in columns() {
            let list = |what: &str| {
                format!("SELECT group_concat(line, ';') FROM (SELECT {what} AS line FROM {table} ORDER BY 1)")
            };
            sums.insert(format!("{table}.*"), ask(list(columns[0])));
            for column in &columns {
                sums.insert(
                    format!("{table}.{column}"),
                    ask(list(&format!("quote({}) || quote({column})", columns[0]))),
                );
            }
        }
        sums
    }

    fn schema(&self) -> &'static str {
        "main"
    }
}

#[test]
fn the_claimed_rights_are_enough_on_mariadb() {
    measure(&OnMariadb::new("minter", Rights::Minted), Dialect::Mariadb, "mariadb");
}

/// Without a user of its own, what the server says about a statement is held against the claims.
#[test]
fn the_server_reads_no_more_than_is_claimed_on_mariadb() {
    measure(&OnMariadb::new("app", Rights::Login), Dialect::Mariadb, "mariadb_login");
}

/// The effect without each of its parts that the text itself needs: relations, verbs, columns written.
fn weaker(effect: &Effect, sql: &str) -> Vec<Effect> {
    let words: Vec<&str> = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let mut out = Vec::new();
    for (at, used) in effect.relations.iter().enumerate() {
        // What triggers and foreign keys reach has no grant that could be taken away.
        let table = used.name.split_once('.').unwrap().1;
        if !words.contains(&table) {
            continue;
        }
        let named = |what: &str| sql.starts_with(&format!("{what} {table}"));
        let is_written = ["UPDATE", "DELETE FROM", "INSERT INTO", "REPLACE INTO"].into_iter().any(named);
        let mut without = effect.clone();
        without.relations.remove(at);
        out.push(without);
        // A relation that is written may be claimed to be read for a trigger's sake, which has rights of its own.
        let needed = |verb: &&Verb| (**verb == Verb::Read) != is_written;
        for verb in used.verbs.iter().filter(needed) {
            let mut without = effect.clone();
            without.relations[at].verbs.retain(|v| v != verb);
            out.push(without);
        }
        let written = used.writes.iter().filter(|c| *c != "*" && is_written && sql.starts_with("UPDATE"));
        for column in written.filter(|column| words.contains(&column.as_str())) {
            let mut without = effect.clone();
            without.relations[at].writes.retain(|c| c != column);
            out.push(without);
        }
    }
    for weak in &mut out {
        weak.verb = Verb::Read;
        weak.normalize();
    }
    out
}

#[test]
fn a_weaker_effect_holds_on_mariadb() {
    let place = OnMariadb::new("minter", Rights::Minted);
    place.refill();
    let catalog = catalog(&place);
    let mut generator = Generator::new(5, Dialect::Mariadb);
    let size = std::env::var("WETINK_LOCK").ok().and_then(|n| n.parse().ok()).unwrap_or(60);
    let (mut attempts, mut escaped) = (0, Vec::new());
    for _ in 0..size {
        let sql = generator.statement();
        let analysis = understood(&place, &catalog, &sql);
        if !analysis.understood {
            continue;
        }
        let job = |effect: &Effect| Job {
            target: place.target.clone(),
            kind: Kind::SqlMariadb,
            artifact: sql.clone(),
            effect: effect.clone(),
            signer: "test".into(),
            additions: Vec::new(),
        };
        let order = Order::Preview { job: job(&analysis.effect), sample: false };
        // What cannot run at all proves nothing.
        if !matches!(perform(&order, b"pw", &mut |_, _| false), Report::Preview { .. }) {
            continue;
        }
        let before = place.sums();
        for weak in weaker(&analysis.effect, &sql) {
            attempts += 1;
            let order = Order::Run { job: job(&weak), ceiling_rows: 1 << 40 };
            if let Report::Done { .. } = perform(&order, b"pw", &mut |_, _| true) {
                escaped.push(format!("{sql}\n    {:?}", weak.relations));
                place.refill();
            }
        }
        if place.sums() != before {
            escaped.push(format!("{sql}: something changed"));
        }
    }
    println!("mariadb_attempts: {attempts}\nmariadb_escaped: {}", escaped.len());
    assert!(escaped.is_empty() && attempts > 0, "{}", escaped.join("\n"));
}

#[test]
fn the_claims_hold_on_sqlite() {
    measure(&OnSqlite::new(), Dialect::Sqlite, "sqlite");
}
