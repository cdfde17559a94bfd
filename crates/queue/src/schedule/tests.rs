use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use sqlx::PgPool;
use test_support::TestDatabase;
use tokio_util::sync::CancellationToken;

use super::{fire::lock_due, *};
use crate::{Attempt, Client, Failure, Lane, Queue, Registry, testing};

#[derive(serde::Serialize, serde::Deserialize)]
struct Tick {}

impl Job for Tick {
    type Context = ();
    type Error = Failure;
    const KIND: &'static str = "tick";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("*/5 * * * *"));

    fn lane(&self) -> Lane {
        Lane::system()
    }

    async fn run(&self, (): &(), _: &mut Attempt) -> Result<(), Failure> {
        Ok(())
    }
}

const OPS: By<'static> = By {
    name: "ada",
    reason: "the far side is down",
};

fn declared() -> Vec<Schedule> {
    Registry::new().register::<Tick>().schedules()
}

fn by(spec: ScheduleSpec) -> Vec<Schedule> {
    vec![Schedule::of::<Tick>(spec).unwrap()]
}

async fn advance(pool: &PgPool, minutes: u64) {
    testing::advance(pool, Duration::from_mins(minutes))
        .await
        .unwrap();
}

async fn only(pool: &PgPool) -> ScheduleView {
    let mut all = list(pool).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

async fn pending(pool: &PgPool) -> usize {
    testing::pending(pool, "tick").await.unwrap().len()
}

async fn sync(pool: &PgPool, schedules: &[Schedule]) -> Result<(), Error> {
    super::sync(&mut pool.acquire().await.unwrap(), schedules).await
}

async fn fire_due(pool: &PgPool, schedules: &[Schedule]) -> Result<Fired, Error> {
    super::fire_due(&mut pool.acquire().await.unwrap(), schedules).await
}

#[tokio::test]
async fn a_tick_fires_once_whatever_the_number_of_schedulers() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    // By far rarer than the test is long, so that no tick falls due by itself meanwhile.
    let schedules = by(ScheduleSpec::new("0 0 1 1 *"));
    sync(pool, &schedules).await.unwrap();

    for round in 1..=20 {
        advance(pool, 366 * 24 * 60).await;
        let all = (0..8).map(|_| fire_due(pool, &schedules));
        let fired: Vec<_> = join_all(all).await;

        let jobs: usize = fired.into_iter().map(|fired| fired.unwrap().jobs).sum();
        assert_eq!((jobs, pending(pool).await), (1, round));
    }
}

#[tokio::test]
async fn schedulers_that_run_side_by_side_fire_each_second_once() {
    let database = TestDatabase::new().await;
    let schedules = by(ScheduleSpec {
        missed: Missed::UpTo(1_000),
        ..ScheduleSpec::new("* * * * * *")
    });
    let stop = CancellationToken::new();
    let run_all = join_all((0..4).map(|_| {
        let client = Client::new(database.pool().clone());
        run(client, schedules.clone(), stop.clone())
    }));
    let watch = async {
        let mut first = None;
        loop {
            let view = list(database.pool()).await.unwrap().pop();
            if let Some(tick) = view.and_then(|view| view.last_tick) {
                let first = *first.get_or_insert(tick);
                if tick - first >= TimeDelta::seconds(4) {
                    stop.cancel();
                    return first;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };

    let (_, _) = tokio::join!(run_all, watch);

    let runs = run_ats(database.pool()).await;
    let seconds = (*runs.last().unwrap() - runs[0]).num_seconds() + 1;
    assert!(seconds >= 5, "{runs:?}");
    assert_eq!(i64::try_from(runs.len()).unwrap(), seconds, "{runs:?}");
}

/// The whole seconds at which the jobs of ticks could start first.
async fn run_ats(pool: &PgPool) -> Vec<DateTime<Utc>> {
    #[expect(clippy::disallowed_methods, reason = "only this test asks")]
    let select = sqlx::query_scalar(
        "SELECT date_trunc('second', run_at) FROM syncline.jobs ORDER BY run_at",
    );
    select.fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn what_one_scheduler_fires_is_out_of_sight_for_the_others() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sync(pool, &declared()).await.unwrap();
    advance(pool, 5).await;
    let names = ["tick".to_owned()];
    let (mut one, mut other) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());

    let first = lock_due(&mut one, &names).await.unwrap().len();
    let second = lock_due(&mut other, &names).await.unwrap().len();

    assert_eq!((first, second), (1, 0));
}

#[tokio::test]
async fn missed_ticks_follow_the_policy() {
    for (missed, expected) in [
        (Missed::Skip, 0..=1),
        (Missed::One, 1..=1),
        (Missed::UpTo(3), 3..=3),
        (Missed::UpTo(100), 12..=13),
    ] {
        let database = TestDatabase::new().await;
        let pool = database.pool();
        let schedules = by(ScheduleSpec {
            missed,
            ..Tick::SCHEDULE.unwrap()
        });
        sync(pool, &schedules).await.unwrap();
        advance(pool, 65).await;

        let first = fire_due(pool, &schedules).await.unwrap();
        let second = fire_due(pool, &schedules).await.unwrap();

        assert!(expected.contains(&first.jobs), "{missed:?}: {first:?}");
        assert_eq!(second.jobs, 0);
        assert!(second.next.unwrap() <= Duration::from_mins(5));
    }
}

#[tokio::test]
async fn a_changed_expression_is_adopted_and_a_kept_one_keeps_its_next_run() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sync(pool, &declared()).await.unwrap();
    advance(pool, 1).await;
    let shifted = only(pool).await.next_runs[0];

    sync(pool, &declared()).await.unwrap();
    let kept = only(pool).await.next_runs[0];
    sync(pool, &by(ScheduleSpec::new("0 0 1 1 *")))
        .await
        .unwrap();
    let adopted = only(pool).await;

    assert_eq!(kept, shifted);
    assert_eq!(
        adopted.next_runs[0].format("%m-%d %H:%M").to_string(),
        "01-01 00:00"
    );
    assert_eq!(adopted.timing.cron, "0 0 1 1 *");
}

#[tokio::test]
async fn what_people_edited_survives_deployments_until_it_is_reset() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sync(pool, &declared()).await.unwrap();
    let change = Edit {
        cron: Some("30 2 * * *".to_owned()),
        time_zone: Some("Europe/Berlin".to_owned()),
        ..Edit::default()
    };

    edit(pool, "tick", change, OPS).await.unwrap();
    let edited = only(pool).await;
    sync(pool, &by(ScheduleSpec::new("0 0 1 1 *")))
        .await
        .unwrap();
    let deployed = only(pool).await;
    reset(pool, "tick", OPS).await.unwrap();
    let taken_back = only(pool).await;

    assert_eq!(
        (
            edited.timing.cron.as_str(),
            edited.timing.time_zone.as_str()
        ),
        ("30 2 * * *", "Europe/Berlin")
    );
    assert_eq!(edited.declared.cron, "*/5 * * * *");
    let overridden = edited.overridden.clone().unwrap();
    assert_eq!(
        (overridden.by.as_str(), overridden.reason.as_str()),
        (OPS.name, OPS.reason)
    );
    let expected = calendar::Calendar::parse("30 2 * * *", "Europe/Berlin").unwrap();
    assert_eq!(
        edited.next_runs[1],
        expected.next_after(edited.next_runs[0]).unwrap()
    );
    assert_eq!(edited.next_runs.len(), 5);
    assert_eq!(deployed.timing, edited.timing);
    assert_eq!(deployed.next_runs, edited.next_runs);
    assert_eq!(deployed.declared.cron, "0 0 1 1 *");
    assert_eq!(
        (taken_back.timing.cron.as_str(), taken_back.overridden),
        ("0 0 1 1 *", None)
    );
    assert_eq!(
        taken_back.next_runs[0].format("%m-%d %H:%M").to_string(),
        "01-01 00:00"
    );
}

#[tokio::test]
async fn an_edit_that_cannot_work_changes_nothing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sync(pool, &declared()).await.unwrap();
    let before = only(pool).await;
    let cron = |cron: &str| Edit {
        cron: Some(cron.to_owned()),
        ..Edit::default()
    };
    let jitter = Edit {
        jitter: Some(Duration::from_mins(6)),
        ..Edit::default()
    };

    for (change, expected) in [
        (
            cron("often"),
            "the schedule `tick` cannot work: `often` is not a cron expression",
        ),
        (cron("0 0 30 2 *"), "never comes"),
        (jitter, "a jitter of 360s is longer than the 300s"),
    ] {
        let error = edit(pool, "tick", change, OPS).await.unwrap_err();
        let error = crate::job::chain(&error);
        assert!(error.contains(expected), "{error}");
    }
    let nameless = By { name: "", ..OPS };
    assert!(
        edit(pool, "tick", cron("0 0 * * *"), nameless)
            .await
            .is_err()
    );
    let unknown = reset(pool, "tock", OPS).await.unwrap_err().to_string();

    assert_eq!(only(pool).await, before);
    assert_eq!(unknown, "there is no schedule `tock`; there are: tick");
}

#[tokio::test]
async fn a_paused_schedule_fires_nothing_and_never_makes_up_for_it() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let schedules = by(ScheduleSpec {
        missed: Missed::UpTo(100),
        ..Tick::SCHEDULE.unwrap()
    });
    sync(pool, &schedules).await.unwrap();

    pause(pool, "tick", OPS, None).await.unwrap();
    let paused = only(pool).await;
    advance(pool, 60).await;
    let meanwhile = fire_due(pool, &schedules).await.unwrap();
    sync(pool, &schedules).await.unwrap();
    resume(pool, "tick", OPS).await.unwrap();
    let resumed = fire_due(pool, &schedules).await.unwrap();

    let shown = paused.paused.unwrap();
    assert_eq!(
        (shown.by.as_str(), shown.reason.as_str(), shown.until),
        (OPS.name, OPS.reason, None)
    );
    assert!(paused.next_runs.is_empty());
    assert_eq!(
        meanwhile,
        Fired {
            jobs: 0,
            next: None
        }
    );
    assert_eq!(resumed.jobs, 0);
    assert!(resumed.next.unwrap() <= Duration::from_mins(5));
    assert_eq!(only(pool).await.paused, None);
}

#[tokio::test]
async fn a_pause_with_an_end_ends_by_itself() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let schedules = by(ScheduleSpec {
        missed: Missed::UpTo(100),
        ..Tick::SCHEDULE.unwrap()
    });
    sync(pool, &schedules).await.unwrap();
    let end = database_now(pool).await.unwrap() + TimeDelta::minutes(60);

    pause(pool, "tick", OPS, Some(end)).await.unwrap();
    advance(pool, 50).await;
    let meanwhile = fire_due(pool, &schedules).await.unwrap();
    advance(pool, 25).await;
    let afterwards = fire_due(pool, &schedules).await.unwrap();

    assert_eq!(meanwhile.jobs, 0);
    assert!(meanwhile.next.unwrap() > Duration::from_mins(9));
    // Fifteen minutes have three ticks, not the fifteen of the hour and a quarter.
    assert!((2..=4).contains(&afterwards.jobs), "{afterwards:?}");
    assert_eq!(only(pool).await.paused, None);
}

#[tokio::test]
async fn run_by_hand_a_schedule_keeps_its_next_run() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sync(pool, &declared()).await.unwrap();
    pause(pool, "tick", OPS, None).await.unwrap();
    resume(pool, "tick", OPS).await.unwrap();
    let before = only(pool).await;

    let enqueued = run_now(pool, &declared(), "tick", OPS).await.unwrap();
    let unknown = run_now(pool, &declared(), "tock", OPS).await.unwrap_err();

    let after = only(pool).await;
    assert!(enqueued.is_new);
    assert_eq!(pending(pool).await, 1);
    assert_eq!(after.last_job_id, Some(enqueued.id));
    assert_eq!(after.next_runs, before.next_runs);
    assert_eq!(
        unknown.to_string(),
        "there is no schedule `tock`; there are: tick"
    );
    assert_eq!(
        changes(pool).await,
        ["pause by ada", "resume by ada", "run by ada"]
    );
}

async fn changes(pool: &PgPool) -> Vec<String> {
    #[expect(clippy::disallowed_methods, reason = "only this test asks")]
    let select = sqlx::query_scalar(
        "SELECT change || ' by ' || changed_by FROM syncline.schedule_changes ORDER BY id",
    );
    select.fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn a_schedule_that_was_removed_is_back_when_the_code_declares_it() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sync(pool, &declared()).await.unwrap();

    remove(pool, "tick", OPS).await.unwrap();
    let removed = list(pool).await.unwrap().len();
    sync(pool, &declared()).await.unwrap();

    assert_eq!((removed, list(pool).await.unwrap().len()), (0, 1));
}

#[tokio::test]
async fn a_row_that_nobody_can_understand_keeps_no_other_schedule_from_firing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let schedules = declared();
    sync(pool, &schedules).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "no product code writes this")]
    let spoil = sqlx::query("UPDATE syncline.schedules SET cron = 'often'");
    spoil.execute(pool).await.unwrap();
    advance(pool, 5).await;

    let fired = fire_due(pool, &schedules).await.unwrap();

    assert_eq!(fired.jobs, 0);
    assert!(fired.next.unwrap() > Duration::from_secs(30));
    assert!(
        only(pool)
            .await
            .problem
            .unwrap()
            .contains("`often` is not a cron expression")
    );
}

#[test]
fn what_cannot_work_is_seen_where_it_is_declared() {
    let error = Schedule::of::<Tick>(ScheduleSpec::new("every day")).unwrap_err();

    let error = crate::job::chain(&error);
    assert!(
        error.starts_with("the schedule `tick` cannot work: `every day` is not a cron expression"),
        "{error}"
    );
}
