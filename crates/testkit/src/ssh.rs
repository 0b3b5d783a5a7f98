//! SSH keys in software. The signature format is written here once more, apart from the verifier's, so that one mistake
//! is not made on both sides.

use approve::{NAMESPACE, sshsig};
use artifact::claim::{Signature, Signed};
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A software key that signs statements.
pub struct SoftKey(Ed25519KeyPair);

impl SoftKey {
    /// The key of this seed: the same seed, the same key.
    #[allow(clippy::expect_used, reason = "every 32 bytes are an Ed25519 seed, and this is for tests only")]
    pub fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed"))
    }

    /// The one-line public key.
    pub fn line(&self) -> String {
        sshsig::ed25519_line(self.0.public_key().as_ref())
    }

    /// The 32 bytes of the public key.
    pub fn point(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// A claim with one signature over the statement.
    pub fn sign(&self, statement: &str) -> Signed {
        self.sign_as(NAMESPACE, statement)
    }

    /// The same for another purpose.
    pub fn sign_as(&self, namespace: &str, statement: &str) -> Signed {
        let armored = sshsig::sign_ed25519(&self.0, namespace, statement.as_bytes());
        Signed { statement: statement.to_owned(), batch: None, signatures: vec![Signature::Ssh { armored }] }
    }

    /// Another signature beside those of `claim`.
    pub fn cosign(&self, mut claim: Signed) -> Signed {
        claim.signatures.extend(self.sign(&claim.statement).signatures);
        claim
    }

    /// A signature in parts, over `message` hashed with `hash` (`sha256` or `sha512`).
    pub fn parts(&self, namespace: &str, message: &[u8], hash: &str) -> SshSignature {
        let mut parts = SshSignature::unsigned("ssh-ed25519", namespace, hash);
        parts.key = self.blob();
        parts.raw = self.0.sign(&signed_data(namespace, hash, message)).as_ref().to_vec();
        parts
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        string(&mut blob, b"ssh-ed25519");
        string(&mut blob, self.point());
        blob
    }
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A FIDO security key as OpenSSH uses it (PROTOCOL.u2f), in software.
pub struct SoftSecurityKey {
    secret: Secret,
    application: String,
}

impl SoftSecurityKey {
    /// `sk-ssh-ed25519@openssh.com` of this seed, for the application `ssh:`.
    #[allow(clippy::expect_used, reason = "every 32 bytes are an Ed25519 seed, and this is for tests only")]
    pub fn ed25519(seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed");
        Self { secret: Secret::Ed25519(pair), application: "ssh:".to_owned() }
    }

    /// A fresh `sk-ecdsa-sha2-nistp256@openssh.com`, for the application `ssh:`.
    #[allow(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key is made");
        Self { secret: Secret::P256(pair), application: "ssh:".to_owned() }
    }

    /// The same key for another application.
    pub fn for_application(mut self, application: &str) -> Self {
        application.clone_into(&mut self.application);
        self
    }

    fn name(&self) -> &'static str {
        match self.secret {
            Secret::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Secret::P256(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        string(&mut blob, self.name().as_bytes());
        match &self.secret {
            Secret::Ed25519(pair) => string(&mut blob, pair.public_key().as_ref()),
            Secret::P256(pair) => {
                string(&mut blob, b"nistp256");
                string(&mut blob, pair.public_key().as_ref());
            }
        }
        string(&mut blob, self.application.as_bytes());
        blob
    }

    /// The one-line public key.
    pub fn line(&self) -> String {
        format!("{} {}", self.name(), STANDARD.encode(self.blob()))
    }

    /// A claim with one signature over the statement, touched and verified.
    pub fn sign(&self, statement: &str) -> Signed {
        let armored = self.parts(NAMESPACE, statement.as_bytes(), "sha512", 0b101).armored();
        Signed { statement: statement.to_owned(), batch: None, signatures: vec![Signature::Ssh { armored }] }
    }

    /// A signature in parts. `flags`: 1 touched, 4 verified.
    #[allow(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub fn parts(&self, namespace: &str, message: &[u8], hash: &str, flags: u8) -> SshSignature {
        const COUNTER: u32 = 7;
        let mut signed = digest(&SHA256, self.application.as_bytes()).as_ref().to_vec();
        signed.push(flags);
        signed.extend(COUNTER.to_be_bytes());
        signed.extend(digest(&SHA256, &signed_data(namespace, hash, message)).as_ref());
        let mut parts = SshSignature::unsigned(self.name(), namespace, hash);
        parts.key = self.blob();
        parts.presence = Some((flags, COUNTER));
        parts.raw = match &self.secret {
            Secret::Ed25519(pair) => pair.sign(&signed).as_ref().to_vec(),
            Secret::P256(pair) => {
                mpints(pair.sign(&SystemRandom::new(), &signed).expect("the system's randomness answers").as_ref())
            }
        };
        parts
    }
}

/// A signature in parts (PROTOCOL.sshsig), each open to be bent before it is armored.
#[derive(Clone, Debug)]
pub struct SshSignature {
    /// `SSHSIG`.
    pub magic: Vec<u8>,
    /// 1.
    pub version: u32,
    /// Public key blob.
    pub key: Vec<u8>,
    /// Namespace.
    pub namespace: Vec<u8>,
    /// Reserved; empty.
    pub reserved: Vec<u8>,
    /// Name of the hash.
    pub hash: Vec<u8>,
    /// Signature's algorithm.
    pub algorithm: Vec<u8>,
    /// Signature.
    pub raw: Vec<u8>,
    /// Flags and counter, for security keys.
    pub presence: Option<(u8, u32)>,
    /// Bytes after the inner signature.
    pub inner_tail: Vec<u8>,
    /// Bytes after everything.
    pub tail: Vec<u8>,
}

impl SshSignature {
    fn unsigned(algorithm: &str, namespace: &str, hash: &str) -> Self {
        Self {
            magic: b"SSHSIG".to_vec(),
            version: 1,
            key: Vec::new(),
            namespace: namespace.into(),
            reserved: Vec::new(),
            hash: hash.into(),
            algorithm: algorithm.into(),
            raw: Vec::new(),
            presence: None,
            inner_tail: Vec::new(),
            tail: Vec::new(),
        }
    }

    /// The bytes inside the armor.
    pub fn bytes(&self) -> Vec<u8> {
        let mut inner = Vec::new();
        string(&mut inner, &self.algorithm);
        string(&mut inner, &self.raw);
        if let Some((flags, counter)) = self.presence {
            inner.push(flags);
            inner.extend(counter.to_be_bytes());
        }
        inner.extend(&self.inner_tail);
        let mut out = self.magic.clone();
        out.extend(self.version.to_be_bytes());
        for part in [&self.key, &self.namespace, &self.reserved, &self.hash, &inner] {
            string(&mut out, part);
        }
        out.extend(&self.tail);
        out
    }

    /// As `ssh-keygen -Y sign` writes it.
    pub fn armored(&self) -> String {
        Self::armor(&self.bytes(), 70)
    }

    /// Armors any bytes, with lines of `width` characters.
    pub fn armor(bytes: &[u8], width: usize) -> String {
        let encoded = STANDARD.encode(bytes);
        let mut out = "-----BEGIN SSH SIGNATURE-----\n".to_owned();
        for line in encoded.as_bytes().chunks(width.max(1)) {
            out.extend(line.iter().map(|b| char::from(*b)));
            out.push('\n');
        }
        out + "-----END SSH SIGNATURE-----\n"
    }
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(bytes);
}

fn signed_data(namespace: &str, hash: &str, message: &[u8]) -> Vec<u8> {
    let hashed = if hash == "sha256" { digest(&SHA256, message) } else { digest(&SHA512, message) };
    let mut data = b"SSHSIG".to_vec();
    for part in [namespace.as_bytes(), b"", hash.as_bytes(), hashed.as_ref()] {
        string(&mut data, part);
    }
    data
}

/// r and s, 32 bytes each, as two mpints (RFC 4251, section 5).
fn mpints(fixed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for half in fixed.chunks(32) {
        let start = half.iter().position(|b| *b != 0).unwrap_or(half.len());
        let mut number = half[start..].to_vec();
        if number.first().is_some_and(|b| b & 0x80 != 0) {
            number.insert(0, 0);
        }
        string(&mut out, &number);
    }
    out
}
