//! Passkeys (WebAuthn level 3): assertions over a statement (section 7.2) and the registration that makes a key (7.1).
//!
//! The challenge of an assertion is SHA-256 of the statement, so the signature is about exactly that text and can be
//! verified years later from the log alone.

use artifact::Digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cbor::{Value, read};
use crate::client_data::ClientData;
use crate::key::{is_ed25519_point, is_p256_point};

/// Longest field of an assertion in bytes.
const FIELD_MAX: usize = 16 * 1024;
/// Longest credential id in bytes (level 3, 4 "Credential ID").
const CREDENTIAL_MAX: usize = 1023;
const USER_PRESENT: u8 = 1;
const USER_VERIFIED: u8 = 1 << 2;
const BACKUP_ELIGIBLE: u8 = 1 << 3;
const BACKED_UP: u8 = 1 << 4;
const ATTESTED: u8 = 1 << 6;
const EXTENSIONS: u8 = 1 << 7;

/// Why an assertion or registration was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("passkey: {0}")]
pub struct PasskeyError(&'static str);

type Parsed<T> = Result<T, PasskeyError>;

fn fail<T>(why: &'static str) -> Parsed<T> {
    Err(PasskeyError(why))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Es256,
    Eddsa,
}

/// A registered passkey: `passkey es256 <credential> <key> <rp-id> <origin>`, binary fields base64url.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    algorithm: Algorithm,
    credential: Vec<u8>,
    point: Vec<u8>,
    rp_id: String,
    origin: String,
}

/// What an assertion tells about the key that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asserted {
    /// The key may be copied between devices.
    pub synced: bool,
}

impl Passkey {
    /// Reads the one-line form.
    pub fn parse(line: &str) -> Parsed<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["passkey", algorithm, credential, point, rp_id, origin] = words[..] else {
            return fail("the key's line has another form");
        };
        let algorithm = match algorithm {
            "es256" => Algorithm::Es256,
            "eddsa" => Algorithm::Eddsa,
            _ => return fail("the key's algorithm is not ES256 or EdDSA"),
        };
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| PasskeyError("a field is not base64url"));
        let (credential, point) = (decode(credential)?, decode(point)?);
        let fits = match algorithm {
            Algorithm::Es256 => is_p256_point(&point),
            Algorithm::Eddsa => is_ed25519_point(&point),
        };
        if !fits || credential.is_empty() || credential.len() > CREDENTIAL_MAX {
            return fail("the key's fields do not fit");
        }
        if !is_site(rp_id, origin) {
            return fail("the key's site and address do not fit; the address is https://, or http://localhost");
        }
        Ok(Self { algorithm, credential, point, rp_id: rp_id.to_owned(), origin: origin.to_owned() })
    }

    /// The one-line form.
    pub fn to_line(&self) -> String {
        let name = if self.algorithm == Algorithm::Es256 { "es256" } else { "eddsa" };
        let (credential, point) = (URL_SAFE_NO_PAD.encode(&self.credential), URL_SAFE_NO_PAD.encode(&self.point));
        format!("passkey {name} {credential} {point} {} {}", self.rp_id, self.origin)
    }

    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    /// Credential id, base64url.
    pub fn credential(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.credential)
    }

    /// Verifies an assertion over `statement`. Fields are base64url without padding.
    pub fn verify(
        &self,
        statement: &[u8],
        credential: &str,
        authenticator_data: &str,
        client_data: &str,
        signature: &str,
    ) -> Parsed<Asserted> {
        let decode = |text: &str| {
            if text.len() > FIELD_MAX {
                return fail("a field is too long");
            }
            URL_SAFE_NO_PAD.decode(text).map_err(|_| PasskeyError("a field is not base64url"))
        };
        if decode(credential)? != self.credential {
            return fail("it was made by another key");
        }
        let (data, client, signature) = (decode(authenticator_data)?, decode(client_data)?, decode(signature)?);
        check_client(&client, "webauthn.get", Digest::of(statement).as_bytes(), &self.origin)?;
        let (flags, rest) = check_authenticator(&data, &self.rp_id)?;
        if flags & (ATTESTED | EXTENSIONS) != 0 || !rest.is_empty() {
            return fail("it carries data that was not asked for");
        }
        let mut signed = data.clone();
        signed.extend_from_slice(Digest::of(&client).as_bytes());
        let wrong = |_| PasskeyError("it does not fit the text");
        match self.algorithm {
            Algorithm::Es256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point)
                .verify(&signed, &signature)
                .map_err(wrong)?,
            Algorithm::Eddsa => {
                UnparsedPublicKey::new(&ED25519, &self.point).verify(&signed, &signature).map_err(wrong)?;
            }
        }
        Ok(Asserted { synced: flags & BACKUP_ELIGIBLE != 0 })
    }

    /// Makes a key of a registration. Attestation statements are not evaluated: the person who enrolls vouches for the key.
    pub fn register(
        attestation: &[u8],
        client_data: &[u8],
        challenge: &[u8],
        origin: &str,
        rp_id: &str,
    ) -> Parsed<Self> {
        if attestation.len() > FIELD_MAX || client_data.len() > FIELD_MAX {
            return fail("a field is too long");
        }
        check_client(client_data, "webauthn.create", challenge, origin)?;
        let object = read(attestation).ok_or(PasskeyError("the attestation is not readable"))?;
        let Some(Value::Bytes(data)) = object.get_text("authData") else {
            return fail("the attestation has no authData");
        };
        let (flags, rest) = check_authenticator(data, rp_id)?;
        if flags & ATTESTED == 0 || flags & EXTENSIONS != 0 {
            return fail("the registration carries no key, or extensions");
        }
        // aaguid (16), length (2), credential id, COSE key.
        let Some((length, rest)) = rest.get(16..).and_then(|r| r.split_first_chunk::<2>()) else {
            return fail("authData is cut short");
        };
        let Some((credential, cose)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))) else {
            return fail("authData is cut short");
        };
        let key = read(cose).ok_or(PasskeyError("the key is not readable"))?;
        let number = |label: i64| match key.get_number(label) {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        };
        let bytes = |label: i64| match key.get_number(label) {
            Some(Value::Bytes(b)) if b.len() == 32 => Ok(*b),
            _ => fail("the key has another form"),
        };
        // Level 3, 6.5.1: the key holds what its algorithm needs and nothing else. RFC 9053: kty 2, alg -7, crv 1 is ES256; kty 1, alg -8, crv 6 is Ed25519.
        let (algorithm, point) = match (number(1), number(3), number(-1)) {
            (Some(2), Some(-7), Some(1)) if key.len() == 5 => {
                (Algorithm::Es256, [&[4], bytes(-2)?, bytes(-3)?].concat())
            }
            (Some(1), Some(-8), Some(6)) if key.len() == 4 => (Algorithm::Eddsa, bytes(-2)?.to_vec()),
            _ => return fail("the key's algorithm is not ES256 or EdDSA"),
        };
        let key = Self {
            algorithm,
            credential: credential.to_vec(),
            point,
            rp_id: rp_id.to_owned(),
            origin: origin.to_owned(),
        };
        Self::parse(&key.to_line())
    }
}

/// The challenge inside `clientDataJSON`, unverified; to find out which ceremony an answer belongs to.
pub fn claimed_challenge(client_data: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(ClientData::parse(client_data)?.challenge).ok()
}

fn check_client(client_data: &[u8], kind: &str, challenge: &[u8], origin: &str) -> Parsed<()> {
    let client = ClientData::parse(client_data).ok_or(PasskeyError("clientDataJSON is not readable"))?;
    if client.kind != kind {
        return fail("it is for another ceremony");
    }
    if client.challenge != URL_SAFE_NO_PAD.encode(challenge) {
        return fail("it is about another text");
    }
    if client.origin != origin {
        return fail("it was made at another address");
    }
    if client.in_foreign_page {
        return fail("it was made inside a foreign page");
    }
    Ok(())
}

/// Whether `origin` is an address whose pages may use passkeys of `rp_id`: secure, of that host or below it, with
/// nothing but a port after it (level 3, 5.1.3 and 13.4.9).
fn is_site(rp_id: &str, origin: &str) -> bool {
    let is_host = |host: &str| {
        host.len() <= 253
            && host.split('.').all(|label| {
                !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            })
    };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let port_fits = port.is_none_or(|p| p.parse::<u16>().is_ok_and(|n| n != 0 && n.to_string() == p));
    let secure = match scheme {
        "https" => true,
        "http" => host == "localhost" || host.ends_with(".localhost"),
        _ => false,
    };
    let within = host == rp_id || host.strip_suffix(rp_id).is_some_and(|above| above.ends_with('.'));
    secure && port_fits && within && is_host(host) && is_host(rp_id)
}

/// Checks relying party and flags; answers the flags and what follows the counter.
fn check_authenticator<'a>(data: &'a [u8], rp_id: &str) -> Parsed<(u8, &'a [u8])> {
    let Some((hash, rest)) = data.split_first_chunk::<32>() else { return fail("authenticatorData is cut short") };
    let Some((head, rest)) = rest.split_first_chunk::<5>() else { return fail("authenticatorData is cut short") };
    if hash != Digest::of(rp_id.as_bytes()).as_bytes() {
        return fail("it is for another site");
    }
    let flags = head[0];
    if flags & USER_PRESENT == 0 {
        return fail("nobody touched the key");
    }
    if flags & USER_VERIFIED == 0 {
        return fail("the key did not verify who touched it");
    }
    if flags & BACKED_UP != 0 && flags & BACKUP_ELIGIBLE == 0 {
        return fail("its flags contradict each other");
    }
    if flags & 0b0010_0010 != 0 {
        return fail("its reserved flags are in use");
    }
    Ok((flags, rest))
}
