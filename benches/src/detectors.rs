//! Looking at values before a release, against one regular expression with the same patterns.

use analyze::detect;
use anyhow::Result;
use regex::Regex;

use crate::measure::{ROUNDS, per_call, rounds as in_turns};
use crate::peers::presidio;
use crate::table::{Goal, Table};

/// The patterns of `analyze::detect`, as far as an expression can say them: no check digits, no boundaries by look-behind.
const PATTERNS: &str = r"(?x)
  [A-Za-z0-9!\#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}
| \+[1-9](?:[\x20./()-]?\d){7,14}
| \b(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|3[47]\d{2}|6011|65\d{2}|3[0568]\d{2})(?:[\x20-]?\d){9,15}\b
| \b[A-Z]{2}\d{2}(?:\x20?[A-Z0-9]){11,30}\b
| \b\d{3}-\d{2}-\d{4}\b
| -----BEGIN[A-Z\x20]*PRIVATE\x20KEY-----
| \b(?:AKIA|ASIA)[A-Z0-9]{16}\b
| \bgh[pousr]_[A-Za-z0-9]{36,}\b
| \b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{10,}\b
| \bxox[abprs]-[A-Za-z0-9-]{10,}\b
| \bAIza[A-Za-z0-9_-]{35}\b
| \beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}";

/// Cells of a result as they come: mostly plain, some of every kind.
fn cells() -> Vec<String> {
    let kinds: [fn(usize) -> String; 10] = [
        |n| format!("Order {n} was shipped to the customer on Tuesday and arrived in good order"),
        |n| format!("{n}"),
        |n| format!("2026-11-{:02}T10:{:02}:00Z", n % 28 + 1, n % 60),
        |n| format!("customer{n}@example.com"),
        |n| format!("Please call +49 30 {:07} after six, or write", n * 7919 % 10_000_000),
        |n| format!("status=paid; ref={:08x}; note=none", n * 2_654_435_761 % 4_294_967_296),
        |_| "DE89 3704 0044 0532 0130 00".to_owned(),
        |n| format!("{{\"id\":{n},\"items\":[1,2,3],\"total\":{}.{:02}}}", n * 13, n % 100),
        |_| "4242 4242 4242 4242".to_owned(),
        |n| format!("The quick brown fox jumps over the lazy dog {n} times, as it always did before and will do again"),
    ];
    (0..2_000).map(|n| kinds[n % kinds.len()](n)).collect()
}

pub(crate) fn rows(table: &mut Table, peers: bool) -> Result<()> {
    let cells = cells();
    let bytes = cells.iter().map(String::len).sum::<usize>() as f64;
    let pattern = Regex::new(PATTERNS)?;
    let ours = || Ok(per_call(|| cells.iter().map(|cell| detect(cell).len()).sum::<usize>()));
    let anchor = || Ok(per_call(|| cells.iter().map(|cell| pattern.find_iter(cell).count()).sum::<usize>()));
    let seen = in_turns(ROUNDS, ours, anchor)?;
    let speed = |nanos: f64| format!("{:.0} MB/s", bytes / nanos * 1e3);
    // A share of the anchor's speed: its time over ours.
    let share = seen.anchor / seen.ours;
    table.counted(
        "detectors: share of one regular expression's speed",
        speed(seen.ours),
        speed(seen.anchor),
        share,
        Goal::AtLeast(0.5),
    );
    if peers {
        let name = "G15 detectors: presidio-analyzer without a language model";
        match presidio(&cells.join("\n"))? {
            Some(theirs) => {
                let ours = bytes / seen.ours * 1e9;
                let speed = |bytes_s: f64| format!("{:.2} MB/s", bytes_s / 1e6);
                table.counted(name, speed(ours), speed(theirs), ours / theirs, Goal::AtLeast(1000.0));
            }
            None => table.absent(name, "no Python with presidio-analyzer"),
        }
    }
    Ok(())
}
