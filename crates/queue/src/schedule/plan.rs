//! What a schedule says: checked, and applied to what is due.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::calendar::Calendar;
use crate::workers::in_seconds;

/// Runs that may be made up for, or be on time, at one look. So an outage ends without a flood.
pub const MAX_CATCH_UP: u16 = 1_000;
/// The longest grace.
pub const MAX_GRACE: Duration = Duration::from_hours(7 * 24);

/// Runs looked at to find the shortest time between two.
const SAMPLE: usize = 50;
/// Where that look begins: the start of a leap year. (Whether a schedule can work must not depend on the day.)
const SAMPLE_START: i64 = 1_704_067_200;

/// What becomes of runs that were missed: due while, for longer than the grace, nobody fired them.
///
/// Runs that are later than planned, but within the grace, always happen. Those during a pause never do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// They are left out.
    Skip,
    /// One run stands for all: the newest that is due.
    One,
    /// The newest happen, at most so many, 1 to 1,000.
    UpTo(u16),
}

impl Missed {
    /// As it is stored: the number of runs.
    pub(super) fn catch_up(self) -> i16 {
        match self {
            Self::Skip => 0,
            Self::One => 1,
            Self::UpTo(cap) => i16::try_from(cap).unwrap_or(i16::MAX),
        }
    }

    pub(super) fn from_stored(catch_up: i16) -> Self {
        match u16::try_from(catch_up) {
            Ok(0) | Err(_) => Self::Skip,
            Ok(1) => Self::One,
            Ok(cap) => Self::UpTo(cap),
        }
    }
}

/// When a job runs by the clock, as the code declares it: `const SCHEDULE` of a [`crate::Job`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScheduleSpec {
    /// Cron expression: `minute hour day month weekday`, or six fields with seconds first.
    pub cron: &'static str,
    /// IANA name of the zone whose clock it is read on.
    pub time_zone: &'static str,
    /// What becomes of runs that were missed.
    pub missed: Missed,
    /// A run that fires later than this was missed; at least a second, at most seven days.
    pub grace: Duration,
    /// Each run is put off by up to this; at most the shortest time between two runs.
    pub jitter: Duration,
}

impl ScheduleSpec {
    /// By this expression, in UTC, to the second; one run stands for all that were missed by more than a
    /// minute.
    pub const fn new(cron: &'static str) -> Self {
        Self {
            cron,
            time_zone: "UTC",
            missed: Missed::One,
            grace: Duration::from_mins(1),
            jitter: Duration::ZERO,
        }
    }

    pub(super) fn timing(&self) -> Timing {
        Timing {
            cron: self.cron.to_owned(),
            time_zone: self.time_zone.to_owned(),
            missed: self.missed,
            grace: self.grace,
            jitter: self.jitter,
        }
    }
}

/// As [`ScheduleSpec`], from the database or from people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Timing {
    /// Cron expression.
    pub cron: String,
    /// IANA name.
    pub time_zone: String,
    /// What becomes of runs that were missed.
    pub missed: Missed,
    /// A run that fires later than this was missed.
    #[serde(rename = "grace_seconds", serialize_with = "in_seconds")]
    pub grace: Duration,
    /// Each run is put off by up to this.
    #[serde(rename = "jitter_seconds", serialize_with = "in_seconds")]
    pub jitter: Duration,
}

/// Why a schedule cannot work, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No cron expression.
    #[error(
        "`{cron}` is not a cron expression ({reason}): write `minute hour day month weekday`, or six \
         fields with seconds first"
    )]
    Cron {
        /// As it was given.
        cron: String,
        /// What the parser said.
        reason: String,
    },
    /// No time zone.
    #[error("`{time_zone}` is not a time zone: write its IANA name, as Europe/Berlin, or UTC")]
    TimeZone {
        /// As it was given.
        time_zone: String,
    },
    /// A day that never comes.
    #[error("`{cron}` never comes: there is no such day in any year")]
    NoNextRun {
        /// The expression.
        cron: String,
    },
    /// Runs would overtake each other.
    #[error(
        "a jitter of {jitter:?} is longer than the {interval:?} between two runs of `{cron}`: make it \
         shorter"
    )]
    Jitter {
        /// As it was given.
        jitter: Duration,
        /// The shortest time between two runs.
        interval: Duration,
        /// The expression.
        cron: String,
    },
    /// A grace out of range.
    #[error("a grace of {grace:?} is out of range: write one of 1s to 7 days")]
    Grace {
        /// As it was given.
        grace: Duration,
    },
    /// A number of missed runs out of range.
    #[error("{cap} missed runs cannot be made up for: write 1 to {MAX_CATCH_UP}, or skip them all")]
    CatchUp {
        /// As it was given.
        cap: u16,
    },
}

/// A [`Timing`] that can work.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    calendar: Calendar,
    missed: Missed,
    grace: TimeDelta,
    jitter: Duration,
}

/// What is to be done about the runs that are due.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Oldest first; each with the time its job may start.
    pub(super) runs: Vec<Run>,
    /// Whether some that were missed are left out.
    pub(super) has_skipped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// As the expression has it.
    pub(super) tick: DateTime<Utc>,
    pub(super) run_at: DateTime<Utc>,
}

impl Plan {
    /// When it runs, as people say it.
    pub(super) fn in_words(&self) -> String {
        self.calendar.in_words()
    }

    /// What the next change of the clock does to it; `None` where clocks do not change.
    pub(super) fn next_change(&self, now: DateTime<Utc>) -> Option<String> {
        self.calendar.next_change(now)
    }

    pub(super) fn of(timing: &Timing) -> Result<Self, Fault> {
        let plan = Self::trusting(timing)?;
        if let Missed::UpTo(cap) = timing.missed
            && !(1..=MAX_CATCH_UP).contains(&cap)
        {
            return Err(Fault::CatchUp { cap });
        }
        if !(Duration::from_secs(1)..=MAX_GRACE).contains(&timing.grace) {
            let grace = timing.grace;
            return Err(Fault::Grace { grace });
        }
        let interval = plan
            .calendar
            .shortest_interval()
            .ok_or_else(|| Fault::NoNextRun {
                cron: timing.cron.clone(),
            })?;
        if timing.jitter > interval {
            return Err(Fault::Jitter {
                jitter: timing.jitter,
                interval,
                cron: timing.cron.clone(),
            });
        }
        Ok(plan)
    }

    /// Of what was checked before it was stored.
    pub(super) fn trusting(timing: &Timing) -> Result<Self, Fault> {
        Ok(Self {
            calendar: Calendar::parse(&timing.cron, &timing.time_zone)?,
            missed: timing.missed,
            grace: TimeDelta::from_std(timing.grace).unwrap_or(TimeDelta::MAX),
            jitter: timing.jitter,
        })
    }

    pub(super) fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.calendar.next_after(moment)
    }

    /// The first run at that moment or after it.
    pub(super) fn next_from(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.calendar
            .next_after(moment - TimeDelta::microseconds(1))
    }

    /// What of `first`, which is due, and of the runs after it is to happen now.
    pub(super) fn due(&self, name: &str, first: DateTime<Utc>, now: DateTime<Utc>) -> Due {
        let (ticks, mut has_skipped) = self.newest(first, now);
        let is_missed = |tick: &&DateTime<Utc>| now - **tick > self.grace;
        let missed = ticks.iter().take_while(is_missed).count();
        let on_time = ticks.len() - missed;
        let made_up = usize::try_from(self.missed.catch_up())
            .unwrap_or(0)
            .saturating_sub(on_time)
            .min(missed);
        has_skipped |= made_up < missed;
        let runs = ticks[missed - made_up..].iter().map(|tick| {
            // After an outage the delay counts from now: what comes together parts again.
            let from = if is_missed(&tick) { now } else { *tick };
            let run_at = from + self.delay(name, *tick);
            Run {
                tick: *tick,
                run_at: run_at.max(now),
            }
        });
        Due {
            runs: runs.collect(),
            has_skipped,
        }
    }

    /// The newest runs from `first` to `now`, and whether there are more. Looks back in growing steps, so
    /// that a year without a scheduler does not mean counting a year's seconds.
    fn newest(&self, first: DateTime<Utc>, now: DateTime<Utc>) -> (Vec<DateTime<Utc>>, bool) {
        let limit = usize::from(MAX_CATCH_UP);
        let mut span = self.grace.min(TimeDelta::hours(1));
        loop {
            let start = first.max(now - span);
            let mut ticks = Vec::new();
            if start == first {
                ticks.push(first);
            }
            let mut at = start;
            while let Some(next) = self.next_after(at).filter(|next| *next <= now) {
                ticks.push(next);
                at = next;
            }
            if start == first || ticks.len() >= limit {
                let surplus = ticks.len().saturating_sub(limit);
                let has_more = start > first || surplus > 0;
                return (ticks.split_off(surplus), has_more);
            }
            span = span * 4;
        }
    }

    /// By how much a run is put off: the same whoever asks, spread evenly over the jitter.
    fn delay(&self, name: &str, tick: DateTime<Utc>) -> Duration {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for byte in tick.timestamp().to_le_bytes().iter().chain(name.as_bytes()) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // FNV's last bytes reach the low bits only; this brings them everywhere.
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 33;
        let micros = (self.jitter.as_micros() * u128::from(hash)) >> 64;
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

impl Calendar {
    /// The shortest time between two runs; `None` when there is never another one.
    fn shortest_interval(&self) -> Option<Duration> {
        let start = DateTime::from_timestamp(SAMPLE_START, 0)?;
        let first = self.next_after(start)?;
        let runs: Vec<_> = std::iter::successors(Some(first), |run| self.next_after(*run))
            .take(SAMPLE)
            .collect();
        let intervals = runs.windows(2).map(|pair| pair[1] - pair[0]);
        intervals.min()?.to_std().ok()
    }
}

#[cfg(test)]
mod tests;
