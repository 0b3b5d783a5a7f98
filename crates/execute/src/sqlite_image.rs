//! SQLite calls us before it changes a row, with the old values and the new ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use artifact::effect::Verb;
use rusqlite::Connection;
use rusqlite::hooks::{Action, PreUpdateCase};
use rusqlite::types::ValueRef;
use wire::order::{Job, Sample, Undo};

use crate::image::{BYTES_MAX, Cell, ImageColumn, Images, ROWS_MAX, quote};

/// What the engine said so far.
#[derive(Default)]
struct Seen {
    tables: BTreeMap<String, Images>,
    rows: usize,
    bytes: usize,
    /// More than is kept, or of a table that cannot be put back.
    lost: bool,
}

/// Listens to the changes of one connection.
pub(crate) struct Listener(Arc<Mutex<Seen>>);

impl Listener {
    /// Listens from now on to the relations that the effect writes. Nothing is kept for a read.
    pub(crate) fn new(db: &Connection, job: &Job) -> rusqlite::Result<Self> {
        let mut seen = Seen::default();
        for relation in job.effect.relations.iter().filter(|r| r.verbs.iter().any(|v| *v > Verb::Read)) {
            let Some(table) = relation.name.strip_prefix("main.") else { continue };
            if let Some(columns) = columns(db, table)? {
                let images = Images {
                    relation: format!("\"main\".{}", quote(table)),
                    name: relation.name.clone(),
                    columns,
                    rows: vec![],
                };
                seen.tables.insert(table.to_ascii_lowercase(), images);
            }
        }
        let listens = !job.effect.is_read_only();
        let shared = Arc::new(Mutex::new(seen));
        let told = Arc::clone(&shared);
        if listens {
            db.preupdate_hook(Some(move |_: Action, schema: &str, table: &str, case: &PreUpdateCase| {
                told.lock().unwrap_or_else(PoisonError::into_inner).note(schema, table, case);
            }))?;
        }
        Ok(Self(shared))
    }

    /// The statement that puts back what was changed, where there is one.
    pub(crate) fn undo(&self) -> Option<Undo> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = seen.tables.values().filter(|images| !images.rows.is_empty());
        let (Some(one), None, false) = (changed.next(), changed.next(), seen.lost) else { return None };
        one.clone().folded()?.inverse()
    }

    /// Some of the rows of the relation that the effect is mostly about.
    pub(crate) fn sample(&self, job: &Job) -> Option<Sample> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |images: &&Images| {
            let used = job.effect.relation(&images.name);
            !images.rows.is_empty() && used.is_some_and(|used| used.verbs.contains(&job.effect.verb))
        };
        Some(seen.tables.values().find(is_meant)?.sample())
    }
}

impl Seen {
    fn note(&mut self, schema: &str, table: &str, case: &PreUpdateCase) {
        if self.rows >= ROWS_MAX || self.bytes >= BYTES_MAX {
            self.lost = true;
            return;
        }
        let Some(images) = self.tables.get_mut(&table.to_ascii_lowercase()).filter(|_| schema == "main") else {
            self.lost = true;
            return;
        };
        let width = images.columns.len();
        let cells = |read: &dyn Fn(i32) -> rusqlite::Result<Cell>| -> Option<Vec<Cell>> {
            (0..width).map(|at| read(i32::try_from(at).ok()?).ok()).collect()
        };
        let row = match case {
            PreUpdateCase::Insert(new) => (None, cells(&|at| new.get_new_column_value(at).map(cell))),
            PreUpdateCase::Delete(old) => (cells(&|at| old.get_old_column_value(at).map(cell)), None),
            PreUpdateCase::Update { old_value_accessor: old, new_value_accessor: new } => (
                cells(&|at| old.get_old_column_value(at).map(cell)),
                cells(&|at| new.get_new_column_value(at).map(cell)),
            ),
            PreUpdateCase::Unknown => (None, None),
        };
        let whole = match case {
            PreUpdateCase::Insert(_) => row.1.is_some(),
            PreUpdateCase::Delete(_) => row.0.is_some(),
            PreUpdateCase::Update { .. } => row.0.is_some() && row.1.is_some(),
            PreUpdateCase::Unknown => false,
        };
        if !whole {
            self.lost = true;
            return;
        }
        let constants = row.0.iter().chain(&row.1).flatten();
        self.bytes += constants.map(|cell| cell.constant.len()).sum::<usize>();
        self.rows += 1;
        images.rows.push(row);
    }
}

/// The table's columns. None if it has none of its own, or some that are computed, which the engine counts in ways of its own.
fn columns(db: &Connection, table: &str) -> rusqlite::Result<Option<Vec<ImageColumn>>> {
    let mut statement = db.prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?1)")?;
    let mut rows = statement.query([table])?;
    let mut columns = Vec::new();
    while let Some(row) = rows.next()? {
        let (name, key, hidden): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if hidden != 0 {
            return Ok(None);
        }
        columns.push(ImageColumn { name, key: key > 0, computed: false, always: false, as_text: false });
    }
    Ok((!columns.is_empty()).then_some(columns))
}

fn cell(value: ValueRef<'_>) -> Cell {
    let hex = |bytes: &[u8]| {
        use std::fmt::Write as _;
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
    };
    match value {
        ValueRef::Null => Cell { shown: None, constant: "NULL".to_owned() },
        ValueRef::Integer(number) => Cell { shown: Some(number.to_string()), constant: number.to_string() },
        ValueRef::Real(number) => {
            let constant = match number {
                f64::INFINITY => "9e999".to_owned(),
                f64::NEG_INFINITY => "-9e999".to_owned(),
                _ => format!("{number:?}"),
            };
            Cell { shown: Some(number.to_string()), constant }
        }
        ValueRef::Text(bytes) => {
            let shown = String::from_utf8_lossy(bytes).into_owned();
            let plain = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
            let constant = plain.map_or_else(
                || format!("CAST(x'{}' AS TEXT)", hex(bytes)),
                |text| format!("'{}'", text.replace('\'', "''")),
            );
            Cell { shown: Some(shown), constant }
        }
        ValueRef::Blob(bytes) => {
            let constant = format!("x'{}'", hex(bytes));
            Cell { shown: Some(constant.clone()), constant }
        }
    }
}
