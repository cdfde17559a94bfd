use std::time::Duration;

use event_sender::Secret;
use futures::future::join_all;
use jobs::deliver_event::{DeliverEvent, deliver_now};
use jobs::enqueue_due_events::EnqueueDueEvents;
use jobs::send_test_event::SendTestEvent;
use queue::testing::LogicalWorker;
use queue::{Job as _, JobState};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::EndpointId;
use store::events::{self, FeedFilter, FeedPage};
use store::webhook_endpoints::{
    self, Changes, DisabledReason, Enabled, Endpoint, From, NewEndpoint,
};

use super::workshop::Workshop;
use crate::support::{Logs, Receiver};

/// An endpoint at a receiver, and its secret.
async fn endpoint(
    workshop: &Workshop,
    receiver: &Receiver,
    organization_id: Option<&str>,
    event_types: Option<&[String]>,
) -> (EndpointId, String) {
    let secret = Secret::generate();
    let new = NewEndpoint {
        organization_id,
        url: receiver.url(),
        description: None,
        event_types,
        secret: secret.bytes(),
    };
    let mut conn = workshop.pool().acquire().await.unwrap();
    let made = webhook_endpoints::create(&mut conn, &workshop.context.keyring, &new).await;
    (
        made.unwrap().unwrap().id,
        secret.to_text().expose_secret().to_owned(),
    )
}

async fn look(workshop: &Workshop, id: EndpointId) -> Endpoint {
    let mut conn = workshop.pool().acquire().await.unwrap();
    let found = webhook_endpoints::find(&mut conn, id, None).await.unwrap();
    found.unwrap()
}

/// Puts so many events about an organization into the database, which have no place in the feed yet.
async fn tell(workshop: &Workshop, organization_id: &str, events: i32) {
    sqlx::query!(
        r#"
        INSERT INTO syncline.events (type, organization_id, account_id)
        SELECT 'account.linked', $1, gen_random_uuid()
        FROM generate_series(1, $2)
        "#,
        organization_id,
        events
    )
    .execute(workshop.pool())
    .await
    .unwrap();
}

/// A tick, and everything that it leads to.
async fn tick(workshop: &Workshop) {
    workshop.perform(&EnqueueDueEvents {}).await;
}

/// The whole feed, as the product reads it.
async fn feed(workshop: &Workshop) -> Vec<Value> {
    let mut conn = workshop.pool().acquire().await.unwrap();
    let page = events::read(&mut conn, FeedFilter::default(), 10_000).await;
    let FeedPage::Events { events, .. } = page.unwrap() else {
        panic!("it begins at its oldest event")
    };
    events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap())
        .collect()
}

fn ids(positions: impl IntoIterator<Item = i64>) -> Vec<String> {
    positions
        .into_iter()
        .map(|position| format!("evt_{position}"))
        .collect()
}

#[tokio::test]
async fn an_endpoint_gets_every_event_once_in_the_feeds_order_signed() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, secret) = endpoint(&workshop, &receiver, Some("org_1"), None).await;
    workshop.synced("org_1").await;

    tick(&workshop).await;
    tick(&workshop).await;

    let (got, feed) = (receiver.received(), feed(&workshop).await);
    assert!(feed.len() > 50);
    assert_eq!(got.len(), feed.len());
    for (received, event) in got.iter().zip(&feed) {
        assert_eq!(received.id(), format!("evt_{}", event["id"]));
        assert!(received.verifies_with(&secret));
        let expected = json!({
            "type": event["type"], "timestamp": event["occurred_at"], "data": event,
        });
        assert_eq!(received.json(), expected);
        assert_eq!(received.headers["content-type"], "application/json");
    }
    assert_eq!(
        workshop.pending(DeliverEvent::KIND).await,
        Vec::<Value>::new()
    );
    let endpoint = look(&workshop, id).await;
    assert_eq!(usize::try_from(endpoint.position).unwrap(), feed.len());
    assert!(endpoint.delivered_at.is_some());
}

#[tokio::test]
async fn nothing_of_another_organization_and_of_another_type_is_sent() {
    let workshop = Workshop::new().await;
    let (own, all, choosy) = (
        Receiver::start().await,
        Receiver::start().await,
        Receiver::start().await,
    );
    endpoint(&workshop, &own, Some("org_1"), None).await;
    endpoint(&workshop, &all, None, None).await;
    let types = ["model.synced".to_owned(), "account.linked".to_owned()];
    let (choosy_id, _) = endpoint(&workshop, &choosy, Some("org_2"), Some(&types)).await;
    workshop.synced("org_1").await;
    workshop.synced("org_2").await;

    tick(&workshop).await;

    let feed = feed(&workshop).await;
    let of = |wanted: &dyn Fn(&&Value) -> bool| -> Vec<Value> {
        feed.iter().filter(wanted).cloned().collect()
    };
    let got = |receiver: &Receiver| -> Vec<Value> {
        receiver
            .received()
            .iter()
            .map(|received| received.json()["data"].clone())
            .collect()
    };
    let wanted = |event: &&Value| types.iter().any(|wanted| event["type"] == wanted.as_str());
    assert_eq!(got(&own), of(&|event| event["organization_id"] == "org_1"));
    assert_eq!(got(&all), feed);
    assert_eq!(
        got(&choosy),
        of(&|event| event["organization_id"] == "org_2" && wanted(event))
    );
    assert!(got(&choosy).len() >= 2);
    // It is not looked for again what is not for it.
    let position = look(&workshop, choosy_id).await.position;
    assert_eq!(position, look(&workshop, choosy_id).await.position);
}

#[tokio::test]
async fn a_failure_is_repeated_with_growing_pauses_and_nothing_overtakes_it() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    receiver.answer(500);
    tell(&workshop, "org_1", 2).await;

    tick(&workshop).await;

    let mut ceilings = Vec::new();
    for attempt in 1..=6 {
        assert_eq!(receiver.ids(), ids(vec![1; attempt]));
        // What comes meanwhile waits, however often somebody looks.
        tell(&workshop, "org_1", 1).await;
        tick(&workshop).await;
        workshop.enqueue(&DeliverEvent { endpoint_id: id }).await;
        workshop.run().await;
        assert_eq!(receiver.ids().len(), attempt);
        let endpoint = look(&workshop, id).await;
        assert_eq!(usize::try_from(endpoint.failures).unwrap(), attempt);
        assert_eq!(endpoint.last_status, Some(500));
        let error = endpoint.last_error.unwrap();
        assert_eq!(error, "the endpoint answered 500");
        let ceiling = DeliverEvent::RETRY.ceiling(u16::try_from(attempt).unwrap());
        ceilings.push(ceiling.as_secs());
        workshop.advance(ceiling).await;
        workshop.run().await;
    }
    assert_eq!(ceilings, [5, 10, 20, 40, 80, 160]);

    receiver.answer(200);
    let before = receiver.ids().len();
    workshop.advance(DeliverEvent::RETRY.cap).await;
    tick(&workshop).await;
    assert_eq!(receiver.ids()[before..], ids(1..=8));
    assert_eq!(look(&workshop, id).await.failures, 0);
}

#[tokio::test]
async fn each_delivery_is_a_job_with_its_attempts() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    receiver.answer_next(502);
    tell(&workshop, "org_1", 1).await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    while events::place(&mut conn).await.unwrap() {}
    drop(conn);

    let job_id = workshop.enqueue(&DeliverEvent { endpoint_id: id }).await;
    workshop.run().await;
    workshop.advance(DeliverEvent::RETRY.cap).await;
    workshop.run().await;

    let job = workshop.job(job_id).await;
    assert_eq!((job.state, job.attempt), (JobState::Completed, 2));
    let failed = &job.attempts[0];
    assert_eq!(
        (failed.error_class.as_str(), failed.http_status),
        ("endpoint_status", Some(502))
    );
    let result = json!({
        "delivered": true, "event_id": 1, "event_type": "account.linked", "http_status": 204,
    });
    assert_eq!(job.result, Some(result));
}

#[tokio::test]
async fn an_endpoint_that_says_how_long_to_wait_is_left_alone_for_so_long() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 1).await;
    receiver.answer_next_with_wait(429, 600);
    receiver.answer_next_with_wait(503, 0);

    tick(&workshop).await;
    assert_eq!(receiver.ids().len(), 1);
    workshop.advance(Duration::from_secs(598)).await;
    tick(&workshop).await;
    assert_eq!(receiver.ids().len(), 1);
    workshop.advance(Duration::from_secs(2)).await;
    tick(&workshop).await;
    assert_eq!(receiver.ids().len(), 2);
    // "At once" is not taken at its word.
    workshop.advance(Duration::from_secs(3)).await;
    tick(&workshop).await;
    assert_eq!(receiver.ids().len(), 2);
    workshop.advance(Duration::from_secs(2)).await;
    tick(&workshop).await;

    assert_eq!(receiver.ids(), ids([1, 1, 1]));
    assert_eq!(look(&workshop, id).await.position, 1);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once_with_an_alarm() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, secret) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 3).await;
    receiver.answer_next(200);
    receiver.answer_next(410);
    let logs = Logs::capture();

    tick(&workshop).await;
    tell(&workshop, "org_1", 1).await;
    tick(&workshop).await;

    assert_eq!(receiver.ids(), ids([1, 2]));
    let endpoint = look(&workshop, id).await;
    assert_eq!(endpoint.disabled_reason, Some(DisabledReason::Gone));
    assert_eq!((endpoint.position, endpoint.last_status), (1, Some(410)));
    assert!(
        logs.text().contains("an endpoint was disabled"),
        "{}",
        logs.text()
    );
    logs.assert_without(&secret);
    assert_eq!(
        workshop.pending(DeliverEvent::KIND).await,
        Vec::<Value>::new()
    );

    // Enabled again, it gets what it missed …
    enable(&workshop, id, From::Stopped).await;
    assert_eq!(receiver.ids(), ids([1, 2, 2, 3, 4]));
    // … or not, as is wanted.
    receiver.answer_next(410);
    tell(&workshop, "org_1", 2).await;
    tick(&workshop).await;
    enable(&workshop, id, From::Now).await;
    tell(&workshop, "org_1", 1).await;
    tick(&workshop).await;
    assert_eq!(receiver.ids()[5..], ids([5, 7]));
}

/// Enables an endpoint, as the API does, and lets workers run.
async fn enable(workshop: &Workshop, id: EndpointId, from: From) {
    let mut tx = workshop.pool().begin().await.unwrap();
    let enabled = webhook_endpoints::enable(&mut tx, id, None, from)
        .await
        .unwrap();
    let Enabled::Done(endpoint) = enabled else {
        panic!("{enabled:?}")
    };
    deliver_now(&mut tx, &endpoint).await.unwrap();
    tx.commit().await.unwrap();
    workshop.run().await;
}

#[tokio::test]
async fn five_days_of_failures_disable_an_endpoint_and_until_then_it_is_tried() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    receiver.answer(500);
    tell(&workshop, "org_1", 2).await;
    tick(&workshop).await;
    let mut hours = 0;

    while look(&workshop, id).await.disabled_at.is_none() {
        assert!(hours < 6 * 24, "it is tried for ever");
        workshop.advance(Duration::from_hours(2)).await;
        hours += 2;
        tick(&workshop).await;
    }

    let endpoint = look(&workshop, id).await;
    assert!(hours >= 5 * 24, "given up after {hours} h");
    assert_eq!(endpoint.disabled_reason, Some(DisabledReason::Failing));
    let attempts = receiver.ids().len();
    assert!(attempts > 20, "{attempts}");
    assert_eq!(receiver.ids(), ids(vec![1; attempts]));
    // The last attempt ended the job: nothing waits, nothing is dead.
    assert_eq!(
        workshop.pending(DeliverEvent::KIND).await,
        Vec::<Value>::new()
    );
    let dead = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.dead_jobs"#);
    assert_eq!(dead.fetch_one(workshop.pool()).await.unwrap(), 0);

    receiver.answer(200);
    enable(&workshop, id, From::Stopped).await;
    assert_eq!(receiver.ids()[attempts..], ids([1, 2]));
}

#[tokio::test]
async fn enabling_does_not_wait_for_the_next_attempt() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 1).await;
    receiver.answer_next_with_wait(503, 3_600);
    tick(&workshop).await;

    enable(&workshop, id, From::Stopped).await;

    assert_eq!(receiver.ids(), ids([1, 1]));
}

#[tokio::test]
async fn an_event_is_sent_again_under_its_id_when_the_worker_dies_before_it_could_note_it() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 3).await;
    receiver.answer_next(200);
    receiver.hang_next();

    // Cut off while the second event is on its way, as a killed process is.
    tokio::select! {
        () = tick(&workshop) => panic!("the receiver does not answer"),
        () = async { receiver.arrived().await; receiver.arrived().await } => {}
    }
    assert_eq!(look(&workshop, id).await.position, 1);
    bury_worker(&workshop).await;
    workshop.advance(Duration::from_hours(1)).await;
    workshop.run().await;
    tick(&workshop).await;

    assert_eq!(receiver.ids(), ids([1, 2, 2, 3]));
    assert_eq!(look(&workshop, id).await.position, 3);
}

/// Has somebody notice that the worker is dead, and put back what it was doing.
async fn bury_worker(workshop: &Workshop) {
    sqlx::query!("UPDATE syncline.workers SET lease_until = now() - interval '1 minute'")
        .execute(workshop.pool())
        .await
        .unwrap();
    let client = queue::Client::new(workshop.pool().clone());
    let finder = LogicalWorker::register(&client).await.unwrap();
    finder.rescue().await.unwrap();
}

#[tokio::test]
async fn after_a_crash_two_jobs_do_not_try_twice_as_often() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 1).await;
    receiver.hang_next();
    receiver.answer(500);
    tokio::select! {
        () = tick(&workshop) => panic!("the receiver does not answer"),
        () = receiver.arrived() => {}
    }
    // While one runs, and dies, another waits.
    workshop.enqueue(&DeliverEvent { endpoint_id: id }).await;
    bury_worker(&workshop).await;
    workshop.advance(Duration::from_hours(1)).await;

    workshop.run().await;
    assert_eq!(receiver.ids().len(), 2);
    for attempts in 3..6 {
        workshop.advance(DeliverEvent::RETRY.cap).await;
        tick(&workshop).await;
        assert_eq!(receiver.ids().len(), attempts);
    }
}

#[tokio::test]
async fn with_many_writers_at_once_nothing_is_left_out_or_out_of_order() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    endpoint(&workshop, &receiver, Some("org_1"), None).await;

    let writers = (0..8).map(|writer| {
        let pool = workshop.pool().clone();
        async move {
            for event in 0..6_i32 {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query!(
                    r#"
                    INSERT INTO syncline.events (type, organization_id, account_id, detail)
                    VALUES ('account.linked', 'org_1', gen_random_uuid(), $1)
                    "#,
                    json!({ "writer": writer, "event": event })
                )
                .execute(&mut *tx)
                .await
                .unwrap();
                // The other writers' commits come in between.
                tokio::task::yield_now().await;
                tx.commit().await.unwrap();
            }
        }
    });
    let ticking = async {
        for _ in 0..10 {
            tick(&workshop).await;
        }
    };
    tokio::join!(join_all(writers), ticking);
    tick(&workshop).await;

    assert_eq!(receiver.ids(), ids(1..=48));
    for writer in 0..8 {
        let own = receiver.received();
        let own = own
            .iter()
            .map(|received| received.json()["data"]["detail"].clone());
        let own: Vec<Value> = own.filter(|detail| detail["writer"] == writer).collect();
        let expected: Vec<Value> = (0..6)
            .map(|event| json!({ "writer": writer, "event": event }))
            .collect();
        assert_eq!(own, expected);
    }
}

#[tokio::test]
async fn one_bad_endpoint_delays_no_other() {
    let workshop = Workshop::new().await;
    let (bad, good) = (Receiver::start().await, Receiver::start().await);
    endpoint(&workshop, &bad, None, None).await;
    endpoint(&workshop, &good, None, None).await;
    bad.answer(500);
    tell(&workshop, "org_1", 3).await;

    tick(&workshop).await;

    assert_eq!(good.ids(), ids(1..=3));
    assert_eq!(bad.ids(), ids([1]));
    let lanes = sqlx::query_scalar!("SELECT lane FROM syncline.lanes WHERE lane LIKE 'endpoint:%'");
    assert_eq!(lanes.fetch_all(workshop.pool()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_endpoint_whose_events_are_forgotten_is_disabled_and_not_moved_on() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 3).await;
    feed(&workshop).await;
    sqlx::query!("UPDATE syncline.event_feed SET forgotten_through = 2")
        .execute(workshop.pool())
        .await
        .unwrap();

    tick(&workshop).await;

    let endpoint = look(&workshop, id).await;
    assert_eq!(
        endpoint.disabled_reason,
        Some(DisabledReason::EventsForgotten)
    );
    assert_eq!((endpoint.position, receiver.ids().len()), (0, 0));
}

#[tokio::test]
async fn an_address_that_is_not_allowed_any_more_gets_nothing() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    let inside = Changes {
        url: Some("http://10.0.0.1/hooks"),
        ..Changes::default()
    };
    webhook_endpoints::update(&mut conn, id, None, &inside)
        .await
        .unwrap();
    drop(conn);
    tell(&workshop, "org_1", 1).await;

    tick(&workshop).await;

    let endpoint = look(&workshop, id).await;
    let error = endpoint.last_error.unwrap();
    assert_eq!(error, "the endpoint's URL must lead to a public address");
    assert_eq!((endpoint.failures, endpoint.last_status), (1, None));
}

#[tokio::test]
async fn a_test_event_is_sent_at_once_and_changes_nothing() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, secret) = endpoint(&workshop, &receiver, None, None).await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    webhook_endpoints::disable(&mut conn, id, None)
        .await
        .unwrap();
    drop(conn);
    let before = look(&workshop, id).await;

    let taken = workshop.perform(&SendTestEvent { endpoint_id: id }).await;
    receiver.answer_next(410);
    let refused = workshop.perform(&SendTestEvent { endpoint_id: id }).await;
    let unknown = SendTestEvent {
        endpoint_id: EndpointId::new(),
    };
    let unknown = workshop.perform(&unknown).await;

    assert_eq!(
        taken.result.unwrap(),
        json!({ "delivered": true, "http_status": 204 })
    );
    let result = refused.result.unwrap();
    assert_eq!(
        (&result["delivered"], &result["http_status"]),
        (&json!(false), &json!(410))
    );
    assert_eq!(unknown.error_class.as_deref(), Some("endpoint_not_found"));
    let first = &receiver.received()[0];
    assert_eq!(first.id(), format!("test_{}", taken.id));
    assert!(first.verifies_with(&secret));
    assert_eq!(first.json()["type"], "endpoint.test");
    let after = look(&workshop, id).await;
    assert_eq!(
        (after.position, after.failures),
        (before.position, before.failures)
    );
    assert_eq!(after.disabled_reason, Some(DisabledReason::ByRequest));
}

#[tokio::test]
async fn what_is_gone_from_the_feed_is_passed_by() {
    let workshop = Workshop::new().await;
    let receiver = Receiver::start().await;
    let (id, _) = endpoint(&workshop, &receiver, None, None).await;
    tell(&workshop, "org_1", 1).await;
    feed(&workshop).await;
    sqlx::query!("DELETE FROM syncline.events")
        .execute(workshop.pool())
        .await
        .unwrap();

    let job = workshop.perform(&DeliverEvent { endpoint_id: id }).await;

    assert_eq!(job.result, Some(json!({ "delivered": false })));
    assert_eq!(look(&workshop, id).await.position, 1);
}
