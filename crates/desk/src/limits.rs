//! How often one session may call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use artifact::SessionId;

/// Token buckets by session. Bounded: sessions that were quiet for a minute are forgotten.
pub(crate) struct Limits {
    per_minute: u32,
    buckets: Mutex<HashMap<SessionId, Bucket>>,
}

struct Bucket {
    left: f64,
    at: Instant,
}

/// More sessions than this at once are not served; far beyond what one desk is for.
const SESSIONS_MAX: usize = 10_000;

impl Limits {
    pub(crate) fn new(per_minute: u32) -> Self {
        Self { per_minute, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one call; answers how many seconds to wait if there is none left.
    pub(crate) fn take(&self, session: SessionId, now: Instant) -> Result<(), u32> {
        let most = f64::from(self.per_minute);
        let rate = most / 60.0;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= SESSIONS_MAX {
            buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at).as_secs() < 60);
            if buckets.len() >= SESSIONS_MAX {
                return Err(60);
            }
        }
        let bucket = buckets.entry(session).or_insert(Bucket { left: most, at: now });
        bucket.left = (bucket.left + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(most);
        bucket.at = now;
        if bucket.left < 1.0 {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most 60 seconds for one call"
            )]
            return Err(((1.0 - bucket.left) / rate).ceil().clamp(1.0, 60.0) as u32);
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn refills_and_says_when() {
        let limits = Limits::new(60);
        let (session, start) = (SessionId::random(), Instant::now());
        for _ in 0..60 {
            assert_eq!(limits.take(session, start), Ok(()));
        }
        assert_eq!(limits.take(session, start), Err(1));
        assert_eq!(limits.take(SessionId::random(), start), Ok(()));
        assert_eq!(limits.take(session, start + Duration::from_secs(2)), Ok(()));
    }
}
