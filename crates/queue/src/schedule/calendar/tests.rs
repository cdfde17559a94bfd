use proptest::prelude::*;

use super::*;

fn calendar(cron: &str, zone: &str) -> Calendar {
    Calendar::parse(cron, zone).unwrap()
}

/// `2026-03-29 00:00` in UTC, to the minute or the second.
fn utc(text: &str) -> DateTime<Utc> {
    let text = if text.len() == 16 {
        format!("{text}:00")
    } else {
        text.to_owned()
    };
    NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S")
        .unwrap()
        .and_utc()
}

/// The runs after one moment up to another, as times of the day in UTC.
fn runs(cron: &str, zone: &str, after: &str, until: &str) -> Vec<String> {
    let calendar = calendar(cron, zone);
    let first = calendar.next_after(utc(after));
    std::iter::successors(first, |run| calendar.next_after(*run))
        .take_while(|run| *run <= utc(until))
        .map(|run| run.format("%d %H:%M").to_string())
        .collect()
}

#[test]
fn five_fields_or_six_with_seconds_first() {
    let after = utc("2026-11-22 05:00:07");

    for (cron, next) in [
        ("*/5 * * * *", "2026-11-22 05:05:00"),
        ("*/10 * * * * *", "2026-11-22 05:00:10"),
        ("0 9 * * MON-FRI", "2026-11-23 09:00:00"),
        ("0 0 L * *", "2026-11-30 00:00:00"),
        ("@daily", "2026-11-23 00:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
    ] {
        assert_eq!(
            calendar(cron, "UTC").next_after(after),
            Some(utc(next)),
            "{cron}"
        );
    }
}

#[test]
fn an_expression_is_read_on_the_clock_of_its_zone() {
    let winter = runs(
        "0 9 * * *",
        "Europe/Berlin",
        "2026-01-10 00:00",
        "2026-01-10 23:59",
    );
    let summer = runs(
        "0 9 * * *",
        "Europe/Berlin",
        "2026-07-10 00:00",
        "2026-07-10 23:59",
    );
    let half = runs(
        "0 9 * * *",
        "Asia/Kolkata",
        "2026-07-10 00:00",
        "2026-07-10 23:59",
    );

    assert_eq!(
        (winter, summer, half),
        (
            vec!["10 08:00".to_owned()],
            vec!["10 07:00".to_owned()],
            vec!["10 03:30".to_owned()],
        )
    );
}

/// What comes on the days when clocks change. Berlin leaps from 2:00 to 3:00 on 2026-03-29 and falls from
/// 3:00 to 2:00 on 2026-10-25, both at 01:00 UTC; New York from 2:00 to 3:00 on 2026-03-08 (07:00 UTC) and
/// from 2:00 to 1:00 on 2026-11-01 (06:00 UTC); Lord Howe by half an hour, from 2:00 to 2:30 on 2026-10-04
/// (15:30 UTC the day before) and from 2:00 to 1:30 on 2026-04-05 (15:00 UTC the day before).
#[test]
fn fixed_times_come_once_on_the_day_when_clocks_change() {
    for (cron, zone, after, until, expected) in [
        // Leapt over: at the end of the leap; and at the right time on the days around it.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 00:00",
            "2026-03-30 12:00",
            vec!["28 01:30", "29 01:00", "30 00:30"],
        ),
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08 00:00",
            "2026-03-09 12:00",
            vec!["08 07:00", "09 06:30"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03 00:00",
            "2026-10-04 23:00",
            vec!["03 15:30", "04 15:15"],
        ),
        // Outside the leap nothing changes.
        (
            "0 3 * * *",
            "Europe/Berlin",
            "2026-03-29 00:00",
            "2026-03-29 12:00",
            vec!["29 01:00"],
        ),
        (
            "45 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03 00:00",
            "2026-10-03 23:00",
            vec!["03 15:45"],
        ),
        // Shown twice: the first time only.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24 12:00",
            "2026-10-26 12:00",
            vec!["25 00:30", "26 01:30"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01 00:00",
            "2026-11-02 12:00",
            vec!["01 05:30", "02 06:30"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04 12:00",
            "2026-04-05 23:00",
            vec!["04 14:45", "05 15:15"],
        ),
        // Lists of times are fixed times, too; two that the leap throws together come once.
        (
            "0 2,14 * * *",
            "Europe/Berlin",
            "2026-03-29 00:00",
            "2026-03-29 23:00",
            vec!["29 01:00", "29 12:00"],
        ),
        (
            "10,40 2 * * *",
            "Europe/Berlin",
            "2026-03-29 00:00",
            "2026-03-29 23:00",
            vec!["29 01:00"],
        ),
        (
            "0 2,14 * * *",
            "Europe/Berlin",
            "2026-10-24 23:00",
            "2026-10-25 23:00",
            vec!["25 00:00", "25 13:00"],
        ),
        // A leap over midnight, whose end is another day: Nuuk, from 23:00 to 0:00 (2026-03-29, 01:00 UTC).
        (
            "30 23 * * SAT",
            "America/Nuuk",
            "2026-03-28 12:00",
            "2026-03-30 12:00",
            vec!["29 01:00"],
        ),
    ] {
        assert_eq!(
            runs(cron, zone, after, until),
            expected,
            "{cron} {zone} after {after}"
        );
    }
}

#[test]
fn intervals_follow_the_clock_when_it_changes() {
    for (cron, zone, after, until, expected) in [
        // Leapt over: left out. An hourly run comes every real hour.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-03-29 00:00",
            "2026-03-29 03:00",
            vec!["29 00:30", "29 01:30", "29 02:30"],
        ),
        (
            "*/30 2 * * *",
            "Europe/Berlin",
            "2026-03-28 00:00",
            "2026-03-30 12:00",
            vec!["28 01:00", "28 01:30", "30 00:00", "30 00:30"],
        ),
        (
            "0 */2 * * *",
            "America/New_York",
            "2026-03-08 04:00",
            "2026-03-08 11:00",
            vec!["08 05:00", "08 08:00", "08 10:00"],
        ),
        // Shown twice: both times.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25 00:00",
            "2026-10-25 03:00",
            vec!["25 00:30", "25 01:30", "25 02:30"],
        ),
        (
            "*/30 1 * * *",
            "America/New_York",
            "2026-11-01 04:00",
            "2026-11-01 12:00",
            vec!["01 05:00", "01 05:30", "01 06:00", "01 06:30"],
        ),
        (
            "*/15 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04 13:00",
            "2026-04-04 17:00",
            vec![
                "04 14:00", "04 14:15", "04 14:30", "04 14:45", "04 15:00", "04 15:15",
            ],
        ),
        (
            "*/15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03 13:00",
            "2026-10-03 17:00",
            vec!["03 15:30", "03 15:45"],
        ),
    ] {
        assert_eq!(
            runs(cron, zone, after, until),
            expected,
            "{cron} {zone} after {after}"
        );
    }
}

#[test]
fn bad_expressions_and_zones_are_named_with_what_to_write() {
    for (cron, zone, expected) in [
        ("every day", "UTC", "`every day` is not a cron expression"),
        ("", "UTC", "`` is not a cron expression"),
        ("60 * * * *", "UTC", "write `minute hour day month weekday`"),
        ("* * * *", "UTC", "or six fields with seconds first"),
        ("0 0 0 1 1 * 2027", "UTC", "not a cron expression"),
        ("@reboot", "UTC", "not a cron expression"),
        ("*/0 * * * *", "UTC", "not a cron expression"),
        (
            "0 0 * * *",
            "Europe/Berlinn",
            "`Europe/Berlinn` is not a time zone",
        ),
        ("0 0 * * *", "", "write its IANA name"),
        ("0 0 * * *", "+02:00", "write its IANA name"),
    ] {
        let error = Calendar::parse(cron, zone).unwrap_err().to_string();

        assert!(error.contains(expected), "{cron} {zone}: {error}");
    }
}

#[test]
fn a_day_that_never_comes_is_no_run() {
    assert_eq!(
        calendar("0 0 30 2 *", "UTC").next_after(utc("2026-01-01 00:00")),
        None
    );
}

/// Whether the rules of the module's head ask for a run at this second: the slow way, second by second.
fn is_due(calendar: &Calendar, second: DateTime<Utc>) -> bool {
    let wall = second.with_timezone(&calendar.zone).naive_local();
    let matches = |wall: &NaiveDateTime| calendar.cron.is_time_matching(wall).unwrap();
    if !calendar.has_fixed_times {
        return matches(&wall);
    }
    let before = second - TimeDelta::seconds(1);
    let wall_before = before.with_timezone(&calendar.zone).naive_local();
    let leapt = (wall - wall_before).num_seconds() - 1;
    if (1..=leapt).any(|s| matches(&(wall_before + TimeDelta::seconds(s)))) {
        return true;
    }
    let first = calendar.zone.from_local_datetime(&wall).earliest();
    matches(&wall) && first == Some(second.with_timezone(&calendar.zone))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_next_run_is_the_first_second_that_the_rules_ask_for(
        zone in prop::sample::select(vec![
            "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Nuuk", "Africa/Cairo",
        ]),
        cron in prop::sample::select(vec![
            "30 2 * * *", "0 0 * * *", "15 1,2,3 * * *", "10-50/20 0-3 * * *", "5 30 1 * * *", "0 23,0 * * *",
            "*/7 * * * *", "0 * * * *", "*/20 1-2 * * *", "*/13 */10 2 * * *", "15 23 * * SAT",
        ]),
        change in 0_usize..4,
        offset in -10_800_i64..7_200,
        millis in prop::sample::select(vec![0_i64, 1, 500]),
    ) {
        let calendar = calendar(cron, zone);
        let changes = changes_of(calendar.zone);
        let after = changes[change % changes.len()] + TimeDelta::seconds(offset) + TimeDelta::milliseconds(millis);

        let next = calendar.next_after(after).unwrap();

        let whole = DateTime::from_timestamp(after.timestamp(), 0).unwrap();
        let expected = (1..14_400)
            .map(|s| whole + TimeDelta::seconds(s))
            .find(|second| is_due(&calendar, *second));
        match expected {
            Some(expected) => prop_assert_eq!(next, expected, "after {}", after),
            None => prop_assert!(next > whole + TimeDelta::seconds(14_399)),
        }
    }
}

/// The moments in 2026 at which a zone's clock changes.
fn changes_of(zone: Tz) -> Vec<DateTime<Utc>> {
    let clock = |at: &DateTime<Utc>| at.with_timezone(&zone).naive_local() - at.naive_utc();
    let start = utc("2026-01-01 00:00");
    let halves = (0..365 * 48).map(|half| start + TimeDelta::minutes(30 * half));
    halves
        .filter(|at| clock(at) != clock(&(*at - TimeDelta::minutes(30))))
        .collect()
}

#[test]
fn an_expression_is_told_in_words() {
    let calendar = Calendar::parse("30 2 * * *", "Europe/Berlin").unwrap();

    let words = calendar.in_words();

    assert!(words.contains("02:30"), "{words}");
    assert!(
        words.ends_with(", on the clock of Europe/Berlin."),
        "{words}"
    );
}
