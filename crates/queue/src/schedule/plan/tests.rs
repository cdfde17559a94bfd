use super::*;

fn at(minute: i64, second: i64) -> DateTime<Utc> {
    let noon = DateTime::from_timestamp(1_795_348_800, 0).unwrap();
    assert_eq!(noon.to_rfc3339(), "2026-11-22T12:00:00+00:00");
    noon + TimeDelta::minutes(minute) + TimeDelta::seconds(second)
}

fn timing(cron: &str, missed: Missed) -> Timing {
    Timing {
        missed,
        ..ScheduleSpec::new("* * * * *").timing()
    }
    .with_cron(cron)
}

impl Timing {
    fn with_cron(self, cron: &str) -> Self {
        Self {
            cron: cron.to_owned(),
            ..self
        }
    }
}

/// Minutes after noon of the runs of `*/5 * * * *`, the first due at noon, by a look at some minute.
fn minutes(missed: Missed, now: DateTime<Utc>) -> (Vec<i64>, bool) {
    let plan = Plan::of(&timing("*/5 * * * *", missed)).unwrap();
    let due = plan.due("probe", at(0, 0), now);
    let minutes = due
        .runs
        .iter()
        .map(|run| (run.tick - at(0, 0)).num_minutes());
    (minutes.collect(), due.has_skipped)
}

#[test]
fn a_run_within_the_grace_happens_whatever_becomes_of_missed_ones() {
    for missed in [Missed::Skip, Missed::One, Missed::UpTo(3)] {
        assert_eq!(minutes(missed, at(0, 0)), (vec![0], false));
        assert_eq!(minutes(missed, at(1, 0)), (vec![0], false));
    }
}

#[test]
fn missed_runs_are_skipped_or_stood_for_by_the_newest_or_made_up_for_to_a_cap() {
    // 12:00, 12:05, … 12:30, looked at four minutes late: all were missed.
    let late = at(34, 0);
    assert_eq!(minutes(Missed::Skip, late), (vec![], true));
    assert_eq!(minutes(Missed::One, late), (vec![30], true));
    assert_eq!(minutes(Missed::UpTo(3), late), (vec![20, 25, 30], true));
    assert_eq!(
        minutes(Missed::UpTo(100), late),
        ((0..=30).step_by(5).collect(), false)
    );

    // The newest is on time: it happens always, and counts.
    let nearly = at(30, 20);
    assert_eq!(minutes(Missed::Skip, nearly), (vec![30], true));
    assert_eq!(minutes(Missed::One, nearly), (vec![30], true));
    assert_eq!(minutes(Missed::UpTo(3), nearly), (vec![20, 25, 30], true));
}

#[test]
fn several_runs_within_the_grace_all_happen() {
    let plan = Plan::of(&timing("*/10 * * * * *", Missed::One)).unwrap();

    let due = plan.due("probe", at(0, 0), at(0, 45));

    assert_eq!(due.runs.len(), 5);
    assert!(!due.has_skipped);
}

#[test]
fn a_year_of_missed_seconds_is_no_flood() {
    let plan = Plan::of(&timing("* * * * * *", Missed::UpTo(MAX_CATCH_UP))).unwrap();
    let now = at(0, 0);

    let due = plan.due("probe", now - TimeDelta::days(365), now);

    assert_eq!(due.runs.len(), 1_000);
    assert_eq!(due.runs.last().unwrap().tick, now);
    assert!(due.has_skipped);
}

#[test]
fn what_was_first_due_counts_although_the_expression_has_it_no_more() {
    let plan = Plan::of(&timing("0 0 * * *", Missed::Skip)).unwrap();

    let due = plan.due("probe", at(0, 13), at(0, 20));

    assert_eq!(due.runs.len(), 1);
    assert_eq!(due.runs[0].tick, at(0, 13));
}

#[test]
fn jitter_depends_on_name_and_tick_alone_and_is_spread_evenly() {
    let jitter = Duration::from_mins(5);
    let plan = Plan::of(&Timing {
        jitter,
        ..timing("*/5 * * * *", Missed::One)
    })
    .unwrap();
    let delays: Vec<f64> = (0..1_000)
        .map(|tick| plan.delay("probe", at(5 * tick, 0)).as_secs_f64() / 300.0)
        .collect();

    assert!(delays.iter().all(|delay| (0.0..1.0).contains(delay)));
    for tenth in 0..10 {
        let low = f64::from(tenth) / 10.0;
        let within = delays
            .iter()
            .filter(|delay| (low..low + 0.1).contains(*delay));
        let count = within.count();
        assert!(
            (60..=140).contains(&count),
            "{count} of 1,000 in tenth {tenth}"
        );
    }
    assert_eq!(
        plan.delay("probe", at(0, 0)),
        plan.clone().delay("probe", at(0, 0))
    );
    assert_ne!(plan.delay("probe", at(0, 0)), plan.delay("other", at(0, 0)));
}

#[test]
fn jitter_puts_off_a_run_that_is_on_time_from_its_tick_and_a_missed_one_from_now() {
    let plan = Plan::of(&Timing {
        jitter: Duration::from_mins(5),
        ..timing("*/5 * * * *", Missed::One)
    })
    .unwrap();
    let delay = plan.delay("probe", at(0, 0));

    let on_time = plan.due("probe", at(0, 0), at(0, 0));
    let missed = plan.due("probe", at(0, 0), at(4, 0));

    assert_eq!(on_time.runs[0].run_at, at(0, 0) + delay);
    assert_eq!(missed.runs[0].run_at, at(4, 0) + delay);
}

#[test]
fn what_cannot_work_is_named_with_what_to_write() {
    let fine = || timing("*/5 * * * *", Missed::One);
    for (timing, expected) in [
        (
            timing("0 0 31 2 *", Missed::One),
            "`0 0 31 2 *` never comes: there is no such day in any year",
        ),
        (
            Timing {
                jitter: Duration::from_secs(301),
                ..fine()
            },
            "a jitter of 301s is longer than the 300s between two runs of `*/5 * * * *`",
        ),
        (
            Timing {
                jitter: Duration::from_hours(2),
                ..timing("0 9,10,17 * * *", Missed::One)
            },
            "longer than the 3600s between",
        ),
        (
            Timing {
                missed: Missed::UpTo(0),
                ..fine()
            },
            "0 missed runs cannot be made up for: write 1 to 1000",
        ),
        (
            Timing {
                missed: Missed::UpTo(1_001),
                ..fine()
            },
            "1001 missed runs cannot be made up for",
        ),
        (
            Timing {
                grace: Duration::ZERO,
                ..fine()
            },
            "a grace of 0ns is out of range: write one of 1s to 7 days",
        ),
        (
            Timing {
                grace: Duration::from_hours(169),
                ..fine()
            },
            "is out of range",
        ),
        (
            Timing {
                time_zone: "Mars".to_owned(),
                ..fine()
            },
            "`Mars` is not a time zone",
        ),
    ] {
        let error = Plan::of(&timing).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let longest = Timing {
        jitter: Duration::from_mins(5),
        missed: Missed::UpTo(1_000),
        ..fine()
    };
    assert!(Plan::of(&longest).is_ok());
}
