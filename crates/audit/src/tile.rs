//! The tree as static files (C2SP tlog-tiles): which files a log of a given size has, and their bytes.

use artifact::Digest;
use aws_lc_rs::digest::{SHA256, digest};

use crate::entry::MAX_ENTRY_BYTES;
use crate::tree::Nodes;
use crate::{Error, Log};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: u64 = 256;
/// Highest tile level that a log of [`MAX_SIZE`](crate::tree::MAX_SIZE) entries has.
pub const MAX_LEVEL: u8 = 6;
/// Most bytes of an entry bundle.
pub const MAX_BUNDLE_BYTES: usize = 256 * (2 + MAX_ENTRY_BYTES);

/// One tile. At level `l`, its hash `i` covers 256^l entries from entry (256·index + i)·256^l on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// 0 for leaf hashes.
    pub level: u8,
    /// Place within the level, from 0.
    pub index: u64,
    /// Hashes in it: 1 to 256, fewer than 256 only at the right edge.
    pub width: u16,
}

/// A file of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreeFile {
    /// Hashes.
    Tile(Tile),
    /// Entries; the tile is the one of level 0 with their hashes.
    Bundle(Tile),
}

impl Tile {
    /// Where it is stored: `tile/<level>/<index>[.p/<width>]`.
    pub fn path(&self) -> String {
        format!("tile/{}/{}", self.level, self.place())
    }

    /// Where the entries of a level 0 tile are stored: `tile/entries/<index>[.p/<width>]`.
    pub fn entries_path(&self) -> String {
        format!("tile/entries/{}", self.place())
    }

    fn place(&self) -> String {
        let mut place = format!("{:03}", self.index % 1000);
        let mut rest = self.index / 1000;
        while rest > 0 {
            place = format!("x{:03}/{place}", rest % 1000);
            rest /= 1000;
        }
        if u64::from(self.width) < WIDTH { format!("{place}.p/{}", self.width) } else { place }
    }

    /// The tile of level `level` and index `index` in a log of `size` entries; none if there is none.
    pub fn of(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        let width = hashes.checked_sub(index.checked_mul(WIDTH)?)?.min(WIDTH);
        let width = u16::try_from(width).ok().filter(|width| *width > 0)?;
        Some(Self { level, index, width })
    }

    /// All tiles that a log of `new` entries has and a log of `old` entries has not, each level from left to right.
    pub fn between(old: u64, new: u64) -> impl Iterator<Item = Self> {
        (0..=MAX_LEVEL).flat_map(move |level| Self::between_at(level, old, new))
    }

    /// [`Tile::between`] at one level. At level 0 these are also the entry bundles.
    pub fn between_at(level: u8, old: u64, new: u64) -> impl Iterator<Item = Self> {
        let shift = 8 * u32::from(level);
        let (had, has) = (old >> shift, new >> shift);
        let first = if had == has { u64::MAX } else { had / WIDTH };
        (first..has.div_ceil(WIDTH)).filter_map(move |index| Self::of(level, index, new))
    }

    /// The tile's bytes, from the tree's nodes.
    pub fn bytes<N: Nodes>(&self, nodes: &N) -> Result<Vec<u8>, N::Error> {
        let mut out = Vec::with_capacity(32 * usize::from(self.width));
        for i in 0..u64::from(self.width) {
            out.extend_from_slice(nodes.node(8 * self.level, self.index * WIDTH + i)?.as_bytes());
        }
        Ok(out)
    }

    /// The bytes of the entry bundle of a level 0 tile.
    pub fn bundle<L: Log>(&self, log: &L) -> Result<Vec<u8>, L::Error> {
        let mut out = Vec::new();
        for i in 0..u64::from(self.width) {
            push_entry(&mut out, &log.entry(self.index * WIDTH + i)?)?;
        }
        Ok(out)
    }
}

impl TreeFile {
    /// The file a path names in a log of `size` entries; none for any other path, other spellings included.
    pub fn at(path: &str, size: u64) -> Option<Self> {
        let (level, place) = path.strip_prefix("tile/")?.split_once('/')?;
        // The width follows from the size, the rest is compared as spelled; only digits matter here.
        let place_index = place.split_once(".p/").map_or(place, |(index, _)| index);
        let mut index: u64 = 0;
        for part in place_index.split('/') {
            let digits = part.strip_prefix('x').unwrap_or(part);
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let entries = level == "entries";
        let level = if entries { 0 } else { level.parse().ok().filter(|level| *level <= MAX_LEVEL)? };
        let tile = Tile::of(level, index, size)?;
        let file = if entries { Self::Bundle(tile) } else { Self::Tile(tile) };
        (file.path() == path).then_some(file)
    }

    /// Where it is stored.
    pub fn path(&self) -> String {
        match self {
            Self::Tile(tile) => tile.path(),
            Self::Bundle(tile) => tile.entries_path(),
        }
    }
}

/// Adds an entry to a bundle: its length in two bytes, the high one first, and its bytes.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), Error> {
    let length = u16::try_from(entry.len()).ok().filter(|_| entry.len() <= MAX_ENTRY_BYTES);
    bundle.extend_from_slice(&length.ok_or(Error::EntryTooLarge(entry.len()))?.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle in order; an error, once, where the bytes do not add up.
pub fn entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], Error>> {
    let mut rest = bundle;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let taken = take_entry(rest);
        rest = taken.map_or(&[], |(_, after)| after);
        Some(taken.map(|(entry, _)| entry).ok_or(Error::Note("the entry bundle is cut short")))
    })
}

fn take_entry(bundle: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bundle.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Leaf hashes of all entries of a bundle, into `out` (emptied first). The bundle is left as it was.
///
/// Whole logs are verified with this: each entry is hashed where it lies, in one call. RFC 6962 puts a zero byte in
/// front of an entry; the last byte of its length lies exactly there and is lent for the moment.
pub fn hash_entries(bundle: &mut [u8], out: &mut Vec<Digest>) -> Result<(), Error> {
    out.clear();
    let mut at = 0;
    while at < bundle.len() {
        let (_, rest) = bundle.split_at_mut(at);
        let cut_short = Error::Note("the entry bundle is cut short");
        let Some(length) = rest.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length))) else {
            return Err(cut_short);
        };
        let Some(leaf) = rest.get_mut(1..2 + length) else { return Err(cut_short) };
        let lent = std::mem::replace(&mut leaf[0], 0);
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, leaf).as_ref());
        leaf[0] = lent;
        out.push(Digest::from_bytes(hash));
        at += 2 + length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Memory;
    use crate::tree::{MAX_SIZE, leaf_hash, reduce};
    use std::collections::BTreeSet;

    #[test]
    fn paths_of_the_standard() {
        let tile = |level, index, width| Tile { level, index, width };
        assert_eq!(tile(0, 1_234_067, 256).path(), "tile/0/x001/x234/067");
        assert_eq!(tile(1, 273, 112).path(), "tile/1/273.p/112");
        assert_eq!(tile(0, 0, 1).entries_path(), "tile/entries/000.p/1");
        assert_eq!(tile(0, 1000, 256).entries_path(), "tile/entries/x001/000");
    }

    #[test]
    fn files_of_a_log_of_70_000() {
        // The example of C2SP tlog-tiles, "Partial Tiles".
        let tiles: Vec<Tile> = Tile::between(0, 70_000).collect();
        assert_eq!(tiles.len(), 273 + 1 + 1 + 1 + 1);
        for path in ["tile/0/273.p/112", "tile/1/000", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"] {
            assert_eq!(TreeFile::at(path, 70_000).map(|file| file.path()).as_deref(), Some(path));
        }
        for path in [
            "tile/0/273",
            "tile/0/273.p/111",
            "tile/0/274",
            "tile/0/x000/000",
            "tile/0/0",
            "tile/00/000",
            "tile/+0/000",
            "tile/1/001",
            "tile/1/001.p/017",
            "tile/2/000",
            "tile/3/000",
            "tile/0/000/",
            "tile/0/000.p/256",
            "tile/0/000.p/1",
            "tile/entries/x001",
            "tile/entries/001/000",
            "tile/7/000",
            "tile/0/x001/x234/067",
            "tile//000",
            "checkpoint",
            "",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            assert_eq!(TreeFile::at(path, 70_000), None, "{path}");
        }
        assert_eq!(Tile::between(0, 256).map(|tile| tile.path()).collect::<Vec<_>>(), ["tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(Tile::between(0, 0).count(), 0);
        assert_eq!(Tile::between(70_000, 70_000).count(), 0);
        assert!(Tile::of(MAX_LEVEL, 0, MAX_SIZE).is_some() && Tile::of(MAX_LEVEL + 1, 0, MAX_SIZE).is_none());
    }

    #[test]
    fn growing_in_steps_writes_every_file() {
        for step in [1, 7, 255, 256, 257, 1000] {
            let mut written = BTreeSet::new();
            let mut size = 0;
            while size < 2100 {
                written.extend(Tile::between(size, size + step));
                size += step;
                assert!(Tile::between(0, size).all(|tile| written.contains(&tile)), "{step} {size}");
            }
        }
    }

    #[test]
    fn tiles_agree_with_the_entries() {
        let mut log = Memory::default();
        for i in 0..600_u32 {
            log.append_raw(i.to_be_bytes().repeat(1 + i as usize % 5));
        }
        let mut hashes = Vec::new();
        for tile in Tile::between_at(0, 0, 600) {
            let mut bundle = tile.bundle(&log).unwrap();
            let before = bundle.clone();
            hash_entries(&mut bundle, &mut hashes).unwrap();
            assert_eq!(bundle, before);
            let slow: Vec<Digest> = entries(&bundle).map(|entry| leaf_hash(entry.unwrap())).collect();
            assert_eq!(hashes, slow);
            let bytes: Vec<u8> = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            assert_eq!(tile.bytes(&log).unwrap(), bytes);
            if tile.width == 256 {
                let above = Tile::of(1, 0, 600).unwrap().bytes(&log).unwrap();
                let at = usize::try_from(tile.index).unwrap() * 32;
                assert_eq!(reduce(&mut hashes).unwrap().as_bytes()[..], above[at..at + 32]);
            }
        }
    }

    #[test]
    fn bundles_that_do_not_add_up() {
        let mut out = Vec::new();
        for bad in [&b"\0"[..], b"\0\x02x", b"\0\x01xy", b"\xff\xff"] {
            assert!(hash_entries(&mut bad.to_vec(), &mut out).is_err(), "{bad:?}");
            assert!(entries(bad).any(|entry| entry.is_err()), "{bad:?}");
        }
        assert!(push_entry(&mut Vec::new(), &vec![0; MAX_ENTRY_BYTES + 1]).is_err());
        let mut empty = Vec::new();
        push_entry(&mut empty, b"").unwrap();
        hash_entries(&mut empty, &mut out).unwrap();
        assert_eq!(out, [leaf_hash(b"")]);
    }
}
