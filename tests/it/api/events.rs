//! The feed of changes, as the product reads it.

use serde_json::Value;

use crate::support::{Call, NewKey, TestApp};

/// Reads the feed to its end, a few events at a time.
async fn follow(app: &TestApp, from: &str, key: Option<&str>) -> Vec<Value> {
    let mut events = Vec::new();
    let mut after = from.to_owned();
    loop {
        let path = format!("/api/merge/events?limit=9{after}");
        let mut call = Call::new(http::Method::GET, &path);
        if let Some(key) = key {
            call = call.key(key);
        }
        let page = app.call(call).await.expect(200);
        let new = page["events"].as_array().cloned().unwrap_or_default();
        after = format!("&after={}", page["next"]);
        if new.is_empty() {
            return events;
        }
        events.extend(new);
    }
}

#[tokio::test]
async fn the_feed_tells_an_accounts_life_and_each_of_its_records_in_order() {
    let app = TestApp::new().await;
    let account = app.synced_account("org_1", "hris").await;

    let events = follow(&app, "", None).await;

    let ids: Vec<_> = events
        .iter()
        .map(|event| event["id"].as_i64().unwrap())
        .collect();
    let expected: Vec<_> = (1..).take(events.len()).collect();
    assert_eq!(ids, expected);
    let of = |wanted: &str| {
        events
            .iter()
            .filter(|event| event["type"] == wanted)
            .collect::<Vec<_>>()
    };
    assert_eq!(events[0]["type"], "account.linked");
    assert_eq!(of("account.initial_sync_completed").len(), 1);
    let told = of("record.created").len() + of("record.deleted").len();
    assert_eq!(
        i64::try_from(told).unwrap(),
        app.count_records(account).await
    );
    assert!(!of("model.synced").is_empty());
    for event in &events {
        assert_eq!(event["organization_id"], "org_1");
        assert_eq!(event["linked_account_id"], account.to_string());
    }

    // From any point.
    let rest = follow(&app, "&after=17", None).await;
    assert_eq!(rest, events[17..]);
}

#[tokio::test]
async fn a_key_of_one_organization_follows_its_own_events_only() {
    let app = TestApp::new().await;
    app.linked_account("org_1", "hris").await;
    let own = app.linked_account("org_2", "ats").await;
    let key = app
        .key(NewKey {
            organization_id: Some("org_2"),
            ..NewKey::default()
        })
        .await;

    let events = follow(&app, "", Some(&key)).await;

    assert!(!events.is_empty());
    for event in &events {
        assert_eq!(event["linked_account_id"], own.to_string());
    }
    let other = Call::new(http::Method::GET, "/api/merge/events?organization_id=org_1").key(&key);
    app.call(other).await.expect(404);
    let own = follow(&app, "&organization_id=org_2", None).await;
    assert_eq!(own, events);
}

#[tokio::test]
async fn a_point_that_the_feed_does_not_reach_is_refused() {
    let app = TestApp::new().await;
    app.linked_account("org_1", "hris").await;
    sqlx::query!("UPDATE syncline.event_feed SET forgotten_through = 1")
        .execute(app.pool())
        .await
        .unwrap();

    let gone = app.get("/api/merge/events?after=0").await.expect(410);
    let future = app.get("/api/merge/events?after=1000").await.expect(422);
    let wrong = app.get("/api/merge/events?after=-1").await.expect(422);

    assert_eq!(gone["type"], "urn:syncline:problem:gone");
    for refused in [future, wrong] {
        assert_eq!(refused["errors"][0]["parameter"], "after", "{refused}");
    }
    app.get("/api/merge/events").await.expect(200);
}
