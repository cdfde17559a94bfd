//! How fast jobs end, and when something changes: what one look at the counts every two seconds tells.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use queue::{JobState, counts::Count};
use sqlx::PgPool;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(2);
/// How far the memory reaches: a quarter of an hour.
const LOOKS: usize = 451;
/// Bars of a chart of that, and what one stands for.
const BARS: usize = 24;
const BAR: Duration = Duration::from_millis(37_500);

/// What was seen lately; of this process, from its start on.
#[derive(Debug)]
pub struct Pulse {
    looks: Mutex<VecDeque<Look>>,
    beat: watch::Sender<u64>,
}

#[derive(Debug)]
struct Look {
    at: Instant,
    ended: BTreeMap<String, u64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            looks: Mutex::default(),
            beat: watch::Sender::new(0),
        }
    }
}

impl Pulse {
    /// Looks until `shutdown`.
    pub async fn run(&self, pool: PgPool, shutdown: CancellationToken) {
        let mut before = Vec::new();
        loop {
            match queue::counts::counts(&pool).await {
                Ok(counts) => {
                    self.note(&counts, Instant::now());
                    if counts != before {
                        self.beat.send_modify(|beat| *beat += 1);
                        before = counts;
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot look at the counts"),
            }
            let pause = tokio::time::sleep(INTERVAL);
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Changes when something changed.
    pub(super) fn beats(&self) -> watch::Receiver<u64> {
        self.beat.subscribe()
    }

    fn note(&self, counts: &[Count], at: Instant) {
        let mut ended: BTreeMap<String, u64> = BTreeMap::new();
        for count in counts {
            let has_ended = matches!(
                count.state,
                JobState::Completed | JobState::Cancelled | JobState::Dead
            );
            if has_ended {
                *ended.entry(count.queue.clone()).or_default() += count.jobs;
            }
        }
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.push_back(Look { at, ended });
        if looks.len() > LOOKS {
            looks.pop_front();
        }
    }

    /// Jobs of a queue that ended in the last minute; `None` until a minute was seen.
    pub(super) fn ended_a_minute(&self, queue: &str) -> Option<u64> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let last = looks.back()?;
        let minute = Duration::from_mins(1);
        let before = looks
            .iter()
            .rev()
            .find(|look| last.at.duration_since(look.at) >= minute)?;
        Some(last.of(queue).saturating_sub(before.of(queue)))
    }

    /// Jobs of a queue that ended, over the last quarter of an hour, the oldest first.
    pub(super) fn trend(&self, queue: &str) -> Vec<i64> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bars = vec![0; BARS];
        let Some(last) = looks.back() else {
            return bars;
        };
        for (before, look) in looks.iter().zip(looks.iter().skip(1)) {
            let bars_ago = last.at.duration_since(look.at).as_millis() / BAR.as_millis();
            let bars_ago = usize::try_from(bars_ago).unwrap_or(BARS);
            if let Some(bar) = (BARS - 1).checked_sub(bars_ago) {
                // Days that are dropped take their counts with them.
                let ended = look.of(queue).saturating_sub(before.of(queue));
                bars[bar] += i64::try_from(ended).unwrap_or(i64::MAX);
            }
        }
        bars
    }
}

impl Look {
    fn of(&self, queue: &str) -> u64 {
        self.ended.get(queue).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(jobs: u64) -> Vec<Count> {
        vec![Count {
            queue: "sync".to_owned(),
            kind: "k".to_owned(),
            state: JobState::Completed,
            day: None,
            jobs,
        }]
    }

    #[test]
    fn the_pace_is_what_ended_in_a_minute() {
        let pulse = Pulse::default();
        let start = Instant::now();
        pulse.note(&completed(100), start);
        assert_eq!(pulse.ended_a_minute("sync"), None, "no minute was seen");

        pulse.note(&completed(110), start + Duration::from_secs(30));
        pulse.note(&completed(160), start + Duration::from_secs(90));

        assert_eq!(pulse.ended_a_minute("sync"), Some(50));
        assert_eq!(pulse.ended_a_minute("other"), Some(0));
        let trend = pulse.trend("sync");
        assert_eq!((trend.len(), trend.iter().sum::<i64>()), (24, 60));
        assert_eq!(trend.last(), Some(&50));
    }

    #[test]
    fn days_that_are_dropped_are_no_negative_pace() {
        let pulse = Pulse::default();
        let start = Instant::now();
        pulse.note(&completed(100), start);
        pulse.note(&completed(10), start + Duration::from_mins(1));

        assert_eq!(pulse.ended_a_minute("sync"), Some(0));
    }
}
