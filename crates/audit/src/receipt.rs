//! A receipt: entries of a log, and the proof that they are in it. Checked offline with the log's public key alone.

use std::collections::BTreeMap;

use artifact::Digest;
use serde::{Deserialize, Serialize};

use crate::tree::{inclusion_proof, leaf_hash, verify_inclusion};
use crate::verify::Opened;
use crate::{Checkpoint, Entry, Error, Log, Opening, VerifierKey};

/// Largest receipt in bytes.
pub const MAX_RECEIPT_BYTES: usize = 64 * 1024 * 1024;
/// Most entries, and most contents, in one receipt.
pub const MAX_ITEMS: usize = 1024;

/// What is handed to whoever wants to check one run. A claim until [`Receipt::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this form: 1.
    pub v: u8,
    /// Entries, by rising index.
    pub entries: Vec<Included>,
    /// The checkpoint as a signed note.
    pub checkpoint: String,
    /// Contents that the entries commit to: the statement signed, the effect shown and so on.
    pub statements: Vec<Opening>,
}

/// An entry and its way to the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Included {
    /// The entry's canonical bytes.
    pub entry: String,
    /// Its place in the log, from 0.
    pub index: u64,
    /// Sibling hashes from the leaf to the root (RFC 9162 2.1.3).
    pub proof: Vec<Digest>,
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// The log's signed head that the entries are under.
    pub checkpoint: Checkpoint,
    /// Entries by index.
    pub entries: Vec<(u64, Entry)>,
    /// Contents with the index of the entry that commits to them, in the order given.
    pub contents: Vec<(u64, Opened)>,
}

impl Receipt {
    /// A receipt for the entries at `indices` under the checkpoint in `note`, with all their contents that `log` opens.
    pub fn build<L: Log>(indices: &[u64], note: &str, log: &L) -> Result<Self, L::Error> {
        let head = Checkpoint::parse_body(&crate::note::SignedNote::parse(note.as_bytes())?.text)?;
        let mut receipt = Self { v: 1, entries: Vec::new(), checkpoint: note.to_owned(), statements: Vec::new() };
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        for index in sorted {
            let proof = inclusion_proof(index, head.size, log)?;
            let bytes = log.entry(index)?;
            for named in Entry::parse(&bytes).map_err(|error| error.at(index))?.contents {
                let known = receipt.statements.iter().any(|one| *one.commitment() == named.commitment);
                if !known {
                    receipt.statements.extend(log.opening(&named.commitment)?);
                }
            }
            let entry = String::from_utf8(bytes).map_err(|_| Error::EntryNotCanonical)?;
            receipt.entries.push(Included { entry, index, proof });
        }
        Ok(receipt)
    }

    /// Reads a receipt's JSON. Nothing is proven yet.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        if json.len() > MAX_RECEIPT_BYTES {
            return Err(Error::Receipt("larger than 64 MiB"));
        }
        serde_json::from_slice(json).map_err(|_| Error::Receipt("not a receipt, or changed"))
    }

    /// Checks everything: the checkpoint's signature, each entry's form and proof, each content against its commitment.
    pub fn verify(&self, key: &VerifierKey) -> Result<VerifiedReceipt, Error> {
        if self.v != 1 {
            return Err(Error::Receipt("of a version this program does not know; use a newer program"));
        }
        if self.entries.is_empty() {
            return Err(Error::Receipt("no entries, so it proves nothing"));
        }
        if self.entries.len() > MAX_ITEMS || self.statements.len() > MAX_ITEMS {
            return Err(Error::Receipt("more than 1024 entries or contents"));
        }
        if !self.entries.is_sorted_by(|a, b| a.index < b.index) {
            return Err(Error::Receipt("entries are repeated or out of order"));
        }
        let checkpoint = Checkpoint::verify(self.checkpoint.as_bytes(), key)?;
        let mut entries = Vec::with_capacity(self.entries.len());
        let mut committed: BTreeMap<Digest, (u64, String)> = BTreeMap::new();
        for Included { entry, index, proof } in &self.entries {
            let leaf = leaf_hash(entry.as_bytes());
            verify_inclusion(leaf, *index, checkpoint.size, proof, &checkpoint.root)
                .map_err(|error| error.at(*index))?;
            let entry = Entry::parse(entry.as_bytes()).map_err(|error| error.at(*index))?;
            for named in &entry.contents {
                committed.entry(named.commitment).or_insert_with(|| (*index, named.name.clone()));
            }
            entries.push((*index, entry));
        }
        let mut contents = Vec::with_capacity(self.statements.len());
        for opening in &self.statements {
            // INVARIANT: an `Opening` opens its own commitment. Taken out, so that a second one finds nothing.
            let (index, name) = committed
                .remove(opening.commitment())
                .ok_or(Error::Receipt("a content that none of its entries commits to, or a repeated one"))?;
            contents.push((index, Opened { name, opening: opening.clone() }));
        }
        Ok(VerifiedReceipt { checkpoint, entries, contents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    type Change = fn(&mut Receipt);

    #[test]
    fn proves_its_entries_and_nothing_else() {
        let (log, key) = fixture::log(60);
        let note = log.note();
        let receipt = Receipt::build(&[5, 1, 1], &note, &log).unwrap();
        let json = serde_json::to_vec(&receipt).unwrap();
        let verified = Receipt::parse(&json).unwrap().verify(&key).unwrap();
        assert_eq!(verified.entries.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 5]);
        assert_eq!(verified.checkpoint.size, 60);
        let names: Vec<_> = verified.contents.iter().map(|(index, one)| (*index, one.name.as_str())).collect();
        assert_eq!(names, [(1, "artifact"), (1, "effect"), (5, "artifact"), (5, "effect")]);

        let changes: [Change; 11] = [
            |r| r.v = 2,
            |r| r.entries.clear(),
            |r| r.entries.swap(0, 1),
            |r| r.entries[0].index = 4,
            |r| r.entries[1].index = 60,
            |r| r.entries[0].entry.push(' '),
            |r| r.entries[0].proof.push(Digest::of(b"x")),
            |r| _ = r.entries[0].proof.pop(),
            |r| r.statements.push(Opening::new([1; 32], b"other".to_vec()).unwrap()),
            |r| r.statements.push(r.statements[0].clone()),
            |r| r.checkpoint = r.checkpoint.replacen("60", "61", 1),
        ];
        for (i, change) in changes.iter().enumerate() {
            let mut bad = receipt.clone();
            change(&mut bad);
            assert!(bad.verify(&key).is_err(), "{i}");
        }
        assert!(Receipt::build(&[60], &note, &log).is_err());
    }

    #[test]
    fn every_changed_byte_is_found() {
        let (log, key) = fixture::log(20);
        let receipt = Receipt::build(&[1], &log.note(), &log).unwrap();
        let verified = receipt.verify(&key).unwrap();
        let json = serde_json::to_vec(&receipt).unwrap();
        for i in 0..json.len() {
            let mut bad = json.clone();
            bad[i] ^= 1;
            // A change may keep the meaning (white space, the order of fields does not matter here), never alter it.
            if let Ok(same) = Receipt::parse(&bad).and_then(|receipt| receipt.verify(&key)) {
                assert_eq!(same, verified, "{i}");
            }
        }
    }
}
