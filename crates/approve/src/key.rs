use std::fmt;

use artifact::Digest;
use artifact::claim::Signature;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey};

use crate::Refused;
use crate::sshsig::SshKey;
use crate::webauthn::Passkey;

/// How much a signature says about the person's presence, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assurance {
    /// A key file: whoever can read it can sign.
    PlainKey,
    /// A passkey that may be copied between a person's devices.
    SyncedPasskey,
    /// A key that never leaves its hardware.
    Hardware,
}

/// A key that may sign, in its one-line form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// OpenSSH.
    Ssh(SshKey),
    /// WebAuthn.
    Passkey(Passkey),
}

impl PublicKey {
    /// Reads the one-line form; another spelling of the same key is refused.
    pub fn parse(line: &str) -> Result<Self, Refused> {
        let malformed = |why: String| Refused::Key(why);
        let key = if line.starts_with("passkey ") {
            Self::Passkey(Passkey::parse(line).map_err(|e| malformed(e.to_string()))?)
        } else {
            Self::Ssh(SshKey::parse(line).map_err(|e| malformed(e.to_string()))?)
        };
        if key.to_string() == line { Ok(key) } else { Err(malformed("the key has another spelling".into())) }
    }

    /// SHA-256 of the one-line form.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// The raw key, whatever form it is written in: the same device under two lines is still one device.
    pub(crate) fn point(&self) -> &[u8] {
        match self {
            Self::Ssh(key) => key.point(),
            Self::Passkey(key) => key.point(),
        }
    }

    /// Verifies one claimed signature over `text`.
    pub fn verify(&self, namespace: &str, text: &str, signature: &Signature) -> Result<Assurance, Refused> {
        match (self, signature) {
            (Self::Ssh(key), Signature::Ssh { armored }) => {
                key.verify(namespace, text.as_bytes(), armored).map_err(|e| Refused::Signature(e.to_string()))?;
                Ok(if key.is_hardware() { Assurance::Hardware } else { Assurance::PlainKey })
            }
            (Self::Passkey(key), Signature::Passkey { credential, authenticator_data, client_data, signature }) => {
                let asserted = key.verify(text.as_bytes(), credential, authenticator_data, client_data, signature);
                let asserted = asserted.map_err(|e| Refused::Signature(e.to_string()))?;
                Ok(if asserted.synced { Assurance::SyncedPasskey } else { Assurance::Hardware })
            }
            _ => Err(Refused::Signature("the signature is of another kind than the key".into())),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ssh(key) => f.write_str(&key.to_line()),
            Self::Passkey(key) => f.write_str(&key.to_line()),
        }
    }
}

/// Whether 32 bytes may be an Ed25519 key. Points of small order are refused: one signature of theirs fits (nearly) every
/// text, so whoever holds such a "key" could later say that anybody signed. The list is of y-coordinates, canonical or
/// not; the top bit is the sign of x and does not matter.
pub(crate) fn is_ed25519_point(point: &[u8]) -> bool {
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let Ok(mut y) = <[u8; 32]>::try_from(point) else { return false };
    y[31] &= 0x7f;
    // 0 and 1, and p-1, p, p+1 (the last two are second spellings of 0 and 1).
    let low = y[0] <= 1 && y[1..] == [0; 31];
    let high = (0xec..=0xee).contains(&y[0]) && y[1..31] == [0xff; 30] && y[31] == 0x7f;
    !(low || high || ORDER_8.contains(&y))
}

/// Whether bytes are an uncompressed point on P-256. A key that can never verify would lock its person out.
pub(crate) fn is_p256_point(point: &[u8]) -> bool {
    point.len() == 65 && point[0] == 4 && ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).is_ok()
}
