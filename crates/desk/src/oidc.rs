//! Signing in at an identity provider (OpenID Connect Core 1.0, code flow with PKCE; Back-Channel Logout 1.0).
//!
//! It opens a session of the pages and nothing else: what is signed is still signed with a key that the guard knows. The
//! provider's tokens are read once and dropped; no agent and no log ever sees them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use artifact::{Digest, Timestamp};
use aws_lc_rs::digest::{SHA256, digest};
use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doors::people::{Person, PersonError};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use review::{ProviderStart, SessionToken};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::outbound::{self, Outbound, OutboundError, escaped, query};
use crate::people::person_error;
use crate::signin::{How, random_token};
use crate::state::Desk;

/// How long a person may take at the provider, in seconds.
const AWAY_S: u64 = 600;
/// People who are away at once at most.
const AWAY_MAX: usize = 1000;
/// How long the provider's description and keys are believed.
const KNOWN: Duration = Duration::from_hours(1);
/// How soon its keys may be asked for again, because a token names one that is not known.
const AGAIN: Duration = Duration::from_secs(30);
/// How far its clock may be from ours, in seconds.
const LEEWAY_S: u64 = 60;
/// Signatures that are accepted: public keys only, so that a client's secret never signs for the provider.
const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS384];
/// The claim of a token that ends sessions (Back-Channel Logout 1.0, section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Roles that a group can mean.
const ROLES: [&str; 3] = ["admin", "reviewer", "auditor"];

/// Which provider, and what its groups mean here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// Its issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// File with our secret there; none for a public client.
    pub client_secret_file: Option<PathBuf>,
    /// Claim with the person's name here; an address counts only if the provider verified it.
    #[serde(default = "email")]
    pub person_claim: String,
    /// Claim with the person's groups.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// Further scopes to ask for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// PEM file with further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Roles by group.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<String>>,
}

fn email() -> String {
    "email".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
}

impl OidcConfig {
    /// Refuses what cannot be meant.
    pub(crate) fn checked(self) -> Result<Self, String> {
        let unknown = self.roles.values().flatten().find(|role| !ROLES.contains(&role.as_str()));
        if let Some(role) = unknown {
            return Err(format!("`{}` is no role; roles are admin, reviewer, auditor", artifact::visible(role)));
        }
        if self.issuer.ends_with('/') && self.issuer.matches('/').count() == 3 {
            return Err("write the issuer as its tokens name it; most have no slash at the end".to_owned());
        }
        Ok(self)
    }
}

/// What the provider says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Described {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Somebody who is away at the provider.
struct Away {
    until: Timestamp,
    /// Digest of what the browser that started it holds.
    browser: Digest,
    nonce: String,
    verifier: String,
    next: String,
}

struct Known {
    described: std::sync::Arc<Described>,
    keys: std::sync::Arc<JwkSet>,
    since: Instant,
}

/// The provider, as far as it is known.
pub(crate) struct Oidc {
    config: OidcConfig,
    secret: Option<Zeroizing<String>>,
    outbound: Outbound,
    redirect_uri: String,
    known: tokio::sync::Mutex<Option<Known>>,
    away: Mutex<HashMap<Digest, Away>>,
    /// Logout tokens that were taken, until they have ended.
    logged_out: Mutex<HashMap<String, u64>>,
}

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The file of the secret.
    #[error("the client's secret in {} cannot be read", .0.display())]
    Secret(PathBuf),
    /// Certificates.
    #[error("{0}")]
    Tls(String),
}

/// The claims of an identity token that count here.
#[derive(Deserialize)]
struct Identity {
    sub: String,
    nonce: Option<String>,
    azp: Option<String>,
    sid: Option<String>,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Logout {
    sub: Option<String>,
    sid: Option<String>,
    jti: String,
    exp: Option<u64>,
    iat: u64,
    nonce: Option<Value>,
    events: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_signed_in(why: &str) -> PersonError {
    person_error("not_signed_in", format!("{why} Start again from the sign-in page."))
}

fn unreachable(error: &OutboundError) -> PersonError {
    person_error("unavailable", format!("The identity provider cannot be asked: {error}. Nobody was signed in."))
}

impl Oidc {
    pub(crate) fn new(config: OidcConfig, people_url: &str) -> Result<Self, OidcError> {
        let secret = match &config.client_secret_file {
            None => None,
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|_| OidcError::Secret(file.clone()))?;
                Some(Zeroizing::new(text.trim_end().to_owned()))
            }
        };
        let outbound = Outbound::named(config.ca_file.as_deref()).map_err(|error| OidcError::Tls(error.to_string()))?;
        Ok(Self {
            secret,
            outbound,
            redirect_uri: format!("{people_url}/login/provider/callback"),
            known: tokio::sync::Mutex::new(None),
            away: Mutex::default(),
            logged_out: Mutex::default(),
            config,
        })
    }

    /// What people call it: its host.
    pub(crate) fn name(&self) -> String {
        let rest = self.config.issuer.split("://").nth(1).unwrap_or(&self.config.issuer);
        rest.split('/').next().unwrap_or_default().to_owned()
    }

    /// Its description and keys, asked for when they are old; `again` where a token names a key that is not among them.
    async fn known(&self, again: bool) -> Result<(std::sync::Arc<Described>, std::sync::Arc<JwkSet>), PersonError> {
        let mut known = self.known.lock().await;
        let fresh = known.as_ref().filter(|k| k.since.elapsed() < if again { AGAIN } else { KNOWN });
        if let Some(k) = fresh {
            return Ok((k.described.clone(), k.keys.clone()));
        }
        let at = format!("{}/.well-known/openid-configuration", self.config.issuer.trim_end_matches('/'));
        let described: Described = self.json(&at).await?;
        // It speaks for itself only (Discovery, section 4.3).
        if described.issuer != self.config.issuer {
            return Err(person_error(
                "unavailable",
                "The identity provider calls itself by another name than the settings do.",
            ));
        }
        let keys: JwkSet = self.json(&described.jwks_uri).await?;
        let new = Known { described: described.into(), keys: keys.into(), since: Instant::now() };
        let told = (new.described.clone(), new.keys.clone());
        *known = Some(new);
        Ok(told)
    }

    async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, PersonError> {
        let body = self.outbound.get(url).await.map_err(|error| unreachable(&error))?;
        serde_json::from_slice(&body)
            .map_err(|_| person_error("unavailable", "The identity provider's answer is not usable."))
    }

    /// Where the browser goes, and what it holds meanwhile.
    pub(crate) async fn begin(&self, next: &str) -> Result<ProviderStart, PersonError> {
        let (described, _) = self.known(false).await?;
        let (state, nonce, verifier, browser) =
            (random_token("s"), random_token("n"), random_token("v"), random_token("b"));
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let mut scopes = vec!["openid", "email"];
        scopes.extend(self.config.scopes.iter().map(String::as_str));
        let url = query(
            &described.authorization_endpoint,
            &[
                ("response_type", "code"),
                ("client_id", &self.config.client_id),
                ("redirect_uri", &self.redirect_uri),
                ("scope", &scopes.join(" ")),
                ("state", &state),
                ("nonce", &nonce),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        );
        let now = Timestamp::now();
        let mut away = lock(&self.away);
        away.retain(|_, a| a.until > now);
        if away.len() >= AWAY_MAX {
            return Err(person_error("unavailable", "Too many people sign in at once. Try again in a few minutes."));
        }
        let who = Away {
            until: now.plus_seconds(AWAY_S),
            browser: Digest::of(browser.as_bytes()),
            nonce,
            verifier,
            next: next.to_owned(),
        };
        away.insert(Digest::of(state.as_bytes()), who);
        Ok(ProviderStart { url, browser })
    }

    /// Who came back. `browser`: what this browser holds. Gives the person, how they came, and where they wanted to go.
    pub(crate) async fn finish(
        &self,
        returned: &review::Returned,
        browser: &str,
    ) -> Result<(Person, How, String), PersonError> {
        let away = lock(&self.away).remove(&Digest::of(returned.state.as_bytes()));
        let away = away
            .filter(|a| a.until > Timestamp::now())
            .ok_or_else(|| not_signed_in("That sign-in took too long or was tried before."))?;
        // Somebody else's browser: the link was passed on (RFC 6749, section 10.12).
        if Digest::of(browser.as_bytes()) != away.browser {
            return Err(not_signed_in("This browser did not start that sign-in."));
        }
        let (described, _) = self.known(false).await?;
        let named = returned.iss.as_deref();
        if named.is_some_and(|iss| iss != described.issuer)
            || (named.is_none() && described.authorization_response_iss_parameter_supported)
        {
            return Err(not_signed_in("Another provider answered (RFC 9207)."));
        }
        if returned.error.is_some() || returned.code.is_empty() {
            return Err(not_signed_in("The identity provider did not sign you in."));
        }
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", returned.code.as_str()),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", &away.verifier),
        ];
        let basic = self.secret.as_ref().and_then(|secret| {
            let pair = Zeroizing::new(format!("{}:{}", escaped(&self.config.client_id), escaped(secret)));
            let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair.as_bytes()))).ok()?;
            value.set_sensitive(true);
            Some(value)
        });
        if basic.is_none() {
            form.push(("client_id", &self.config.client_id));
        }
        let body = outbound::form(&form);
        let answer = self.outbound.post_form(&described.token_endpoint, basic, body).await;
        let answer = answer.map_err(|error| match error {
            OutboundError::Status(400..=499) => not_signed_in("The identity provider did not take its own code back."),
            other => unreachable(&other),
        })?;
        let tokens: Tokens =
            serde_json::from_slice(&answer).map_err(|_| not_signed_in("The identity provider gave no identity."))?;
        let identity: Identity = self.token(&tokens.id_token, &["exp", "aud", "iss", "sub"]).await?;
        if identity.nonce.as_deref() != Some(&away.nonce)
            || identity.azp.as_ref().is_some_and(|azp| *azp != self.config.client_id)
        {
            return Err(not_signed_in("The identity was made for another sign-in."));
        }
        let person = self.person(&identity)?;
        Ok((person, How::Provider { sub: identity.sub, sid: identity.sid }, away.next))
    }

    /// The claims of a token that the provider signed for us and that is in date.
    async fn token<T: DeserializeOwned>(&self, token: &str, required: &[&str]) -> Result<T, PersonError> {
        let bad = || not_signed_in("The identity provider's token is not usable.");
        let header = decode_header(token).map_err(|_| bad())?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(bad());
        }
        let find = |keys: &JwkSet| match &header.kid {
            Some(kid) => keys.find(kid).cloned(),
            None if keys.keys.len() == 1 => keys.keys.first().cloned(),
            None => None,
        };
        let key = match find(&self.known(false).await?.1) {
            Some(key) => key,
            // It changed its keys; looked at once in a while, so that made-up names cost nobody anything.
            None => find(&self.known(true).await?.1).ok_or_else(bad)?,
        };
        let mut rules = Validation::new(header.alg);
        rules.set_issuer(&[&self.config.issuer]);
        rules.set_audience(&[&self.config.client_id]);
        rules.set_required_spec_claims(required);
        rules.leeway = LEEWAY_S;
        rules.validate_exp = true;
        let key = DecodingKey::from_jwk(&key).map_err(|_| bad())?;
        decode(token, &key, &rules).map(|token| token.claims).map_err(|_| bad())
    }

    /// The person and their roles.
    fn person(&self, identity: &Identity) -> Result<Person, PersonError> {
        let text = |claim: &str| match claim {
            "sub" => Some(identity.sub.as_str()),
            claim => identity.more.get(claim).and_then(Value::as_str),
        };
        let claim = self.config.person_claim.as_str();
        let name =
            text(claim).filter(|name| (1..=100).contains(&name.len()) && !name.chars().any(artifact::has_hidden));
        let name = name.ok_or_else(|| not_signed_in(&format!("The identity provider did not tell your `{claim}`.")))?;
        if claim == "email" && identity.more.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(not_signed_in("The identity provider has not verified your address."));
        }
        let groups: Vec<&str> = match identity.more.get(&self.config.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => vec![group],
            _ => Vec::new(),
        };
        let mut roles: Vec<String> =
            groups.iter().filter_map(|group| self.config.roles.get(*group)).flatten().cloned().collect();
        roles.sort_unstable();
        roles.dedup();
        Ok(Person { name: name.to_owned(), roles })
    }

    /// Whose sessions the provider ends, and which.
    async fn logout(&self, token: &str) -> Result<(Option<String>, Option<String>), PersonError> {
        let bad = || person_error("malformed", "That is no logout token.");
        let told: Logout = self.token(token, &["aud", "iss"]).await.map_err(|_| bad())?;
        let now = Timestamp::now().as_millis() / 1000;
        let fits = told.events.contains_key(LOGOUT_EVENT)
            && told.nonce.is_none()
            && told.iat.abs_diff(now) <= LEEWAY_S * 5
            && (told.sub.is_some() || told.sid.is_some());
        let mut seen = lock(&self.logged_out);
        seen.retain(|_, until| *until > now);
        if !fits || seen.len() > AWAY_MAX || seen.insert(told.jti, told.exp.unwrap_or(now) + LEEWAY_S * 10).is_some() {
            return Err(bad());
        }
        Ok((told.sub, told.sid))
    }
}

impl Desk {
    fn oidc(&self) -> Result<&Oidc, PersonError> {
        self.inner.oidc.as_ref().ok_or_else(|| person_error("not_found", "No identity provider is set up here."))
    }

    pub(crate) async fn provider_begin(&self, next: &str) -> Result<ProviderStart, PersonError> {
        self.oidc()?.begin(next).await
    }

    pub(crate) async fn provider_finish(
        &self,
        returned: &review::Returned,
        browser: &str,
    ) -> Result<(SessionToken, String), PersonError> {
        let (person, how, next) = self.oidc()?.finish(returned, browser).await?;
        let token = self.inner.signins.open(person, how, Timestamp::now());
        Ok((token.ok_or_else(crate::signin::busy)?, next))
    }

    /// Ends the sessions that a logout token of the provider names.
    pub(crate) async fn provider_logout(&self, token: &str) -> Result<(), PersonError> {
        let (sub, sid) = self.oidc()?.logout(token).await?;
        self.inner.signins.end_where(|session| match &session.how {
            How::Provider { sub: s, sid: i } => {
                sub.as_ref().is_none_or(|sub| sub == s) && sid.as_ref().is_none_or(|sid| Some(sid) == i.as_ref())
            }
            How::Key => false,
        });
        Ok(())
    }
}
