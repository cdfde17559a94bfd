//! What each call sends, and how it reads good answers.

use merge_client::{Category, Deletion, Error, LinkTokenRequest, ListQuery, catalogue};
use secrecy::{ExposeSecret as _, SecretString};

use crate::server::{ACCOUNT_TOKEN, API_KEY, Server, answer, json, token};

#[tokio::test]
async fn makes_a_link_token() {
    let server = Server::json(
        200,
        r#"{"link_token": "lt", "integration_name": null, "magic_link_url": null}"#,
    )
    .await;
    let request = LinkTokenRequest {
        end_user_origin_id: "org_hris_1".to_owned(),
        end_user_organization_name: "Harbor".to_owned(),
        end_user_email_address: "it@harbor.example".to_owned(),
        categories: vec![Category::HRIS],
        integration: None,
    };

    let made = server.client().create_link_token(&request).await.unwrap();

    assert_eq!(made.link_token.expose_secret(), "lt");
    let asked = &server.asked()[0];
    assert_eq!(
        (asked.method.as_str(), asked.uri.path()),
        ("POST", "/api/integrations/create-link-token")
    );
    assert_eq!(asked.header("authorization"), format!("Bearer {API_KEY}"));
    assert_eq!(asked.header("user-agent"), "syncline/0.0.0");
    assert_eq!(asked.header("content-type"), "application/json");
    assert_eq!(asked.header("accept-encoding"), "gzip");
    assert_eq!(asked.header("x-account-token"), "");
    let body: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(
        body,
        serde_json::json!({
            "end_user_origin_id": "org_hris_1",
            "end_user_organization_name": "Harbor",
            "end_user_email_address": "it@harbor.example",
            "categories": ["hris"],
        })
    );
}

#[tokio::test]
async fn exchanges_a_public_token_that_needs_encoding() {
    let server = Server::json(
        200,
        r#"{"account_token": "at", "id": "la-1",
            "integration": {"name": "BambooHR", "slug": "bamboohr", "categories": ["hris"]}}"#,
    )
    .await;

    let exchanged = server
        .client()
        .exchange_public_token(&"a/../b?c#d e%41".into())
        .await
        .unwrap();

    assert_eq!(exchanged.account_token.expose(), "at");
    assert_eq!(exchanged.linked_account_id.as_deref(), Some("la-1"));
    assert_eq!(exchanged.integration_name.as_deref(), Some("BambooHR"));
    assert_eq!(exchanged.integration_slug.as_deref(), Some("bamboohr"));
    let path = "/api/integrations/account-token/a%2F..%2Fb%3Fc%23d%20e%2541";
    assert_eq!(server.asked()[0].uri.to_string(), path);
}

#[tokio::test]
async fn a_token_that_would_leave_the_path_is_not_sent() {
    let server = Server::json(200, "{}").await;

    for public_token in ["", ".", ".."] {
        let public_token = SecretString::from(public_token);
        let error = server
            .client()
            .exchange_public_token(&public_token)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Unsendable { .. }));
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn details_take_the_integration_in_either_form() {
    for (body, name) in [
        (
            r#"{"id": "1", "integration": "BambooHR", "status": "NEW_WORD", "more": {}}"#,
            Some("BambooHR"),
        ),
        (
            r#"{"id": "1", "integration": {"name": "BambooHR", "slug": "b"}, "status": "NEW_WORD"}"#,
            Some("BambooHR"),
        ),
        (
            r#"{"id": "1", "integration": null, "status": "NEW_WORD", "is_duplicate": null}"#,
            None,
        ),
        (r#"{"id": "1", "status": "NEW_WORD"}"#, None),
    ] {
        let server = Server::json(200, body).await;

        let details = server
            .client()
            .account(Category::ATS, &token())
            .details()
            .await
            .unwrap();

        assert_eq!(details.integration.as_deref(), name, "{body}");
        assert_eq!(details.status.as_deref(), Some("NEW_WORD"));
        let asked = &server.asked()[0];
        assert_eq!(asked.uri.path(), "/api/ats/v1/account-details");
        assert_eq!(asked.header("x-account-token"), ACCOUNT_TOKEN);
    }
}

#[tokio::test]
async fn sync_status_reads_all_pages_and_skips_what_has_no_id() {
    let server = Server::start(|asked| match asked.uri.query().unwrap_or_default() {
        "page_size=100" => json(
            200,
            r#"{"next": "c/1=", "results": [{"model_id": "hris.Employee", "status": "DONE"}, {"status": "DONE"}]}"#,
        ),
        "page_size=100&cursor=c%2F1%3D" => {
            json(200, r#"{"next": null, "results": [{"model": "hris.teams", "status": "SYNCING"}]}"#)
        }
        other => json(400, format!(r#"{{"detail": "{other}"}}"#)),
    })
    .await;

    let statuses = server
        .client()
        .account(Category::HRIS, &token())
        .sync_status()
        .await
        .unwrap();

    let ids: Vec<_> = statuses
        .iter()
        .map(|status| status.model_id.as_str())
        .collect();
    assert_eq!(ids, ["hris.Employee", "hris.teams"]);
}

#[tokio::test]
async fn lists_a_page_and_repeats_the_filters_with_the_cursor() {
    let server = Server::json(
        200,
        r#"{"next": "https://evil.test/api?cursor=two%3D", "results": [{"id": "e1", "x": {"y": [1.10]}}]}"#,
    )
    .await;
    let query = ListQuery {
        modified_after: Some("2026-02-04T03:16:41.730912Z".parse().unwrap()),
        modified_before: None,
        include_deleted_data: true,
        cursor: Some("one+/=".to_owned()),
        page_size: 100,
    };
    let model = catalogue::find("hris.Employee").unwrap();

    let page = server
        .client()
        .account(Category::HRIS, &token())
        .list(model, &query)
        .await
        .unwrap();

    assert_eq!(page.next.as_deref(), Some("two="));
    assert_eq!(
        page.records[0].data.get(),
        r#"{"id": "e1", "x": {"y": [1.10]}}"#
    );
    assert_eq!(
        server.asked()[0].uri.to_string(),
        "/api/hris/v1/employees?page_size=100&include_deleted_data=true\
         &modified_after=2026-02-04T03%3A16%3A41.730912Z&cursor=one%2B%2F%3D"
    );
}

#[tokio::test]
async fn resync_reads_a_bare_array() {
    let server = Server::json(200, r#"[{"model_id": "crm.Lead", "status": "SYNCING"}]"#).await;

    let statuses = server
        .client()
        .account(Category::CRM, &token())
        .resync()
        .await
        .unwrap();

    assert_eq!(statuses.len(), 1);
    assert_eq!(
        server.asked()[0].uri.path(),
        "/api/crm/v1/sync-status/resync"
    );
}

#[tokio::test]
async fn deletion_needs_no_body_and_takes_404_for_gone() {
    for (status, content_type, body, outcome) in [
        (200, "text/plain", "", Deletion::Done),
        (200, "application/json", "{}", Deletion::Done),
        (204, "text/html", "", Deletion::Done),
        (
            404,
            "application/json",
            r#"{"detail": "Not found."}"#,
            Deletion::AlreadyGone,
        ),
    ] {
        let server =
            Server::start(move |_| answer(status, &[("content-type", content_type)], body)).await;

        let deletion = server
            .client()
            .account(Category::CRM, &token())
            .delete()
            .await
            .unwrap();

        assert_eq!(deletion, outcome);
        let asked = &server.asked()[0];
        assert_eq!(
            (asked.method.as_str(), asked.uri.path()),
            ("POST", "/api/crm/v1/delete-account")
        );
    }
}
