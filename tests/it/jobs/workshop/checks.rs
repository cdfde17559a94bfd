//! What must be true whatever happened.

use merge_client::catalogue;
use serde_json::Value;
use sqlx::types::Json;
use store::AccountId;

use super::{Account, Workshop};

impl Workshop {
    /// Checks that exactly what is true at Merge is stored: keys, times, deletions, and every field.
    pub(in crate::jobs) async fn assert_equal_to_truth(&self, account: &Account) {
        for truth in self.sandbox.truth(account.merge_id).unwrap() {
            let page = self
                .sandbox
                .truth_page(account.merge_id, &truth.model_id, None, 100_000, true)
                .unwrap();
            let mut expected: Vec<_> = page
                .records
                .into_iter()
                .map(|record| {
                    let data: Value = serde_json::from_str(record.data.unwrap().get()).unwrap();
                    (
                        record.key,
                        Some(record.modified_at),
                        record.is_deleted,
                        data,
                    )
                })
                .collect();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            let stored = sqlx::query!(
                r#"
                SELECT merge_id, modified_at, is_deleted, data AS "data: Json<Value>"
                FROM syncline.model_records
                WHERE account_id = $1
                  AND model_id = $2
                ORDER BY merge_id
                "#,
                account.id as AccountId,
                truth.model_id
            )
            .fetch_all(self.pool())
            .await
            .unwrap();
            // What bears no mark of deletion vanishes at Merge, and is kept by us as deleted.
            let has_mark = catalogue::find(&truth.model_id).unwrap().has_deleted_mark;
            let stored: Vec<_> = stored
                .into_iter()
                .filter(|row| has_mark || !row.is_deleted)
                .map(|row| (row.merge_id, row.modified_at, row.is_deleted, row.data.0))
                .collect();
            assert_eq!(stored, expected, "{}", truth.model_id);
        }
    }

    /// Checks that the closed windows of each model join without a hole, and end at the watermark.
    pub(in crate::jobs) async fn assert_windows_are_contiguous(&self, account: &Account) {
        for model in self.models(account.id).await {
            let windows = sqlx::query!(
                r#"
                SELECT modified_after, modified_before, mark
                FROM syncline.fetch_windows
                WHERE account_id = $1
                  AND model_id = $2
                  AND finished_at IS NOT NULL
                ORDER BY id
                "#,
                account.id as AccountId,
                model.model_id
            )
            .fetch_all(self.pool())
            .await
            .unwrap();
            let mut reached = None;
            for window in windows {
                assert!(
                    window.modified_after <= reached,
                    "a hole in {}",
                    model.model_id
                );
                assert!(window.modified_before.is_none_or(|end| end == window.mark));
                reached = Some(window.mark);
            }
            assert_eq!(model.fetched_through, reached, "{}", model.model_id);
        }
    }
}
