//! Users and keys, made and taken away at the console.

use crate::support::visitor::{Visitor, browse};
use crate::support::{Call, TestApp};

/// The secret that a page shows.
fn secret(page: &str) -> String {
    let notice = page.split(r#"<div class="notice" role="status">"#).nth(1);
    let code = notice.and_then(|notice| notice.split("<code>").nth(1));
    let secret = code.and_then(|code| code.split("</code>").next());
    secret
        .unwrap_or_else(|| panic!("no secret in {page}"))
        .to_owned()
}

async fn id_of_newest_key(app: &TestApp) -> String {
    let newest = sqlx::query_scalar!("SELECT max(id::text) FROM syncline.api_keys");
    newest.fetch_one(app.pool()).await.unwrap().unwrap()
}

async fn is_out(app: &TestApp, visitor: &Visitor<'_>) -> bool {
    let call = browse(http::Method::GET, "/console/jobs").header("cookie", &visitor.cookie);
    app.call(call).await.status == 303
}

#[tokio::test]
async fn a_user_added_here_logs_in_gets_another_password_and_is_removed() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;

    let added = admin
        .post("users/add", &[("name", "anna"), ("role", "operator")])
        .await;
    let first = secret(&added.page());
    assert_eq!(added.header("cache-control"), Some("no-store"));
    let anna = app
        .visitor_with(&[("name", "anna"), ("password", &first)])
        .await;
    let list = admin.get("users").await.page();
    assert!(list.contains("anna") && !list.contains(&first), "{list}");
    let again = admin
        .post("users/add", &[("name", "anna"), ("role", "viewer")])
        .await;
    assert_eq!(again.status, 409, "{}", again.page());

    let changed = admin.post("users/password", &[("name", "anna")]).await;
    let second = secret(&changed.page());
    assert_ne!(first, second);
    assert!(is_out(&app, &anna).await, "her session is over");
    let anna = app
        .visitor_with(&[("name", "anna"), ("password", &second)])
        .await;

    admin.follow("users/remove", &[("name", "anna")]).await;
    assert!(is_out(&app, &anna).await, "her session is over");
    for password in [first, second] {
        app.assert_nowhere_in_database(&password).await;
    }
}

#[tokio::test]
async fn a_key_made_here_may_what_was_chosen_until_it_is_revoked() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let fields = [
        ("name", "the backend"),
        ("organization", "org_1"),
        ("read", "yes"),
        ("expires_at", "2099-01-31T23:59"),
    ];

    let made = admin.post("keys/create", &fields).await;
    let key = secret(&made.page());
    let list = admin.get("keys").await.page();
    assert_eq!(made.header("cache-control"), Some("no-store"));
    for shown in ["the backend", "org_1", &key[..11], "2099-01-31 23:59:00"] {
        assert!(list.contains(shown), "{shown} in {list}");
    }
    assert!(!list.contains(&key), "{list}");
    app.assert_nowhere_in_database(&key).await;

    let path = "/api/merge/linked-accounts?organization_id=org_1";
    let asking =
        || Call::new(http::Method::GET, path).header("authorization", &format!("Bearer {key}"));
    assert_eq!(app.call(asking()).await.status, 200);
    let id = id_of_newest_key(&app).await;
    let list = admin.follow("keys/revoke", &[("id", &id)]).await;
    assert!(list.contains("revoked"), "{list}");
    assert_eq!(app.call(asking()).await.status, 401);
}

#[tokio::test]
async fn a_key_that_could_do_nothing_is_not_made() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let before = app.audited().await;
    for fields in [
        vec![("name", "no scope")],
        vec![("name", "  "), ("read", "yes")],
        vec![("name", "late"), ("read", "yes"), ("expires_at", "soon")],
    ] {
        let answer = admin.post("keys/create", &fields).await;
        assert!(
            answer.status.is_client_error(),
            "{fields:?}: {}",
            answer.status
        );
    }
    assert_eq!(app.audited().await, before);
}
