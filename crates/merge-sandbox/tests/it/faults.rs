use std::time::{Duration, Instant};

use merge_sandbox::{Fault, FaultKind};
use serde_json::Value;

use crate::support::{API_KEY, Merge, employees, still};

const LIST: &str = "/api/hris/v1/employees";

fn fault(kind: FaultKind) -> Fault {
    Fault {
        path_prefix: LIST.to_owned(),
        account_token: None,
        times: 1,
        kind,
    }
}

#[tokio::test]
async fn each_fault_hits_the_next_request_of_its_path_only() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(100));
    let token = &account.account_token;
    let whole = merge.get(LIST, token).await.text().await.unwrap();

    merge.handle().add_fault(fault(FaultKind::Status {
        status: 503,
        retry_after: Some(7),
    }));
    merge.json("/api/hris/v1/account-details", token).await;
    let hit = merge.get(LIST, token).await;
    assert_eq!(hit.status(), 503);
    assert_eq!(hit.headers()["retry-after"], "7");

    merge
        .handle()
        .add_fault(fault(FaultKind::Html { status: 200 }));
    let hit = merge.get(LIST, token).await;
    assert_eq!(hit.headers()["content-type"], "text/html; charset=utf-8");

    merge.handle().add_fault(fault(FaultKind::TruncatedJson));
    let hit = merge.get(LIST, token).await.text().await.unwrap();
    assert!(whole.starts_with(&hit) && hit.len() == whole.len() / 2);

    merge.handle().add_fault(fault(FaultKind::CutOff));
    let hit = merge.get(LIST, token).await;
    assert!(hit.status().is_success());
    assert!(hit.text().await.is_err());

    merge.handle().add_fault(fault(FaultKind::Slow {
        delay: Duration::from_millis(200),
    }));
    let started = Instant::now();
    merge.json(LIST, token).await;
    assert!(started.elapsed() >= Duration::from_millis(200));

    assert_eq!(merge.get(LIST, token).await.text().await.unwrap(), whole);
    assert!(merge.handle().faults().is_empty());
}

#[tokio::test]
async fn a_reset_ends_the_connection_without_an_answer() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(1));
    merge.handle().add_fault(fault(FaultKind::Reset));
    let client = reqwest::Client::builder()
        .no_proxy()
        .retry(reqwest::retry::never())
        .build()
        .unwrap();
    let request = client
        .get(merge.url(LIST))
        .bearer_auth(API_KEY)
        .header("X-Account-Token", &account.account_token);

    let error = request.send().await.unwrap_err();

    assert!(error.is_request(), "{error:?}");
    let page: Value = merge.json(LIST, &account.account_token).await;
    assert!(page["next"].is_null());
}

#[tokio::test]
async fn a_fault_can_be_meant_for_one_account() {
    let merge = Merge::start(still()).await;
    let account = merge.link("hris", employees(1));
    let fault = Fault {
        path_prefix: "/".to_owned(),
        account_token: Some("at_other".to_owned()),
        times: 5,
        kind: FaultKind::Status {
            status: 500,
            retry_after: None,
        },
    };
    merge.handle().add_fault(fault.clone());

    merge.json(LIST, &account.account_token).await;

    assert_eq!(merge.handle().faults(), [fault]);
    merge.handle().clear_faults();
    assert!(merge.handle().faults().is_empty());
}
