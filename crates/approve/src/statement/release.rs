//! The statement that releases a part of one held result.

use artifact::{Digest, ProposalId, RunId, TaskId, Timestamp};

use super::{Lines, Parsed, StatementError, number, one_line, revision};
use crate::Nonce;

/// Most values vouched for by one release.
const VOUCHED_MAX: usize = 20;
/// Longest of them, in characters.
const VOUCHED_CHARS_MAX: usize = 200;

/// Releases a part of one held result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Fingerprint of the guard's root.
    pub gateway: Digest,
    /// Proposal.
    pub proposal: ProposalId,
    /// Its revision.
    pub revision: u32,
    /// Run.
    pub run: RunId,
    /// Digest of the held result's canonical JSON.
    pub result: Digest,
    /// Which rows.
    pub rows: RowChoice,
    /// Columns by index, strictly rising.
    pub columns: Vec<ColumnChoice>,
    /// Values of the result that the person says are right to act on in this task.
    pub vouched: Vec<String>,
    /// Task.
    pub task: TaskId,
    /// One-time value.
    pub nonce: Nonce,
    /// Last instant it may be used.
    pub not_after: Timestamp,
}

/// Which rows are released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChoice {
    /// Only counts.
    None,
    /// Every row.
    All,
    /// Rows by index from 0, strictly rising.
    Some(Vec<u32>),
}

/// One released column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChoice {
    /// Index from 0.
    pub index: u32,
    /// True: stable tokens instead of values.
    pub mask: bool,
    /// Its name, as the person saw it (hidden characters escaped).
    pub name: String,
}

impl Release {
    /// First line.
    pub const FORM: &'static str = "wetink/release/v1";

    /// The exact text.
    pub fn to_text(&self) -> Result<String, StatementError> {
        let rows = match &self.rows {
            RowChoice::None => "none".to_owned(),
            RowChoice::All => "all".to_owned(),
            RowChoice::Some(rows) if rows.is_empty() || rows.windows(2).any(|w| w[0] >= w[1]) => {
                return Err(StatementError("rows"));
            }
            RowChoice::Some(rows) => rows.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        };
        if self.columns.windows(2).any(|w| w[0].index >= w[1].index)
            || (self.rows == RowChoice::None && !self.columns.is_empty())
        {
            return Err(StatementError("columns"));
        }
        let mut out = format!(
            "{}\ngateway: {}\nproposal: {} r{}\nrun: {}\nresult: {}\nrows: {}\n",
            Self::FORM,
            self.gateway,
            self.proposal,
            self.revision,
            self.run,
            self.result,
            one_line(&rows)?
        );
        for column in &self.columns {
            let how = if column.mask { "mask" } else { "show" };
            out += &format!("column: {} {how} {}\n", column.index, one_line(&column.name)?);
        }
        if self.vouched.len() > VOUCHED_MAX {
            return Err(StatementError("at most 20 values are vouched for at once"));
        }
        for value in &self.vouched {
            if value.chars().count() > VOUCHED_CHARS_MAX {
                return Err(StatementError("a value that is vouched for has at most 200 characters"));
            }
            out += &format!("vouch: {}\n", one_line(value)?);
        }
        out += &format!("task: {}\nnonce: {}\nnot-after: {}\n", self.task, self.nonce, self.not_after);
        Ok(out)
    }

    fn read(text: &str) -> Parsed<Self> {
        let mut lines = Lines::open(text, Self::FORM)?;
        let gateway = lines.read("gateway")?;
        let (proposal, revision) = revision("proposal", lines.field("proposal")?)?;
        let (run, result) = (lines.read("run")?, lines.read("result")?);
        let rows = match lines.field("rows")? {
            "none" => RowChoice::None,
            "all" => RowChoice::All,
            list => {
                let index = |text: &str| {
                    number("rows", text).and_then(|n| u32::try_from(n).map_err(|_| StatementError("rows")))
                };
                RowChoice::Some(list.split(',').map(index).collect::<Parsed<_>>()?)
            }
        };
        let mut columns = Vec::new();
        while let Some(column) = lines.maybe("column")? {
            let mut words = column.splitn(3, ' ');
            let (Some(index), Some(how), Some(name)) = (words.next(), words.next(), words.next()) else {
                return Err(StatementError("column"));
            };
            let index = u32::try_from(number("column", index)?).map_err(|_| StatementError("column"))?;
            let mask = match how {
                "mask" => true,
                "show" => false,
                _ => return Err(StatementError("column")),
            };
            columns.push(ColumnChoice { index, mask, name: name.to_owned() });
        }
        let mut vouched = Vec::new();
        while let Some(value) = lines.maybe("vouch")? {
            vouched.push(value.to_owned());
        }
        let (task, nonce, not_after) = (lines.read("task")?, lines.read("nonce")?, lines.read("not-after")?);
        lines.end()?;
        Ok(Self { gateway, proposal, revision, run, result, rows, columns, vouched, task, nonce, not_after })
    }
}
strict_parse!(Release);
