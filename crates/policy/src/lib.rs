//! Effect, task and people to a decision with reasons.
//!
//! Owns: the Cedar schema and packs that ship (`policies/`), loading with validation, [`decide`], and the classes that no
//! policy can allow without a person.
//!
//! Never: treats an error as anything but deny. Cedar skips a policy that fails to evaluate, as if it did not exist, so
//! an erroring `forbid` would forbid nothing; here any evaluation error denies (I8).
//!
//! Read [`decide`] first.

mod cases;
mod cedar;
mod decision;
mod pack;
mod select;

pub use cases::{Cases, in_words, run_cases, words};
pub use cedar::{Policy, PolicyError};
pub use decision::{Decision, Question, Rule, decide};
pub use pack::Pack;
