use artifact::{Digest, RunId, canonical};
use serde::{Deserialize, Serialize};

/// Rows as a target rendered them. The same JSON as the executor's report.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultTable {
    /// Columns in order.
    pub columns: Vec<TableColumn>,
    /// Cells as text; none is NULL.
    pub rows: Vec<Vec<Option<String>>>,
    /// Rows the statement returned, including those cut off.
    pub total_rows: u64,
}

/// One column.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableColumn {
    /// Name as the target gives it.
    pub name: String,
    /// `relation.column` it comes from, where the target says so.
    pub origin: Option<String>,
}

/// A result that no agent may see yet.
///
/// INVARIANT (I5): no Clone, Serialize, Deserialize, Default, Debug or Display. It becomes readable through [`crate::open`]
/// with a verified order, and in no other way.
pub struct Held {
    pub(crate) run: RunId,
    pub(crate) digest: Digest,
    pub(crate) affected: u64,
    pub(crate) table: ResultTable,
}

/// A result that is not of the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored result is not readable")]
pub struct HeldError(());

impl Held {
    /// Holds a result given as canonical JSON. `affected` is the number of rows changed.
    pub fn new(run: RunId, json: &[u8], affected: u64) -> Result<Self, HeldError> {
        let table: ResultTable = serde_json::from_slice(json).map_err(|_| HeldError(()))?;
        let fits = table.rows.iter().all(|row| row.len() == table.columns.len());
        let same = canonical::to_vec(&table).is_ok_and(|bytes| bytes == json);
        if fits && same { Ok(Self { run, digest: Digest::of(json), affected, table }) } else { Err(HeldError(())) }
    }

    /// The run it belongs to.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// SHA-256 of its canonical JSON: what a release statement names.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}
