//! What travels: bytes and signatures that claim something. A claim proves nothing until `approve` verified it.

use serde::{Deserialize, Serialize};

/// A statement and signatures over it, as claimed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// The statement's exact text; the signatures are over these bytes, unless there is a batch.
    pub statement: String,
    /// Where several were signed at once: the text that names them all by digest. The signatures are over its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// One per signer.
    pub signatures: Vec<Signature>,
}

/// One claimed signature. Byte fields are base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Signature {
    /// OpenSSH signature (PROTOCOL.sshsig), ASCII-armored as `ssh-keygen -Y sign` writes it.
    Ssh {
        /// `-----BEGIN SSH SIGNATURE-----` and so on.
        armored: String,
    },
    /// A WebAuthn assertion (WebAuthn level 3, section 7.2). The challenge is SHA-256 of the statement.
    Passkey {
        /// Credential id.
        credential: String,
        /// `authenticatorData`.
        authenticator_data: String,
        /// `clientDataJSON`.
        client_data: String,
        /// `signature`.
        signature: String,
    },
}
