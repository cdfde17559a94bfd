//! Looks into the database, past the API.

use serde_json::Value;
use sqlx::AssertSqlSafe;
use store::webhook_deliveries::{self, NewDelivery};
use store::{AccountId, Keyring, linked_accounts, model_syncs};

use super::TestApp;

impl TestApp {
    /// The payloads of jobs of this kind that have not ended.
    pub(crate) async fn pending(&self, kind: &str) -> Vec<Value> {
        let pending = queue::testing::pending(self.pool(), kind).await.unwrap();
        pending.into_iter().map(|(_, payload)| payload).collect()
    }

    /// Jobs that have not ended, of every kind.
    pub(crate) async fn count_jobs(&self) -> usize {
        let mut jobs = 0;
        for kind in jobs::registry().kinds() {
            jobs += self.pending(kind).await.len();
        }
        jobs
    }

    /// No job, and no idempotency key.
    pub(crate) async fn assert_nothing_enqueued(&self) {
        assert_eq!(self.count_jobs().await, 0);
        let keys = sqlx::query_scalar!(r#"SELECT count(*) AS "n!" FROM syncline.idempotency_keys"#);
        assert_eq!(keys.fetch_one(self.pool()).await.unwrap(), 0);
    }

    /// Webhooks in the inbox.
    pub(crate) async fn count_deliveries(&self) -> usize {
        self.verdicts().await.len()
    }

    /// Transactions that put webhooks into the inbox; none of which was touched since.
    pub(crate) async fn count_commits_of_deliveries(&self) -> i64 {
        sqlx::query_scalar!(
            r#"SELECT count(DISTINCT xmin::text) AS "n!" FROM syncline.webhook_deliveries"#
        )
        .fetch_one(self.pool())
        .await
        .unwrap()
    }

    /// Keeps a webhook as a receiver does that is killed then.
    pub(crate) async fn keep_without_job(&self, body: &[u8]) {
        let delivery = NewDelivery::seal(&Keyring::random(), body, "secret").unwrap();
        let mut connection = self.pool().acquire().await.unwrap();
        webhook_deliveries::insert(&mut connection, vec![delivery])
            .await
            .unwrap();
    }

    /// What became of the webhooks in the inbox, oldest first.
    pub(crate) async fn verdicts(&self) -> Vec<String> {
        sqlx::query_scalar!("SELECT verdict FROM syncline.webhook_deliveries ORDER BY id")
            .fetch_all(self.pool())
            .await
            .unwrap()
    }

    /// Merge's id of an account.
    pub(crate) async fn merge_account_id(&self, account: AccountId) -> String {
        let mut connection = self.pool().acquire().await.unwrap();
        let account = linked_accounts::find(&mut connection, account, None)
            .await
            .unwrap();
        account.unwrap().merge_account_id.unwrap()
    }

    /// Records stored of an account.
    pub(crate) async fn count_records(&self, account: AccountId) -> i64 {
        let mut connection = self.pool().acquire().await.unwrap();
        let models = model_syncs::list(&mut connection, account).await.unwrap();
        models.iter().map(|model| model.records).sum()
    }

    /// Searches every column of every table, bytes as well.
    #[expect(
        clippy::disallowed_methods,
        reason = "every table there is, whatever its name"
    )]
    pub(crate) async fn assert_nowhere_in_database(&self, secret: &str) {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'syncline'",
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        assert!(tables.len() > 10);
        // Bytes are shown in hex.
        let hex = secret
            .bytes()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        for table in tables {
            let search = format!(
                "SELECT count(*) FROM {table} AS t \
                 WHERE position($1 IN t::text) > 0 OR position($2 IN t::text) > 0"
            );
            let found: i64 = sqlx::query_scalar(AssertSqlSafe(search))
                .bind(secret)
                .bind(&hex)
                .fetch_one(self.pool())
                .await
                .unwrap();
            assert_eq!(found, 0, "{table} holds a secret in the clear");
        }
    }
}
