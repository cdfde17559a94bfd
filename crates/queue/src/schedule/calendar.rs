//! Cron expressions in a time zone: when is the next run?
//!
//! Where clocks change, an expression is one of two kinds, told apart as Vixie's cron does:
//!
//! - It names **fixed times** when no `*` is in its fields for seconds, minutes and hours (`30 2 * * *`,
//!   `0 9,17 * * MON`). Each time it names on a day comes once on that day. One that the clock leaps over
//!   in spring comes at the end of the leap; one that the clock shows twice in autumn comes the first time.
//! - Otherwise it names an **interval** (`*/15 * * * *`, `0 * * * *`). It comes whenever the clock shows a
//!   time that fits: what is leapt over is left out, what is shown twice comes twice.
//!
//! croner finds the times on the clock. Its own rule for fixed times is not used: it takes a list of hours
//! for an interval, and loses a time whose leap ends on another day (`30 23 * * SAT` in Nuuk).

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use super::Fault;

mod changes;

/// Longer than any leap of any clock: one zone once left out a whole day.
const LONGEST_LEAP_MINUTES: i64 = 26 * 60;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub(super) struct Calendar {
    cron: Cron,
    zone: Tz,
    has_fixed_times: bool,
}

impl Calendar {
    pub(super) fn parse(cron: &str, time_zone: &str) -> Result<Self, Fault> {
        let zone = time_zone.parse().map_err(|_| Fault::TimeZone {
            time_zone: shown(time_zone),
        })?;
        let parsed = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build()
            .parse(cron)
            .map_err(|error| Fault::Cron {
                cron: shown(cron),
                reason: error.to_string(),
            })?;
        // With nicknames spelt out; the last three fields are days.
        let fields = parsed.pattern.to_string();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let times = fields.len().saturating_sub(3);
        Ok(Self {
            has_fixed_times: !fields.iter().take(times).any(|field| field.contains('*')),
            cron: parsed,
            zone,
        })
    }

    /// The expression and its zone as people say it.
    pub(super) fn in_words(&self) -> String {
        let words = self.cron.describe();
        let words = words.trim_end_matches('.');
        format!("{words}, on the clock of {}.", self.zone)
    }

    /// The first run after a moment; `None` when there will never be one.
    pub(super) fn next_after(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = moment.with_timezone(&self.zone);
        if self.has_fixed_times {
            return self.next_fixed_after(moment, local.naive_local());
        }
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(next.with_timezone(&Utc))
    }

    fn next_fixed_after(
        &self,
        moment: DateTime<Utc>,
        mut wall: NaiveDateTime,
    ) -> Option<DateTime<Utc>> {
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let run = self.moment_of(wall)?;
            // Not so while the clock shows for the second time what came the first time.
            if run > moment {
                return Some(run);
            }
        }
    }

    /// When the clock shows this for the first time, or has leapt over it.
    fn moment_of(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        let shown = |wall: &NaiveDateTime| self.zone.from_local_datetime(wall).earliest();
        let minute = wall.with_second(0)?;
        shown(&wall)
            .or_else(|| {
                let mut later = (1..LONGEST_LEAP_MINUTES).map(|m| minute + TimeDelta::minutes(m));
                later.find_map(|wall| shown(&wall))
            })
            .map(|moment| moment.with_timezone(&Utc))
    }
}

/// Cut to what an error should show.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
