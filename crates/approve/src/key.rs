use std::fmt;

use artifact::Digest;
use artifact::claim::Signature;

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
