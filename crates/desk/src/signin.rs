//! People's sessions at this desk. In memory only: a desk that restarts asks everybody to sign in again.
//!
//! A session lets a person look, say no, and ask for statements. It never approves, releases or grants: each of those
//! needs a signature that the guard verifies.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use artifact::claim::Signature;
use artifact::{Digest, ProposalId, Timestamp};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doors::people::{KeyRequest, Person, PersonError, SessionView};
use review::{EnrollChallenge, LoginChallenge, Passkeys, SessionToken};
use wire::socket::{Answer, Request};

use crate::link::LinkError;
use crate::people::person_error;
use crate::state::{Desk, DeskError};

/// A session ends after this long whatever happens.
const SESSION_S: u64 = 12 * 3600;
/// A session ends after this long without a request.
const IDLE_S: u64 = 15 * 60;
/// A challenge is answered within this time.
const CHALLENGE_S: u64 = 300;
/// A request to be let in is kept for this long.
const ASKED_S: u64 = 3600;
/// Requests to be let in kept at most; the oldest go first.
const ASKED_MAX: usize = 50;
/// Challenges and sessions kept at most.
const KEPT_MAX: usize = 1000;

/// What stands in the place of an enrollment token where somebody asks to be let in. No token looks like it.
const JOIN: &str = "join";

/// A random token with a prefix that secret scanners can be taught.
#[allow(clippy::expect_used, reason = "without randomness no token can be made")]
pub(crate) fn random_token(prefix: &str) -> String {
    let mut raw = [0; 32];
    rand::fill(&mut raw).expect("the system's random source answers");
    format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(raw))
}

/// Challenges, sessions, and who opened what.
#[derive(Default)]
pub(crate) struct SignIns {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    challenges: HashMap<String, (Timestamp, String)>,
    /// By the token's digest, so that a memory image does not hold usable tokens.
    sessions: HashMap<Digest, Session>,
    opened: HashSet<(String, ProposalId, u32)>,
    /// Oldest first.
    asking: Vec<KeyRequest>,
}

/// A session of the pages.
pub(crate) struct Session {
    person: Person,
    pub(crate) how: How,
    opened: Timestamp,
    until: Timestamp,
    seen: Timestamp,
}

/// What opened a session.
pub(crate) enum How {
    /// A signature with a granted key.
    Key,
    /// The identity provider.
    Provider {
        /// The person there.
        sub: String,
        /// The session there.
        sid: Option<String>,
    },
}

impl SignIns {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn challenge(&self, text: String, now: Timestamp) -> Option<String> {
        let mut inner = self.lock();
        inner.challenges.retain(|_, (until, _)| *until > now);
        if inner.challenges.len() >= KEPT_MAX {
            return None;
        }
        let id = random_token("wtc");
        inner.challenges.insert(id.clone(), (now.plus_seconds(CHALLENGE_S), text));
        Some(id)
    }

    /// Takes a challenge out: it is good for one try.
    fn take(&self, id: &str, now: Timestamp) -> Option<String> {
        self.lock().challenges.remove(id).filter(|(until, _)| *until > now).map(|(_, text)| text)
    }

    pub(crate) fn open(&self, person: Person, how: How, now: Timestamp) -> Option<SessionToken> {
        let mut inner = self.lock();
        inner.sessions.retain(|_, s| s.until > now && s.seen.plus_seconds(IDLE_S) > now);
        if inner.sessions.len() >= KEPT_MAX {
            return None;
        }
        let token = random_token("wts");
        let session = Session { person, how, opened: now, until: now.plus_seconds(SESSION_S), seen: now };
        inner.sessions.insert(Digest::of(token.as_bytes()), session);
        Some(SessionToken(token))
    }

    pub(crate) fn end(&self, token: &str) {
        self.lock().sessions.remove(&Digest::of(token.as_bytes()));
    }

    /// Ends every session of a person, e.g. when their last key is revoked.
    pub(crate) fn end_all(&self, person: &str) {
        self.end_where(|s| s.person.name == person);
    }

    pub(crate) fn end_where(&self, which: impl Fn(&Session) -> bool) {
        self.lock().sessions.retain(|_, s| !which(s));
    }

    /// A person's sessions, the newest first.
    pub(crate) fn of_person(&self, person: &str, now: Timestamp) -> Vec<SessionView> {
        let inner = self.lock();
        let alive = inner.sessions.values().filter(|s| s.person.name == person && s.until > now);
        let alive = alive.filter(|s| s.seen.plus_seconds(IDLE_S) > now);
        let view = |s: &Session| SessionView {
            opened_at: s.opened,
            seen_at: s.seen,
            by_provider: matches!(s.how, How::Provider { .. }),
        };
        let mut views: Vec<SessionView> = alive.map(view).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.opened_at));
        views
    }

    pub(crate) fn person(&self, token: &str, now: Timestamp) -> Option<Person> {
        let mut inner = self.lock();
        let key = Digest::of(token.as_bytes());
        let session = inner.sessions.get_mut(&key)?;
        if session.until <= now || session.seen.plus_seconds(IDLE_S) <= now {
            inner.sessions.remove(&key);
            return None;
        }
        session.seen = now;
        Some(session.person.clone())
    }

    fn ask(&self, request: KeyRequest) {
        let mut inner = self.lock();
        inner.asking.retain(|r| r.key != request.key && r.asked_at.plus_seconds(ASKED_S) > request.asked_at);
        if inner.asking.len() >= ASKED_MAX {
            inner.asking.remove(0);
        }
        inner.asking.push(request);
    }

    fn asking(&self, now: Timestamp) -> Vec<KeyRequest> {
        let inner = self.lock();
        inner.asking.iter().rev().filter(|r| r.asked_at.plus_seconds(ASKED_S) > now).cloned().collect()
    }

    /// True the first time this person looks at this revision.
    pub(crate) fn first_look(&self, person: &str, id: ProposalId, revision: u32) -> bool {
        let mut inner = self.lock();
        if inner.opened.len() > 10 * KEPT_MAX {
            inner.opened.clear();
        }
        inner.opened.insert((person.to_owned(), id, revision))
    }
}

pub(crate) fn busy() -> PersonError {
    person_error("unavailable", "Too many people sign in at once. Try again in a few minutes.")
}

impl Desk {
    fn rp_id(&self) -> String {
        let host = self.inner.config.people_url.split("://").nth(1).unwrap_or_default();
        host.split([':', '/']).next().unwrap_or_default().to_owned()
    }

    pub(crate) async fn begin_login(&self) -> Result<LoginChallenge, PersonError> {
        let now = Timestamp::now();
        let text = format!(
            "wetink/login/v1\ngateway: {}\nat: {}\nnonce: {}\nnot-after: {}\n",
            self.inner.gateway,
            self.inner.config.people_url,
            random_token("n"),
            now.plus_seconds(CHALLENGE_S)
        );
        let id = self.inner.signins.challenge(text.clone(), now).ok_or_else(busy)?;
        let Passkeys { rp_id, credentials } = self.passkeys_of(None).await?;
        let provider = self.inner.oidc.as_ref().map(crate::oidc::Oidc::name);
        Ok(LoginChallenge { id, text, passkeys: credentials, rp_id, provider })
    }

    pub(crate) async fn finish_login(
        &self,
        id: &str,
        signature: Signature,
        _address: &str,
    ) -> Result<(SessionToken, Person), PersonError> {
        let now = Timestamp::now();
        let text = self.inner.signins.take(id, now);
        let text = text.ok_or_else(|| {
            person_error("not_signed_in", "That sign-in took too long or was tried before. Start again.")
        })?;
        let registry = self.fresh_registry().await?;
        let keys = registry.keys.iter().filter(|k| k.revoked_at.is_none());
        let signer = keys.into_iter().find(|k| lifecycle::signin::verifies(&k.key, &text, &signature));
        let signer = signer.ok_or_else(|| {
            person_error(
                "not_signed_in",
                "No granted key made this signature. `wetink key list` names the keys; an admin grants new ones.",
            )
        })?;
        let of_person = registry.keys.iter().filter(|k| k.person == signer.person && k.revoked_at.is_none());
        let mut roles: Vec<String> = of_person.flat_map(|k| k.roles.iter().cloned()).collect();
        roles.sort_unstable();
        roles.dedup();
        let person = Person { name: signer.person.clone(), roles };
        let token = self.inner.signins.open(person.clone(), How::Key, now).ok_or_else(busy)?;
        Ok((token, person))
    }

    pub(crate) async fn passkeys_of(&self, person: Option<&str>) -> Result<Passkeys, PersonError> {
        let registry = self.registry().await?;
        let keys = registry.keys.iter().filter(|k| k.revoked_at.is_none() && person.is_none_or(|p| k.person == p));
        let credentials = keys.filter_map(|k| lifecycle::signin::credential_id(&k.key)).collect();
        Ok(Passkeys { rp_id: self.rp_id(), credentials })
    }

    pub(crate) async fn begin_enroll(&self, token: &str) -> Result<EnrollChallenge, PersonError> {
        let registry = self.fresh_registry().await?;
        if !registry.keys.is_empty() {
            return Err(person_error(
                "already_decided",
                "The first key is enrolled already. An admin grants further ones.",
            ));
        }
        self.making_challenge(token)
    }

    fn making_challenge(&self, token: &str) -> Result<EnrollChallenge, PersonError> {
        let challenge = random_token("e");
        let text = format!("{token}\n{challenge}");
        self.inner.signins.challenge(text, Timestamp::now()).ok_or_else(busy)?;
        let challenge = URL_SAFE_NO_PAD.encode(challenge.as_bytes());
        Ok(EnrollChallenge { challenge, rp_id: self.rp_id(), user_name: String::new() })
    }

    pub(crate) async fn finish_enroll(
        &self,
        token: &str,
        person: &str,
        attestation: &str,
        client_data: &str,
    ) -> Result<(), PersonError> {
        let key = self.made_passkey(token, attestation, client_data)?;
        self.enroll_first(token, person, &key).await
    }

    /// The one-line form of a passkey made over a challenge of `token`.
    fn made_passkey(&self, token: &str, attestation: &str, client_data: &str) -> Result<String, PersonError> {
        let malformed = || person_error("malformed", "The browser's answer is not usable. Try again.");
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| malformed());
        let (attestation, client_data) = (decode(attestation)?, decode(client_data)?);
        // The challenge is found by what the browser signed over, and is good for one try.
        let signed = lifecycle::signin::challenge_of(&client_data).ok_or_else(malformed)?;
        let challenge = self.inner.signins.take_matching(token, &signed, Timestamp::now());
        let challenge = challenge
            .ok_or_else(|| person_error("not_signed_in", "That enrollment took too long. Open the link again."))?;
        let origin = &self.inner.config.people_url;
        let key = lifecycle::signin::passkey(&attestation, &client_data, challenge.as_bytes(), origin, &self.rp_id());
        key.map_err(|why| person_error("malformed", format!("The passkey was not accepted: {why}")))
    }

    pub(crate) async fn begin_join(&self) -> Result<EnrollChallenge, PersonError> {
        if self.fresh_registry().await?.keys.is_empty() {
            return Err(person_error(
                "not_found",
                "Nobody is enrolled here who could let you in. Enroll the first key by the link that `wetink up` printed.",
            ));
        }
        self.making_challenge(JOIN)
    }

    /// Keeps a newcomer's passkey for an admin to see. Grants nothing.
    pub(crate) async fn finish_join(
        &self,
        person: &str,
        attestation: &str,
        client_data: &str,
    ) -> Result<KeyRequest, PersonError> {
        let key = self.made_passkey(JOIN, attestation, client_data)?;
        let registry = self.fresh_registry().await?;
        let asked_at = Timestamp::now();
        // Written as the grant would be, so that a name or key no statement may hold is refused now.
        let roles = ["reviewer".to_owned()];
        lifecycle::statement::key(self.inner.gateway, person, &key, &roles, asked_at)
            .map_err(|why| person_error("malformed", why))?;
        let fingerprint = Digest::of(key.as_bytes());
        if registry.keys.iter().any(|k| k.fingerprint == fingerprint) {
            return Err(person_error("already_decided", "That passkey was granted before. Sign in with it."));
        }
        // Twice three words: 48 bits, since making keys until three words fit would take minutes.
        let twice = Digest::of(fingerprint.as_bytes());
        let words = format!("{}-{}", artifact::digest_words(&fingerprint), artifact::digest_words(&twice));
        let request = KeyRequest { person: person.to_owned(), key, words, asked_at };
        self.inner.signins.ask(request.clone());
        Ok(request)
    }

    /// Requests whose key was not granted meanwhile, newest first.
    pub(crate) async fn asking(&self) -> Result<Vec<KeyRequest>, PersonError> {
        let registry = self.registry().await?;
        let mut asking = self.inner.signins.asking(Timestamp::now());
        asking.retain(|r| registry.keys.iter().all(|k| k.key != r.key));
        Ok(asking)
    }

    /// The first key, by the one-time token that the guard printed. Later ones are granted by a signed statement.
    pub(crate) async fn enroll_first(&self, token: &str, person: &str, key: &str) -> Result<(), PersonError> {
        let request = Request::EnrollFirst { token: token.to_owned(), person: person.to_owned(), key: key.to_owned() };
        match self.inner.link.ask(&request).await.map_err(DeskError::from)? {
            Answer::Done { index } => Ok(self.applied(index + 1).await?),
            _ => Err(DeskError::from(LinkError::Protocol).into()),
        }
    }
}

impl SignIns {
    /// Takes out the enrollment challenge that was made for `token` and whose bytes are `signed`.
    fn take_matching(&self, token: &str, signed: &[u8], now: Timestamp) -> Option<String> {
        let mut inner = self.lock();
        let prefix = format!("{token}\n");
        let matches = |text: &str| text.strip_prefix(&prefix).is_some_and(|challenge| challenge.as_bytes() == signed);
        let id = inner.challenges.iter().find(|(_, (_, text))| matches(text)).map(|(id, _)| id.clone())?;
        let (until, text) = inner.challenges.remove(&id)?;
        (until > now).then(|| text[prefix.len()..].to_owned())
    }
}
