//! The auditor's offline check (G9), against hashing the same bytes and nothing else.

use std::path::Path;

use anyhow::{Result, ensure};
use audit::{Options, VerifierKey, export, verify_dir};
use aws_lc_rs::digest::{SHA256, digest};

use crate::growth;
use crate::log::{ORIGIN, create, keys};
use crate::measure::{Compared, rounds};
use crate::table::{Goal, Table, time};

/// Entries in the log that is checked.
const ENTRIES: u64 = 200_000;
/// Rounds.
const ROUNDS: usize = 5;

pub(crate) fn rows(folder: &Path, table: &mut Table) -> Result<()> {
    let ledger = create(&folder.join("to-verify"))?;
    growth::fill(&ledger, ENTRIES)?;
    let exported = folder.join("exported");
    let note = ledger.checkpoint()?;
    export(&exported, &note, &ledger.without_held(), false)?;
    let key = VerifierKey::of(ORIGIN, &keys()?.log)?;
    let long = vec![b'x'; 1 << 20];
    let check = |deep: bool| -> Result<f64> {
        let options = Options { deep, contents: audit::Contents::Absent, earlier: Vec::new() };
        let start = std::time::Instant::now();
        let report = verify_dir(&exported, &key, &options, &mut |_, _, _| Ok(()))?;
        let nanos = start.elapsed().as_nanos() as f64;
        ensure!(report.entries == ENTRIES + 1, "another log was verified than the one exported");
        Ok(nanos)
    };
    check(true)?;
    let bytes = usize::try_from(bytes_of_entries(&exported)?)?;
    for (deep, name, goal) in [
        (false, "G9 offline check, tree and contents", Goal::AtLeast(0.55)),
        (true, "G9 offline check, deep (rules between entries too)", Goal::AtLeast(0.55)),
    ] {
        let seen = rounds(
            ROUNDS,
            || check(deep),
            || {
                let start = std::time::Instant::now();
                let mut left = bytes;
                while left > 0 {
                    let take = left.min(long.len());
                    std::hint::black_box(digest(&SHA256, &long[..take]));
                    left -= take;
                }
                Ok(start.elapsed().as_nanos() as f64)
            },
        )?;
        // As speed: the share of plain hashing that is left.
        let seen = Compared { ratio: 1.0 / seen.ratio, low: 1.0 / seen.high, high: 1.0 / seen.low, ..seen };
        let each = seen.ours / ENTRIES as f64;
        let ours = format!("{}, {each:.0} ns an entry of {} B", time(seen.ours), bytes as u64 / ENTRIES);
        table.put(&format!("{name}: share of sha256's speed, one thread"), ours, time(seen.anchor), seen, goal);
    }
    Ok(())
}

/// Bytes of the entries' files: what a check cannot do without reading.
fn bytes_of_entries(folder: &Path) -> Result<u64> {
    let mut total = 0;
    let mut open = vec![folder.join("tile/entries")];
    while let Some(next) = open.pop() {
        for item in std::fs::read_dir(next)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                open.push(item.path());
            } else {
                total += item.metadata()?.len();
            }
        }
    }
    Ok(total)
}
