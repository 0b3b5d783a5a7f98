//! Credentials: sealed at rest, used, never read.
//!
//! Owns: the vault file (AES-256-GCM, a data key for each secret, a master key from a passphrase by Argon2id or from a key
//! file), where a credential is fetched from that it does not hold ([`Source`]), [`Credential`] and the one way it leaves: onto an executor's pipe.
//!
//! Never: gives a credential's value to anything that could log, compare, copy or send it elsewhere (I4).
//!
//! Read `credential.rs` first.

mod credential;
mod file;
mod seal;
mod source;

pub use credential::Credential;
pub use file::{Assurance, Found, KeySource, SecretInfo, Vault, VaultError};
pub use source::{Source, SourceError};
