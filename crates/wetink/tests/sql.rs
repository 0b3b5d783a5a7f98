//! The effect against the server: every generated statement is run by a role that has exactly the claimed rights, and again
//! with one of them missing.
//!
//! A statement that is refused with its claimed effect shows a wrong effect. One that still does what a weakened effect no
//! longer names has escaped the lock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "sql/changes.rs"]
mod changes;
#[path = "sql/generator.rs"]
mod generator;
#[path = "../../execute/tests/support/mod.rs"]
mod pg;

use std::collections::BTreeMap;
use std::path::Path;

use artifact::catalog::Catalog;
use artifact::effect::Verb;
use artifact::{Artifact, Effect, Kind};
use execute::perform;
use generator::{Need, Random, Statement};
use wire::order::{FailCode, Job, Order, Report};
use wire::target::{Address, Registration, Rights, Tls};

/// Statements and parts of statements that one would try; each has to be refused or to have a right effect.
const TRAPS: &str = include_str!("sql/traps.sql");

struct Scratch {
    server: pg::Server,
    target: Registration,
    catalog: Catalog,
}

impl Scratch {
    fn new(schema: &str) -> Self {
        let server = pg::Server::start_with("-c wal_level=logical");
        server.sql("CREATE ROLE minter LOGIN CREATEROLE; GRANT ALL ON SCHEMA public TO minter; GRANT CREATE ON DATABASE postgres TO minter");
        server.let_in("local all boss,minter trust\nlocal all all scram-sha-256\n");
        server.sql(&format!("SET ROLE minter; {schema}"));
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
            name: "scratch".into(),
            address,
            environment: "test".into(),
            run_as: "minted".into(),
            credential: None,
            credential_of: None,
            statement_timeout_ms: 5_000,
            result_rows_max: 20,
            labels: BTreeMap::new(),
            approvals: wire::target::Approvals::default(),
            payments: wire::payments::Payments::default(),
            idempotency_header: None,
            receipts: false,
            rotate_after_s: None,
            graphql: None,
        };
        let report = perform(&Order::Catalog { target: target.clone() }, b"", &mut |_, _| false);
        let Report::Catalog { catalog } = report else { panic!("{report:?}") };
        Self { server, target, catalog: *catalog }
    }

    fn analyze(&self, sql: &str) -> Option<analyze::Analysis> {
        let artifact = Artifact::new(Kind::SqlPostgresql, sql.as_bytes().to_vec()).ok()?;
        Some(analyze::analyze(&artifact, &self.catalog))
    }

    fn job(&self, sql: &str, effect: Effect) -> Job {
        let signer = "measure".into();
        Job {
            target: self.target.clone(),
            kind: Kind::SqlPostgresql,
            artifact: sql.into(),
            effect,
            signer,
            additions: Vec::new(),
        }
    }

    fn trial(&self, sql: &str, effect: &Effect) -> Report {
        perform(&Order::Preview { job: self.job(sql, effect.clone()), sample: false }, b"", &mut |_, _| false)
    }

    /// All rows of all tables, in one number.
    fn content(&self) -> String {
        self.server.sql(
            "SELECT md5(string_agg(md5(query_to_xml('SELECT * FROM ' || c.oid::regclass || ' x ORDER BY x::text', true, true, '')::text), '' ORDER BY relname))
             FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        )
    }
}

fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn percent(part: usize, of: usize) -> String {
    let tenths = part * 1000 / of.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The statements of a folder's `.sql` files, split as psql would at the end of a line.
fn corpus(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let is_corpus = |p: &std::path::PathBuf| p.extension().is_some_and(|e| e == "sql") && !p.ends_with("schema.sql");
    files.retain(is_corpus);
    files.iter().flat_map(|f| split(&std::fs::read_to_string(f).unwrap())).collect()
}

fn split(text: &str) -> Vec<String> {
    let parts = pg_query::split_with_parser(text).map(|parts| parts.into_iter().map(str::to_owned).collect());
    parts.unwrap_or_else(|_| text.split(";\n").map(str::to_owned).collect())
}

#[test]
fn the_claimed_rights_are_enough() {
    let given = std::env::var_os("WETINK_CORPUS").map(std::path::PathBuf::from);
    let schema = match &given {
        Some(folder) => std::fs::read_to_string(folder.join("schema.sql")).expect("the folder has a schema.sql"),
        None => include_str!("sql/schema.sql").to_owned(),
    };
    let scratch = Scratch::new(&schema);
    let statements: Vec<String> = if let Some(folder) = &given {
        corpus(folder)
    } else {
        let mut random = Random::new(7);
        let traps = TRAPS.lines().filter(|l| !l.is_empty() && !l.starts_with("--")).map(str::to_owned);
        let generated = (0..size("WETINK_SQL", 400)).map(|_| generator::statement(&mut random).sql);
        traps.chain(generated).collect()
    };
    let (mut understood, mut refused, mut invalid, mut wrong) = (0, 0, 0, 0);
    let was = scratch.content();
    for sql in &statements {
        let Some(analysis) = scratch.analyze(sql) else {
            refused += 1;
            continue;
        };
        if !analysis.understood || analysis.effect.verb == Verb::Define || analysis.effect.commits_itself {
            refused += 1;
            continue;
        }
        understood += 1;
        match scratch.trial(sql, &analysis.effect) {
            Report::Preview { .. } => {}
            // The server's own secrets: no grant is given on them, whatever the effect says.
            Report::Failed { .. } if analysis.effect.relations.iter().any(|r| r.name.starts_with("pg_catalog.")) => {
                invalid += 1;
            }
            Report::Failed { code: FailCode::BeyondEffect | FailCode::BadOrder, detail } => {
                wrong += 1;
                println!("WRONG {sql}\n      {detail}\n      {:?}", analysis.effect.relations);
            }
            // The statement itself is faulty on this data (a duplicate key, a division by zero).
            Report::Failed { .. } => invalid += 1,
            other => panic!("{sql}: {other:?}"),
        }
    }
    assert_eq!(scratch.content(), was, "a trial changed something");
    let all = statements.len();
    println!("statements: {all}\nfailed_on_data: {invalid}\nwrong_effects: {wrong}");
    println!("understood_percent: {}\nrefused_percent: {}", percent(understood, all), percent(refused, all));
    assert_eq!(wrong, 0, "statements needed more than their effect");
}

/// The effect without one of its parts; none if that part is not there to be taken.
fn weakened(effect: &Effect, need: &Need, catalog: &Catalog) -> Option<Effect> {
    let mut weak = effect.clone();
    let used = weak.relations.iter_mut().find(|r| r.name == need.relation)?;
    match (need.verb, need.column.as_deref()) {
        (verb, None) => used.verbs.retain(|v| *v != verb),
        (verb, Some(column)) => {
            let list = if verb == Verb::Read { &mut used.reads } else { &mut used.writes };
            if list.iter().any(|c| c == "*") {
                *list = catalog.relation(&need.relation)?.columns.iter().map(|c| c.name.clone()).collect();
            }
            list.retain(|c| c != column);
        }
    }
    if used.verbs == [Verb::Update] || used.verbs == [Verb::Insert] {
        // Nothing is left of a verb whose columns are gone.
        if used.writes.is_empty() && need.column.is_some() && need.verb != Verb::Read {
            used.verbs.clear();
        }
    }
    let empty = used.verbs.is_empty();
    if empty {
        weak.relations.retain(|r| r.name != need.relation);
    }
    weak.verb = Verb::Read;
    weak.normalize();
    (weak != *effect).then_some(weak)
}

#[test]
fn a_weaker_effect_holds() {
    let scratch = Scratch::new(include_str!("sql/schema.sql"));
    let mut random = Random::new(11);
    let (mut attempts, mut escaped) = (0, 0);
    let was = scratch.content();
    for _ in 0..size("WETINK_LOCK", 150) {
        let Statement { sql, needs } = generator::statement(&mut random);
        let Some(analysis) = scratch.analyze(&sql).filter(|a| a.understood) else { continue };
        // What cannot run at all proves nothing.
        if !matches!(scratch.trial(&sql, &analysis.effect), Report::Preview { .. }) {
            continue;
        }
        for need in &needs {
            let Some(weak) = weakened(&analysis.effect, need, &scratch.catalog) else { continue };
            attempts += 1;
            let order = Order::Run { job: scratch.job(&sql, weak.clone()), ceiling_rows: 1_000 };
            if let Report::Done { .. } = perform(&order, b"", &mut |_, _| true) {
                escaped += 1;
                println!("ESCAPED without {need:?}: {sql}\n    {:?}", weak.relations);
            }
        }
    }
    assert_eq!(scratch.content(), was, "a weakened run changed something");
    assert_eq!(scratch.server.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'wetink%'"), "0");
    println!("attempts: {attempts}\nescaped: {escaped}");
    assert!(escaped == 0 && attempts > 0, "runs went beyond a weaker effect");
}

/// Every row that a run changes is in the server's log of changes; each has to be in the effect.
#[test]
fn what_the_server_logged_was_claimed() {
    let schema = include_str!("sql/schema.sql");
    let scratch = Scratch::new(schema);
    let server = &scratch.server;
    let whole_rows = "DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        LOOP EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', r); END LOOP; END $$";
    server.sql(whole_rows);
    let parents: BTreeMap<String, String> = server
        .sql("SELECT 'public.' || inhrelid::regclass, 'public.' || inhparent::regclass FROM pg_inherits i JOIN pg_class c ON c.oid = inhrelid WHERE c.relkind = 'r'")
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(part, whole)| (part.to_owned(), whole.to_owned()))
        .collect();
    server.sql("SELECT pg_create_logical_replication_slot('seen', 'test_decoding')");
    let seen = || {
        let sql = "SELECT data FROM pg_logical_slot_get_changes('seen', NULL, NULL, 'skip-empty-xacts', '1', 'include-xids', '0')";
        server.sql(sql)
    };
    let mut random = Random::new(23);
    let (mut runs, mut rows, mut wrong) = (0, 0, 0);
    for round in 0..size("WETINK_SQL", 200) / 2 {
        if round % 100 == 99 {
            let again = format!(
                "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC; GRANT ALL ON SCHEMA public TO minter; SET ROLE minter; {schema}; RESET ROLE; {whole_rows}"
            );
            server.sql(&again);
        }
        let sql = generator::statement(&mut random).sql;
        let Some(analysis) = scratch.analyze(&sql).filter(|a| a.understood) else { continue };
        if analysis.effect.verb == Verb::Define || analysis.effect.commits_itself {
            continue;
        }
        seen();
        let order = Order::Run { job: scratch.job(&sql, analysis.effect.clone()), ceiling_rows: 1 << 40 };
        if !matches!(perform(&order, b"", &mut |_, _| true), Report::Done { .. }) {
            continue;
        }
        runs += 1;
        let own = |c: &changes::Change| c.relation.starts_with("pg_");
        for change in seen().lines().filter_map(changes::change).filter(|c| !own(c)) {
            rows += 1;
            if !changes::is_claimed(&change, &analysis.effect, &parents) {
                wrong += 1;
                println!("WRONG {sql}\n      {change:?}\n      {:?}", analysis.effect.relations);
                break;
            }
        }
    }
    println!("tracked_runs: {runs}\ntracked_rows: {rows}\nunclaimed_changes: {wrong}");
    assert!(wrong == 0 && rows > 0, "rows were changed that no effect names");
}
