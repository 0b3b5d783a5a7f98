//! The people's door: server-rendered pages and the JSON API for terminals, on a listener of its own.
//!
//! Owns: the [`People`] trait the desk stands behind, the facts a reviewer is shown and their skins (HTML, plain text),
//! the route table with who may use what, cookies, headers.
//!
//! Never: holds a credential, an approval key or a result; verifies a signature; decides. It shows and carries.
//!
//! Read [`People`] first, then `facts.rs`.

mod api;
mod error;
mod facts;
mod gate;
mod html;
mod input;
mod pages;
mod people;
mod plain;
mod routes;
mod text;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;

pub use people::{
    Change, EnrollChallenge, LOGIN_NAMESPACE, LoggedIn, Login, LoginChallenge, Passkeys, People, ProviderStart,
    QUEUE_PAGE, QueueFilter, QueueGroup, Returned, SessionToken,
};
pub use plain::plain;

/// Largest request body in bytes: an artifact of 1 MiB, escaped.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// How the listener is reached.
#[derive(Clone, Debug)]
pub struct ReviewConfig {
    /// Origin people use, e.g. `http://localhost:7117` or `https://wetink.example`; no trailing slash.
    pub public_url: String,
    /// True: `__Host-wetink` with Secure, HSTS. False only for plain HTTP on loopback.
    pub secure_cookies: bool,
    /// Accepted `Host` headers, with port where it is not the scheme's own, e.g. `localhost:7117`.
    pub hosts: Vec<String>,
}

/// What every handler gets.
pub(crate) struct Desk<P> {
    pub(crate) people: P,
    pub(crate) config: Arc<ReviewConfig>,
}

impl<P: Clone> Clone for Desk<P> {
    fn clone(&self) -> Self {
        Self { people: self.people.clone(), config: Arc::clone(&self.config) }
    }
}

/// Everything people can call, ready to be served with connect info.
pub fn router<P: People>(people: P, config: ReviewConfig) -> Router {
    let desk = Desk { people, config: Arc::new(config) };
    api::router()
        .merge(pages::router())
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::middleware::from_fn_with_state(desk.clone(), gate::check::<P>))
        .with_state(desk)
}

/// A filter of the audit page from its query: an empty field is no filter.
pub(crate) fn audit_filter(fields: Vec<(String, String)>) -> doors::people::AuditFilter {
    let mut filter = doors::people::AuditFilter::default();
    for (name, value) in fields {
        let value = value.trim();
        let text = (!value.is_empty()).then(|| value.to_owned());
        match name.as_str() {
            "before" => filter.before = value.parse().ok(),
            "actor" => filter.actor = text,
            "task" => filter.task = text,
            "target" => filter.target = text,
            "proposal" => filter.proposal = text,
            "event" => filter.event = text,
            "digest" => filter.digest = text,
            _ => {}
        }
    }
    filter
}
