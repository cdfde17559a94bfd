use std::time::Duration;

use merge_sandbox::{AccountPlan, CompleteLink, Options, Outcome};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{API_KEY, Merge, still};

fn request(origin: &str) -> Value {
    json!({
        "end_user_origin_id": origin,
        "end_user_organization_name": "Harbour & Fjord GmbH",
        "end_user_email_address": "it-admin@example.com",
        "categories": ["hris"],
    })
}

async fn link_token(merge: &Merge, address: &str, body: Value) -> String {
    let response = merge.post(address, "", body).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = response.json().await.unwrap();
    answer["link_token"].as_str().unwrap().to_owned()
}

async fn exchange(merge: &Merge, address: &str, public_token: &str) -> Result<Value, StatusCode> {
    let url = merge.url(&format!("{address}/{public_token}"));
    let response = merge
        .client
        .get(url)
        .bearer_auth(API_KEY)
        .send()
        .await
        .unwrap();
    match response.status() {
        StatusCode::OK => Ok(response.json().await.unwrap()),
        status => Err(status),
    }
}

#[tokio::test]
async fn both_addresses_lead_from_a_link_token_to_an_account() {
    let merge = Merge::start(still()).await;
    for (origin, create, account_token) in [
        (
            "a",
            "/api/integrations/create-link-token",
            "/api/integrations/account-token",
        ),
        ("b", "/api/hris/v1/link-token", "/api/hris/v1/account-token"),
    ] {
        let link_token = link_token(&merge, create, request(origin)).await;
        let choice = CompleteLink {
            integration: Some("bamboohr".to_owned()),
            plan: None,
        };
        let done = merge.handle().complete_link(&link_token, &choice).unwrap();

        let exchanged = exchange(&merge, account_token, &done.public_token)
            .await
            .unwrap();
        let token = exchanged["account_token"].as_str().unwrap();
        let details = merge.json("/api/hris/v1/account-details", token).await;

        assert_eq!(exchanged["integration"]["slug"], "bamboohr");
        assert_eq!(exchanged["id"], details["id"]);
        assert_eq!(details["integration"], "BambooHR");
        assert_eq!(details["end_user_origin_id"], origin);
        assert_eq!(details["status"], "COMPLETE");
        assert_eq!(
            exchange(&merge, account_token, &done.public_token).await,
            Err(StatusCode::NOT_FOUND)
        );
    }
}

#[tokio::test]
async fn a_link_token_works_once_and_for_half_an_hour() {
    let merge = Merge::start(still()).await;
    let create = "/api/integrations/create-link-token";
    let choice = CompleteLink::default();

    let used = link_token(&merge, create, request("a")).await;
    merge.handle().complete_link(&used, &choice).unwrap();
    assert!(merge.handle().complete_link(&used, &choice).is_err());

    let old = link_token(&merge, create, request("b")).await;
    merge.handle().advance(Duration::from_mins(30));
    assert!(merge.handle().complete_link(&old, &choice).is_err());
}

#[tokio::test]
async fn linking_again_keeps_id_token_and_integration() {
    let merge = Merge::start(still()).await;
    let mut seen = Vec::new();
    for slug in ["bamboohr", "gusto"] {
        let link_token = link_token(
            &merge,
            "/api/integrations/create-link-token",
            request("org_1"),
        )
        .await;
        let choice = CompleteLink {
            integration: Some(slug.to_owned()),
            plan: None,
        };
        let done = merge.handle().complete_link(&link_token, &choice).unwrap();
        seen.push(
            exchange(
                &merge,
                "/api/integrations/account-token",
                &done.public_token,
            )
            .await
            .unwrap(),
        );
        merge
            .handle()
            .set_status(done.linked_account_id, "RELINK_NEEDED")
            .unwrap();
        merge.handle().advance(Duration::from_mins(1));
    }

    assert_eq!(seen[0], seen[1]);
    assert_eq!(merge.handle().accounts().len(), 1);
}

#[tokio::test]
async fn a_new_account_after_a_deletion_is_another() {
    let merge = Merge::start(still()).await;
    let first = merge.link("hris", AccountPlan::default());
    let deleted = merge
        .post(
            "/api/hris/v1/delete-account",
            &first.account_token,
            json!(null),
        )
        .await;

    let second = merge.link("hris", AccountPlan::default());

    assert_eq!(deleted.status(), StatusCode::OK);
    assert_ne!(first.id, second.id);
    assert_ne!(first.account_token, second.account_token);
    let gone = merge
        .get("/api/hris/v1/account-details", &first.account_token)
        .await;
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let again = merge
        .post(
            "/api/hris/v1/delete-account",
            &first.account_token,
            json!(null),
        )
        .await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_regenerated_token_replaces_the_old_one() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", AccountPlan::default());

    let response = merge
        .post(
            "/api/hris/v1/account-token/regenerate",
            &account.account_token,
            json!({}),
        )
        .await;
    let answer: Value = response.json().await.unwrap();

    assert_eq!(answer["linked_account_id"], account.id.to_string());
    merge
        .json(
            "/api/hris/v1/account-details",
            answer["account_token"].as_str().unwrap(),
        )
        .await;
    let old = merge
        .get("/api/hris/v1/account-details", &account.account_token)
        .await;
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_for_a_link_token_is_named() {
    let merge = Merge::start(Options {
        has_error_budget: false,
        ..still()
    })
    .await;
    let without = |field: &str| {
        let mut body = request("a");
        body.as_object_mut().unwrap().remove(field);
        (body, field.to_owned())
    };
    let with = |field: &str, value: Value| {
        let mut body = request("a");
        body[field] = value;
        (body, field.to_owned())
    };
    for (body, field) in [
        without("end_user_origin_id"),
        without("end_user_organization_name"),
        without("end_user_email_address"),
        without("categories"),
        with("categories", json!(["nonsense"])),
        with("categories", json!([])),
        with("integration", json!("salesforce")),
        with("link_expiry_mins", json!(5)),
        with("link_expiry_mins", json!(10_080)),
    ] {
        let response = merge
            .post("/api/integrations/create-link-token", "", body)
            .await;

        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{field}");
        let answer: Value = response.json().await.unwrap();
        assert!(answer[&field].is_array(), "{field}: {answer}");
    }
}

#[tokio::test]
async fn linked_accounts_are_listed_with_filters_and_pages() {
    let merge = Merge::start(still()).await;
    let hris = merge.link("hris", AccountPlan::default());
    let crm = merge.link("crm", AccountPlan::default());
    merge.link(
        "ats",
        AccountPlan {
            is_production: false,
            ..AccountPlan::default()
        },
    );
    merge.handle().set_status(crm.id, "RELINK_NEEDED").unwrap();
    let ids = async |query: &str| {
        let (found, _) = merge
            .walk(&format!("/api/hris/v1/linked-accounts{query}"), "", || ())
            .await;
        found
            .iter()
            .map(|account| account["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };

    assert_eq!(
        ids("?page_size=1").await,
        [hris.id.to_string(), crm.id.to_string()]
    );
    assert_eq!(ids("?status=RELINK_NEEDED").await, [crm.id.to_string()]);
    assert_eq!(
        ids("?end_user_origin_id=org_hris").await,
        [hris.id.to_string()]
    );
    assert_eq!(ids(&format!("?ids={},{}", hris.id, crm.id)).await.len(), 2);
    assert_eq!(ids("?is_test_account=true").await.len(), 1);
}

#[tokio::test]
async fn integrations_come_bare_to_anyone_and_in_pages_to_the_key() {
    let merge = Merge::start(still()).await;

    let all: Value = merge
        .client
        .get(merge.url("/api/integrations"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let (enabled, pages) = merge
        .walk("/api/organizations/integrations?page_size=10", "", || ())
        .await;

    assert_eq!(all.as_array().unwrap(), &enabled);
    assert!(pages > 1);
    assert!(
        enabled
            .iter()
            .all(|one| one["slug"].is_string() && one["categories"].is_array())
    );
}

#[tokio::test]
async fn a_plan_with_a_model_of_another_category_is_refused() {
    let merge = Merge::start(still()).await;
    let link_token = link_token(&merge, "/api/integrations/create-link-token", request("a")).await;
    let plan = AccountPlan {
        outcomes: [("crm.Lead".to_owned(), Outcome::Failed)].into(),
        ..AccountPlan::default()
    };

    let result = merge.handle().complete_link(
        &link_token,
        &CompleteLink {
            integration: None,
            plan: Some(plan),
        },
    );

    assert!(result.is_err());
    assert!(merge.handle().accounts().is_empty());
}
