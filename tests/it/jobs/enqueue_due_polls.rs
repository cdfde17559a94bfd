//! The tick of polls.

use std::time::Duration;

use jobs::enqueue_due_polls::EnqueueDuePolls;
use serde_json::json;

use super::workshop::{NEXT_SYNC, Workshop};

#[tokio::test]
async fn an_account_is_polled_again_and_again_without_any_webhook() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;

    for _ in 0..4 {
        workshop.sandbox.advance(NEXT_SYNC);
        workshop.advance(Duration::from_hours(1)).await;
        let tick = workshop.perform(&EnqueueDuePolls {}).await;
        assert_eq!(tick.result, Some(json!({ "enqueued": 1 })));
    }
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.advance(Duration::from_hours(1)).await;
    workshop.perform(&EnqueueDuePolls {}).await;

    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn nothing_is_enqueued_before_its_time() {
    let workshop = Workshop::new().await;
    workshop.synced("acme").await;

    let tick = workshop.perform(&EnqueueDuePolls {}).await;

    assert_eq!(tick.result, Some(json!({ "enqueued": 0 })));
}
