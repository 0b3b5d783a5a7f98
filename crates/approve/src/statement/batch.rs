use super::{Lines, Parsed, StatementError, named_digest, one_line, revision};
use artifact::{Digest, ProposalId, TaskId};

/// Fewest and most approvals of a batch.
const ITEMS: std::ops::RangeInclusive<usize> = 2..=20;

/// Several approvals signed at once: of one task, at one target, each named by the digest of its own statement. It gives no
/// power by itself: each of them is one, with its own nonce and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Fingerprint of the guard's root.
    pub gateway: Digest,
    /// Task.
    pub task: TaskId,
    /// Target's name.
    pub target_name: String,
    /// Proposal, revision, digest of its approval statement.
    pub items: Vec<(ProposalId, u32, Digest)>,
}

impl Batch {
    /// First line.
    pub const FORM: &'static str = "wetink/batch/v1";

    /// The exact text.
    pub fn to_text(&self) -> Result<String, StatementError> {
        if !ITEMS.contains(&self.items.len()) {
            return Err(StatementError("a batch has 2 to 20 approvals"));
        }
        let target = one_line(&self.target_name)?;
        let mut out = format!("{}\ngateway: {}\ntask: {}\ntarget: {target}\n", Self::FORM, self.gateway, self.task);
        for (proposal, revision, digest) in &self.items {
            out += &format!("approve: {proposal} r{revision} {digest}\n");
        }
        Ok(out)
    }

    fn read(text: &str) -> Parsed<Self> {
        let mut lines = Lines::open(text, Self::FORM)?;
        let (gateway, task) = (lines.read("gateway")?, lines.read("task")?);
        let target_name = lines.field("target")?.to_owned();
        let mut items = Vec::new();
        while let Some(item) = lines.maybe("approve")? {
            let (about, digest) = named_digest("approve", item)?;
            let (proposal, number) = revision("approve", &about)?;
            items.push((proposal, number, digest));
        }
        lines.end()?;
        Ok(Self { gateway, task, target_name, items })
    }
}
strict_parse!(Batch);
