//! Checking a whole exported log, offline: nothing but its files and the log's public key.
//!
//! Any change to any byte of any file is found, as is a file too many or too few; two things are not: an empty folder, and
//! a well-formed signature line of a key we do not know (a witness's). In order, the cheap before the dear:
//!
//! 1. the checkpoint's signature and form;
//! 2. the list of files, which follows from the checkpoint's size;
//! 3. the tree: each entry hashed, compared with its leaf, each tile with the tiles below, all with the signed root;
//! 4. each content opens its own commitment;
//! 5. if [`Options::deep`]: each entry's form, the rules between entries, contents against the commitments in the log.
//!
//! Memory: steps 1 to 4 hold one bundle and one tile a level. Step 5 adds some 100 bytes for each run and each commitment.

mod opened;
mod rules;

use std::collections::BTreeMap;
use std::io::BufRead;

use artifact::Digest;

use crate::entry::Entry;
use crate::note::MAX_NOTE_BYTES;
use crate::tile::{self, MAX_BUNDLE_BYTES, Tile, TreeFile, WIDTH};
use crate::tree::{self, Frontier};
use crate::{Checkpoint, Error, VerifierKey};

pub use opened::Opened;

/// The signed head's file.
pub const CHECKPOINT: &str = "checkpoint";
/// The contents' file.
pub const CONTENTS: &str = "contents.jsonl";

/// Where the files of a log are read. Paths use `/` and are relative to the log.
pub trait Source {
    /// Calls `each` with the path of every file there is, in any order.
    fn files(&self, each: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error>;

    /// Replaces `into` with the file's bytes. [`Error::Missing`] if there is no such file; refused beyond `limit` bytes.
    fn read(&self, path: &str, limit: usize, into: &mut Vec<u8>) -> Result<(), Error>;

    /// The file, to be read from its start.
    fn open(&self, path: &str) -> Result<Box<dyn BufRead + '_>, Error>;
}

/// Files in memory, by path.
impl Source for BTreeMap<String, Vec<u8>> {
    fn files(&self, each: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
        self.keys().try_for_each(|path| each(path))
    }

    fn read(&self, path: &str, limit: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        let bytes = self.get(path).ok_or_else(|| Error::Missing(path.to_owned()))?;
        if bytes.len() > limit {
            return Err(too_large(path));
        }
        into.clear();
        into.extend_from_slice(bytes);
        Ok(())
    }

    fn open(&self, path: &str) -> Result<Box<dyn BufRead + '_>, Error> {
        let bytes = self.get(path).ok_or_else(|| Error::Missing(path.to_owned()))?;
        Ok(Box::new(bytes.as_slice()))
    }
}

pub(crate) fn too_large(path: &str) -> Error {
    Error::File { path: path.to_owned(), problem: "larger than a file of that name can be" }
}

/// What to demand of `contents.jsonl`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contents {
    /// Every commitment is opened, but for those an `erased` entry names.
    #[default]
    Complete,
    /// What is there opens a commitment of the log; lines may be missing.
    Partial,
    /// There is no such file: the log was exported for somebody who may not see contents.
    Absent,
}

/// What to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// Read each entry and check the rules between entries. Without it only the tree and each content by itself are
    /// checked, and the callback is not called.
    pub deep: bool,
    /// What to demand of the contents.
    pub contents: Contents,
    /// Checkpoints of this log seen before, already verified. The log must continue each of them: the only way to notice
    /// that its end was cut off or written anew with the log's own key.
    pub earlier: Vec<Checkpoint>,
}

impl Default for Options {
    fn default() -> Self {
        Self { deep: true, contents: Contents::Complete, earlier: Vec::new() }
    }
}

/// What was checked and holds. Counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Entries in the log.
    pub entries: u64,
    /// Bytes of entries, without their lengths.
    pub entry_bytes: u64,
    /// Leaf hashes computed and compared.
    pub leaf_hashes: u64,
    /// Checkpoints that hold: the log's own and the earlier ones.
    pub checkpoints: u64,
    /// Runs started. This and the following only if deep.
    pub started: u64,
    /// Runs with a `settled` entry.
    pub settled: u64,
    /// Commitments opened by a content.
    pub opened: u64,
    /// Commitments not opened because their content was erased.
    pub erased: u64,
    /// Commitments not opened, not erased either. 0 if the contents are complete.
    pub unopened: u64,
}

/// Called in order with each entry's index, the entry, and the contents it is the first to commit to. An `Err` ends the
/// verification. What it sees is confirmed only when [`verify_log`] returns `Ok`.
pub type Hook<'a> = dyn FnMut(u64, &Entry, &[Opened]) -> Result<(), String> + 'a;

/// Checks the log in `source` against its public key. The error names the first thing that does not hold.
pub fn verify_log<S: Source + ?Sized>(
    source: &S,
    key: &VerifierKey,
    options: &Options,
    hook: &mut Hook<'_>,
) -> Result<Report, Error> {
    let mut note = Vec::new();
    source.read(CHECKPOINT, MAX_NOTE_BYTES, &mut note)?;
    let checkpoint = Checkpoint::verify(&note, key)?;
    check_files(source, checkpoint.size, options.contents)?;
    let mut report = check_tree(source, &checkpoint, &options.earlier)?;
    if options.contents != Contents::Absent {
        let mut lines = opened::Lines::new(source.open(CONTENTS)?);
        while lines.next()?.is_some() {}
    }
    if options.deep {
        check_entries(source, &checkpoint, options.contents, hook, &mut report)?;
    }
    Ok(report)
}

fn check_files<S: Source + ?Sized>(source: &S, size: u64, contents: Contents) -> Result<(), Error> {
    source.files(&mut |path| {
        let known = match path {
            CHECKPOINT => true,
            CONTENTS => contents != Contents::Absent,
            _ => TreeFile::at(path, size).is_some(),
        };
        if known { Ok(()) } else { Err(Error::Unexpected(path.chars().map(artifact::visible_char).collect())) }
    })
}

/// Hashes of one level that no full tile covers yet.
#[derive(Default)]
struct Level {
    tiles: u64,
    pending: Vec<Digest>,
}

struct TreeCheck<'a, S: ?Sized> {
    source: &'a S,
    size: u64,
    levels: Vec<Level>,
    file: Vec<u8>,
}

fn check_tree<S: Source + ?Sized>(source: &S, head: &Checkpoint, earlier: &[Checkpoint]) -> Result<Report, Error> {
    let mut earlier: Vec<&Checkpoint> = earlier.iter().collect();
    earlier.sort_by_key(|checkpoint| checkpoint.size);
    if let Some(last) = earlier.last().filter(|last| last.size > head.size) {
        return Err(Error::CutBack { size: head.size, earlier: last.size });
    }
    if earlier.iter().any(|checkpoint| checkpoint.origin != head.origin) {
        return Err(Error::Note("an earlier checkpoint is of another log"));
    }
    let checkpoints = earlier.len() as u64 + 1;
    let mut earlier = earlier.into_iter().peekable();
    let levels = (0..=tile::MAX_LEVEL).map(|_| Level::default()).collect();
    let mut check = TreeCheck { source, size: head.size, levels, file: Vec::new() };
    let mut report = Report { entries: head.size, checkpoints, ..Report::default() };
    let (mut bundle, mut leaves) = (Vec::new(), Vec::with_capacity(256));
    while let Some(empty) = earlier.next_if(|checkpoint| checkpoint.size == 0) {
        compare_root(empty, tree::empty_root())?;
    }
    for tile in Tile::between_at(0, 0, head.size) {
        source.read(&tile.entries_path(), MAX_BUNDLE_BYTES, &mut bundle)?;
        let hashed = tile::hash_entries(&mut bundle, &mut leaves);
        // Compared even if the bundle breaks off: the first entry that differs says more than "cut short".
        check.leaves(tile, &leaves)?;
        if hashed.is_err() || leaves.len() != usize::from(tile.width) {
            return Err(Error::File { path: tile.entries_path(), problem: "does not hold the entries it should" });
        }
        report.leaf_hashes += leaves.len() as u64;
        report.entry_bytes += (bundle.len() - 2 * leaves.len()) as u64;
        let start = tile.index * WIDTH;
        while let Some(seen) = earlier.next_if(|seen| seen.size - start <= leaves.len() as u64) {
            let within = usize::try_from(seen.size - start).unwrap_or(0);
            compare_root(seen, check.root(&leaves[..within]))?;
        }
        check.complete(&mut leaves)?;
    }
    compare_root(head, check.finish()?)?;
    Ok(report)
}

fn compare_root(checkpoint: &Checkpoint, found: Digest) -> Result<(), Error> {
    if checkpoint.root == found {
        Ok(())
    } else {
        Err(Error::RootMismatch { size: checkpoint.size, expected: checkpoint.root, found })
    }
}

impl<S: Source + ?Sized> TreeCheck<'_, S> {
    /// The tile's file, of exactly its length.
    fn read(&mut self, tile: Tile) -> Result<(), Error> {
        let length = 32 * usize::from(tile.width);
        let wrong = || Error::File { path: tile.path(), problem: "does not have the length it should" };
        match self.source.read(&tile.path(), length, &mut self.file) {
            Ok(()) if self.file.len() == length => Ok(()),
            Ok(()) | Err(Error::File { .. }) => Err(wrong()),
            Err(error) => Err(error),
        }
    }

    /// Compares leaf hashes with the tile of level 0.
    fn leaves(&mut self, tile: Tile, leaves: &[Digest]) -> Result<(), Error> {
        self.read(tile)?;
        match first_difference(&self.file, leaves) {
            None => Ok(()),
            Some((i, expected)) => {
                Err(Error::LeafMismatch { index: tile.index * WIDTH + i as u64, expected, found: leaves[i] })
            }
        }
    }

    /// Takes the leaves of one tile: a full one becomes one hash a level up, and so on.
    fn complete(&mut self, leaves: &mut Vec<Digest>) -> Result<(), Error> {
        if (leaves.len() as u64) < WIDTH {
            self.levels[0].pending.clone_from(leaves);
            return Ok(());
        }
        let mut hash = tree::reduce(leaves).unwrap_or_else(tree::empty_root);
        for number in 1..=tile::MAX_LEVEL {
            let level = &mut self.levels[usize::from(number)];
            level.pending.push(hash);
            if (level.pending.len() as u64) < WIDTH {
                break;
            }
            let mut full = std::mem::take(&mut level.pending);
            let index = level.tiles;
            level.tiles += 1;
            self.hashes(number, index, &full)?;
            hash = tree::reduce(&mut full).unwrap_or_else(tree::empty_root);
            full.clear();
            self.levels[usize::from(number)].pending = full;
        }
        Ok(())
    }

    /// Compares hashes with the tile of a level above 0.
    fn hashes(&mut self, level: u8, index: u64, hashes: &[Digest]) -> Result<(), Error> {
        let tile = Tile::of(level, index, self.size).ok_or(Error::OutOfRange { index, size: self.size })?;
        self.read(tile)?;
        match first_difference(&self.file, hashes) {
            None => Ok(()),
            Some((position, found)) => {
                Err(Error::TileMismatch { path: tile.path(), position, expected: hashes[position], found })
            }
        }
    }

    /// Compares the partial tiles and gives the root.
    fn finish(mut self) -> Result<Digest, Error> {
        for number in 1..=tile::MAX_LEVEL {
            let Level { tiles, pending } = std::mem::take(&mut self.levels[usize::from(number)]);
            if !pending.is_empty() {
                self.hashes(number, tiles, &pending)?;
            }
            self.levels[usize::from(number)] = Level { tiles, pending };
        }
        let leaves = std::mem::take(&mut self.levels[0].pending);
        Ok(self.root(&leaves))
    }

    /// Root over all completed tiles and then `leaves`.
    fn root(&self, leaves: &[Digest]) -> Digest {
        let mut work = leaves.to_vec();
        let mut right = tree::reduce(&mut work);
        for level in &self.levels[1..] {
            work.clone_from(&level.pending);
            work.extend(right);
            right = tree::reduce(&mut work);
        }
        right.unwrap_or_else(tree::empty_root)
    }
}

/// The first hash that differs from the file's, with what the file has in its place. Hashes beyond either end do not
/// count.
fn first_difference(file: &[u8], hashes: &[Digest]) -> Option<(usize, Digest)> {
    let (stored, _) = file.as_chunks::<32>();
    let at = stored.iter().zip(hashes).position(|(stored, hash)| stored != hash.as_bytes())?;
    Some((at, Digest::from_bytes(stored[at])))
}

fn check_entries<S: Source + ?Sized>(
    source: &S,
    head: &Checkpoint,
    contents: Contents,
    hook: &mut Hook<'_>,
    report: &mut Report,
) -> Result<(), Error> {
    let mut rules = rules::Rules::default();
    let mut openings = match contents {
        Contents::Absent => opened::Matching::without(),
        _ => opened::Matching::new(opened::Lines::new(source.open(CONTENTS)?)),
    };
    let mut again = Frontier::new();
    let mut bundle = Vec::new();
    for tile in Tile::between_at(0, 0, head.size) {
        source.read(&tile.entries_path(), MAX_BUNDLE_BYTES, &mut bundle)?;
        for bytes in tile::entries(&bundle) {
            let (bytes, index) = (bytes?, again.size());
            again.append(tree::leaf_hash(bytes));
            let entry = Entry::parse(bytes).map_err(|error| error.at(index))?;
            rules.check(index, &entry).map_err(|error| error.at(index))?;
            let opened = openings.entry(index, &entry)?;
            hook(index, &entry, &opened).map_err(|reason| Error::Hook(reason).at(index))?;
        }
    }
    // The files were read twice; what was read now is what was checked before, or nothing was.
    if again.size() != head.size || again.root() != head.root {
        return Err(Error::RootMismatch { size: head.size, expected: head.root, found: again.root() });
    }
    openings.finish(contents, report)?;
    (report.started, report.settled) = (rules.started(), rules.settled());
    Ok(())
}

#[cfg(test)]
mod tests;
