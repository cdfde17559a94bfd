use std::time::Duration;

use merge_sandbox::{
    AccountPlan, ClientError, CompleteLink, ControlClient, Fault, FaultKind, Fields, LinkAccount,
    Outcome, WebhookFaults, WebhookTarget, digest,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Merge, periodic};

#[tokio::test]
async fn the_client_does_over_http_what_the_handle_does() {
    let merge = Merge::start(periodic()).await;
    let control = ControlClient::new(merge.sandbox.base_url()).unwrap();
    let body = json!({
        "end_user_origin_id": "org_1",
        "end_user_organization_name": "Harbour",
        "end_user_email_address": "a@example.com",
        "categories": ["hris"],
    });
    let answer: Value = merge
        .post("/api/integrations/create-link-token", "", body)
        .await
        .json()
        .await
        .unwrap();

    let choice = CompleteLink {
        integration: Some("personio".to_owned()),
        plan: Some(AccountPlan {
            records_per_account: 320,
            ..AccountPlan::default()
        }),
    };
    let done = control
        .complete_link(answer["link_token"].as_str().unwrap(), &choice)
        .await
        .unwrap();
    let id = done.linked_account_id;
    control.advance(Duration::from_mins(1)).await.unwrap();
    control.freeze(true).await.unwrap();

    assert_eq!(done.integration, "personio");
    let view = control.account(id).await.unwrap();
    assert_eq!(view, merge.handle().account(id).unwrap());
    assert_eq!(
        control.accounts().await.unwrap(),
        std::slice::from_ref(&view)
    );
    assert_eq!((view.records, view.models.len()), (320, 16));
    let state = control.state().await.unwrap();
    assert_eq!(
        (
            state.records,
            state.accounts,
            state.accounts_in_first_sync,
            state.is_frozen
        ),
        (320, 1, 0, true)
    );

    let summary = control.truth(id).await.unwrap();
    assert_eq!(summary.iter().map(|model| model.records).sum::<u64>(), 320);
    for model in &summary {
        let records = control
            .truth_of_model(id, &model.model_id, false)
            .await
            .unwrap();
        assert_eq!(digest(&records), model.digest);
    }
}

#[tokio::test]
async fn records_syncs_and_outcomes_can_be_controlled() {
    let merge = Merge::start(periodic()).await;
    let control = ControlClient::new(merge.sandbox.base_url()).unwrap();
    let wanted = LinkAccount {
        category: "ats".to_owned(),
        end_user_origin_id: "org_2".to_owned(),
        integration: None,
        plan: None,
    };
    let account = control.link_account(&wanted).await.unwrap();
    control.advance(Duration::from_mins(1)).await.unwrap();

    let fields: Fields = [
        ("name".to_owned(), json!("Zoë’s / team?")),
        ("remote_id".to_owned(), json!(null)),
    ]
    .into();
    let tag = control
        .create_record(account.id, "ats.Tag", fields)
        .await
        .unwrap();
    assert_eq!(tag.key, "Zoë’s / team?");
    let changed = control
        .change_record(account.id, "ats.tags", &tag.key, Fields::new())
        .await
        .unwrap();
    let deleted = control
        .delete_record(account.id, "ats.Tag", &tag.key)
        .await
        .unwrap();
    assert!(!changed.is_deleted && deleted.is_deleted);
    let page = control
        .truth_page(account.id, "ats.Tag", None, 1, true)
        .await
        .unwrap();
    assert_eq!(page.records.len(), 1);
    assert!(page.next.is_some() && page.records[0].data.is_some());

    control
        .set_outcome(account.id, "ats.Job", Outcome::Failed)
        .await
        .unwrap();
    assert!(control.start_sync(account.id).await.unwrap());
    assert!(!control.start_sync(account.id).await.unwrap());
    control.advance(Duration::from_mins(1)).await.unwrap();
    let view = control.account(account.id).await.unwrap();
    let job = view
        .models
        .iter()
        .find(|model| model.model_id == "ats.Job")
        .unwrap();
    assert_eq!(job.status, "FAILED");
    control
        .set_status(account.id, "RELINK_NEEDED")
        .await
        .unwrap();
    assert_eq!(
        control.account(account.id).await.unwrap().status,
        "RELINK_NEEDED"
    );
    control.delete_account(account.id).await.unwrap();
    assert!(control.accounts().await.unwrap().is_empty());
}

#[tokio::test]
async fn faults_and_webhooks_can_be_controlled() {
    let merge = Merge::start(periodic()).await;
    let control = ControlClient::new(merge.sandbox.base_url()).unwrap();
    let fault = Fault {
        path_prefix: "/api".to_owned(),
        account_token: None,
        times: 2,
        kind: FaultKind::Slow {
            delay: Duration::from_millis(1500),
        },
    };
    control.add_fault(&fault).await.unwrap();
    assert_eq!(control.faults().await.unwrap(), [fault]);
    control.clear_faults().await.unwrap();
    assert!(control.faults().await.unwrap().is_empty());

    let refused = control.ping_webhook().await.unwrap_err();
    assert!(
        matches!(refused, ClientError::Refused { status: 409, .. }),
        "{refused}"
    );
    let target = WebhookTarget {
        url: "http://127.0.0.1:1/".parse().unwrap(),
        key: "k".to_owned(),
    };
    control.set_webhook_target(Some(&target)).await.unwrap();
    let faults = WebhookFaults {
        drop_percent: 100,
        ..WebhookFaults::default()
    };
    control.set_webhook_faults(faults).await.unwrap();
    control.ping_webhook().await.unwrap();
    control.send_webhook("mine", "{}").await.unwrap();
    let log = control.deliveries(0, 10).await.unwrap();
    assert_eq!(
        log.iter()
            .map(|delivery| delivery.event.as_str())
            .collect::<Vec<_>>(),
        ["test", "mine"]
    );
    control.redeliver_webhook(log[1].id).await.unwrap();
    assert_eq!(
        control
            .webhook_summary()
            .await
            .unwrap()
            .deliveries
            .values()
            .sum::<u64>(),
        3
    );
    control.set_webhook_target(None).await.unwrap();
    assert!(control.ping_webhook().await.is_err());
}

#[tokio::test]
async fn refusals_say_why() {
    let merge = Merge::start(periodic()).await;
    let control = ControlClient::new(merge.sandbox.base_url()).unwrap();

    let unknown = control.account(Uuid::nil()).await.unwrap_err();
    let used = control
        .complete_link("lt_secret", &CompleteLink::default())
        .await
        .unwrap_err();

    assert!(
        matches!(unknown, ClientError::Refused { status: 404, .. }),
        "{unknown}"
    );
    assert!(
        matches!(used, ClientError::Refused { status: 400, .. }),
        "{used}"
    );
    assert!(!used.to_string().contains("lt_secret"));
}
