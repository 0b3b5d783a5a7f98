use approve::statement::{ColumnChoice, RowChoice, Statement};
use approve::{Refused, Role, Trust, VALIDITY_MAX_S, VerifiedTask};
use artifact::claim::Signed;
use artifact::{Digest, RunId, Timestamp};

use crate::Held;

/// A person's choice of what the agent may have, verified.
///
/// INVARIANT (I6): made only by [`verify`](Self::verify) of a signed release statement about exactly this result, or by
/// [`under_task`](Self::under_task) of a signed task that lets plain columns of its reads out.
#[derive(Debug)]
pub struct ReleaseOrder {
    /// The one result it is about.
    about: (RunId, Digest),
    pub(crate) rows: RowChoice,
    /// Column index, and whether it is masked.
    pub(crate) columns: Vec<(usize, bool)>,
    people: Vec<String>,
    statement: Option<Digest>,
}

impl ReleaseOrder {
    /// Verifies a signed release statement against the held result.
    pub fn verify(claim: &Signed, trust: &Trust, held: &Held, now: Timestamp) -> Result<Self, Refused> {
        let Statement::Release(statement) = trust.read(claim, now)? else { return Err(Refused::WrongForm) };
        if statement.not_after > now.plus_seconds(VALIDITY_MAX_S) {
            return Err(Refused::TooLong);
        }
        if statement.run != held.run() {
            return Err(Refused::Differs("the run"));
        }
        if statement.result != held.digest() {
            return Err(Refused::Differs("the result"));
        }
        let width = held.table.columns.len();
        let columns: Vec<(usize, bool)> = statement.columns.iter().map(|c| (c.index as usize, c.mask)).collect();
        let rows_fit = match &statement.rows {
            RowChoice::Some(rows) => rows.iter().all(|r| (*r as usize) < held.table.rows.len()),
            RowChoice::None | RowChoice::All => true,
        };
        if columns.iter().any(|(index, _)| *index >= width) || !rows_fit {
            return Err(Refused::Differs("the rows or columns of the result"));
        }
        // The person chose by name. A page that shows `status` over the numbers of a card must find no gateway that agrees.
        let named = |c: &ColumnChoice| held.table.columns.get(c.index as usize).map(|h| shown_name(&h.name));
        if statement.columns.iter().any(|c| named(c).as_ref() != Some(&c.name)) {
            return Err(Refused::Differs("the name of a column"));
        }
        let signers = trust.signers(claim, Role::Reviewer)?;
        let people = signers.into_iter().map(|s| s.person).collect();
        Ok(Self {
            about: (held.run(), held.digest()),
            rows: statement.rows,
            columns,
            people,
            statement: Some(Digest::of(claim.statement.as_bytes())),
        })
    }

    /// Releases the columns that `is_plain` says carry no label, up to `rows_max` rows, under a task that a person signed so.
    pub fn under_task(
        task: &VerifiedTask,
        held: &Held,
        is_plain: impl Fn(Option<&str>) -> bool,
        rows_max: u64,
    ) -> Result<Self, Refused> {
        if !task.statement().auto_reads {
            return Err(Refused::OutOfScope);
        }
        let columns: Vec<(usize, bool)> = held
            .table
            .columns
            .iter()
            .enumerate()
            .filter(|(_, column)| is_plain(column.origin.as_deref()))
            .map(|(index, _)| (index, false))
            .collect();
        let rows = u32::try_from(held.table.rows.len() as u64)
            .unwrap_or(u32::MAX)
            .min(u32::try_from(rows_max).unwrap_or(u32::MAX));
        let rows = if columns.is_empty() || rows == 0 { RowChoice::None } else { RowChoice::Some((0..rows).collect()) };
        let columns = if rows == RowChoice::None { Vec::new() } else { columns };
        let about = (held.run(), held.digest());
        Ok(Self { about, rows, columns, people: vec![task.person().to_owned()], statement: None })
    }

    /// Whether the order was verified against this very result.
    pub(crate) fn is_about(&self, held: &Held) -> bool {
        self.about == (held.run(), held.digest())
    }

    /// Whose decision it is.
    pub fn people(&self) -> &[String] {
        &self.people
    }

    /// Digest of the signed statement; none under a task.
    pub fn statement(&self) -> Option<Digest> {
        self.statement
    }
}

/// A column's name as release statements and pages write it: one line, hidden characters escaped, at most 200 characters.
pub fn shown_name(name: &str) -> String {
    let shown: String = artifact::visible(name).replace(['\n', '\t'], " ").trim().chars().take(200).collect();
    // Cutting may leave a space at the end, which no line of a statement has.
    let shown = shown.trim_end();
    if shown.is_empty() { "(no name)".to_owned() } else { shown.to_owned() }
}
