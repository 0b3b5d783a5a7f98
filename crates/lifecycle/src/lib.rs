//! (state, event) to (state, effects). Pure. Read this crate first: it is the product's whole story in a few files.
//!
//! Owns: the states of a proposal and which event leads where ([`step`]); what is decided and shown about bytes
//! ([`examine`]); the entries the desk asks for ([`draft`]); the statements people sign ([`statement`]).
//!
//! Never: does any of it. No clock, no I/O. The desk feeds events that are already in the log and carries out the effects;
//! replaying the log gives the same states again.
//!
//! Read `step.rs` first, then [`Event::of_entry`], which reads an event off a log entry.

mod asked;
pub mod draft;
mod event;
mod examine;
pub mod log;
mod operations;
mod payments;
mod shown;
pub mod signin;
pub mod statement;
mod step;
mod task;

pub use analyze::Code;
pub use analyze::provenance::Source;
pub use analyze::{Sensitive, Snapshot, detect, differences, overlap, pattern};
pub use asked::{Asked, Withheld, released_cells, released_text};
pub use event::{Ending, Event};
pub use examine::{Again, Examined, Risk, RunRights, Setting, decide_again, examine, labels_touched};
pub use policy::{Cases, Decision, Pack, Policy, PolicyError, run_cases, words as decision_words};
pub use shown::{OriginLine, Shown};
pub use step::{Effect, Illegal, State, step};
pub use task::TaskScope;
