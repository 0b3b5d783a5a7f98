//! Exact bytes and what names them.
//!
//! Owns: [`Artifact`] (bytes and digest that agree, I1), [`Digest`], [`Kind`], typed [`Id`]s (I10), [`Timestamp`],
//! canonical JSON (RFC 8785), the [`Effect`] as plain data, and the rules that effects are held against: what may be sent
//! ([`request`]), to whom ([`mail`]), for how much ([`money`]).
//!
//! Never: parses an artifact, talks to anything, reads a clock by itself.
//!
//! Read [`bytes`](Artifact) first: everything else names or describes those bytes.

mod bytes;
pub mod canonical;
pub mod catalog;
pub mod claim;
mod digest;
pub mod effect;
mod id;
mod kind;
pub mod mail;
pub mod money;
pub mod request;
mod shape;
mod text;
mod timestamp;
mod words;

pub use bytes::{Artifact, ArtifactError, MAX_ARTIFACT_BYTES};
pub use digest::{Digest, DigestError, Hasher};
pub use effect::Effect;
pub use id::{Id, IdError, Marker, Proposal, ProposalId, Run, RunId, Session, SessionId, Task, TaskId};
pub use kind::{Kind, KindError};
pub use shape::{Shapes, drift, shapes};
pub use text::{has_hidden, visible, visible_char};
pub use timestamp::{Timestamp, TimestampError};
pub use words::digest_words;
