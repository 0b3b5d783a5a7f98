//! How an agent's host gets a pass by itself: a person allows it in the browser (the MCP specification's authorization, revision
//! 2025-11-25: OAuth 2.1 with PKCE for public clients, RFC 8414, RFC 8707, RFC 9207, RFC 9728).
//!
//! This side tells where things are and takes codes and refresh tokens in exchange for passes. Whether a person allowed it is the
//! desk's to know, through [`Door::exchange`]; the page stands at the people's door.

mod client;

use std::sync::Arc;

use artifact::Timestamp;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

pub use client::{Client, ClientError};

use crate::dpop::{self, NotProved, Proofs};
use crate::{Door, IntakeConfig};

/// Metadata of the resource (RFC 9728, section 3.1): at the root, and with the resource's own path.
pub(crate) const RESOURCE_PATHS: [&str; 2] =
    ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"];
const SERVER_PATH: &str = "/.well-known/oauth-authorization-server";
const TOKEN_PATH: &str = "/oauth/token";
const REGISTER_PATH: &str = "/oauth/register";
/// Where a person allows it, at the people's door.
const AUTHORIZE_PATH: &str = "/authorize";
/// The one thing a pass is good for.
pub const SCOPE: &str = "propose";
/// Largest body of these calls, in bytes.
const BODY_MAX: usize = 16 * 1024;

/// Every route of this module that takes something, for the list of verbs.
pub(crate) const ROUTES: [(&str, &str); 5] = [
    ("GET", RESOURCE_PATHS[0]),
    ("GET", RESOURCE_PATHS[1]),
    ("GET", SERVER_PATH),
    ("POST", TOKEN_PATH),
    ("POST", REGISTER_PATH),
];

/// What is given in exchange for a pass.
#[derive(Clone, PartialEq, Eq)]
pub enum Exchange {
    /// What a person's browser brought (RFC 6749, section 4.1.3).
    Code {
        /// The code, good for one try.
        code: String,
        /// The client's id.
        client: String,
        /// Where the code was sent.
        redirect_uri: String,
        /// What the code was asked for with (RFC 7636).
        verifier: String,
    },
    /// What came with the last pass (RFC 6749, section 6).
    Refresh {
        /// The token, good for one try.
        token: String,
        /// The client's id.
        client: String,
    },
}

/// A pass and what renews it. Secrets of the client; never in Debug output.
#[derive(Serialize)]
pub struct Exchanged {
    /// The pass.
    pub access_token: String,
    /// `Bearer`, or `DPoP` for a pass that is bound to a key.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in: u64,
    /// Renews it, once.
    pub refresh_token: String,
    /// What it is good for.
    pub scope: &'static str,
}

/// Why there is no pass (RFC 6749, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// The code or token is unknown, used, ended, another client's, or its task is over.
    InvalidGrant,
    /// That cannot be looked up now.
    Unavailable,
}

/// Where the door's addresses are, for metadata and headers.
struct Known {
    agents: String,
    people: String,
    proofs: Proofs,
}

/// The value of `WWW-Authenticate` that starts a host's search (RFC 9728, section 5.1).
pub(crate) fn challenge(config: &IntakeConfig) -> Option<HeaderValue> {
    config.people_url.as_ref()?;
    let metadata = format!("{}{}", config.public_url, RESOURCE_PATHS[1]);
    HeaderValue::from_str(&format!("Bearer realm=\"wetink\", resource_metadata=\"{metadata}\", scope=\"{SCOPE}\"")).ok()
}

/// These routes; none where there is no people's door to send anybody to.
pub(crate) fn routes<D: Door>(door: D, config: &IntakeConfig) -> Router {
    let Some(people) = config.people_url.clone() else { return Router::new() };
    let known = Arc::new(Known { agents: config.public_url.clone(), people, proofs: Proofs::default() });
    RESOURCE_PATHS
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, get(resource)))
        .route(SERVER_PATH, get(server))
        .route(REGISTER_PATH, post(register))
        .route(TOKEN_PATH, post(token::<D>))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
        .with_state((door, known))
}

type Behind<D> = State<(D, Arc<Known>)>;

async fn resource<D: Door>(State((_, known)): Behind<D>) -> Response {
    Json(json!({
        "resource": format!("{}/mcp", known.agents),
        "resource_name": "Wetink",
        "authorization_servers": [known.agents],
        "scopes_supported": [SCOPE],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["EdDSA"],
    }))
    .into_response()
}

async fn server<D: Door>(State((_, known)): Behind<D>) -> Response {
    Json(json!({
        "issuer": known.agents,
        "authorization_endpoint": format!("{}{AUTHORIZE_PATH}", known.people),
        "token_endpoint": format!("{}{TOKEN_PATH}", known.agents),
        "registration_endpoint": format!("{}{REGISTER_PATH}", known.agents),
        "scopes_supported": [SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "client_id_metadata_document_supported": true,
        "dpop_signing_alg_values_supported": ["EdDSA"],
    }))
    .into_response()
}

/// Dynamic registration (RFC 7591), for hosts without a metadata document. Nothing is kept: the id holds what was registered, and
/// being registered allows nothing.
async fn register<D: Door>(State(_): Behind<D>, body: axum::body::Bytes) -> Response {
    match Client::registered(&body) {
        Ok(client) => {
            let about = json!({
                "client_id": client.id(),
                "client_name": client.name,
                "redirect_uris": client.redirect_uris,
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "scope": SCOPE,
            });
            (StatusCode::CREATED, Json(about)).into_response()
        }
        Err(error @ ClientError::Redirect(_)) => {
            failed(StatusCode::BAD_REQUEST, "invalid_redirect_uri", &error.to_string())
        }
        Err(error) => failed(StatusCode::BAD_REQUEST, "invalid_client_metadata", &error.to_string()),
    }
}

fn failed(status: StatusCode, error: &str, description: &str) -> Response {
    // The description's characters are those of RFC 6749, section 5.2.
    let description: String =
        description.chars().map(|c| if c.is_ascii_graphic() && c != '"' && c != '\\' { c } else { ' ' }).collect();
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

async fn token<D: Door>(
    State((door, known)): Behind<D>,
    uri: Uri,
    headers: HeaderMap,
    form: Result<axum::Form<Vec<(String, String)>>, axum::extract::rejection::FormRejection>,
) -> Response {
    let bad = |error, why: &str| failed(StatusCode::BAD_REQUEST, error, why);
    let Ok(axum::Form(fields)) = form else {
        return bad("invalid_request", "send application/x-www-form-urlencoded, at most 16 KiB");
    };
    let exchange = match exchange(&fields, &known.agents) {
        Ok(exchange) => exchange,
        Err((error, why)) => return bad(error, why),
    };
    let key = if headers.contains_key(dpop::HEADER) {
        let asked = dpop::Asked { method: &Method::POST, uri: &uri, headers: &headers, pass: None };
        match known.proofs.take(&asked, None, Timestamp::now()) {
            Ok(thumbprint) => Some(thumbprint),
            Err(NotProved::Nonce) => {
                let mut response =
                    bad("use_dpop_nonce", "repeat the request with the value of DPoP-Nonce in the proof");
                if let Ok(nonce) = HeaderValue::from_str(known.proofs.nonce()) {
                    response.headers_mut().insert(dpop::NONCE, nonce);
                }
                return response;
            }
            Err(NotProved::Wrong) => return bad("invalid_dpop_proof", "the proof is not usable"),
            Err(NotProved::Busy) => {
                return failed(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again in a minute");
            }
        }
    } else {
        None
    };
    match door.exchange(exchange, key).await {
        Ok(exchanged) => Json(exchanged).into_response(),
        Err(ExchangeError::InvalidGrant) => bad(
            "invalid_grant",
            "the code or token is unknown, used or ended, or its task is over; ask the person again",
        ),
        Err(ExchangeError::Unavailable) => {
            failed(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again in a moment")
        }
    }
}

/// What a token request asks for. A parameter that stands there twice is refused (RFC 6749, section 3.2).
fn exchange(fields: &[(String, String)], agents: &str) -> Result<Exchange, (&'static str, &'static str)> {
    let get = |name: &str| {
        let mut found = fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.clone());
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(("invalid_request", "a parameter stands there twice")),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    };
    let need = |name| get(name)?.ok_or(("invalid_request", "a parameter is missing"));
    // A pass is for this door only (RFC 8707).
    if get("resource")?.is_some_and(|resource| !is_resource(&resource, agents)) {
        return Err(("invalid_target", "that resource is not served here"));
    }
    match need("grant_type")?.as_str() {
        "authorization_code" => Ok(Exchange::Code {
            code: need("code")?,
            client: need("client_id")?,
            redirect_uri: need("redirect_uri")?,
            verifier: need("code_verifier")?,
        }),
        "refresh_token" => Ok(Exchange::Refresh { token: need("refresh_token")?, client: need("client_id")? }),
        _ => Err(("unsupported_grant_type", "use authorization_code or refresh_token")),
    }
}

/// Whether `resource` names the door whose address is `agents`, as a whole or its MCP address.
pub fn is_resource(resource: &str, agents: &str) -> bool {
    let rest = resource.strip_prefix(agents);
    matches!(rest, Some("" | "/" | "/mcp" | "/mcp/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        text.split('&').filter_map(|f| f.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
    }

    #[test]
    fn a_token_request_is_one_of_two() {
        let ask = |text: &str| exchange(&fields(text), "http://gw").map(|_| ()).map_err(|(error, _)| error);
        let code = "grant_type=authorization_code&code=c&client_id=i&redirect_uri=r&code_verifier=v";
        assert_eq!(ask(code), Ok(()));
        assert_eq!(ask(&format!("{code}&resource=http://gw/mcp")), Ok(()));
        assert_eq!(ask(&format!("{code}&resource=http://gw.evil/mcp")), Err("invalid_target"));
        assert_eq!(ask(&format!("{code}&code=d")), Err("invalid_request"));
        assert_eq!(ask("grant_type=authorization_code&code=c&client_id=i&redirect_uri=r"), Err("invalid_request"));
        assert_eq!(ask("grant_type=refresh_token&refresh_token=t&client_id=i"), Ok(()));
        assert_eq!(ask("grant_type=client_credentials"), Err("unsupported_grant_type"));
    }
}
