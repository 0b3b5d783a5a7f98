//! What must hold for any bytes, for each reader of foreign bytes. Used by the fuzzer and, on seeds and their mutations, by
//! the gate.

use std::sync::OnceLock;

use analyze::analyze;
use approve::statement::Statement;
use artifact::catalog::{Catalog, Column, Function, Relation, Volatility};
use artifact::effect::Verb;
use artifact::{Artifact, Kind};
use wire::frame;
use wire::order::{ORDER_LIMIT, Order};

/// What must hold for these bytes; panics if it does not.
pub type Property = fn(&[u8]);

/// Every property by name.
pub const ALL: &[(&str, Property)] = &[
    ("canonical", canonical),
    ("keys", keys),
    ("note", note),
    ("order", order),
    ("postgresql", postgresql),
    ("mariadb", mariadb),
    ("sqlite", sqlite),
    ("sshsig", sshsig),
    ("statement", statement),
    ("text", text),
];

fn utf8(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// A statement has one spelling: what is read is written back to the byte.
fn statement(data: &[u8]) {
    let Some(text) = utf8(data) else { return };
    let Ok(read) = Statement::parse(text) else { return };
    let written = match &read {
        Statement::Approval(s) => s.to_text(),
        Statement::Release(s) => s.to_text(),
        Statement::Key(s) => s.to_text(),
        Statement::RevokeKey(s) => s.to_text(),
        Statement::Target(s) => s.to_text(),
        Statement::Task(s) => s.to_text(),
        Statement::CloseTask(s) => s.to_text(),
        Statement::Policy(s) => s.to_text(),
        Statement::Resume(s) => s.to_text(),
    };
    assert_eq!(written.as_deref(), Ok(text));
}

/// No bytes are a signature of a key whose secret nobody used.
fn sshsig(data: &[u8]) {
    const LINE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDvYeIeBa7uE4dQpJ7mDlsyaGLJrq+pEPtI/Dp0/GJRu";
    let Some(text) = utf8(data) else { return };
    let key = approve::PublicKey::parse(LINE).expect("the key is one");
    let signature = artifact::claim::Signature::Ssh { armored: text.to_owned() };
    assert!(key.verify("wetink-approval@v1", "a statement", &signature).is_err());
}

/// A public key has one line.
fn keys(data: &[u8]) {
    let Some(line) = utf8(data) else { return };
    let Ok(key) = approve::PublicKey::parse(line) else { return };
    assert_eq!(key.to_string(), line);
}

/// No bytes are a checkpoint signed by a log whose secret nobody used.
fn note(data: &[u8]) {
    static KEY: OnceLock<audit::VerifierKey> = OnceLock::new();
    let key = KEY.get_or_init(|| audit::VerifierKey::new("log.example/fuzz", [7; 32]).expect("any 32 bytes do"));
    assert!(audit::Checkpoint::verify(data, key).is_err());
}

/// What an executor reads is what the guard wrote.
fn order(data: &[u8]) {
    let Ok(order) = frame::decode::<Order>(data) else { return };
    let bytes = frame::encode(&order, 16 * ORDER_LIMIT).expect("what was read can be written");
    // Four bytes of length stand in front.
    assert_eq!(frame::decode::<Order>(&bytes[4..]).ok(), Some(order));
}

/// Canonical JSON is its own canonical form, and means the same.
fn canonical(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let Ok(once) = artifact::canonical::to_vec(&value) else { return };
    let again: serde_json::Value = serde_json::from_slice(&once).expect("canonical JSON is JSON");
    assert_eq!(again, value);
    assert_eq!(artifact::canonical::to_vec(&again).expect("and canonical again"), once);
}

fn relation(name: &str, columns: &str) -> Relation {
    let column = |name: &str| Column { name: name.to_owned(), type_name: "text".to_owned(), ..Column::default() };
    Relation { name: name.to_owned(), columns: columns.split(' ').map(column).collect(), ..Relation::default() }
}

fn catalog(schema: &str) -> Catalog {
    let at = |name: &str| format!("{schema}.{name}");
    let mut catalog = Catalog {
        search_path: vec![schema.to_owned()],
        relations: vec![relation(&at("orders"), "id status amount"), relation(&at("people"), "id email")],
        functions: vec![Function {
            name: "pg_catalog.lower".to_owned(),
            volatility: Volatility::Immutable,
            security_definer: false,
            user_code: false,
            definitions: Vec::new(),
            opaque: false,
            calls: Vec::new(),
        }],
        ddl: ["CREATE TABLE orders (id, status, amount)", "CREATE TABLE people (id, email)"]
            .map(str::to_owned)
            .to_vec(),
        ..Catalog::default()
    };
    catalog.sort();
    catalog
}

/// Every text gets an answer; what is not understood is never shown as weaker than a definition.
fn analyzed(kind: Kind, catalog: &Catalog, data: &[u8]) {
    let Ok(artifact) = Artifact::new(kind, data.to_vec()) else { return };
    let analysis = analyze(&artifact, catalog);
    assert!(analysis.effect.is_normal());
    assert_eq!(analysis.understood, !analysis.findings.iter().any(|f| f.code.blocks()));
    assert!(analysis.understood || analysis.effect.verb == Verb::Define);
    assert!(!analysis.sentence.chars().any(artifact::has_hidden));
}

fn postgresql(data: &[u8]) {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    analyzed(Kind::SqlPostgresql, CATALOG.get_or_init(|| catalog("public")), data);
}

fn mariadb(data: &[u8]) {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    analyzed(Kind::SqlMariadb, CATALOG.get_or_init(|| catalog("shop")), data);
}

fn sqlite(data: &[u8]) {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    analyzed(Kind::SqlSqlite, CATALOG.get_or_init(|| catalog("main")), data);
}

/// What is shown holds nothing hidden, and two texts never look the same.
fn text(data: &[u8]) {
    let Some(text) = utf8(data) else { return };
    let shown = artifact::visible(text);
    assert!(!shown.chars().any(artifact::has_hidden));
    let changed = format!("{text}\u{200b}");
    assert_ne!(artifact::visible(&changed), shown);
}
