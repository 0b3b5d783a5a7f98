//! The guard's durable side: log, contents, spent approvals, signed grants, in one SQLite file.
//!
//! Owns: appending with group commit (one sync for a batch of jobs), spending a nonce together with its `started` entry in
//! one transaction, sealed contents, the tree's nodes, the signed head.
//!
//! Never: decides, verifies a person's signature, or goes on after a write whose outcome is unknown.
//!
//! Read `writer.rs` first.

mod error;
mod ledger;
mod schema;
mod sealing;
mod writer;

pub use error::LedgerError;
pub use ledger::{Keys, Ledger, Logged, StoredGrant, WithoutHeld};
pub use writer::{Budget, Class, Draft, GrantRow, Job, NewContent};
