//! One reading of the texts that are handed in, the same for the analysis that shows them and for the executor that runs them.
//!
//! Owns: [`bound`], a statement with its values; [`request`], an HTTP request or a call of a tool; [`mail`], what is asked of a mailbox;
//! [`graphql`], what a request asks of a GraphQL service; [`payment`], what a request pays; [`aws`], what of it a service of AWS signs.
//!
//! Never: decides, talks to anything, or guesses what is meant: whatever two readers could take differently is refused.
//!
//! Read `request.rs` first.

pub mod aws;
pub mod bound;
pub mod graphql;
pub mod mail;
pub mod payment;
pub mod request;
