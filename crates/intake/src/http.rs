//! Plain HTTP: the same calls for agents without MCP.

use artifact::ProposalId;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router};
use doors::Refusal;
use doors::agents::{Check, Principal, Propose, RefusalAnswer};
use serde::Serialize;

use crate::surface::{PROPOSE_WAIT_S, Surface, parse, wait};
use crate::{Door, Refused};

/// Every route an agent's pass opens besides `/mcp`. The OpenAPI document and the list of verbs are made from these names.
pub(crate) const ROUTES: [(Method, &str, &str); 7] = [
    (Method::POST, "/v1/check", "check"),
    (Method::POST, "/v1/proposals", "propose"),
    (Method::GET, "/v1/proposals", "list_proposals"),
    (Method::GET, "/v1/proposals/{id}", "get_proposal"),
    (Method::POST, "/v1/proposals/{id}/withdraw", "withdraw"),
    (Method::GET, "/v1/targets", "list_targets"),
    (Method::GET, "/v1/targets/{name}", "describe_target"),
];

type Answer = Result<Response, Refused>;

pub(crate) fn routes<D: Door>(surface: Surface<D>) -> Router {
    ROUTES
        .into_iter()
        .fold(Router::new(), |router, (_, path, verb)| router.route(path, route::<D>(verb)))
        .method_not_allowed_fallback(|| async { refuse_as(StatusCode::METHOD_NOT_ALLOWED, Refusal::Malformed) })
        .with_state(surface)
}

/// The health check: says that this process answers, and nothing else.
pub(crate) fn health() -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { refuse_as(StatusCode::NOT_FOUND, Refusal::Malformed) })
}

fn route<D: Door>(verb: &str) -> MethodRouter<Surface<D>> {
    match verb {
        "check" => post(check::<D>),
        "propose" => post(propose::<D>),
        "list_proposals" => get(list::<D>),
        "get_proposal" => get(fetch::<D>),
        "withdraw" => post(withdraw::<D>),
        "list_targets" => get(targets::<D>),
        "describe_target" => get(describe::<D>),
        _ => MethodRouter::new(),
    }
}

async fn check<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    no_query(query.as_deref())?;
    json(&headers)?;
    let check: Check = parse(&body)?;
    Ok(Json(surface.check(&who, check).await?).into_response())
}

async fn propose<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    json(&headers)?;
    let propose: Propose = parse(&body)?;
    let asked = match (wait_of(query.as_deref())?, propose.wait_s) {
        (Some(_), Some(_)) => {
            return Err(Refused::because(Refusal::Malformed, "Give either `wait` or `wait_s`, not both."));
        }
        (asked, in_body) => asked.or(in_body),
    };
    let time = wait(asked, PROPOSE_WAIT_S)?;
    let answer = surface.propose(&who, propose).await?;
    let first = answer.status;
    Ok(Json(surface.follow(&who, answer, first, time).await).into_response())
}

async fn fetch<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    // Over HTTP a plain read is answered at once; a tool call waits by default, because models poll in tight loops.
    let time = wait(wait_of(query.as_deref())?, 0)?;
    let answer = surface.get(&who, proposal(&id)?).await?;
    let first = answer.status;
    Ok(Json(surface.follow(&who, answer, first, time).await).into_response())
}

async fn withdraw<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Answer {
    no_query(query.as_deref())?;
    if !matches!(body.trim_ascii(), b"" | b"{}") {
        return Err(Refused::because(Refusal::Malformed, "This call takes no body."));
    }
    Ok(Json(surface.withdraw(&who, proposal(&id)?).await?).into_response())
}

#[derive(Serialize)]
struct Proposals<T> {
    proposals: T,
}

#[derive(Serialize)]
struct Targets<T> {
    targets: T,
}

async fn list<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Answer {
    no_query(query.as_deref())?;
    Ok(Json(Proposals { proposals: surface.list(&who).await? }).into_response())
}

async fn targets<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Answer {
    no_query(query.as_deref())?;
    Ok(Json(Targets { targets: surface.targets(&who).await? }).into_response())
}

async fn describe<D: Door>(
    State(surface): State<Surface<D>>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    no_query(query.as_deref())?;
    Ok(Json(surface.describe(&who, &name).await?).into_response())
}

/// An id that cannot exist gets the same answer as one that does not.
fn proposal(id: &str) -> Result<ProposalId, Refused> {
    id.parse().map_err(|_| Refusal::UnknownProposal.into())
}

fn no_query(query: Option<&str>) -> Result<(), Refused> {
    match query {
        None | Some("") => Ok(()),
        Some(_) => Err(Refused::because(Refusal::Malformed, "This call takes no query.")),
    }
}

fn wait_of(query: Option<&str>) -> Result<Option<u8>, Refused> {
    let Some(query) = query.filter(|q| !q.is_empty()) else { return Ok(None) };
    let seconds =
        query.strip_prefix("wait=").filter(|s| s.bytes().all(|c| c.is_ascii_digit())).and_then(|s| s.parse().ok());
    seconds
        .map(Some)
        .ok_or_else(|| Refused::because(Refusal::Malformed, "The query takes `wait=` and seconds from 0 to 45."))
}

fn json(headers: &HeaderMap) -> Result<(), Refused> {
    let essence = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).and_then(|v| v.split(';').next());
    if essence.is_some_and(|e| e.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    Err(Refused::because(Refusal::Malformed, "Send `Content-Type: application/json`."))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refuse(self)
    }
}

/// A refusal with its HTTP status.
pub(crate) fn refuse(refused: impl Into<Refused>) -> Response {
    let refused = refused.into();
    refuse_as(status(refused.refusal), refused)
}

fn refuse_as(status: StatusCode, refused: impl Into<Refused>) -> Response {
    let refused = refused.into();
    tracing::info!(refused = refused.refusal.code(), status = status.as_u16(), "agent request refused");
    let answer = RefusalAnswer::from(refused);
    let retry_after = answer.retry_after_s;
    let mut response = (status, Json(answer)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        // Without `resource_metadata`: the gate adds it where a host can get a pass by itself, else it would search for nothing.
        let realm = HeaderValue::from_static("Bearer realm=\"wetink\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, realm);
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A refusal that a library wrote as plain text, as every other refusal of the gateway; `form` says what was expected.
pub(crate) fn in_our_words(mut response: Response, form: &str) -> Response {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let ours = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let refused =
        if status.is_server_error() { Refusal::Unavailable.into() } else { Refused::because(Refusal::Malformed, form) };
    let mut ours = refuse_as(status, refused);
    if let Some(allow) = response.headers_mut().remove(ALLOW) {
        ours.headers_mut().insert(ALLOW, allow);
    }
    ours
}

/// The HTTP status of a refusal.
pub(crate) const fn status(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::NotAuthenticated => StatusCode::UNAUTHORIZED,
        Refusal::OriginRefused | Refusal::DeniedByPolicy | Refusal::Stopped => StatusCode::FORBIDDEN,
        Refusal::Malformed => StatusCode::BAD_REQUEST,
        Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::UnknownTask | Refusal::UnknownTarget | Refusal::UnknownProposal => StatusCode::NOT_FOUND,
        Refusal::NotUnderstood => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::SlowDown => StatusCode::TOO_MANY_REQUESTS,
        Refusal::WrongState => StatusCode::CONFLICT,
        Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_one_number_or_nothing() {
        assert_eq!(wait_of(None).unwrap(), None);
        assert_eq!(wait_of(Some("wait=7")).unwrap(), Some(7));
        for bad in ["wait=", "wait=-1", "wait=+1", "wait=256", "wait=1&wait=2", "wait=1&x=2", "x=1", "wait=1.5"] {
            assert!(wait_of(Some(bad)).is_err(), "{bad}");
        }
    }
}
