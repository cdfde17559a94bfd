//! How it went in the last hour, day and week, without looking at a job: stored rollups.
//!
//! Each process gathers what it measures in memory ([`Tally`]) and adds it to `rollups` every few seconds, with its
//! own end for the last time. So a measurement costs no statement, and a row is written as often as there are processes,
//! not as often as there are jobs. A process that is killed takes the last seconds with it; an addition whose answer is
//! lost may count twice. These are figures to look at: what must be exact is in [`crate::counts`].
//!
//! A row is one span of time, one measure, one queue and kind, and holds a [`Histogram`]. Everything is stored three
//! times, in spans of five minutes, an hour and six hours, so that each [`Window`] is read from some 28 spans; and beside
//! the row of each kind are those of its queue and of everything, so that who wants only those reads only those. That is
//! a few hundred rows for each kind there is, however many jobs there are and for however long.

use std::collections::HashMap;

use chrono::TimeDelta;
use sqlx::PgPool;

use crate::{error::Error, ids::Queue};

mod histogram;
mod tally;

pub use histogram::Histogram;
pub use tally::Tally;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// From when a job might run to when it did.
    Wait,
    /// How long attempts took that completed their job.
    Completed,
    /// How long attempts took that failed: their jobs are retried, or dead.
    Failed,
    /// How long requests waited for their account's rate limit.
    LimiterWait,
    /// Error answers of the far side. Counted only.
    ErrorAnswer,
    /// Requests put off because the error budget was used up. Counted only.
    BudgetExhausted,
    /// From when a webhook came to when it was answered.
    Acknowledgement,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Wait,
        Self::Completed,
        Self::Failed,
        Self::LimiterWait,
        Self::ErrorAnswer,
        Self::BudgetExhausted,
        Self::Acknowledgement,
    ];

    /// The name as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::LimiterWait => "limiter_wait",
            Self::ErrorAnswer => "error_answer",
            Self::BudgetExhausted => "budget_exhausted",
            Self::Acknowledgement => "acknowledgement",
        }
    }
}

/// How far to look back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// In twelve spans of five minutes.
    Hour,
    /// In 24 spans of an hour.
    Day,
    /// In 28 spans of six hours.
    Week,
}

impl Window {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// The name in URLs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Spans that it is made of; the last is under way.
    pub const fn spans(self) -> usize {
        match self {
            Self::Hour => 12,
            Self::Day => 24,
            Self::Week => 28,
        }
    }

    const fn span_minutes(self) -> i16 {
        match self {
            Self::Hour => 5,
            Self::Day => 60,
            Self::Week => 360,
        }
    }

    fn span(self) -> TimeDelta {
        TimeDelta::minutes(self.span_minutes().into())
    }

    /// How long rows of its spans are kept: a little longer than anybody asks for them.
    fn kept(self) -> TimeDelta {
        self.span() * 30
    }
}

/// What was measured of something in a window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series {
    /// All of it.
    pub total: Histogram,
    /// How many measurements each span has, the oldest first.
    pub spans: Vec<u64>,
}

/// What was measured in a window.
#[derive(Debug, Clone)]
pub struct Rollup {
    /// How far it looks back.
    pub window: Window,
    series: HashMap<(Measure, String, String), Series>,
}

impl Rollup {
    /// In which nothing was measured.
    pub fn empty(window: Window) -> Self {
        Self {
            window,
            series: HashMap::new(),
        }
    }

    /// What was measured of a kind of jobs; `None` when nothing was.
    pub fn of_kind(&self, measure: Measure, queue: &str, kind: &str) -> Option<&Series> {
        self.series
            .get(&(measure, queue.to_owned(), kind.to_owned()))
    }

    /// What was measured of a queue.
    pub fn of_queue(&self, measure: Measure, queue: &str) -> Option<&Series> {
        self.of_kind(measure, queue, "")
    }

    /// What was measured of everything.
    pub fn of_all(&self, measure: Measure) -> Option<&Series> {
        self.of_kind(measure, "", "")
    }

    /// The queues and kinds of which something was measured; empty for one that was read without kinds.
    pub fn kinds(&self) -> Vec<(&str, &str)> {
        let names = self.series.keys();
        let mut kinds: Vec<_> = names
            .map(|(_, queue, kind)| (queue.as_str(), kind.as_str()))
            .filter(|(_, kind)| !kind.is_empty())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// What was measured in a window, of everything and of each queue; `with_kinds` also of each kind.
///
/// # Errors
/// [`Error::Database`].
pub async fn read(pool: &PgPool, window: Window, with_kinds: bool) -> Result<Rollup, Error> {
    let rows = sqlx::query!(
        r#"
        SELECT
            measure, queue, kind, counts,
            (extract(epoch FROM first.began_at + ($2 - 1) * first.span - r.began_at)
                / extract(epoch FROM first.span))::integer AS "spans_ago!"
        FROM (
            SELECT
                make_interval(mins => $1::smallint) AS span,
                date_bin(make_interval(mins => $1::smallint), now(), to_timestamp(0))
                    - ($2 - 1) * make_interval(mins => $1::smallint) AS began_at
        ) AS first
        JOIN syncline.rollups r ON r.span_minutes = $1 AND r.began_at >= first.began_at
        WHERE $3 OR kind = ''
        ORDER BY r.began_at, measure, queue, kind
        LIMIT 100000
        "#,
        window.span_minutes(),
        i32::try_from(window.spans()).unwrap_or(i32::MAX),
        with_kinds,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::database("read what was measured"))?;
    let mut series: HashMap<_, Series> = HashMap::new();
    for row in rows {
        let known = Measure::ALL
            .into_iter()
            .find(|measure| measure.as_str() == row.measure);
        // One that a newer version stored.
        let Some(measure) = known else { continue };
        let series = series.entry((measure, row.queue, row.kind)).or_default();
        series.spans.resize(window.spans(), 0);
        let histogram = Histogram::from_stored(&row.counts);
        let ago = usize::try_from(row.spans_ago).unwrap_or(0);
        if let Some(index) = (window.spans() - 1).checked_sub(ago) {
            series.spans[index] += histogram.count();
        }
        series.total.add(&histogram);
    }
    Ok(Rollup { window, series })
}

/// Deletes spans that no window reaches back to; answers how many rows that were.
pub(crate) async fn forget(pool: &PgPool) -> Result<u64, Error> {
    let mut deleted = 0;
    for window in Window::ALL {
        let done = sqlx::query!(
            "DELETE FROM syncline.rollups WHERE span_minutes = $1 AND began_at < now() - make_interval(secs => $2)",
            window.span_minutes(),
            window.kept().as_seconds_f64(),
        )
        .execute(pool)
        .await
        .map_err(Error::database("forget old measurements"))?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}

/// Adds measurements to the rows of the spans under way.
async fn add(pool: &PgPool, gathered: &tally::Gathered) -> Result<(), Error> {
    let (mut measures, mut queues, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts: Vec<i64> = Vec::new();
    for ((measure, queue, kind), histogram) in with_sums(gathered) {
        measures.push(measure.as_str().to_owned());
        queues.push(queue.to_owned());
        kinds.push(kind.to_owned());
        counts.extend(histogram.to_stored());
    }
    let spans: Vec<i16> = Window::ALL.map(Window::span_minutes).to_vec();
    let sizes = i64::try_from(histogram::SIZES).unwrap_or(i64::MAX);
    sqlx::query_file!(
        "src/rollups/add.sql",
        &measures,
        &queues,
        &kinds,
        &counts,
        sizes,
        &spans
    )
    .execute(pool)
    .await
    .map_err(Error::database("store what was measured"))?;
    Ok(())
}

type Sums<'a> = HashMap<(Measure, &'static str, &'a str), Histogram>;

/// With the sums of each queue and of everything.
fn with_sums(gathered: &tally::Gathered) -> Sums<'_> {
    let mut sums = Sums::new();
    for ((measure, queue), kinds) in gathered {
        let queue = queue.map_or("", Queue::as_str);
        for (kind, histogram) in kinds {
            // Each once, also where a measurement is of no kind or of no queue.
            let mut names = vec![(queue, kind.as_str()), (queue, ""), ("", "")];
            names.dedup();
            for (queue, kind) in names {
                sums.entry((*measure, queue, kind))
                    .or_default()
                    .add(histogram);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests;
