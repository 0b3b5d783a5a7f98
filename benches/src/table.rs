//! What is printed and written: one row for each thing measured.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::measure::Compared;

/// What a row's ratio has to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// Shown for what it tells; nothing is demanded.
    None,
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    #[serde(rename = "row")]
    name: String,
    ours: String,
    anchor: String,
    ratio: f64,
    low: f64,
    high: f64,
    goal: Goal,
    noisy: bool,
    verdict: &'static str,
}

/// All rows, printed as they come.
pub(crate) struct Table {
    rows: Vec<Row>,
}

/// A time in nanoseconds, with the unit that suits it.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e5 => format!("{:.1} us", n / 1e3),
        n if n < 1e6 => format!("{:.0} us", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

/// A rate.
pub(crate) fn rate(a_second: f64) -> String {
    match a_second {
        n if n >= 1e6 => format!("{:.2} M/s", n / 1e6),
        n if n >= 1e3 => format!("{:.1} k/s", n / 1e3),
        n => format!("{n:.0} /s"),
    }
}

impl Goal {
    fn holds(self, ratio: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(ratio <= most),
            Self::AtLeast(least) => Some(ratio >= least),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("<= {most}"),
            Self::AtLeast(least) => format!(">= {least}"),
            Self::None => "-".to_owned(),
        }
    }
}

impl Table {
    /// An empty one; its head is printed at once.
    pub(crate) fn start() -> Self {
        println!("row | ours | anchor | ratio | goal | verdict");
        println!("--- | --- | --- | --- | --- | ---");
        Self { rows: Vec::new() }
    }

    /// A comparison whose two sides `show` puts into words.
    pub(crate) fn compared(&mut self, name: &str, seen: Compared, show: fn(f64) -> String, goal: Goal) {
        self.put(name, show(seen.ours), show(seen.anchor), seen, goal);
    }

    /// A comparison in words of its own.
    pub(crate) fn put(&mut self, name: &str, ours: String, anchor: String, seen: Compared, goal: Goal) {
        let verdict = match (goal.holds(seen.ratio), seen.noisy) {
            (None, false) => "-",
            (None, true) => "noisy",
            (Some(true), false) => "reached",
            (Some(true), true) => "reached, noisy",
            (Some(false), false) => "missed",
            (Some(false), true) => "missed, noisy",
        };
        let (ratio, low, high) = (seen.ratio, seen.low, seen.high);
        let range = if low < high { format!("{ratio:.3} ({low:.2}-{high:.2})") } else { format!("{ratio:.3}") };
        println!("{name} | {ours} | {anchor} | {range} | {} | {verdict}", goal.text());
        self.rows.push(Row { name: name.to_owned(), ours, anchor, ratio, low, high, goal, noisy: seen.noisy, verdict });
    }

    /// A figure that was counted or seen once, against a fixed one.
    pub(crate) fn counted(&mut self, name: &str, ours: String, anchor: String, ratio: f64, goal: Goal) {
        let seen = Compared { ours: ratio, anchor: 1.0, ratio, low: ratio, high: ratio, noisy: false };
        self.put(name, ours, anchor, seen, goal);
    }

    /// Something that cannot be measured on this machine.
    pub(crate) fn absent(&mut self, name: &str, why: &str) {
        println!("{name} | not here | {why} | - | - | -");
        let (ours, anchor, ratio) = ("not here".to_owned(), why.to_owned(), f64::NAN);
        let (name, verdict) = (name.to_owned(), "not here");
        self.rows.push(Row {
            name,
            ours,
            anchor,
            ratio,
            low: ratio,
            high: ratio,
            goal: Goal::None,
            noisy: false,
            verdict,
        });
    }

    /// Says how many goals were reached, and writes the rows if asked to.
    pub(crate) fn finish(&self, json: Option<&Path>) -> Result<()> {
        let with_goal: Vec<bool> = self.rows.iter().filter_map(|row| row.goal.holds(row.ratio)).collect();
        println!("\n{} of {} goals reached", with_goal.iter().filter(|held| **held).count(), with_goal.len());
        if let Some(path) = json {
            std::fs::write(path, serde_json::to_string_pretty(&self.rows)? + "\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_suit_the_figure() {
        assert_eq!([time(3.0), time(1500.0), time(2.5e6)], ["3 ns", "1.5 us", "2.50 ms"]);
        assert_eq!([rate(12.0), rate(2500.0), rate(3e6)], ["12 /s", "2.5 k/s", "3.00 M/s"]);
    }

    #[test]
    fn a_goal_holds_or_not() {
        assert_eq!(Goal::AtMost(1.5).holds(1.5), Some(true));
        assert_eq!(Goal::AtMost(1.5).holds(1.51), Some(false));
        assert_eq!(Goal::AtLeast(2.0).holds(1.9), Some(false));
        assert_eq!(Goal::None.holds(9.0), None);
    }
}
