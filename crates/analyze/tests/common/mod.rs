//! Catalogs and checks shared by the corpora.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use analyze::{Analysis, analyze};
use artifact::catalog::{Catalog, Column, Function, Relation, RelationKind, Volatility};
use artifact::effect::Verb;
use artifact::{Artifact, Kind};

pub fn relation(name: &str, kind: RelationKind, columns: &str) -> Relation {
    let column = |c: &str| Column { name: c.to_owned(), type_name: "text".to_owned(), default: None, generated: false };
    Relation {
        name: name.to_owned(),
        kind,
        columns: columns.split_whitespace().map(column).collect(),
        rows_estimate: None,
        triggers: vec![],
        rules: vec![],
        row_security: false,
        cascades_to: vec![],
        reads_from: vec![],
        ..Relation::default()
    }
}

fn function(name: &str, volatility: Volatility, user_code: bool, security_definer: bool) -> Function {
    Function {
        name: name.to_owned(),
        volatility,
        security_definer,
        user_code,
        definitions: vec![],
        opaque: user_code,
        calls: vec![],
    }
}

pub fn postgresql() -> Catalog {
    use RelationKind::{Foreign, MaterializedView, Sequence, Table, View};
    let mut relations = vec![
        relation("public.orders", Table, "id customer_id status amount refunded_at note"),
        relation("public.customers", Table, "id name email ssn region"),
        relation("public.tickets", Table, "id title"),
        relation("public.tickets_id_seq", Sequence, "last_value"),
        relation("public.accounts", Table, "id owner"),
        relation("public.logins", Table, "id account_id"),
        relation("public.audited", Table, "id a"),
        relation("public.ruled", Table, "id a"),
        relation("public.private", Table, "id owner secret"),
        relation("public.active_orders", View, "id status"),
        relation("public.totals", MaterializedView, "region total"),
        relation("public.remote", Foreign, "id v"),
        relation("hr.salaries", Table, "id employee amount"),
        relation("public.Odd", Table, "id Case"),
        relation("pg_catalog.pg_class", Table, "oid relname relnamespace relkind"),
        relation("pg_catalog.pg_authid", Table, "oid rolname rolpassword"),
        relation("information_schema.tables", View, "table_schema table_name"),
    ];
    let mut set =
        |name: &str, change: &dyn Fn(&mut Relation)| relations.iter_mut().filter(|r| r.name == name).for_each(change);
    set("public.accounts", &|r| r.cascades_to = vec!["public.logins".into()]);
    set("public.audited", &|r| r.triggers = vec!["audit".into()]);
    set("public.ruled", &|r| r.rules = vec!["divert".into()]);
    set("public.private", &|r| r.row_security = true);
    set("public.active_orders", &|r| r.reads_from = vec!["public.orders".into()]);
    set("public.totals", &|r| r.reads_from = vec!["public.orders".into(), "public.customers".into()]);
    let pure = "abs array_agg array_length avg bool_and btrim ceil char_length chr coalesce concat concat_ws count date_part \
        date_trunc dense_rank encode extract first_value floor format generate_series greatest initcap json_agg \
        json_build_object jsonb_agg jsonb_array_elements jsonb_set lag lead left length like_escape lower lpad ltrim max md5 \
        min mod now nullif overlay percentile_cont pg_typeof position rank regexp_replace repeat replace reverse right \
        round row_number row_to_json rtrim split_part string_agg string_to_array substring sum timezone to_char to_date \
        to_json to_jsonb to_number to_timestamp to_tsvector translate trunc unnest upper width_bucket version current_setting \
        json_to_recordset substr similar_to_escape xmlexists pg_get_viewdef inet_server_addr has_table_privilege";
    let mut functions: Vec<Function> = pure
        .split_whitespace()
        .map(|n| function(&format!("pg_catalog.{n}"), Volatility::Stable, false, false))
        .collect();
    for name in [
        "random",
        "clock_timestamp",
        "nextval",
        "setval",
        "pg_sleep",
        "set_config",
        "pg_read_file",
        "lo_import",
        "obscure",
    ] {
        functions.push(function(&format!("pg_catalog.{name}"), Volatility::Volatile, false, false));
    }
    functions.push(function("public.purge", Volatility::Volatile, true, false));
    functions.push(function("public.lookup", Volatility::Stable, true, false));
    functions.push(function("public.slug", Volatility::Immutable, true, false));
    functions.push(function("public.elevated", Volatility::Immutable, true, true));
    functions.push(function("public.upper", Volatility::Volatile, true, false));
    functions.push(function("public.touch_row", Volatility::Volatile, true, false));
    let mut catalog = Catalog {
        version: "17.2".into(),
        search_path: vec!["public".into()],
        relations,
        functions,
        ..Catalog::default()
    };
    catalog.sort();
    catalog
}

pub fn sqlite() -> Catalog {
    let ddl = [
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, status TEXT, amount INTEGER, refunded_at TEXT)",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, email TEXT UNIQUE, ssn TEXT)",
        "CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT)",
        "CREATE TABLE sqlite_sequence(name,seq)",
        "CREATE TABLE audited (id INTEGER PRIMARY KEY, a TEXT)",
        "CREATE TABLE unique_rows (k TEXT UNIQUE ON CONFLICT REPLACE, v TEXT)",
        "CREATE TABLE parents (id INTEGER PRIMARY KEY, a TEXT)",
        "CREATE TABLE children (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parents(id) ON DELETE CASCADE)",
        "CREATE INDEX orders_status ON orders(status)",
        "CREATE VIEW open_orders AS SELECT id, status FROM orders WHERE status = 'open'",
        "CREATE TRIGGER audit AFTER UPDATE ON audited BEGIN INSERT INTO log(what) VALUES (new.a); END",
        "CREATE TRIGGER through INSTEAD OF DELETE ON open_orders BEGIN DELETE FROM orders WHERE id = old.id; END",
        "CREATE VIRTUAL TABLE notes USING fts5(body)",
        "CREATE TABLE 'notes_data'(id INTEGER PRIMARY KEY, block BLOB)",
    ];
    Catalog {
        version: "3.51.1".into(),
        search_path: vec!["main".into()],
        ddl: ddl.iter().map(|d| (*d).to_owned()).collect(),
        ..Catalog::default()
    }
}

pub fn run(kind: Kind, catalog: &Catalog, sql: &str) -> Analysis {
    let artifact = Artifact::new(kind, sql.as_bytes().to_vec()).unwrap();
    let analysis = analyze(&artifact, catalog);
    assert!(analysis.effect.is_normal(), "{sql}: {:?}", analysis.effect);
    assert_eq!(analysis.understood, !analysis.findings.iter().any(|f| f.code.blocks()), "{sql}");
    assert!(analysis.understood || analysis.effect.verb == Verb::Define, "{sql}");
    assert!(analysis.findings.iter().all(|f| f.severity == f.code.severity()), "{sql}");
    let json = serde_json::to_string(&analysis).unwrap();
    assert_eq!(serde_json::from_str::<Analysis>(&json).unwrap(), analysis, "{sql}");
    analysis
}

/// What the analysis says, as one of: `refused`, `read`, `<verb> <relation>[, <relation>]`.
pub fn verdict(analysis: &Analysis) -> String {
    if !analysis.understood {
        return "refused".to_owned();
    }
    if analysis.effect.is_read_only() {
        return "read".to_owned();
    }
    let verb = analysis.effect.verb;
    let names = analysis.effect.relations.iter().filter(|r| r.verbs.contains(&verb)).map(|r| r.name.as_str());
    format!("{} {}", verb.as_str(), names.collect::<Vec<_>>().join(", ")).trim_end().to_owned()
}

/// The whole effect in one line: `relation verbs r(columns) w(columns)`.
pub fn exact(analysis: &Analysis) -> String {
    let one = |r: &artifact::effect::RelationUse| {
        let verbs: Vec<&str> = r.verbs.iter().map(|v| v.as_str()).collect();
        format!("{} {} r({}) w({})", r.name, verbs.join("+"), r.reads.join(","), r.writes.join(","))
    };
    analysis.effect.relations.iter().map(one).collect::<Vec<_>>().join("; ")
}

pub fn check(kind: Kind, catalog: &Catalog, corpus: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (sql, expected) in corpus {
        let analysis = run(kind, catalog, sql);
        let said = verdict(&analysis);
        if said != *expected {
            let codes: Vec<&str> = analysis.findings.iter().map(|f| f.code.as_str()).collect();
            wrong.push(format!("{sql}\n    said `{said}`, expected `{expected}`; {codes:?}; {}", analysis.sentence));
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), corpus.len(), wrong.join("\n"));
}
