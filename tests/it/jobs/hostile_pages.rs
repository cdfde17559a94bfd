//! Lists that no Merge should give: cursors that go nowhere or elsewhere, pages that are too long, JSON of another shape.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::response::IntoResponse;
use jobs::fetch_model_window::FetchModelWindow;
use merge_client::MergeClient;
use merge_sandbox::{Fault, FaultKind};
use queue::{JobState, JobView};
use serde_json::json;
use store::model_syncs::{self, Observation};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::workshop::{Account, NEXT_SYNC, SYNC, Workshop, plan};

const MODEL: &str = "hris.Employee";

/// What stands in for the sandbox: answers each cursor as a test wants, and remembers them.
struct Liar {
    workshop: Workshop,
    account: Account,
    asked: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<()>,
}

impl Liar {
    async fn new(answer: fn(&str) -> String) -> Self {
        let mut workshop = Workshop::new().await;
        let account = workshop.linked("acme").await;
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let list = move |RawQuery(query): RawQuery| async move {
            let query = query.unwrap_or_default();
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            let cursor = pairs
                .into_owned()
                .find(|(name, _)| name == "cursor")
                .map(|(_, value)| value)
                .unwrap_or_default();
            let body = answer(&cursor);
            noted.lock().unwrap().push(cursor);
            ([("content-type", "application/json")], body).into_response()
        };
        let router = Router::new().fallback(list);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = TaskTracker::new().spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        let settings = merge_client::Settings::new(base.parse().unwrap(), "key".into());
        Arc::make_mut(&mut workshop.context).merge = MergeClient::new(settings).unwrap();
        let observation = Observation {
            model_id: MODEL.to_owned(),
            ready_through: Some(workshop.sandbox.now()),
            ..Observation::default()
        };
        let mut conn = workshop.pool().acquire().await.unwrap();
        model_syncs::observe(&mut conn, account.id, &[observation])
            .await
            .unwrap();
        Self {
            workshop,
            account,
            asked,
            _server: AbortOnDropHandle::new(server),
        }
    }

    async fn fetch(&self) -> JobView {
        self.workshop
            .perform(&FetchModelWindow {
                account_id: self.account.id,
                model_id: MODEL.to_owned(),
            })
            .await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    async fn watermark(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        let model = self.workshop.model(self.account.id, MODEL).await;
        model.fetched_through
    }
}

#[tokio::test]
async fn a_cursor_that_comes_again_ends_the_walk_after_a_few_tries() {
    let liar = Liar::new(|cursor| match cursor {
        "" => json!({ "next": "a", "results": [{ "id": "1" }] }).to_string(),
        "a" => json!({ "next": "b", "results": [{ "id": "2" }] }).to_string(),
        _ => json!({ "next": "a", "results": [{ "id": "3" }] }).to_string(),
    })
    .await;

    let job = liar.fetch().await;

    assert_eq!(job.attempts[0].error_class, "endless_pages");
    // On a slow machine the first back-off may be over already.
    let attempts = job.attempts.len();
    assert_eq!(
        liar.asked().len(),
        attempts * 6 * 3,
        "six walks of three pages each"
    );
    assert_eq!(liar.watermark().await, None);
}

#[tokio::test]
async fn of_a_next_that_is_an_address_only_the_cursor_is_used() {
    let liar = Liar::new(|cursor| {
        let next = match cursor {
            "" => "http://evil.example/elsewhere?cursor=one&page_size=1",
            "one" => "https://user:pw@169.254.169.254/?cursor=two",
            "two" => "three",
            _ => return json!({ "next": null, "results": [{ "id": "4" }] }).to_string(),
        };
        json!({ "next": next, "results": [{ "id": cursor, "remote_id": "r" }] }).to_string()
    })
    .await;

    let job = liar.fetch().await;

    assert_eq!(job.state, JobState::Completed, "{job:?}");
    assert_eq!(liar.asked(), ["", "one", "two", "three"]);
}

#[tokio::test]
async fn an_address_without_a_cursor_is_not_taken_for_the_end() {
    let liar = Liar::new(|_| {
        json!({ "next": "https://api.merge.dev/api/hris/v1/employees", "results": [] }).to_string()
    })
    .await;

    let job = liar.fetch().await;

    assert_eq!(job.attempts[0].error_class, "decode");
    assert_eq!(liar.watermark().await, None);
}

#[tokio::test]
async fn json_of_another_shape_is_tried_again_and_moves_nothing() {
    let shapes: [fn(&str) -> String; 4] = [
        |_| r#"{"next": null, "results": "many"}"#.to_owned(),
        |_| r#"{"next": null, "results": [[1, 2]]}"#.to_owned(),
        |_| r#"{"next": 7, "results": []}"#.to_owned(),
        |_| r#"{"next": null}"#.to_owned(),
    ];
    for shape in shapes {
        let liar = Liar::new(shape).await;

        let job = liar.fetch().await;

        assert_eq!(job.attempts[0].error_class, "decode");
        assert!(!job.state.has_ended());
        assert_eq!(liar.watermark().await, None);
    }
}

#[tokio::test]
async fn pages_that_are_too_long_are_asked_for_in_smaller_parts() {
    let mut workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 45)])).await;
    let account = workshop.linked("acme").await;
    let base = workshop.sandbox.base_url().clone();
    let settings = merge_client::Settings {
        // A few records, but not ten.
        max_body_bytes: 6_000,
        ..merge_client::Settings::new(base, super::workshop::API_KEY.into())
    };
    Arc::make_mut(&mut workshop.context).merge = MergeClient::new(settings).unwrap();
    workshop.sandbox.advance(SYNC);

    workshop.poll(&account).await;

    workshop.assert_equal_to_truth(&account).await;
    let page_size = sqlx::query_scalar!("SELECT page_size FROM syncline.fetch_windows")
        .fetch_one(workshop.pool())
        .await
        .unwrap();
    assert!(
        page_size.is_some_and(|size| (1..10).contains(&size)),
        "{page_size:?}"
    );
}

#[tokio::test]
async fn records_without_an_id_are_told_apart_by_what_they_have() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[("ats.Tag", 25)])).await;
    let (begun, link_token) = workshop.begin_link("acme", "ats").await;
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

    assert_eq!(workshop.model(account.id, "ats.Tag").await.records, 25);
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn one_broken_account_holds_up_no_other_and_is_left_alone_after_a_while() {
    let workshop = Workshop::new().await;
    let broken = workshop.synced("broken").await;
    let well = workshop.synced("well").await;
    workshop.sandbox.add_fault(Fault {
        path_prefix: "/".to_owned(),
        account_token: Some(workshop.account_token(&broken).await),
        times: 10_000,
        kind: FaultKind::Html { status: 502 },
    });

    for _ in 0..10 {
        workshop.sandbox.advance(NEXT_SYNC);
        workshop.poll(&broken).await;
        workshop.poll(&well).await;
        workshop.advance(Duration::from_mins(30)).await;
    }
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    let requests = workshop.sandbox.state().requests;
    workshop.poll(&broken).await;
    assert_eq!(workshop.sandbox.state().requests, requests, "left alone");
    workshop.poll(&well).await;

    workshop.assert_equal_to_truth(&well).await;
}

#[tokio::test]
async fn a_finish_that_goes_back_is_ignored() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let before = workshop.model(account.id, MODEL).await;
    let earlier = before.fetched_through.unwrap() - chrono::TimeDelta::hours(1);
    let requests = workshop.sandbox.state().requests;

    workshop
        .deliver(&json!({
            "hook": { "event": "Employee.synced" },
            "linked_account": { "id": account.merge_id },
            "data": { "sync_status": {
                "model_id": MODEL, "status": "DONE", "last_sync_result": "DONE",
                "last_sync_finished": earlier, "is_initial_sync": false,
            } },
        }))
        .await;

    let after = workshop.model(account.id, MODEL).await;
    assert_eq!(after.fetched_through, before.fetched_through);
    assert_eq!(after.available_through, before.available_through);
    assert_eq!(workshop.sandbox.state().requests, requests);
}
