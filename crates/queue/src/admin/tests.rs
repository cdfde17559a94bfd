//! What people do with jobs, and the races it may run into.

use std::time::Duration;

use sqlx::PgPool;
use test_support::TestDatabase;

use super::*;
use crate::{
    Client, Error, JobId, JobState, Lane, NewJob, WorkerId, enqueue,
    testing::{
        self,
        probe::{self, Act, Probe, Seen},
    },
    worker::{Settings, release},
};

mod actions;
mod bulk;
mod groups;
mod kept;
mod listing;

fn client(pool: &PgPool) -> Client {
    Client::new(pool.clone())
}

fn ops() -> Request {
    Request {
        by: "ops@example.com".to_owned(),
        reason: "not needed".to_owned(),
    }
}

/// Lets all lanes of a worker go; answers which were let go.
pub(crate) async fn let_go(pool: &PgPool, worker: WorkerId) -> Vec<Lane> {
    let rows = sqlx::query!(
        "SELECT lane, epoch FROM syncline.lanes WHERE owner = $1",
        worker.0
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let releasable: Vec<_> = rows
        .into_iter()
        .map(|row| release::Releasable {
            lane: Lane::from_stored(row.lane),
            epoch: row.epoch,
            limiter_ahead: Duration::ZERO,
            is_doubtful: false,
        })
        .collect();
    release::release(
        &mut pool.acquire().await.unwrap(),
        worker,
        &releasable,
        &Settings::default().served(),
    )
    .await
    .unwrap()
}

async fn run_due(pool: &PgPool) -> usize {
    testing::run_due(pool, &probe::registry(), &Seen::new())
        .await
        .unwrap()
        .attempts
}

async fn state(pool: &PgPool, id: JobId) -> Option<JobState> {
    client(pool).get(id).await.unwrap().map(|job| job.state)
}

/// A job that used its only attempt.
async fn dead(pool: &PgPool, job: &Probe) -> JobId {
    let new = NewJob::new(job).unwrap().max_attempts(1);
    let id = enqueue(&mut *pool.acquire().await.unwrap(), &new)
        .await
        .unwrap()
        .id;
    run_due(pool).await;
    assert_eq!(state(pool, id).await, Some(JobState::Dead));
    id
}

fn refusal(error: &Error) -> String {
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    error.to_string()
}
