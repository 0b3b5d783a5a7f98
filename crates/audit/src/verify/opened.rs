//! `contents.jsonl`: one line a content, in the order in which entries first commit to them. The fixed order lets the
//! file be checked along with the entries, and makes a moved or repeated line an error.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, Read as _};

use artifact::Digest;

use super::{CONTENTS, Contents, Report};
use crate::Error;
use crate::contents::{MAX_LINE_BYTES, Opening};
use crate::entry::{Entry, EventKind};

/// A content, under the name its entry gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Name within the entry, e.g. `artifact`.
    pub name: String,
    /// Salt and bytes.
    pub opening: Opening,
}

/// Reads line by line; each line opens its own commitment.
pub(super) struct Lines<'a> {
    reader: Box<dyn BufRead + 'a>,
    line: Vec<u8>,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn new(reader: Box<dyn BufRead + 'a>) -> Self {
        Self { reader, line: Vec::new(), number: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Option<Opening>, Error> {
        self.line.clear();
        self.number += 1;
        self.reader
            .by_ref()
            .take(MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut self.line)
            .map_err(|source| Error::Io { path: CONTENTS.to_owned(), source })?;
        if self.line.is_empty() {
            return Ok(None);
        }
        Opening::parse_line(&self.line).map(Some).map_err(|problem| Error::Content { line: self.number, problem })
    }
}

/// Matches contents to the commitments of entries.
pub(super) struct Matching<'a> {
    lines: Option<Lines<'a>>,
    next: Option<Opening>,
    begun: bool,
    seen: HashSet<Digest>,
    /// Commitments that nothing opened so far, with the entry.
    unopened: HashMap<Digest, u64>,
    opened: u64,
    erased: u64,
}

impl<'a> Matching<'a> {
    pub(super) fn new(lines: Lines<'a>) -> Self {
        Self { lines: Some(lines), ..Self::without() }
    }

    pub(super) fn without() -> Self {
        Self {
            lines: None,
            next: None,
            begun: false,
            seen: HashSet::new(),
            unopened: HashMap::new(),
            opened: 0,
            erased: 0,
        }
    }

    fn advance(&mut self) -> Result<Option<Opening>, Error> {
        let next = self.lines.as_mut().map(Lines::next).transpose()?.flatten();
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// The contents this entry is the first to commit to.
    pub(super) fn entry(&mut self, index: u64, entry: &Entry) -> Result<Vec<Opened>, Error> {
        if self.lines.is_none() {
            return Ok(Vec::new());
        }
        if !self.begun {
            self.begun = true;
            self.advance()?;
        }
        let mut opened = Vec::new();
        for named in &entry.contents {
            if !self.seen.insert(named.commitment) {
                continue;
            }
            if self.next.as_ref().is_some_and(|next| *next.commitment() == named.commitment) {
                if let Some(opening) = self.advance()? {
                    opened.push(Opened { name: named.name.clone(), opening });
                    self.opened += 1;
                }
            } else {
                self.unopened.insert(named.commitment, index);
            }
        }
        if entry.event == EventKind::Erased {
            for commitment in entry.digests.values() {
                self.erased += u64::from(self.unopened.remove(commitment).is_some());
            }
        }
        Ok(opened)
    }

    /// Nothing may be left over on either side.
    pub(super) fn finish(mut self, contents: Contents, report: &mut Report) -> Result<(), Error> {
        if let (Some(lines), false) = (&mut self.lines, self.begun) {
            self.next = lines.next()?;
        }
        if let (Some(left), Some(lines)) = (&self.next, &self.lines) {
            // `left` was read ahead, so it is the line the reader stands on.
            let problem = if self.seen.contains(left.commitment()) {
                "the content is repeated or not in the log's order"
            } else {
                "no entry commits to this content"
            };
            return Err(Error::Content { line: lines.number, problem });
        }
        if contents == Contents::Complete
            && let Some((commitment, index)) = self.unopened.iter().min_by_key(|(_, index)| **index)
        {
            return Err(Error::Unopened { index: *index, commitment: *commitment });
        }
        (report.opened, report.erased) = (self.opened, self.erased);
        report.unopened = self.unopened.len() as u64;
        Ok(())
    }
}
