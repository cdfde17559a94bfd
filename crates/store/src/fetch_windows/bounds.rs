//! Where a window begins and ends.

use chrono::{DateTime, TimeDelta, Utc};

use super::Opening;

/// How much of a model a window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Extent {
    /// Everything there is; the model was never stored before.
    First,
    /// From the watermark, less the overlap, to the mark.
    Next,
    /// Everything there is, of a model that Merge cannot filter by time: what is missing was deleted.
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
    /// The window that leads from the watermark to the mark; `None` when the mark is not ahead.
    ///
    /// The first has no limits at all: an upper one would hide what changes while Merge's first sync is read.
    /// Later ones begin at the watermark, which is the upper limit of the one before, less the overlap: so they
    /// join, whether Merge takes its limits as inclusive or not, and what became visible late is met.
    pub fn next(
        watermark: Option<DateTime<Utc>>,
        mark: DateTime<Utc>,
        opening: Opening,
    ) -> Option<Self> {
        if watermark.is_some_and(|watermark| mark <= watermark) {
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
        let overlap = TimeDelta::from_std(opening.overlap).unwrap_or(TimeDelta::MAX);
        let modified_after = watermark
            .checked_sub_signed(overlap)
            .unwrap_or(DateTime::UNIX_EPOCH);
        Some(Self {
            extent: Extent::Next,
            modified_after: Some(modified_after),
            modified_before: Some(mark),
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
                let Some(bounds) = Bounds::next(watermark, mark, opening(overlap)) else {
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
        let bounds = Bounds::next(None, at(0), opening(120)).unwrap();

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
            let bounds = Bounds::next(watermark, at(60), opening).unwrap();
            assert_eq!(bounds.extent, Extent::Whole);
            assert_eq!(
                (bounds.modified_after, bounds.modified_before),
                (None, None)
            );
        }
    }

    #[test]
    fn nothing_is_due_while_the_mark_is_not_ahead() {
        assert_eq!(Bounds::next(Some(at(10)), at(10), opening(120)), None);
        assert_eq!(Bounds::next(Some(at(10)), at(9), opening(120)), None);
    }
}
