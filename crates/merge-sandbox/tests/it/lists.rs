use std::collections::HashSet;

use merge_sandbox::{AccountPlan, AnswerOptions, Fields, Options};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Merge, as_values, employees, still};

const LIST: &str = "/api/hris/v1/employees";

fn ids(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_full_walk_equals_the_truth_in_every_model_of_every_category() {
    let merge = Merge::start(still()).await;
    for category in merge_client::catalogue::Category::ALL {
        let account = merge.link(category.as_str(), AccountPlan::default());
        for model in merge_client::catalogue::models(category) {
            let path = format!(
                "/api/{category}/v1/{}?page_size=7&include_deleted_data=true",
                model.path
            );

            let (records, _) = merge.walk(&path, &account.account_token, || ()).await;

            assert!(!records.is_empty(), "{}", model.model_id);
            assert_eq!(
                records,
                as_values(&merge.truth(&account, model.model_id)),
                "{}",
                model.model_id
            );
        }
    }
}

#[tokio::test]
async fn a_walk_is_complete_while_records_change() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(200));
    let before = merge.truth(&account, "hris.Employee");
    let mut turn = 0;

    let (records, pages) = merge
        .walk(
            &format!("{LIST}?page_size=10&include_deleted_data=true"),
            &account.account_token,
            || {
                let handle = merge.handle();
                handle.advance(std::time::Duration::from_secs(1));
                if turn < 15 {
                    handle
                        .create_record(account.id, "hris.Employee", Fields::new())
                        .unwrap();
                    handle
                        .change_record(
                            account.id,
                            "hris.Employee",
                            &before[turn * 13].key,
                            Fields::new(),
                        )
                        .unwrap();
                    handle
                        .delete_record(account.id, "hris.Employee", &before[turn * 13 + 1].key)
                        .unwrap();
                }
                turn += 1;
            },
        )
        .await;

    let found: HashSet<_> = ids(&records).into_iter().collect();
    assert_eq!(found.len(), records.len(), "a record came twice");
    assert!(
        before
            .iter()
            .all(|record| found.contains(record.key.as_str())),
        "a record was missed"
    );
    assert_eq!((records.len(), pages), (215, 22));
}

#[tokio::test]
async fn pages_have_30_records_unless_asked_for_and_100_at_most() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(250));

    for (query, expected) in [
        ("", 30),
        ("?page_size=100", 100),
        ("?page_size=1000", 100),
        ("?page_size=0", 30),
        ("?page_size=x", 30),
    ] {
        let page = merge
            .json(&format!("{LIST}{query}"), &account.account_token)
            .await;

        assert_eq!(
            page["results"].as_array().unwrap().len(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn deleted_records_are_left_out_unless_asked_for() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(10));
    let key = merge.truth(&account, "hris.Employee")[4].key.clone();
    merge
        .handle()
        .delete_record(account.id, "hris.Employee", &key)
        .unwrap();

    let living = merge.json(LIST, &account.account_token).await;
    let all = merge
        .json(
            &format!("{LIST}?include_deleted_data=true"),
            &account.account_token,
        )
        .await;

    assert_eq!(living["results"].as_array().unwrap().len(), 9);
    assert_eq!(all["results"].as_array().unwrap().len(), 10);
    assert_eq!(all["results"][4]["id"], key);
    assert_eq!(all["results"][4]["remote_was_deleted"], true);
}

#[tokio::test]
async fn a_record_of_a_model_without_mark_vanishes_when_deleted() {
    let merge = Merge::start(still()).await;
    let account = merge.link("accounting", AccountPlan::default());
    let before = merge.truth(&account, "accounting.PaymentTerm");

    merge
        .handle()
        .delete_record(account.id, "accounting.PaymentTerm", &before[0].key)
        .unwrap();

    let path = "/api/accounting/v1/payment-terms?include_deleted_data=true";
    let (after, _) = merge.walk(path, &account.account_token, || ()).await;
    assert_eq!(after.len(), before.len() - 1);
}

#[tokio::test]
async fn time_filters_cut_exactly_at_their_limits() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(5));
    merge
        .handle()
        .advance(std::time::Duration::from_millis(1_500));
    let changed = merge.truth(&account, "hris.Employee")[2].key.clone();
    let changed = merge
        .handle()
        .change_record(account.id, "hris.Employee", &changed, Fields::new())
        .unwrap();
    let count = async |query: &str| {
        let page = merge
            .json(&format!("{LIST}?{query}"), &account.account_token)
            .await;
        page["results"].as_array().unwrap().len()
    };

    assert_eq!(
        changed.modified_at.to_rfc3339(),
        "2026-02-03T09:00:01.500+00:00"
    );
    assert_eq!(count("modified_after=2026-02-03T09:00:01.499999Z").await, 1);
    assert_eq!(count("modified_after=2026-02-03T09:00:01.500000Z").await, 0);
    assert_eq!(
        count("modified_before=2026-02-03T09:00:01.500000Z").await,
        4
    );
    assert_eq!(
        count("modified_before=2026-02-03T09:00:01.500001Z").await,
        5
    );
    assert_eq!(
        count("modified_after=2026-02-03T10:00:01.4%2B01:00").await,
        1
    );
    assert_eq!(count("created_after=2026-02-03T09:00:01Z").await, 0);
    assert_eq!(count("created_before=2026-02-03T09:00:01Z").await, 5);
    let refused = merge
        .get(
            &format!("{LIST}?modified_after=yesterday"),
            &account.account_token,
        )
        .await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let body: Value = refused.json().await.unwrap();
    assert!(body["modified_after"].is_array());
}

#[tokio::test]
async fn limits_can_be_inclusive() {
    let answers = AnswerOptions {
        has_inclusive_limits: true,
        ..AnswerOptions::default()
    };
    let merge = Merge::start(Options { answers, ..still() }).await;
    let account = merge.link("hris", employees(5));

    let page = merge
        .json(
            &format!("{LIST}?modified_after=2026-02-03T08:59:59.999999Z"),
            &account.account_token,
        )
        .await;

    assert_eq!(page["results"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_record_is_found_by_its_ids() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(40));
    let fields: Fields = [("remote_id".to_owned(), json!("their-77"))].into();
    let made = merge
        .handle()
        .create_record(account.id, "hris.Employee", fields)
        .unwrap();

    let page = merge
        .json(
            &format!("{LIST}?remote_id=their-77"),
            &account.account_token,
        )
        .await;
    let one = merge
        .json(&format!("{LIST}/{}", made.key), &account.account_token)
        .await;
    let none = merge
        .get(
            &format!("{LIST}/0d8cbf1e-1f6d-4c53-8d6a-5a53d0d0b7f4"),
            &account.account_token,
        )
        .await;

    assert_eq!(page["results"], json!([one]));
    assert_eq!(one["remote_id"], "their-77");
    assert_eq!(none.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_cursor_is_refused_by_any_other_list_account_or_filter() {
    let merge = Merge::start(still()).await;
    let account = merge.link(
        "hris",
        AccountPlan {
            records_per_account: 1000,
            ..AccountPlan::default()
        },
    );
    let other = merge.link(
        "ats",
        AccountPlan {
            records_per_account: 1000,
            ..AccountPlan::default()
        },
    );
    let page = merge
        .json(&format!("{LIST}?page_size=1"), &account.account_token)
        .await;
    let cursor = page["next"].as_str().unwrap();
    let status = async |path: &str, token: &str| {
        merge
            .get(&format!("{path}cursor={cursor}"), token)
            .await
            .status()
    };

    assert_eq!(
        status(&format!("{LIST}?"), &account.account_token).await,
        StatusCode::OK
    );
    assert_eq!(
        status("/api/hris/v1/teams?", &account.account_token).await,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        status("/api/ats/v1/jobs?", &other.account_token).await,
        StatusCode::BAD_REQUEST
    );
    let filtered = format!("{LIST}?include_deleted_data=true&");
    assert_eq!(
        status(&filtered, &account.account_token).await,
        StatusCode::BAD_REQUEST
    );
    let nonsense = merge
        .get(&format!("{LIST}?cursor=nonsense"), &account.account_token)
        .await;
    assert_eq!(nonsense.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn next_may_be_an_address_and_a_last_page_may_be_empty() {
    let answers = AnswerOptions {
        next_is_url: true,
        has_empty_last_page: true,
        ..AnswerOptions::default()
    };
    let merge = Merge::start(Options { answers, ..still() }).await;
    let account = merge.link("hris", employees(20));
    let path = format!("{LIST}?page_size=20&modified_before=2030-01-01T00%3A00%3A00Z");

    let first = merge.json(&path, &account.account_token).await;
    let next = first["next"].as_str().unwrap();
    let path = next
        .strip_prefix(merge.sandbox.base_url().as_str())
        .unwrap();
    let second = merge.json(path, &account.account_token).await;

    assert!(next.contains("page_size=20") && next.contains("modified_before="));
    assert_eq!(first["results"].as_array().unwrap().len(), 20);
    assert_eq!(
        second,
        json!({ "next": null, "previous": null, "results": [] })
    );
}

#[tokio::test]
async fn the_wrong_key_token_category_and_model_are_told_apart() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(1));
    let status = async |path: &str, token: &str| merge.get(path, token).await.status();

    assert_eq!(status(LIST, "at_unknown").await, StatusCode::UNAUTHORIZED);
    assert_eq!(
        status("/api/ats/v1/jobs", &account.account_token).await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status("/api/hris/v1/teams", &account.account_token).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        status("/api/hris/v1/unicorns", &account.account_token).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        status("/api/mktg/v1/lists", &account.account_token).await,
        StatusCode::NOT_FOUND
    );
    for request in [
        merge
            .client
            .get(merge.url(LIST))
            .header("X-Account-Token", &account.account_token),
        merge
            .client
            .get(merge.url(LIST))
            .bearer_auth("wrong")
            .header("X-Account-Token", &account.account_token),
        merge
            .client
            .get(merge.url(LIST))
            .bearer_auth(crate::support::API_KEY),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let body: Value = response.json().await.unwrap();
        assert!(body["detail"].is_string());
    }
}

#[tokio::test]
async fn remote_data_comes_when_asked_for() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(1));

    let plain = merge.json(LIST, &account.account_token).await;
    let with = merge
        .json(
            &format!("{LIST}?include_remote_data=true"),
            &account.account_token,
        )
        .await;

    assert!(plain["results"][0]["remote_data"].is_null());
    assert_eq!(with["results"][0]["remote_data"][0]["path"], "/employees");
}
