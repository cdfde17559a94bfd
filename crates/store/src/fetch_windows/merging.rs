//! Old windows, merged: what they prove together is kept, one row instead of many.
//!
//! A row stands for windows that join: it begins where the first of them began and ends at the mark of the last. What
//! does not join stays apart, so a gap stays a gap. Sweeps prove nothing and are merged into what was read before them.

use sqlx::PgConnection;

use super::{ClosedWindow, Extent, Window, closed};
use crate::error::During;
use crate::{AccountId, Error, WindowId};

/// Closed windows of a model after which old ones are merged …
pub(super) const MOST: i64 = 100;
/// … so that so many stay apart, for people who look what happened lately.
const KEPT: i64 = 50;

/// … and so many are read at once, at most: what is more waits for the next window.
const AT_ONCE: i64 = 1000;

/// Merges all but the newest closed windows of a model, of which there are so many. The model is locked.
pub(super) async fn merge_old(
    conn: &mut PgConnection,
    window: &Window,
    closed_windows: i64,
) -> Result<(), Error> {
    let old = (closed_windows - KEPT).clamp(0, AT_ONCE);
    let old = u16::try_from(old).unwrap_or(u16::MAX);
    let old = closed(conn, window.account_id, &window.model_id, None, old).await?;
    for merged in merged(old) {
        if !merged.absorbed.is_empty() {
            replace(conn, window.account_id, &window.model_id, &merged).await?;
        }
    }
    Ok(())
}

/// A window, and others that it now stands for as well.
struct Merged {
    window: ClosedWindow,
    absorbed: Vec<WindowId>,
}

/// Merges windows that join, given in their order.
fn merged(windows: Vec<ClosedWindow>) -> Vec<Merged> {
    let mut merged: Vec<Merged> = Vec::new();
    for window in windows {
        match merged.last_mut() {
            Some(last) if last.window.is_joined_by(&window) => last.absorb(&window),
            _ => merged.push(Merged {
                window,
                absorbed: Vec::new(),
            }),
        }
    }
    merged
}

impl ClosedWindow {
    /// Whether the next window leaves nothing out between this one and itself, and mends nothing before this one.
    fn is_joined_by(&self, next: &Self) -> bool {
        match next.extent {
            Extent::First | Extent::Whole => matches!(self.extent, Extent::First | Extent::Whole),
            Extent::Next => {
                self.extent != Extent::Sweep
                    && next.modified_after.is_some_and(|after| after <= self.mark)
            }
            Extent::Sweep => true,
        }
    }
}

impl Merged {
    fn absorb(&mut self, next: &ClosedWindow) {
        self.absorbed.push(next.id);
        self.window.records += next.records;
        if next.extent != Extent::Sweep {
            self.window.windows += next.windows;
            self.window.mark = self.window.mark.max(next.mark);
            if self.window.extent == Extent::Next {
                self.window.modified_before = Some(self.window.mark);
            }
        }
    }
}

/// Writes a merged window into the row of its first, and removes the others.
async fn replace(
    conn: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
    merged: &Merged,
) -> Result<(), Error> {
    let Merged { window, absorbed } = merged;
    sqlx::query!(
        r#"
        WITH absorbed AS (
            DELETE FROM syncline.fetch_windows
            WHERE account_id = $1
              AND model_id = $2
              AND id = ANY ($3)
            RETURNING pages, records, changed, finished_at
        ),
        sums AS (
            SELECT
                sum(pages)::integer AS pages, sum(records)::bigint AS records, sum(changed)::bigint AS changed,
                max(finished_at) AS finished_at
            FROM absorbed
        )
        UPDATE syncline.fetch_windows AS stays
        SET mark = $5,
            modified_before = $6,
            windows = $7,
            pages = stays.pages + sums.pages,
            records = stays.records + sums.records,
            changed = stays.changed + sums.changed,
            finished_at = greatest(stays.finished_at, sums.finished_at)
        FROM sums
        WHERE stays.account_id = $1
          AND stays.model_id = $2
          AND stays.id = $4
        "#,
        account_id as AccountId,
        model_id,
        absorbed as &[WindowId],
        window.id as WindowId,
        window.mark,
        window.modified_before,
        window.windows
    )
    .execute(conn)
    .await
    .during("merge old windows")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    use super::super::{Chain, Verdict};
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + seconds, 0).unwrap()
    }

    fn verdict(windows: &[ClosedWindow], watermark: Option<DateTime<Utc>>) -> Verdict {
        let mut chain = Chain::default();
        for window in windows {
            chain.push(window);
        }
        chain.verdict(watermark)
    }

    /// Any windows, some with a gap before them.
    fn windows() -> impl Strategy<Value = Vec<ClosedWindow>> {
        let extent = prop_oneof![
            1 => Just(Extent::First),
            6 => Just(Extent::Next),
            1 => Just(Extent::Sweep),
            1 => Just(Extent::Whole),
        ];
        let window = (extent, prop_oneof![8 => Just(0), 1 => Just(500)]);
        prop::collection::vec(window, 0..40).prop_map(|windows| {
            let windows = windows.into_iter().zip(1..);
            let windows = windows.map(|((extent, gap), number)| {
                let start = at(number * 1000 - 10 + gap);
                let has_start = matches!(extent, Extent::Next | Extent::Sweep);
                let moves = i64::from(extent != Extent::Sweep);
                let mark = at((number + moves) * 1000);
                ClosedWindow {
                    id: WindowId::new(),
                    extent,
                    modified_after: has_start.then_some(start),
                    modified_before: (extent == Extent::Next).then_some(mark),
                    mark,
                    started_at: at(number * 1000 + 60_000),
                    records: 1,
                    windows: 1,
                }
            });
            windows.collect()
        })
    }

    proptest! {
        #[test]
        fn merged_windows_prove_what_they_proved_one_by_one(windows in windows(), times in 1usize..3) {
            let mut now = windows.clone();
            for _ in 0..times {
                now = merged(now).into_iter().map(|merged| merged.window).collect();
            }

            let watermark = windows.iter().map(|window| window.mark).max();
            prop_assert_eq!(verdict(&now, watermark), verdict(&windows, watermark));
            let records = |windows: &[ClosedWindow]| windows.iter().map(|window| window.records).sum::<i64>();
            prop_assert_eq!(records(&now), records(&windows));
        }
    }
}
