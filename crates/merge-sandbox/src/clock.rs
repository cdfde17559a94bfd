//! The sandbox's clock: real time that can be moved ahead, or a time that only moves when told to.
//!
//! Everything stamped or scheduled at the sandbox goes by this clock: `modified_at`, syncs, rate limits, the life of
//! tokens, and the pauses between two attempts at a webhook.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// Where the clock starts and whether it runs by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMode {
    /// The machine's time, plus what the clock was advanced by. The default.
    #[default]
    Real,
    /// Stands at this time until it is advanced.
    Manual(DateTime<Utc>),
}

/// Microseconds since 1970, the resolution of Merge's timestamps.
pub(crate) type Micros = i64;

#[derive(Debug)]
pub(crate) struct Clock {
    mode: ClockMode,
    advanced: AtomicI64,
    moved: Notify,
}

impl Clock {
    pub(crate) fn new(mode: ClockMode) -> Self {
        Self {
            mode,
            advanced: AtomicI64::new(0),
            moved: Notify::new(),
        }
    }

    pub(crate) fn now(&self) -> Micros {
        let base = match self.mode {
            ClockMode::Real => machine_time(),
            ClockMode::Manual(start) => start.timestamp_micros(),
        };
        base.saturating_add(self.advanced.load(Ordering::SeqCst))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.advanced.fetch_add(micros(by), Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// Returns when the clock has reached `deadline`, whether by itself or by being moved.
    pub(crate) async fn sleep_until(&self, deadline: Micros) {
        loop {
            // Registered before the time is read, so that a move in between is not lost.
            let moved = self.moved.notified();
            let left = deadline.saturating_sub(self.now());
            if left <= 0 {
                return;
            }
            match self.mode {
                ClockMode::Manual(_) => moved.await,
                ClockMode::Real => {
                    let left = Duration::from_micros(left.unsigned_abs());
                    tokio::select! {
                        () = tokio::time::sleep(left) => {}
                        () = moved => {}
                    }
                }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the sandbox reads the machine's time"
)]
fn machine_time() -> Micros {
    Utc::now().timestamp_micros()
}

pub(crate) fn micros(duration: Duration) -> Micros {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

pub(crate) fn to_time(micros: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

/// As Merge writes it: `2026-02-04T03:16:41.730912Z`.
pub(crate) fn to_text(micros: Micros) -> String {
    to_time(micros).to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// As the bodies of `LinkedAccount.sync_completed` have it, cut to whole seconds: `2026-02-04T03:16:41Z`.
pub(crate) fn to_whole_seconds(micros: Micros) -> String {
    to_time(micros).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_times_as_merge_does() {
        let time = "2026-02-04T03:16:41.730912Z"
            .parse::<DateTime<Utc>>()
            .unwrap();

        assert_eq!(
            to_text(time.timestamp_micros()),
            "2026-02-04T03:16:41.730912Z"
        );
        assert_eq!(
            to_whole_seconds(time.timestamp_micros()),
            "2026-02-04T03:16:41Z"
        );
    }

    #[tokio::test]
    async fn a_manual_clock_wakes_sleepers_when_moved() {
        let clock = Clock::new(ClockMode::Manual(DateTime::UNIX_EPOCH));

        tokio::join!(clock.sleep_until(5_000_000), async {
            for _ in 0..5 {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        });

        assert_eq!(clock.now(), 5_000_000);
    }
}
