//! What a person may look at before and after a run: the schema, a trial that is rolled back, a held result, the way back.
//! Each but the schema is logged before it is shown.

use std::time::Duration;

use artifact::{Digest, Effect, Kind, RunId, TaskId, Timestamp};
use audit::entry::{Entry, EventKind};
use ledger::{Job, LedgerError};
use wire::order::{Change, FailCode, Job as OrderJob, Order, Report, ResultSet, Sample};
use wire::socket::{Answer, Proposed, Refused};
use wire::target::Registration;

use crate::entries::{entry, plain};
use crate::guard::Guard;
use crate::run::{Refusal, refused};

/// Time limit of catalog and preview orders.
const LOOK_LIMIT: Duration = Duration::from_mins(1);
/// What stands in place of a labelled value.
const MASK: &str = "\u{2022}\u{2022}\u{2022}";

/// A held result as the ledger has it.
pub(crate) struct HeldResult {
    /// Every entry about the run.
    pub(crate) history: Vec<(u64, Entry)>,
    /// The one that settled it.
    pub(crate) settled: Entry,
    /// Canonical JSON of the rows.
    pub(crate) json: Vec<u8>,
}

/// Only columns that the effect names, and a mask for the values of labelled ones.
fn masked(sample: Sample, effect: &Effect, target: &Registration) -> Option<Sample> {
    let used = effect.relation(&sample.relation)?;
    let named = |column: &str| used.reads.iter().chain(&used.writes).any(|name| name == column || name == "*");
    let shown: Vec<usize> = (0..sample.columns.len()).filter(|at| named(&sample.columns[*at])).collect();
    let labelled = |at: usize| {
        let name = format!("{}.{}", sample.relation, sample.columns[at]);
        target.labels.get(&name).is_some_and(|label| label != "plain")
    };
    let cell = |row: &[Option<String>], at: usize| {
        let cell = row.get(at).cloned().flatten();
        if labelled(at) { cell.map(|_| MASK.to_owned()) } else { cell }
    };
    let cells = |row: &Vec<Option<String>>| shown.iter().map(|at| cell(row, *at)).collect();
    let change =
        |change: &Change| Change { before: change.before.as_ref().map(cells), after: change.after.as_ref().map(cells) };
    Some(Sample {
        columns: shown.iter().map(|at| sample.columns[*at].clone()).collect(),
        rows: sample.rows.iter().map(change).collect(),
        relation: sample.relation,
    })
}

impl Guard {
    pub(crate) fn target(&self, name: &str) -> Result<Registration, Refusal> {
        let grants = self.read_grants();
        let target = grants
            .targets
            .get(name)
            .cloned()
            .ok_or_else(|| refused(Refused::Unknown, "there is no target of that name"))?;
        if grants.is_stopped(&[], None, name, None) {
            Err(refused(Refused::Stopped, "it is stopped"))
        } else {
            Ok(target)
        }
    }

    /// The target as the person of an open task there meets it. They signed that an agent may work there for them.
    fn target_of(&self, name: &str, task: TaskId) -> Result<Registration, Refusal> {
        let target = self.target(name)?;
        if target.credential_of.is_none() {
            return Ok(target);
        }
        let grants = self.read_grants();
        let open = grants.tasks.get(&task).filter(|task| task.closed_at.is_none());
        let open = open.filter(|task| task.verified.statement().target_name == name);
        let open = open.ok_or_else(|| refused(Refused::OutOfScope, "there is no open task of that id"))?;
        Ok(target.for_person(open.verified.person()))
    }

    pub(crate) fn look(&self, target: &Registration, order: &Order) -> Result<Report, Refusal> {
        // A service with people's own credentials is known by its description, which lies here.
        let own = target.credential_of.is_some() && target.kind() == Kind::Http;
        let credential = if own { Ok(None) } else { self.credential(target, "look") };
        let credential = credential.map_err(|detail| refused(Refused::TargetFailed, detail))?;
        let report = self.executors.run(
            order,
            (credential.as_ref().map(|lent| &lent.credential), false),
            LOOK_LIMIT,
            &mut |_, _| false,
        );
        match report {
            Ok(Report::Failed { code: FailCode::Drifted, detail }) => Err(refused(Refused::Drifted, detail)),
            Ok(Report::Failed { code, detail }) => Err(refused(Refused::TargetFailed, format!("{code:?}: {detail}"))),
            Ok(report) => Ok(report),
            Err(crate::executors::ExecutorError::Busy) => Err(refused(Refused::Busy, "too many runs at once")),
            Err(error) => Err(refused(Refused::TargetFailed, error.to_string())),
        }
    }

    pub(crate) fn catalog(&self, name: &str) -> Result<Answer, Refusal> {
        let target = self.target(name)?;
        match self.look(&target, &Order::Catalog { target: target.clone() })? {
            Report::Catalog { catalog } => Ok(Answer::Catalog { catalog }),
            _ => Err(refused(Refused::TargetFailed, "the executor broke the protocol")),
        }
    }

    /// A trial that is rolled back. Only for what changes rows; logged, since it does touch the target.
    pub(crate) fn preview(&self, proposed: Proposed, sample: bool, task: TaskId) -> Result<Answer, Refusal> {
        use artifact::effect::Verb;
        let target = self.target_of(&proposed.target, task)?;
        let effect = &proposed.effect;
        let rows_only = matches!(effect.verb, Verb::Insert | Verb::Update | Verb::Delete)
            && !effect.commits_itself
            && effect.is_normal();
        if !rows_only || proposed.kind != target.kind() {
            return Err(refused(Refused::BelowFloor, "a trial is for statements that change rows and nothing else"));
        }
        let mut note = entry(EventKind::Note);
        note.proposal = Some(proposed.proposal.to_string());
        note.revision = Some(proposed.revision);
        note.target = Some(target.name.clone());
        let what = if sample { "trial with rows, rolled back" } else { "trial, rolled back" };
        note.facts.insert("what".into(), what.into());
        note.digests.insert("artifact".into(), Digest::of(proposed.artifact.as_bytes()));
        note.digests.insert("effect".into(), effect.digest());
        let logged = self.ledger.append(Job { drafts: vec![plain(note)], ..Job::default() });
        logged.map_err(|error| refused(Refused::LedgerFailed, error.to_string()))?;
        // The desk may not look at rows that no person opened a task for.
        let sample = sample && self.read_grants().within_open_task(&target.name, effect, Timestamp::now());
        let job = OrderJob {
            target: target.settled(effect),
            kind: proposed.kind,
            artifact: proposed.artifact,
            effect: proposed.effect,
            signer: "trial".into(),
            additions: Vec::new(),
        };
        let effect = job.effect.clone();
        match self.look(&target, &Order::Preview { job, sample })? {
            Report::Preview { rows, of, sample } => {
                Ok(Answer::Preview { rows, of, sample: sample.and_then(|sample| masked(sample, &effect, &target)) })
            }
            _ => Err(refused(Refused::TargetFailed, "the executor broke the protocol")),
        }
    }

    /// The settled entry of a run that has a result, and the result's bytes.
    pub(crate) fn result_of(&self, run: RunId) -> Result<HeldResult, Refusal> {
        let failed = |error: LedgerError| refused(Refused::LedgerFailed, error.to_string());
        let history = self.ledger.of_run(&run.to_string()).map_err(failed)?;
        let settled = history.iter().rev().find(|(_, e)| e.event == EventKind::Settled).map(|(_, e)| e.clone());
        let settled = settled.filter(|e| e.facts.get("outcome").is_some_and(|o| o == "ran"));
        let settled = settled.ok_or_else(|| refused(Refused::Unknown, "there is no held result of that run"))?;
        let json = self.ledger.content_of(&settled, "result").map_err(failed)?;
        let json = json.ok_or_else(|| refused(Refused::Unknown, "the result is erased"))?;
        Ok(HeldResult { history, settled, json })
    }

    pub(crate) fn peek(&self, run: RunId, person: &str) -> Result<Answer, Refusal> {
        let HeldResult { settled, json, .. } = self.result_of(run)?;
        let result: ResultSet = serde_json::from_slice(&json)
            .map_err(|_| refused(Refused::LedgerFailed, "the stored result is not readable"))?;
        // Logged before it is shown. The person is the desk's word, so the desk stands in the entry beside it.
        let mut viewed = settled;
        viewed.event = EventKind::Viewed;
        viewed.at = Timestamp::now();
        viewed.on_behalf_of = Some(person.chars().take(200).collect());
        viewed.facts.clear();
        viewed.contents.clear();
        let logged = self.ledger.append(Job { drafts: vec![plain(viewed)], ..Job::default() });
        logged.map_err(|error| refused(Refused::LedgerFailed, error.to_string()))?;
        Ok(Answer::Held { result, digest: Digest::of(&json) })
    }

    /// The statement that puts back what a run changed. The artifact of a proposal once a person hands it in.
    pub(crate) fn undo(&self, run: RunId, person: &str) -> Result<Answer, Refusal> {
        let HeldResult { settled, .. } = self.result_of(run)?;
        let failed = |error: LedgerError| refused(Refused::LedgerFailed, error.to_string());
        let kept = self.ledger.content_of(&settled, "undo").map_err(failed)?;
        let text = kept.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| refused(Refused::Unknown, "nothing was kept to put that run back"))?;
        let mut note = entry(EventKind::Note);
        note.proposal.clone_from(&settled.proposal);
        note.revision = settled.revision;
        note.run = Some(run.to_string());
        note.target.clone_from(&settled.target);
        note.on_behalf_of = Some(person.chars().take(200).collect());
        note.facts.insert("what".into(), "the way back was shown".into());
        self.ledger.append(Job { drafts: vec![plain(note)], ..Job::default() }).map_err(failed)?;
        Ok(Answer::Text { text })
    }
}
