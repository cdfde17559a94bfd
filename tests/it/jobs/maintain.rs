//! House-keeping.

use std::time::Duration;

use jobs::maintain::Maintain;
use queue::JobState;
use serde_json::json;
use store::sealed_link_tokens;
use store::webhook_deliveries::{self, NewDelivery};

use super::workshop::Workshop;

#[tokio::test]
async fn link_tokens_that_nobody_fetched_are_erased() {
    let workshop = Workshop::new().await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    let job_id = uuid::Uuid::now_v7();
    sealed_link_tokens::put(&mut conn, job_id, b"sealed", Duration::ZERO)
        .await
        .unwrap();

    let job = workshop.perform(&Maintain {}).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(job.result.unwrap()["link_tokens"], json!(1));
}

#[tokio::test]
async fn deliveries_that_wait_without_a_job_get_one() {
    let workshop = Workshop::new().await;
    let delivery = NewDelivery::seal(&workshop.context.keyring, b"{}", "secret").unwrap();
    let mut conn = workshop.pool().acquire().await.unwrap();
    webhook_deliveries::insert(&mut conn, vec![delivery])
        .await
        .unwrap();

    let job = workshop.perform(&Maintain {}).await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(workshop.verdicts().await[0].0, "unknown_account");
}

#[tokio::test]
async fn events_that_nobody_reads_get_their_place_and_are_forgotten_in_time() {
    let workshop = Workshop::with(|_, settings| settings.keep_events = Duration::ZERO).await;
    workshop.synced("acme").await;

    let job = workshop.perform(&Maintain {}).await;

    assert!(job.result.unwrap()["events"].as_i64() > Some(3));
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.events"#)
        .fetch_one(workshop.pool())
        .await
        .unwrap();
    assert_eq!(left, 0);
}
