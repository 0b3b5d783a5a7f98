//! What every request passes: host, same site, session, role; and the headers every answer carries.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use doors::people::PersonError;

use crate::error::{ApiError, PageError, error};
use crate::people::People;
use crate::routes::{Needs, find};
use crate::{Desk, ReviewConfig};

/// Everything comes from this origin; nothing is inline, framed or sent elsewhere.
pub(crate) const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The token of this request's session.
#[derive(Clone)]
pub(crate) struct Token(pub(crate) Arc<str>);

/// Checks a request before its handler sees it. Denies on doubt: a route missing in the table is not served.
pub(crate) async fn check<P: People>(State(desk): State<Desk<P>>, mut request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let secure = desk.config.secure_cookies;
    let refuse = |e: PersonError, who| {
        if api {
            ApiError(e).into_response()
        } else {
            PageError { error: e, who, back: "/".to_owned() }.into_response()
        }
    };
    let response = 'answer: {
        if !host_known(request.headers(), &desk.config) {
            break 'answer refuse(
                error("wrong_host", "this name is not served here; use the address printed at start"),
                None,
            );
        }
        if request.method() == Method::POST && !same_site(request.headers(), &desk.config, api) {
            let message = "this form came from another site; open the page here and try again";
            break 'answer refuse(error("cross_site", message), None);
        }
        let route = request.extensions().get::<MatchedPath>().and_then(|p| find(request.method().as_str(), p.as_str()));
        let Some(route) = route else {
            break 'answer refuse(error("not_found", "there is no such page; go back to the queue"), None);
        };
        let token = if api { bearer(request.headers()) } else { cookie(request.headers(), cookie_name(secure)) };
        let person = match &token {
            Some(token) if route.needs != Needs::Anyone => desk.people.person(token).await,
            _ => None,
        };
        if !route.needs.allows(person.as_ref()) {
            break 'answer match (&person, api) {
                (None, false) => Redirect::to(&login_url(&request)).into_response(),
                (None, true) => refuse(error("not_signed_in", "sign in first; terminals do it by themselves"), None),
                (Some(_), _) => {
                    refuse(error("not_permitted", "your roles do not allow this; ask an admin"), person.clone())
                }
            };
        }
        if let (Some(token), Some(person)) = (token, person) {
            request.extensions_mut().insert(Token(token.into()));
            request.extensions_mut().insert(person);
        }
        next.run(request).await
    };
    with_headers(response, secure)
}

/// A place besides this origin where a form of this answer may lead: the program that a person lets in.
#[derive(Clone)]
pub(crate) struct LeadsTo(pub(crate) String);

impl LeadsTo {
    /// Scheme, host and port of an address; the scheme alone of a program's own.
    pub(crate) fn of(uri: &str) -> Option<Self> {
        let (scheme, rest) = uri.split_once("://").or_else(|| uri.split_once(':'))?;
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]+".contains(&b));
        (plain(scheme) && plain(host)).then(|| match scheme {
            "http" | "https" => Self(format!("{scheme}://{host}")),
            _ => Self(format!("{scheme}:")),
        })
    }
}

fn login_url(request: &Request) -> String {
    let here = request.uri().path_and_query().map_or("/", |p| p.as_str());
    if request.method() == Method::GET && here != "/" && here != "/events" {
        format!("/login?next={}", escaped(here))
    } else {
        "/login".to_owned()
    }
}

/// A path as the value of a query.
pub(crate) fn escaped(path: &str) -> String {
    path.bytes().map(percent).collect()
}

fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-_./".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// A local path to go on to: nothing that a browser could read as another origin.
pub(crate) fn local_path(next: &str) -> &str {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if plain && next.starts_with('/') && !next.starts_with("//") && next.len() <= 4000 { next } else { "/" }
}

fn host_known(headers: &HeaderMap, config: &ReviewConfig) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|h| h.to_str().ok());
    hosts.next().is_none() && host.is_some_and(|h| config.hosts.iter().any(|known| known.eq_ignore_ascii_case(h)))
}

/// Whether a POST comes from our own pages. Browsers send `Sec-Fetch-Site` (to https and loopback, the only places this
/// is served from) or at least `Origin`; text browsers send neither and are still held by the SameSite cookie.
/// Terminals use a bearer token, which no site can add, so for them only a browser's own word counts.
fn same_site(headers: &HeaderMap, config: &ReviewConfig, api: bool) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => {
            headers.get(header::ORIGIN).is_none_or(|origin| !api && origin.as_bytes() == config.public_url.as_bytes())
        }
    }
}

/// Name of the session cookie.
pub(crate) const fn cookie_name(secure: bool) -> &'static str {
    if secure { "__Host-wetink" } else { "wetink" }
}

/// Sets the session cookie, or ends it.
pub(crate) fn set_cookie(token: Option<&str>, secure: bool) -> Result<HeaderValue, PersonError> {
    let name = cookie_name(secure);
    let secure = if secure { "; Secure" } else { "" };
    let value = match token {
        Some(token) if token_ok(token) => format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}"),
        Some(_) => return Err(error("unavailable", "the desk gave no usable session; try again")),
        None => format!("{name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0{secure}"),
    };
    HeaderValue::from_str(&value).map_err(|_| error("unavailable", "the desk gave no usable session; try again"))
}

/// Name of the cookie of a browser that is away at the identity provider.
const fn away_name(secure: bool) -> &'static str {
    if secure { "__Host-wetink-away" } else { "wetink-away" }
}

/// Sets what a browser keeps until it is back from the identity provider, or ends it. It comes along on the way back from another
/// site, which the session's own cookie does not.
pub(crate) fn away_cookie(value: Option<&str>, secure: bool) -> Result<HeaderValue, PersonError> {
    let (value, age) = value.map_or(("", 0), |value| (value, 600));
    let (name, mark) = (away_name(secure), if secure { "; Secure" } else { "" });
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{mark}");
    HeaderValue::from_str(&text).map_err(|_| error("unavailable", "sign-in cannot be started; try again"))
}

/// What the browser kept.
pub(crate) fn away(headers: &HeaderMap, secure: bool) -> Option<String> {
    cookie(headers, away_name(secure))
}

fn token_ok(token: &str) -> bool {
    (1..=200).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|h| h.to_str().ok()).flat_map(|h| h.split(';'));
    let mut values = pairs.filter_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='));
    let value = values.next().filter(|v| token_ok(v))?;
    // Two cookies of one name: somebody planted one. Neither is taken.
    values.next().is_none().then(|| value.to_owned())
}

fn bearer(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ").filter(|t| token_ok(t)).map(str::to_owned)
}

/// Adds what every answer carries.
fn with_headers(mut response: Response, secure: bool) -> Response {
    let leads = response.extensions_mut().remove::<LeadsTo>();
    let policy = leads.map(|LeadsTo(place)| CSP.replace("form-action 'self'", &format!("form-action 'self' {place}")));
    let policy = policy.and_then(|policy| HeaderValue::from_str(&policy).ok());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static(CSP)));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.insert(
        "permissions-policy",
        HeaderValue::from_static("camera=(), microphone=(), geolocation=(), publickey-credentials-get=(self), publickey-credentials-create=(self)"),
    );
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_paths_are_gone_on_to() {
        assert_eq!(local_path("/r/p-1?x=1"), "/r/p-1?x=1");
        for bad in ["", "r", "//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "/ä", "javascript:x"]
        {
            assert_eq!(local_path(bad), "/", "{bad}");
        }
    }

    #[test]
    fn a_planted_second_cookie_ends_the_session() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; wetink=abc"));
        assert_eq!(cookie(&headers, "wetink").as_deref(), Some("abc"));
        headers.append(header::COOKIE, HeaderValue::from_static("wetink=evil"));
        assert_eq!(cookie(&headers, "wetink"), None);
    }

    #[test]
    fn cookies_carry_their_fences() {
        assert_eq!(
            set_cookie(Some("abc"), true).unwrap(),
            "__Host-wetink=abc; Path=/; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(set_cookie(Some("a;b"), true).is_err());
        assert!(set_cookie(None, false).unwrap().to_str().unwrap().contains("Max-Age=0"));
    }
}
