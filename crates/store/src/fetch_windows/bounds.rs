//! Where a window begins and ends.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::Opening;

/// How much of a model a window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Extent {
    /// Everything there is; the model was never stored before.
    First,
    /// From the watermark, less the overlap, to the mark.
    Next,
    /// From the watermark, less the overlap, on: what Merge changed since the last finish, which the next finish would
    /// bring, if one came. The watermark stays.
    Sweep,
    /// Everything there is, and what is missing was deleted: of a model that Merge cannot filter by time, or on demand.
    Whole,
}

/// What is to be read though no mark is ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Wanted {
    /// [`Extent::Sweep`].
    Sweep,
    /// [`Extent::Whole`].
    Whole,
}

/// The limits of a window, on Merge's clock, as they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How much it covers.
    pub extent: Extent,
    /// Lower limit.
    pub modified_after: Option<DateTime<Utc>>,
    /// Upper limit.
    pub modified_before: Option<DateTime<Utc>>,
}

impl Bounds {
    /// The window to be read next; `None` when the mark is not ahead of the watermark, and nothing is wanted.
    ///
    /// The first has no limits at all: an upper one would hide what changes while Merge's first sync is read.
    /// Later ones begin at the watermark, which is the upper limit of the one before, less the overlap: so they
    /// join, whether Merge takes its limits as inclusive or not, and what became visible late is met.
    pub fn next(
        watermark: Option<DateTime<Utc>>,
        mark: DateTime<Utc>,
        wanted: Option<Wanted>,
        opening: Opening,
    ) -> Option<Self> {
        let is_ahead = watermark.is_none_or(|watermark| mark > watermark);
        if !is_ahead && wanted.is_none() {
            return None;
        }
        let unlimited = |extent| Self {
            extent,
            modified_after: None,
            modified_before: None,
        };
        if !opening.has_modified_filter {
            return Some(unlimited(Extent::Whole));
        }
        let Some(watermark) = watermark else {
            return Some(unlimited(Extent::First));
        };
        if wanted == Some(Wanted::Whole) {
            return Some(unlimited(Extent::Whole));
        }
        let overlap = TimeDelta::from_std(opening.overlap).unwrap_or(TimeDelta::MAX);
        let modified_after = watermark
            .checked_sub_signed(overlap)
            .unwrap_or(DateTime::UNIX_EPOCH);
        let extent = if is_ahead {
            Extent::Next
        } else {
            Extent::Sweep
        };
        Some(Self {
            extent,
            modified_after: Some(modified_after),
            modified_before: is_ahead.then_some(mark),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
    }

    fn opening(overlap_seconds: u64) -> Opening {
        Opening {
            overlap: Duration::from_secs(overlap_seconds),
            has_modified_filter: true,
        }
    }

    proptest! {
        /// Whatever marks arrive in whatever order, every moment up to the watermark lies in a window, and
        /// each window reaches back over the end of the one before by the overlap.
        #[test]
        fn windows_are_contiguous(marks: Vec<u16>, overlap in 5u64..600) {
            let mut watermark = None;
            let mut end_of_last: Option<DateTime<Utc>> = None;
            for mark in marks.into_iter().map(i64::from).map(at) {
                let Some(bounds) = Bounds::next(watermark, mark, None, opening(overlap)) else {
                    prop_assert!(watermark.is_some_and(|watermark| mark <= watermark));
                    continue;
                };
                match end_of_last {
                    None => prop_assert_eq!(bounds.extent, Extent::First),
                    Some(end) => {
                        let gap = bounds.modified_after.unwrap() - end;
                        prop_assert_eq!(gap, -TimeDelta::seconds(overlap.cast_signed()));
                        prop_assert_eq!(bounds.modified_before, Some(mark));
                    }
                }
                prop_assert!(watermark < Some(mark));
                watermark = Some(mark);
                end_of_last = Some(mark);
            }
        }
    }

    #[test]
    fn first_load_has_no_limits() {
        let bounds = Bounds::next(None, at(0), None, opening(120)).unwrap();

        assert_eq!(
            bounds,
            Bounds {
                extent: Extent::First,
                modified_after: None,
                modified_before: None
            }
        );
    }

    #[test]
    fn model_without_time_filter_is_read_whole_each_time() {
        let opening = Opening {
            has_modified_filter: false,
            ..opening(120)
        };

        for watermark in [None, Some(at(0))] {
            let bounds = Bounds::next(watermark, at(60), None, opening).unwrap();
            assert_eq!(bounds.extent, Extent::Whole);
            assert_eq!(
                (bounds.modified_after, bounds.modified_before),
                (None, None)
            );
        }
    }

    #[test]
    fn nothing_is_due_while_the_mark_is_not_ahead() {
        assert_eq!(Bounds::next(Some(at(10)), at(10), None, opening(120)), None);
        assert_eq!(Bounds::next(Some(at(10)), at(9), None, opening(120)), None);
    }

    #[test]
    fn what_is_wanted_is_read_though_the_mark_is_not_ahead() {
        let next = |mark, wanted, has_modified_filter| {
            let opening = Opening {
                has_modified_filter,
                ..opening(120)
            };
            Bounds::next(Some(at(1000)), at(mark), Some(wanted), opening).unwrap()
        };
        let (after, before) = (Some(at(880)), Some(at(2000)));
        let cases = [
            (1000, Wanted::Sweep, true, (Extent::Sweep, after, None)),
            (2000, Wanted::Sweep, true, (Extent::Next, after, before)),
            (1000, Wanted::Sweep, false, (Extent::Whole, None, None)),
            (1000, Wanted::Whole, true, (Extent::Whole, None, None)),
            (2000, Wanted::Whole, true, (Extent::Whole, None, None)),
        ];
        for (mark, wanted, has_modified_filter, expected) in cases {
            let bounds = next(mark, wanted, has_modified_filter);
            let got = (bounds.extent, bounds.modified_after, bounds.modified_before);
            assert_eq!(got, expected, "{mark} {wanted:?} {has_modified_filter}");
        }
    }
}
