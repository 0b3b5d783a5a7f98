//! The JSON API for terminals, one route for one method of [`People`].

use artifact::claim::Signed;
use artifact::{ProposalId, RunId, TaskId};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router, routing};
use doors::people::{
    AuditFilter, AuditRow, GrantRequest, GrantToSign, HeldView, KeyRequest, NewPass, Overview, Person, PolicyReplay,
    QueueRow, ReviewView, RowsView, Selection, SignalView, SignedGrant, ToSign, Together, TryPolicy,
};
use serde::{Deserialize, Serialize};

use crate::Desk;
use crate::error::{ApiError, error};
use crate::gate::Token;
use crate::input::{self, Address};
use crate::people::{Before, LoggedIn, Login, LoginChallenge, People, QueueFilter};

type Answer<T> = Result<Json<T>, ApiError>;

/// A JSON body; anything else is `malformed`.
#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
struct Body<T>(T);

/// A query string; anything else is `malformed`.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
struct Query<T>(T);

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let too_large = rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE;
        let (code, message) = if too_large {
            ("too_large", "the request is too large".to_owned())
        } else {
            ("malformed", rejection.body_text().chars().take(300).map(artifact::visible_char).collect())
        };
        Self(error(code, message))
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        let message: String = rejection.body_text().chars().take(300).map(artifact::visible_char).collect();
        Self(error("malformed", message))
    }
}

/// Body of `changes` and `reject`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sentence {
    /// For the agent; 1 to 500 characters, no hidden ones.
    pub sentence: String,
}

/// Body of `take-over`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replacement {
    /// The person's own artifact.
    pub body: String,
}

/// Body of `passes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassRequest {
    /// An open task.
    pub task: TaskId,
    /// Until the pass ends.
    pub minutes: u32,
    /// Thumbprint of the agent's key that the pass is bound to.
    #[serde(default)]
    pub key: Option<String>,
}

/// Body of `stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRequest {
    /// `all`, `task:<id>`, `target:<name>`, `agent:<name>` or `person:<name>`.
    pub scope: String,
}

/// Query of `proposals/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RevisionQuery {
    /// The newest if absent.
    pub revision: Option<u32>,
}

pub(crate) fn router<P: People>() -> Router<Desk<P>> {
    use routing::{get, post};
    Router::new()
        .route("/api/v1/login/challenge", post(challenge))
        .route("/api/v1/login", post(login))
        .route("/api/v1/logout", post(logout))
        .route("/api/v1/person", get(person))
        .route("/api/v1/queue", get(queue))
        .route("/api/v1/proposals/{id}", get(proposal))
        .route("/api/v1/proposals/{id}/approve", post(approve))
        .route("/api/v1/together", post(together))
        .route("/api/v1/proposals/{id}/changes", post(changes))
        .route("/api/v1/proposals/{id}/reject", post(reject))
        .route("/api/v1/proposals/{id}/take-over", post(take_over))
        .route("/api/v1/proposals/{id}/rows", post(rows))
        .route("/api/v1/runs/{run}/undo", post(undo))
        .route("/api/v1/runs/{run}/held", get(held))
        .route("/api/v1/runs/{run}/release-statement", post(release_statement))
        .route("/api/v1/runs/{run}/release", post(release))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/key-requests", get(key_requests))
        .route("/api/v1/policy/replay", post(replay_policy))
        .route("/api/v1/grant-statement", post(grant_statement))
        .route("/api/v1/grants", post(grant))
        .route("/api/v1/passes", post(passes))
        .route("/api/v1/stop", post(stop))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/audit", get(audit))
        .route("/api/v1/checkpoint", get(checkpoint))
        .route("/api/v1/receipt/{run}", get(receipt))
        .route("/api/v1/from-guard/{id}", get(from_guard))
}

async fn challenge<P: People>(State(desk): State<Desk<P>>) -> Answer<LoginChallenge> {
    Ok(Json(desk.people.login_challenge().await?))
}

async fn login<P: People>(State(desk): State<Desk<P>>, address: Address, Body(body): Body<Login>) -> Answer<LoggedIn> {
    let (token, person) = desk.people.login(&body.id, body.signature, &address.0).await?;
    Ok(Json(LoggedIn { token, person }))
}

async fn logout<P: People>(State(desk): State<Desk<P>>, Extension(token): Extension<Token>) -> Answer<()> {
    desk.people.logout(&token.0).await;
    Ok(Json(()))
}

async fn person(Extension(who): Extension<Person>) -> Json<Person> {
    Json(who)
}

async fn queue<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(filter): Query<QueueFilter>,
) -> Answer<Vec<QueueRow>> {
    Ok(Json(desk.people.queue(&who, filter).await?))
}

async fn proposal<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    Query(query): Query<RevisionQuery>,
) -> Answer<ReviewView> {
    let id: ProposalId = input::id(&id)?;
    Ok(Json(desk.people.proposal(&who, id, query.revision).await?))
}

async fn approve<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    Body(claim): Body<Signed>,
) -> Answer<ReviewView> {
    let id: ProposalId = input::id(&id)?;
    Ok(Json(desk.people.approve(&who, id, claim).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposals {
    proposals: Vec<ProposalId>,
}

async fn together<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Body(body): Body<Proposals>,
) -> Answer<Together> {
    Ok(Json(desk.people.together(&who, body.proposals).await?))
}

async fn changes<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    Body(body): Body<Sentence>,
) -> Answer<ReviewView> {
    let id: ProposalId = input::id(&id)?;
    Ok(Json(desk.people.changes(&who, id, input::sentence(&body.sentence)?).await?))
}

async fn reject<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    Body(body): Body<Sentence>,
) -> Answer<ReviewView> {
    let id: ProposalId = input::id(&id)?;
    Ok(Json(desk.people.reject(&who, id, input::sentence(&body.sentence)?).await?))
}

async fn take_over<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    Body(body): Body<Replacement>,
) -> Answer<ReviewView> {
    let id: ProposalId = input::id(&id)?;
    Ok(Json(desk.people.take_over(&who, id, input::artifact(body.body)?).await?))
}

async fn rows<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
) -> Answer<RowsView> {
    let id: ProposalId = input::id(&id)?;
    Ok(Json(desk.people.rows(&who, id).await?))
}

async fn undo<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Answer<ReviewView> {
    let run: RunId = input::id(&run)?;
    Ok(Json(desk.people.undo(&who, run).await?))
}

async fn held<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Answer<HeldView> {
    let run: RunId = input::id(&run)?;
    Ok(Json(desk.people.held(&who, run).await?))
}

async fn release_statement<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
    Body(selection): Body<Selection>,
) -> Answer<ToSign> {
    let run: RunId = input::id(&run)?;
    Ok(Json(desk.people.release_statement(&who, run, selection).await?))
}

async fn release<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
    Body(claim): Body<Signed>,
) -> Answer<ReviewView> {
    let run: RunId = input::id(&run)?;
    Ok(Json(desk.people.release(&who, run, claim).await?))
}

async fn overview<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Answer<Overview> {
    Ok(Json(desk.people.overview(&who).await?))
}

async fn grant_statement<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Body(request): Body<GrantRequest>,
) -> Answer<GrantToSign> {
    input::may_grant(&who, &request)?;
    Ok(Json(desk.people.grant_statement(&who, request).await?))
}

async fn key_requests<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
) -> Answer<Vec<KeyRequest>> {
    Ok(Json(desk.people.key_requests(&who).await?))
}

async fn grant<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Body(grant): Body<SignedGrant>,
) -> Answer<()> {
    Ok(Json(desk.people.grant(&who, grant).await?))
}

async fn passes<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Body(body): Body<PassRequest>,
) -> Answer<NewPass> {
    Ok(Json(desk.people.new_pass(&who, body.task, body.minutes, body.key).await?))
}

async fn replay_policy<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Body(body): Body<TryPolicy>,
) -> Answer<PolicyReplay> {
    Ok(Json(desk.people.replay_policy(&who, body.text).await?))
}

async fn stop<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Body(body): Body<StopRequest>,
) -> Answer<()> {
    Ok(Json(desk.people.stop(&who, input::scope(&body.scope)?).await?))
}

async fn alerts<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(before): Query<Before>,
) -> Result<Json<Vec<SignalView>>, ApiError> {
    Ok(Json(desk.people.signals(&who, before.before).await?))
}

async fn audit<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(filter): Query<AuditFilter>,
) -> Answer<Vec<AuditRow>> {
    Ok(Json(desk.people.audit(&who, filter).await?))
}

fn text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn checkpoint<P: People>(State(desk): State<Desk<P>>) -> Result<Response, ApiError> {
    Ok(text(desk.people.checkpoint().await?))
}

async fn receipt<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Result<Response, ApiError> {
    let run: RunId = input::id(&run)?;
    let receipt = desk.people.receipt(&who, run).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], receipt).into_response())
}

async fn from_guard<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id: ProposalId = input::id(&id)?;
    Ok(text(desk.people.guard_view(&who, id).await?))
}
