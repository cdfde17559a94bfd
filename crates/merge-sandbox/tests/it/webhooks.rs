use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use merge_client::webhook;
use merge_sandbox::{
    AccountPlan, DeliveryState, DeliveryView, Options, SyncedShape, WebhookFaults, WebhookOptions,
    WebhookTarget,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Merge, employees, still};

const KEY: &str = "example-signing-key-0001";

/// A receiver that checks signatures and answers with the statuses it was given, then 200.
#[derive(Clone, Default)]
struct Receiver(Arc<Inner>);

#[derive(Default)]
struct Inner {
    statuses: Mutex<Vec<u16>>,
    bodies: Mutex<Vec<Value>>,
    signatures: Mutex<Vec<String>>,
    came: Notify,
}

impl Receiver {
    async fn start(statuses: &[u16]) -> (Self, WebhookTarget) {
        let receiver = Self::default();
        *receiver.0.statuses.lock().unwrap() = statuses.iter().rev().copied().collect();
        let app = Router::new()
            .route("/hook", post(receive))
            .with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio_util::task::TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
        (
            receiver,
            WebhookTarget {
                url,
                key: KEY.to_owned(),
            },
        )
    }

    /// Waits until that many came.
    async fn bodies(&self, count: usize) -> Vec<Value> {
        loop {
            let came = self.0.came.notified();
            let bodies = self.0.bodies.lock().unwrap().clone();
            if bodies.len() >= count {
                return bodies;
            }
            tokio::time::timeout(Duration::from_secs(20), came)
                .await
                .expect("deliveries stay away");
        }
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers
        .get(webhook::HEADER)
        .map(http::HeaderValue::as_bytes);
    webhook::verify(&[KEY.to_owned().into()], signature, &body).expect("the signature fits");
    let signature = String::from_utf8_lossy(signature.unwrap()).into_owned();
    receiver.0.signatures.lock().unwrap().push(signature);
    let status = receiver.0.statuses.lock().unwrap().pop().unwrap_or(200);
    receiver
        .0
        .bodies
        .lock()
        .unwrap()
        .push(serde_json::from_slice(&body).unwrap());
    receiver.0.came.notify_waiters();
    StatusCode::from_u16(status).unwrap()
}

async fn merge_with(target: &WebhookTarget, options: Options) -> Merge {
    let webhooks = WebhookOptions {
        target: Some(target.clone()),
        ..options.webhooks.clone()
    };
    Merge::start(Options {
        webhooks,
        ..options
    })
    .await
}

/// Waits until the delivery log says so.
async fn settled(merge: &Merge, is_right: impl Fn(&[DeliveryView]) -> bool) -> Vec<DeliveryView> {
    for _ in 0..2000 {
        let deliveries = merge.handle().deliveries(0, usize::MAX);
        if is_right(&deliveries) {
            return deliveries;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!(
        "never came to be: {:?}",
        merge.handle().deliveries(0, usize::MAX)
    );
}

fn all_ended(deliveries: &[DeliveryView]) -> bool {
    !deliveries.is_empty()
        && deliveries
            .iter()
            .all(|delivery| delivery.state != DeliveryState::Pending)
}

fn event<'a>(bodies: &'a [Value], name: &str) -> Vec<&'a Value> {
    bodies
        .iter()
        .filter(|body| body["hook"]["event"] == name)
        .collect()
}

#[tokio::test]
async fn linking_and_syncing_send_signed_bodies_in_merges_shapes() {
    let (receiver, target) = Receiver::start(&[]).await;
    let merge = merge_with(&target, still()).await;
    let account = merge.link(
        "crm",
        AccountPlan {
            models: Some(vec!["crm.CRMAccount".to_owned()]),
            ..AccountPlan::default()
        },
    );

    let bodies = receiver.bodies(3).await;

    let linked = event(&bodies, "LinkedAccount.linked")[0];
    assert_eq!(
        linked["data"],
        json!({ "account_token": account.account_token, "is_relink": false })
    );
    assert_eq!(linked["linked_account"]["id"], account.id.to_string());
    assert_eq!(linked["hook"]["target"], target.url.as_str());
    let synced = event(&bodies, "CRMAccount.synced")[0];
    let status = &synced["data"]["sync_status"];
    assert_eq!(status["model_id"], "crm.CRMAccount");
    assert_eq!(status["last_sync_finished"], "2026-02-03T09:00:00.000000Z");
    let completed = event(&bodies, "LinkedAccount.sync_completed")[0];
    assert_eq!(completed["data"]["is_initial_sync"], true);
    assert_eq!(
        completed["data"]["sync_status"]["crm.CRMAccount"]["last_sync_finished"],
        "2026-02-03T09:00:00Z"
    );
    // The keys of the published samples.
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        keys(&linked["linked_account"]),
        "account_type category completed_at end_user_email_address end_user_organization_name end_user_origin_id id \
         integration integration_slug is_duplicate status webhook_listener_url"
    );
    assert_eq!(
        keys(&completed["data"]),
        "integration_id integration_name is_initial_sync sync_status"
    );
    assert_eq!(
        keys(&synced["data"]),
        "integration_id integration_name sync_status synced_fields"
    );
}

#[tokio::test]
async fn the_synced_events_can_carry_a_bare_word() {
    let (receiver, target) = Receiver::start(&[]).await;
    let webhooks = WebhookOptions {
        synced_shape: SyncedShape::Text,
        ..WebhookOptions::default()
    };
    let merge = merge_with(
        &target,
        Options {
            webhooks,
            ..still()
        },
    )
    .await;
    merge.link("hris", employees(1));

    let bodies = receiver.bodies(3).await;

    assert_eq!(
        event(&bodies, "Employee.synced")[0]["data"]["sync_status"],
        "DONE"
    );
}

#[tokio::test]
async fn record_events_carry_the_record() {
    let (receiver, target) = Receiver::start(&[]).await;
    let webhooks = WebhookOptions {
        has_record_events: true,
        ..WebhookOptions::default()
    };
    let merge = merge_with(
        &target,
        Options {
            webhooks,
            ..still()
        },
    )
    .await;
    let account = merge.link("hris", employees(50));
    receiver.bodies(3).await;

    merge.handle().start_sync(account.id).unwrap();

    let bodies = receiver.bodies(3 + 20 + 2).await;
    let changed = event(&bodies, "Employee.changed");
    assert!(changed.iter().all(|body| body["data"]["id"].is_string()));
    assert!(!changed.is_empty());
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_after_one_and_two_seconds() {
    let (receiver, target) = Receiver::start(&[500, 503]).await;
    let merge = merge_with(&target, still()).await;

    merge.handle().ping_webhook().unwrap();
    settled(&merge, |log| log[0].attempts.len() == 1).await;
    merge.handle().advance(Duration::from_millis(999));
    merge.handle().advance(Duration::from_millis(1));
    settled(&merge, |log| log[0].attempts.len() == 2).await;
    merge.handle().advance(Duration::from_secs(2));
    let log = settled(&merge, all_ended).await;

    let statuses: Vec<_> = log[0]
        .attempts
        .iter()
        .map(|attempt| attempt.status)
        .collect();
    let times: Vec<_> = log[0]
        .attempts
        .iter()
        .map(|attempt| attempt.at - log[0].created_at)
        .collect();
    assert_eq!(statuses, [Some(500), Some(503), Some(200)]);
    assert_eq!(times, [0, 1, 3].map(chrono::TimeDelta::seconds));
    assert_eq!(log[0].state, DeliveryState::Delivered);
    assert_eq!(
        receiver.bodies(3).await[0],
        json!({ "response": "Success! This URL will be notified." })
    );
    let summary = merge.handle().webhook_summary();
    assert_eq!(
        summary.answers,
        [("200", 1), ("500", 1), ("503", 1)]
            .map(|(k, v)| (k.to_owned(), v))
            .into()
    );
    assert!(summary.acknowledged_p50_us > 0);
}

#[tokio::test]
async fn the_signature_is_that_of_the_published_sample() {
    let (receiver, target) = Receiver::start(&[]).await;
    let merge = merge_with(&target, still()).await;

    merge.handle().ping_webhook().unwrap();
    receiver.bodies(1).await;

    // Computed with another implementation, for this key and Merge's test body.
    let signatures = receiver.0.signatures.lock().unwrap();
    assert_eq!(
        *signatures,
        ["AEP4Uew4KOVvFhRlhjbEPlV1MPPJjfWJGkpYfh5FivA="]
    );
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_in_time_has_failed() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = WebhookTarget {
        url: format!("http://{}/", silent.local_addr().unwrap())
            .parse()
            .unwrap(),
        key: KEY.to_owned(),
    };
    let webhooks = WebhookOptions {
        timeout: Duration::from_millis(50),
        ..WebhookOptions::default()
    };
    let merge = merge_with(
        &target,
        Options {
            webhooks,
            ..still()
        },
    )
    .await;

    merge.handle().ping_webhook().unwrap();

    let log = settled(&merge, |log| log[0].attempts.len() == 1).await;
    assert_eq!(log[0].attempts[0].error.as_deref(), Some("timeout"));
}

#[tokio::test]
async fn three_failures_end_a_delivery_and_4xx_ends_it_at_once() {
    let (_, refusing) = Receiver::start(&[404]).await;
    let merge = merge_with(&refusing, still()).await;
    merge.handle().ping_webhook().unwrap();
    let log = settled(&merge, all_ended).await;
    assert_eq!(
        (log[0].state, log[0].attempts.len()),
        (DeliveryState::Refused, 1)
    );

    let closed = WebhookTarget {
        url: "http://127.0.0.1:1/hook".parse().unwrap(),
        key: KEY.to_owned(),
    };
    let merge = merge_with(&closed, still()).await;
    merge.handle().ping_webhook().unwrap();
    for attempts in 1..=2_usize {
        settled(&merge, |log| log[0].attempts.len() == attempts).await;
        merge.handle().advance(Duration::from_secs(2));
    }
    let log = settled(&merge, all_ended).await;
    assert_eq!(
        (log[0].state, log[0].attempts.len()),
        (DeliveryState::GivenUp, 3)
    );
    assert_eq!(log[0].attempts[0].error.as_deref(), Some("connection"));
}

#[tokio::test]
async fn deliveries_can_be_dropped_doubled_and_repeated() {
    let (receiver, target) = Receiver::start(&[]).await;
    let merge = merge_with(&target, still()).await;

    merge.handle().set_webhook_faults(WebhookFaults {
        drop_percent: 100,
        ..WebhookFaults::default()
    });
    merge.handle().ping_webhook().unwrap();
    merge.handle().set_webhook_faults(WebhookFaults {
        duplicate_percent: 100,
        ..WebhookFaults::default()
    });
    merge
        .handle()
        .send_webhook("mine", r#"{"mine":1}"#)
        .unwrap();
    let log = settled(&merge, |log| log.len() == 3 && all_ended(log)).await;

    assert_eq!(log[0].state, DeliveryState::Dropped);
    assert_eq!(
        receiver.bodies(2).await,
        [json!({ "mine": 1 }), json!({ "mine": 1 })]
    );
    merge.handle().set_webhook_faults(WebhookFaults::default());
    merge.handle().redeliver_webhook(log[2].id).unwrap();
    assert_eq!(receiver.bodies(3).await.len(), 3);
}

#[tokio::test]
async fn held_deliveries_are_overtaken() {
    let (receiver, target) = Receiver::start(&[]).await;
    let merge = merge_with(&target, still()).await;
    let held = WebhookFaults {
        reorder_percent: 100,
        reorder_delay: Duration::from_secs(30),
        ..WebhookFaults::default()
    };

    merge.handle().set_webhook_faults(held);
    merge
        .handle()
        .send_webhook("first", r#"{"place":1}"#)
        .unwrap();
    merge.handle().set_webhook_faults(WebhookFaults::default());
    merge
        .handle()
        .send_webhook("second", r#"{"place":2}"#)
        .unwrap();

    assert_eq!(receiver.bodies(1).await, [json!({ "place": 2 })]);
    merge.sandbox.stop().await;
}

#[tokio::test]
async fn on_a_running_clock_syncs_report_by_themselves() {
    let (receiver, target) = Receiver::start(&[]).await;
    let schedule = merge_sandbox::Schedule {
        initial_sync_duration: Duration::from_millis(100),
        sync_duration: Duration::from_millis(50),
        sync_interval: Some(Duration::from_millis(300)),
        ..merge_sandbox::Schedule::default()
    };
    let merge = merge_with(
        &target,
        Options {
            schedule,
            clock: merge_sandbox::ClockMode::Real,
            ..still()
        },
    )
    .await;
    merge.link("hris", employees(5));

    let bodies = receiver.bodies(7).await;

    assert!(event(&bodies, "LinkedAccount.sync_completed").len() >= 2);
}
