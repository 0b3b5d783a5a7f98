//! Rows as they were before a run and are after it, and the one statement that puts them back.
//!
//! The statement is a proposal like any other: somebody reads and signs it before it runs. It changes only rows that still
//! are as the run left them, so what others wrote since stays.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use wire::order::{Change as Pair, Sample, Undo};

/// Most rows whose old contents are kept.
pub(crate) const ROWS_MAX: usize = 500;
const _: () = assert!(ROWS_MAX as u64 == artifact::effect::UNDO_ROWS_MAX);
/// Most bytes of constants kept, and of the statement made of them.
pub(crate) const BYTES_MAX: usize = 256 * 1024;
/// Rows in a sample for the review page.
const SAMPLE_MAX: usize = 20;
/// Characters of a cell in a sample.
const CELL_MAX: usize = 200;

/// A value, as people see it and as the target reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// None is NULL.
    pub(crate) shown: Option<String>,
    /// A constant of the target's dialect.
    pub(crate) constant: String,
}

/// A row as it was or is; none where it is not there.
pub(crate) type Version = Option<Vec<Cell>>;
/// Before and after; an insert has no before, a delete no after.
pub(crate) type Versions = (Version, Version);

/// What happened to rows, all of them alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Inserted,
    Updated,
    Deleted,
}

/// A column of the relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageColumn {
    pub(crate) name: String,
    /// Part of the primary key.
    pub(crate) key: bool,
    /// Computed by the target; never written.
    pub(crate) computed: bool,
    /// An identity that is written only when that is said.
    pub(crate) always: bool,
    /// Of a type without equality, compared as text.
    pub(crate) as_text: bool,
}

/// The rows of one relation that a statement changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Images {
    /// Quoted, with its schema.
    pub(crate) relation: String,
    /// Schema-qualified, as in effects.
    pub(crate) name: String,
    pub(crate) columns: Vec<ImageColumn>,
    pub(crate) rows: Vec<Versions>,
}

pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Images {
    fn key_of(&self, row: &[Cell]) -> Vec<String> {
        let cells = self.columns.iter().zip(row).filter(|(column, _)| column.key);
        cells.map(|(_, cell)| cell.constant.clone()).collect()
    }

    /// One line a row: what a trigger changed again after the statement counts once. None if a row's key changed, or there is
    /// no key to know a row by.
    pub(crate) fn folded(mut self) -> Option<Self> {
        if !self.columns.iter().any(|column| column.key) {
            return None;
        }
        let mut rows: BTreeMap<Vec<String>, Versions> = BTreeMap::new();
        for (before, after) in std::mem::take(&mut self.rows) {
            let key = self.key_of(before.as_deref().or(after.as_deref())?);
            if before.is_some() && after.as_deref().is_some_and(|after| self.key_of(after) != key) {
                return None;
            }
            rows.entry(key).and_modify(|known| known.1.clone_from(&after)).or_insert((before, after));
        }
        self.rows = rows.into_values().filter(|(before, after)| before != after).collect();
        Some(self)
    }

    /// The first rows, for people.
    pub(crate) fn sample(&self) -> Sample {
        let cells = |row: &Version| {
            let cut = |cell: &Cell| cell.shown.as_ref().map(|text| text.chars().take(CELL_MAX).collect());
            row.as_ref().map(|row| row.iter().map(cut).collect())
        };
        Sample {
            relation: self.name.clone(),
            columns: self.columns.iter().map(|column| column.name.clone()).collect(),
            rows: self
                .rows
                .iter()
                .take(SAMPLE_MAX)
                .map(|(before, after)| Pair { before: cells(before), after: cells(after) })
                .collect(),
        }
    }

    /// What happened to the rows. None if nothing changed, if there were changes of more than one kind, or if there are more
    /// than are kept.
    pub(crate) fn change(&self) -> Option<Change> {
        let of = |row: &Versions| match row {
            (Some(_), Some(_)) => Some(Change::Updated),
            (Some(_), None) => Some(Change::Deleted),
            (None, Some(_)) => Some(Change::Inserted),
            (None, None) => None,
        };
        let first = of(self.rows.first()?)?;
        (self.rows.len() <= ROWS_MAX && self.rows.iter().all(|row| of(row) == Some(first))).then_some(first)
    }

    /// The statement that puts the rows back, in the dialect of PostgreSQL and SQLite. None if there is no such statement, or
    /// if it would be too long.
    pub(crate) fn inverse(&self) -> Option<Undo> {
        let statement = match self.change()? {
            Change::Updated => self.put_back(),
            Change::Deleted => self.add_again(),
            Change::Inserted => self.take_away(),
        }?;
        (statement.len() <= BYTES_MAX).then_some(Undo { statement, rows: self.rows.len() as u64 })
    }

    /// A deleted row is inserted again, column by column.
    fn add_again(&self) -> Option<String> {
        let written: Vec<usize> = (0..self.columns.len()).filter(|at| !self.columns[*at].computed).collect();
        let names: Vec<String> = written.iter().map(|at| quote(&self.columns[*at].name)).collect();
        let rows = values(self.rows.iter().map(|(before, _)| before.as_deref()), &written)?;
        let overriding = if self.columns.iter().any(|column| column.always) { " OVERRIDING SYSTEM VALUE" } else { "" };
        Some(format!("INSERT INTO {} ({}){overriding}\nVALUES\n{rows}", self.relation, names.join(", ")))
    }

    /// An updated row gets its old values back, if it still has the new ones.
    fn put_back(&self) -> Option<String> {
        let changed = |at: &usize| {
            let differs = |row: &Versions| match row {
                (Some(before), Some(after)) => before.get(*at) != after.get(*at),
                _ => false,
            };
            !self.columns[*at].computed && self.rows.iter().any(differs)
        };
        let keys: Vec<usize> = (0..self.columns.len()).filter(|at| self.columns[*at].key).collect();
        let set: Vec<usize> = (0..self.columns.len()).filter(changed).collect();
        if set.is_empty() {
            return None;
        }
        let mut names: Vec<String> = keys.iter().enumerate().map(|(n, _)| format!("key_{n}")).collect();
        names.extend(set.iter().enumerate().flat_map(|(n, _)| [format!("was_{n}"), format!("now_{n}")]));
        let mut rows = String::new();
        for (before, after) in &self.rows {
            let (before, after) = (before.as_ref()?, after.as_ref()?);
            let mut cells: Vec<&str> = Vec::with_capacity(names.len());
            for at in &keys {
                cells.push(&before.get(*at)?.constant);
            }
            for at in &set {
                cells.push(&before.get(*at)?.constant);
                cells.push(&after.get(*at)?.constant);
            }
            let _ = write!(rows, "{}  ({})", if rows.is_empty() { "" } else { ",\n" }, cells.join(", "));
            if rows.len() > BYTES_MAX {
                return None;
            }
        }
        let assign = |(n, at): (usize, &usize)| format!("{} = kept.was_{n}", quote(&self.columns[*at].name));
        let assigned: Vec<String> = set.iter().enumerate().map(assign).collect();
        let mut meets: Vec<String> = keys
            .iter()
            .enumerate()
            .map(|(n, at)| format!("t.{} = kept.key_{n}", quote(&self.columns[*at].name)))
            .collect();
        meets.extend(set.iter().enumerate().map(|(n, at)| self.still(*at, &format!("kept.now_{n}"))));
        Some(format!(
            "WITH kept ({}) AS (VALUES\n{rows}\n)\nUPDATE {} AS t SET {}\nFROM kept WHERE {}",
            names.join(", "),
            self.relation,
            assigned.join(", "),
            meets.join(" AND ")
        ))
    }

    /// An inserted row is deleted, if it still is as it was inserted.
    fn take_away(&self) -> Option<String> {
        let stored: Vec<usize> = (0..self.columns.len()).filter(|at| !self.columns[*at].computed).collect();
        let names: Vec<String> = stored.iter().enumerate().map(|(n, _)| format!("now_{n}")).collect();
        let rows = values(self.rows.iter().map(|(_, after)| after.as_deref()), &stored)?;
        let meet = |(n, at): (usize, &usize)| {
            let column = &self.columns[*at];
            if column.key {
                format!("t.{} = kept.now_{n}", quote(&column.name))
            } else {
                self.still(*at, &format!("kept.now_{n}"))
            }
        };
        let meets: Vec<String> = stored.iter().enumerate().map(meet).collect();
        Some(format!(
            "WITH kept ({}) AS (VALUES\n{rows}\n)\nDELETE FROM {} AS t\nWHERE EXISTS (SELECT 1 FROM kept WHERE {})",
            names.join(", "),
            self.relation,
            meets.join(" AND ")
        ))
    }

    fn still(&self, at: usize, now: &str) -> String {
        let column = &self.columns[at];
        let name = quote(&column.name);
        if column.as_text {
            format!("CAST(t.{name} AS text) IS NOT DISTINCT FROM CAST({now} AS text)")
        } else {
            format!("t.{name} IS NOT DISTINCT FROM {now}")
        }
    }
}

fn values<'a>(rows: impl Iterator<Item = Option<&'a [Cell]>>, at: &[usize]) -> Option<String> {
    let mut out = String::new();
    for row in rows {
        let row = row?;
        let cells: Option<Vec<&str>> = at.iter().map(|at| Some(row.get(*at)?.constant.as_str())).collect();
        let _ = write!(out, "{}  ({})", if out.is_empty() { "" } else { ",\n" }, cells?.join(", "));
        if out.len() > BYTES_MAX {
            return None;
        }
    }
    Some(out)
}
