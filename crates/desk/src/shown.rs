//! Proposals as people see them, from the view.

use artifact::money::Payment;
use artifact::{ProposalId, RunId, Timestamp, digest_words};
use doors::people::{PersonError, QueueRow, ReviewView, Sibling};
use lifecycle::log::{Entry, EventKind};
use lifecycle::{State, TaskScope, statement};
use store::ProposalRow;
use wire::socket::Registry;

use crate::convert::{finding_views, origin_view, risk, status};
use crate::people::{not_found, person_error};
use crate::state::{Desk, DeskError};

/// How long several people have to sign one statement, in seconds.
const TOGETHER_S: u64 = 23 * 3600;

impl Desk {
    pub(crate) fn queue_row(row: &ProposalRow, registry: &Registry) -> QueueRow {
        let target = registry.targets.iter().find(|t| t.registration.name == row.target);
        QueueRow {
            id: row.id,
            revision: row.revision,
            status: status(row.state),
            risk: risk(&row.risk),
            headline: row.shown.headline.clone(),
            target: row.target.clone(),
            environment: target.map(|t| t.registration.environment.clone()).unwrap_or_default(),
            task: row.task,
            in_scope: row.shown.in_scope,
            agent: row.agent.clone(),
            person: row.person.clone(),
            created_at: row.created_at,
            expires_at: row.expires_at,
        }
    }

    /// How much of each relation its agent would have been given with `rows` more. A row given twice counts twice.
    pub(crate) async fn seen_with(&self, row: &ProposalRow, rows: u64) -> Result<Vec<String>, DeskError> {
        let (agent, target) = (row.agent.clone(), row.target.clone());
        let given = self.view(move |store| store.given(&agent, &target)).await?;
        let line = |(relation, size): (&String, &u64)| {
            let sum = given.get(relation).copied().unwrap_or(0) + rows;
            let share = (sum.saturating_mul(100) / (*size).max(1)).min(100);
            format!(
                "With every row of this, {} has been given up to {share} % of {relation} ({sum} of about {size} rows).",
                row.agent
            )
        };
        Ok(row.shown.sizes.iter().filter(|_| rows > 0).map(line).collect())
    }

    pub(crate) async fn row(&self, id: ProposalId, revision: Option<u32>) -> Result<ProposalRow, PersonError> {
        self.view(move |store| store.proposal(id, revision)).await?.ok_or_else(not_found)
    }

    pub(crate) async fn row_of_run(&self, run: RunId) -> Result<ProposalRow, PersonError> {
        let row = self.view(move |store| store.by_run(run)).await?;
        row.ok_or_else(|| person_error("not_found", "There is no such run."))
    }

    pub(crate) async fn review(&self, row: ProposalRow) -> Result<ReviewView, PersonError> {
        let registry = self.registry().await?;
        let target = registry.targets.iter().find(|t| t.registration.name == row.target);
        let target = target.ok_or_else(|| person_error("not_found", "Its target is not registered any more."))?;
        let task =
            registry.tasks.iter().filter_map(|t| TaskScope::read(&t.statement, &t.person)).find(|t| t.task == row.task);
        let by_target = target.registration.approvals;
        let pays = row.effect.request.as_ref().is_some_and(|request| request.payment.is_some());
        let name = row.target.clone();
        let paid = if pays { self.view(move |store| store.paid_from(&name)).await? } else { Vec::new() };
        let known = |payment: &Payment| paid.iter().any(|(_, account)| *account == payment.account_key());
        let people = by_target.quorum.max(target.registration.payments.quorum(&row.effect, known));
        let quorum = row.shown.quorum.max(people);
        let not_by = if row.shown.apart || by_target.not_requester { vec![row.person.clone()] } else { Vec::new() };
        let now = Timestamp::now();
        // What others signed already is what further people sign, as long as it holds.
        let begun = row.claim.as_deref().and_then(statement::partly).filter(|(_, approval)| {
            approval.not_after > now
                && approval.policy == registry.policy
                && approval.target_fingerprint == target.fingerprint
        });
        let signed_by = match &begun {
            Some(_) => row.signed_by.iter().flat_map(|names| names.split(", ")).map(str::to_owned).collect(),
            None => Vec::new(),
        };
        let statement = (row.state == State::Pending && row.decision == "ask").then(|| {
            if let Some((claim, _)) = &begun {
                return claim.statement.clone();
            }
            // Where several people sign, the last of them must still find it in force.
            let time = if quorum > 1 { TOGETHER_S } else { self.inner.config.statement_s };
            statement::approval(&statement::ForApproval {
                gateway: self.inner.gateway,
                proposal: row.id,
                revision: row.revision,
                artifact: row.digest,
                kind: row.kind,
                target: &row.target,
                target_fingerprint: target.fingerprint,
                run_as: &target.registration.run_as,
                effect: &row.effect,
                task: row.task,
                policy: registry.policy,
                quorum,
                not_by: &not_by,
                not_after: now.plus_seconds(time).min(row.expires_at),
            })
        });
        let id = row.id;
        let history = self.view(move |store| store.history(id)).await?;
        let undo_rows = history.iter().rev().find_map(|e| kept_rows(&e.body)).filter(|_| row.run.is_some());
        let history = history.iter().filter_map(|e| history_line(&e.body)).collect();
        let sibling = self.sibling(&row).await?;
        Ok(ReviewView {
            sibling,
            artifact: row.artifact.clone(),
            digest: row.digest,
            words: digest_words(&row.digest),
            kind: row.kind.to_string(),
            effect: row.effect.clone(),
            sentence: row.shown.sentence.clone(),
            understood: row.shown.understood,
            findings: finding_views(&row.shown.findings),
            origins: row.shown.origins.iter().map(origin_view).collect(),
            registration: target.registration.clone(),
            undo: row.shown.undo.clone(),
            task_title: task.as_ref().map(|t| t.title.clone()).unwrap_or_default(),
            task_scope: task.map(|t| t.may.iter().map(ToString::to_string).collect()).unwrap_or_default(),
            reasons: row.reasons.clone(),
            purpose: row.purpose.clone(),
            statement,
            quorum,
            signed_by,
            not_by,
            arm: row.shown.arm.clone(),
            history,
            run: row.run,
            undo_rows,
            reason: row.reason.clone(),
            released: row.released.clone(),
            row: Self::queue_row(&row, &registry),
        })
    }

    /// What the last signed statement of the same pattern had otherwise.
    async fn sibling(&self, row: &ProposalRow) -> Result<Option<Sibling>, DeskError> {
        let (target, id) = (row.target.clone(), row.id);
        let pattern = lifecycle::pattern(row.kind, &row.artifact);
        let found = self.view(move |store| store.sibling(&target, pattern, id)).await?;
        Ok(found.filter(|found| found.created_at <= row.created_at).map(|found| {
            let mut differs = lifecycle::differences(row.kind, &found.artifact, &row.artifact);
            differs.truncate(50);
            let mut changed = artifact::drift(&found.effect.shapes, &row.effect.shapes);
            changed.truncate(50);
            Sibling { proposal: found.id, at: found.created_at, affected: found.affected, differs, changed }
        }))
    }
}

/// Rows that can be put back, as the entry that settled the run says.
fn kept_rows(body: &str) -> Option<u64> {
    let entry = Entry::parse(body.as_bytes()).ok().filter(|entry| entry.event == EventKind::Settled)?;
    entry.facts.get("undo")?.parse().ok()
}

/// One line of a proposal's history, from its log entry.
fn history_line(body: &str) -> Option<(Timestamp, String)> {
    let entry = Entry::parse(body.as_bytes()).ok()?;
    let fact = |name: &str| entry.facts.get(name).map(String::as_str).unwrap_or_default();
    let who = &entry.actor.name;
    let line = match entry.event {
        EventKind::Proposed => format!("{who} handed in r{} ({})", entry.revision.unwrap_or(1), fact("decision")),
        EventKind::Denied => format!("policy denied r{} of {who}", entry.revision.unwrap_or(1)),
        EventKind::Opened => format!("{who} opened it"),
        EventKind::Approved => {
            let people = entry.on_behalf_of.as_deref().unwrap_or_default();
            format!("{people} signed; {} of {} needed", fact("have"), fact("need"))
        }
        EventKind::ChangesRequested => format!("{who} asked for changes"),
        EventKind::Rejected => format!("{who} said no"),
        EventKind::Withdrawn => format!("{who} took it back"),
        EventKind::Expired => fact("cause").to_owned(),
        EventKind::Superseded => "a newer revision took its place".to_owned(),
        EventKind::Started => match entry.on_behalf_of.as_deref() {
            Some(signer) => format!("signed by {signer}; the guard started it"),
            None => "the guard started it".to_owned(),
        },
        EventKind::Committing => "the target was told to commit".to_owned(),
        EventKind::Settled => match fact("outcome") {
            "ran" => format!(
                "ran: {} rows changed, {} returned, {} ms",
                fact("affected"),
                fact("returned"),
                fact("elapsed_ms")
            ),
            outcome => format!("ended: {outcome} {}", fact("cause")).trim_end().to_owned(),
        },
        EventKind::Viewed => format!("{} looked at the held result", entry.on_behalf_of.as_deref().unwrap_or(who)),
        EventKind::Released => format!("released to the agent: {} rows, {} columns", fact("rows"), fact("columns")),
        EventKind::Collected => format!("{who} read what was released"),
        _ => return None,
    };
    Some((entry.at, line))
}
