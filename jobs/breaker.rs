//! Leaves a lane alone whose calls to Merge keep failing.
//!
//! Merge blocks an address that gets too many error answers, and with it every account; a broken one must not use up
//! what all may have. So after some failures in a row nothing is asked for the lane for a while, longer each time; then
//! one call shows whether it works again. What would have asked meanwhile waits, and uses up no attempt.
//!
//! Kept in memory: only the lane's owner asks for it, and a new owner may well try once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use queue::Lane;
use tokio::time::Instant;

/// When a lane is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that lead to it; default 5.
    pub failures: u32,
    /// How long at first, doubled each time in a row; default 30 s.
    pub pause: Duration,
    /// How long at most; default 10 minutes.
    pub longest_pause: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            pause: Duration::from_secs(30),
            longest_pause: Duration::from_mins(10),
        }
    }
}

/// A lane that was not tried for so long is forgotten.
const FORGET: Duration = Duration::from_hours(1);

/// The lanes whose last call failed; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Breakers {
    settings: BreakerSettings,
    lanes: Arc<Mutex<HashMap<Lane, Breaker>>>,
}

#[derive(Debug)]
struct Breaker {
    failures: u32,
    closed_from: Instant,
}

impl Breakers {
    /// Without any failure yet.
    pub fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            lanes: Arc::default(),
        }
    }

    /// Leave to call; else how long to wait.
    pub(crate) fn admit(&self, lane: &Lane, now: Instant) -> Result<(), Duration> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(breaker) = lanes.get_mut(lane) else {
            return Ok(());
        };
        if now < breaker.closed_from {
            return Err(breaker.closed_from - now);
        }
        if breaker.failures >= self.settings.failures {
            // This one call tells; others wait for what it tells.
            breaker.closed_from = now + self.settings.pause;
        }
        Ok(())
    }

    /// A call of the lane failed.
    pub(crate) fn failed(&self, lane: &Lane, now: Instant) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, breaker| now < breaker.closed_from + FORGET);
        let breaker = lanes.entry(lane.clone()).or_insert(Breaker {
            failures: 0,
            closed_from: now,
        });
        breaker.failures += 1;
        if let Some(times) = breaker.failures.checked_sub(self.settings.failures) {
            let open = self.settings.pause.saturating_mul(1 << times.min(20));
            let open = open.min(self.settings.longest_pause);
            breaker.closed_from = now + open;
            tracing::warn!(%lane, failures = breaker.failures, open_s = open.as_secs(),
                "calls to Merge keep failing; the lane is left alone for a while");
        }
    }

    /// A call of the lane got an answer.
    pub(crate) fn succeeded(&self, lane: &Lane) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_for_longer_each_time_and_closes_with_an_answer() {
        let (lane, other) = (Lane::organization("a"), Lane::organization("b"));
        let (first, longest) = (Duration::from_secs(30), Duration::from_mins(10));
        let breakers = Breakers::default();
        let start = Instant::now();
        let fail = |now| breakers.failed(&lane, now);
        for _ in 0..4 {
            fail(start);
        }
        assert_eq!(breakers.admit(&lane, start), Ok(()));

        fail(start);
        assert_eq!(breakers.admit(&lane, start), Err(first));
        assert_eq!(breakers.admit(&other, start), Ok(()));

        // Then one is let through, and one only.
        let later = start + first;
        assert_eq!(breakers.admit(&lane, later), Ok(()));
        assert!(breakers.admit(&lane, later).is_err());
        fail(later);
        assert_eq!(breakers.admit(&lane, later), Err(2 * first));
        for _ in 0..20 {
            fail(later);
        }
        assert_eq!(breakers.admit(&lane, later), Err(longest));

        breakers.succeeded(&lane);
        assert_eq!(breakers.admit(&lane, later), Ok(()));
    }

    #[test]
    fn opens_when_and_as_long_as_the_settings_say() {
        let settings = BreakerSettings {
            failures: 1,
            pause: Duration::from_secs(7),
            longest_pause: Duration::from_secs(10),
        };
        let (lane, breakers) = (Lane::organization("a"), Breakers::new(settings));
        let start = Instant::now();

        breakers.failed(&lane, start);
        assert_eq!(breakers.admit(&lane, start), Err(settings.pause));
        breakers.failed(&lane, start);
        assert_eq!(breakers.admit(&lane, start), Err(settings.longest_pause));
    }

    #[test]
    fn a_lane_that_is_not_tried_any_more_is_forgotten() {
        let breakers = Breakers::default();
        let start = Instant::now();
        breakers.failed(&Lane::organization("a"), start);

        breakers.failed(&Lane::organization("b"), start + 2 * FORGET);

        assert_eq!(breakers.lanes.lock().unwrap().len(), 1);
    }
}
