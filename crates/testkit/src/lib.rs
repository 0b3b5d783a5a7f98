//! What tests need and no product may contain.
//!
//! Owns: software keys that sign as a person's SSH key, security key or passkey would, each with every field open to be
//! bent; a clock that stands still.
//!
//! Never: linked into the binary; `cargo xtask deps` holds that.
//!
//! Read [`SoftKey`] first: most tests need no more.

mod clock;
mod passkey;
mod ssh;

pub use clock::FixedClock;
pub use passkey::{Assertion, Registration, SoftPasskey};
pub use ssh::{SoftKey, SoftSecurityKey, SshSignature};
