//! Statements with values: each value stands somewhere, each place has a value, and the text is read as it will be run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use analyze::{Analysis, Code, analyze, differences, pattern};
use artifact::catalog::{Catalog, RelationKind};
use artifact::{Artifact, Kind};
use reading::bound::{Parameter, ParameterType, compose};

const KINDS: [(Kind, &str, &str); 3] =
    [(Kind::SqlPostgresql, "$1", "$2"), (Kind::SqlMariadb, "?", "?"), (Kind::SqlSqlite, "?", "?2")];

fn catalog(kind: Kind) -> Catalog {
    let schema = match kind {
        Kind::SqlPostgresql => return common::postgresql(),
        Kind::SqlMariadb => "shop",
        Kind::SqlSqlite | Kind::Http | Kind::Mcp | Kind::Mail => "main",
    };
    Catalog {
        search_path: vec![schema.into()],
        relations: vec![common::relation(&format!("{schema}.orders"), RelationKind::Table, "id status")],
        ddl: vec!["CREATE TABLE orders (id, status)".into()],
        ..Catalog::default()
    }
}

fn integers(count: usize) -> Vec<Parameter> {
    vec![Parameter { of: ParameterType::Integer, value: Some("37".into()) }; count]
}

fn of(kind: Kind, text: &str) -> Analysis {
    analyze(&Artifact::new(kind, text.as_bytes().to_vec()).unwrap(), &catalog(kind))
}

#[test]
fn each_place_has_a_value_and_each_value_a_place() {
    for (kind, first, second) in KINDS {
        let both = format!("UPDATE orders SET status = {first} WHERE id = {second}");
        let bare = of(kind, "UPDATE orders SET status = 'x' WHERE id = 37");
        for given in 0..=3 {
            let analysis = of(kind, &compose(&integers(given), &both).unwrap());
            assert_eq!(analysis.understood, given == 2, "{kind} {given}: {:?}", analysis.findings);
            assert_eq!(analysis.has(Code::Parameter), given != 2, "{kind} {given}");
            if given == 2 {
                assert_eq!(analysis.effect, bare.effect, "{kind}");
            }
        }
    }
}

#[test]
fn odd_places_and_odd_texts_are_refused() {
    let one = integers(1);
    for (kind, sql) in [
        (Kind::SqlSqlite, "SELECT id FROM orders WHERE id = :a"),
        (Kind::SqlSqlite, "SELECT id FROM orders WHERE id = @a"),
        (Kind::SqlSqlite, "SELECT id FROM orders WHERE id = $a"),
        (Kind::SqlSqlite, "SELECT id FROM orders WHERE id = ?5"),
        (Kind::SqlPostgresql, "SELECT id FROM orders WHERE id = $2"),
        (Kind::SqlPostgresql, "SELECT id FROM orders WHERE id = $0"),
        (Kind::SqlMariadb, "SELECT id FROM orders WHERE id = @wetink_1"),
        (Kind::SqlPostgresql, "EXECUTE wetink_bound(1)"),
        (Kind::SqlPostgresql, "SELECT id FROM orders WHERE id = $1; SELECT 1"),
    ] {
        let analysis = of(kind, &compose(&one, sql).unwrap());
        assert!(!analysis.understood, "{sql}: {:?}", analysis.effect);
    }
    let five = integers(5);
    assert!(!of(Kind::SqlSqlite, &compose(&five, "SELECT id FROM orders WHERE id = ?5").unwrap()).understood);
    let numeric = [Parameter { of: ParameterType::Numeric, value: Some("1.5".into()) }];
    assert!(!of(Kind::SqlSqlite, &compose(&numeric, "SELECT ?").unwrap()).understood);
    for (kind, first, _) in KINDS {
        let good = compose(&one, &format!("SELECT id FROM orders WHERE id = {first}")).unwrap();
        assert!(of(kind, &good).understood, "{kind}: {:?}", of(kind, &good).findings);
        for bad in [good.replace("v1 1", "v1 2"), good.replace("\"37\"", "37"), good.replace("integer", "int")] {
            assert!(of(kind, &bad).has(Code::Parameter) && !of(kind, &bad).understood, "{kind}: {bad}");
        }
    }
    // What hides in a value is told like what hides in a string.
    let hidden = [Parameter { of: ParameterType::Text, value: Some("a\u{202e}b".into()) }];
    assert!(of(Kind::SqlPostgresql, &compose(&hidden, "SELECT $1").unwrap()).has(Code::HiddenInText));
}

#[test]
fn siblings_differ_in_their_values() {
    for (kind, first, _) in KINDS {
        let text = |value: &str| {
            let given = [Parameter { of: ParameterType::Text, value: Some(value.into()) }];
            compose(&given, &format!("SELECT id FROM orders WHERE status = {first} AND id = 5")).unwrap()
        };
        let (old, new) = (text("a b"), text("c"));
        assert_eq!(pattern(kind, &old), pattern(kind, &new));
        assert_eq!(differences(kind, &old, &new), [("\"a b\"".to_owned(), "\"c\"".to_owned())]);
    }
}

#[test]
fn a_masked_value_is_never_written_back() {
    let mask = "masked_0123456789ab";
    for (kind, _, _) in KINDS {
        for sql in [
            format!("UPDATE orders SET status = '{mask}' WHERE id = 1"),
            format!("UPDATE orders SET status = 'x' WHERE status = '{mask}'"),
            format!("INSERT INTO orders (status) VALUES ('a {mask} b')"),
        ] {
            let analysis = of(kind, &sql);
            assert!(analysis.has(Code::MaskedValue) && !analysis.understood, "{kind} {sql}");
        }
        let text = Parameter { of: ParameterType::Text, value: Some(mask.into()) };
        let first = KINDS.iter().find(|(known, _, _)| *known == kind).unwrap().1;
        let bound = compose(&[text], &format!("UPDATE orders SET status = {first} WHERE id = 1")).unwrap();
        assert!(of(kind, &bound).has(Code::MaskedValue), "{kind}");
        for fine in [
            format!("SELECT id FROM orders WHERE status = '{mask}'"),
            "UPDATE orders SET status = 'masked_' WHERE id = 1".to_owned(),
            "UPDATE orders SET status = 'masked_0123456789AB' WHERE id = 1".to_owned(),
        ] {
            assert!(of(kind, &fine).understood, "{kind} {fine}: {:?}", of(kind, &fine).findings);
        }
    }
}
