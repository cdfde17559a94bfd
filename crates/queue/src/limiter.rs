//! The rate limit of a lane, kept in its owner's memory.
//!
//! The generic cell rate algorithm (ITU-T I.371): one time stamp, the *theoretical arrival time*, says
//! all there is to know. Only the lane's owner talks to the far side for it, so no round trip is needed
//! per request: the stamp is stored when the lane is let go and read when it is claimed. After a crash
//! the stored stamp is too old; the rescuer then writes one that leaves no burst.
//!
//! A bucket of burst `b` refilled at `r` lets `b + r` requests through in its busiest minute. To never
//! exceed `limit` in *any* rolling minute the refill is therefore `limit − b`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::Throttled;

/// How many requests a lane may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In any rolling minute; at least 2.
    pub per_minute: u32,
    /// Of these, how many at once; at least 1, less than `per_minute`.
    pub burst: u32,
}

impl Rate {
    /// Time after which one more request is allowed.
    fn interval(self) -> Duration {
        Duration::from_mins(1) / self.per_minute.saturating_sub(self.burst).max(1)
    }

    /// How far the theoretical arrival time may run ahead.
    fn tolerance(self) -> Duration {
        self.interval() * self.burst.saturating_sub(1)
    }

    /// How many requests may be made at once, when the whole burst is free again after that time.
    pub fn left(self, until_free: Duration) -> u32 {
        let mut left = self.burst;
        while left > 0 && self.interval() * (self.burst - left) < until_free {
            left -= 1;
        }
        left
    }

    /// How far ahead the stamp stands when the whole burst was just used: assumed after a crash.
    pub(crate) fn exhausted(self) -> Duration {
        self.interval() * self.burst.max(1)
    }
}

/// The limiter of one lane.
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    theoretical_arrival: Instant,
}

/// Longest wait that is slept through; beyond it the job gives its slot back.
pub(crate) const MAX_INLINE_WAIT: Duration = Duration::from_secs(2);

impl Limiter {
    /// `ahead`: how far the stored stamp lies in the future.
    pub(crate) fn new(rate: Rate, ahead: Duration, now: Instant) -> Self {
        Self {
            rate,
            theoretical_arrival: now + ahead,
        }
    }

    /// Books the next request: how long to wait for it, or that it is not worth waiting.
    pub(crate) fn reserve(&mut self, now: Instant) -> Result<Duration, Throttled> {
        let arrival = self.theoretical_arrival.max(now);
        let wait = (arrival - now).saturating_sub(self.rate.tolerance());
        if wait > MAX_INLINE_WAIT {
            return Err(Throttled { after: wait });
        }
        self.theoretical_arrival = arrival + self.rate.interval();
        Ok(wait)
    }

    /// How far the stamp lies in the future, to be stored.
    pub(crate) fn ahead(&self, now: Instant) -> Duration {
        self.theoretical_arrival.saturating_duration_since(now)
    }
}

/// A lane's limiter, shared by the jobs that run in it.
#[derive(Debug, Clone)]
pub(crate) struct SharedLimiter(Arc<Mutex<Limiter>>);

impl SharedLimiter {
    pub(crate) fn new(rate: Rate, ahead: Duration) -> Self {
        Self(Arc::new(Mutex::new(Limiter::new(
            rate,
            ahead,
            Instant::now(),
        ))))
    }

    pub(crate) fn reserve(&self) -> Result<Duration, Throttled> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .reserve(Instant::now())
    }

    pub(crate) fn ahead(&self) -> Duration {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ahead(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_many_are_left_as_are_let_through_at_once(
            per_minute in 2_u32..200,
            burst in 1_u32..50,
            used in 0_u64..40_000,
        ) {
            let rate = Rate { per_minute, burst: burst.min(per_minute - 1) };
            let (now, ahead) = (Instant::now(), Duration::from_millis(used));
            let mut limiter = Limiter::new(rate, ahead, now);

            let mut at_once = 0;
            while limiter.reserve(now).is_ok_and(|wait| wait.is_zero()) {
                at_once += 1;
            }

            prop_assert_eq!(rate.left(ahead), at_once);
        }

        /// Promise P5: never more than the limit in any rolling minute, however the calls come.
        #[test]
        fn no_rolling_minute_exceeds_the_limit(
            per_minute in 2_u32..200,
            burst in 1_u32..50,
            pauses in prop::collection::vec(0_u64..5_000, 1..400),
        ) {
            let burst = burst.min(per_minute - 1);
            let start = Instant::now();
            let mut limiter = Limiter::new(Rate { per_minute, burst }, Duration::ZERO, start);
            let mut now = start;
            let mut sent = Vec::new();

            for pause in pauses {
                now += Duration::from_millis(pause);
                if let Ok(wait) = limiter.reserve(now) {
                    sent.push(now + wait);
                }
            }

            for (first, at) in sent.iter().enumerate() {
                let within = sent[first..].iter().filter(|t| **t < *at + Duration::from_mins(1)).count();
                prop_assert!(within <= per_minute as usize, "{within} > {per_minute}");
            }
        }
    }

    #[test]
    fn a_restored_stamp_continues_where_the_last_owner_stopped() {
        let rate = Rate {
            per_minute: 70,
            burst: 10,
        };
        let now = Instant::now();
        let mut first = Limiter::new(rate, Duration::ZERO, now);
        while first.reserve(now).is_ok_and(|wait| wait.is_zero()) {}

        let mut second = Limiter::new(rate, first.ahead(now), now);

        assert!(!second.reserve(now).is_ok_and(|wait| wait.is_zero()));
    }

    #[test]
    fn after_a_crash_no_burst_is_left() {
        let rate = Rate {
            per_minute: 70,
            burst: 10,
        };
        let now = Instant::now();

        let mut limiter = Limiter::new(rate, rate.exhausted(), now);

        assert_eq!(limiter.reserve(now).ok(), Some(rate.interval()));
    }
}
