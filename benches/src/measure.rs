//! Taking turns: ours, anchor, ours, anchor. The figure of a row is the median of the rounds' ratios.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Rounds of loops that only use the processor.
pub(crate) const ROUNDS: usize = 7;
/// How long one side of a round runs.
const SLICE: Duration = Duration::from_millis(150);
/// A wider spread of ratios than this around their median is called noisy.
const NOISY: f64 = 0.25;

/// Two sides, compared round by round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Compared {
    /// Median of ours.
    pub(crate) ours: f64,
    /// Median of the anchor.
    pub(crate) anchor: f64,
    /// Median of the rounds' ratios, ours to anchor.
    pub(crate) ratio: f64,
    /// Least ratio.
    pub(crate) low: f64,
    /// Greatest ratio.
    pub(crate) high: f64,
    /// Still spread after one repetition.
    pub(crate) noisy: bool,
}

/// The middle value; of an even number the upper one.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Compared {
    fn of(rounds: &[(f64, f64)]) -> Self {
        let mut ours: Vec<f64> = rounds.iter().map(|r| r.0).collect();
        let mut anchor: Vec<f64> = rounds.iter().map(|r| r.1).collect();
        let mut ratios: Vec<f64> = rounds.iter().map(|r| r.0 / r.1).collect();
        let ratio = median(&mut ratios);
        let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
        let noisy = (high - low) / ratio > NOISY;
        Self { ours: median(&mut ours), anchor: median(&mut anchor), ratio, low, high, noisy }
    }
}

/// Runs rounds of both sides. A noisy outcome is repeated once and then stands as it is, said to be noisy.
pub(crate) fn rounds(
    count: usize,
    mut ours: impl FnMut() -> Result<f64>,
    mut anchor: impl FnMut() -> Result<f64>,
) -> Result<Compared> {
    let mut once = || -> Result<Compared> {
        let mut seen = Vec::with_capacity(count);
        for _ in 0..count {
            seen.push((ours()?, anchor()?));
        }
        Ok(Compared::of(&seen))
    };
    let first = once()?;
    if first.noisy { once() } else { Ok(first) }
}

/// Nanoseconds of one call, over a slice of time.
pub(crate) fn per_call<T>(mut call: impl FnMut() -> T) -> f64 {
    let start = Instant::now();
    let mut calls = 0_u64;
    loop {
        for _ in 0..4 {
            black_box(call());
        }
        calls += 4;
        let elapsed = start.elapsed();
        if elapsed >= SLICE {
            return elapsed.as_nanos() as f64 / calls as f64;
        }
    }
}

/// Compares two calls, each of which does the same work for the same answer.
pub(crate) fn calls<A, B>(mut ours: impl FnMut() -> A, mut anchor: impl FnMut() -> B) -> Result<Compared> {
    // Caches and lazily built tables are filled before the first round.
    black_box(ours());
    black_box(anchor());
    rounds(ROUNDS, || Ok(per_call(&mut ours)), || Ok(per_call(&mut anchor)))
}

/// Times of single calls. All are kept, so every percentile is exact.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Vec<u64>);

impl Times {
    /// Adds one.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds another one's.
    pub(crate) fn join(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The time in nanoseconds that this share of the calls did not exceed.
    pub(crate) fn percentile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index below the length")]
        let at = ((self.0.len() as f64 * share) as usize).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(f64::NAN, |nanos| *nanos as f64)
    }
}

/// Times calls one by one for at least `time`.
pub(crate) fn timed(time: Duration, mut call: impl FnMut() -> Result<()>) -> Result<Times> {
    let (start, mut times) = (Instant::now(), Times::default());
    while start.elapsed() < time {
        let before = Instant::now();
        call()?;
        times.add(before.elapsed());
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_rounds_not_of_the_sides() {
        let compared = Compared::of(&[(10.0, 10.0), (40.0, 20.0), (90.0, 30.0)]);
        assert_eq!((compared.ratio, compared.low, compared.high), (2.0, 1.0, 3.0));
        assert!(compared.noisy);
    }

    #[test]
    fn a_noisy_outcome_is_repeated_once_and_no_more() {
        let mut runs = 0;
        let steady = rounds(
            3,
            || {
                runs += 1;
                Ok(if runs <= 3 { f64::from(runs) } else { 2.0 })
            },
            || Ok(1.0),
        );
        assert!((steady.unwrap().ratio - 2.0).abs() < 1e-9);
        assert_eq!(runs, 6);
    }

    #[test]
    fn percentiles_are_of_the_calls_seen() {
        let mut times = Times::default();
        (1..=100).for_each(|n| times.add(Duration::from_nanos(n)));
        assert_eq!((times.percentile(0.5), times.percentile(0.99), times.len()), (51.0, 100.0, 100));
    }
}
