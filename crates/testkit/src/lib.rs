//! What tests need and no product may contain.
//!
//! Owns: software keys that sign as a person's SSH key would.
//!
//! Never: linked into the binary; `cargo xtask deps` holds that.
//!
//! Read [`SoftKey`]: it is all there is.

use approve::{NAMESPACE, sshsig};
use artifact::claim::{Signature, Signed};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

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

    /// A claim with one signature over the statement.
    pub fn sign(&self, statement: &str) -> Signed {
        self.sign_as(NAMESPACE, statement)
    }

    /// The same for another purpose.
    pub fn sign_as(&self, namespace: &str, statement: &str) -> Signed {
        let armored = sshsig::sign_ed25519(&self.0, namespace, statement.as_bytes());
        Signed { statement: statement.to_owned(), signatures: vec![Signature::Ssh { armored }] }
    }
}
