//! Trying to change a log without being caught: proof by exhaustion that verification is total.

use std::collections::BTreeMap;

use crate::verify::{Options, verify_log};
use crate::{Error, VerifierKey};

/// Files of a log in memory, by path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tampered {
    /// Changes tried.
    pub tried: u64,
    /// Changes that verification accepted: file and what was done. Must be empty.
    pub accepted: Vec<String>,
}

impl Tampered {
    fn note(&mut self, files: &Files, key: &VerifierKey, options: &Options, what: impl FnOnce() -> String) {
        self.tried += 1;
        if verify_log(files, key, options, &mut |_, _, _| Ok(())).is_ok() {
            self.accepted.push(what());
        }
    }

    /// Adds up parts that ran apart.
    pub fn and(mut self, other: Self) -> Self {
        self.tried += other.tried;
        self.accepted.extend(other.accepted);
        self
    }
}

/// Changes every byte of every file, one at a time, by each of `masks` (exclusive or; zero is skipped), and runs the
/// full verification each time. `(part, parts)` takes each `parts`-th byte from `part` on, to share the work.
///
/// Fails if the log does not verify to begin with.
pub fn every_byte(
    files: &Files,
    key: &VerifierKey,
    options: &Options,
    masks: &[u8],
    (part, parts): (usize, usize),
) -> Result<Tampered, Error> {
    verify_log(files, key, options, &mut |_, _, _| Ok(()))?;
    let mut work = files.clone();
    let mut result = Tampered::default();
    for (path, bytes) in files {
        for at in (part..bytes.len()).step_by(parts.max(1)) {
            for mask in masks.iter().filter(|mask| **mask != 0) {
                flip(&mut work, path, at, *mask);
                result.note(&work, key, options, || format!("{path}: byte {at} changed by {mask:#04x}"));
                flip(&mut work, path, at, *mask);
            }
        }
    }
    Ok(result)
}

fn flip(files: &mut Files, path: &str, at: usize, mask: u8) {
    if let Some(byte) = files.get_mut(path).and_then(|bytes| bytes.get_mut(at)) {
        *byte ^= mask;
    }
}

/// Changes whole files: each is removed, emptied, doubled, renamed, cut at each end, lengthened at each end, replaced by
/// each other file; lines of text files are removed, doubled and swapped.
///
/// Fails if the log does not verify to begin with.
pub fn every_file(files: &Files, key: &VerifierKey, options: &Options) -> Result<Tampered, Error> {
    verify_log(files, key, options, &mut |_, _, _| Ok(()))?;
    let mut result = Tampered::default();
    for (path, bytes) in files {
        let mut work = files.clone();
        work.remove(path);
        result.note(&work, key, options, || format!("{path}: removed"));
        work.insert(format!("{path}~"), bytes.clone());
        result.note(&work, key, options, || format!("{path}: renamed"));
        work.insert(path.clone(), bytes.clone());
        result.note(&work, key, options, || format!("{path}: copied"));
        work.remove(&format!("{path}~"));
        for (what, changed) in versions(bytes) {
            if changed != *bytes {
                work.insert(path.clone(), changed);
                result.note(&work, key, options, || format!("{path}: {what}"));
            }
        }
        for (other, replacement) in files.iter().filter(|(_, replacement)| *replacement != bytes) {
            work.insert(path.clone(), replacement.clone());
            result.note(&work, key, options, || format!("{path}: replaced by {other}"));
        }
    }
    Ok(result)
}

fn versions(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let with = |before: &[u8], after: &[u8]| [before, bytes, after].concat();
    let mut all = vec![
        ("emptied".to_owned(), Vec::new()),
        ("doubled".to_owned(), with(&[], bytes)),
        ("first byte cut".to_owned(), bytes.get(1..).unwrap_or_default().to_vec()),
        ("last byte cut".to_owned(), bytes.split_last().map_or(&[][..], |(_, rest)| rest).to_vec()),
    ];
    for extra in *b"\0\n x" {
        all.push((format!("{extra:#04x} put in front"), with(&[extra], &[])));
        all.push((format!("{extra:#04x} added"), with(&[], &[extra])));
    }
    if std::str::from_utf8(bytes).is_ok() {
        let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for i in 0..lines.len() {
            let (before, after) = (lines[..i].concat(), lines[i + 1..].concat());
            all.push((format!("line {i} removed"), [&before[..], &after].concat()));
            all.push((format!("line {i} doubled"), [&before[..], lines[i], lines[i], &after].concat()));
            if let Some(next) = lines.get(i + 1) {
                let after = lines[i + 2..].concat();
                all.push((format!("lines {i} and after swapped"), [&before[..], next, lines[i], &after].concat()));
            }
        }
    }
    all
}
