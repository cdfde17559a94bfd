//! What the next change of the clock does to a schedule, in words.

use chrono::{DateTime, NaiveDateTime, Offset as _, TimeDelta, TimeZone as _, Utc};

use super::Calendar;

/// How far ahead a change is looked for: clocks that change, change within a year.
const AHEAD_DAYS: i32 = 370;
/// Runs within a change that are counted: those of every second of an hour, and then some.
const MOST_COUNTED: usize = 10_000;

/// A clock is set.
struct Change {
    /// What it would have shown.
    from: NaiveDateTime,
    /// What it shows instead.
    to: NaiveDateTime,
}

impl Calendar {
    /// The next change of the clock after a moment, and what becomes of the runs in it; `None` where clocks do not change.
    pub(in crate::schedule) fn next_change(&self, now: DateTime<Utc>) -> Option<String> {
        let Change { from, to } = self.change_after(now)?;
        let first = from.min(to);
        let touched = self.times_between(first, from.max(to));
        let one = touched.first().map(|time| time.format("%H:%M").to_string());
        let effect = match (touched.len(), one, to > from, self.has_fixed_times) {
            (0, ..) | (_, None, ..) => "no run is touched".to_owned(),
            (1, Some(time), true, true) => {
                format!("the run of {time} comes at {}", to.format("%H:%M"))
            }
            (runs, _, true, true) => format!("{runs} runs come at {}", to.format("%H:%M")),
            (1, Some(time), false, true) => format!("the run of {time} comes the first time only"),
            (runs, _, false, true) => format!("{runs} runs come the first time only"),
            (1, Some(time), true, false) => format!("the run of {time} is left out"),
            (runs, _, true, false) => format!("{runs} runs are left out"),
            (1, Some(time), false, false) => format!("the run of {time} comes twice"),
            (runs, _, false, false) => format!("{runs} runs come twice"),
        };
        Some(format!(
            "On {} this clock goes from {} to {}: {effect}.",
            from.format("%Y-%m-%d"),
            from.format("%H:%M"),
            to.format("%H:%M"),
        ))
    }

    fn change_after(&self, now: DateTime<Utc>) -> Option<Change> {
        let offset = |at: DateTime<Utc>| {
            let offset = self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
            TimeDelta::seconds(offset.local_minus_utc().into())
        };
        let old = offset(now);
        let mut days = (1..AHEAD_DAYS).map(|days| now + TimeDelta::days(days.into()));
        let mut after = days.find(|day| offset(*day) != old)?;
        // The second in which it is set lies in between.
        let mut before = after - TimeDelta::days(1);
        while after - before > TimeDelta::seconds(1) {
            let middle = before + (after - before) / 2;
            if offset(middle) == old {
                before = middle;
            } else {
                after = middle;
            }
        }
        let at = DateTime::from_timestamp(after.timestamp(), 0)?;
        Some(Change {
            from: at.naive_utc() + old,
            to: at.naive_utc() + offset(at),
        })
    }

    /// The times that the expression names, from one on the clock to before another.
    fn times_between(&self, from: NaiveDateTime, to: NaiveDateTime) -> Vec<NaiveDateTime> {
        let next = |after: &NaiveDateTime, inclusive| {
            let next = self.cron.find_next_occurrence(after, inclusive).ok();
            next.filter(|time| *time < to)
        };
        std::iter::successors(next(&from, true), |time| next(time, false))
            .take(MOST_COUNTED)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_clock_is_told_with_what_it_does() {
        let winter = DateTime::from_timestamp(1_796_000_000, 0).unwrap();
        let summer = winter + TimeDelta::days(200);
        let spring = "On 2027-03-28 this clock goes from 02:00 to 03:00";
        let autumn = "On 2027-10-31 this clock goes from 03:00 to 02:00";
        for (cron, now, expected) in [
            (
                "30 2 * * *",
                winter,
                format!("{spring}: the run of 02:30 comes at 03:00."),
            ),
            (
                "15,45 2 * * *",
                winter,
                format!("{spring}: 2 runs come at 03:00."),
            ),
            ("0 4 * * *", winter, format!("{spring}: no run is touched.")),
            ("0 3 * * *", winter, format!("{spring}: no run is touched.")),
            (
                "30 2 * * MON",
                winter,
                format!("{spring}: no run is touched."),
            ),
            (
                "*/15 * * * *",
                winter,
                format!("{spring}: 4 runs are left out."),
            ),
            (
                "0 * * * *",
                winter,
                format!("{spring}: the run of 02:00 is left out."),
            ),
            (
                "* * * * * *",
                winter,
                format!("{spring}: 3600 runs are left out."),
            ),
            (
                "30 2 * * *",
                summer,
                format!("{autumn}: the run of 02:30 comes the first time only."),
            ),
            (
                "0 * * * *",
                summer,
                format!("{autumn}: the run of 02:00 comes twice."),
            ),
            (
                "*/15 * * * *",
                summer,
                format!("{autumn}: 4 runs come twice."),
            ),
        ] {
            let calendar = Calendar::parse(cron, "Europe/Berlin").unwrap();
            assert_eq!(calendar.next_change(now), Some(expected), "{cron}");
        }
    }

    #[test]
    fn where_clocks_never_change_nothing_is_told() {
        let now = DateTime::from_timestamp(1_796_000_000, 0).unwrap();
        for zone in ["UTC", "Asia/Tokyo"] {
            let calendar = Calendar::parse("30 2 * * *", zone).unwrap();
            assert_eq!(calendar.next_change(now), None, "{zone}");
        }
    }

    #[test]
    fn what_is_told_is_what_happens() {
        // The run that is told to come late comes then.
        let calendar = Calendar::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let eve: DateTime<Utc> = "2027-03-27T12:00:00Z".parse().unwrap();

        let next = calendar.next_after(eve).unwrap();

        assert_eq!(next.to_rfc3339(), "2027-03-28T01:00:00+00:00");
    }
}
