use artifact::{Digest, canonical::CanonicalError};

use crate::entry::MAX_ENTRY_BYTES;

/// Why something about the log is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Longer than [`MAX_ENTRY_BYTES`].
    #[error("the entry has {0} bytes, the limit is {MAX_ENTRY_BYTES}; put long texts into contents")]
    EntryTooLarge(usize),
    /// Not JSON, or not the fields of an entry.
    #[error("not a log entry: {0}")]
    EntryForm(#[source] serde_json::Error),
    /// Of a version this program does not know.
    #[error("log entry of version {0}, this program knows version 1; use a newer program")]
    EntryVersion(u8),
    /// An entry, but not spelled in its one canonical way.
    #[error("the entry is not in canonical form")]
    EntryNotCanonical,
    /// A value that has no canonical form.
    #[error("the entry has no canonical form")]
    EntryValue(#[from] CanonicalError),
    /// Something about one entry of a log.
    #[error("entry {index}: {source}")]
    AtEntry {
        /// Its index, from 0.
        index: u64,
        /// What.
        source: Box<Error>,
    },
    /// An entry and the tree disagree.
    #[error("entry {index}: leaf hash mismatch (expected {}, found {})", short(expected), short(found))]
    LeafMismatch {
        /// The entry's index, from 0.
        index: u64,
        /// What the tree says.
        expected: Digest,
        /// The hash of the entry's bytes.
        found: Digest,
    },
    /// A tile disagrees with the tiles below it.
    #[error("`{path}`: hash {position} mismatch (expected {}, found {})", short(expected), short(found))]
    TileMismatch {
        /// The tile's file.
        path: String,
        /// Place of the hash in the tile, from 0.
        position: usize,
        /// What the tiles below add up to.
        expected: Digest,
        /// What the tile says.
        found: Digest,
    },
    /// The entries do not add up to the signed root.
    #[error("checkpoint of {size} entries: root mismatch (expected {}, found {})", short(expected), short(found))]
    RootMismatch {
        /// Entries covered by the checkpoint.
        size: u64,
        /// The checkpoint's root.
        expected: Digest,
        /// What the entries add up to.
        found: Digest,
    },
    /// A checkpoint held from before covers more entries than the log has.
    #[error("the log has {size} entries, a checkpoint seen before has {earlier}; entries were removed")]
    CutBack {
        /// Entries now.
        size: u64,
        /// Entries then.
        earlier: u64,
    },
    /// A rule between entries is broken.
    #[error("{0}")]
    Rule(&'static str),
    /// The caller's own check refused an entry.
    #[error("{0}")]
    Hook(String),
    /// A file that belongs to the log is not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A file that does not belong to the log is there.
    #[error("`{0}` does not belong to this log; remove it if you put it there")]
    Unexpected(String),
    /// A file is not of the form its name promises.
    #[error("`{path}`: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A line of the contents is wrong.
    #[error("`contents.jsonl` line {line}: {problem}")]
    Content {
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A commitment that nothing opens and no entry says was erased.
    #[error("entry {index}: the content behind {} is missing and was not erased", short(commitment))]
    Unopened {
        /// The entry that commits to it.
        index: u64,
        /// To what.
        commitment: Digest,
    },
    /// A note, checkpoint or key is not well-formed.
    #[error("{0}")]
    Note(&'static str),
    /// No valid signature by the expected key.
    #[error("the checkpoint is not signed by `{0}`; check that this is the right log and key")]
    Unsigned(String),
    /// The expected key's name is there with a signature that does not hold.
    #[error("the signature of `{0}` does not hold; the checkpoint was changed")]
    BadSignature(String),
    /// A proof does not lead to the root.
    #[error("the proof does not lead to the root")]
    Proof,
    /// A position outside the tree.
    #[error("no entry {index} in a log of {size}")]
    OutOfRange {
        /// The position asked for.
        index: u64,
        /// Entries there are.
        size: u64,
    },
    /// A stored tree node is not there.
    #[error("tree node {index} of level {level} is missing; rebuild the tree from the entries")]
    NodeMissing {
        /// Its level; leaves are 0.
        level: u8,
        /// Its index within the level.
        index: u64,
    },
    /// A receipt that is not well-formed or proves nothing.
    #[error("receipt: {0}")]
    Receipt(&'static str),
    /// Reading or writing failed.
    #[error("`{path}`: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    /// Says which entry it is about.
    pub fn at(self, index: u64) -> Self {
        Self::AtEntry { index, source: Box::new(self) }
    }
}

/// The first four hex digits: enough to tell two hashes apart on a screen.
fn short(digest: &Digest) -> String {
    let [a, b, ..] = digest.as_bytes();
    format!("{a:02x}{b:02x}…")
}
