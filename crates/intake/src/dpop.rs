//! Passes bound to a key of the agent (DPoP, RFC 9449): whoever has such a pass and not the key has nothing.
//!
//! Each request carries a proof, a small JWT signed with the key (Ed25519 only): about this method, this address, this pass, this
//! moment, once. A value that only this process knows (section 8) is in it, so a proof from before a restart, which the list of
//! used ones does not know, is not taken either.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use artifact::Timestamp;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;

use crate::address::only;

/// Header of a proof.
pub(crate) const HEADER: &str = "dpop";
/// Header in which the server tells the value that proofs must hold.
pub(crate) const NONCE: &str = "dpop-nonce";
/// Longest proof, in bytes.
const PROOF_MAX: usize = 4096;
/// How far a proof's time may be from ours, in seconds.
const WINDOW_S: u64 = 60;
/// Most proofs remembered. All of them are younger than the window, twice.
const REMEMBERED_MAX: usize = 200_000;

/// Why a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotProved {
    /// No proof, or one that is wrong.
    Wrong,
    /// It lacks the server's value; with it the request may be repeated at once.
    Nonce,
    /// Too many proofs are remembered.
    Busy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    jwk: Jwk,
}

/// A public key (RFC 8037). A private part, or anything else, is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwk {
    kty: String,
    crv: String,
    x: String,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: u64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// What this process knows of proofs.
pub(crate) struct Proofs {
    nonce: String,
    /// Digests of used ones, and when they may be forgotten, in seconds.
    used: Mutex<HashMap<[u8; 32], u64>>,
}

/// What a request says of itself.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// The pass it comes with; none where one is asked for.
    pub(crate) pass: Option<&'a str>,
}

fn sha256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

/// SHA-256 thumbprint of an Ed25519 key (RFC 7638).
fn thumbprint(x: &str) -> String {
    sha256(&format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{x}\"}}"))
}

#[allow(clippy::expect_used, reason = "without randomness no secret can be made")]
fn random() -> String {
    let mut raw = [0; 16];
    rand::fill(&mut raw).expect("the system's random source answers");
    URL_SAFE_NO_PAD.encode(raw)
}

impl Default for Proofs {
    fn default() -> Self {
        Self { nonce: random(), used: Mutex::default() }
    }
}

impl Proofs {
    /// The value that proofs must hold.
    pub(crate) fn nonce(&self) -> &str {
        &self.nonce
    }

    /// Takes the request's one proof if it is made with the key of `bound_to`, or any key where that is none, and was not taken
    /// before. Gives the key's thumbprint.
    pub(crate) fn take(&self, asked: &Asked<'_>, bound_to: Option<&str>, now: Timestamp) -> Result<String, NotProved> {
        let proof = only(asked.headers, HEADER).filter(|proof| proof.len() <= PROOF_MAX).ok_or(NotProved::Wrong)?;
        let (claims, key) = signed(proof).ok_or(NotProved::Wrong)?;
        if bound_to.is_some_and(|bound_to| bound_to != key) {
            return Err(NotProved::Wrong);
        }
        let seconds = now.as_millis() / 1000;
        let fits = claims.htm == asked.method.as_str()
            && is_about(&claims.htu, asked)
            && asked.pass.is_none_or(|pass| claims.ath.as_deref() == Some(&sha256(pass)))
            && claims.iat.abs_diff(seconds) <= WINDOW_S
            && (8..=256).contains(&claims.jti.len());
        if !fits {
            return Err(NotProved::Wrong);
        }
        if claims.nonce.as_deref() != Some(&self.nonce) {
            return Err(NotProved::Nonce);
        }
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, format!("{key} {}", claims.jti).as_bytes()).as_ref());
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= REMEMBERED_MAX {
            used.retain(|_, until| *until >= seconds);
            if used.len() >= REMEMBERED_MAX {
                return Err(NotProved::Busy);
            }
        }
        // Until then its own time keeps it out.
        match used.insert(name, claims.iat + WINDOW_S * 2) {
            None => Ok(key),
            Some(_) => Err(NotProved::Wrong),
        }
    }
}

/// The claims and the thumbprint of the key that signed them.
fn signed(proof: &str) -> Option<(Claims, String)> {
    let (signing, signature) = proof.rsplit_once('.')?;
    let (header, claims) = signing.split_once('.')?;
    let open = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let header: Header = serde_json::from_slice(&open(header)?).ok()?;
    let ours =
        header.typ == "dpop+jwt" && header.alg == "EdDSA" && header.jwk.kty == "OKP" && header.jwk.crv == "Ed25519";
    if !ours {
        return None;
    }
    UnparsedPublicKey::new(&ED25519, open(&header.jwk.x)?).verify(signing.as_bytes(), &open(signature)?).ok()?;
    Some((serde_json::from_slice(&open(claims)?).ok()?, thumbprint(&header.jwk.x)))
}

/// Whether `htu` names the address that was asked: host and path; a query is not part of it.
fn is_about(htu: &str, asked: &Asked<'_>) -> bool {
    let Ok(uri) = htu.parse::<Uri>() else { return false };
    let host = only(asked.headers, "host");
    let same_host = uri.authority().zip(host).is_some_and(|(named, host)| named.as_str().eq_ignore_ascii_case(host));
    matches!(uri.scheme_str(), Some("http" | "https"))
        && same_host
        && uri.path() == asked.uri.path()
        && uri.query().is_none()
}

/// An agent's own key. Held by the agent's side, never by the gateway.
pub struct AgentKey {
    pair: Ed25519KeyPair,
    x: String,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AgentKeyError(String);

impl std::fmt::Debug for AgentKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentKey").field("thumbprint", &self.thumbprint()).finish_non_exhaustive()
    }
}

impl AgentKey {
    /// Makes a key and writes it to a new file that only its owner can read (PKCS #8).
    pub fn make(file: &Path) -> Result<Self, AgentKeyError> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let wrong = |error: std::io::Error| AgentKeyError(format!("{}: {error}", file.display()));
        let raw = Ed25519KeyPair::generate_pkcs8(&rand::SystemRandom::new());
        let raw = raw.map_err(|_| AgentKeyError("the system makes no key".into()))?;
        let mut out = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(wrong)?;
        out.write_all(raw.as_ref()).map_err(wrong)?;
        Self::read(file)
    }

    /// Reads a key that [`make`](Self::make) wrote.
    pub fn read(file: &Path) -> Result<Self, AgentKeyError> {
        let raw = std::fs::read(file).map_err(|error| AgentKeyError(format!("{}: {error}", file.display())))?;
        let pair = Ed25519KeyPair::from_pkcs8(&raw).map_err(|_| {
            AgentKeyError(format!("{} holds no key; `wetink key agent FILE` makes one", file.display()))
        })?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        Ok(Self { pair, x })
    }

    /// What a pass is bound to: the key's SHA-256 thumbprint (RFC 7638).
    pub fn thumbprint(&self) -> String {
        thumbprint(&self.x)
    }

    /// A proof for one request. `nonce`: what the gateway told last.
    pub fn prove(&self, method: &str, url: &str, pass: &str, nonce: Option<&str>, now: Timestamp) -> String {
        let header =
            json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": self.x } });
        let mut claims =
            json!({ "jti": random(), "htm": method, "htu": url, "iat": now.as_millis() / 1000, "ath": sha256(pass) });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signing = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.pair.sign(signing.as_bytes()).as_ref());
        format!("{signing}.{signature}")
    }
}

/// Whether a text is a thumbprint.
pub fn is_thumbprint(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok_and(|raw| raw.len() == 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASS: &str = "wtp_secret";
    const URL: &str = "http://localhost:7118/mcp";

    fn key() -> AgentKey {
        let folder = tempfile::tempdir().unwrap();
        let key = AgentKey::make(&folder.path().join("key")).unwrap();
        assert!(AgentKey::make(&folder.path().join("key")).is_err(), "a key was written over");
        assert!(is_thumbprint(&key.thumbprint()) && !format!("{key:?}").contains(&key.x));
        key
    }

    fn take(proofs: &Proofs, key: &AgentKey, proof: &str, at: Timestamp) -> Result<(), NotProved> {
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost:7118".parse().unwrap());
        headers.insert(HEADER, proof.parse().unwrap());
        let uri = "/mcp".parse().unwrap();
        proofs
            .take(
                &Asked { method: &Method::POST, uri: &uri, headers: &headers, pass: Some(PASS) },
                Some(&key.thumbprint()),
                at,
            )
            .map(|_| ())
    }

    #[test]
    fn a_proof_serves_one_request() {
        let (proofs, key, now) = (Proofs::default(), key(), Timestamp::from_millis(1_000_000_000));
        let bare = key.prove("POST", URL, PASS, None, now);
        assert_eq!(take(&proofs, &key, &bare, now), Err(NotProved::Nonce));
        let proof = key.prove("POST", URL, PASS, Some(proofs.nonce()), now);
        assert_eq!(take(&proofs, &key, &proof, now), Ok(()));
        assert_eq!(take(&proofs, &key, &proof, now), Err(NotProved::Wrong), "a second time");
        assert_eq!(take(&Proofs::default(), &key, &proof, now), Err(NotProved::Nonce), "after a restart");
    }

    #[test]
    fn a_proof_about_something_else_is_none() {
        let (proofs, key, now) = (Proofs::default(), key(), Timestamp::from_millis(1_000_000_000));
        let nonce = Some(proofs.nonce());
        let other = self::key();
        let early = Timestamp::from_millis(now.as_millis() - 61_000);
        let late = now.plus_seconds(61);
        for (what, proof) in [
            ("method", key.prove("GET", URL, PASS, nonce, now)),
            ("path", key.prove("POST", "http://localhost:7118/v1/check", PASS, nonce, now)),
            ("host", key.prove("POST", "http://localhost:7119/mcp", PASS, nonce, now)),
            ("query", key.prove("POST", "http://localhost:7118/mcp?a=1", PASS, nonce, now)),
            ("pass", key.prove("POST", URL, "wtp_other", nonce, now)),
            ("past", key.prove("POST", URL, PASS, nonce, early)),
            ("future", key.prove("POST", URL, PASS, nonce, late)),
            ("key", other.prove("POST", URL, PASS, nonce, now)),
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
        ] {
            assert_eq!(take(&proofs, &key, &proof, now), Err(NotProved::Wrong), "{what}");
        }
        // Every changed character.
        let good = key.prove("POST", URL, PASS, nonce, now);
        for at in 0..good.len() {
            let mut bent = good.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let bent = String::from_utf8(bent).unwrap();
            if bent != good {
                assert!(take(&proofs, &key, &bent, now).is_err(), "at {at}");
            }
        }
        // The same header with a private part, or another algorithm.
        let (signing, _) = good.rsplit_once('.').unwrap();
        let (_, claims) = signing.split_once('.').unwrap();
        for header in [
            json!({ "typ": "dpop+jwt", "alg": "none", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": key.x } }),
            json!({ "typ": "jwt", "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": key.x } }),
            json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": key.x, "d": "AA" } }),
        ] {
            let signing = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header.to_string()));
            let signature = URL_SAFE_NO_PAD.encode(key.pair.sign(signing.as_bytes()).as_ref());
            assert_eq!(take(&proofs, &key, &format!("{signing}.{signature}"), now), Err(NotProved::Wrong), "{header}");
        }
    }

    #[test]
    fn a_thumbprint_is_that_of_the_standard() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        for text in
            ["", "a", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4 "]
        {
            assert!(!is_thumbprint(text), "{text}");
        }
    }
}
