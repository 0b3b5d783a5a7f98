//! A [`PersonError`] as an answer: a page for browsers, JSON for terminals.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use doors::people::{Person, PersonError};

use crate::html;

/// Makes an error with a stable code.
pub(crate) fn error(code: &str, message: impl Into<String>) -> PersonError {
    PersonError { code: code.to_owned(), message: message.into() }
}

/// The HTTP status of a code. Unknown codes are the server's fault.
pub(crate) fn status_of(error: &PersonError) -> StatusCode {
    match error.code.as_str() {
        "malformed" => StatusCode::BAD_REQUEST,
        "not_signed_in" | "login_failed" => StatusCode::UNAUTHORIZED,
        "not_permitted" | "cross_site" => StatusCode::FORBIDDEN,
        "not_found" => StatusCode::NOT_FOUND,
        "already_decided" | "stale" | "expired" => StatusCode::CONFLICT,
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "wrong_host" => StatusCode::MISDIRECTED_REQUEST,
        "guard_refused" => StatusCode::UNPROCESSABLE_ENTITY,
        "slow_down" => StatusCode::TOO_MANY_REQUESTS,
        "unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// JSON answer.
pub(crate) struct ApiError(pub(crate) PersonError);

impl From<PersonError> for ApiError {
    fn from(error: PersonError) -> Self {
        Self(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (status_of(&self.0), Json(self.0)).into_response()
    }
}

/// Page answer.
pub(crate) struct PageError {
    pub(crate) error: PersonError,
    pub(crate) who: Option<Person>,
    pub(crate) back: String,
}

impl PageError {
    /// For a signed-in person, with the page to go back to.
    pub(crate) fn new(who: &Person, back: impl Into<String>) -> impl FnOnce(PersonError) -> Self {
        let (who, back) = (Some(who.clone()), back.into());
        move |error| Self { error, who, back }
    }

    /// For somebody not signed in.
    pub(crate) fn anonymous(back: &str) -> impl FnOnce(PersonError) -> Self {
        let back = back.to_owned();
        move |error| Self { error, who: None, back }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        (status_of(&self.error), html::error_page(self.who.as_ref(), &self.error, &self.back)).into_response()
    }
}
