//! Reading again on demand.

use jobs::resync::{Resync, SyncType};
use merge_sandbox::FaultKind;
use queue::{JobState, JobView};
use store::AccountId;

use super::workshop::{Account, NEXT_SYNC, Workshop};

async fn resync(
    workshop: &Workshop,
    account: &Account,
    sync_type: SyncType,
    model_id: Option<&str>,
) -> JobView {
    workshop
        .perform(&Resync {
            account_id: account.id,
            sync_type,
            model_id: model_id.map(str::to_owned),
        })
        .await
}

/// Model and extent of the windows that no mark asked for.
async fn wanted_windows(workshop: &Workshop) -> Vec<(String, String)> {
    let rows = sqlx::query!(
        r#"
        SELECT model_id, extent
        FROM syncline.fetch_windows
        WHERE extent IN ('sweep', 'whole')
          AND finished_at IS NOT NULL
        ORDER BY model_id, id
        "#
    )
    .fetch_all(workshop.pool())
    .await
    .unwrap();
    rows.into_iter()
        .map(|row| (row.model_id, row.extent))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(model, extent)| ((*model).to_owned(), (*extent).to_owned()))
        .collect()
}

#[tokio::test]
async fn an_incremental_resync_reads_the_tail_without_asking_merge_to_sync() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop
        .sandbox
        .create_record(account.merge_id, "hris.Team", [].into())
        .unwrap();
    workshop.sandbox.advance(std::time::Duration::from_secs(1));

    let job = resync(&workshop, &account, SyncType::Incremental, None).await;

    assert_eq!(job.result.unwrap()["provider"], "not asked");
    let expected = [("hris.Employee", "sweep"), ("hris.Team", "sweep")];
    assert_eq!(wanted_windows(&workshop).await, pairs(&expected));
    workshop.assert_equal_to_truth(&account).await;
    let state = workshop.sandbox.account(account.merge_id).unwrap();
    assert!(!state.is_syncing);
}

#[tokio::test]
async fn a_full_resync_finds_what_is_missing_and_what_should_not_be_there() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.sandbox.freeze(true);
    // What no rule can have led to, and no window would mend.
    sqlx::query!(
        r#"
        DELETE FROM syncline.model_records
        WHERE merge_id = (SELECT min(merge_id) FROM syncline.model_records WHERE model_id = 'hris.Employee')
        "#
    )
    .execute(workshop.pool())
    .await
    .unwrap();
    sqlx::query!(
        r#"
        INSERT INTO syncline.model_records (
            account_id, model_id, merge_id, data, is_deleted, first_seen_at, changed_at
        )
        VALUES ($1, 'hris.Employee', 'stray', '{}', false, now(), now())
        "#,
        account.id as AccountId
    )
    .execute(workshop.pool())
    .await
    .unwrap();

    let job = resync(&workshop, &account, SyncType::Full, Some("hris.Employee")).await;

    assert_eq!(job.result.unwrap()["provider"], "syncs anew");
    assert_eq!(
        wanted_windows(&workshop).await,
        pairs(&[("hris.Employee", "whole")])
    );
    let stray = sqlx::query_scalar!(
        "DELETE FROM syncline.model_records WHERE merge_id = 'stray' RETURNING is_deleted"
    )
    .fetch_one(workshop.pool())
    .await
    .unwrap();
    assert!(stray);
    workshop.assert_equal_to_truth(&account).await;
    let state = workshop.sandbox.account(account.merge_id).unwrap();
    assert!(state.is_syncing, "Merge reads the third party");
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn merge_is_asked_once_whatever_it_answers() {
    let unclear = FaultKind::Reset;
    let forbidden = FaultKind::Status {
        status: 403,
        retry_after: None,
    };
    for (kind, attempts, provider) in [
        (unclear, 2, "asked before"),
        (forbidden, 1, "not in the plan"),
    ] {
        let workshop = Workshop::new().await;
        let account = workshop.synced("acme").await;
        workshop.break_list("sync-status/resync", 1, kind);

        let job = resync(&workshop, &account, SyncType::Full, None).await;
        workshop.advance(std::time::Duration::from_mins(1)).await;
        workshop.run().await;

        let job = workshop.job(job.id).await;
        assert_eq!((job.state, job.attempt), (JobState::Completed, attempts));
        assert_eq!(job.result.unwrap()["provider"], provider);
        let state = workshop.sandbox.account(account.merge_id).unwrap();
        assert!(!state.is_syncing);
        assert_eq!(
            wanted_windows(&workshop).await.len(),
            2,
            "read all the same"
        );
    }
}
