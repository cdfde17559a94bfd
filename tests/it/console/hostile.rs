//! Whatever customers, third parties and errors say stays text.

use queue::NewJob;
use serde_json::json;

use crate::support::{Call, TestApp};

/// Each with the part of it that must not arrive as it is.
const STRINGS: [(&str, &str); 8] = [
    ("<script>alert(1)</script>", "<script>alert"),
    (r#""><img src=x onerror=alert(2)>"#, "<img src=x"),
    ("'><svg/onload=alert(3)>", "<svg/onload"),
    (
        "</title><script src=//evil.example></script>",
        "<script src=//",
    ),
    ("</pre><iframe srcdoc=x>", "<iframe"),
    (
        r#"x" autofocus onfocus="alert(4)"#,
        r#"" autofocus onfocus=""#,
    ),
    ("{{7*7}}${7*7}<%= 7*7 %>", "<%="),
    (
        "\u{202e}<math><mi xlink:href=javascript:alert(5)>",
        "<math>",
    ),
];

#[tokio::test]
async fn hostile_strings_are_shown_and_do_nothing() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    for (hostile, raw) in STRINGS {
        let body = json!({
            "organization_id": hostile, "category": "hris",
            "end_user_organization_name": hostile, "end_user_email_address": "it@customer.example",
        });
        let linking = Call::post("/api/merge/create-link-token").header("prefer", "respond-async");
        app.call(linking.json(&body)).await;
        let job = jobs::delete_account::DeleteAccount {
            account_id: store::AccountId::new(),
        };
        let job = NewJob::new(&job).unwrap().organization(hostile);
        let mut connection = app.pool().acquire().await.unwrap();
        let waiting = queue::enqueue(&mut *connection, &job).await.unwrap().id;
        drop(connection);
        let dead = app.dead_job(hostile).await;
        let pause = [("scope", "kind"), ("name", hostile), ("reason", hostile)];
        admin.post("queues/pause", &pause).await;
        let edit = [("priority", "3"), ("reason", hostile)];
        admin.post(&format!("jobs/{waiting}/edit"), &edit).await;
        let accounts =
            sqlx::query_scalar!("SELECT id FROM syncline.linked_accounts ORDER BY id DESC LIMIT 1");
        let account = accounts
            .fetch_optional(app.pool())
            .await
            .unwrap()
            .unwrap_or_default();
        let encoded: String = url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect();

        for page in [
            String::new(),
            "jobs".to_owned(),
            format!(
                "jobs?error={encoded}&organization={encoded}&tag={encoded}&class={encoded}&kind={encoded}"
            ),
            format!("jobs?lane={encoded}"),
            format!("jobs/{waiting}"),
            format!("jobs/{dead}"),
            "dead".to_owned(),
            "queues".to_owned(),
            "accounts".to_owned(),
            format!("accounts?organization={encoded}&category={encoded}"),
            format!("accounts/{account}"),
            format!("webhooks?event={encoded}"),
            "audit".to_owned(),
            format!("audit?target={encoded}"),
            format!("search?q={encoded}zzz"),
            format!("login?next={encoded}"),
        ] {
            let answer = admin.get(&page).await;
            // An organization may be refused by the API; then there is no account of it.
            let is_there =
                answer.status == 200 || page == format!("accounts/{}", uuid::Uuid::nil());
            assert!(is_there, "{page}: {}", answer.status);
            let html = answer.page();
            assert!(!html.contains(raw), "{page} holds {raw}");
        }
        // What is told after a change, and what is refused, too.
        let refused = admin
            .post(
                "queues/resume",
                &[("scope", "kind"), ("name", &format!("{hostile}!"))],
            )
            .await;
        assert_eq!(refused.status, 409);
        assert!(!refused.page().contains(raw));
    }
    let shown = admin.get("dead").await.page();
    assert!(shown.contains("&#60;script&#62;alert(1)"), "{shown}");
}

#[tokio::test]
async fn what_no_text_can_hold_is_no_fault_of_ours() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    for page in [
        "jobs?error=%00&lane=%00x&organization=%00",
        "jobs?error=%ff%fe",
        "accounts?organization=%00a",
        "webhooks?event=%00",
        "audit?target=%00",
        "search?q=%00",
    ] {
        assert_eq!(admin.get(page).await.status, 200, "{page}");
    }
    let long = "x".repeat(5_000);
    let answer = admin.get(&format!("jobs?error={long}")).await;
    assert_eq!(answer.status, 422);
    let answer = admin.post("bulk", &[("filter", &"y".repeat(70_000))]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn secrets_in_a_payload_are_not_shown() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let id = app.waiting_job().await;
    sqlx::query!(
        "UPDATE syncline.jobs SET payload = $2 WHERE id = $1",
        id.0,
        json!({ "account_token": "canary-1", "deep": [{ "Authorization": "canary-2" }], "free": "Bearer canary-3" })
    )
    .execute(app.pool())
    .await
    .unwrap();

    let page = admin.get(&format!("jobs/{id}")).await.page();

    assert!(!page.contains("canary"), "{page}");
    assert!(page.contains("(hidden)"));
}
