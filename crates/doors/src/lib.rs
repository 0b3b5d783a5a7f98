//! The forms of the two doors: what agents and people send, and what they get.
//!
//! Owns: the agents' API, the people's API, the closed list of refusals (I9).
//!
//! Never: decides, verifies or does anything. The guard meets none of these.

pub mod agents;
pub mod credential;
pub mod people;
mod refusal;

pub use refusal::Refusal;
