//! What every request passes before anything of it is read: address, size, pass, share of the work.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use artifact::{SessionId, Timestamp};
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use doors::Refusal;
use doors::agents::{Principal, WAIT_MAX_S};
use futures_util::StreamExt;
use http_body_util::LengthLimitError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::address::{Addresses, only};
use crate::dpop::{self, NotProved, Proofs};
use crate::http::{in_our_words, refuse};
use crate::tls::{Peer, is_certificate_binding};
use crate::{Door, IntakeConfig, Refused, oauth};

/// Largest body of a request, in bytes. An artifact of the largest size fits with its escapes; nothing else comes near.
pub(crate) const BODY_MAX: usize = 2 * 1024 * 1024;
/// Longest pass, in bytes.
const PASS_MAX: usize = 512;
const ACCEL: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The checks in front, shared by MCP and HTTP.
#[derive(Clone)]
pub(crate) struct Gate<D> {
    door: D,
    addresses: Arc<Addresses>,
    all: Arc<Semaphore>,
    shares: Shares,
    body_time: Duration,
    door_time: Duration,
    proofs: Arc<Proofs>,
    /// Tells a host without a pass where to ask for one.
    challenge: Option<HeaderValue>,
}

impl<D> Gate<D> {
    pub(crate) fn new(door: D, config: &IntakeConfig) -> Self {
        Self {
            door,
            addresses: Arc::new(Addresses::new(&config.allowed_hosts, &config.allowed_origins)),
            all: Arc::new(Semaphore::new(config.requests_max.min(Semaphore::MAX_PERMITS))),
            shares: Shares { max: config.session_requests_max, held: Arc::default() },
            body_time: config.body_time,
            door_time: config.door_time,
            proofs: Arc::default(),
            challenge: oauth::challenge(config),
        }
    }
}

/// Lets a request of an agent through, with its [`Principal`] among the extensions, its whole body in memory and its pass
/// taken away.
pub(crate) async fn agents<D: Door>(State(gate): State<Gate<D>>, request: Request, next: Next) -> Response {
    match admit(&gate, request).await {
        Ok((request, work)) => {
            // Every step inside has its own shorter limit; this one holds if one of them should fail to.
            let limit = Duration::from_secs(u64::from(WAIT_MAX_S)) + gate.door_time.saturating_mul(3);
            match tokio::time::timeout(limit, next.run(request)).await {
                Ok(response) => keep_while_streaming(response, work),
                Err(_) => refuse(Refusal::Unavailable),
            }
        }
        Err(NotAdmitted::Refused(refused)) => {
            let unknown = refused.refusal == Refusal::NotAuthenticated;
            let mut response = refuse(refused);
            if let Some(challenge) = gate.challenge.clone().filter(|_| unknown) {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
        Err(NotAdmitted::Nonce) => {
            let mut response = refuse(Refusal::NotAuthenticated);
            let wanted = HeaderValue::from_static("DPoP error=\"use_dpop_nonce\", algs=\"EdDSA\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, wanted);
            if let Ok(nonce) = HeaderValue::from_str(gate.proofs.nonce()) {
                response.headers_mut().insert(dpop::NONCE, nonce);
            }
            response
        }
    }
}

/// Lets a request through that was sent to one of our names.
pub(crate) async fn addressed<D: Door>(State(gate): State<Gate<D>>, request: Request, next: Next) -> Response {
    if gate.addresses.accept(request.uri(), request.headers()) {
        next.run(request).await
    } else {
        refuse(Refusal::OriginRefused)
    }
}

/// Form and headers of every answer.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = in_our_words(next.run(request).await, "The request fits no route.");
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if streams(headers) {
        headers.insert(ACCEL, HeaderValue::from_static("no"));
    }
    response
}

async fn admit<D: Door>(gate: &Gate<D>, request: Request) -> Result<(Request, Work), NotAdmitted> {
    let (mut parts, body) = request.into_parts();
    if !gate.addresses.accept(&parts.uri, &parts.headers) {
        return Err(Refusal::OriginRefused.into());
    }
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|n| n > BODY_MAX as u64) {
        return Err(Refusal::TooLarge.into());
    }
    let (scheme, pass) = pass(&parts.headers).ok_or(Refusal::NotAuthenticated)?;
    let all = Arc::clone(&gate.all).try_acquire_owned().map_err(|_| Refusal::SlowDown)?;
    let from = parts.extensions.get::<ConnectInfo<Peer>>();
    let address = from.map_or_else(|| "local".to_owned(), |ConnectInfo(peer)| peer.address.ip().to_string());
    let who = tokio::time::timeout(gate.door_time, gate.door.authenticate(&pass, &address))
        .await
        .map_err(|_| Refusal::Unavailable)??;
    proved(gate, scheme, &pass, &who, &parts)?;
    let share = gate.shares.take(who.session).ok_or(Refusal::SlowDown)?;
    let whole = tokio::time::timeout(gate.body_time, axum::body::to_bytes(body, BODY_MAX))
        .await
        .map_err(|_| Refused::because(Refusal::Malformed, "The body did not arrive in time."))?
        .map_err(|error| too_large_or_cut(&error))?;
    know(&mut parts, who);
    Ok((Request::from_parts(parts, Body::from(whole)), Work { _all: all, _share: share }))
}

/// A pass that is bound to a key is nothing without it, and one that is not is not dressed up as one.
fn proved<D>(gate: &Gate<D>, scheme: Scheme, pass: &str, who: &Principal, parts: &Parts) -> Result<(), NotAdmitted> {
    match (&who.bound_to, scheme) {
        (None, Scheme::Bearer) => Ok(()),
        // Bound to a certificate: the connection has proved it, or not (RFC 8705, section 3).
        (Some(binding), Scheme::Bearer) if is_certificate_binding(binding) => {
            let peer = parts.extensions.get::<ConnectInfo<Peer>>();
            if peer.is_some_and(|ConnectInfo(peer)| peer.is(binding)) {
                Ok(())
            } else {
                Err(Refused::from(Refusal::NotAuthenticated).into())
            }
        }
        (Some(key), Scheme::Dpop) => {
            let asked =
                dpop::Asked { method: &parts.method, uri: &parts.uri, headers: &parts.headers, pass: Some(pass) };
            match gate.proofs.take(&asked, Some(key), Timestamp::now()) {
                Ok(_) => Ok(()),
                Err(NotProved::Nonce) => Err(NotAdmitted::Nonce),
                Err(NotProved::Wrong) => Err(Refused::from(Refusal::NotAuthenticated).into()),
                Err(NotProved::Busy) => Err(Refused::from(Refusal::SlowDown).into()),
            }
        }
        (None, Scheme::Dpop) | (Some(_), Scheme::Bearer) => Err(Refused::from(Refusal::NotAuthenticated).into()),
    }
}

/// Why a request stays outside.
enum NotAdmitted {
    Refused(Refused),
    /// Its proof lacks the value that the answer tells it (RFC 9449, section 8).
    Nonce,
}

impl<T: Into<Refused>> From<T> for NotAdmitted {
    fn from(refused: T) -> Self {
        Self::Refused(refused.into())
    }
}

/// How a pass is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// Puts the principal where the pass was: nothing behind the gate has a use for it, and what is not there cannot be logged.
fn know(parts: &mut Parts, who: Principal) {
    parts.headers.remove(AUTHORIZATION);
    parts.headers.remove(dpop::HEADER);
    parts.headers.remove(COOKIE);
    parts.extensions.insert(who);
}

/// The pass of the one Authorization header; only there, never from a query or a cookie (RFC 6750, section 2.1; RFC 9449,
/// section 7.1).
fn pass(headers: &HeaderMap) -> Option<(Scheme, String)> {
    let (scheme, pass) = only(headers, AUTHORIZATION.as_str())?.split_once(' ')?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Scheme::Bearer,
        "dpop" => Scheme::Dpop,
        _ => return None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    let fits = !pass.is_empty() && pass.len() <= PASS_MAX && pass.chars().all(plain);
    fits.then(|| (scheme, pass.to_owned()))
}

fn too_large_or_cut(error: &axum::Error) -> Refused {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return Refusal::TooLarge.into();
        }
        cause = error.source();
    }
    Refused::because(Refusal::Malformed, "The body did not arrive whole.")
}

/// One request's share of the work, given back on drop.
struct Work {
    _all: OwnedSemaphorePermit,
    _share: Share,
}

/// A stream goes on after its headers; its share is given back with its end.
fn keep_while_streaming(response: Response, work: Work) -> Response {
    if !streams(response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let stream = body.into_data_stream().map(move |chunk| {
        let _held = &work;
        chunk
    });
    (parts, Body::from_stream(stream)).into_response()
}

fn streams(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// How many requests each session has at work.
#[derive(Clone)]
struct Shares {
    max: usize,
    held: Arc<Mutex<HashMap<SessionId, usize>>>,
}

struct Share {
    session: SessionId,
    held: Arc<Mutex<HashMap<SessionId, usize>>>,
}

impl Shares {
    fn take(&self, session: SessionId) -> Option<Share> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(session).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Share { session, held: Arc::clone(&self.held) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_its_share_and_gives_it_back() {
        let shares = Shares { max: 2, held: Arc::default() };
        let (one, other) = (SessionId::random(), SessionId::random());
        let first = shares.take(one).unwrap();
        let _second = shares.take(one).unwrap();
        assert!(shares.take(one).is_none());
        assert!(shares.take(other).is_some());
        drop(first);
        assert!(shares.take(one).is_some());
        assert_eq!(shares.held.lock().unwrap().len(), 1);
    }

    #[test]
    fn the_pass_ends_at_the_gate() {
        let who = Principal {
            session: SessionId::random(),
            agent: "robin".to_owned(),
            person: "ada".to_owned(),
            task: artifact::TaskId::random(),
            address: "127.0.0.1".to_owned(),
            bound_to: None,
        };
        let request = Request::post("/mcp").header(AUTHORIZATION, "Bearer wtk_secret").header(COOKIE, "wtk_secret");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        know(&mut parts, who.clone());
        assert!(!format!("{parts:?}").contains("wtk_secret"));
        assert_eq!(parts.extensions.get(), Some(&who));
    }

    #[test]
    fn a_pass_is_one_plain_token() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            pass(&headers)
        };
        assert_eq!(read(&["Bearer wtk_abc-1"]), Some((Scheme::Bearer, "wtk_abc-1".to_owned())));
        assert_eq!(read(&["bearer x"]), Some((Scheme::Bearer, "x".to_owned())));
        assert_eq!(read(&["DPoP x"]), Some((Scheme::Dpop, "x".to_owned())));
        let long = format!("Bearer {}", "x".repeat(PASS_MAX + 1));
        for bad in
            [&[][..], &["Basic x"], &["Bearer"], &["Bearer "], &["Bearer a b"], &["Bearer a", "Bearer b"], &[&long]]
        {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
