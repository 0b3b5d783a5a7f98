//! What the server wrote to its log of changes, row by row, held against an effect.

use std::collections::BTreeMap;

use artifact::Effect;
use artifact::effect::Verb;

/// One changed row.
#[derive(Debug)]
pub struct Change {
    pub relation: String,
    pub verb: Verb,
    /// Columns whose value is another than before; of an update only.
    pub columns: Vec<String>,
}

/// Reads a line of the server's `test_decoding` output; none for the lines of transactions.
pub fn change(line: &str) -> Option<Change> {
    let rest = line.strip_prefix("table ")?;
    let (relation, rest) = rest.split_once(": ")?;
    let (verb, rest) = rest.split_once(':')?;
    let verb = match verb {
        "INSERT" => Verb::Insert,
        "UPDATE" => Verb::Update,
        "DELETE" => Verb::Delete,
        _ => panic!("another kind of change: {line}"),
    };
    let mut columns = Vec::new();
    if verb == Verb::Update {
        let (old, new) = rest
            .trim_start()
            .strip_prefix("old-key:")
            .and_then(|rest| rest.split_once(" new-tuple:"))
            .unwrap_or_else(|| panic!("an update without its old row: {line}"));
        let old: BTreeMap<String, String> = cells(old).into_iter().collect();
        let differs =
            |(name, value): &(String, String)| old.get(name).is_none_or(|was| was != value) && value != "null";
        columns.extend(cells(new).into_iter().filter(differs).map(|(name, _)| name));
        // A value that is gone stands in the old row only.
        let new: BTreeMap<String, String> = cells(new).into_iter().collect();
        columns.extend(old.into_keys().filter(|name| new.get(name).is_none_or(|value| value == "null")));
    }
    Some(Change { relation: relation.replace('"', ""), verb, columns })
}

/// `name[type]:value`, one after the other; text stands in quotes, which are doubled inside.
fn cells(text: &str) -> Vec<(String, String)> {
    let (mut out, mut rest) = (Vec::new(), text.trim_start());
    while let Some((name, after)) = rest.split_once('[') {
        let (_, value) = after.split_once("]:").unwrap_or_else(|| panic!("{text}"));
        let end = if value.starts_with('\'') {
            let mut end = 1;
            loop {
                end += value[end..].find('\'').unwrap_or_else(|| panic!("{text}")) + 1;
                if !value[end..].starts_with('\'') {
                    break end;
                }
                end += 1;
            }
        } else {
            value.find(' ').unwrap_or(value.len())
        };
        out.push((name.replace('"', ""), value[..end].to_owned()));
        rest = value[end..].trim_start();
    }
    out
}

/// Whether the effect names the change. A partition counts as the table it is a part of.
pub fn is_claimed(change: &Change, effect: &Effect, parents: &BTreeMap<String, String>) -> bool {
    let parent = parents.get(&change.relation);
    [Some(&change.relation), parent].into_iter().flatten().filter_map(|name| effect.relation(name)).any(|used| {
        let by_update = used.verbs.contains(&Verb::Update);
        match change.verb {
            // A row whose key changes moves from one partition to another.
            Verb::Insert | Verb::Delete => used.verbs.contains(&change.verb) || parent.is_some() && by_update,
            _ => {
                by_update
                    && change
                        .columns
                        .iter()
                        .all(|column| used.writes.iter().chain(&used.computed).any(|w| w == column || w == "*"))
            }
        }
    })
}
