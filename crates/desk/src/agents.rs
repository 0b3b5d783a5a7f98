//! The desk behind the agents' door.

use std::time::{Duration, Instant};

use artifact::{Digest, Kind, ProposalId, Timestamp, digest_words};
use doors::Refusal;
use doors::agents::{
    Check, CheckAnswer, Given, OwnTool, PURPOSE_MAX, Principal, ProposalAnswer, Propose, RelationDescription, Status,
    TargetDescription, TargetSummary,
};
use intake::oauth::{Exchange, ExchangeError, Exchanged};
use intake::{Door, Refused};
use reading::bound::{self, Parameter};
use store::ProposalRow;
use wire::socket::{Registry, TargetView};

use crate::convert::{finding_views, new_entry, status};
use crate::hand_in::{Author, Look, NotTaken, open_task};
use crate::state::{Desk, DeskError};
use crate::tools;

impl From<DeskError> for Refused {
    fn from(error: DeskError) -> Self {
        // INVARIANT (I9): the cause goes to the desk's own log, the agent gets the closed code.
        tracing::warn!(%error, "an agent's request could not be served");
        Refusal::Unavailable.into()
    }
}

impl From<NotTaken> for Refused {
    fn from(error: NotTaken) -> Self {
        match error {
            NotTaken::Refused(refusal, sentence) if sentence.is_empty() => refusal.into(),
            NotTaken::Refused(refusal, sentence) => Self::because(refusal, sentence),
            NotTaken::Desk(error) => error.into(),
        }
    }
}

fn author(who: &Principal) -> Author {
    Author {
        agent: true,
        name: who.agent.clone(),
        person: who.person.clone(),
        session: who.session,
        address: who.address.clone(),
    }
}

/// Statement and values as the one text that is shown, signed and run.
fn whole(parameters: &[Given], body: &str) -> Result<String, Refused> {
    let given: Option<Vec<Parameter>> = parameters.iter().map(Given::parameter).collect();
    let given = given.ok_or_else(|| {
        Refused::because(Refusal::Malformed, "A parameter's value is text, a number, true, false or null.")
    })?;
    bound::compose(&given, body).map_err(|error| Refused::because(Refusal::Malformed, format!("{error}.")))
}

impl Desk {
    fn limited(&self, who: &Principal) -> Result<(), Refused> {
        let taken = self.inner.limits.take(who.session, Instant::now());
        taken.map_err(|wait| Refused { retry_after_s: Some(wait), ..Refusal::SlowDown.into() })
    }

    async fn own(&self, who: &Principal, id: ProposalId) -> Result<ProposalRow, Refused> {
        let row = self.view(move |store| store.proposal(id, None)).await?;
        // Not there and not yours are the same answer.
        row.filter(|row| row.task == who.task && row.agent == who.agent && row.person == who.person)
            .ok_or_else(|| Refusal::UnknownProposal.into())
    }

    fn answer(&self, row: &ProposalRow) -> ProposalAnswer {
        let status = status(row.state);
        let result = row
            .released
            .as_deref()
            .filter(|_| status == Status::Released)
            .and_then(|json| serde_json::from_str(json).ok());
        // A cause of the target may quote its data; only a person's sentence goes to the agent word by word.
        let reason = match status {
            Status::ChangesRequested | Status::Rejected => row.reason.clone(),
            Status::Failed => Some("the target refused it, or could not be reached".to_owned()),
            Status::Stale => Some("what was shown no longer held: the rows or the schema changed meanwhile".to_owned()),
            _ => None,
        };
        let age = Timestamp::now().millis_since(row.created_at) / 1000;
        let retry_after_s = (!status.is_final()).then_some(if age > 600 { 30 } else { 10 });
        ProposalAnswer {
            proposal_id: row.id,
            revision: row.revision,
            status,
            digest: row.digest,
            words: digest_words(&row.digest),
            target: row.target.clone(),
            task: row.task,
            review_url: format!("{}/r/{}", self.inner.config.people_url, row.id),
            expires_at: row.expires_at,
            retry_after_s,
            result,
            reason,
            reasons: row.reasons.clone(),
            message: status.next().to_owned(),
        }
    }

    /// With the session's marker, which goes along where somebody is made to send away all that they know.
    fn with_marker(&self, who: &Principal, mut described: TargetDescription) -> TargetDescription {
        let marker = self.inner.kept_back.marker_of(who.session);
        described.message += &format!(" Reference {marker}, which stands in no artifact.");
        described
    }

    /// Which target summary an agent may see: those of its task.
    fn summary(target: &TargetView, task: &lifecycle::TaskScope) -> TargetSummary {
        TargetSummary {
            name: target.registration.name.clone(),
            kind: target.registration.kind().to_string(),
            environment: target.registration.environment.clone(),
            may: {
                let never = task.never.iter().map(|denied| format!("never {denied}"));
                task.may.iter().map(ToString::to_string).chain(never).collect()
            },
            reads_run_without_asking: task.auto_reads,
        }
    }
}

fn task_of(registry: &Registry, who: &Principal) -> Result<lifecycle::TaskScope, Refused> {
    open_task(registry, who.task, Timestamp::now()).ok_or_else(|| Refusal::UnknownTask.into())
}

impl Door for Desk {
    async fn exchange(&self, exchange: Exchange, key: Option<String>) -> Result<Exchanged, ExchangeError> {
        self.exchanged(exchange, key).await
    }

    async fn authenticate(&self, pass: &str, address: &str) -> Result<Principal, Refusal> {
        let unavailable = |error: DeskError| {
            tracing::warn!(%error, "a pass could not be looked up");
            Refusal::Unavailable
        };
        // The pass is 256 random bits, so its digest can be looked up by equality: nothing about a guess is learned.
        let digest = Digest::of(pass.as_bytes());
        let session = self.view(move |store| store.session_by_pass(digest)).await.map_err(unavailable)?;
        let now = Timestamp::now();
        let alive = session.filter(|s| s.ended_at.is_none() && s.expires_at > now).ok_or(Refusal::NotAuthenticated)?;
        let registry = self.registry().await.map_err(unavailable)?;
        // A pass dies with its task, whatever its own end says.
        open_task(&registry, alive.task, now).ok_or(Refusal::NotAuthenticated)?;
        Ok(Principal {
            session: alive.id,
            agent: alive.agent,
            person: alive.person,
            task: alive.task,
            address: address.to_owned(),
            bound_to: alive.bound_to,
        })
    }

    async fn check(&self, who: &Principal, check: Check) -> Result<CheckAnswer, Refused> {
        self.limited(who)?;
        let body = whole(&check.parameters, &check.body)?;
        let ground = self.ground(&author(who), who.task, &check.target, &body, Look::Check).await?;
        let (analysis, decision) = (&ground.examined.analysis, &ground.examined.decision);
        let message = match decision.as_str() {
            "allow" => "propose would run it now, inside the signed scope of the task.",
            "ask" => "propose would ask a person to sign it.",
            _ => "propose would be denied, whoever signs. Change it as findings and reasons say.",
        };
        Ok(CheckAnswer {
            decision: decision.as_str().to_owned(),
            sentence: analysis.sentence.clone(),
            understood: analysis.understood,
            effect: artifact::Effect { shapes: artifact::Shapes::new(), ..analysis.effect.clone() },
            findings: finding_views(&ground.examined.shown(None).findings),
            reasons: lifecycle::draft::reasons(decision),
            digest: ground.artifact.digest(),
            message: message.to_owned(),
        })
    }

    async fn propose(&self, who: &Principal, propose: Propose) -> Result<ProposalAnswer, Refused> {
        self.limited(who)?;
        if propose.task.is_some_and(|task| task != who.task) {
            return Err(Refusal::UnknownTask.into());
        }
        if propose.purpose.chars().count() > PURPOSE_MAX {
            return Err(Refused::because(Refusal::TooLarge, "`purpose` has more than 500 characters."));
        }
        let body = whole(&propose.parameters, &propose.body)?;
        let row =
            self.hand_in(&author(who), who.task, &propose.target, &body, &propose.purpose, propose.revises).await?;
        Ok(self.answer(&row))
    }

    async fn get(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        self.limited(who)?;
        Ok(self.answer(&self.own(who, id).await?))
    }

    async fn wait(
        &self,
        who: &Principal,
        id: ProposalId,
        seen: Status,
        time: Duration,
    ) -> Result<ProposalAnswer, Refused> {
        let deadline = tokio::time::Instant::now() + time;
        // Subscribed before the first look, so no change between look and wait is missed.
        let mut changes = self.inner.changes.subscribe();
        loop {
            let row = self.own(who, id).await?;
            if status(row.state) != seen {
                return Ok(self.answer(&row));
            }
            loop {
                match tokio::time::timeout_at(deadline, changes.recv()).await {
                    Err(_) | Ok(Err(tokio::sync::broadcast::error::RecvError::Closed)) => return Ok(self.answer(&row)),
                    Ok(Ok(change)) if change.id != id => {}
                    // Changed, or some changes were missed: look again.
                    Ok(Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_))) => break,
                }
            }
        }
    }

    async fn withdraw(&self, who: &Principal, id: ProposalId) -> Result<ProposalAnswer, Refused> {
        self.limited(who)?;
        let _one_at_a_time = self.lock(id).await;
        let row = self.own(who, id).await?;
        if !row.state.can_be_signed() {
            return Err(Refusal::WrongState.into());
        }
        let entry = lifecycle::draft::withdrawn(row.id, row.revision, row.task, &who.agent, &who.address);
        self.record(vec![new_entry(entry)]).await?;
        Ok(self.answer(&self.own(who, id).await?))
    }

    async fn list(&self, who: &Principal) -> Result<Vec<ProposalAnswer>, Refused> {
        self.limited(who)?;
        let session = who.session;
        let rows = self.view(move |store| store.of_session(session)).await?;
        Ok(rows.iter().map(|row| self.answer(row)).collect())
    }

    async fn targets(&self, who: &Principal) -> Result<Vec<TargetSummary>, Refused> {
        self.limited(who)?;
        let registry = self.registry().await?;
        let task = task_of(&registry, who)?;
        Ok(registry
            .targets
            .iter()
            .filter(|t| t.registration.name == task.target)
            .map(|t| Self::summary(t, &task))
            .collect())
    }

    async fn tools(&self, who: &Principal) -> Result<Option<Vec<OwnTool>>, Refused> {
        self.limited(who)?;
        let registry = self.registry().await?;
        let task = task_of(&registry, who)?;
        let found = registry.targets.iter().find(|t| t.registration.name == task.target);
        let Some(found) = found.filter(|t| t.registration.kind() == Kind::Mcp) else { return Ok(None) };
        let catalog = self.catalog(&task.target, false).await?;
        Ok(Some(tools::own(&catalog, &found.registration, &task)))
    }

    async fn describe(&self, who: &Principal, target: &str) -> Result<TargetDescription, Refused> {
        self.limited(who)?;
        let registry = self.registry().await?;
        let task = task_of(&registry, who)?;
        let found = registry.targets.iter().find(|t| t.registration.name == target && task.target == target);
        let found = found.ok_or_else(|| Refused::from(Refusal::UnknownTarget))?;
        let catalog = self.catalog(target, false).await?;
        if found.registration.kind() == Kind::Mcp || !catalog.tools.is_empty() {
            let described = tools::described(Self::summary(found, &task), &catalog, &found.registration, &task);
            return Ok(self.with_marker(who, described));
        }
        let relations = catalog
            .relations
            .iter()
            .filter_map(|relation| {
                let visible = |column: &str| task.may.iter().any(|a| a.names(&relation.name, column));
                let columns: Vec<String> = relation
                    .columns
                    .iter()
                    .filter(|c| visible(&c.name))
                    .map(|c| artifact::visible(&format!("{} {}", c.name, c.type_name)))
                    .collect();
                (!columns.is_empty()).then(|| RelationDescription { name: relation.name.clone(), columns })
            })
            .collect();
        let message =
            "Names and types inside the task's scope. To see data, propose a query; write one statement per proposal.";
        let described =
            TargetDescription { target: Self::summary(found, &task), relations, message: message.to_owned() };
        Ok(self.with_marker(who, described))
    }
}
