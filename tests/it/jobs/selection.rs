//! Syncing only what the settings choose.

use std::sync::Arc;

use jobs::{Selection, SyncSettings};
use serde_json::{Value, json};

use super::workshop::{Account, NEXT_SYNC, SYNC, Workshop};

const EMPLOYEE: &str = "hris.Employee";
const TEAM: &str = "hris.Team";

fn choose(settings: &mut SyncSettings, names: &[&str]) {
    settings.selection = Selection::of(names.iter().copied()).unwrap();
}

/// As after a restart with other settings.
fn choose_anew(workshop: &mut Workshop, names: &[&str]) {
    choose(&mut Arc::make_mut(&mut workshop.context).settings, names);
}

fn webhook(account: &Account, event: &str, data: &Value) -> Value {
    json!({
        "hook": { "event": event },
        "linked_account": { "id": account.merge_id, "category": "hris" },
        "data": data,
    })
}

/// A record of a model, as Merge has it now.
fn a_record(workshop: &Workshop, account: &Account, model: &str) -> Value {
    let page = workshop
        .sandbox
        .truth_page(account.merge_id, model, None, 1, true);
    let data = page.unwrap().records.remove(0).data.unwrap();
    serde_json::from_str(data.get()).unwrap()
}

#[tokio::test]
async fn what_is_not_selected_is_never_read_and_holds_nothing_up() {
    let workshop = Workshop::with(|_, settings| choose(settings, &[TEAM])).await;
    let account = workshop.synced("acme").await;
    let team = workshop.model(account.id, TEAM).await;
    let finished = team.available_through;

    let marks = json!({
        "is_initial_sync": false,
        "sync_status": { EMPLOYEE: { "last_sync_finished": finished, "last_sync_result": "DONE" } },
    });
    let record = a_record(&workshop, &account, EMPLOYEE);
    workshop
        .deliver(&webhook(&account, "LinkedAccount.sync_completed", &marks))
        .await;
    workshop
        .deliver(&webhook(&account, "Employee.changed", &record))
        .await;

    let employee = workshop.model(account.id, EMPLOYEE).await;
    assert_eq!(employee.refusal.as_deref(), Some("not_selected"));
    assert_eq!(employee.available_through, None);
    assert_eq!(employee.fetched_through, None);
    assert_eq!(employee.records, 0);
    assert_eq!(team.fetched_through, team.available_through);
    let ignored = |detail: &str| ("ignored".to_owned(), detail.to_owned());
    assert_eq!(
        workshop.verdicts().await,
        [
            ignored("models that are not selected"),
            ignored("a model that is not selected")
        ]
    );
}

#[tokio::test]
async fn what_is_selected_later_is_loaded_then() {
    let mut workshop = Workshop::with(|_, settings| choose(settings, &[TEAM])).await;
    let account = workshop.synced("acme").await;

    choose_anew(&mut workshop, &["hris"]);
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(SYNC);
    workshop.poll(&account).await;

    assert_eq!(workshop.model(account.id, EMPLOYEE).await.refusal, None);
    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
}

#[tokio::test]
async fn what_is_selected_again_goes_on_where_it_was() {
    let mut workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let before = workshop.model(account.id, EMPLOYEE).await;

    choose_anew(&mut workshop, &[TEAM]);
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.poll(&account).await;
    // One that was enqueued before the restart.
    let late = jobs::fetch_model_window::FetchModelWindow {
        account_id: account.id,
        model_id: EMPLOYEE.to_owned(),
    };
    let late = workshop.perform(&late).await;
    assert_eq!(late.result.unwrap(), json!({ "is_selected": false }));
    let resync = jobs::resync::Resync {
        account_id: account.id,
        sync_type: jobs::resync::SyncType::Incremental,
        model_id: None,
    };
    let resynced = workshop.perform(&resync).await;
    let meanwhile = workshop.model(account.id, EMPLOYEE).await;
    assert_eq!(resynced.result.unwrap()["models"], json!([TEAM]));
    assert_eq!(meanwhile.fetched_through, before.fetched_through);
    assert_eq!(meanwhile.records, before.records);

    choose_anew(&mut workshop, &[]);
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    workshop.poll(&account).await;
    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
}
