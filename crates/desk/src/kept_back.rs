//! Values that people kept back from agents, and markers that show where data goes.
//!
//! Neither is told to an agent: an answer that differed would say which values are right. They are looked at only when something is
//! handed in, where a person sees what was found.

use std::path::{Path, PathBuf};

use artifact::{Artifact, SessionId, Timestamp};
use aws_lc_rs::{hmac, rand};
use lifecycle::overlap::{self, MARKER_LENGTH};
use lifecycle::{Withheld, released_cells};
use store::{Held, Mark, Store, StoreError};
use wire::order::ResultSet;

/// Cells of one result that are remembered.
const CELLS_MAX: usize = 20_000;
/// A value that stands in more rows than this of one column is a word of the target's, not somebody's.
const ROWS_MAX: usize = 2;
/// Most overlaps told of one artifact.
const TOLD_MAX: usize = 20;
/// So many at once are no coincidence, and are not looked for in what the author wrote before.
const COINCIDENCE_MAX: usize = 100;

/// The file that remembers them, beside the view.
pub fn file_of(view: &Path) -> PathBuf {
    view.with_file_name("held.db")
}

/// What is remembered, and how markers are made.
#[derive(Debug)]
pub struct KeptBack {
    held: Held,
    key: hmac::Key,
}

impl KeptBack {
    /// Opens or makes the file.
    #[allow(clippy::expect_used, reason = "without randomness no key can be made")]
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let mut fresh = [0; 32];
        rand::fill(&mut fresh).expect("the system's random source answers");
        let held = Held::open(file, fresh)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, held.key());
        Ok(Self { held, key })
    }

    fn tag(&self, what: &str, text: &str) -> hmac::Tag {
        hmac::sign(&self.key, format!("{what}\n{text}").as_bytes())
    }

    fn mark(&self, text: &str) -> Mark {
        let mut mark = Mark::default();
        mark.copy_from_slice(&self.tag("value", text).as_ref()[..16]);
        mark
    }

    /// Remembers what a person sees of a result and the agent has not been given. `at`: when its proposal was handed in.
    pub(crate) fn keep(
        &self,
        agent: &str,
        proposal: &str,
        result: &ResultSet,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut marks = Vec::new();
        let rows = (CELLS_MAX / result.columns.len().max(1)).min(result.rows.len());
        for (index, column) in result.columns.iter().enumerate() {
            let mut seen = std::collections::HashMap::<String, usize>::new();
            for cell in result.rows.iter().take(rows).filter_map(|row| row.get(index)?.as_deref()) {
                if let Some(text) = overlap::telling(cell) {
                    *seen.entry(text).or_default() += 1;
                }
            }
            let own = seen.into_iter().filter(|(_, times)| *times <= ROWS_MAX);
            marks.extend(own.map(|(text, _)| (self.mark(&text), column.name.chars().take(100).collect::<String>())));
        }
        self.held.keep(agent, proposal, &marks, at)
    }

    /// The agent was given this (its view of a released result, JSON).
    pub(crate) fn give(&self, agent: &str, proposal: &str, released: &str) -> Result<(), StoreError> {
        let cells = released_cells(released);
        let marks: Vec<Mark> = cells.iter().filter_map(|cell| overlap::telling(cell)).map(|t| self.mark(&t)).collect();
        self.held.give(agent, proposal, &marks, Timestamp::now())
    }

    /// What of an artifact was kept back from its author, each with when the proposal was handed in whose result has it. The author may have
    /// written it before that.
    pub(crate) fn look(&self, agent: &str, artifact: &Artifact) -> Result<Vec<(Withheld, Timestamp)>, StoreError> {
        if self.held.is_empty() {
            return Ok(Vec::new());
        }
        let pieces = overlap::pieces(artifact);
        let marks: Vec<Mark> = pieces.iter().map(|piece| self.mark(&piece.text)).collect();
        let found = self.held.withheld(agent, &marks)?;
        let told = pieces.into_iter().zip(marks).filter_map(|(piece, mark)| {
            let from = found.iter().find(|withheld| withheld.mark == mark)?;
            let (proposal, field) = (from.proposal.clone(), from.field.clone());
            Some((Withheld { text: piece.text, span: piece.span, proposal, field }, from.at))
        });
        Ok(told.collect())
    }

    /// A marker to plant in a decoy. Where it turns up in an artifact, data has left its place.
    #[allow(clippy::expect_used, reason = "without randomness no marker can be made")]
    pub fn marker(&self) -> String {
        let mut random = [0; MARKER_LENGTH / 2];
        rand::fill(&mut random).expect("the system's random source answers");
        self.whole(&letters(&random))
    }

    /// The marker of a session: always the same for it.
    pub(crate) fn marker_of(&self, session: SessionId) -> String {
        self.whole(&letters(&self.tag("session", &session.to_string()).as_ref()[..MARKER_LENGTH / 2]))
    }

    fn whole(&self, first: &str) -> String {
        overlap::marker(&format!("{first}{}", self.second(first)))
    }

    fn second(&self, first: &str) -> String {
        letters(&self.tag("marker", first).as_ref()[..MARKER_LENGTH / 2])
    }

    /// Whether a marker of ours stands in it.
    pub(crate) fn is_marked(&self, artifact: &Artifact) -> bool {
        overlap::markers(artifact).iter().any(|rest| {
            let (first, second) = rest.split_at(MARKER_LENGTH / 2);
            self.second(first) == second
        })
    }
}

/// Without those that the author had written by the time of the proposal in whose result they stand: nobody gave them away.
pub(crate) fn without_own(
    store: &Store,
    agent: &str,
    mut found: Vec<(Withheld, Timestamp)>,
) -> Result<Vec<Withheld>, StoreError> {
    let last = found.iter().map(|(_, at)| *at).max().filter(|_| found.len() <= COINCIDENCE_MAX);
    for (kind, text, written) in last.map(|last| store.written_by(agent, last)).transpose()?.into_iter().flatten() {
        let bare = overlap::bare(&text);
        if !found.iter().any(|(one, _)| bare.contains(&one.text)) {
            continue;
        }
        let Ok(artifact) = Artifact::new(kind, text.into_bytes()) else { continue };
        let pieces = overlap::pieces(&artifact);
        found.retain(|(one, at)| written > *at || !pieces.iter().any(|piece| piece.text == one.text));
    }
    Ok(found.into_iter().map(|(one, _)| one).take(TOLD_MAX).collect())
}

/// Five bits of each byte as a letter (RFC 4648, base 32, in lower case).
fn letters(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

#[cfg(test)]
mod tests {
    use artifact::Kind;
    use wire::order::ResultColumn;

    use super::*;

    fn sql(text: &str) -> Artifact {
        Artifact::new(Kind::SqlPostgresql, text.as_bytes().to_vec()).unwrap()
    }

    fn fields(kept: &KeptBack, agent: &str, text: &str) -> Vec<String> {
        kept.look(agent, &sql(text)).unwrap().into_iter().map(|(withheld, _)| withheld.field).collect()
    }

    #[test]
    fn what_was_kept_back_is_recognized() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptBack::open(&folder.path().join("held.db")).unwrap();
        let column = |name: &str| ResultColumn { name: name.into(), origin: None };
        let row = |n: usize| {
            vec![Some(n.to_string()), Some(format!("customer{n}@example.org")), Some("refunded to card".into())]
        };
        let result = ResultSet {
            columns: vec![column("id"), column("email"), column("state")],
            rows: (0..50).map(row).collect(),
            total_rows: 50,
        };
        kept.keep("robin", "p-1", &result, Timestamp::from_millis(1)).unwrap();
        kept.give(
            "robin",
            "p-1",
            r#"{"columns":[{"name":"email","masked":false}],"rows":[["customer7@example.org"]]}"#,
        )
        .unwrap();
        assert_eq!(fields(&kept, "robin", "SELECT 1 FROM t WHERE m = 'Customer8@Example.org'"), ["email"]);
        // What it was given, what many rows have, what nobody ever saw.
        for text in ["'customer7@example.org'", "'refunded to card'", "'someone@example.org'"] {
            assert_eq!(fields(&kept, "robin", &format!("SELECT {text}")), [""; 0], "{text}");
        }
    }

    /// S4-18: of a thousand planted values all are seen, of a thousand honest statements none is red.
    #[test]
    fn planted_values_are_seen_and_honest_statements_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptBack::open(&folder.path().join("held.db")).unwrap();
        let value = |n: u64| match n % 4 {
            0 => format!("person{n}@mail.example"),
            1 => format!("DE{:020}", n.wrapping_mul(7_919_000_003_117)),
            2 => format!("+49 {:012}", 301_000_000 + n * 7_919),
            _ => format!("Maria Nr{n} Schmidt"),
        };
        let result = ResultSet {
            columns: vec![ResultColumn { name: "value".into(), origin: None }],
            rows: (0..1000).map(|n| vec![Some(value(n))]).collect(),
            total_rows: 1000,
        };
        kept.keep("robin", "p-1", &result, Timestamp::from_millis(1)).unwrap();
        let seen = (0..1000)
            .filter(|n| !fields(&kept, "other", &format!("INSERT INTO t VALUES ({n}, '{}')", value(*n))).is_empty())
            .count();
        assert!(seen >= 990, "{seen}");
        let honest = (0..1000)
            .filter(|n| {
                let text = format!("UPDATE orders SET status = 'refunded', note = 'ticket {n}', at = '2026-11-{:02}' WHERE id = {n} AND amount = {n}.90", n % 28 + 1);
                !fields(&kept, "robin", &text).is_empty()
            })
            .count();
        assert_eq!(honest, 0);
    }

    #[test]
    fn only_our_own_markers_count() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = ("a.db", "b.db");
        let [ours, theirs] = [ours, theirs].map(|name| KeptBack::open(&folder.path().join(name)).unwrap());
        let session = SessionId::random();
        assert_eq!(ours.marker_of(session), ours.marker_of(session));
        for marker in [ours.marker(), ours.marker_of(session)] {
            assert!(ours.is_marked(&sql(&format!("INSERT INTO t VALUES ('see {marker}')"))));
            assert!(!theirs.is_marked(&sql(&format!("SELECT '{marker}'"))));
        }
        assert!(!ours.is_marked(&sql("SELECT 'wckabcdefghijklmnopqrst'")));
    }
}
