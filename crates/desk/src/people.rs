//! The desk behind the people's door: reading and deciding. Granting and signing in stand beside it.

use artifact::claim::{Signature, Signed};
use artifact::{ProposalId, RunId, SessionId, TaskId, Timestamp};
use doors::people::{
    AuditFilter, AuditRow, AuthorizeRequest, AuthorizeView, GrantRequest, GrantToSign, HeldView, KeyRequest, NewPass,
    Overview, Person, PersonError, PolicyReplay, QueueRow, ReviewView, RowsView, Selection, SessionView, SignalView,
    SignedGrant, TOGETHER_MAX, ToSign, Together,
};
use lifecycle::log::EventKind;
use lifecycle::{State, TaskScope, statement};
use review::{
    Change, EnrollChallenge, LoginChallenge, Passkeys, People, ProviderStart, QueueFilter, QueueGroup, Returned,
    SessionToken,
};
use store::{Page, ProposalRow, SearchFilter};
use tokio::sync::broadcast;
use wire::socket::{Answer, Outcome, Proposed, Refused, Request};

use crate::convert::{new_entry, signal_view};
use crate::hand_in::{Author, NotTaken};
use crate::kept_back::KeptBack;
use crate::link::LinkError;
use crate::state::{Desk, DeskError};

/// An error for a person.
pub(crate) fn person_error(code: &str, message: impl Into<String>) -> PersonError {
    PersonError { code: code.to_owned(), message: message.into() }
}

impl From<DeskError> for PersonError {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Link(LinkError::Refused { code, detail }) => refused(code, &detail),
            error => person_error("unavailable", format!("{error}. Nothing was decided.")),
        }
    }
}

fn refused(code: Refused, detail: &str) -> PersonError {
    let (code, advice) = match code {
        Refused::NotApproved => ("guard_refused", "The guard did not accept the signature."),
        Refused::AlreadySpent => ("already_decided", "This approval was used already."),
        Refused::OutOfScope => ("guard_refused", "It is outside the signed scope of the task."),
        Refused::Stopped => ("stopped", "It is stopped. Resume it first (a signed statement)."),
        Refused::Unknown => ("not_found", "The guard does not know it."),
        Refused::Drifted => {
            ("stale", "Something it touches is not as it was when it was shown; have it handed in again.")
        }
        Refused::TargetFailed => ("target_failed", "The target did not do it."),
        Refused::LedgerFailed => ("unavailable", "The log cannot be written, so nothing was done."),
        Refused::Busy => ("unavailable", "Too many runs at once. Try again in a moment."),
        Refused::Malformed | Refused::NotPermitted | Refused::BelowFloor => ("guard_refused", "The guard refused."),
    };
    person_error(code, format!("{advice} {detail}").trim_end().to_owned())
}

pub(crate) fn not_found() -> PersonError {
    person_error("not_found", "There is no such proposal. The queue lists what waits.")
}

fn decided(row: &ProposalRow) -> PersonError {
    person_error(
        "already_decided",
        format!("It is {} already; the first decision counts. Its page shows who decided.", row.state.as_str()),
    )
}

impl Desk {
    /// A desk decision about a pending proposal, in the log before it counts.
    async fn decide(
        &self,
        who: &Person,
        id: ProposalId,
        sentence: &str,
        event: EventKind,
    ) -> Result<ReviewView, PersonError> {
        {
            let _one_at_a_time = self.lock(id).await;
            let row = self.row(id, None).await?;
            if !row.state.can_be_signed() {
                return Err(decided(&row));
            }
            let entry = lifecycle::draft::decided(event, id, row.revision, row.task, &who.name, sentence);
            self.record(vec![new_entry(entry)]).await?;
        }
        self.review(self.row(id, None).await?).await
    }
}

fn not_taken(error: NotTaken) -> PersonError {
    match error {
        NotTaken::Refused(refusal, sentence) => {
            person_error(refusal.code(), format!("{sentence} {}", refusal.advice()).trim().to_owned())
        }
        NotTaken::Desk(error) => error.into(),
    }
}

/// Rows of a column that are looked at.
const LOOKED_AT: usize = 500;

/// What a column that nobody labelled looks like by its values, as a label; none if they look like nothing.
fn looks_like(result: &wire::order::ResultSet, column: usize) -> Option<String> {
    let cells = result.rows.iter().take(LOOKED_AT).filter_map(|row| row.get(column)?.as_deref());
    let mut seen: Vec<lifecycle::Sensitive> = cells.flat_map(lifecycle::detect).collect();
    seen.sort_unstable();
    seen.dedup();
    let names: Vec<&str> = seen.iter().map(|kind| kind.as_str()).collect();
    let label = if seen.contains(&lifecycle::Sensitive::Secret) { "secret" } else { "personal" };
    (!seen.is_empty()).then(|| format!("{label} (looks like {})", names.join(", ")))
}

/// This claim with the signatures that others gave before, over the same statement.
fn with_others(row: &ProposalRow, claim: Signed) -> Result<Signed, PersonError> {
    let Some((mut kept, approval)) = row.claim.as_deref().and_then(statement::partly) else { return Ok(claim) };
    if kept.statement == claim.statement {
        kept.signatures
            .extend(claim.signatures.into_iter().filter(|one| !kept.signatures.contains(one)).collect::<Vec<_>>());
        return Ok(kept);
    }
    if approval.not_after > Timestamp::now() {
        return Err(person_error(
            "already_decided",
            "Somebody else signed meanwhile. Look at it again and sign the same statement, so that both signatures count.",
        ));
    }
    Ok(claim)
}

/// What is grave, or takes a name to be typed or several people, is signed by itself.
fn may_be_together(view: &ReviewView) -> bool {
    view.row.risk != doors::people::Risk::High && view.arm.is_none() && view.quorum <= 1
}

impl People for Desk {
    async fn login_challenge(&self) -> Result<LoginChallenge, PersonError> {
        self.begin_login().await
    }

    async fn login(
        &self,
        id: &str,
        signature: Signature,
        address: &str,
    ) -> Result<(SessionToken, Person), PersonError> {
        self.finish_login(id, signature, address).await
    }

    async fn provider_begin(&self, next: &str) -> Result<ProviderStart, PersonError> {
        self.provider_begin(next).await
    }

    async fn provider_finish(&self, returned: &Returned, browser: &str) -> Result<(SessionToken, String), PersonError> {
        self.provider_finish(returned, browser).await
    }

    async fn provider_logout(&self, token: &str) -> Result<(), PersonError> {
        self.provider_logout(token).await
    }

    async fn sessions(&self, who: &Person) -> Vec<SessionView> {
        self.inner.signins.of_person(&who.name, Timestamp::now())
    }

    async fn logout_everywhere(&self, who: &Person) {
        self.inner.signins.end_all(&who.name);
    }

    async fn logout(&self, token: &str) {
        self.inner.signins.end(token);
    }

    async fn person(&self, token: &str) -> Option<Person> {
        self.inner.signins.person(token, Timestamp::now())
    }

    async fn passkeys(&self, who: &Person) -> Result<Passkeys, PersonError> {
        self.passkeys_of(Some(&who.name)).await
    }

    async fn enroll_begin(&self, token: &str) -> Result<EnrollChallenge, PersonError> {
        self.begin_enroll(token).await
    }

    async fn enroll_finish(
        &self,
        token: &str,
        person: &str,
        attestation_object: &str,
        client_data: &str,
    ) -> Result<(), PersonError> {
        self.finish_enroll(token, person, attestation_object, client_data).await
    }

    async fn join_begin(&self) -> Result<EnrollChallenge, PersonError> {
        self.begin_join().await
    }

    async fn join_finish(
        &self,
        person: &str,
        attestation_object: &str,
        client_data: &str,
    ) -> Result<KeyRequest, PersonError> {
        self.finish_join(person, attestation_object, client_data).await
    }

    async fn key_requests(&self, _who: &Person) -> Result<Vec<KeyRequest>, PersonError> {
        self.asking().await
    }

    async fn queue(&self, _who: &Person, filter: QueueFilter) -> Result<Vec<QueueRow>, PersonError> {
        let registry = self.registry().await?;
        let page = filter.before.map(|before| Page { before, id: None });
        let rows = self
            .view(
                move |store| if filter.group == QueueGroup::Pending { store.waiting(page) } else { store.newest(page) },
            )
            .await?;
        let rows = rows.iter().map(|row| Self::queue_row(row, &registry));
        Ok(rows.filter(|row| filter.group.has(row.status)).collect())
    }

    async fn proposal(&self, who: &Person, id: ProposalId, revision: Option<u32>) -> Result<ReviewView, PersonError> {
        let row = self.row(id, revision).await?;
        // Once for each person and revision; looking again says nothing new.
        if row.state == State::Pending && self.inner.signins.first_look(&who.name, id, row.revision) {
            let entry = lifecycle::draft::opened(id, row.revision, row.task, &who.name);
            self.record(vec![new_entry(entry)]).await?;
        }
        self.review(row).await
    }

    async fn approve(&self, _who: &Person, id: ProposalId, claim: Signed) -> Result<ReviewView, PersonError> {
        {
            let _one_at_a_time = self.lock(id).await;
            let row = self.row(id, None).await?;
            if !row.state.can_be_signed() {
                return Err(decided(&row));
            }
            let proposed = Proposed {
                proposal: id,
                revision: row.revision,
                target: row.target.clone(),
                kind: row.kind,
                artifact: row.artifact.clone(),
                effect: row.effect.clone(),
            };
            if claim.batch.is_some() && !may_be_together(&self.review(row.clone()).await?) {
                return Err(person_error("not_permitted", "It is grave or needs several people; sign it by itself."));
            }
            // The guard verifies the claim against these bytes by itself; what this desk believes about it does not count.
            let alone = Request::Run { claim: claim.clone(), proposed: proposed.clone() };
            let claim = with_others(&row, claim)?;
            let joined = claim.signatures.len() > 1;
            let mut answer = self.inner.link.ask(&Request::Run { claim, proposed }).await;
            if joined && matches!(answer, Err(LinkError::Refused { code: Refused::NotApproved, .. })) {
                // A signature from before may not hold any more, since its key was revoked. This one then begins anew.
                answer = self.inner.link.ask(&alone).await;
            }
            // What is handed in again is held against the target as it is now. Whatever went wrong there, the schema may be why.
            if !matches!(&answer, Ok(Answer::Ran { outcome: Outcome::Held { .. }, .. } | Answer::Countersigned { .. }))
            {
                self.forget_catalog(&row.target).await;
            }
            match answer.map_err(DeskError::from)? {
                Answer::Ran { .. } => {}
                Answer::Countersigned { index, .. } => {
                    self.applied(index + 1).await?;
                    return self.review(self.row(id, None).await?).await;
                }
                _ => return Err(DeskError::from(LinkError::Protocol).into()),
            }
            let Answer::Hello { size, .. } = self.inner.link.ask(&Request::Hello {}).await.map_err(DeskError::from)?
            else {
                return Err(DeskError::from(LinkError::Protocol).into());
            };
            self.applied(size).await?;
        }
        self.review(self.row(id, None).await?).await
    }

    async fn together(&self, who: &Person, ids: Vec<ProposalId>) -> Result<Together, PersonError> {
        let mut views = Vec::with_capacity(ids.len());
        let mut asked = ids;
        asked.sort_unstable();
        asked.dedup();
        if !(2..=TOGETHER_MAX).contains(&asked.len()) {
            return Err(person_error("malformed", "Tick 2 to 20 proposals of one task."));
        }
        for id in asked {
            let view = self.proposal(who, id, None).await?;
            if view.statement.is_none() {
                return Err(person_error("already_decided", format!("{id} cannot be signed any more.")));
            }
            if !may_be_together(&view) {
                return Err(person_error(
                    "not_permitted",
                    format!("{id} is grave or needs several people; sign it by itself."),
                ));
            }
            views.push(view);
        }
        let statements: Vec<&str> = views.iter().filter_map(|view| view.statement.as_deref()).collect();
        let batch = statement::batch(&statements).map_err(|why| person_error("not_permitted", format!("{why}.")))?;
        Ok(Together { batch, views })
    }

    async fn changes(&self, who: &Person, id: ProposalId, sentence: &str) -> Result<ReviewView, PersonError> {
        self.decide(who, id, sentence, EventKind::ChangesRequested).await
    }

    async fn reject(&self, who: &Person, id: ProposalId, sentence: &str) -> Result<ReviewView, PersonError> {
        self.decide(who, id, sentence, EventKind::Rejected).await
    }

    async fn take_over(&self, who: &Person, id: ProposalId, body: String) -> Result<ReviewView, PersonError> {
        let row = self.row(id, None).await?;
        let author = Author {
            agent: false,
            name: who.name.clone(),
            person: who.name.clone(),
            session: row.session,
            address: String::new(),
        };
        let taken = self.hand_in(&author, row.task, &row.target, &body, "written by the reviewer", Some(id)).await;
        self.review(taken.map_err(not_taken)?).await
    }

    async fn rows(&self, _who: &Person, id: ProposalId) -> Result<RowsView, PersonError> {
        let row = self.row(id, None).await?;
        if !row.state.can_be_signed() {
            return Err(decided(&row));
        }
        let proposed = Proposed {
            proposal: row.id,
            revision: row.revision,
            target: row.target.clone(),
            kind: row.kind,
            artifact: row.artifact.clone(),
            effect: row.effect.clone(),
        };
        let request = Request::Preview { proposed, sample: true, task: row.task };
        let answer = self.inner.link.ask(&request).await.map_err(DeskError::from)?;
        let Answer::Preview { rows, of, sample } = answer else {
            return Err(DeskError::from(LinkError::Protocol).into());
        };
        Ok(RowsView { proposal: row.id, rows, of, sample })
    }

    async fn undo(&self, who: &Person, run: RunId) -> Result<ReviewView, PersonError> {
        let row = self.row_of_run(run).await?;
        let request = Request::Undo { run, person: who.name.clone() };
        let answer = self.inner.link.ask(&request).await.map_err(DeskError::from)?;
        let Answer::Text { text } = answer else { return Err(DeskError::from(LinkError::Protocol).into()) };
        let author = Author {
            agent: false,
            name: who.name.clone(),
            person: who.name.clone(),
            // A session of its own: the way back holds old values, which no agent was given.
            session: SessionId::random(),
            address: String::new(),
        };
        let purpose = format!("puts back what run {run} of proposal {} changed", row.id);
        let taken = self.hand_in(&author, row.task, &row.target, &text, &purpose, None).await;
        self.review(taken.map_err(not_taken)?).await
    }

    async fn held(&self, who: &Person, run: RunId) -> Result<HeldView, PersonError> {
        let row = self.row_of_run(run).await?;
        let registry = self.registry().await?;
        let target = registry.targets.iter().find(|t| t.registration.name == row.target);
        let request = Request::Peek { run, person: who.name.clone() };
        let Answer::Held { result, digest } = self.inner.link.ask(&request).await.map_err(DeskError::from)? else {
            return Err(DeskError::from(LinkError::Protocol).into());
        };
        let label = |origin: Option<&String>| {
            let labels = target.map(|t| &t.registration.labels);
            let found = origin.zip(labels).and_then(|(origin, labels)| labels.get(origin));
            match (found, origin) {
                (Some(label), _) => label.clone(),
                // A computed column may carry anything its sources carry.
                (None, None) if labels.is_some_and(|l| !l.is_empty()) => "unknown".to_owned(),
                _ => "plain".to_owned(),
            }
        };
        let labels = result
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let label = label(column.origin.as_ref());
                if label == "plain" { looks_like(&result, at).unwrap_or(label) } else { label }
            })
            .collect();
        let (agent, proposal, seen) = (row.agent.clone(), row.id.to_string(), result.clone());
        // What the task's scope released has not been kept back.
        let released = row.released.clone();
        let handed_in = row.created_at;
        let keep = move |kept: &KeptBack| {
            kept.keep(&agent, &proposal, &seen, handed_in)?;
            released.map_or(Ok(()), |released| kept.give(&agent, &proposal, &released))
        };
        self.kept_back(keep).await?;
        Ok(HeldView {
            seen: self.seen_with(&row, result.rows.len() as u64).await?,
            proposal: row.id,
            revision: row.revision,
            task: row.task,
            run,
            result,
            digest,
            labels,
            affected: row.affected.unwrap_or(0),
        })
    }

    async fn release_statement(&self, who: &Person, run: RunId, selection: Selection) -> Result<ToSign, PersonError> {
        let row = self.row_of_run(run).await?;
        if row.state != State::Held {
            return Err(decided(&row));
        }
        let held = self.held(who, run).await?;
        let columns: Vec<String> = held.result.columns.iter().map(|c| c.name.clone()).collect();
        let stands = |value: &String| held.result.rows.iter().flatten().flatten().any(|cell| cell.contains(value));
        if selection.vouch.iter().any(|value| value.is_empty() || !stands(value)) {
            return Err(person_error("malformed", "A value that you vouch for stands in the result. Copy it whole."));
        }
        let until = Timestamp::now().plus_seconds(self.inner.config.statement_s);
        let text = statement::release(&statement::ForRelease {
            gateway: self.inner.gateway,
            proposal: row.id,
            revision: row.revision,
            run,
            result: held.digest,
            columns: &columns,
            row_count: held.result.rows.len(),
            rows: &selection.rows,
            row_indexes: &selection.row_indexes,
            show: &selection.show,
            mask: &selection.mask,
            vouched: &selection.vouch,
            task: row.task,
            not_after: until,
        });
        text.map(|statement| ToSign { statement }).map_err(|why| person_error("malformed", why))
    }

    async fn release(&self, _who: &Person, run: RunId, claim: Signed) -> Result<ReviewView, PersonError> {
        let row = self.row_of_run(run).await?;
        let _one_at_a_time = self.lock(row.id).await;
        let Answer::Released { .. } =
            self.inner.link.ask(&Request::Release { claim }).await.map_err(DeskError::from)?
        else {
            return Err(DeskError::from(LinkError::Protocol).into());
        };
        let Answer::Hello { size, .. } = self.inner.link.ask(&Request::Hello {}).await.map_err(DeskError::from)? else {
            return Err(DeskError::from(LinkError::Protocol).into());
        };
        self.applied(size).await?;
        let row = self.row_of_run(run).await?;
        if let Some(released) = row.released.clone() {
            let (agent, proposal) = (row.agent.clone(), row.id.to_string());
            self.kept_back(move |kept| kept.give(&agent, &proposal, &released)).await?;
        }
        self.review(row).await
    }

    async fn overview(&self, _who: &Person) -> Result<Overview, PersonError> {
        let registry = self.fresh_registry().await?;
        Ok(Overview { gateway: self.inner.gateway, registry: (*registry).clone(), log_key: self.inner.log_key.clone() })
    }

    async fn grant_statement(&self, _who: &Person, request: GrantRequest) -> Result<GrantToSign, PersonError> {
        self.grant_to_sign(request).await
    }

    async fn grant(&self, _who: &Person, grant: SignedGrant) -> Result<(), PersonError> {
        self.carry_grant(grant).await
    }

    // Only the pass's digest is kept.
    async fn new_pass(
        &self,
        who: &Person,
        task: TaskId,
        minutes: u32,
        key: Option<String>,
    ) -> Result<NewPass, PersonError> {
        let binds = |key: &str| intake::is_thumbprint(key) || intake::tls::is_certificate_binding(key);
        if key.as_deref().is_some_and(|key| !binds(key)) {
            return Err(person_error(
                "malformed",
                "That is neither a key's thumbprint (`wetink key agent FILE` prints one), nor `cert:` with a certificate's, nor a SPIFFE id.",
            ));
        }
        let registry = self.fresh_registry().await?;
        let now = Timestamp::now();
        let scope = crate::hand_in::open_task(&registry, task, now);
        let scope = scope.ok_or_else(|| {
            person_error("not_found", "There is no open task of that id. `wetink task list` names them.")
        })?;
        if !(1..=1440).contains(&minutes) {
            return Err(person_error("malformed", "A pass lives between 1 minute and 24 hours."));
        }
        let expires_at = now.plus_seconds(u64::from(minutes) * 60).min(scope.not_after);
        let pass = crate::signin::random_token("wtp");
        self.enroll_pass(SessionId::random(), &scope, &who.name, &pass, expires_at, key.as_deref()).await?;
        Ok(NewPass { pass, task, agent: scope.agent, expires_at, url: format!("{}/mcp", self.inner.config.agents_url) })
    }

    async fn authorize_view(&self, _who: &Person, request: AuthorizeRequest) -> Result<AuthorizeView, PersonError> {
        self.authorize_page(request).await
    }

    async fn authorize(
        &self,
        who: &Person,
        request: AuthorizeRequest,
        task: Option<TaskId>,
    ) -> Result<String, PersonError> {
        self.authorized(who, request, task).await
    }

    async fn replay_policy(&self, _who: &Person, text: String) -> Result<PolicyReplay, PersonError> {
        self.replay_policy(text).await
    }

    async fn stop(&self, who: &Person, scope: String) -> Result<(), PersonError> {
        let request = Request::Stop { scope, by: who.name.clone() };
        match self.inner.link.ask(&request).await.map_err(DeskError::from)? {
            Answer::Done { index } => Ok(self.applied(index + 1).await?),
            _ => Err(DeskError::from(LinkError::Protocol).into()),
        }
    }

    async fn audit(&self, _who: &Person, filter: AuditFilter) -> Result<Vec<AuditRow>, PersonError> {
        let AuditFilter { before, actor, task, target, proposal, event, digest } = filter;
        let filter = SearchFilter { before, actor, task, target, proposal, event, digest };
        let rows = self.view(move |store| store.search(&filter)).await?;
        Ok(rows.into_iter().map(|row| AuditRow { index: row.index, entry: row.body }).collect())
    }

    async fn signals(&self, _who: &Person, before: Option<u64>) -> Result<Vec<SignalView>, PersonError> {
        let rows = self.view(move |store| store.signals(before)).await?;
        Ok(rows.into_iter().map(signal_view).collect())
    }

    async fn checkpoint(&self) -> Result<String, PersonError> {
        self.text(&Request::Checkpoint {}).await
    }

    async fn receipt(&self, _who: &Person, run: RunId) -> Result<String, PersonError> {
        self.text(&Request::Receipt { run }).await
    }

    async fn guard_view(&self, _who: &Person, id: ProposalId) -> Result<String, PersonError> {
        let row = self.row(id, None).await?;
        self.text(&Request::Show { proposal: id, revision: row.revision }).await
    }

    fn changes_feed(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }
}

impl Desk {
    /// Lets `pass` in for a task, as a new session or in the place of the pass that this one had.
    pub(crate) async fn enroll_pass(
        &self,
        session: SessionId,
        scope: &TaskScope,
        by: &str,
        pass: &str,
        until: Timestamp,
        key: Option<&str>,
    ) -> Result<(), DeskError> {
        let digest = artifact::Digest::of(pass.as_bytes());
        let entry = lifecycle::draft::agent_enrolled(session, scope, by, digest, until, key);
        self.record(vec![new_entry(entry)]).await?;
        Ok(())
    }

    async fn text(&self, request: &Request) -> Result<String, PersonError> {
        match self.inner.link.ask(request).await.map_err(DeskError::from)? {
            Answer::Text { text } => Ok(text),
            _ => Err(DeskError::from(LinkError::Protocol).into()),
        }
    }
}
