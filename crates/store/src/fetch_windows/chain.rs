//! The proof that nothing was left out: the closed windows of a model, and whether they join.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::Extent;
use crate::error::During;
use crate::{AccountId, Error, WindowId};

/// A window that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ClosedWindow {
    /// Its id: later windows have higher ones.
    pub id: WindowId,
    /// How much of the model it covers.
    pub extent: Extent,
    /// Lower limit, on Merge's clock.
    pub modified_after: Option<DateTime<Utc>>,
    /// Upper limit, on Merge's clock.
    pub modified_before: Option<DateTime<Utc>>,
    /// The finish that the watermark moved to.
    pub mark: DateTime<Utc>,
    /// Our clock.
    pub started_at: DateTime<Utc>,
    /// Records received.
    pub records: i64,
    /// Windows that this one stands for: more than one, since old ones that join are merged.
    pub windows: i32,
}

/// The closed windows of a model after one of them, in the order in which they were read; at most `limit`.
pub async fn closed(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    after: Option<WindowId>,
    limit: u16,
) -> Result<Vec<ClosedWindow>, Error> {
    sqlx::query_as!(
        ClosedWindow,
        r#"
        SELECT
            id AS "id: WindowId", extent AS "extent: Extent", modified_after, modified_before, mark, started_at,
            records, windows
        FROM syncline.fetch_windows
        WHERE account_id = $1
          AND model_id = $2
          AND ($3::uuid IS NULL OR id > $3)
          AND finished_at IS NOT NULL
        ORDER BY id
        LIMIT $4
        "#,
        account_id as AccountId,
        model_id,
        after as Option<WindowId>,
        i64::from(limit)
    )
    .fetch_all(conn)
    .await
    .during("list the windows of a model")
}

/// Windows read at once.
const PAGE: u16 = 500;

/// Reads the whole chain of a model: what it proves, and the last `keep` of its windows, oldest first.
pub async fn prove(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    watermark: Option<DateTime<Utc>>,
    keep: usize,
) -> Result<(Verdict, Vec<ClosedWindow>), Error> {
    let mut chain = Chain::default();
    let mut kept = VecDeque::new();
    let mut after = None;
    loop {
        let windows = closed(conn, account_id, model_id, after, PAGE).await?;
        let is_last = windows.len() < usize::from(PAGE);
        after = windows.last().map(|last| last.id);
        for window in windows {
            chain.push(&window);
            kept.push_back(window);
            if kept.len() > keep {
                kept.pop_front();
            }
        }
        if is_last {
            return Ok((chain.verdict(watermark), kept.into()));
        }
    }
}

/// What a chain of windows proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "verdict")]
#[schema(as = Proof)]
pub enum Verdict {
    /// Nothing was ever read.
    NeverRead,
    /// Every change up to `through` was read.
    Contiguous {
        /// When the reading of everything began that the chain starts with; our clock.
        since: DateTime<Utc>,
        /// The watermark, on Merge's clock.
        through: DateTime<Utc>,
        /// Windows from there on.
        windows: i32,
    },
    /// Changes in between were not asked for; both times on Merge's clock. The oldest such gap.
    Gap {
        /// `None`: from the beginning.
        from: Option<DateTime<Utc>>,
        /// Where the chain goes on.
        to: DateTime<Utc>,
    },
}

/// A chain of windows in the making: push them in their order.
///
/// A window that reads everything begins it anew, whatever is missing before. Sweeps prove nothing, since they move
/// no watermark.
#[derive(Debug, Default)]
pub struct Chain {
    since: Option<DateTime<Utc>>,
    reached: Option<DateTime<Utc>>,
    windows: i32,
    gap: Option<(Option<DateTime<Utc>>, DateTime<Utc>)>,
}

impl Chain {
    /// Adds the next window.
    pub fn push(&mut self, window: &ClosedWindow) {
        match window.extent {
            Extent::First | Extent::Whole => {
                if self.since.is_none() || self.gap.is_some() {
                    self.since = Some(window.started_at);
                    self.windows = 0;
                }
                self.gap = None;
            }
            Extent::Next => self.join(window.modified_after.unwrap_or(window.mark)),
            Extent::Sweep => return,
        }
        self.windows += window.windows;
        self.reached = self.reached.max(Some(window.mark));
    }

    /// What the chain proves of a model whose watermark is this.
    pub fn verdict(mut self, watermark: Option<DateTime<Utc>>) -> Verdict {
        let Some(through) = watermark else {
            return Verdict::NeverRead;
        };
        self.join(through);
        match (self.gap, self.since) {
            (Some((from, to)), _) => Verdict::Gap { from, to },
            (None, Some(since)) => Verdict::Contiguous {
                since,
                through,
                windows: self.windows,
            },
            (None, None) => Verdict::Gap {
                from: None,
                to: through,
            },
        }
    }

    /// Goes on at this time, which must not be later than what is reached.
    fn join(&mut self, start: DateTime<Utc>) {
        if self.gap.is_none() && self.reached < Some(start) {
            self.gap = Some((self.reached, start));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
    }

    fn window(extent: Extent, after: Option<i64>, mark: i64) -> ClosedWindow {
        ClosedWindow {
            id: WindowId::new(),
            extent,
            modified_after: after.map(at),
            modified_before: None,
            mark: at(mark),
            started_at: at(mark + 10_000),
            records: 0,
            windows: 1,
        }
    }

    fn verdict(windows: &[ClosedWindow], watermark: i64) -> Verdict {
        let mut chain = Chain::default();
        for window in windows {
            chain.push(window);
        }
        chain.verdict(Some(at(watermark)))
    }

    #[test]
    fn windows_that_overlap_are_contiguous_and_one_left_out_is_a_gap() {
        let windows = [
            window(Extent::First, None, 100),
            window(Extent::Next, Some(90), 200),
            window(Extent::Sweep, Some(190), 200),
            window(Extent::Next, Some(190), 300),
        ];

        let whole = verdict(&windows, 300);
        let without = |index: usize| {
            let mut windows = windows.to_vec();
            windows.remove(index);
            verdict(&windows, 300)
        };

        let contiguous = Verdict::Contiguous {
            since: at(10_100),
            through: at(300),
            windows: 3,
        };
        let gap = |from: Option<i64>, to| Verdict::Gap {
            from: from.map(at),
            to: at(to),
        };
        assert_eq!(whole, contiguous);
        assert_eq!(without(0), gap(None, 90));
        assert_eq!(without(1), gap(Some(100), 190));
        assert_eq!(without(2), contiguous);
        assert_eq!(without(3), gap(Some(200), 300));
    }

    #[test]
    fn reading_everything_mends_a_gap_before_it() {
        let windows = [
            window(Extent::First, None, 100),
            window(Extent::Next, Some(150), 200),
            window(Extent::Whole, None, 200),
            window(Extent::Next, Some(190), 300),
        ];

        assert_eq!(
            verdict(&windows, 300),
            Verdict::Contiguous {
                since: at(10_200),
                through: at(300),
                windows: 2,
            }
        );
    }

    #[test]
    fn nothing_read_proves_nothing() {
        assert_eq!(Chain::default().verdict(None), Verdict::NeverRead);
        let nothing = Verdict::Gap {
            from: None,
            to: at(5),
        };
        assert_eq!(verdict(&[], 5), nothing);
    }
}
