//! Acting on webhooks.

use serde_json::{Value, json};
use store::linked_accounts::AccountStatus;

use super::workshop::{Account, NEXT_SYNC, SYNC, Workshop};

fn body(account: &Account, event: &str, data: &Value) -> Value {
    json!({
        "hook": { "id": "h", "event": event, "target": "https://product.example" },
        "linked_account": { "id": account.merge_id, "category": "hris" },
        "data": data,
    })
}

/// `LinkedAccount.sync_completed` as the sandbox would tell it now.
fn sync_completed(workshop: &Workshop, account: &Account) -> Value {
    let models = workshop.sandbox.account(account.merge_id).unwrap().models;
    let statuses: serde_json::Map<String, Value> = models
        .into_iter()
        .map(|model| {
            let finished = model.last_sync_finished;
            let entry = json!({ "last_sync_finished": finished, "last_sync_result": model.status });
            (model.model_id, entry)
        })
        .collect();
    let data = json!({ "is_initial_sync": false, "sync_status": statuses });
    body(account, "LinkedAccount.sync_completed", &data)
}

fn employee_synced(workshop: &Workshop, account: &Account) -> Value {
    let models = workshop.sandbox.account(account.merge_id).unwrap().models;
    let model = models
        .into_iter()
        .find(|model| model.model_id == "hris.Employee")
        .unwrap();
    let status = json!({
        "model_name": "Employee",
        "model_id": "hris.Employee",
        "status": "DONE",
        "last_sync_result": "DONE",
        "last_sync_finished": model.last_sync_finished,
        "is_initial_sync": model.is_initial_sync,
    });
    body(
        account,
        "Employee.synced",
        &json!({ "sync_status": status }),
    )
}

/// Requests about the account so far.
fn requests(workshop: &Workshop, account: &Account) -> u64 {
    workshop.sandbox.account(account.merge_id).unwrap().requests
}

#[tokio::test]
async fn a_completed_sync_leads_to_fetches_without_a_poll() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let polled_at = workshop.account(account.id).await.last_polled_at;
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC);

    workshop.deliver(&sync_completed(&workshop, &account)).await;

    workshop.assert_equal_to_truth(&account).await;
    workshop.assert_windows_are_contiguous(&account).await;
    assert_eq!(workshop.account(account.id).await.last_polled_at, polled_at);
    assert_eq!(
        workshop.verdicts().await[0],
        ("processed".into(), "marks raised".into())
    );
}

#[tokio::test]
async fn the_first_sync_is_completed_by_webhooks() {
    let workshop = Workshop::new().await;
    let account = workshop.linked("acme").await;
    workshop.sandbox.advance(SYNC);

    workshop.deliver(&sync_completed(&workshop, &account)).await;

    workshop.assert_equal_to_truth(&account).await;
    assert!(
        workshop
            .account(account.id)
            .await
            .initial_sync_completed_at
            .is_some()
    );
}

#[tokio::test]
async fn one_synced_model_is_fetched_alone() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let team = workshop
        .model(account.id, "hris.Team")
        .await
        .fetched_through;
    workshop.sandbox.advance(NEXT_SYNC);

    workshop
        .deliver(&employee_synced(&workshop, &account))
        .await;

    let employee = workshop.model(account.id, "hris.Employee").await;
    assert_eq!(employee.fetched_through, employee.available_through);
    assert!(employee.fetched_through > team);
    assert_eq!(
        workshop
            .model(account.id, "hris.Team")
            .await
            .fetched_through,
        team
    );
}

#[tokio::test]
async fn a_word_without_a_time_leads_to_a_poll_and_each_time_again() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let done = body(
        &account,
        "Employee.synced",
        &json!({ "sync_status": "DONE" }),
    );

    for _ in 0..2 {
        workshop.sandbox.advance(NEXT_SYNC);
        let before = workshop
            .model(account.id, "hris.Employee")
            .await
            .fetched_through;
        workshop.deliver(&done).await;
        let after = workshop
            .model(account.id, "hris.Employee")
            .await
            .fetched_through;
        assert!(after > before);
    }
}

#[tokio::test]
async fn a_failed_sync_is_noted_and_leads_to_nothing() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let before = requests(&workshop, &account);

    workshop
        .deliver(&body(
            &account,
            "Employee.synced",
            &json!({ "sync_status": "FAILED" }),
        ))
        .await;

    assert_eq!(requests(&workshop, &account), before);
    assert_eq!(workshop.verdicts().await[0].0, "processed");
}

#[tokio::test]
async fn duplicates_and_old_news_change_nothing() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.sandbox.advance(NEXT_SYNC);
    let old = sync_completed(&workshop, &account);
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC * 2);
    let new = sync_completed(&workshop, &account);

    workshop.deliver(&new).await;
    let before = requests(&workshop, &account);
    let models = workshop.models(account.id).await;
    workshop.deliver(&old).await;
    workshop.deliver(&new).await;

    assert_eq!(requests(&workshop, &account), before);
    for (before, after) in models.iter().zip(workshop.models(account.id).await) {
        assert_eq!(before.fetched_through, after.fetched_through);
        assert_eq!(before.available_through, after.available_through);
    }
    workshop.assert_equal_to_truth(&account).await;
    let verdicts: Vec<_> = workshop
        .verdicts()
        .await
        .into_iter()
        .map(|(verdict, _)| verdict)
        .collect();
    assert_eq!(verdicts, ["processed", "processed", "duplicate"]);
}

#[tokio::test]
async fn deliveries_that_make_no_sense_do_not_block_the_others() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    workshop.sandbox.advance(NEXT_SYNC);
    workshop.sandbox.freeze(true);
    workshop.sandbox.advance(NEXT_SYNC);
    let unknown = Account {
        id: account.id,
        merge_id: uuid::Uuid::new_v4(),
    };
    let bodies: [Vec<u8>; 8] = [
        b"{ not json".to_vec(),
        b"[]".to_vec(),
        b"\"\\u0000\"".to_vec(),
        json!({ "response": "test" }).to_string().into_bytes(),
        // No text that Postgres takes as a parameter.
        json!({ "event": "Employee.synced", "linked_account": { "id": "a\u{0}b" } })
            .to_string()
            .into_bytes(),
        body(&account, "Something\u{0}.new", &json!({ "a": 1 }))
            .to_string()
            .into_bytes(),
        body(&unknown, "LinkedAccount.sync_completed", &json!({}))
            .to_string()
            .into_bytes(),
        body(
            &account,
            "Nothing.synced",
            &json!({ "sync_status": { "model_id": "hris.Nothing" } }),
        )
        .to_string()
        .into_bytes(),
    ];
    for body in &bodies {
        workshop.keep_delivery(body).await;
    }

    workshop.deliver(&sync_completed(&workshop, &account)).await;

    workshop.assert_equal_to_truth(&account).await;
    let verdicts: Vec<_> = workshop
        .verdicts()
        .await
        .into_iter()
        .map(|(verdict, _)| verdict)
        .collect();
    let expected = [
        "unparseable",
        "unparseable",
        "unparseable",
        "ignored",
        "unparseable",
        "ignored",
        "unknown_account",
        "ignored",
        "processed",
    ];
    assert_eq!(verdicts, expected);
}

#[tokio::test]
async fn a_linked_webhook_alone_links_the_account() {
    let workshop = Workshop::new().await;
    let (begun, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    let result = begun.result.unwrap();
    let id = result["linked_account_id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();

    workshop
        .deliver(&json!({
            "hook": { "event": "LinkedAccount.linked" },
            "linked_account": {
                "id": completed.linked_account_id,
                "end_user_origin_id": result["end_user_origin_id"],
                "category": "hris",
                "integration": "BambooHR",
                "integration_slug": "bamboohr",
                "status": "COMPLETE",
            },
            "data": { "account_token": "at_by_webhook", "is_relink": false },
        }))
        .await;

    let account = workshop.account(id).await;
    assert_ne!(account.status, AccountStatus::Pending);
    assert_eq!(account.integration_slug.as_deref(), Some("bamboohr"));
    assert_eq!(
        account.merge_account_id,
        Some(completed.linked_account_id.to_string())
    );
}

#[tokio::test]
async fn news_of_an_account_that_is_not_linked_yet_are_not_lost() {
    let workshop = Workshop::new().await;
    let (begun, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    let result = begun.result.unwrap();
    workshop.sandbox.advance(SYNC);
    workshop
        .deliver(&json!({
            "hook": { "event": "LinkedAccount.sync_completed" },
            "linked_account": {
                "id": completed.linked_account_id,
                "end_user_origin_id": result["end_user_origin_id"],
                "category": "hris",
            },
            "data": { "is_initial_sync": true },
        }))
        .await;
    assert_eq!(workshop.verdicts().await[0].0, "parked");

    workshop.exchange("acme", &completed.public_token).await;

    assert_eq!(workshop.verdicts().await[0].0, "processed");
    let account = Account {
        id: result["linked_account_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap(),
        merge_id: completed.linked_account_id,
    };
    workshop.assert_equal_to_truth(&account).await;
    assert!(
        workshop
            .account(account.id)
            .await
            .initial_sync_completed_at
            .is_some()
    );
}

#[tokio::test]
async fn an_account_being_deleted_is_left_alone() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let mut conn = workshop.pool().acquire().await.unwrap();
    store::linked_accounts::begin_deletion(&mut conn, account.id, None)
        .await
        .unwrap();
    workshop.sandbox.advance(NEXT_SYNC);

    workshop.deliver(&sync_completed(&workshop, &account)).await;

    assert_eq!(
        workshop.verdicts().await,
        [(
            "ignored".to_owned(),
            "the account is being deleted".to_owned()
        )]
    );
}

#[tokio::test]
async fn an_account_named_by_origin_id_only_is_found_and_its_id_learned() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    sqlx::query!("UPDATE syncline.linked_accounts SET merge_account_id = NULL")
        .execute(workshop.pool())
        .await
        .unwrap();
    let origin_id = workshop.account(account.id).await.end_user_origin_id;
    let mut news = sync_completed(&workshop, &account);
    news["linked_account"]["end_user_origin_id"] = origin_id.into();

    workshop.deliver(&news).await;

    assert_eq!(workshop.verdicts().await[0].0, "processed");
    assert_eq!(
        workshop.account(account.id).await.merge_account_id,
        Some(account.merge_id.to_string())
    );
}

/// An event about the first employee, as it would be after the next sync: the event, and the record in it.
async fn next_employee(workshop: &Workshop, account: &Account, event: &str) -> (Value, Value) {
    let stored = sqlx::query_scalar!(
        r#"
        SELECT data AS "data: sqlx::types::Json<Value>"
        FROM syncline.model_records
        WHERE account_id = $1
          AND model_id = 'hris.Employee'
        ORDER BY merge_id
        LIMIT 1
        "#,
        account.id as store::AccountId
    )
    .fetch_one(workshop.pool())
    .await
    .unwrap();
    let mut record = stored.0;
    record["first_name"] = "Zoë".into();
    record["modified_at"] = "2099-01-01T00:00:00.000001Z".into();
    (body(account, event, &record), record)
}

/// The stored employee of that id: its data, and whether it is deleted.
async fn employee(workshop: &Workshop, record: &Value) -> (Value, bool) {
    let row = sqlx::query!(
        r#"
        SELECT data AS "data: sqlx::types::Json<Value>", is_deleted
        FROM syncline.model_records
        WHERE merge_id = $1
        "#,
        record["id"].as_str().unwrap()
    )
    .fetch_one(workshop.pool())
    .await
    .unwrap();
    (row.data.0, row.is_deleted)
}

#[tokio::test]
async fn a_changed_record_is_stored_at_once_and_an_older_one_is_not() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let (changed, record) = next_employee(&workshop, &account, "Employee.changed").await;
    let before = requests(&workshop, &account);

    workshop.deliver(&changed).await;
    assert_eq!(employee(&workshop, &record).await, (record.clone(), false));

    let mut older = changed.clone();
    older["data"]["first_name"] = "Zoe".into();
    older["data"]["modified_at"] = "2098-01-01T00:00:00Z".into();
    workshop.deliver(&older).await;
    assert_eq!(employee(&workshop, &record).await, (record.clone(), false));

    let mut removed = changed.clone();
    removed["hook"]["event"] = "Employee.removed".into();
    workshop.deliver(&removed).await;
    assert!(employee(&workshop, &record).await.1);
    let details: Vec<_> = workshop.verdicts().await;
    let details: Vec<_> = details.iter().map(|(_, detail)| detail.as_str()).collect();
    assert_eq!(
        details,
        ["a record stored", "nothing new", "a record stored"]
    );
    assert_eq!(requests(&workshop, &account), before);
}

#[tokio::test]
async fn a_new_record_is_counted_and_seen_by_readers() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let before = workshop.model(account.id, "hris.Employee").await;
    let (mut added, mut record) = next_employee(&workshop, &account, "Employee.added").await;
    record["id"] = "11111111-2222-3333-4444-555555555555".into();
    added["data"] = record.clone();

    workshop.deliver(&added).await;

    let after = workshop.model(account.id, "hris.Employee").await;
    assert_eq!(after.records, before.records + 1);
    assert_eq!(after.fetched_through, before.fetched_through);
    assert_eq!(employee(&workshop, &record).await, (record, false));
}

#[tokio::test]
async fn records_of_webhooks_can_be_left_to_polls() {
    let workshop = Workshop::with(|_, settings| settings.store_webhook_records = false).await;
    let account = workshop.synced("acme").await;
    let (changed, record) = next_employee(&workshop, &account, "Employee.changed").await;
    let requests_before = requests(&workshop, &account);

    workshop.deliver(&changed).await;

    assert_ne!(employee(&workshop, &record).await.0, record);
    assert!(requests(&workshop, &account) > requests_before);
    assert_eq!(workshop.verdicts().await[0].1, "polled: a record changed");
}

#[tokio::test]
async fn a_record_that_comes_before_its_models_first_load_is_left_to_that() {
    let workshop = Workshop::new().await;
    let account = workshop.linked("acme").await;
    let record = json!({ "id": "r", "modified_at": "2099-01-01T00:00:00Z" });

    workshop
        .deliver(&body(&account, "Employee.added", &record))
        .await;

    assert_eq!(workshop.verdicts().await[0].0, "ignored");
    workshop.sandbox.advance(SYNC);
    workshop.poll(&account).await;
    workshop.assert_equal_to_truth(&account).await;
}

#[tokio::test]
async fn a_delivery_names_the_jobs_it_caused() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let checked = body(&account, "Issue.new", &json!({ "id": "i" }));
    let ids = [
        workshop.keep_delivery(checked.to_string().as_bytes()).await,
        workshop
            .keep_delivery(format!("{checked} ").as_bytes())
            .await,
    ];

    workshop.run().await;

    for id in ids {
        let caused = workshop.delivery(id).await.job_ids.unwrap();
        assert_eq!(caused.len(), 1);
        let job = workshop.job(queue::JobId(caused[0])).await;
        assert_eq!(job.kind, "check_health");
    }
}

#[tokio::test]
async fn an_account_is_deleted_when_a_webhook_says_so_and_merge_does_not_know_it() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let deleted = body(&account, "LinkedAccount.deleted", &json!({}));

    // The word alone is no proof: somebody may have linked it again.
    workshop.deliver(&deleted).await;
    let stored = workshop.account(account.id).await;
    assert_eq!(stored.status, AccountStatus::Active);

    workshop.sandbox.delete_account(account.merge_id).unwrap();
    workshop
        .deliver(&body(&account, "LinkedAccount.deleted", &json!({ "n": 2 })))
        .await;
    let left = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.linked_accounts"#);
    assert_eq!(left.fetch_one(workshop.pool()).await.unwrap(), 0);
}

#[tokio::test]
async fn what_came_before_merges_id_was_known_is_judged_again() {
    let workshop = Workshop::new().await;
    let (begun, link_token) = workshop.begin_link("acme", "hris").await;
    let completed = workshop.finish_link(&link_token);
    let early = json!({
        "hook": { "event": "LinkedAccount.sync_completed" },
        "linked_account": { "id": completed.linked_account_id, "category": "hris" },
        "data": { "is_initial_sync": true },
    });
    workshop.deliver(&early).await;
    assert_eq!(workshop.verdicts().await[0].0, "unknown_account");

    workshop.exchange("acme", &completed.public_token).await;

    assert_eq!(workshop.verdicts().await[0].0, "processed");
    assert!(begun.result.is_some());
}

#[tokio::test]
async fn twins_that_wait_together_are_acted_on_once_and_a_replay_always() {
    let workshop = Workshop::new().await;
    let account = workshop.synced("acme").await;
    let word = body(
        &account,
        "Employee.synced",
        &json!({ "sync_status": "DONE" }),
    );
    let word = word.to_string();
    let first = workshop.keep_delivery(word.as_bytes()).await;
    let second = workshop.keep_delivery(word.as_bytes()).await;
    workshop.run().await;
    assert_eq!(workshop.delivery(second).await.duplicate_of, Some(first));
    assert_eq!(workshop.delivery(second).await.account_id, Some(account.id));

    let mut conn = workshop.pool().acquire().await.unwrap();
    let replayed = store::webhook_deliveries::replay(&mut conn, second).await;
    drop(conn);
    workshop
        .perform(&jobs::process_deliveries::ProcessDeliveries {
            shard: replayed.unwrap().shards[0],
        })
        .await;

    assert_eq!(
        workshop.verdicts().await[1],
        ("processed".into(), "polled: it tells no time".into())
    );
}
