//! Approval statement, signatures, quorum: [`Approved`], then [`Warrant`].
//!
//! Owns: the text of every statement, the verifiers for OpenSSH signatures and passkeys, the trust that is made of signed
//! grants, and the two types that carry "a person signed exactly this" (I2) and "at most once" (I3).
//!
//! Never: talks to anything, reads a clock, parses an artifact, believes a stored "approved".
//!
//! Read `approved.rs` first.

mod approved;
mod cbor;
mod client_data;
mod key;
mod nonce;
mod refused;
pub mod sshsig;
pub mod statement;
mod trust;
pub mod webauthn;

pub use approved::{Approved, Context, Spend, SpendLedger, VALIDITY_MAX_S, VerifiedTask, Warrant};
pub use key::{Assurance, PublicKey};
pub use nonce::{Nonce, NonceError};
pub use refused::Refused;
pub use trust::{GrantedKey, Role, Signer, Trust};

/// SSHSIG namespace of approvals, releases and grants.
pub const NAMESPACE: &str = "wetink-approval@v1";
/// SSHSIG namespace of sign-ins.
pub const LOGIN_NAMESPACE: &str = "wetink-login@v1";
