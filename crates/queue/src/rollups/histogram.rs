use std::time::Duration;

/// Bounds between sizes.
pub(super) const SIZES: usize = 96;
/// What is not longer is of the first size.
const SHORTEST_SECONDS: f64 = 0.000_1;
/// Sizes from a time to its double.
const A_DOUBLING: f64 = 3.0;

/// How many measurements were how long.
///
/// By sizes whose bounds grow by a quarter, from 0.1 ms to four days. So what it answers is right within that quarter,
/// at any size, and two of them add up without loss.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; SIZES],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; SIZES] }
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("median", &self.quantile(0.5))
            .finish_non_exhaustive()
    }
}

impl Histogram {
    /// Counts one that took so long.
    pub fn note(&mut self, took: Duration) {
        self.counts[size_of(took.as_secs_f64())] += 1;
    }

    /// Counts all of another, too.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time within which this share of them was done; `None` when there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "figures for people; a share of a count is a count"
    )]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (size, count) in self.counts.iter().enumerate() {
            if seen + count >= rank {
                // Those of one size are taken as spread evenly over it.
                let within = (rank - seen) as f64 / *count as f64;
                let seconds = SHORTEST_SECONDS * ((size as f64 - 1.0 + within) / A_DOUBLING).exp2();
                return Some(Duration::from_secs_f64(seconds));
            }
            seen += count;
        }
        None
    }

    pub(super) fn to_stored(&self) -> impl Iterator<Item = i64> {
        let counts = self.counts.into_iter();
        counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// As it was stored; sizes that this version does not know are left out.
    pub(super) fn from_stored(stored: &[i64]) -> Self {
        let mut histogram = Self::default();
        for (count, stored) in histogram.counts.iter_mut().zip(stored) {
            *count = u64::try_from(*stored).unwrap_or(0);
        }
        histogram
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "from zero to the last size, whatever the time"
)]
fn size_of(seconds: f64) -> usize {
    let size = (seconds / SHORTEST_SECONDS).log2() * A_DOUBLING;
    // Of nothing the logarithm is minus infinity, which is no size; neither is anything below the first.
    (size.ceil().max(0.0) as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(millis: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        for millis in millis {
            histogram.note(Duration::from_millis(millis));
        }
        histogram
    }

    #[test]
    fn of_nothing_there_is_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn the_slow_few_are_seen_in_the_tail_alone() {
        let histogram = of((0..94).map(|_| 10).chain((0..6).map(|_| 5_000)));

        let seconds = |share| histogram.quantile(share).unwrap().as_secs_f64();

        assert!((0.008..0.0126).contains(&seconds(0.5)), "{histogram:?}");
        assert!((3.9..6.3).contains(&seconds(0.95)), "{histogram:?}");
    }

    #[test]
    fn no_time_and_all_time_have_a_size() {
        assert_eq!(size_of(0.0), 0);
        assert_eq!(size_of(Duration::MAX.as_secs_f64()), SIZES - 1);
    }

    proptest! {
        #[test]
        fn each_time_is_told_within_a_quarter(micros in 100_u64..300_000_000_000) {
            let took = Duration::from_micros(micros);
            let mut histogram = Histogram::default();
            histogram.note(took);
            let told = histogram.quantile(0.95).unwrap().as_secs_f64();
            let ratio = told / took.as_secs_f64();
            prop_assert!((0.99..1.27).contains(&ratio), "{took:?} was told as {told} s");
        }

        #[test]
        fn what_is_stored_comes_back(millis in prop::collection::vec(0_u64..100_000, 0..50)) {
            let histogram = of(millis);
            let stored: Vec<i64> = histogram.to_stored().collect();
            prop_assert_eq!(Histogram::from_stored(&stored), histogram);
        }
    }
}
