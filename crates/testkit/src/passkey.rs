//! A passkey in software (WebAuthn level 3, sections 6 and 7): registrations with `none` attestation and assertions.

use artifact::Digest;
use artifact::claim::{Signature, Signed};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

enum Secret {
    Es256(EcdsaKeyPair),
    Eddsa(Ed25519KeyPair),
}

/// A software authenticator with one passkey, and the browser around it.
pub struct SoftPasskey {
    secret: Secret,
    credential: Vec<u8>,
    rp_id: String,
    origin: String,
}

/// What will be signed, each part open to be bent.
#[derive(Clone, Debug)]
pub struct Assertion {
    /// `authenticatorData`: 32 bytes of site, flags, 4 bytes of counter.
    pub data: Vec<u8>,
    /// `clientDataJSON`.
    pub client: String,
    /// Signed after the two, though not sent: makes the signature one over other bytes.
    pub also_signed: Vec<u8>,
}

impl Assertion {
    /// The flags: 1 touched, 4 verified, 8 may be copied, 16 is copied, 64 key attached, 128 extensions attached.
    pub fn flags(&mut self) -> &mut u8 {
        &mut self.data[32]
    }

    /// Claims another site.
    pub fn set_rp_id(&mut self, rp_id: &str) {
        self.data[..32].copy_from_slice(Digest::of(rp_id.as_bytes()).as_bytes());
    }
}

/// What a browser hands over when a passkey is made.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `attestationObject`.
    pub attestation: Vec<u8>,
    /// `clientDataJSON`.
    pub client: String,
}

impl SoftPasskey {
    /// A fresh ES256 passkey of a site.
    #[allow(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub fn es256(rp_id: &str, origin: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key is made");
        Self::of(Secret::Es256(pair), rp_id, origin)
    }

    /// The EdDSA passkey of this seed.
    #[allow(clippy::expect_used, reason = "every 32 bytes are an Ed25519 seed, and this is for tests only")]
    pub fn eddsa(seed: u8, rp_id: &str, origin: &str) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed");
        Self::of(Secret::Eddsa(pair), rp_id, origin)
    }

    fn of(secret: Secret, rp_id: &str, origin: &str) -> Self {
        let mut key = Self { secret, credential: Vec::new(), rp_id: rp_id.to_owned(), origin: origin.to_owned() };
        key.credential = Digest::of(key.point()).as_bytes()[..16].to_vec();
        key
    }

    /// The public key: 65 bytes for ES256, 32 for EdDSA.
    pub fn point(&self) -> &[u8] {
        match &self.secret {
            Secret::Es256(pair) => pair.public_key().as_ref(),
            Secret::Eddsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// The credential id.
    pub fn credential(&self) -> &[u8] {
        &self.credential
    }

    /// The one-line public key.
    pub fn line(&self) -> String {
        let name = if matches!(self.secret, Secret::Es256(_)) { "es256" } else { "eddsa" };
        let (credential, point) = (URL_SAFE_NO_PAD.encode(&self.credential), URL_SAFE_NO_PAD.encode(self.point()));
        format!("passkey {name} {credential} {point} {} {}", self.rp_id, self.origin)
    }

    /// An honest assertion over a statement, from a device that keeps its keys.
    pub fn assertion(&self, statement: &str) -> Assertion {
        let mut data = Digest::of(self.rp_id.as_bytes()).as_bytes().to_vec();
        data.extend([0b101, 0, 0, 0, 7]);
        let client = self.client("webauthn.get", Digest::of(statement.as_bytes()).as_bytes());
        Assertion { data, client, also_signed: Vec::new() }
    }

    /// Signs an assertion, however bent.
    pub fn seal(&self, assertion: &Assertion) -> Signature {
        let mut signed = assertion.data.clone();
        signed.extend(Digest::of(assertion.client.as_bytes()).as_bytes());
        signed.extend(&assertion.also_signed);
        Signature::Passkey {
            credential: URL_SAFE_NO_PAD.encode(&self.credential),
            authenticator_data: URL_SAFE_NO_PAD.encode(&assertion.data),
            client_data: URL_SAFE_NO_PAD.encode(&assertion.client),
            signature: URL_SAFE_NO_PAD.encode(self.sign_raw(&signed)),
        }
    }

    /// A claim with one honest signature over the statement.
    pub fn sign(&self, statement: &str) -> Signed {
        Signed { statement: statement.to_owned(), batch: None, signatures: vec![self.seal(&self.assertion(statement))] }
    }

    /// The device's bare signature over any bytes.
    #[allow(clippy::expect_used, reason = "a test without randomness cannot go on")]
    pub fn sign_raw(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Es256(pair) => {
                pair.sign(&SystemRandom::new(), bytes).expect("the system's randomness answers").as_ref().to_vec()
            }
            Secret::Eddsa(pair) => pair.sign(bytes).as_ref().to_vec(),
        }
    }

    /// An honest registration.
    pub fn register(&self, challenge: &[u8]) -> Registration {
        let attestation = Self::attestation("none", &self.attested_data(0b0100_0101, &self.cose()));
        Registration { attestation, client: self.client("webauthn.create", challenge) }
    }

    /// `authenticatorData` of a registration with these flags and this COSE key.
    pub fn attested_data(&self, flags: u8, cose: &[u8]) -> Vec<u8> {
        let mut data = Digest::of(self.rp_id.as_bytes()).as_bytes().to_vec();
        data.extend([flags, 0, 0, 0, 0]);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.credential.len()).unwrap_or(u16::MAX).to_be_bytes());
        data.extend(&self.credential);
        data.extend(cose);
        data
    }

    /// An attestation object of this format with an empty statement.
    pub fn attestation(format: &str, data: &[u8]) -> Vec<u8> {
        let mut out = vec![0xa3];
        text(&mut out, "fmt");
        text(&mut out, format);
        text(&mut out, "attStmt");
        out.push(0xa0);
        text(&mut out, "authData");
        bytes(&mut out, data);
        out
    }

    /// The public key in COSE form (RFC 9053).
    pub fn cose(&self) -> Vec<u8> {
        let point = self.point();
        if let Secret::Es256(_) = self.secret {
            // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
            let mut out = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21];
            bytes(&mut out, &point[1..33]);
            out.push(0x22);
            bytes(&mut out, &point[33..]);
            return out;
        }
        // {1: 1, 3: -8, -1: 6, -2: x}
        let mut out = vec![0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21];
        bytes(&mut out, point);
        out
    }

    fn client(&self, kind: &str, challenge: &[u8]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{}","crossOrigin":false}}"#, self.origin)
    }
}

fn head(out: &mut Vec<u8>, major: u8, length: usize) {
    match u8::try_from(length) {
        Ok(short @ 0..=23) => out.push(major << 5 | short),
        Ok(long) => out.extend([major << 5 | 0x18, long]),
        Err(_) => {
            out.push(major << 5 | 0x19);
            out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    head(out, 2, value.len());
    out.extend(value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    head(out, 3, value.len());
    out.extend(value.as_bytes());
}
