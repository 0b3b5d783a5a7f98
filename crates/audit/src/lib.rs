//! The log that only grows, and how anyone checks it without asking us.
//!
//! Owns: [`Entry`] (one canonical spelling), the Merkle tree (RFC 6962) with its proofs (RFC 9162), [`Checkpoint`]s as
//! signed notes and static tiles (C2SP signed-note, tlog-checkpoint, tlog-tiles), [`Receipt`]s, and the offline
//! verification of a whole exported log.
//!
//! Never: decides anything, holds a key longer than one call, reads a clock, talks to a database or network. Files are
//! touched in [`dir`] alone.
//!
//! Read [`entry`] first, then [`tree`], then [`verify`].
//!
//! An exported log is a directory with exactly these files, no more and no fewer:
//!
//! ```text
//! checkpoint                       the signed head: name, size, root
//! tile/entries/000 ... .p/<width>  256 entries each, the last one partial
//! tile/<level>/000 ... .p/<width>  256 hashes each; level 0 are the entries' leaf hashes
//! contents.jsonl                   what entries commit to and nobody erased; left out where the reader may not see it
//! ```
//!
//! A log that was cut back to an older checkpoint verifies by itself: only somebody who holds a newer checkpoint can
//! tell. Hand it in as [`verify::Options::earlier`].

pub mod contents;
pub mod dir;
pub mod entry;
mod error;
pub mod note;
pub mod receipt;
pub mod tamper;
pub mod tile;
pub mod tree;
pub mod verify;

#[cfg(test)]
mod fixture;

pub use contents::Opening;
pub use dir::{Export, export, verify_dir};
pub use entry::{Actor, Commitment, Domain, Entry, EventKind, Role, commit};
pub use error::Error;
pub use note::{Checkpoint, VerifierKey};
pub use receipt::{Receipt, VerifiedReceipt};
pub use tree::{Frontier, Node, Nodes, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
pub use verify::{Contents, Options, Report, Source, verify_log};

use artifact::Digest;

/// What a log can be asked for, to export it or to make receipts from it.
pub trait Log: Nodes {
    /// The canonical bytes of the entry at `index`.
    fn entry(&self, index: u64) -> Result<Vec<u8>, Self::Error>;

    /// The salt and bytes behind a commitment; none if they were erased or the reader may not see them.
    fn opening(&self, commitment: &Digest) -> Result<Option<Opening>, Self::Error>;
}
