//! The forms that cross a process boundary.
//!
//! Owns: frames, the executor's orders and reports, what brokers are asked, the guard's socket, the agents' API, the people's API, the closed
//! list of refusals (I9).
//!
//! Never: decides, verifies or does anything. Whoever receives one of these checks it.
//!
//! Read [`order`] first: it is what runs.

pub mod api;
pub mod broker;
pub mod frame;
pub mod net;
pub mod order;
pub mod origin;
pub mod people;
mod refusal;
pub mod socket;
pub mod target;

pub use refusal::Refusal;
