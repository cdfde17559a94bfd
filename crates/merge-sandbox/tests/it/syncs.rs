use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use merge_sandbox::{AccountPlan, ModelIds, Options, Outcome, Schedule, digest};
use proptest::prelude::*;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Merge, as_values, employees, periodic, still};

async fn statuses(merge: &Merge, token: &str) -> HashMap<String, Value> {
    let (found, _) = merge
        .walk("/api/hris/v1/sync-status?page_size=5", token, || ())
        .await;
    found
        .into_iter()
        .map(|status| (status["model_id"].as_str().unwrap().to_owned(), status))
        .collect()
}

#[tokio::test]
async fn the_first_sync_shows_records_as_it_goes_and_ends_model_by_model() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link(
        "hris",
        AccountPlan {
            records_per_account: 1000,
            ..AccountPlan::default()
        },
    );

    let begun = statuses(&merge, &account.account_token).await;
    assert_eq!(begun.len(), 16);
    assert!(
        begun
            .values()
            .all(|status| status["status"] == "SYNCING" && status["is_initial_sync"] == true)
    );
    assert!(begun.values().all(
        |status| status["last_sync_finished"].is_null() && status["last_sync_result"].is_null()
    ));
    assert_eq!(merge.handle().account(account.id).unwrap().records, 0);

    merge.handle().advance(Duration::from_secs(40));
    let half = statuses(&merge, &account.account_token).await;
    let done = half
        .values()
        .filter(|status| status["status"] == "DONE")
        .count();
    let records = merge.handle().account(account.id).unwrap().records;
    assert!(0 < done && done < 16, "{done}");
    assert!(0 < records && records < 1000, "{records}");

    merge.handle().advance(Duration::from_secs(20));
    let ended = statuses(&merge, &account.account_token).await;
    assert!(
        ended
            .values()
            .all(|status| status["status"] == "DONE" && status["is_initial_sync"] == false)
    );
    assert!(
        ended
            .values()
            .all(|status| status["data_fresh_as_of"] == "2026-02-03T09:00:00.000000Z")
    );
    assert!(
        ended
            .values()
            .all(|status| status["next_sync_start"].is_string())
    );
    assert_eq!(merge.handle().account(account.id).unwrap().records, 1000);
}

#[tokio::test]
async fn later_syncs_create_change_and_delete_during_and_between_them() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link("hris", employees(500));
    merge.handle().advance(Duration::from_mins(1));
    let loaded = merge.truth(&account, "hris.Employee");
    let finished = merge.handle().account(account.id).unwrap().models[0]
        .last_sync_finished
        .unwrap();

    merge.handle().advance(Duration::from_hours(1));

    let now = merge.truth(&account, "hris.Employee");
    let times: HashMap<_, _> = loaded
        .iter()
        .map(|record| (&record.key, record.modified_at))
        .collect();
    let created = now
        .iter()
        .filter(|record| !times.contains_key(&record.key))
        .count();
    let deleted = now.iter().filter(|record| record.is_deleted).count();
    let changed = now.iter().filter(|record| {
        times
            .get(&record.key)
            .is_some_and(|time| *time < record.modified_at)
    });
    let between = changed
        .clone()
        .filter(|record| record.modified_at > finished)
        .count();
    assert!(
        created > 0 && deleted > 0 && between > 0,
        "{created} {deleted} {between}"
    );
    assert!(
        now.iter()
            .all(|record| record.modified_at <= merge.handle().now())
    );
}

#[tokio::test]
async fn a_running_sync_keeps_the_last_finish_and_shows_a_newer_start() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link("hris", employees(10));
    merge.handle().advance(Duration::from_mins(2));

    let answer = merge
        .post(
            "/api/hris/v1/sync-status/resync",
            &account.account_token,
            json!(null),
        )
        .await;

    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Vec<Value> = answer.json().await.unwrap();
    assert_eq!(answer.len(), 1);
    assert_eq!(answer[0]["status"], "SYNCING");
    assert_eq!(answer[0]["is_initial_sync"], false);
    assert_eq!(answer[0]["last_sync_result"], "DONE");
    assert_eq!(answer[0]["last_sync_start"], "2026-02-03T09:02:00.000000Z");
    assert_eq!(
        answer[0]["last_sync_finished"],
        "2026-02-03T09:01:00.000000Z"
    );
}

#[tokio::test]
async fn models_can_end_partially_fail_be_disabled_and_recover() {
    let merge = Merge::start(still()).await;
    let outcomes = [
        ("hris.Team".to_owned(), Outcome::PartiallySynced),
        ("hris.Group".to_owned(), Outcome::Failed),
        ("hris.Location".to_owned(), Outcome::Disabled),
    ];
    let account = merge.link(
        "hris",
        AccountPlan {
            outcomes: outcomes.into(),
            ..AccountPlan::default()
        },
    );
    let found = statuses(&merge, &account.account_token).await;
    let shown = |id: &str| {
        let status = &found[id];
        (
            status["status"].clone(),
            status["is_initial_sync"].clone(),
            status["last_sync_finished"].is_string(),
        )
    };

    assert_eq!(
        shown("hris.Team"),
        (json!("PARTIALLY_SYNCED"), json!(true), true)
    );
    assert_eq!(shown("hris.Group"), (json!("FAILED"), json!(true), false));
    assert_eq!(
        shown("hris.Location"),
        (json!("DISABLED"), json!(true), false)
    );
    assert_eq!(shown("hris.Employee"), (json!("DONE"), json!(false), true));
    assert!(merge.truth(&account, "hris.Group").is_empty());

    merge
        .handle()
        .set_outcome(account.id, "hris.Group", Outcome::Done)
        .unwrap();
    merge
        .handle()
        .set_outcome(account.id, "hris.Team", Outcome::Done)
        .unwrap();
    assert!(merge.handle().start_sync(account.id).unwrap());

    let found = statuses(&merge, &account.account_token).await;
    assert_eq!(found["hris.Group"]["status"], "DONE");
    assert_eq!(found["hris.Team"]["is_initial_sync"], false);
    assert!(!merge.truth(&account, "hris.Group").is_empty());
}

#[tokio::test]
async fn a_sync_that_starts_early_ends_the_changes_before_it() {
    let schedule = Schedule {
        changes_per_sync: 0,
        ..periodic().schedule
    };
    let merge = Merge::start(Options {
        schedule,
        ..periodic()
    })
    .await;
    let account = merge.link("hris", employees(100));
    merge.handle().advance(Duration::from_mins(3));
    let started = merge.handle().now();

    assert!(merge.handle().start_sync(account.id).unwrap());
    merge.handle().advance(Duration::from_mins(1));

    let truth = merge.truth(&account, "hris.Employee");
    assert!(truth.iter().all(|record| record.modified_at < started));
    let view = merge.handle().account(account.id).unwrap();
    assert_eq!(view.sync_started_at, Some(started));
    assert!(!view.is_syncing);
}

#[tokio::test]
async fn even_a_sync_of_no_time_ends_after_what_it_brought() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(50));
    merge.handle().advance(Duration::from_mins(1));
    merge.handle().start_sync(account.id).unwrap();

    let status = &statuses(&merge, &account.account_token).await["hris.Employee"];
    let finished: DateTime<Utc> = status["last_sync_finished"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();

    assert_eq!(finished, merge.handle().now());
    let truth = merge.truth(&account, "hris.Employee");
    assert!(truth.iter().all(|record| record.modified_at < finished));
}

#[tokio::test]
async fn syncs_can_speak_of_models_by_their_class() {
    let model_ids = ModelIds::Class;
    let merge = Merge::start(Options {
        model_ids,
        ..still()
    })
    .await;
    let account = merge.link("crm", AccountPlan::default());

    let page = merge
        .json("/api/crm/v1/sync-status", &account.account_token)
        .await;

    assert_eq!(page["results"][0]["model_id"], "crm.Account");
    assert_eq!(
        merge.handle().truth(account.id).unwrap()[0].model_id,
        "crm.CRMAccount"
    );
}

#[tokio::test]
async fn a_frozen_sandbox_still_syncs_but_nothing_changes() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link("hris", employees(100));
    merge.handle().advance(Duration::from_mins(30));
    merge.handle().freeze(true);
    let before = merge.handle().truth(account.id).unwrap();
    let finished = merge.handle().account(account.id).unwrap().models[0].last_sync_finished;

    merge.handle().advance(Duration::from_mins(30));

    assert_eq!(merge.handle().truth(account.id).unwrap(), before);
    assert!(merge.handle().account(account.id).unwrap().models[0].last_sync_finished > finished);
    merge.handle().freeze(false);
    merge.handle().advance(Duration::from_mins(30));
    assert_ne!(merge.handle().truth(account.id).unwrap(), before);
}

#[tokio::test]
async fn a_test_account_syncs_once_and_refuses_resync() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link(
        "hris",
        AccountPlan {
            is_production: false,
            ..employees(10)
        },
    );
    merge.handle().advance(Duration::from_hours(3));

    let view = merge.handle().account(account.id).unwrap();
    let answer = merge
        .post(
            "/api/hris/v1/sync-status/resync",
            &account.account_token,
            json!(null),
        )
        .await;

    assert_eq!(view.next_sync_start, None);
    assert_eq!(
        view.synced_at,
        Some("2026-02-03T09:01:00Z".parse().unwrap())
    );
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_account_that_needs_relinking_still_answers_but_does_not_sync() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link("hris", employees(10));
    merge.handle().advance(Duration::from_mins(1));
    merge
        .handle()
        .set_status(account.id, "RELINK_NEEDED")
        .unwrap();
    let before = merge.handle().account(account.id).unwrap().synced_at;

    merge.handle().advance(Duration::from_hours(1));

    assert_eq!(
        merge.handle().account(account.id).unwrap().synced_at,
        before
    );
    merge
        .json("/api/hris/v1/employees", &account.account_token)
        .await;
    merge.link("hris", employees(10));
    merge.handle().advance(Duration::from_mins(2));
    assert!(merge.handle().account(account.id).unwrap().synced_at > before);
}

#[tokio::test]
async fn late_records_are_stamped_before_the_finish_and_seen_after_it() {
    let schedule = Schedule {
        visibility_delay: Duration::from_secs(30),
        ..periodic().schedule
    };
    let merge = Merge::start(Options {
        schedule,
        ..periodic()
    })
    .await;
    let account = merge.link("hris", employees(100));
    merge.handle().advance(Duration::from_mins(1));
    let at_finish = merge.truth(&account, "hris.Employee").len();
    let finished: DateTime<Utc> = merge.handle().now();

    merge.handle().advance(Duration::from_secs(30));

    let later = merge.truth(&account, "hris.Employee");
    assert_eq!((at_finish, later.len()), (50, 100));
    assert!(later.iter().all(|record| record.modified_at < finished));
}

#[tokio::test]
async fn a_long_jump_of_the_clock_is_cheap_and_leaves_recent_changes() {
    let merge = Merge::start(periodic()).await;
    let account = merge.link("hris", employees(100));

    merge.handle().advance(Duration::from_hours(24 * 365));

    let synced = merge
        .handle()
        .account(account.id)
        .unwrap()
        .synced_at
        .unwrap();
    assert!(merge.handle().now() - synced < chrono::TimeDelta::minutes(11));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_world_and_the_digest_tells() {
    let mut digests = Vec::new();
    for seed in [5, 5, 6] {
        let merge = Merge::start(Options { seed, ..periodic() }).await;
        let account = merge.link("hris", employees(50));
        for _ in 0..seed {
            merge
                .handle()
                .advance(Duration::from_mins(30) / u32::try_from(seed).unwrap());
        }
        let truth = merge.handle().truth(account.id).unwrap().remove(0);
        assert_eq!(
            truth.digest,
            digest(&merge.truth(&account, "hris.Employee"))
        );
        digests.push(truth.digest);
    }

    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The reader of the design's section 3: windows that meet at the finishes, with an overlap, whatever the steps of
    /// time. After a last sync without changes it holds exactly the truth.
    #[test]
    fn reading_window_by_window_ends_at_the_truth(steps in prop::collection::vec(1..900_u64, 1..12), seed in 0..1000_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let merge = Merge::start(Options { seed, ..periodic() }).await;
            let account = merge.link("hris", employees(60));
            let mut stored: HashMap<String, Value> = HashMap::new();
            let mut fetched_through: Option<String> = None;
            let mut read = async || {
                let status = statuses(&merge, &account.account_token).await.remove("hris.Employee").unwrap();
                let Some(finished) = status["last_sync_finished"].as_str().map(str::to_owned) else { return };
                let mut path = "/api/hris/v1/employees?include_deleted_data=true&page_size=100".to_owned();
                if let Some(through) = &fetched_through {
                    let through: DateTime<Utc> = through.parse().unwrap();
                    let after = (through - chrono::TimeDelta::seconds(5)).format("%FT%T%.6fZ");
                    path = format!("{path}&modified_after={after}&modified_before={finished}");
                }
                for record in merge.walk(&path, &account.account_token, || ()).await.0 {
                    stored.insert(record["id"].as_str().unwrap().to_owned(), record);
                }
                fetched_through = Some(finished);
            };
            for step in steps {
                merge.handle().advance(Duration::from_secs(step));
                read().await;
            }
            merge.handle().freeze(true);
            merge.handle().advance(Duration::from_mins(30));
            read().await;

            let truth: HashMap<String, Value> = merge
                .truth(&account, "hris.Employee")
                .iter()
                .map(|record| record.key.clone())
                .zip(as_values(&merge.truth(&account, "hris.Employee")))
                .collect();
            assert_eq!(stored, truth);
        });
    }
}
