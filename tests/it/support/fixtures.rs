//! Things to act on, put where they would be after some history.

use jobs::poll_sync_status::PollSyncStatus;
use queue::{JobId, NewJob};
use serde_json::json;
use store::AccountId;
use uuid::Uuid;

use super::TestApp;

impl TestApp {
    /// A job that waits for tomorrow.
    pub(crate) async fn waiting_job(&self) -> JobId {
        let account_id = AccountId::new();
        let job = NewJob::new(&PollSyncStatus { account_id }).unwrap();
        let job = job.run_after(std::time::Duration::from_hours(24));
        let mut connection = self.pool().acquire().await.unwrap();
        queue::enqueue(&mut *connection, &job).await.unwrap().id
    }

    /// A job that died of this.
    pub(crate) async fn dead_job(&self, error: &str) -> JobId {
        self.dead_jobs(1, error).await[0]
    }

    /// So many.
    pub(crate) async fn dead_jobs(&self, count: i32, error: &str) -> Vec<JobId> {
        let account_id = Uuid::now_v7();
        let ids = sqlx::query_scalar!(
            r#"
            INSERT INTO syncline.dead_jobs (
                id, lane, kind, queue, priority, attempt, max_attempts, payload, tags, error_class, last_error,
                http_status, created_at, run_at, started_at, finished_at
            )
            SELECT
                -- Of an hour ago, in the order of their numbers.
                (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 3600000 + number), 12, '0')
                    || '7000' || '8' || substr(md5(random()::text), 1, 15))::uuid,
                'acct:' || $1::text, 'poll_sync_status', 'sync', 50, 3, 3, $2, '{}', 'merge_unavailable', $3,
                503, now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 minute', now()
            FROM generate_series(1, $4) AS number
            RETURNING id
            "#,
            account_id.to_string(),
            json!({ "account_id": account_id }),
            error,
            count,
        )
        .fetch_all(self.pool())
        .await
        .unwrap();
        // They are counted as if they had died by themselves.
        queue::counts::repair(self.pool()).await.unwrap();
        ids.into_iter().map(JobId).collect()
    }

    /// A worker that lives.
    pub(crate) async fn silent_worker(&self) -> Uuid {
        let id = Uuid::new_v4();
        sqlx::query!(
            r#"
            INSERT INTO syncline.workers (id, lease_until, host, pid, version, slots)
            VALUES ($1, now() + interval '1 hour', 'elsewhere', 7, '0', '{"sync": 16}')
            "#,
            id
        )
        .execute(self.pool())
        .await
        .unwrap();
        id
    }

    /// The schedules, as the scheduler's start writes them.
    pub(crate) async fn known_schedules(&self) {
        let schedules = jobs::registry().schedules();
        queue::schedule::sync(&mut self.pool().acquire().await.unwrap(), &schedules)
            .await
            .unwrap();
    }

    /// A delivery that was judged.
    pub(crate) async fn judged_delivery(&self) -> Uuid {
        let body = json!({ "at": Uuid::new_v4() }).to_string();
        self.keep_without_job(body.as_bytes()).await;
        sqlx::query_scalar!(
            r#"
            UPDATE syncline.webhook_deliveries
            SET verdict = 'ignored', processed_at = now()
            WHERE verdict = 'received'
            RETURNING id
            "#
        )
        .fetch_one(self.pool())
        .await
        .unwrap()
    }

    /// What people did, oldest first: who, and what.
    pub(crate) async fn audited(&self) -> Vec<(String, String)> {
        let entries =
            sqlx::query!("SELECT actor, action FROM syncline.audit_log ORDER BY position");
        let entries = entries.fetch_all(self.pool()).await.unwrap();
        entries
            .into_iter()
            .map(|entry| (entry.actor, entry.action))
            .collect()
    }
}
