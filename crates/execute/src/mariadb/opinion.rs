//! The server's own reading of a statement, held against the signed effect before it runs.
//!
//! `EXPLAIN EXTENDED` leaves a note with the statement as the server resolved it: views merged, every table with its
//! database, every column with its table (<https://mariadb.com/kb/en/explain/>). What it names and the effect does not,
//! our own reading missed. It may name less than the statement uses, since the optimizer drops what it need not read; so
//! this can only refuse. Where a user is minted for the run, the server itself refuses.

use std::collections::{BTreeMap, BTreeSet};

use artifact::Effect;
use sqlx::mysql::MySqlConnection;
use wire::order::{FailCode, Report};

use super::session::{literal, run, strings, table};
use crate::child::failed;

/// Longest note that is read, in bytes.
const NOTE_MAX: usize = 4 << 20;

/// Asks the server, within the open transaction. `using` are the variables that carry the statement's values.
pub(super) async fn hold(
    db: &mut MySqlConnection,
    statement: &str,
    using: &[String],
    effect: &Effect,
) -> Result<(), Report> {
    let databases: BTreeSet<String> =
        strings(db, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA").await?.into_iter().collect();
    let explain = format!("EXPLAIN EXTENDED {statement}");
    run(db, &format!("PREPARE wetink_opinion FROM {}", literal(&explain))).await?;
    let using = if using.is_empty() { String::new() } else { format!(" USING {}", using.join(", ")) };
    table(db, &format!("EXECUTE wetink_opinion{using}")).await?;
    let mut notes = table(db, "SHOW WARNINGS").await?;
    run(db, "DEALLOCATE PREPARE wetink_opinion").await?;
    // Level, code, message.
    notes.retain(|note| note.get(1).is_some_and(|code| code.as_deref() == Some("1003")));
    let note = notes.pop().and_then(|mut note| note.pop()).flatten();
    let note = note.filter(|note| note.len() <= NOTE_MAX);
    let Some(note) = note else {
        return Err(failed(FailCode::BeyondEffect, "the server does not say how it reads the statement"));
    };
    match beyond(&note, &databases, effect) {
        None => Ok(()),
        Some(what) => {
            let detail = format!("the server reads {what}, which the signed effect does not name; nothing was run");
            Err(failed(FailCode::BeyondEffect, &detail))
        }
    }
}

/// The first table or column of the note that the effect does not name.
fn beyond(note: &str, databases: &BTreeSet<String>, effect: &Effect) -> Option<String> {
    let names = names(note);
    let mut aliases: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let [database, table] = name.parts.as_slice() else { continue };
        if !databases.contains(database) {
            continue;
        }
        let relation = format!("{database}.{table}");
        if effect.relation(&relation).is_none() {
            return Some(relation);
        }
        // A table without another name goes by its own.
        let alias = names.get(at + 1).filter(|next| next.follows && next.parts.len() == 1);
        let alias = alias.map_or(table.as_str(), |next| next.parts[0].as_str());
        aliases.entry((database, alias)).or_default().insert(relation);
    }
    for name in &names {
        let [database, alias, column] = name.parts.as_slice() else { continue };
        let Some(relations) = aliases.get(&(database.as_str(), alias.as_str())) else { continue };
        let names_it = |relation: &String| {
            let used = effect.relation(relation);
            used.is_some_and(|used| used.reads.iter().chain(&used.writes).any(|c| c == column || c == "*"))
        };
        if !relations.iter().any(names_it) {
            let relations: Vec<&str> = relations.iter().map(String::as_str).collect();
            return Some(format!("column {column} of {}", relations.join(" or ")));
        }
    }
    None
}

/// A name in backticks with its dots.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    parts: Vec<String>,
    /// Only one space stands between it and the name before.
    follows: bool,
}

/// Every quoted name outside of strings and comments.
fn names(note: &str) -> Vec<Name> {
    let bytes = note.as_bytes();
    let mut names: Vec<Name> = Vec::new();
    let (mut at, mut last_end) = (0, usize::MAX);
    while at < bytes.len() {
        match bytes[at] {
            b'\'' => at = after_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let end = note[at + 2..].find("*/").map_or(bytes.len(), |end| at + 2 + end + 2);
                at = end;
            }
            b'`' => {
                let start = at;
                let mut parts = Vec::new();
                loop {
                    let (part, end) = quoted(note, at);
                    parts.push(part);
                    at = end;
                    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1) == Some(&b'`') {
                        at += 1;
                    } else {
                        break;
                    }
                }
                let follows = last_end != usize::MAX && start == last_end + 1 && bytes[last_end] == b' ';
                names.push(Name { parts, follows });
                last_end = at;
            }
            _ => at += 1,
        }
    }
    names
}

/// Where a string that begins at `at` is over. The server prints backslashes for what it escapes.
fn after_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The name in backticks that begins at `at`, and where it is over.
fn quoted(note: &str, at: usize) -> (String, usize) {
    let bytes = note.as_bytes();
    let (mut name, mut at, mut from) = (String::new(), at + 1, at + 1);
    while at < bytes.len() {
        if bytes[at] != b'`' {
            at += 1;
            continue;
        }
        name.push_str(&note[from..at]);
        if bytes.get(at + 1) != Some(&b'`') {
            return (name, at + 1);
        }
        name.push('`');
        at += 2;
        from = at;
    }
    name.push_str(&note[from.min(bytes.len())..]);
    (name, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(relations: &[(&str, &[&str])]) -> Effect {
        let mut effect = Effect::empty();
        for (name, reads) in relations {
            effect.relation_mut(name).reads = reads.iter().map(|c| (*c).to_owned()).collect();
        }
        effect
    }

    fn told(note: &str, relations: &[(&str, &[&str])]) -> Option<String> {
        let databases = ["shop", "mysql"].map(str::to_owned).into();
        beyond(note, &databases, &effect(relations))
    }

    #[test]
    fn what_the_server_names_has_to_be_named() {
        let note = "/* select#1 `shop`.`no` */ select `shop`.`q`.`m` AS `shop`,'it\\'s `shop`.`zzz` ''`shop`.`y`' AS `x` from `shop`.`b` `q` join `shop`.`a` where `shop`.`a`.`id` = 1";
        assert_eq!(told(note, &[("shop.a", &["id"]), ("shop.b", &["m"])]), None);
        assert_eq!(told(note, &[("shop.a", &["*"]), ("shop.b", &["*"])]), None);
        assert_eq!(told(note, &[("shop.a", &["id"])]).as_deref(), Some("shop.b"));
        assert_eq!(told(note, &[("shop.a", &["id"]), ("shop.b", &["n"])]).as_deref(), Some("column m of shop.b"));
        let odd = "select 1 from `mysql`.`us``er` `a.b`";
        assert_eq!(told(odd, &[]).as_deref(), Some("mysql.us`er"));
        assert_eq!(told(odd, &[("mysql.us`er", &[])]), None);
        // What stands in a derived table has no database.
        assert_eq!(told("select `d`.`n` AS `n` from (select 1 AS `n`) `d`", &[]), None);
        // Cut off in the middle of anything.
        for end in 0..note.len() {
            let _ = told(&note[..end], &[]);
        }
    }
}
