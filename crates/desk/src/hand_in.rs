//! From bytes to a logged, decided proposal. The same way for an agent and for a person who takes over.

use std::sync::Arc;

use artifact::effect::{Grade, Rows};
use artifact::request::Method;
use artifact::{Artifact, ArtifactError, ProposalId, SessionId, TaskId, Timestamp};
use doors::Refusal;
use lifecycle::{Asked, Decision, Examined, Policy, RunRights, Setting, Snapshot, TaskScope, draft, examine};
use reading::payment::payment;
use reading::request;
use store::{ProposalRow, Store, StoreError};
use wire::socket::{Answer, Proposed, Refused, Registry, Request, TargetView};
use wire::target::Rights;

use crate::convert::new_entry;
use crate::kept_back::without_own;
use crate::link::LinkError;
use crate::state::{Desk, DeskError};

/// Who hands something in.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    /// True for an agent, false for a person who took over.
    pub(crate) agent: bool,
    /// The agent's name or the person's.
    pub(crate) name: String,
    /// The person it is done for.
    pub(crate) person: String,
    pub(crate) session: SessionId,
    pub(crate) address: String,
}

/// Why it was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("{1}")]
    Refused(Refusal, String),
    #[error(transparent)]
    Desk(#[from] DeskError),
}

impl NotTaken {
    fn because(refusal: Refusal, sentence: impl Into<String>) -> Self {
        Self::Refused(refusal, sentence.into())
    }
}

impl From<Refusal> for NotTaken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, String::new())
    }
}

impl From<ArtifactError> for NotTaken {
    fn from(error: ArtifactError) -> Self {
        let refusal = if matches!(error, ArtifactError::TooLarge(_)) { Refusal::TooLarge } else { Refusal::Malformed };
        Self::because(refusal, format!("{error}."))
    }
}

/// The open task of that id.
pub(crate) fn open_task(registry: &Registry, task: TaskId, now: Timestamp) -> Option<TaskScope> {
    // Reading a statement costs more than finding out that it is of another task.
    let id = task.to_string();
    let scopes = registry.tasks.iter().filter(|t| t.closed_at.is_none() && t.statement.contains(&id));
    scopes.filter_map(|t| TaskScope::read(&t.statement, &t.person)).find(|t| t.task == task && t.not_after > now)
}

/// Whether a stop switch covers this.
pub(crate) fn is_stopped(registry: &Registry, agent: &str, person: &str, task: TaskId, target: &str) -> bool {
    let covers = [
        "all".to_owned(),
        format!("agent:{agent}"),
        format!("person:{person}"),
        format!("task:{task}"),
        format!("target:{target}"),
    ];
    registry.stopped.iter().any(|scope| covers.contains(scope))
}

/// What for, and by which schema, an artifact is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// To tell the agent beforehand. What was kept back from it is left out: the answer would say which guesses are right.
    Check,
    /// To hand it in.
    HandIn,
    /// To hand it in, by the schema as it is now.
    Anew,
}

/// What is needed to examine an artifact.
pub(crate) struct Ground {
    pub(crate) task: TaskScope,
    pub(crate) target: TargetView,
    pub(crate) artifact: Artifact,
    pub(crate) examined: Examined,
}

/// What an artifact is held against.
struct Against {
    policy: Arc<Policy>,
    asked: Option<Asked>,
    /// Whom mail was sent to from there, and whom money; looked up only where something is sent or paid.
    written_to: Vec<String>,
    paid: Vec<(String, String)>,
}

/// An artifact with whose it is, what for and where.
#[derive(Clone)]
struct Subject {
    author: Author,
    task: TaskScope,
    target: TargetView,
    artifact: Artifact,
}

impl Subject {
    fn examine(&self, against: &Against, catalog: &Snapshot) -> Examined {
        let Self { author, task, target, artifact } = self;
        let registration = &target.registration;
        let setting = Setting {
            agent: &author.name,
            person: &author.person,
            task: &task.task.to_string(),
            task_type: &task.task_type,
            scope: &task.may,
            never: &task.never,
            functions: &task.functions,
            // What a person writes for themselves still needs their signature.
            auto_reads: task.auto_reads && author.agent,
            target: &registration.name,
            environment: &registration.environment,
            labels: &registration.labels,
            catalog,
            requests: registration.requests(),
            rights: match registration.rights() {
                None | Some(Rights::Minted) => RunRights::Effect,
                Some(Rights::Login | Rights::Leased) => RunRights::Login,
                Some(Rights::MintedIfPossible) => RunRights::EffectIfPossible,
            },
            own: registration.own_address(),
            written_to: &against.written_to,
            graphql: registration.graphql.as_deref(),
            forms: &registration.payments.forms,
            paid: &against.paid,
            asked: against.asked.as_ref(),
        };
        examine(artifact, &setting, &against.policy)
    }
}

impl Desk {
    /// Looks everything up and examines the bytes. Records nothing.
    pub(crate) async fn ground(
        &self,
        author: &Author,
        task: TaskId,
        target: &str,
        body: &str,
        look: Look,
    ) -> Result<Ground, NotTaken> {
        let fresh = look == Look::Anew;
        let registry = self.registry().await?;
        let task = open_task(&registry, task, Timestamp::now()).ok_or(Refusal::UnknownTask)?;
        let found = registry.targets.iter().find(|t| t.registration.name == target && task.target == target);
        let target = found.cloned().ok_or(Refusal::UnknownTarget)?;
        let name = &target.registration.name;
        if is_stopped(&registry, &author.name, &author.person, task.task, name) {
            return Err(Refusal::Stopped.into());
        }
        let artifact = Artifact::new(target.registration.kind(), body.as_bytes().to_vec())?;
        if let Some(at) = target.registration.aws()
            && let Ok(request) = request::read(artifact.text())
        {
            let clear = reading::aws::canonical(&at.service, &request);
            clear.map_err(|unclear| NotTaken::because(Refusal::Malformed, format!("{unclear}.")))?;
        }
        let subject = Arc::new(Subject { author: author.clone(), task, target, artifact });
        let name = &subject.target.registration.name;
        let (policy, catalog) = (self.policy().await?, self.catalog(name, fresh).await?);
        // One turn off the async threads for all of it: waking a thread costs as much as any of these.
        let (desk, work) = (self.clone(), Arc::clone(&subject));
        let first = self.view(move |store| {
            let against = desk.against(store, &work, look == Look::Check, policy)?;
            let examined = work.examine(&against, &catalog);
            Ok((against, examined))
        });
        let (against, mut examined) = first.await?;
        if !fresh && !examined.analysis.understood {
            // A relation made a moment ago is unknown to an old snapshot; look once more before saying so.
            let catalog = self.catalog(name, true).await?;
            let work = Arc::clone(&subject);
            examined = self.view(move |_| Ok(work.examine(&against, &catalog))).await?;
        }
        let Subject { task, target, artifact, .. } = Arc::unwrap_or_clone(subject);
        Ok(Ground { task, target, artifact, examined })
    }

    /// What an artifact is held against. `check`: without what was kept back from the author.
    fn against(
        &self,
        store: &Store,
        subject: &Subject,
        check: bool,
        policy: Arc<Policy>,
    ) -> Result<Against, StoreError> {
        let Subject { author, task, target, artifact } = subject;
        let name = &target.registration.name;
        // What a person writes comes from the person.
        let asked = if author.agent {
            let (vouched, results) = (store.vouched_in(task.task)?, self.inner.sources.of(store, task.task)?);
            let asked = Asked::of(task, vouched, results);
            Some(if check { asked } else { self.with_kept_back(store, asked, &author.name, artifact)? })
        } else {
            None
        };
        let sends = target.registration.own_address().is_some() && artifact.text().starts_with(Method::Send.as_str());
        let written_to = if sends { store.written_to(name)? } else { Vec::new() };
        let forms = &target.registration.payments.forms;
        let pays = !forms.is_empty()
            && request::read(artifact.text()).is_ok_and(|request| matches!(payment(forms, &request), Ok(Some(_))));
        let paid = if pays { store.paid_from(name)? } else { Vec::new() };
        Ok(Against { policy, asked, written_to, paid })
    }

    /// With what was kept back from the author and stands in the artifact all the same.
    fn with_kept_back(
        &self,
        store: &Store,
        asked: Asked,
        agent: &str,
        artifact: &Artifact,
    ) -> Result<Asked, StoreError> {
        let kept_back = &self.inner.kept_back;
        let found = kept_back.look(agent, artifact)?;
        let withheld = if found.is_empty() { Vec::new() } else { without_own(store, agent, found)? };
        Ok(asked.with_kept_back(withheld, kept_back.is_marked(artifact)))
    }

    /// Hands an artifact in: examined, decided, durable in the log, in the view.
    pub(crate) async fn hand_in(
        &self,
        author: &Author,
        task: TaskId,
        target: &str,
        body: &str,
        purpose: &str,
        revises: Option<ProposalId>,
    ) -> Result<ProposalRow, NotTaken> {
        let mut ground = self.ground(author, task, target, body, Look::HandIn).await?;
        let digest = ground.artifact.digest();
        let (id, _one_at_a_time) = match revises {
            Some(id) => (id, self.lock(id).await),
            None => (ProposalId::random(), self.same(task, target, digest).await),
        };
        let revision = if revises.is_some() {
            self.next_revision(author, id, task).await?
        } else {
            let name = target.to_owned();
            if let Some(same) = self.view(move |store| store.same(task, &name, digest)).await? {
                return Ok(same);
            }
            1
        };
        // Before the target is troubled.
        let waits = author.agent && matches!(ground.examined.decision, Decision::Ask { .. });
        if ground.examined.can_preview() {
            self.has_room(waits, author.session).await?;
        }
        let mut rows = self.rows(id, revision, &ground).await;
        let drifted =
            matches!(&rows, Err(NotTaken::Desk(DeskError::Link(LinkError::Refused { code: Refused::Drifted, .. }))));
        let may_mint_now = rows.is_err() && ground.target.registration.rights() == Some(Rights::MintedIfPossible);
        if drifted || may_mint_now {
            // The schema, or what the login may do, changed a moment ago; look once more before saying so.
            ground = self.ground(author, task, target, body, Look::Anew).await?;
            rows = self.rows(id, revision, &ground).await;
        }
        let rows = rows?;
        // Counted once more where nobody else of this session can add to it before this one is recorded.
        let waits = author.agent && matches!(ground.examined.decision, Decision::Ask { .. });
        let _counted = if waits { Some(self.count(author.session).await) } else { None };
        self.has_room(waits, author.session).await?;
        let mut analysis = ground.examined.analysis.clone();
        analysis.effect.rows = rows;
        let now = Timestamp::now();
        let shown = ground.examined.shown(rows);
        let entry = draft::proposed(&draft::Handing {
            id,
            revision,
            agent: author.agent,
            author: &author.name,
            person: &author.person,
            session: author.session,
            address: &author.address,
            task: &ground.task,
            target: &ground.target.registration.name,
            target_fingerprint: ground.target.fingerprint,
            artifact: &ground.artifact,
            effect: &analysis.effect,
            shown: &shown,
            decision: &ground.examined.decision,
            risk: ground.examined.risk(),
            purpose,
            expires: now.plus_seconds(self.inner.config.pending_s).min(ground.task.not_after),
        });
        let mut entries = Vec::with_capacity(2);
        if revision > 1 {
            entries.push(new_entry(draft::superseded(id, revision - 1, task, &author.name, author.agent)));
        }
        entries.push(new_entry(entry));
        self.record(entries).await?;
        if ground.examined.analysis.has(lifecycle::Code::Canary) {
            // Whoever holds the pass sends data where it should not be; nothing more is taken from it.
            self.end_session(author.session, now).await?;
        }
        let row = self.view(move |store| store.proposal(id, Some(revision))).await?;
        row.ok_or(NotTaken::Desk(DeskError::Behind))
    }

    /// Whether one more of this session's proposals may wait for a person.
    async fn has_room(&self, waits: bool, session: SessionId) -> Result<(), NotTaken> {
        if waits && self.view(move |store| store.pending_of_session(session)).await? >= self.inner.config.pending_max {
            return Err(NotTaken::because(Refusal::SlowDown, "Too many of your proposals wait for a person already."));
        }
        Ok(())
    }

    async fn next_revision(&self, author: &Author, id: ProposalId, task: TaskId) -> Result<u32, NotTaken> {
        let row = self.view(move |store| store.proposal(id, None)).await?.ok_or(Refusal::UnknownProposal)?;
        if row.task != task || (author.agent && row.session != author.session) {
            return Err(Refusal::UnknownProposal.into());
        }
        if !matches!(row.state, lifecycle::State::Pending | lifecycle::State::ChangesRequested) {
            return Err(Refusal::WrongState.into());
        }
        if row.revision >= 50 {
            return Err(NotTaken::because(Refusal::SlowDown, "This proposal has 50 revisions; hand in a new one."));
        }
        Ok(row.revision + 1)
    }

    /// How many rows it would change. Learned by running it and rolling back, within the effect, in an executor.
    async fn rows(&self, proposal: ProposalId, revision: u32, ground: &Ground) -> Result<Option<Rows>, NotTaken> {
        if !ground.examined.can_preview() {
            return Ok(None);
        }
        let proposed = Proposed {
            proposal,
            revision,
            target: ground.target.registration.name.clone(),
            kind: ground.artifact.kind(),
            artifact: ground.artifact.text().to_owned(),
            effect: ground.examined.analysis.effect.clone(),
        };
        match self.inner.link.ask(&Request::Preview { proposed, sample: false, task: ground.task.task }).await {
            Ok(Answer::Preview { rows, of, .. }) => Ok(Some(Rows { grade: Grade::RanAndRolledBack, count: rows, of })),
            Ok(_) => Err(DeskError::from(LinkError::Protocol).into()),
            // The target would not do it (a constraint, a right, a lock). The agent learns that it failed, not how.
            Err(LinkError::Refused { code: Refused::TargetFailed, .. }) => {
                Err(NotTaken::because(Refusal::NotUnderstood, "The target refused it in a trial that was rolled back."))
            }
            Err(error) => Err(DeskError::from(error).into()),
        }
    }
}
