//! Processes that are killed.

use std::sync::Arc;

use jobs::{Breakers, JobContext};
use sqlx::postgres::PgPoolOptions;

use super::Workshop;

/// What Postgres knows the process by that is killed.
const DOOMED: &str = "doomed";

impl Workshop {
    /// Runs what is due in a process of its own, as far as Postgres and Merge can tell, and kills it soon after it has
    /// asked Merge so many times. Others find it dead, and take over.
    ///
    /// `steps`: how often the process still gets to do something after that request.
    pub(in crate::jobs) async fn run_until_killed(&self, requests: u64, steps: u32) {
        let options = self.pool().connect_options();
        let options = options.as_ref().clone().application_name(DOOMED);
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .connect_lazy_with(options);
        let context = JobContext {
            pool: pool.clone(),
            queue: queue::Client::new(pool.clone()),
            breakers: Breakers::default(),
            ..JobContext::clone(&self.context)
        };
        let context = Arc::new(context);
        let killed = async {
            self.sandbox.after_requests(requests).await;
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ran = queue::testing::run_due(&pool, &self.registry, &context) => {
                ran.unwrap();
            }
            () = killed => {}
        }
        self.bury().await;
    }

    /// A process that dies takes its connections along, and what they were in the middle of; then its lease runs out.
    async fn bury(&self) {
        sqlx::query!(
            r#"
            SELECT count(pg_terminate_backend(pid, 10000)) AS "n!"
            FROM pg_stat_activity
            WHERE datname = current_database()
              AND application_name = $1
            "#,
            DOOMED
        )
        .fetch_one(self.pool())
        .await
        .unwrap();
        sqlx::query!("UPDATE syncline.workers SET lease_until = now() - interval '1 minute'")
            .execute(self.pool())
            .await
            .unwrap();
        let undertaker = queue::testing::LogicalWorker::register(&self.context.queue)
            .await
            .unwrap();
        undertaker.rescue().await.unwrap();
        undertaker.sign_off().await.unwrap();
    }
}
