//! The forms that cross a process boundary.
//!
//! Owns: frames, the executor's orders and reports, what brokers are asked, the guard's socket, registrations of targets.
//!
//! Never: decides, verifies or does anything. Whoever receives one of these checks it.
//!
//! Read [`order`] first: it is what runs.

pub mod broker;
pub mod frame;
pub mod net;
pub mod order;
pub mod origin;
pub mod payments;
pub mod socket;
pub mod target;
pub mod whose;
