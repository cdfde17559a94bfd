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

/// Failures in a row that open it.
const MOST_FAILURES: u32 = 5;
/// How long it is open first, and at most.
const FIRST: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_mins(10);
/// A lane that was not tried for so long is forgotten.
const FORGET: Duration = Duration::from_hours(1);

/// The lanes whose last call failed; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Breakers(Arc<Mutex<HashMap<Lane, Breaker>>>);

#[derive(Debug)]
struct Breaker {
    failures: u32,
    closed_from: Instant,
}

impl Breakers {
    /// Leave to call; else how long to wait.
    pub(crate) fn admit(&self, lane: &Lane, now: Instant) -> Result<(), Duration> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(breaker) = lanes.get_mut(lane) else {
            return Ok(());
        };
        if now < breaker.closed_from {
            return Err(breaker.closed_from - now);
        }
        if breaker.failures >= MOST_FAILURES {
            // This one call tells; others wait for what it tells.
            breaker.closed_from = now + FIRST;
        }
        Ok(())
    }

    /// A call of the lane failed.
    pub(crate) fn failed(&self, lane: &Lane, now: Instant) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, breaker| now < breaker.closed_from + FORGET);
        let breaker = lanes.entry(lane.clone()).or_insert(Breaker {
            failures: 0,
            closed_from: now,
        });
        breaker.failures += 1;
        if let Some(times) = breaker.failures.checked_sub(MOST_FAILURES) {
            let open = FIRST.saturating_mul(1 << times.min(10)).min(LONGEST);
            breaker.closed_from = now + open;
            tracing::warn!(%lane, failures = breaker.failures, open_s = open.as_secs(),
                "calls to Merge keep failing; the lane is left alone for a while");
        }
    }

    /// A call of the lane got an answer.
    pub(crate) fn succeeded(&self, lane: &Lane) {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_for_longer_each_time_and_closes_with_an_answer() {
        let (lane, other) = (Lane::organization("a"), Lane::organization("b"));
        let breakers = Breakers::default();
        let start = Instant::now();
        let fail = |now| breakers.failed(&lane, now);
        for _ in 0..4 {
            fail(start);
        }
        assert_eq!(breakers.admit(&lane, start), Ok(()));

        fail(start);
        assert_eq!(breakers.admit(&lane, start), Err(FIRST));
        assert_eq!(breakers.admit(&other, start), Ok(()));

        // Then one is let through, and one only.
        let later = start + FIRST;
        assert_eq!(breakers.admit(&lane, later), Ok(()));
        assert!(breakers.admit(&lane, later).is_err());
        fail(later);
        assert_eq!(breakers.admit(&lane, later), Err(2 * FIRST));
        for _ in 0..20 {
            fail(later);
        }
        assert_eq!(breakers.admit(&lane, later), Err(LONGEST));

        breakers.succeeded(&lane);
        assert_eq!(breakers.admit(&lane, later), Ok(()));
    }

    #[test]
    fn a_lane_that_is_not_tried_any_more_is_forgotten() {
        let breakers = Breakers::default();
        let start = Instant::now();
        breakers.failed(&Lane::organization("a"), start);

        breakers.failed(&Lane::organization("b"), start + 2 * FORGET);

        assert_eq!(breakers.0.lock().unwrap().len(), 1);
    }
}
