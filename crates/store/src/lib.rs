//! The desk's view of the log.
//!
//! Owns: tables folded from log entries (proposals, agents' sessions, searchable entries) and the queries behind pages.
//! The log is the truth: delete this file and [`Store::apply`] makes an identical one from the entries again, so it is
//! written without a sync of its own.
//!
//! Never: decides, talks to the guard, or holds a result that no person released ([`Held`] has keyed hashes of its values).
//!
//! Read `fold.rs` first: it is where an entry becomes a row.

mod filter;
mod fold;
mod held;
mod query;
mod schema;
mod signal;
mod types;

pub use held::{Held, Mark, Withheld};
pub use query::{Page, Store};
pub use types::{EntryRow, Moved, ProposalRow, SearchFilter, SessionRow, SignalRow, StoreError};
