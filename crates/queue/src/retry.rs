//! When a failed job is tried again.

use std::time::Duration;

use rand::Rng;

/// Exponential back-off with full jitter: before attempt *n + 1* a job waits between nothing and
/// `base · 2ⁿ⁻¹`, at most `cap`.
///
/// The delay is stored with the job (`run_at`), so it outlives the process and holds no slot.
/// Full jitter spreads jobs that failed together better than a fixed share of jitter does
/// (M. Brooker, "Exponential Backoff and Jitter", 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 1.
    pub max_attempts: u16,
    /// Upper bound of the first delay.
    pub base: Duration,
    /// Upper bound of every delay.
    pub cap: Duration,
}

impl RetryPolicy {
    /// 12 attempts within about an hour and a half: calls to a provider.
    pub const STANDARD: Self = Self {
        max_attempts: 12,
        base: Duration::from_secs(2),
        cap: Duration::from_mins(15),
    };
    /// 5 attempts within seconds: somebody waits.
    pub const QUICK: Self = Self {
        max_attempts: 5,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(10),
    };
    /// 20 attempts within most of a day: must happen, however long it takes.
    pub const PATIENT: Self = Self {
        max_attempts: 20,
        base: Duration::from_secs(10),
        cap: Duration::from_hours(1),
    };

    /// The longest wait after attempt number `attempt` (1-based).
    pub fn ceiling(&self, attempt: u16) -> Duration {
        let doublings = u32::from(attempt.saturating_sub(1)).min(32);
        self.base
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.cap)
    }

    /// The wait after attempt number `attempt` (1-based), drawn anew each time.
    pub fn delay(&self, attempt: u16, random: &mut impl Rng) -> Duration {
        let drawn: f64 = rand::RngExt::random(random);
        self.ceiling(attempt).mul_f64(drawn)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    proptest! {
        #[test]
        fn delays_stay_below_a_ceiling_that_doubles(attempt in 1_u16..=100, seed: u64) {
            let policy = RetryPolicy::STANDARD;

            let delay = policy.delay(attempt, &mut rand::rngs::SmallRng::seed_from_u64(seed));

            prop_assert!(delay <= policy.ceiling(attempt));
            prop_assert!(policy.ceiling(attempt) <= policy.cap);
            prop_assert!(policy.ceiling(attempt) <= policy.ceiling(attempt + 1));
        }
    }

    #[test]
    fn the_first_ceilings_double() {
        let policy = RetryPolicy::STANDARD;

        let seconds: Vec<_> = (1..=5).map(|n| policy.ceiling(n).as_secs()).collect();

        assert_eq!(seconds, [2, 4, 8, 16, 32]);
    }
}
