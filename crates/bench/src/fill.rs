//! Filling our tables by SQL: a million rows in seconds, as they would stand after enqueueing and running.

use anyhow::Result;

use crate::server::Database;

/// Jobs that wait. Their ids are older than any that is enqueued now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) jobs: u64,
    pub(crate) first_number: u64,
    pub(crate) lanes: u32,
    pub(crate) first_account: u32,
    /// SQL: `now()` or later.
    pub(crate) run_at: &'static str,
}

/// Smaller than the ids of all jobs that are enqueued now, and larger than all that are filled in.
pub(crate) const NEWER_IDS: &str = "01910000-0000-7000-8000-000000000000";

impl Waiting {
    /// Adds them, and their lanes.
    pub(crate) async fn fill(self, database: &Database) -> Result<()> {
        let Self {
            jobs,
            first_number,
            lanes,
            first_account,
            run_at,
        } = self;
        let account = format!("{first_account} + n % {lanes}");
        let lane = lane_sql(&account);
        database
            .execute(&format!(
                "INSERT INTO syncline.jobs (id, lane, kind, queue, priority, run_at, max_attempts, payload)
                 SELECT
                     ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                     {lane}, 'noop', 'sync', 100, {run_at}, 12, {payload}
                 FROM generate_series({first_number}::bigint, {first_number} + {jobs} - 1) AS n;
                 INSERT INTO syncline.lanes AS l (lane, due_at)
                 SELECT {lane}, {run_at} FROM generate_series(0, {lanes} - 1) AS n
                 ON CONFLICT (lane) DO UPDATE SET due_at = least(l.due_at, excluded.due_at)",
                payload = payload_sql(&account),
            ))
            .await
    }
}

/// Adds jobs that are done.
pub(crate) async fn finished(database: &Database, jobs: u64, lanes: u32) -> Result<()> {
    let account = format!("n % {lanes}");
    database
        .execute(&format!(
            "INSERT INTO syncline.job_history (
                 id, lane, kind, queue, priority, state, attempt, max_attempts, payload, tags,
                 created_at, run_at, started_at, finished_at
             )
             SELECT
                 ('01900000-0000-7000-8001-' || lpad(to_hex(n), 12, '0'))::uuid,
                 {lane}, 'old', 'sync', 100, 'completed', 1, 12, {payload}, '{{}}',
                 now(), now(), now(), now()
             FROM generate_series(1, {jobs}::bigint) AS n",
            lane = lane_sql(&account),
            payload = payload_sql(&account),
        ))
        .await
}

/// Named as the contender `ours` names its lanes.
fn lane_sql(account: &str) -> String {
    format!("'acct:019a0000-0000-7000-8000-' || lpad(to_hex({account}), 12, '0')")
}

/// As [`crate::ledger::Payload`], within a few bytes.
fn payload_sql(account: &str) -> String {
    format!("jsonb_build_object('number', n, 'account', {account}, 'filler', repeat('x', 150))")
}
