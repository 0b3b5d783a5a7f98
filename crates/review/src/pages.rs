//! The pages' handlers: each calls the desk once or twice and renders. A form is a POST that ends in a redirect.

use artifact::Timestamp;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Router, routing};
use doors::people::{AuditFilter, AuthorizeRequest, Person, PersonError};
use maud::Markup;
use serde::Deserialize;

use crate::error::{PageError, error};
use crate::gate::{LeadsTo, Token, away, away_cookie, local_path, set_cookie};
use crate::html::{self, SignPage};
use crate::input::{self, Address, Form};
use crate::people::{Before, People, QueueFilter, Returned};
use crate::{Desk, audit_filter};

type Page = Result<Markup, PageError>;
type Done = Result<Response, PageError>;
type Fields = axum::Form<Vec<(String, String)>>;

pub(crate) fn router<P: People>() -> Router<Desk<P>> {
    use routing::{get, post};
    Router::new()
        .route("/static/app.js", get(app_js))
        .route("/static/style.css", get(style_css))
        .route("/login", get(login_form).post(login))
        .route("/login/provider", get(provider))
        .route("/login/provider/callback", get(provider_callback))
        .route("/login/provider/logout", post(provider_logout))
        .route("/logout", post(logout))
        .route("/logout/everywhere", post(logout_everywhere))
        .route("/enroll", get(enroll_form).post(enroll))
        .route("/enroll/finish", post(enroll_finish))
        .route("/join", get(join_form).post(join))
        .route("/", get(queue))
        .route("/r/{id}", get(review))
        .route("/r/{id}/approve", post(approve))
        .route("/together", get(together))
        .route("/together/sign", post(sign_together))
        .route("/r/{id}/changes", post(changes))
        .route("/r/{id}/reject", post(reject))
        .route("/r/{id}/rows", post(rows))
        .route("/runs/{run}/undo", post(undo))
        .route("/r/{id}/take-over", post(take_over))
        .route("/runs/{run}", get(held).post(choose))
        .route("/runs/{run}/release", post(release))
        .route("/runs/{run}/receipt", get(receipt))
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", get(task))
        .route("/tasks/{id}/pass", post(pass))
        .route("/stop", post(stop))
        .route("/grants", post(grant))
        .route("/grants/sign", post(grant_sign))
        .route("/authorize", get(authorize_form).post(authorize))
        .route("/alerts", get(alerts))
        .route("/audit", get(audit))
        .route("/audit/checkpoint", get(checkpoint))
        .route("/settings", get(settings))
        .route("/events", get(events))
}

fn file(kind: &'static str, body: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], body).into_response()
}

async fn app_js() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../assets/app.js"))
}

async fn style_css() -> Response {
    file("text/css; charset=utf-8", include_str!("../assets/style.css"))
}

fn text(kind: &'static str, name: &str, body: String) -> Response {
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""))
        .unwrap_or(HeaderValue::from_static("attachment"));
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_DISPOSITION, disposition)], body)
        .into_response()
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Next {
    next: String,
}

async fn login_form<P: People>(State(desk): State<Desk<P>>, Query(query): Query<Next>) -> Page {
    let challenge = desk.people.login_challenge().await.map_err(PageError::anonymous("/login"))?;
    Ok(html::login_page(&challenge, local_path(&query.next)))
}

async fn login<P: People>(State(desk): State<Desk<P>>, address: Address, axum::Form(fields): Fields) -> Done {
    let form = Form::from(fields);
    let failed = PageError::anonymous("/login");
    let signed_in = async {
        let (token, _) = desk.people.login(form.get("id"), form.signature()?, &address.0).await?;
        set_cookie(Some(&token.0), desk.config.secure_cookies)
    };
    let cookie = signed_in.await.map_err(failed)?;
    let mut headers = HeaderMap::new();
    headers.insert(header::SET_COOKIE, cookie);
    Ok((headers, Redirect::to(local_path(form.get("next")))).into_response())
}

async fn provider<P: People>(State(desk): State<Desk<P>>, Query(query): Query<Next>) -> Done {
    let start = desk.people.provider_begin(local_path(&query.next)).await.map_err(PageError::anonymous("/login"))?;
    let cookie = away_cookie(Some(&start.browser), desk.config.secure_cookies);
    let cookie = cookie.map_err(PageError::anonymous("/login"))?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&start.url)).into_response())
}

async fn provider_callback<P: People>(
    State(desk): State<Desk<P>>,
    headers: HeaderMap,
    Query(returned): Query<Returned>,
) -> Done {
    let secure = desk.config.secure_cookies;
    let signed_in = async {
        let browser = away(&headers, secure).unwrap_or_default();
        let (token, next) = desk.people.provider_finish(&returned, &browser).await?;
        Ok((set_cookie(Some(&token.0), secure)?, away_cookie(None, secure)?, next))
    };
    let (session, ended, next) = signed_in.await.map_err(PageError::anonymous("/login"))?;
    // A page of ours in between: a redirection would still count as the provider's, and bring no session along.
    let mut answer = html::back_page(local_path(&next)).into_response();
    answer.headers_mut().append(header::SET_COOKIE, session);
    answer.headers_mut().append(header::SET_COOKIE, ended);
    Ok(answer)
}

async fn provider_logout<P: People>(State(desk): State<Desk<P>>, axum::Form(fields): Fields) -> Done {
    let form = Form::from(fields);
    desk.people.provider_logout(form.get("logout_token")).await.map_err(PageError::anonymous("/login"))?;
    Ok(().into_response())
}

async fn logout_everywhere<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Done {
    desk.people.logout_everywhere(&who).await;
    let cookie = set_cookie(None, desk.config.secure_cookies).map_err(PageError::anonymous("/login"))?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

async fn authorize_form<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(request): Query<AuthorizeRequest>,
) -> Done {
    let failed = PageError::new(&who, "/");
    let view = desk.people.authorize_view(&who, request).await.map_err(failed)?;
    let leads = LeadsTo::of(&view.request.redirect_uri);
    let mut page = html::authorize_page(&who, &view).into_response();
    if let Some(leads) = leads {
        page.extensions_mut().insert(leads);
    }
    Ok(page)
}

async fn authorize<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let text = |name: &str| form.get(name).to_owned();
    let request = AuthorizeRequest {
        client_id: text("client_id"),
        redirect_uri: text("redirect_uri"),
        response_type: text("response_type"),
        code_challenge: text("code_challenge"),
        code_challenge_method: text("code_challenge_method"),
        scope: text("scope"),
        state: text("state"),
        resource: text("resource"),
    };
    let allowed = async {
        let task = match form.get("answer") {
            "allow" => Some(input::id(form.get("task"))?),
            "deny" => None,
            _ => return Err(error("malformed", "choose to allow it or not")),
        };
        desk.people.authorize(&who, request, task).await
    };
    let to = allowed.await.map_err(PageError::new(&who, "/"))?;
    Ok(Redirect::to(&to).into_response())
}

async fn logout<P: People>(State(desk): State<Desk<P>>, Extension(token): Extension<Token>) -> Done {
    desk.people.logout(&token.0).await;
    let cookie = set_cookie(None, desk.config.secure_cookies).map_err(PageError::anonymous("/login"))?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

async fn enroll_form() -> Markup {
    html::enroll_page()
}

async fn enroll<P: People>(State(desk): State<Desk<P>>, axum::Form(fields): Fields) -> Page {
    let form = Form::from(fields);
    let token = form.get("token");
    let challenge = desk.people.enroll_begin(token).await.map_err(PageError::anonymous("/enroll"))?;
    Ok(html::enroll_ceremony(&challenge, token))
}

async fn enroll_finish<P: People>(State(desk): State<Desk<P>>, axum::Form(fields): Fields) -> Page {
    let form = Form::from(fields);
    let finished = desk.people.enroll_finish(
        form.get("token"),
        form.get("person"),
        form.get("attestation_object"),
        form.get("client_data"),
    );
    finished.await.map_err(PageError::anonymous("/enroll"))?;
    Ok(html::enrolled_page())
}

async fn join_form<P: People>(State(desk): State<Desk<P>>) -> Page {
    let challenge = desk.people.join_begin().await.map_err(PageError::anonymous("/login"))?;
    Ok(html::join_page(&challenge))
}

async fn join<P: People>(State(desk): State<Desk<P>>, axum::Form(fields): Fields) -> Page {
    let form = Form::from(fields);
    let asked = desk.people.join_finish(form.get("person"), form.get("attestation_object"), form.get("client_data"));
    Ok(html::joined_page(&asked.await.map_err(PageError::anonymous("/join"))?))
}

async fn queue<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(filter): Query<QueueFilter>,
) -> Page {
    let rows = desk.people.queue(&who, filter).await.map_err(PageError::new(&who, "/"))?;
    Ok(html::queue_page(&who, filter, &rows, Timestamp::now()))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Revision {
    revision: Option<u32>,
}

async fn review<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    Query(query): Query<Revision>,
) -> Page {
    let shown = async {
        let view = desk.people.proposal(&who, input::id(&id)?, query.revision).await?;
        let passkeys = desk.people.passkeys(&who).await?;
        Ok((view, passkeys))
    };
    let (view, passkeys) = shown.await.map_err(PageError::new(&who, "/"))?;
    Ok(html::review_page(&who, &view, &passkeys, Timestamp::now()))
}

async fn approve<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let signed = async { desk.people.approve(&who, input::id(&id)?, form.signed()?).await };
    signed.await.map_err(PageError::new(&who, format!("/r/{id}")))?;
    Ok(Redirect::to(&format!("/r/{id}")).into_response())
}

/// The proposals ticked, each in full.
async fn together<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(fields): Query<Vec<(String, String)>>,
) -> Page {
    let form = Form::from(fields);
    let prepared = async {
        let together = desk.people.together(&who, form.proposals()?).await?;
        Ok((together, desk.people.passkeys(&who).await?))
    };
    let (together, passkeys) = prepared.await.map_err(PageError::new(&who, "/"))?;
    Ok(html::together_page(&who, &passkeys, &together, Timestamp::now()))
}

/// Each is an approval of its own, so one that fails stops none of the others.
async fn sign_together<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let signed = async {
        let mut first = None;
        for claim in form.signed_together()? {
            let id = input::proposal_of(&claim.statement)?;
            first = first.or(desk.people.approve(&who, id, claim).await.err());
        }
        first.map_or(Ok(()), Err)
    };
    signed.await.map_err(PageError::new(&who, "/?group=all"))?;
    Ok(Redirect::to("/?group=all").into_response())
}

async fn changes<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let said = async { desk.people.changes(&who, input::id(&id)?, input::sentence(form.get("sentence"))?).await };
    said.await.map_err(PageError::new(&who, format!("/r/{id}")))?;
    Ok(Redirect::to(&format!("/r/{id}")).into_response())
}

async fn reject<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let said = async { desk.people.reject(&who, input::id(&id)?, input::sentence(form.get("sentence"))?).await };
    said.await.map_err(PageError::new(&who, format!("/r/{id}")))?;
    Ok(Redirect::to(&format!("/r/{id}")).into_response())
}

async fn take_over<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let taken = async { desk.people.take_over(&who, input::id(&id)?, input::artifact(form.text("body"))?).await };
    let view = taken.await.map_err(PageError::new(&who, format!("/r/{id}")))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)).into_response())
}

async fn rows<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
) -> Page {
    let looked = async { desk.people.rows(&who, input::id(&id)?).await };
    Ok(html::rows_page(&who, &looked.await.map_err(PageError::new(&who, format!("/r/{id}")))?))
}

async fn undo<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Done {
    let proposed = async { desk.people.undo(&who, input::id(&run)?).await };
    let view = proposed.await.map_err(PageError::new(&who, "/"))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)).into_response())
}

async fn held<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Page {
    let held = async { desk.people.held(&who, input::id(&run)?).await };
    Ok(html::held_page(&who, &held.await.map_err(PageError::new(&who, "/"))?))
}

/// The boxes ticked become a statement, which the next page has signed.
async fn choose<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
    axum::Form(fields): Fields,
) -> Page {
    let form = Form::from(fields);
    let back = format!("/runs/{run}");
    let prepared = async {
        let to_sign = desk.people.release_statement(&who, input::id(&run)?, form.selection()?).await?;
        Ok((to_sign, desk.people.passkeys(&who).await?))
    };
    let (to_sign, passkeys) = prepared.await.map_err(PageError::new(&who, back.clone()))?;
    let page = SignPage {
        title: "Release",
        intro: "The agent gets exactly what this statement names, and nothing else of the result.",
        statement: &to_sign.statement,
        attachment: None,
        action: format!("/runs/{run}/release"),
        button: "Sign & release",
        command: format!("wetink result release {run}"),
        back: &back,
    };
    Ok(html::sign_page(&who, &passkeys, &page))
}

async fn release<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let released = async { desk.people.release(&who, input::id(&run)?, form.signed()?).await };
    let view = released.await.map_err(PageError::new(&who, format!("/runs/{run}")))?;
    Ok(Redirect::to(&format!("/r/{}", view.row.id)).into_response())
}

async fn receipt<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(run): Path<String>,
) -> Done {
    let receipt = async { desk.people.receipt(&who, input::id(&run)?).await };
    let receipt = receipt.await.map_err(PageError::new(&who, "/"))?;
    Ok(text("application/json", &format!("receipt-{run}.json"), receipt))
}

async fn tasks<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Page {
    let overview = desk.people.overview(&who).await.map_err(PageError::new(&who, "/"))?;
    Ok(html::tasks_page(&who, &overview, Timestamp::now()))
}

async fn task<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
) -> Page {
    let overview = desk.people.overview(&who).await.map_err(PageError::new(&who, "/tasks"))?;
    let task = overview.registry.tasks.iter().find(|t| html::task_id(t) == id);
    let task = task.ok_or_else(|| {
        PageError::new(&who, "/tasks")(error("not_found", "there is no such task; the list names them"))
    })?;
    Ok(html::task_page(&who, task, Timestamp::now()))
}

async fn pass<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Path(id): Path<String>,
    axum::Form(fields): Fields,
) -> Page {
    let form = Form::from(fields);
    let made = async {
        let minutes = form.get("minutes").parse().map_err(|_| error("malformed", "minutes is a whole number"))?;
        let key = Some(form.get("key").to_owned()).filter(|key| !key.is_empty());
        desk.people.new_pass(&who, input::id(&id)?, minutes, key).await
    };
    let pass = made.await.map_err(PageError::new(&who, format!("/tasks/{id}")))?;
    Ok(html::pass_page(&who, &pass, Timestamp::now()))
}

async fn stop<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let stopped = async { desk.people.stop(&who, input::scope(form.get("scope"))?).await };
    stopped.await.map_err(PageError::new(&who, "/tasks"))?;
    // One run is seen on its own page.
    let of_one = form.get("scope").strip_prefix("proposal:").and_then(|id| id.parse::<artifact::ProposalId>().ok());
    let seen = of_one.map_or_else(|| "/tasks".to_owned(), |id| format!("/r/{id}"));
    Ok(Redirect::to(&seen).into_response())
}

/// A form becomes a statement, which the page has signed.
async fn grant<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    axum::Form(fields): Fields,
) -> Page {
    let form = Form::from(fields);
    let prepared = async {
        let request = form.grant()?;
        input::may_grant(&who, &request)?;
        let to_sign = desk.people.grant_statement(&who, request).await?;
        Ok::<_, PersonError>((to_sign, desk.people.passkeys(&who).await?))
    };
    let (to_sign, passkeys) = prepared.await.map_err(PageError::new(&who, "/settings"))?;
    let page = SignPage {
        title: "Sign a grant",
        intro: "Whoever signs this is answerable for it. Nothing is granted before the guard has verified your signature.",
        statement: &to_sign.statement,
        attachment: to_sign.attachment.as_deref(),
        action: "/grants/sign".to_owned(),
        button: "Sign",
        command: "wetink --help".to_owned(),
        back: "/settings",
    };
    Ok(html::sign_page(&who, &passkeys, &page))
}

async fn grant_sign<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    axum::Form(fields): Fields,
) -> Done {
    let form = Form::from(fields);
    let granted = async {
        let claim = form.signed()?;
        let attachment = if form.get("attachment").is_empty() { None } else { Some(form.exact("attachment")?) };
        desk.people.grant(&who, doors::people::SignedGrant { claim, attachment }).await
    };
    granted.await.map_err(PageError::new(&who, "/settings"))?;
    Ok(Redirect::to("/settings").into_response())
}

async fn alerts<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(before): Query<Before>,
) -> Result<Markup, PageError> {
    let rows = desk.people.signals(&who, before.before).await.map_err(PageError::new(&who, "/alerts"))?;
    Ok(html::alerts_page(&who, &rows))
}

async fn audit<P: People>(
    State(desk): State<Desk<P>>,
    Extension(who): Extension<Person>,
    Query(fields): Query<Vec<(String, String)>>,
) -> Page {
    let filter: AuditFilter = audit_filter(fields);
    let rows = desk.people.audit(&who, filter.clone()).await.map_err(PageError::new(&who, "/audit"))?;
    Ok(html::audit_page(&who, &filter, &rows))
}

async fn checkpoint<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Done {
    let note = desk.people.checkpoint().await.map_err(PageError::new(&who, "/audit"))?;
    Ok(text("text/plain; charset=utf-8", "checkpoint", note))
}

async fn settings<P: People>(State(desk): State<Desk<P>>, Extension(who): Extension<Person>) -> Page {
    let shown = async {
        let admin = who.roles.iter().any(|role| role == "admin");
        let asking = if admin { desk.people.key_requests(&who).await? } else { Vec::new() };
        Ok((desk.people.overview(&who).await?, asking))
    };
    let (overview, asking) = shown.await.map_err(PageError::new(&who, "/"))?;
    let sessions = desk.people.sessions(&who).await;
    Ok(html::settings_page(&who, &overview, &asking, &sessions, Timestamp::now()))
}

/// One event for each change of state: the proposal's id and its state, nothing else.
async fn events<P: People>(State(desk): State<Desk<P>>) -> Response {
    let feed = desk.people.changes_feed();
    let stream = futures_util::stream::unfold(feed, |mut feed| async move {
        use tokio::sync::broadcast::error::RecvError;
        let event = match feed.recv().await {
            Ok(change) => Event::default().event("change").data(format!("{} {}", change.id, change.status.as_str())),
            // Some were missed: the page reloads what it shows.
            Err(RecvError::Lagged(_)) => Event::default().event("change").data("some"),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok::<_, std::convert::Infallible>(event), feed))
    });
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}
