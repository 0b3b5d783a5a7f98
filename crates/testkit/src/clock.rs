use artifact::Timestamp;

/// A clock that moves only when told to.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(Timestamp);

impl FixedClock {
    /// Stands at 2026-11-20T14:32:00.000Z.
    pub const fn new() -> Self {
        Self(Timestamp::from_millis(1_795_185_120_000))
    }

    /// The time.
    pub const fn now(&self) -> Timestamp {
        self.0
    }

    /// `seconds` from now, without moving.
    pub const fn after(&self, seconds: u64) -> Timestamp {
        self.0.plus_seconds(seconds)
    }

    /// Moves `seconds` ahead.
    pub const fn advance(&mut self, seconds: u64) {
        self.0 = self.0.plus_seconds(seconds);
    }
}

impl Default for FixedClock {
    fn default() -> Self {
        Self::new()
    }
}
