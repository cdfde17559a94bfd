use std::time::Duration;

use merge_sandbox::Options;
use reqwest::StatusCode;

use crate::support::{Merge, employees, still};

const LIST: &str = "/api/hris/v1/employees";

fn wait_of(response: &reqwest::Response) -> u64 {
    response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn an_account_over_its_limit_gets_429_until_a_minute_has_passed() {
    let merge = Merge::start(Options {
        requests_per_minute: Some(3),
        ..still()
    })
    .await;
    let account = merge.link("hris", employees(1));
    for _ in 0..3 {
        assert_eq!(
            merge.get(LIST, &account.account_token).await.status(),
            StatusCode::OK
        );
        merge.handle().advance(Duration::from_secs(10));
    }

    let refused = merge.get(LIST, &account.account_token).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = wait_of(&refused);
    assert!((30..=31).contains(&wait), "{wait}");
    merge.handle().advance(Duration::from_secs(wait));

    assert_eq!(
        merge.get(LIST, &account.account_token).await.status(),
        StatusCode::OK
    );
    let view = merge.handle().account(account.id).unwrap();
    assert_eq!(
        (
            view.requests,
            view.rate_limited,
            view.peak_requests_per_minute
        ),
        (5, 1, 4)
    );
}

#[tokio::test]
async fn one_accounts_limit_is_not_anothers() {
    let merge = Merge::start(Options {
        requests_per_minute: Some(1),
        ..still()
    })
    .await;
    let one = merge.link("hris", employees(1));
    let other = merge.link("crm", merge_sandbox::AccountPlan::default());

    merge.json(LIST, &one.account_token).await;

    merge.json("/api/crm/v1/leads", &other.account_token).await;
    assert_eq!(
        merge.get(LIST, &one.account_token).await.status(),
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn twenty_one_errors_in_ten_seconds_stop_every_account_of_the_address() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(1));
    for _ in 0..20 {
        assert_eq!(
            merge.get(LIST, "at_wrong").await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    assert_eq!(
        merge.get(LIST, &account.account_token).await.status(),
        StatusCode::OK
    );

    merge.get(LIST, "at_wrong").await;

    let refused = merge.get(LIST, &account.account_token).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    merge
        .handle()
        .advance(Duration::from_secs(wait_of(&refused)));
    assert_eq!(
        merge.get(LIST, &account.account_token).await.status(),
        StatusCode::OK
    );
    let state = merge.handle().state();
    assert_eq!((state.peak_errors_in_10_s, state.error_limited), (21, 1));
}
