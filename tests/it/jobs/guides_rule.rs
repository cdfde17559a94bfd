//! Merge's guides ask from the start of our own last fetch on. What that rule loses, and ours does not.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use merge_client::{AccountToken, Category, ListQuery, catalogue};
use serde_json::json;

use super::workshop::{Account, NEXT_SYNC, Workshop, plan};

const MODEL: &str = "hris.Employee";

/// A reader that keeps to the guides: from the start of its last fetch to the last finish.
struct GuidesReader {
    last_fetch_start: Option<DateTime<Utc>>,
    stored: BTreeMap<String, DateTime<Utc>>,
}

impl GuidesReader {
    async fn fetch(&mut self, workshop: &Workshop, account: &Account) {
        let start = workshop.sandbox.now();
        let models = workshop.sandbox.account(account.merge_id).unwrap().models;
        let token = AccountToken::new(workshop.account_token(account).await);
        let mut query = ListQuery {
            modified_after: self.last_fetch_start,
            modified_before: self.last_fetch_start.and(models[0].last_sync_finished),
            include_deleted_data: true,
            cursor: None,
            page_size: 100,
        };
        let merge = workshop.context.merge.account(Category::HRIS, &token);
        loop {
            let model = catalogue::find(MODEL).unwrap();
            let page = merge.list(model, &query).await.unwrap();
            for record in &page.records {
                let modified_at = record.modified_at.unwrap();
                self.stored.insert(record.key().unwrap(), modified_at);
            }
            query.cursor = page.next;
            if query.cursor.is_none() {
                break;
            }
        }
        self.last_fetch_start = Some(start);
    }
}

#[tokio::test]
async fn the_guides_own_rule_loses_a_change_between_a_finish_and_the_fetch() {
    let workshop = Workshop::with(|options, _| options.plan = plan(&[(MODEL, 20)])).await;
    let account = workshop.synced("acme").await;
    workshop.sandbox.freeze(true);
    let mut guides = GuidesReader {
        last_fetch_start: None,
        stored: BTreeMap::new(),
    };
    guides.fetch(&workshop, &account).await;
    let page = workshop
        .sandbox
        .truth_page(account.merge_id, MODEL, None, 1, false)
        .unwrap();
    let key = &page.records[0].key;

    // A sync ends, then the provider pushes a change, then both fetch.
    workshop.sandbox.advance(NEXT_SYNC);
    let fields = [("first_name".to_owned(), json!("Pushed"))].into();
    workshop
        .sandbox
        .change_record(account.merge_id, MODEL, key, fields)
        .unwrap();
    workshop.sandbox.advance(Duration::from_secs(10));
    guides.fetch(&workshop, &account).await;
    workshop.poll(&account).await;
    // However many syncs follow:
    for _ in 0..3 {
        workshop.sandbox.advance(NEXT_SYNC);
        guides.fetch(&workshop, &account).await;
        workshop.poll(&account).await;
    }

    let page = workshop
        .sandbox
        .truth_page(account.merge_id, MODEL, None, 100, false)
        .unwrap();
    let lost: Vec<_> = page
        .records
        .iter()
        .filter(|record| guides.stored.get(&record.key) != Some(&record.modified_at))
        .map(|record| &record.key)
        .collect();
    assert_eq!(lost, [key], "the guides' reader never asks for it");
    workshop.assert_equal_to_truth(&account).await;
}
