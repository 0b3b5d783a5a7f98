//! OpenSSH signatures (PROTOCOL.sshsig) and public keys (PROTOCOL, PROTOCOL.u2f): Ed25519, ECDSA P-256 and both `sk` forms.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::key::{is_ed25519_point, is_p256_point};

/// Longest armored signature in bytes.
const ARMOR_MAX: usize = 8 * 1024;
/// Widest line of an armored signature in characters (RFC 7468 and OpenSSH stay below).
const ARMOR_WIDTH_MAX: usize = 76;
const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";

/// What a signature could not be verified for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ssh signature: {0}")]
pub struct SshError(&'static str);

type Parsed<T> = Result<T, SshError>;

/// Reads the length-prefixed forms of RFC 4251 section 5.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Parsed<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(SshError("it is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> Parsed<u8> {
        self.take(1).map(|b| b[0])
    }

    fn number(&mut self) -> Parsed<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn string(&mut self) -> Parsed<&'a [u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }

    fn end(self) -> Parsed<()> {
        if self.0.is_empty() { Ok(()) } else { Err(SshError("it has bytes too many")) }
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A public key as OpenSSH writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// The key blob.
    blob: Vec<u8>,
    algorithm: Algorithm,
    /// The raw point or key.
    point: Vec<u8>,
    /// `ssh:` or the like, for security keys.
    application: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Ed25519,
    P256,
}

impl SshKey {
    /// Reads `ssh-ed25519 AAAA...`; a comment after it is not accepted.
    pub fn parse(line: &str) -> Parsed<Self> {
        let (name, encoded) = line.split_once(' ').ok_or(SshError("the key is not one line of type and base64"))?;
        if encoded.len() > 1024 {
            return Err(SshError("the key is too long"));
        }
        let blob = STANDARD.decode(encoded).map_err(|_| SshError("the key is not base64"))?;
        let key = Self::of_blob(blob)?;
        if key.name() == name { Ok(key) } else { Err(SshError("the key's two types differ")) }
    }

    fn of_blob(blob: Vec<u8>) -> Parsed<Self> {
        let mut reader = Reader(&blob);
        let name = reader.string()?;
        let (algorithm, sk) = match name {
            b"ssh-ed25519" => (Algorithm::Ed25519, false),
            b"sk-ssh-ed25519@openssh.com" => (Algorithm::Ed25519, true),
            b"ecdsa-sha2-nistp256" => (Algorithm::P256, false),
            b"sk-ecdsa-sha2-nistp256@openssh.com" => (Algorithm::P256, true),
            _ => return Err(SshError("the key's type is not accepted; use ed25519, ecdsa P-256 or a security key")),
        };
        if algorithm == Algorithm::P256 && reader.string()? != b"nistp256" {
            return Err(SshError("the key's curve is not P-256"));
        }
        let point = reader.string()?.to_vec();
        let fits = match algorithm {
            Algorithm::Ed25519 => is_ed25519_point(&point),
            Algorithm::P256 => is_p256_point(&point),
        };
        if !fits {
            return Err(SshError("the key is of another length, or no key anyone may have"));
        }
        let application = if sk { Some(reader.string()?.to_vec()) } else { None };
        if application.as_ref().is_some_and(|a| !a.starts_with(b"ssh:")) {
            return Err(SshError("the security key is for another application"));
        }
        reader.end()?;
        Ok(Self { blob, algorithm, point, application })
    }

    fn name(&self) -> &'static str {
        match (self.algorithm, self.application.is_some()) {
            (Algorithm::Ed25519, false) => "ssh-ed25519",
            (Algorithm::Ed25519, true) => "sk-ssh-ed25519@openssh.com",
            (Algorithm::P256, false) => "ecdsa-sha2-nistp256",
            (Algorithm::P256, true) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The one-line form.
    pub fn to_line(&self) -> String {
        format!("{} {}", self.name(), STANDARD.encode(&self.blob))
    }

    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    /// True if the private key is on a security key.
    pub fn is_hardware(&self) -> bool {
        self.application.is_some()
    }

    /// Verifies an armored signature over `message` in `namespace`.
    pub fn verify(&self, namespace: &str, message: &[u8], armored: &str) -> Parsed<()> {
        let bytes = dearmor(armored)?;
        let mut reader = Reader(&bytes);
        if reader.take(MAGIC.len())? != MAGIC || reader.number()? != 1 {
            return Err(SshError("it is not an SSHSIG of version 1"));
        }
        if reader.string()? != self.blob {
            return Err(SshError("it was made by another key"));
        }
        if reader.string()? != namespace.as_bytes() {
            return Err(SshError("it is for another purpose (namespace)"));
        }
        if !reader.string()?.is_empty() {
            return Err(SshError("its reserved field is in use"));
        }
        let hash = reader.string()?;
        let hashed = match hash {
            b"sha512" => digest(&SHA512, message),
            b"sha256" => digest(&SHA256, message),
            _ => return Err(SshError("its hash is not sha256 or sha512")),
        };
        let signature = reader.string()?;
        reader.end()?;
        self.verify_blob(&signed_data(namespace, hash, hashed.as_ref()), signature)
    }

    fn verify_blob(&self, data: &[u8], signature: &[u8]) -> Parsed<()> {
        let mut reader = Reader(signature);
        if reader.string()? != self.name().as_bytes() {
            return Err(SshError("its algorithm is not the key's"));
        }
        let raw = reader.string()?;
        let data = match &self.application {
            None => data.to_vec(),
            Some(application) => {
                // PROTOCOL.u2f: the security key signs application, flags, counter and the data's hash.
                let (flags, counter) = (reader.byte()?, reader.number()?);
                if flags & 1 == 0 {
                    return Err(SshError("nobody touched the security key"));
                }
                let mut signed = digest(&SHA256, application).as_ref().to_vec();
                signed.push(flags);
                signed.extend_from_slice(&counter.to_be_bytes());
                signed.extend_from_slice(digest(&SHA256, data).as_ref());
                signed
            }
        };
        reader.end()?;
        let wrong = |_| SshError("it does not fit the text");
        match self.algorithm {
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.point).verify(&data, raw).map_err(wrong),
            Algorithm::P256 => {
                let fixed = fixed_signature(raw)?;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point).verify(&data, &fixed).map_err(wrong)
            }
        }
    }
}

fn signed_data(namespace: &str, hash: &[u8], hashed: &[u8]) -> Vec<u8> {
    let mut data = MAGIC.to_vec();
    for part in [namespace.as_bytes(), b"", hash, hashed] {
        string(&mut data, part);
    }
    data
}

/// Two mpints (RFC 4251) to two 32-byte numbers. One number has one spelling.
fn fixed_signature(raw: &[u8]) -> Parsed<[u8; 64]> {
    let mut reader = Reader(raw);
    let mut out = [0; 64];
    for half in out.chunks_exact_mut(32) {
        let number = reader.string()?;
        let number = match number {
            [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) => rest,
            [first, ..] if first & 0x80 == 0 && *first != 0 => number,
            _ => return Err(SshError("a number in it has another spelling")),
        };
        let start = 32_usize.checked_sub(number.len()).ok_or(SshError("a number in it is too long"))?;
        half[start..].copy_from_slice(number);
    }
    reader.end()?;
    Ok(out)
}

fn dearmor(armored: &str) -> Parsed<Vec<u8>> {
    if armored.len() > ARMOR_MAX {
        return Err(SshError("it is too long"));
    }
    let body = armored.strip_prefix(BEGIN).ok_or(SshError("its first line is missing"))?;
    let body = body.strip_suffix('\n').unwrap_or(body).strip_suffix(END).ok_or(SshError("its last line is missing"))?;
    let body = body.strip_suffix('\n').ok_or(SshError("its last line is missing"))?;
    // Signers differ in how wide they write, never within one signature.
    let width = body.find('\n').unwrap_or(body.len());
    let mut lines = body.split('\n').rev();
    let last = lines.next().unwrap_or_default();
    if width > ARMOR_WIDTH_MAX || last.is_empty() || last.len() > width || lines.any(|line| line.len() != width) {
        return Err(SshError("its lines are not of one width"));
    }
    STANDARD.decode(body.replace('\n', "")).map_err(|_| SshError("it is not base64"))
}

/// Signs as an Ed25519 SSH key would. For the gateway's own root, whose signatures then verify like everybody's.
pub fn sign_ed25519(key: &Ed25519KeyPair, namespace: &str, message: &[u8]) -> String {
    let public = ed25519_line(key.public_key().as_ref());
    let blob = public.split_once(' ').and_then(|(_, b)| STANDARD.decode(b).ok()).unwrap_or_default();
    let data = signed_data(namespace, b"sha512", digest(&SHA512, message).as_ref());
    let mut signature = Vec::new();
    string(&mut signature, b"ssh-ed25519");
    string(&mut signature, key.sign(&data).as_ref());
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&1_u32.to_be_bytes());
    for part in [&blob[..], namespace.as_bytes(), b"", b"sha512", &signature] {
        string(&mut out, part);
    }
    let encoded = STANDARD.encode(out);
    let mut armored = BEGIN.to_owned();
    for line in encoded.as_bytes().chunks(70) {
        armored.push_str(std::str::from_utf8(line).unwrap_or_default());
        armored.push('\n');
    }
    armored.push_str(END);
    armored.push('\n');
    armored
}

/// The one-line form of an Ed25519 public key.
pub fn ed25519_line(public: &[u8]) -> String {
    let mut blob = Vec::new();
    string(&mut blob, b"ssh-ed25519");
    string(&mut blob, public);
    format!("ssh-ed25519 {}", STANDARD.encode(blob))
}
