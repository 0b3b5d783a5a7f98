//! A log as a directory. The only module that touches files.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::entry::Entry;
use crate::note::{MAX_NOTE_BYTES, SignedNote};
use crate::tile::{Tile, TreeFile};
use crate::verify::{CHECKPOINT, CONTENTS, Hook, Options, Report, Source, too_large, verify_log};
use crate::{Checkpoint, Error, Log, VerifierKey};

/// Where a file is written before it takes its name; one at a time, and never part of a log.
const UNFINISHED: &str = ".unfinished";
/// Folders deep; the deepest tile of the largest log has 8.
const MAX_DEPTH: usize = 16;

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io { path, source }
}

/// Checks the log in `dir`. See [`verify_log`].
pub fn verify_dir(dir: &Path, key: &VerifierKey, options: &Options, hook: &mut Hook<'_>) -> Result<Report, Error> {
    verify_log(&Directory(dir.to_owned()), key, options, hook)
}

/// A directory to read a log from.
pub struct Directory(PathBuf);

impl Directory {
    /// Reads from `dir`.
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    fn file(&self, path: &str) -> Result<File, Error> {
        let full = self.0.join(path);
        match File::open(&full) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::Missing(path.to_owned())),
            Err(error) => Err(io_error(&full)(error)),
        }
    }

    fn walk(&self, under: &str, depth: usize, each: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
        let folder = self.0.join(under);
        for item in fs::read_dir(&folder).map_err(io_error(&folder))? {
            let item = item.map_err(io_error(&folder))?;
            let name = item.file_name();
            let path = if under.is_empty() { String::new() } else { format!("{under}/") };
            let Some(name) = name.to_str() else {
                return Err(Error::Unexpected(format!("{path}{}", name.to_string_lossy())));
            };
            let path = path + name;
            // Of the item itself: a link to a file elsewhere is no part of a log.
            let kind = item.file_type().map_err(io_error(&folder))?;
            if kind.is_dir() && depth < MAX_DEPTH {
                self.walk(&path, depth + 1, each)?;
            } else if kind.is_file() {
                each(&path)?;
            } else {
                return Err(Error::Unexpected(path));
            }
        }
        Ok(())
    }
}

impl Source for Directory {
    fn files(&self, each: &mut dyn FnMut(&str) -> Result<(), Error>) -> Result<(), Error> {
        self.walk("", 0, each)
    }

    fn read(&self, path: &str, limit: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        let mut file = self.file(path)?.take(limit as u64 + 1);
        file.read_to_end(into).map_err(io_error(Path::new(path)))?;
        if into.len() > limit { Err(too_large(path)) } else { Ok(()) }
    }

    fn open(&self, path: &str) -> Result<Box<dyn BufRead + '_>, Error> {
        Ok(Box::new(BufReader::with_capacity(1 << 16, self.file(path)?)))
    }
}

/// What [`export`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// Entries in the exported log.
    pub entries: u64,
    /// Files of the tree written; those of before that still hold are left alone.
    pub tree_files: u64,
    /// Contents written.
    pub contents: u64,
}

/// Writes the log up to the checkpoint in `note` into `dir`, or brings an older export there up to date.
///
/// `note` is the checkpoint of `log` as signed; it is not verified here. Each file appears under its name complete or
/// not at all, the checkpoint last but for removals: a reader sees the old log or the new one. After a crash in between,
/// verification may find a file too many; exporting again mends it. Contents are always written anew, so that an export
/// forgets what the log forgot.
pub fn export<L: Log>(dir: &Path, note: &str, log: &L, contents: bool) -> Result<Export, L::Error> {
    let head = Checkpoint::parse_body(&SignedNote::parse(note.as_bytes())?.text)?;
    fs::create_dir_all(dir).map_err(io_error(dir))?;
    let old = size_before(dir, &head)?;
    let mut done = Export { entries: head.size, ..Export::default() };
    for tile in Tile::between(old, head.size) {
        write_file(dir, &tile.path(), &tile.bytes(log)?)?;
        done.tree_files += 1;
        if tile.level == 0 {
            write_file(dir, &tile.entries_path(), &tile.bundle(log)?)?;
            done.tree_files += 1;
        }
    }
    if contents {
        let unfinished = dir.join(UNFINISHED);
        let mut file = BufWriter::new(File::create(&unfinished).map_err(io_error(&unfinished))?);
        done.contents = write_contents(log, head.size, &mut file)?;
        let file = file.into_inner().map_err(|error| io_error(&unfinished)(error.into_error()))?;
        finish_file(dir, CONTENTS, &file)?;
    }
    write_file(dir, CHECKPOINT, note.as_bytes())?;
    remove_old(dir, head.size, contents)?;
    Ok(done)
}

/// The same files as [`export`] writes, in memory. For small logs.
pub fn export_to_memory<L: Log>(note: &str, log: &L, contents: bool) -> Result<BTreeMap<String, Vec<u8>>, L::Error> {
    let head = Checkpoint::parse_body(&SignedNote::parse(note.as_bytes())?.text)?;
    let mut files = BTreeMap::from([(CHECKPOINT.to_owned(), note.as_bytes().to_vec())]);
    for tile in Tile::between(0, head.size) {
        files.insert(tile.path(), tile.bytes(log)?);
        if tile.level == 0 {
            files.insert(tile.entries_path(), tile.bundle(log)?);
        }
    }
    if contents {
        let mut lines = Vec::new();
        write_contents(log, head.size, &mut lines)?;
        files.insert(CONTENTS.to_owned(), lines);
    }
    Ok(files)
}

/// Entries of the export already in `dir`; 0 if there is none that `head` can continue.
fn size_before(dir: &Path, head: &Checkpoint) -> Result<u64, Error> {
    let mut note = Vec::new();
    match Directory::new(dir).read(CHECKPOINT, MAX_NOTE_BYTES, &mut note) {
        Err(Error::Missing(_)) => return Ok(0),
        other => other?,
    }
    let before = Checkpoint::parse_body(&SignedNote::parse(&note)?.text)?;
    if before.origin != head.origin {
        return Err(Error::Note("the directory holds another log; export to an empty one"));
    }
    if before.size > head.size {
        return Err(Error::CutBack { size: head.size, earlier: before.size });
    }
    Ok(before.size)
}

fn write_contents<L: Log>(log: &L, size: u64, out: &mut dyn Write) -> Result<u64, L::Error> {
    let mut seen = HashSet::new();
    let mut written = 0;
    for index in 0..size {
        let entry = Entry::parse(&log.entry(index)?).map_err(|error| error.at(index))?;
        for named in entry.contents {
            if !seen.insert(named.commitment) {
                continue;
            }
            if let Some(opening) = log.opening(&named.commitment)? {
                out.write_all(opening.to_line().as_bytes()).map_err(io_error(Path::new(CONTENTS)))?;
                written += 1;
            }
        }
    }
    Ok(written)
}

fn write_file(dir: &Path, path: &str, bytes: &[u8]) -> Result<(), Error> {
    let unfinished = dir.join(UNFINISHED);
    let mut file = File::create(&unfinished).map_err(io_error(&unfinished))?;
    file.write_all(bytes).map_err(io_error(&unfinished))?;
    finish_file(dir, path, &file)
}

/// Gives the unfinished file its name once its bytes are durable.
fn finish_file(dir: &Path, path: &str, file: &File) -> Result<(), Error> {
    let full = dir.join(path);
    file.sync_all().map_err(io_error(&full))?;
    let folder = full.parent().unwrap_or(dir);
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    fs::rename(dir.join(UNFINISHED), &full).map_err(io_error(&full))?;
    // Else a crash could forget the name although later files kept theirs.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error(folder))
}

/// Removes what an older export or a crash left: partial tiles that grew, contents no longer exported. Only files that
/// are ours by their names; anything else stays, for verification to complain about.
fn remove_old(dir: &Path, size: u64, contents: bool) -> Result<(), Error> {
    let mut old = Vec::new();
    Directory::new(dir).files(&mut |path| {
        let partial = path.starts_with("tile/") && path.contains(".p/") && TreeFile::at(path, size).is_none();
        if partial || path == UNFINISHED || (path == CONTENTS && !contents) {
            old.push(path.to_owned());
        }
        Ok(())
    })?;
    for path in old {
        let full = dir.join(&path);
        fs::remove_file(&full).map_err(io_error(&full))?;
        // The folder `<index>.p`, if that was its last file.
        if let Some(folder) = full.parent().filter(|folder| *folder != dir) {
            let _ = fs::remove_dir(folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
