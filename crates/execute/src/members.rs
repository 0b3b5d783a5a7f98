//! Labelled members of JSON in a result, taken out into columns of their own, so that what is decided for columns holds for them.
//!
//! A label names a member by the column that it stands in and its path there, `body.owner.email`; `*` stands for any name, and lists are
//! walked through. In the text `null` stands where it was; everything else stays as it came.

use std::collections::BTreeMap;

use serde::Deserializer as _;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use wire::order::{ResultColumn, ResultSet};

/// Deepest path of a label.
const PATH_MAX: usize = 16;
/// Deepest nesting that is walked, lists included.
const DEPTH_MAX: usize = 64;
/// Most pieces taken out of one cell; with more, nothing of it is told apart.
const PIECES_MAX: usize = 50_000;

/// Takes the labelled members of the column out. `column` is its index, `name` what labels call it. True: something was labelled.
///
/// Where a cell is no JSON nobody can say whether it has such members, and the column may hold anything: it has no origin then.
pub(crate) fn apart(result: &mut ResultSet, column: usize, name: &str, labels: &BTreeMap<String, String>) -> bool {
    let prefix = format!("{name}.");
    let wanted: Vec<(&str, Vec<&str>)> = labels
        .iter()
        .filter(|(key, label)| key.starts_with(&prefix) && *label != "plain")
        .map(|(key, _)| (key.as_str(), key[prefix.len()..].split('.').collect()))
        .collect();
    if wanted.is_empty() {
        return false;
    }
    let mut found: Vec<Vec<Option<String>>> = vec![Vec::new(); wanted.len()];
    let mut readable = wanted.iter().all(|(_, path)| path.len() <= PATH_MAX);
    for row in &mut result.rows {
        let pieces = row[column].as_deref().map(|text| pieces(text, &wanted));
        for of in &mut found {
            of.push(None);
        }
        match pieces {
            None => {}
            Some(Err(_)) => readable = false,
            Some(Ok(pieces)) => {
                let text = row[column].take().unwrap_or_default();
                for (at, of) in found.iter_mut().enumerate() {
                    let values: Vec<&str> =
                        pieces.iter().filter(|piece| piece.label == at).map(|p| &text[p.from..p.to]).collect();
                    let value = match values[..] {
                        [] => None,
                        [one] => Some(serde_json::from_str::<String>(one).unwrap_or_else(|_| one.to_owned())),
                        _ => Some(format!("[{}]", values.join(","))),
                    };
                    if let Some(last) = of.last_mut() {
                        *last = value;
                    }
                }
                row[column] = Some(without(&text, pieces));
            }
        }
    }
    if !readable {
        result.columns[column].origin = None;
    }
    for ((key, _), cells) in wanted.iter().zip(found) {
        result.columns.push(ResultColumn { name: (*key).to_owned(), origin: Some((*key).to_owned()) });
        for (row, cell) in result.rows.iter_mut().zip(cells) {
            row.push(cell);
        }
    }
    true
}

/// A value in the text.
struct Piece {
    /// Which label it is of.
    label: usize,
    from: usize,
    to: usize,
}

fn pieces(text: &str, wanted: &[(&str, Vec<&str>)]) -> Result<Vec<Piece>, serde_json::Error> {
    let mut found = Vec::new();
    let whole: &RawValue = serde_json::from_str(text)?;
    for (label, (_, path)) in wanted.iter().enumerate() {
        walk((text, whole.get()), path, (label, 0), &mut found)?;
    }
    Ok(found)
}

fn walk<'a>(
    (text, json): (&'a str, &'a str),
    path: &[&str],
    (label, depth): (usize, usize),
    found: &mut Vec<Piece>,
) -> Result<(), serde_json::Error> {
    if found.len() >= PIECES_MAX || depth > DEPTH_MAX {
        return Err(serde_json::Error::custom("too many, or too deep"));
    }
    if json.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(json)?;
        return items.into_iter().try_for_each(|item| walk((text, item.get()), path, (label, depth + 1), found));
    }
    let Some((name, rest)) = path.split_first() else {
        if json != "null" {
            // Both are parts of the same text.
            let from = json.as_ptr().addr() - text.as_ptr().addr();
            found.push(Piece { label, from, to: from + json.len() });
        }
        return Ok(());
    };
    if !json.starts_with('{') {
        return Ok(());
    }
    for (member, value) in serde_json::Deserializer::from_str(json).deserialize_map(Members)? {
        if *name == "*" || *name == member {
            walk((text, value.get()), rest, (label, depth + 1), found)?;
        }
    }
    Ok(())
}

/// Every member of an object, also those that stand twice.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// The text with `null` in the place of each piece; a piece inside another one goes with it.
fn without(text: &str, mut pieces: Vec<Piece>) -> String {
    pieces.sort_unstable_by_key(|piece| (piece.from, std::cmp::Reverse(piece.to)));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for piece in &pieces {
        if piece.from >= at {
            out.push_str(&text[at..piece.from]);
            out.push_str("null");
            at = piece.to;
        }
    }
    out.push_str(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(body: &str) -> ResultSet {
        let column = |name: &str| ResultColumn { name: name.into(), origin: Some(name.into()) };
        let row = vec![Some("200".to_owned()), Some(body.to_owned())];
        ResultSet { columns: vec![column("status"), column("body")], rows: vec![row], total_rows: 1 }
    }

    fn labels(keys: &[&str]) -> BTreeMap<String, String> {
        keys.iter().map(|key| ((*key).to_owned(), "personal".to_owned())).collect()
    }

    fn taken(body: &str, keys: &[&str]) -> (String, Vec<Option<String>>, bool) {
        let mut result = result(body);
        assert!(apart(&mut result, 1, "body", &labels(keys)));
        let known = result.columns[1].origin.is_some();
        let row = result.rows.remove(0);
        (row[1].clone().unwrap(), row[2..].to_vec(), known)
    }

    #[test]
    fn labelled_members_stand_in_columns_of_their_own() {
        let body = "{ \"id\": 7, \"owner\": {\"email\": \"bo@x.y\", \"age\": 40}, \"total\": 1.10 }";
        let (rest, cells, known) = taken(body, &["body.owner.email", "body.total"]);
        assert_eq!(rest, "{ \"id\": 7, \"owner\": {\"email\": null, \"age\": 40}, \"total\": null }");
        assert_eq!((cells, known), (vec![Some("bo@x.y".to_owned()), Some("1.10".to_owned())], true));
        // Lists, any name, the same name twice, whole objects, one label inside another.
        let (rest, cells, _) = taken("[{\"a\":{\"e\":1}},{\"b\":{\"e\":2,\"e\":[3,4]}},{\"c\":5}]", &["body.*.e"]);
        assert_eq!(
            (rest.as_str(), cells[0].as_deref()),
            ("[{\"a\":{\"e\":null}},{\"b\":{\"e\":null,\"e\":[null,null]}},{\"c\":5}]", Some("[1,2,3,4]"))
        );
        let (rest, cells, _) = taken("{\"o\":{\"e\":1,\"f\":2}}", &["body.o", "body.o.e"]);
        assert_eq!(
            (rest.as_str(), cells),
            ("{\"o\":null}", vec![Some("{\"e\":1,\"f\":2}".to_owned()), Some("1".to_owned())])
        );
        let (rest, cells, _) = taken("{\"\\u0065mail\":\"x\"}", &["body.email"]);
        assert_eq!((rest.as_str(), cells[0].as_deref()), ("{\"\\u0065mail\":null}", Some("x")));
    }

    #[test]
    fn what_is_no_json_may_hold_anything() {
        for body in ["<html>", "{\"email\":\"x\"", "{\"email\":\"x\"} ", "{\"email\":\"x\"}{}", ""] {
            let (rest, _, known) = taken(body, &["body.email"]);
            assert_eq!(known, body.ends_with("} "), "{body}");
            assert!(known || rest == body);
        }
        // Deeper than we go.
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        assert!(!taken(&deep, &["body.a"]).2);
        let mut none = result("{}");
        assert!(!apart(&mut none, 1, "body", &labels(&["mail.text"])) && none == result("{}"));
    }
}
