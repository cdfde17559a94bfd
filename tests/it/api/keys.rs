//! Who may do what: keys, scopes, and organizations that do not see each other.

use http::Method;
use serde_json::json;

use crate::support::{Call, NewKey, TestApp};

const ROUTES: [(Method, &str); 22] = [
    (Method::POST, "/api/merge/create-link-token"),
    (Method::POST, "/api/merge/exchange-public-token"),
    (Method::POST, "/api/merge/relink-integration"),
    (Method::POST, "/api/merge/delete-integration"),
    (Method::POST, "/api/merge/check-sync-status"),
    (Method::GET, "/api/merge/linked-accounts?organization_id=a"),
    (
        Method::GET,
        "/api/merge/linked-accounts/00000000-0000-7000-8000-000000000000",
    ),
    (Method::GET, "/api/merge/records/hris.Employee"),
    (Method::GET, "/api/merge/events"),
    (Method::GET, "/api/merge/integrations"),
    (Method::POST, "/api/merge/resync"),
    (
        Method::GET,
        "/api/jobs/00000000-0000-7000-8000-000000000000",
    ),
    (Method::GET, "/api/merge/webhook-endpoints"),
    (Method::POST, "/api/merge/webhook-endpoints"),
    (
        Method::GET,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000",
    ),
    (
        Method::PATCH,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000",
    ),
    (
        Method::DELETE,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000",
    ),
    (
        Method::POST,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000/rotate-secret",
    ),
    (
        Method::POST,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000/remove-old-secret",
    ),
    (
        Method::POST,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000/enable",
    ),
    (
        Method::POST,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000/disable",
    ),
    (
        Method::POST,
        "/api/merge/webhook-endpoints/00000000-0000-7000-8000-000000000000/test",
    ),
];

#[tokio::test]
async fn every_route_needs_a_valid_key() {
    let app = TestApp::new().await;
    let never_made = syncline::api::ApiKey::generate();
    let bearer = |key: &str| format!("Bearer {key}");
    let past = "2020-01-01T00:00:00Z".parse().unwrap();
    let expired = app.key(NewKey {
        expires_at: Some(past),
        ..NewKey::default()
    });
    let expired = expired.await;
    let revoked = app
        .key(NewKey {
            is_revoked: true,
            ..NewKey::default()
        })
        .await;
    for (method, path) in ROUTES {
        for authorization in [
            None,
            Some("Bearer".to_owned()),
            Some("Basic dXNlcjpwYXNz".to_owned()),
            Some(bearer("wrong")),
            Some(bearer(never_made.expose())),
            Some(bearer(&expired)),
            Some(bearer(&revoked)),
        ] {
            let call = Call::new(method.clone(), path).without("authorization");
            let call = match &authorization {
                Some(value) => call.header("authorization", value),
                None => call,
            };
            let answer = app.call(call).await;
            answer.expect(401);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
        }
    }
    app.assert_nothing_enqueued().await;
}

#[tokio::test]
async fn a_key_does_only_what_its_scopes_say() {
    let app = TestApp::new().await;
    let reads = app
        .key(NewKey {
            scopes: &["read"],
            ..NewKey::default()
        })
        .await;
    let links = app
        .key(NewKey {
            scopes: &["link"],
            ..NewKey::default()
        })
        .await;
    let admin = app
        .key(NewKey {
            scopes: &["admin"],
            ..NewKey::default()
        })
        .await;

    let says = app
        .key(NewKey {
            scopes: &["endpoints"],
            ..NewKey::default()
        })
        .await;

    for (method, path) in ROUTES {
        let needed = needed_scope(&method, path);
        for (key, scope) in [
            (&reads, "read"),
            (&links, "link"),
            (&says, "endpoints"),
            (&admin, needed),
        ] {
            let call = Call::new(method.clone(), path).text("{}").key(key);
            let status = app.call(call).await.status.as_u16();
            assert_eq!(status != 403, scope == needed, "{method} {path}: {status}");
        }
    }
}

fn needed_scope(method: &Method, path: &str) -> &'static str {
    if method == Method::GET || path.ends_with("check-sync-status") {
        "read"
    } else if path.contains("/webhook-endpoints") {
        "endpoints"
    } else {
        "link"
    }
}

#[tokio::test]
async fn a_key_of_one_organization_sees_nothing_of_another() {
    let app = TestApp::new().await;
    let theirs = app.linked_account("theirs", "hris").await;
    let own = app.linked_account("own", "hris").await;
    let job = app.post(
        "/api/merge/delete-integration",
        json!({"linked_account_id": theirs}),
    );
    let job_id = job.await.text("job_id");
    let before = app.count_jobs().await;
    let key = app
        .key(NewKey {
            organization_id: Some("own"),
            ..NewKey::default()
        })
        .await;

    let id = json!({"linked_account_id": theirs});
    let create = json!({
        "organization_id": "theirs", "category": "ats",
        "end_user_organization_name": "T", "end_user_email_address": "t@t.example",
    });
    let exchange = json!({"organization_id": "theirs", "public_token": "p"});
    let resync = json!({"linked_account_id": theirs, "sync_type": "FULL"});
    for call in [
        Call::post("/api/merge/create-link-token").json(&create),
        Call::post("/api/merge/exchange-public-token").json(&exchange),
        Call::post("/api/merge/relink-integration").json(&id),
        Call::post("/api/merge/delete-integration").json(&id),
        Call::post("/api/merge/check-sync-status").json(&id),
        Call::post("/api/merge/resync").json(&resync),
        Call::new(
            Method::GET,
            "/api/merge/linked-accounts?organization_id=theirs",
        ),
        Call::new(Method::GET, "/api/merge/events?organization_id=theirs"),
        Call::new(Method::GET, &format!("/api/merge/linked-accounts/{theirs}")),
        Call::new(
            Method::GET,
            &format!("/api/merge/records/hris.Employee?linked_account_id={theirs}"),
        ),
        Call::new(Method::GET, &format!("/api/jobs/{job_id}")),
    ] {
        app.call(call.key(&key)).await.expect(404);
    }
    assert_eq!(app.count_jobs().await, before);

    let list = Call::new(
        Method::GET,
        "/api/merge/linked-accounts?organization_id=own",
    )
    .key(&key);
    let list = app.call(list).await.expect(200);
    assert_eq!(list["linked_accounts"].as_array().unwrap().len(), 1);
    assert_eq!(list["linked_accounts"][0]["id"], own.to_string());
}
