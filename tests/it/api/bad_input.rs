//! What does not fit is refused, named, and leaves nothing behind.

use http::Method;
use serde_json::json;

use crate::support::{Call, TestApp};

const CREATE: &str = "/api/merge/create-link-token";
const EXCHANGE: &str = "/api/merge/exchange-public-token";
const RELINK: &str = "/api/merge/relink-integration";
const DELETE: &str = "/api/merge/delete-integration";
const CHECK: &str = "/api/merge/check-sync-status";
const ALL_POSTS: [&str; 5] = [CREATE, EXCHANGE, RELINK, DELETE, CHECK];
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// A body of the route that would be taken, with one field set to something else.
fn create_with(field: &str, value: serde_json::Value) -> serde_json::Value {
    let mut body = json!({
        "organization_id": "org_1",
        "category": "hris",
        "end_user_organization_name": "Harbor & Fjord",
        "end_user_email_address": "it@harborfjord.example",
    });
    body[field] = value;
    body
}

#[tokio::test]
async fn every_post_refuses_what_is_no_json_object_of_its_fields() {
    let app = TestApp::new().await;
    for route in ALL_POSTS {
        for (body, status) in [
            ("", 400),
            ("{", 400),
            ("{a: 1}", 400),
            ("\u{feff}{}", 400),
            ("{} trailing", 422),
            ("[]", 422),
            ("null", 422),
            ("7", 422),
            (r#""text""#, 422),
            ("{}", 422),
        ] {
            let answer = app.call(Call::post(route).text(body)).await;
            answer.expect(status);
        }
        let deep = "[".repeat(100_000 / 2);
        app.call(Call::post(route).text(&deep)).await.expect(422);
        let deep = format!(r#"{{"linked_account_id":{deep}"#);
        app.call(Call::post(route).text(&deep)).await.expect(422);
    }
    app.assert_nothing_enqueued().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn a_field_that_does_not_fit_is_named() {
    let app = TestApp::new().await;
    let cases = [
        (
            CREATE,
            create_with("organization_id", json!(7)),
            "/organization_id",
        ),
        (
            CREATE,
            create_with("organization_id", json!("")),
            "/organization_id",
        ),
        (
            CREATE,
            create_with("organization_id", json!("a\u{0}b")),
            "/organization_id",
        ),
        (
            CREATE,
            create_with("organization_id", json!("x".repeat(129))),
            "/organization_id",
        ),
        (
            CREATE,
            create_with("category", json!("payroll")),
            "/category",
        ),
        (CREATE, create_with("category", json!(null)), "/category"),
        (
            CREATE,
            create_with("category", json!(["hris"])),
            "/category",
        ),
        (
            CREATE,
            create_with("end_user_organization_name", json!("  ")),
            "/end_user_organization_name",
        ),
        (
            CREATE,
            create_with("end_user_email_address", json!("nobody")),
            "/end_user_email_address",
        ),
        (
            CREATE,
            create_with("integration", json!(true)),
            "/integration",
        ),
        (CREATE, create_with("user_id", json!({})), "/user_id"),
        (CREATE, create_with("surprise", json!(1)), "/surprise"),
        (CREATE, json!({"category": "hris"}), "/organization_id"),
        (
            EXCHANGE,
            json!({"organization_id": "org_1"}),
            "/public_token",
        ),
        (
            EXCHANGE,
            json!({"organization_id": "org_1", "public_token": 1}),
            "/public_token",
        ),
        (
            EXCHANGE,
            json!({"organization_id": "org_1", "public_token": ""}),
            "/public_token",
        ),
        (
            EXCHANGE,
            json!({"organization_id": "org_1", "public_token": "p", "x": 1}),
            "/x",
        ),
        (
            RELINK,
            json!({"linked_account_id": "no uuid"}),
            "/linked_account_id",
        ),
        (
            RELINK,
            json!({"linked_account_id": NOBODY, "integration_id": NOBODY}),
            "/linked_account_id",
        ),
        (RELINK, json!({"account": NOBODY}), "/account"),
        (
            DELETE,
            json!({"linked_account_id": 7}),
            "/linked_account_id",
        ),
        (
            DELETE,
            json!({"linked_account_id": NOBODY, "force": true}),
            "/force",
        ),
        (
            CHECK,
            json!({"linked_account_id": null}),
            "/linked_account_id",
        ),
    ];
    for (route, body, field) in cases {
        let answer = app.post(route, &body).await;
        let problem = answer.expect(422);
        assert_eq!(answer.faults(), [field], "{route} {body}: {problem}");
    }
    app.assert_nothing_enqueued().await;
}

#[tokio::test]
async fn an_unknown_category_is_told_the_known_ones() {
    let app = TestApp::new().await;

    let problem = app
        .post(CREATE, &create_with("category", json!("payroll")))
        .await
        .expect(422);

    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    for category in merge_client::catalogue::Category::ALL {
        assert!(detail.contains(category.as_str()), "{detail}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_no_json_are_refused() {
    let app = TestApp::new().await;
    for route in ALL_POSTS {
        let large = format!(r#"{{"linked_account_id":"{}"}}"#, "x".repeat(65_536));
        app.call(Call::post(route).text(&large)).await.expect(413);

        let form = Call::post(route)
            .text("a=1")
            .header("content-type", "text/plain");
        app.call(form).await.expect(415);
        let bare = Call::post(route).text("{}").without("content-type");
        app.call(bare).await.expect(415);
    }
    app.assert_nothing_enqueued().await;
}

#[tokio::test]
async fn an_account_that_is_not_there_is_not_found() {
    let app = TestApp::new().await;
    for route in [RELINK, DELETE, CHECK] {
        app.post(route, &json!({"linked_account_id": NOBODY}))
            .await
            .expect(404);
        app.post(route, &json!({"integration_id": NOBODY}))
            .await
            .expect(404);
    }
    for path in [
        &format!("/api/merge/linked-accounts/{NOBODY}"),
        "/api/merge/linked-accounts/no-uuid",
        &format!("/api/merge/records/hris.Employee?linked_account_id={NOBODY}"),
        &format!("/api/merge/records/hris.Unicorn?linked_account_id={NOBODY}"),
        &format!("/api/jobs/{NOBODY}"),
        "/api/jobs/7",
        "/api/merge",
        "/",
        "/no/such/place",
    ] {
        app.get(path).await.expect(404);
    }
    app.assert_nothing_enqueued().await;
}

#[tokio::test]
async fn a_query_that_does_not_fit_names_the_parameter() {
    let app = TestApp::new().await;
    let accounts = "/api/merge/linked-accounts";
    let records = "/api/merge/records/hris.Employee";
    for (path, query, parameter) in [
        (accounts, "", "organization_id"),
        (accounts, "organization_id=", "organization_id"),
        (accounts, "organization_id=a%00b", "organization_id"),
        (accounts, "organization_id=a&category=payroll", "category"),
        (accounts, "organization_id=a&status=odd", "status"),
        (accounts, "organization_id=a&limit=0", "limit"),
        (accounts, "organization_id=a&limit=101", "limit"),
        (accounts, "organization_id=a&limit=x", "limit"),
        (accounts, "organization_id=a&cursor=made-up", "cursor"),
        (accounts, "organization_id=a&page=2", "page"),
        (records, "", "linked_account_id"),
        (records, "linked_account_id=7", "linked_account_id"),
        (
            records,
            &format!("linked_account_id={NOBODY}&changed_after=noon"),
            "changed_after",
        ),
        (
            records,
            &format!("linked_account_id={NOBODY}&include_deleted=1"),
            "include_deleted",
        ),
        (
            records,
            &format!("linked_account_id={NOBODY}&cursor=%FF"),
            "cursor",
        ),
    ] {
        let answer = app.get(&format!("{path}?{query}")).await;
        let problem = answer.expect(422);
        assert_eq!(answer.faults(), [parameter], "{path}?{query}: {problem}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = TestApp::new().await;

    let answer = app.call(Call::new(Method::PUT, CREATE)).await;

    answer.expect(405);
    assert_eq!(answer.header("allow"), Some("POST"));
}

#[tokio::test]
async fn a_header_that_does_not_fit_is_named() {
    let app = TestApp::new().await;
    for key in ["", "two words", "ü", &"k".repeat(256)] {
        let call = Call::post(DELETE)
            .json(&json!({"linked_account_id": NOBODY}))
            .header("idempotency-key", key);
        let answer = app.call(call).await;
        answer.expect(400);
        assert_eq!(answer.faults(), ["Idempotency-Key"], "{key:?}");
    }
}
