//! Handlers of the pages. Forms post and redirect; the passkey's bytes travel in hidden fields.

use std::convert::Infallible;
use std::time::Duration;

use artifact::{ProposalId, RunId, TaskId, Timestamp};
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Router, routing};
use futures_util::stream;
use maud::Markup;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use wire::people::{AuditFilter, Person, PersonError, SignedGrant};

use crate::Desk;
use crate::error::{PageError, error};
use crate::gate::{Token, local_path, set_cookie};
use crate::html::{self, SignPage};
use crate::input::{self, Address, Form};
use crate::people::{Passkeys, People, QueueFilter, QueueGroup};

type Page = Result<Markup, PageError>;
type Go = Result<Redirect, PageError>;
type Fields = Result<axum::Form<Vec<(String, String)>>, FormRejection>;

/// Longest life of one event stream; browsers come back by themselves, and are then asked for their session again.
const STREAM_LIFE: Duration = Duration::from_secs(300);

pub(crate) fn router<P: People>() -> Router<Desk<P>> {
    use routing::{get, post};
    Router::new()
        .route("/static/app.js", get(script))
        .route("/static/style.css", get(style))
        .route("/login", get(login_page).post(login))
        .route("/logout", post(logout))
        .route("/enroll", get(enroll_page).post(enroll_begin))
        .route("/enroll/finish", post(enroll_finish))
        .route("/", get(queue))
        .route("/r/{id}", get(review))
        .route("/r/{id}/approve", post(approve))
        .route("/r/{id}/changes", post(changes))
        .route("/r/{id}/reject", post(reject))
        .route("/r/{id}/take-over", post(take_over))
        .route("/runs/{run}", get(held).post(release_statement))
        .route("/runs/{run}/release", post(release))
        .route("/runs/{run}/receipt", get(receipt))
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", get(task))
        .route("/tasks/{id}/pass", post(new_pass))
        .route("/stop", post(stop))
        .route("/grants", post(grant_statement))
        .route("/grants/sign", post(grant))
        .route("/audit", get(audit))
        .route("/audit/checkpoint", get(checkpoint))
        .route("/settings", get(settings))
        .route("/events", get(events))
}

async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../assets/app.js"))
}

async fn style() -> Response {
    file("text/css; charset=utf-8", include_str!("../assets/style.css"))
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// The fields of a posted form.
fn fields(fields: Fields) -> Result<Form, PersonError> {
    match fields {
        Ok(axum::Form(pairs)) => Ok(pairs.into()),
        Err(e) if e.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(error("too_large", "the form is too large")),
        Err(_) => Err(error("malformed", "the form is damaged; reload the page and try again")),
    }
}

// Signing in ---------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn login_page<P: People>(State(desk): State<Desk<P>>, Query(query): Query<Next>) -> Page {
    let challenge = desk.people.login_challenge().await.map_err(PageError::anonymous("/login"))?;
    Ok(html::login_page(&challenge, local_path(&query.next)))
}

async fn login<P: People>(State(desk): State<Desk<P>>, address: Address, form: Fields) -> Result<Response, PageError> {
    let result = async {
        let form = fields(form)?;
        let (token, _) = desk.people.login(form.get("id"), form.signature()?, &address.0).await?;
        let cookie = set_cookie(Some(&token.0), desk.config.secure_cookies)?;
        Ok((cookie, local_path(form.get("next")).to_owned()))
    };
    let (cookie, next) = result.await.map_err(PageError::anonymous("/login"))?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response())
}

async fn logout<P: People>(
    State(desk): State<Desk<P>>,
    Extension(token): Extension<Token>,
) -> Result<Response, PageError> {
    desk.people.logout(&token.0).await;
    let cookie = set_cookie(None, desk.config.secure_cookies).map_err(PageError::anonymous("/login"))?;
    let clear = HeaderValue::from_static("\"cache\", \"storage\"");
    Ok((
        [(header::SET_COOKIE, cookie), (header::HeaderName::from_static("clear-site-data"), clear)],
        Redirect::to("/login"),
    )
        .into_response())
}

async fn enroll_page() -> Markup {
    html::enroll_page()
}

async fn enroll_begin<P: People>(State(desk): State<Desk<P>>, form: Fields) -> Page {
    let result = async {
        let form = fields(form)?;
        let token = form.get("token").to_owned();
        let challenge = desk.people.enroll_begin(&token).await?;
        Ok(html::enroll_ceremony(&challenge, &token))
    };
    result.await.map_err(PageError::anonymous("/enroll"))
}

async fn enroll_finish<P: People>(State(desk): State<Desk<P>>, form: Fields) -> Page {
    let result = async {
        let form = fields(form)?;
        let attestation = form.get("attestation_object");
        desk.people.enroll_finish(form.get("token"), form.get("person"), attestation, form.get("client_data")).await?;
        Ok(html::enrolled_page())
    };
    result.await.map_err(PageError::anonymous("/enroll"))
}

// Deciding -----------------------------------------------------------------------------------------------------------

#[derive(Deserialize)]
struct QueueQuery {
    #[serde(default)]
    group: QueueGroup,
    before: Option<Timestamp>,
}

async fn queue<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    query: Result<Query<QueueQuery>, QueryRejection>,
) -> Page {
    let filter =
        query.map_or_else(|_| QueueFilter::default(), |Query(q)| QueueFilter { group: q.group, before: q.before });
    let rows = desk.people.queue(&who, filter).await.map_err(PageError::new(&who, "/"))?;
    Ok(html::queue_page(&who, filter, &rows, Timestamp::now()))
}

#[derive(Deserialize)]
struct Revision {
    revision: Option<u32>,
}

async fn review<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    query: Result<Query<Revision>, QueryRejection>,
) -> Page {
    let revision = query.ok().and_then(|q| q.0.revision);
    let result = async {
        let view = desk.people.proposal(&who, input::id(&id)?, revision).await?;
        // The passkeys only spare a choice in the browser's dialog; without them the authenticator offers what it has.
        let passkeys = match view.statement {
            Some(_) => desk.people.passkeys(&who).await?,
            None => Passkeys::default(),
        };
        Ok(html::review_page(&who, &view, &passkeys, Timestamp::now()))
    };
    result.await.map_err(PageError::new(&who, "/"))
}

/// Where a decision about a proposal is made; also where every error leads back to.
fn here(id: &str) -> String {
    id.parse::<ProposalId>().map_or_else(|_| "/".to_owned(), |id| format!("/r/{id}"))
}

async fn approve<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    form: Fields,
) -> Go {
    let result = async { desk.people.approve(&who, input::id(&id)?, fields(form)?.signed()?).await };
    let view = result.await.map_err(PageError::new(&who, here(&id)))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)))
}

async fn changes<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    form: Fields,
) -> Go {
    let result =
        async { desk.people.changes(&who, input::id(&id)?, input::sentence(fields(form)?.get("sentence"))?).await };
    let view = result.await.map_err(PageError::new(&who, here(&id)))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)))
}

async fn reject<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    form: Fields,
) -> Go {
    let result =
        async { desk.people.reject(&who, input::id(&id)?, input::sentence(fields(form)?.get("sentence"))?).await };
    let view = result.await.map_err(PageError::new(&who, here(&id)))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)))
}

async fn take_over<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    form: Fields,
) -> Go {
    let result =
        async { desk.people.take_over(&who, input::id(&id)?, input::artifact(fields(form)?.text("body"))?).await };
    let view = result.await.map_err(PageError::new(&who, here(&id)))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)))
}

// Releasing ----------------------------------------------------------------------------------------------------------

async fn held<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Page {
    let result = async { desk.people.held(&who, input::id(&run)?).await };
    let held = result.await.map_err(PageError::new(&who, "/"))?;
    Ok(html::held_page(&who, &held))
}

async fn release_statement<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
    form: Fields,
) -> Page {
    let result = async {
        let run: RunId = input::id(&run)?;
        let selection = fields(form)?.selection()?;
        let to_sign = desk.people.release_statement(&who, run, selection).await?;
        let passkeys = desk.people.passkeys(&who).await?;
        let page = SignPage {
            title: "Release",
            intro: "Touching your key now gives the agent exactly what this statement names, and nothing else of the result.",
            statement: &to_sign.statement,
            attachment: None,
            action: format!("/runs/{run}/release"),
            button: "Sign & release",
            command: format!("wetink release {run}"),
            back: &format!("/runs/{run}"),
        };
        Ok(html::sign_page(&who, &passkeys, &page))
    };
    result.await.map_err(PageError::new(&who, "/"))
}

async fn release<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
    form: Fields,
) -> Go {
    let result = async { desk.people.release(&who, input::id(&run)?, fields(form)?.signed()?).await };
    let view = result.await.map_err(PageError::new(&who, "/"))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)))
}

async fn receipt<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Result<Response, PageError> {
    let result = async {
        let run: RunId = input::id(&run)?;
        Ok((run, desk.people.receipt(&who, run).await?))
    };
    let (run, receipt) = result.await.map_err(PageError::new(&who, "/"))?;
    let name = format!("attachment; filename=\"{run}.receipt.json\"");
    Ok(([(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)], receipt)
        .into_response())
}

// Tasks, grants, stop ------------------------------------------------------------------------------------------------

async fn tasks<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Page {
    let overview = desk.people.overview(&who).await.map_err(PageError::new(&who, "/"))?;
    Ok(html::tasks_page(&who, &overview, Timestamp::now()))
}

async fn task<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
) -> Page {
    let result = async {
        let id: TaskId = input::id(&id)?;
        let overview = desk.people.overview(&who).await?;
        let task = overview.registry.tasks.iter().find(|t| html::id_of(t) == Some(id));
        let task = task
            .ok_or_else(|| error("not_found", "this task is not open and was not closed lately; search the audit"))?;
        Ok(html::task_page(&who, task, id, Timestamp::now()))
    };
    result.await.map_err(PageError::new(&who, "/tasks"))
}

async fn new_pass<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    form: Fields,
) -> Page {
    let result = async {
        let id: TaskId = input::id(&id)?;
        let minutes = fields(form)?.number("minutes")?;
        desk.people.new_pass(&who, id, minutes).await
    };
    let pass = result.await.map_err(PageError::new(&who, "/tasks"))?;
    Ok(html::pass_page(&who, &pass, Timestamp::now()))
}

async fn stop<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>, form: Fields) -> Go {
    let result = async { desk.people.stop(&who, input::scope(fields(form)?.get("scope"))?).await };
    result.await.map_err(PageError::new(&who, "/tasks"))?;
    Ok(Redirect::to("/tasks"))
}

async fn grant_statement<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    form: Fields,
) -> Page {
    let result = async {
        let request = fields(form)?.grant()?;
        input::may_grant(&who, &request)?;
        let to_sign = desk.people.grant_statement(&who, request).await?;
        let passkeys = desk.people.passkeys(&who).await?;
        let page = SignPage {
            title: "Sign this grant",
            intro: "It takes effect when you sign, and stands in the log under your name.",
            statement: &to_sign.statement,
            attachment: to_sign.attachment.as_deref(),
            action: "/grants/sign".to_owned(),
            button: "Sign & grant",
            command: "wetink grant".to_owned(),
            back: "/tasks",
        };
        Ok(html::sign_page(&who, &passkeys, &page))
    };
    result.await.map_err(PageError::new(&who, "/tasks"))
}

async fn grant<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>, form: Fields) -> Go {
    let result = async {
        let form = fields(form)?;
        let attachment = if form.get("attachment").is_empty() { None } else { Some(form.exact("attachment")?) };
        desk.people.grant(&who, SignedGrant { claim: form.signed()?, attachment }).await
    };
    result.await.map_err(PageError::new(&who, "/tasks"))?;
    Ok(Redirect::to("/tasks"))
}

// Looking back -------------------------------------------------------------------------------------------------------

async fn audit<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Page {
    let form: Form = query.map(|q| q.0).unwrap_or_default().into();
    let field = |name: &str| Some(form.get(name).chars().take(200).collect::<String>()).filter(|v| !v.is_empty());
    let filter = AuditFilter {
        before: form.get("before").parse().ok(),
        actor: field("actor"),
        task: field("task"),
        target: field("target"),
        proposal: field("proposal"),
        event: field("event"),
        digest: field("digest"),
    };
    let rows = desk.people.audit(&who, filter.clone()).await.map_err(PageError::new(&who, "/audit"))?;
    Ok(html::audit_page(&who, &filter, &rows))
}

async fn checkpoint<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
) -> Result<Response, PageError> {
    let note = desk.people.checkpoint().await.map_err(PageError::new(&who, "/audit"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], note).into_response())
}

async fn settings<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Page {
    let overview = desk.people.overview(&who).await.map_err(PageError::new(&who, "/"))?;
    Ok(html::settings_page(&who, &overview, Timestamp::now()))
}

/// Which proposals changed, as they change: ids and states, nothing else.
async fn events<P: People>(State(desk): State<Desk<P>>) -> Result<Response, PageError> {
    let permit = desk.streams.clone().try_acquire_owned();
    let permit =
        permit.map_err(|_| error("slow_down", "too many pages are open")).map_err(PageError::anonymous("/"))?;
    let feed = desk.people.changes_feed();
    let end = Instant::now() + STREAM_LIFE;
    let stream = stream::unfold((feed, permit), move |(mut feed, permit)| async move {
        let event = match tokio::time::timeout_at(end, feed.recv()).await {
            Ok(Ok(change)) => {
                Event::default().event("change").data(format!("{} {}", change.id, change.status.as_str()))
            }
            Ok(Err(RecvError::Lagged(_))) => Event::default().event("change").data("* many"),
            Ok(Err(RecvError::Closed)) | Err(_) => return None,
        };
        Some((Ok::<_, Infallible>(event), (feed, permit)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()).into_response())
}
