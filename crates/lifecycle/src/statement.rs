//! The statements that people are asked to sign, with a fresh nonce each.

use approve::Nonce;
use approve::statement::{
    Approval, Batch, CloseTask, ColumnChoice, GrantKey, GrantTarget, OpenTask, Release, ReleaseRule, Resume, RevokeKey,
    RowChoice, SetPolicy, StatementError,
};
use artifact::{Digest, Effect, Kind, ProposalId, RunId, TaskId, Timestamp};

/// What an approval statement is made of.
#[derive(Clone, Copy, Debug)]
pub struct ForApproval<'a> {
    /// Gateway.
    pub gateway: Digest,
    /// Proposal.
    pub proposal: ProposalId,
    /// Revision.
    pub revision: u32,
    /// Digest of the bytes.
    pub artifact: Digest,
    /// Kind.
    pub kind: Kind,
    /// Target's name.
    pub target: &'a str,
    /// Fingerprint of its registration.
    pub target_fingerprint: Digest,
    /// Who it runs as.
    pub run_as: &'a str,
    /// The effect shown; the number of rows in it becomes the ceiling.
    pub effect: &'a Effect,
    /// Task.
    pub task: TaskId,
    /// Digest of the policy.
    pub policy: Digest,
    /// Different people who must sign.
    pub quorum: u32,
    /// Who may not.
    pub not_by: &'a [String],
    /// End.
    pub not_after: Timestamp,
}

/// Of a claim that not enough people signed yet: statement, who may not sign, how many are needed, and its end.
pub fn partly(claim: &str) -> Option<(artifact::claim::Signed, Approval)> {
    let claim: artifact::claim::Signed = serde_json::from_str(claim).ok()?;
    let approval = Approval::parse(&claim.statement).ok()?;
    Some((claim, approval))
}

/// The text that names several approvals of one task by the digests of their statements.
pub fn batch(statements: &[&str]) -> Result<String, String> {
    let approvals: Result<Vec<Approval>, _> = statements.iter().map(|text| Approval::parse(text)).collect();
    let approvals = approvals.map_err(|error| error.to_string())?;
    let first = approvals.first().ok_or("there is nothing to sign")?;
    if approvals.iter().any(|a| a.task != first.task || a.target_name != first.target_name || a.quorum > 1) {
        return Err(
            "only approvals of one task at one target, which one person may give, are signed together".to_owned()
        );
    }
    let item = |(text, a): (&&str, &Approval)| (a.proposal, a.revision, Digest::of(text.as_bytes()));
    let items = statements.iter().zip(&approvals).map(item).collect();
    text(Batch { gateway: first.gateway, task: first.task, target_name: first.target_name.clone(), items }.to_text())
}

/// The approval statement's text.
pub fn approval(a: &ForApproval<'_>) -> String {
    let statement = Approval {
        gateway: a.gateway,
        proposal: a.proposal,
        revision: a.revision,
        artifact: a.artifact,
        kind: a.kind,
        target_name: a.target.to_owned(),
        target_fingerprint: a.target_fingerprint,
        run_as: a.run_as.to_owned(),
        effect: a.effect.digest(),
        // The number shown is the number enforced. What was not counted may change nothing.
        ceiling_rows: if a.effect.is_read_only() { 0 } else { a.effect.rows.map_or(0, |r| r.count) },
        release: ReleaseRule::Hold,
        task: a.task,
        policy: a.policy,
        quorum: a.quorum,
        not_by: a.not_by.to_vec(),
        nonce: Nonce::random(),
        not_after: a.not_after,
    };
    statement.to_text().unwrap_or_default()
}

/// What a release statement is made of.
#[derive(Clone, Copy, Debug)]
pub struct ForRelease<'a> {
    /// Gateway.
    pub gateway: Digest,
    /// Proposal.
    pub proposal: ProposalId,
    /// Revision.
    pub revision: u32,
    /// Run.
    pub run: RunId,
    /// Digest of the held result.
    pub result: Digest,
    /// Names of the result's columns.
    pub columns: &'a [String],
    /// Rows in the result.
    pub row_count: usize,
    /// `none`, `all` or `some`.
    pub rows: &'a str,
    /// For `some`.
    pub row_indexes: &'a [u32],
    /// Columns as they are.
    pub show: &'a [u32],
    /// Columns as tokens.
    pub mask: &'a [u32],
    /// Values vouched for.
    pub vouched: &'a [String],
    /// Task.
    pub task: TaskId,
    /// End.
    pub not_after: Timestamp,
}

/// The release statement's text.
pub fn release(r: &ForRelease<'_>) -> Result<String, String> {
    let mut columns = Vec::new();
    for (index, name) in (0_u32..).zip(r.columns) {
        let (show, mask) = (r.show.contains(&index), r.mask.contains(&index));
        if show && mask {
            return Err(format!("Column {index} is both shown and masked. Choose one."));
        }
        if show || mask {
            let name: String = artifact::visible(name).replace(['\n', '\t'], " ").trim().chars().take(200).collect();
            columns.push(ColumnChoice {
                index,
                mask,
                name: if name.is_empty() { "(no name)".to_owned() } else { name },
            });
        }
    }
    let highest = r.show.iter().chain(r.mask).max();
    if highest.is_some_and(|i| *i as usize >= r.columns.len())
        || r.row_indexes.iter().any(|i| *i as usize >= r.row_count)
    {
        return Err("The result has no such row or column.".to_owned());
    }
    let rows = match r.rows {
        "none" => RowChoice::None,
        "all" => RowChoice::All,
        "some" => {
            let mut rows = r.row_indexes.to_vec();
            rows.sort_unstable();
            rows.dedup();
            RowChoice::Some(rows)
        }
        _ => return Err("rows is `none`, `all` or `some`.".to_owned()),
    };
    let columns = if rows == RowChoice::None { Vec::new() } else { columns };
    let statement = Release {
        gateway: r.gateway,
        proposal: r.proposal,
        revision: r.revision,
        run: r.run,
        result: r.result,
        rows,
        columns,
        vouched: r.vouched.to_vec(),
        task: r.task,
        nonce: Nonce::random(),
        not_after: r.not_after,
    };
    text(statement.to_text())
}

fn text(result: Result<String, StatementError>) -> Result<String, String> {
    result.map_err(|error| format!("That cannot be put into a statement: {error}."))
}

/// Lets a key sign.
pub fn key(gateway: Digest, person: &str, key: &str, roles: &[String], not_after: Timestamp) -> Result<String, String> {
    let order = ["admin", "reviewer", "auditor"];
    if let Some(unknown) = roles.iter().find(|r| !order.contains(&r.as_str())) {
        return Err(format!("`{}` is no role. Roles are admin, reviewer, auditor.", artifact::visible(unknown)));
    }
    let roles: Vec<&str> = order.into_iter().filter(|name| roles.iter().any(|r| r == name)).collect();
    let grant = GrantKey {
        gateway,
        person: person.to_owned(),
        key: key.to_owned(),
        roles: roles.join(","),
        nonce: Nonce::random(),
        not_after,
    };
    text(grant.to_text())
}

/// Ends a key.
pub fn revoke_key(gateway: Digest, fingerprint: Digest, not_after: Timestamp) -> String {
    RevokeKey { gateway, fingerprint, nonce: Nonce::random(), not_after }.to_text().unwrap_or_default()
}

/// Registers a target.
pub fn target(gateway: Digest, name: &str, registration: Digest, not_after: Timestamp) -> Result<String, String> {
    text(GrantTarget { gateway, name: name.to_owned(), registration, nonce: Nonce::random(), not_after }.to_text())
}

/// What a task statement is made of.
#[derive(Clone, Copy, Debug)]
pub struct ForTask<'a> {
    /// Gateway.
    pub gateway: Digest,
    /// Task.
    pub task: TaskId,
    /// The person's words, one line.
    pub title: &'a str,
    /// Agent's name.
    pub agent: &'a str,
    /// Target's name.
    pub target: &'a str,
    /// Fingerprint of its registration.
    pub target_fingerprint: Digest,
    /// Its type, if it has one.
    pub task_type: Option<&'a str>,
    /// Scope lines.
    pub may: &'a [String],
    /// Lines of what may never be done.
    pub never: &'a [String],
    /// Functions.
    pub functions: &'a [String],
    /// Most rows of one run.
    pub rows_per_run: u64,
    /// Most rows in all.
    pub rows_total: u64,
    /// Reads inside the scope run without a signature.
    pub auto_reads: bool,
    /// End.
    pub not_after: Timestamp,
}

/// The task statement's text.
pub fn task(t: &ForTask<'_>) -> Result<String, String> {
    let allowances = |lines: &[String]| {
        let read = |line: &String| line.parse().map_err(|error| format!("`{}` is {error}.", artifact::visible(line)));
        lines.iter().map(read).collect::<Result<Vec<_>, String>>()
    };
    let statement = OpenTask {
        gateway: t.gateway,
        task: t.task,
        title: t.title.to_owned(),
        agent: t.agent.to_owned(),
        target_name: t.target.to_owned(),
        target_fingerprint: t.target_fingerprint,
        task_type: t.task_type.map(str::to_owned),
        may: allowances(t.may)?,
        never: allowances(t.never)?,
        functions: t.functions.iter().map(|f| f.to_lowercase()).collect(),
        rows_per_run: t.rows_per_run,
        rows_total: t.rows_total,
        auto_reads: t.auto_reads,
        nonce: Nonce::random(),
        not_after: t.not_after,
    };
    text(statement.to_text())
}

/// Ends a task.
pub fn close_task(gateway: Digest, task: TaskId, not_after: Timestamp) -> String {
    CloseTask { gateway, task, nonce: Nonce::random(), not_after }.to_text().unwrap_or_default()
}

/// Puts a policy in force.
pub fn policy(gateway: Digest, name: &str, policy: Digest, not_after: Timestamp) -> Result<String, String> {
    text(SetPolicy { gateway, name: name.to_owned(), policy, nonce: Nonce::random(), not_after }.to_text())
}

/// Resumes what was stopped.
pub fn resume(gateway: Digest, scope: &str, not_after: Timestamp) -> Result<String, String> {
    text(Resume { gateway, scope: scope.to_owned(), nonce: Nonce::random(), not_after }.to_text())
}

/// The values that a signed release vouches for; none if the claim is not one. The guard verified the signature before it logged it.
pub fn vouched(claim: &str) -> Vec<String> {
    let claim: Option<artifact::claim::Signed> = serde_json::from_str(claim).ok();
    claim.and_then(|claim| Release::parse(&claim.statement).ok()).map(|release| release.vouched).unwrap_or_default()
}
