//! What a person allowed a host in the browser: codes for passes, and what renews a pass. In memory only: after a restart of the
//! desk a host asks the person once more.
//!
//! A code and a refresh token are good for one try. One that is tried again was copied: whatever came of it ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use artifact::{Digest, SessionId, TaskId, Timestamp};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doors::people::{AuthorizeRequest, AuthorizeView, Person, PersonError};
use intake::oauth::{Client, Exchange, ExchangeError, Exchanged, SCOPE, is_resource};
use lifecycle::TaskScope;

use crate::hand_in::{is_stopped, open_task};
use crate::outbound::{Outbound, query};
use crate::people::person_error;
use crate::signin::random_token;
use crate::state::{Desk, DeskError};

/// How long a code is good for, in seconds.
const CODE_S: u64 = 60;
/// How long a pass lives that a host asked for, in seconds. It is renewed while its task is open.
const PASS_S: u64 = 3600;
/// Codes and refresh tokens kept at most.
const KEPT_MAX: usize = 1000;
/// Longest code verifier (RFC 7636, section 4.1), and the shortest.
const VERIFIER: std::ops::RangeInclusive<usize> = 43..=128;
/// Longest `state` that is carried back.
const STATE_MAX: usize = 1024;

/// What was allowed.
#[derive(Clone)]
struct Allowed {
    client: String,
    task: TaskId,
    by: String,
    session: SessionId,
    /// Thumbprint of the key that the first exchange proved, for renewals.
    key: Option<String>,
}

struct Code {
    until: Timestamp,
    redirect_uri: String,
    challenge: String,
    allowed: Allowed,
}

struct Refresh {
    until: Timestamp,
    allowed: Allowed,
}

/// Codes and tokens by their digests, so that a memory image does not hold usable ones.
#[derive(Default)]
struct Inner {
    codes: HashMap<Digest, Code>,
    refresh: HashMap<Digest, Refresh>,
    /// Used ones, with the session that came of them.
    spent: HashMap<Digest, (Timestamp, SessionId)>,
}

/// Everything that hosts were allowed and did not use up.
#[derive(Default)]
pub(crate) struct Authorizations(Mutex<Inner>);

impl Authorizations {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what `token` stands for. One that was taken before ends what came of it.
    fn take<T>(
        &self,
        token: &str,
        now: Timestamp,
        from: impl Fn(&mut Inner, &Digest) -> Option<(T, Timestamp, SessionId)>,
    ) -> Taken<T> {
        let key = Digest::of(token.as_bytes());
        let mut inner = self.lock();
        if let Some((_, session)) = inner.spent.get(&key) {
            let session = *session;
            inner.refresh.retain(|_, refresh| refresh.allowed.session != session);
            return Taken::Copied(session);
        }
        let Some((value, until, session)) = from(&mut inner, &key) else { return Taken::Unknown };
        inner.spent.retain(|_, (until, _)| *until > now);
        if inner.spent.len() < KEPT_MAX * 10 {
            inner.spent.insert(key, (now.plus_seconds(24 * 3600), session));
        }
        if until > now { Taken::Good(value) } else { Taken::Unknown }
    }
}

enum Taken<T> {
    Good(T),
    Copied(SessionId),
    Unknown,
}

fn malformed(why: &str) -> PersonError {
    person_error(
        "malformed",
        format!("The program's request is not usable: {why}. Nothing was allowed; start again from the program."),
    )
}

impl Desk {
    /// The client of that id: one that holds its own registration, or the document at its address.
    async fn client(&self, id: &str) -> Result<Client, PersonError> {
        if let Some(client) = Client::of_id(id) {
            return Ok(client);
        }
        if !id.starts_with("https://") {
            return Err(malformed("client_id is neither the address of a metadata document nor registered here"));
        }
        let outbound =
            Outbound::to_strangers(&self.inner.config.outbound).map_err(|error| malformed(&error.to_string()))?;
        let body =
            outbound.get(id).await.map_err(|error| malformed(&format!("its metadata cannot be read: {error}")))?;
        Client::documented(id, &body).map_err(|error| malformed(&error.to_string()))
    }

    async fn authorizable(&self, request: &AuthorizeRequest) -> Result<Client, PersonError> {
        let client = self.client(&request.client_id).await?;
        if !client.allows(&request.redirect_uri) {
            return Err(malformed("redirect_uri is none that it registered"));
        }
        if request.response_type != "code" {
            return Err(malformed("response_type must be code"));
        }
        let challenge = URL_SAFE_NO_PAD.decode(&request.code_challenge);
        if request.code_challenge_method != "S256" || !challenge.is_ok_and(|raw| raw.len() == 32) {
            return Err(malformed("PKCE with S256 is needed"));
        }
        if !request.scope.split(' ').all(|scope| scope.is_empty() || scope == SCOPE || scope == "offline_access") {
            return Err(malformed("the only scope is propose"));
        }
        if !request.resource.is_empty() && !is_resource(&request.resource, &self.inner.config.agents_url) {
            return Err(malformed("resource is not served here"));
        }
        if request.state.len() > STATE_MAX || request.state.chars().any(artifact::has_hidden) {
            return Err(malformed("state is too long"));
        }
        Ok(client)
    }

    /// What a person is asked to allow.
    pub(crate) async fn authorize_page(&self, request: AuthorizeRequest) -> Result<AuthorizeView, PersonError> {
        let client = self.authorizable(&request).await?;
        let registry = self.fresh_registry().await?;
        let now = Timestamp::now();
        let open = registry.tasks.iter().filter(|t| t.closed_at.is_none());
        let tasks: Vec<TaskScope> =
            open.filter_map(|t| TaskScope::read(&t.statement, &t.person)).filter(|t| t.not_after > now).collect();
        let tasks = tasks
            .iter()
            .map(|t| (t.task, format!("{}: {} on {} for {}", t.title, t.agent, t.target, t.person)))
            .collect();
        let documented = request.client_id.starts_with("https://").then(|| request.client_id.clone());
        Ok(AuthorizeView { client: client.name, documented, request, tasks })
    }

    /// Where the person's browser goes on to: with a code, or with a no.
    pub(crate) async fn authorized(
        &self,
        who: &Person,
        request: AuthorizeRequest,
        task: Option<TaskId>,
    ) -> Result<String, PersonError> {
        let client = self.authorizable(&request).await?;
        let issuer = self.inner.config.agents_url.clone();
        let mut back = vec![("iss", issuer.as_str())];
        if !request.state.is_empty() {
            back.push(("state", request.state.as_str()));
        }
        let Some(task) = task else {
            back.push(("error", "access_denied"));
            return Ok(query(&request.redirect_uri, &back));
        };
        let registry = self.fresh_registry().await?;
        let now = Timestamp::now();
        open_task(&registry, task, now).ok_or_else(|| person_error("not_found", "That task is not open any more."))?;
        let code = random_token("wta");
        {
            let mut inner = self.inner.authorizations.lock();
            inner.codes.retain(|_, code| code.until > now);
            if inner.codes.len() >= KEPT_MAX {
                return Err(person_error("unavailable", "Too many programs ask at once. Try again in a minute."));
            }
            let allowed =
                Allowed { client: client.id(), task, by: who.name.clone(), session: SessionId::random(), key: None };
            let kept = Code {
                until: now.plus_seconds(CODE_S),
                redirect_uri: request.redirect_uri.clone(),
                challenge: request.code_challenge.clone(),
                allowed,
            };
            inner.codes.insert(Digest::of(code.as_bytes()), kept);
        }
        back.push(("code", &code));
        Ok(query(&request.redirect_uri, &back))
    }

    /// A pass for what was allowed.
    pub(crate) async fn exchanged(&self, exchange: Exchange, key: Option<String>) -> Result<Exchanged, ExchangeError> {
        let now = Timestamp::now();
        let taken = match &exchange {
            Exchange::Code { code, client, redirect_uri, verifier } => {
                let taken = self.inner.authorizations.take(code, now, |inner, key| {
                    inner.codes.remove(key).map(|code| {
                        let (until, session) = (code.until, code.allowed.session);
                        (code, until, session)
                    })
                });
                match taken {
                    Taken::Good(kept) => {
                        let made = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
                        let fits = VERIFIER.contains(&verifier.len())
                            && made == kept.challenge
                            && *redirect_uri == kept.redirect_uri
                            && *client == kept.allowed.client;
                        if fits { Taken::Good(Allowed { key, ..kept.allowed }) } else { Taken::Unknown }
                    }
                    Taken::Copied(session) => Taken::Copied(session),
                    Taken::Unknown => Taken::Unknown,
                }
            }
            Exchange::Refresh { token, client } => {
                let taken = self.inner.authorizations.take(token, now, |inner, key| {
                    inner.refresh.remove(key).map(|kept| {
                        let (until, session) = (kept.until, kept.allowed.session);
                        (kept.allowed, until, session)
                    })
                });
                match taken {
                    // A pass that was bound to a key is renewed by that key only.
                    Taken::Good(kept) if *client == kept.client && key == kept.key => Taken::Good(kept),
                    Taken::Good(_) => Taken::Unknown,
                    other => other,
                }
            }
        };
        match taken {
            Taken::Good(allowed) => self.pass_for(allowed, now).await,
            Taken::Copied(session) => {
                self.end_session(session, now).await.map_err(unavailable)?;
                Err(ExchangeError::InvalidGrant)
            }
            Taken::Unknown => Err(ExchangeError::InvalidGrant),
        }
    }

    async fn pass_for(&self, allowed: Allowed, now: Timestamp) -> Result<Exchanged, ExchangeError> {
        let registry = self.fresh_registry().await.map_err(unavailable)?;
        let scope = open_task(&registry, allowed.task, now).ok_or(ExchangeError::InvalidGrant)?;
        if is_stopped(&registry, &scope.agent, &scope.person, scope.task, &scope.target) {
            return Err(ExchangeError::InvalidGrant);
        }
        let until = now.plus_seconds(PASS_S).min(scope.not_after);
        let pass = random_token("wtp");
        self.enroll_pass(allowed.session, &scope, &allowed.by, &pass, until, allowed.key.as_deref())
            .await
            .map_err(unavailable)?;
        let refresh_token = random_token("wtr");
        let token_type = if allowed.key.is_some() { "DPoP" } else { "Bearer" };
        let mut inner = self.inner.authorizations.lock();
        inner.refresh.retain(|_, refresh| refresh.until > now);
        if inner.refresh.len() < KEPT_MAX {
            inner.refresh.insert(Digest::of(refresh_token.as_bytes()), Refresh { until: scope.not_after, allowed });
        }
        Ok(Exchanged {
            access_token: pass,
            token_type,
            expires_in: until.millis_since(now) / 1000,
            refresh_token,
            scope: SCOPE,
        })
    }

    /// Ends a pass whose code or token was used a second time: somebody has a copy (RFC 6749, section 4.1.2).
    pub(crate) async fn end_session(&self, session: SessionId, now: Timestamp) -> Result<(), DeskError> {
        let Some(row) = self.view(move |store| store.session(session)).await? else { return Ok(()) };
        let registry = self.fresh_registry().await?;
        let Some(scope) = open_task(&registry, row.task, now) else { return Ok(()) };
        // A new pass that nobody has takes the place of the one that may be in wrong hands.
        self.enroll_pass(session, &scope, &row.person, &random_token("wtp"), now, None).await
    }
}

fn unavailable(error: DeskError) -> ExchangeError {
    tracing::warn!(%error, "a pass could not be made");
    ExchangeError::Unavailable
}
