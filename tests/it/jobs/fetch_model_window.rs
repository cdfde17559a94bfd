//! Storing windows.

use std::time::Duration;

use jobs::fetch_model_window::FetchModelWindow;
use merge_client::{AccountToken, Category, ListQuery, catalogue};
use merge_sandbox::FaultKind;
use queue::JobState;
use secrecy::ExposeSecret;
use serde_json::json;
use store::fetch_windows::{self, Opening, Window};
use store::linked_accounts;
use store::model_records::NewRecord;
use store::model_syncs::{self, Observation};

use super::workshop::{Account, NEXT_SYNC, PAGE_SIZE, SYNC, Workshop, plan};

const MODEL: &str = "hris.Employee";
const LIST: &str = "employees";

fn fetch(account: &Account) -> FetchModelWindow {
    FetchModelWindow {
        account_id: account.id,
        model_id: MODEL.to_owned(),
    }
}

/// An account whose first sync is done at Merge, and announced for the one model; nothing is stored.
async fn announced(workshop: &Workshop) -> Account {
    let account = workshop.linked("acme").await;
    workshop.sandbox.advance(SYNC);
    announce(workshop, &account).await;
    account
}

/// Raises the mark of the model to what the sandbox says now.
async fn announce(workshop: &Workshop, account: &Account) {
    let models = workshop.sandbox.account(account.merge_id).unwrap().models;
    let model = models
        .into_iter()
        .find(|model| model.model_id == MODEL)
        .unwrap();
    let observation = Observation {
        model_id: MODEL.to_owned(),
        ready_through: model.last_sync_finished,
        ..Observation::default()
    };
    let mut conn = workshop.pool().acquire().await.unwrap();
    model_syncs::observe(&mut conn, account.id, &[observation])
        .await
        .unwrap();
}

/// Leaves what a worker leaves that was killed after it had stored the first page.
async fn crash_after_the_first_page(workshop: &Workshop, account: &Account) -> Window {
    let model = catalogue::find(MODEL).unwrap();
    let opening = Opening {
        overlap: workshop.context.settings.overlap,
        has_modified_filter: true,
    };
    let mut conn = workshop.pool().acquire().await.unwrap();
    let mut window = fetch_windows::resume_or_open(&mut conn, account.id, MODEL, opening)
        .await
        .unwrap()
        .unwrap();
    let keyring = &workshop.context.keyring;
    let access = linked_accounts::access(&mut conn, keyring, account.id)
        .await
        .unwrap()
        .unwrap();
    let token = AccountToken::new(access.token.unwrap().expose_secret().to_owned());
    let query = ListQuery {
        modified_after: window.modified_after,
        modified_before: window.modified_before,
        include_deleted_data: true,
        cursor: None,
        page_size: PAGE_SIZE,
    };
    let merge = workshop.context.merge.account(Category::HRIS, &token);
    let page = merge.list(model, &query).await.unwrap();
    let keys: Vec<_> = page
        .records
        .iter()
        .map(|record| record.key().unwrap())
        .collect();
    let records: Vec<_> = page
        .records
        .iter()
        .zip(&keys)
        .map(|(record, key)| NewRecord {
            merge_id: key,
            remote_id: record.remote_id.as_deref(),
            data: record.data.get(),
            modified_at: record.modified_at,
            created_at: record.created_at,
            is_deleted: record.is_deleted,
        })
        .collect();
    fetch_windows::save_page(&mut conn, &mut window, &records, &page.next.unwrap())
        .await
        .unwrap();
    window
}

#[tokio::test]
async fn a_killed_fetch_is_resumed_at_its_page() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 45)])).await;
    let account = announced(&workshop).await;
    crash_after_the_first_page(&workshop, &account).await;
    let requests = workshop.sandbox.state().requests;

    let job = workshop.perform(&fetch(&account)).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(
        workshop.sandbox.state().requests - requests,
        4,
        "pages 2 to 5"
    );
    let result = job.result.unwrap();
    assert_eq!(
        (&result["pages"], &result["inserted"]),
        (&json!(5), &json!(35))
    );
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn a_mark_raised_during_a_fetch_leads_to_one_more() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 45)])).await;
    let account = announced(&workshop).await;
    crash_after_the_first_page(&workshop, &account).await;
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC);
    announce(&workshop, &account).await;

    let first = workshop.perform(&fetch(&account)).await;

    assert_eq!(first.state, JobState::Completed);
    let windows = sqlx::query_scalar!(
        r#"SELECT extent FROM syncline.fetch_windows WHERE finished_at IS NOT NULL ORDER BY id"#
    )
    .fetch_all(workshop.pool())
    .await
    .unwrap();
    assert_eq!(windows, ["first", "next"]);
    workshop.assert_windows_are_contiguous(&account).await;
    workshop.assert_equal_to_truth(&account).await;
    assert!(workshop.pending("fetch_model_window").await.is_empty());
}

#[tokio::test]
async fn a_fetch_without_a_newer_mark_asks_nothing() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let requests = workshop.sandbox.state().requests;

    let job = workshop.perform(&fetch(&account)).await;

    let nothing = json!({ "was_due": false, "initial_sync_completed": false });
    assert_eq!(job.result, Some(nothing));
    assert_eq!(workshop.sandbox.state().requests, requests);
}

#[tokio::test]
async fn an_initial_sync_is_completed_though_its_last_fetch_was_killed_right_after_it_stored_the_rest()
 {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    // What is stored between the two transactions with which a first fetch ends.
    sqlx::query!("UPDATE syncline.linked_accounts SET initial_sync_completed_at = NULL")
        .execute(workshop.pool())
        .await
        .unwrap();

    let job = workshop.perform(&fetch(&account)).await;

    let result = job.result.unwrap();
    assert_eq!(
        (&result["was_due"], &result["initial_sync_completed"]),
        (&json!(false), &json!(true))
    );
    let completed = workshop.account(account.id).await.initial_sync_completed_at;
    assert!(completed.is_some());
}

#[tokio::test]
async fn a_429_parks_the_lane_as_long_as_asked_and_burns_no_attempt() {
    let workshop = Workshop::new().await;
    let account = announced(&workshop).await;
    workshop.break_list(
        LIST,
        1,
        FaultKind::Status {
            status: 429,
            retry_after: Some(30),
        },
    );

    let parked = workshop.perform(&fetch(&account)).await;

    assert!(!parked.state.has_ended(), "{parked:?}");
    workshop.advance(Duration::from_secs(20)).await;
    workshop.run().await;
    assert!(
        !workshop.job(parked.id).await.state.has_ended(),
        "silent for all of the 30 s"
    );

    workshop.advance(Duration::from_secs(11)).await;
    workshop.run().await;
    let done = workshop.job(parked.id).await;
    assert_eq!((done.state, done.attempt), (JobState::Completed, 1));
}

#[tokio::test]
async fn faults_on_the_way_are_retried_and_nothing_is_lost() {
    for kind in [
        FaultKind::Status {
            status: 500,
            retry_after: None,
        },
        FaultKind::Html { status: 200 },
        FaultKind::Html { status: 502 },
        FaultKind::Reset,
        FaultKind::TruncatedJson,
        FaultKind::CutOff,
    ] {
        let workshop = Workshop::new().await;
        let account = announced(&workshop).await;
        workshop.break_list(LIST, 1, kind.clone());

        let failed = workshop.perform(&fetch(&account)).await;
        assert_eq!(failed.attempts.len(), 1, "{kind:?}: {failed:?}");
        workshop.advance(Duration::from_mins(1)).await;
        workshop.run().await;

        let done = workshop.job(failed.id).await;
        assert_eq!(
            (done.state, done.attempt),
            (JobState::Completed, 2),
            "{kind:?}"
        );
        assert_eq!(workshop.model(account.id, MODEL).await.records, 45);
    }
}

#[tokio::test]
async fn a_cursor_that_is_refused_begins_the_walk_again() {
    for status in [400, 404] {
        let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 45)])).await;
        let account = announced(&workshop).await;
        crash_after_the_first_page(&workshop, &account).await;
        workshop.break_list(
            LIST,
            1,
            FaultKind::Status {
                status,
                retry_after: None,
            },
        );

        let job = workshop.perform(&fetch(&account)).await;

        assert_eq!(job.state, JobState::Completed, "{job:?}");
        let result = job.result.unwrap();
        assert_eq!(
            (&result["pages"], &result["unchanged"]),
            (&json!(5), &json!(10))
        );
        workshop.assert_equal_to_truth(&account).await;
    }
}

#[tokio::test]
async fn cursors_that_are_always_refused_end_in_a_retry() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 45)])).await;
    let account = announced(&workshop).await;
    let mut window = crash_after_the_first_page(&workshop, &account).await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    for _ in 0..5 {
        fetch_windows::restart(&mut conn, &mut window)
            .await
            .unwrap();
    }
    fetch_windows::save_page(&mut conn, &mut window, &[], "expired")
        .await
        .unwrap();

    let job = workshop.perform(&fetch(&account)).await;

    assert_eq!(job.attempts[0].error_class, "endless_pages");
    workshop.advance(Duration::from_mins(1)).await;
    workshop.run().await;
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn a_model_that_merge_refuses_holds_up_nothing() {
    for (status, reason) in [(403, "forbidden"), (404, "not_found")] {
        let workshop = Workshop::new().await;
        let account = workshop.linked("acme").await;
        workshop.sandbox.advance(SYNC);
        workshop.break_list(
            LIST,
            1,
            FaultKind::Status {
                status,
                retry_after: None,
            },
        );

        workshop.poll(&account).await;

        let model = workshop.model(account.id, MODEL).await;
        assert_eq!(model.refusal.as_deref(), Some(reason));
        assert_eq!(workshop.model(account.id, "hris.Team").await.records, 5);
        assert!(
            workshop
                .account(account.id)
                .await
                .initial_sync_completed_at
                .is_some()
        );
        // Not asked for again at each poll.
        workshop.sandbox.advance(NEXT_SYNC);
        workshop.poll(&account).await;
        assert_eq!(workshop.model(account.id, MODEL).await.records, 0);
    }
}

#[tokio::test]
async fn the_turn_ends_after_its_time_and_the_fetch_goes_on_where_it_was() {
    let workshop = Workshop::with(|options, settings| {
        options.plan = plan(&[(MODEL, 45)]);
        settings.turn = Duration::ZERO;
    })
    .await;
    let account = announced(&workshop).await;
    let requests = workshop.sandbox.state().requests;

    let job = workshop.perform(&fetch(&account)).await;

    assert_eq!(
        (job.state, job.attempt),
        (JobState::Completed, 1),
        "{job:?}"
    );
    assert_eq!(
        workshop.sandbox.state().requests - requests,
        5,
        "each page once"
    );
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn deletions_are_kept_as_deletions() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let truth = workshop
        .sandbox
        .truth_page(account.merge_id, MODEL, None, 1, false)
        .unwrap();
    let key = truth.records[0].key.clone();

    workshop
        .sandbox
        .delete_record(account.merge_id, MODEL, &key)
        .unwrap();
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.poll(&account).await;

    let is_deleted = sqlx::query_scalar!(
        "SELECT is_deleted FROM syncline.model_records WHERE merge_id = $1",
        key
    )
    .fetch_one(workshop.pool())
    .await
    .unwrap();
    assert!(is_deleted);
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn a_change_between_a_finish_and_the_fetch_is_not_lost() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let truth = workshop
        .sandbox
        .truth_page(account.merge_id, MODEL, None, 1, false)
        .unwrap();
    let key = &truth.records[0].key;

    // A sync ends; then a record changes; then we fetch, bounded by that end.
    workshop.sandbox.advance(NEXT_SYNC);
    workshop
        .sandbox
        .change_record(
            account.merge_id,
            MODEL,
            key,
            [("first_name".to_owned(), json!("Changed in between"))].into(),
        )
        .unwrap();
    workshop.poll(&account).await;
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.poll(&account).await;

    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn rows_that_become_visible_late_are_met_by_the_overlap() {
    let workshop = Workshop::with(|options, _| {
        options.schedule.visibility_delay = Duration::from_secs(30);
        options.schedule.changes_between_syncs = 20;
    })
    .await;
    let account = workshop.synced("acme").await;

    for _ in 0..6 {
        workshop.sandbox.advance(NEXT_SYNC);
        workshop.poll(&account).await;
    }
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.poll(&account).await;

    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn every_form_of_a_last_page_ends_the_walk() {
    for (next_is_url, has_empty_last_page) in [(false, true), (true, false), (true, true)] {
        let workshop = Workshop::with(|options, _| {
            options.plan = plan(&[(MODEL, 40)]);
            options.answers.next_is_url = next_is_url;
            options.answers.has_empty_last_page = has_empty_last_page;
        })
        .await;

        let account = workshop.synced("acme").await;

        workshop.assert_equal_to_truth(&account).await;
    }
}

#[tokio::test]
async fn a_model_without_time_filter_is_read_whole_and_what_is_missing_is_deleted() {
    let workshop = Workshop::with(|options, _| {
        options.plan = plan(&[("accounting.PaymentTerm", 25)]);
    })
    .await;
    let (begun, link_token) = workshop.begin_link("acme", "accounting").await;
    let completed = workshop.finish_link(&link_token);
    workshop.exchange("acme", &completed.public_token).await;
    let account = Account {
        id: begun.result.unwrap()["linked_account_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        merge_id: completed.linked_account_id,
    };
    workshop.sandbox.advance(SYNC);
    workshop.poll(&account).await;
    workshop.assert_equal_to_truth(&account).await;
    workshop.sandbox.freeze(true);
    let term = "accounting.PaymentTerm";
    let truth = workshop
        .sandbox
        .truth_page(account.merge_id, term, None, 1, false)
        .unwrap();
    let key = truth.records[0].key.clone();

    // It bears no mark of deletion: it just is not there any more.
    workshop
        .sandbox
        .delete_record(account.merge_id, term, &key)
        .unwrap();
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.poll(&account).await;

    let deleted =
        sqlx::query_scalar!("SELECT merge_id FROM syncline.model_records WHERE is_deleted")
            .fetch_all(workshop.pool())
            .await
            .unwrap();
    assert_eq!(deleted, [key]);
}

#[tokio::test]
async fn an_unknown_model_is_cancelled() {
    let workshop = Workshop::new().await;
    let account = workshop.linked("acme").await;
    let job = FetchModelWindow {
        account_id: account.id,
        model_id: "hris.Nothing".to_owned(),
    };

    let job = workshop.perform(&job).await;

    assert_eq!(job.error_class.as_deref(), Some("unknown_model"));
}
