//! For providers of services: checks, offline, that people signed the request that arrived.
//!
//! Owns: what a provider needs to know ([`Provider`]: its origin, the gateways and people that it trusts), and the check of one request
//! ([`Provider::check`]) to a [`Receipt`].
//!
//! Never: asks anybody, reads a clock, remembers a request. Whoever uses it keeps the runs that it has seen.
//!
//! A gateway adds to a request `wetink-receipt`, with what people signed, and its own HTTP message signature (RFC 9421) over method, target,
//! body (`content-digest`, RFC 9530) and that header. The first says who wants these bytes, by keys that the provider knows; the second that
//! this gateway sent them here, now.
//!
//! Read `check.rs` first.

mod check;
mod provider;

pub use check::{Receipt, Refused, Request};
pub use provider::{Provider, ProviderError};

/// Header with what people signed.
pub const RECEIPT: &str = "wetink-receipt";
