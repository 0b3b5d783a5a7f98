//! Results that are lists of things with fields, as tools print them (YAML, JSON, one field a line).

use super::words::{Words, count};

/// A thing and its fields in order. Elements of a list are fields of the list's name.
#[derive(Clone, Debug, Default)]
struct Record {
    fields: Vec<(String, String)>,
    /// Those of the values that can name it: one word names nothing, it is in every request by chance.
    naming: Vec<usize>,
}

impl Record {
    /// Whether something can name it.
    fn named(&mut self) -> bool {
        let long = |(at, (_, value)): (usize, &(String, String))| (2..=12).contains(&count(value)).then_some(at);
        self.naming = self.fields.iter().enumerate().filter_map(long).collect();
        !self.naming.is_empty()
    }
}

/// All things of one result that something can name.
#[derive(Clone, Debug, Default)]
pub(super) struct Records(Vec<Record>);

/// A name that may stand before a colon.
fn field_name(text: &str) -> Option<&str> {
    let name = text.trim().trim_matches(['"', '\'']);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ');
    ((1..=40).contains(&name.len()) && name.chars().all(plain) && name.split(' ').count() <= 3).then_some(name)
}

fn value(text: &str) -> &str {
    text.trim().trim_end_matches(',').trim_matches(['"', '\''])
}

impl Records {
    pub(super) fn of(text: &str) -> Self {
        let mut records = Vec::new();
        let mut record = Record::default();
        let mut list = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let (starts, body) = match line.trim_start().strip_prefix("- ") {
                Some(rest) => (true, rest),
                None => (false, line.trim_start()),
            };
            let new = (starts && indent == 0 && body.contains(": ")) || matches!(line.trim(), "{" | "}," | "}" | "");
            if new && !record.fields.is_empty() {
                records.push(std::mem::take(&mut record));
                list = None;
            }
            match body.split_once(':').and_then(|(name, rest)| Some((field_name(name)?, rest))) {
                Some((name, rest)) if rest.trim().is_empty() || rest.trim() == "[" => list = Some(name),
                Some((name, rest)) if rest.starts_with(' ') => {
                    list = None;
                    record.fields.push((name.to_owned(), value(rest).to_owned()));
                }
                _ => {
                    if let (Some(name), true) = (list, starts || body.starts_with('"')) {
                        record.fields.push((name.to_owned(), value(body).to_owned()));
                    }
                }
            }
        }
        if !record.fields.is_empty() {
            records.push(record);
        }
        records.retain_mut(Record::named);
        Self(records)
    }

    /// The field that `text` is the whole value of, in a record of which another field stands in the request, word by word.
    pub(super) fn field_of_named(&self, text: &str, request: &Words) -> Option<&str> {
        let named = |record: &&Record| record.naming.iter().any(|at| request.has(&record.fields[*at].1));
        let wanted = Words::of(text);
        let is = |(_, value): &&(String, String)| wanted.is(value);
        self.0.iter().filter(named).find_map(|record| record.fields.iter().find(is)).map(|(name, _)| name.as_str())
    }
}
