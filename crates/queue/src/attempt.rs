//! One run of a job, as its handler sees it.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Arc, OnceLock},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio_util::sync::CancellationToken;
use tracing::{Span, field::Empty};

use crate::{
    client::Client,
    enqueue::{EnqueueInto, Parent},
    error::{Error, Throttled},
    error_budget::{Permit, Purse},
    ids::{JobId, Lane, Queue, WorkerId},
    limiter::SharedLimiter,
    notes::Notebook,
    place::Place,
    rollups::Measure,
    trace,
};

/// The lease a job runs under: who owns its lane, since which change of owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) worker: WorkerId,
    pub(crate) epoch: i64,
}

/// A job that was started, as it stands in its row.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the column's name")]
pub(crate) struct Started {
    pub(crate) id: JobId,
    pub(crate) place: Place,
    pub(crate) lane: Lane,
    pub(crate) kind: String,
    pub(crate) queue: Queue,
    pub(crate) attempt: u16,
    pub(crate) max_attempts: u16,
    /// JSON.
    pub(crate) payload: String,
    pub(crate) limit_key: Option<String>,
    /// The unique key it holds until it ends.
    pub(crate) held_key: Option<String>,
    pub(crate) trace_context: Option<String>,
    pub(crate) started_at: DateTime<Utc>,
    /// How long it was due before it started.
    pub(crate) waited: Duration,
    pub(crate) lease: Lease,
    /// Opened by whoever is first to tell of this attempt, and closed when its end is written.
    pub(crate) span: OnceLock<Span>,
    /// What this attempt leaves for people.
    pub(crate) notebook: Notebook,
}

impl Started {
    /// What this attempt does, and what is told of it, belongs to this span; it goes on with the trace of the job.
    ///
    /// Of the highest level, so that whatever is logged in it bears the job's id.
    pub(crate) fn span(&self) -> &Span {
        self.span.get_or_init(|| {
            trace::following(self.trace_context.as_deref(), || {
                tracing::error_span!(
                    "job.run",
                    job.id = %self.id, job.kind = %self.kind, job.queue = %self.queue,
                    job.attempt = self.attempt, lane = %self.lane,
                    outcome = Empty, error.type = Empty
                )
            })
        })
    }
}

/// One run of a job: its identity, its fence and its rate limit.
pub struct Attempt {
    job: Arc<Started>,
    client: Client,
    limiter: SharedLimiter,
    /// Without one, errors are not counted.
    purse: Option<Purse>,
    cancellation: CancellationToken,
    is_complete: bool,
}

impl Attempt {
    pub(crate) fn new(
        job: Arc<Started>,
        client: Client,
        limiter: SharedLimiter,
        purse: Option<Purse>,
        cancellation: CancellationToken,
    ) -> Self {
        Self {
            job,
            client,
            limiter,
            purse,
            cancellation,
            is_complete: false,
        }
    }

    /// The job's id.
    pub fn job_id(&self) -> JobId {
        self.job.id
    }

    /// The job's lane.
    pub fn lane(&self) -> &Lane {
        &self.job.lane
    }

    /// Which run this is; the first is 1.
    pub fn number(&self) -> u16 {
        self.job.attempt
    }

    /// How many runs there may be.
    pub fn max_attempts(&self) -> u16 {
        self.job.max_attempts
    }

    /// The W3C `traceparent` of whoever enqueued the job.
    pub fn trace_context(&self) -> Option<&str> {
        self.job.trace_context.as_deref()
    }

    /// Fires when the job should stop: cancelled, lease lost, or the process is going down.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    pub(crate) fn payload(&self) -> &str {
        &self.job.payload
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Begins a transaction for the job's effects, behind the fence.
    ///
    /// The job's row is locked until the end: whoever would take the lane over waits, and who took it over
    /// before makes this fail. Keep it short, and never talk to anybody meanwhile.
    ///
    /// # Errors
    /// [`Error::Fenced`] when the lease is lost (stop, nothing may be written), [`Error::Database`].
    pub async fn begin(&self) -> Result<FencedTx, Error> {
        let (job, client) = (Arc::clone(&self.job), self.client.clone());
        // In a task of its own: a begin that is dropped half-way leaves an open transaction in the pool
        // (launchbadge/sqlx#4393), and handlers are dropped when they time out.
        let begun = self.client.spawn(async move {
            let mut tx = client
                .pool()
                .begin()
                .await
                .map_err(Error::database("begin a transaction"))?;
            let is_held = check_fence(&mut tx, &job).await?;
            Ok::<_, Error>((tx, is_held))
        });
        let (tx, is_held) = begun.await.map_err(|_| Error::ShuttingDown)??;
        if !is_held {
            metrics::counter!("syncline_fenced_writes_total").increment(1);
            tracing::warn!(job.id = %self.job.id, job.kind = %self.job.kind, lane = %self.job.lane,
                "refused a write: the lease was lost");
            return Err(Error::Fenced {
                job_id: self.job.id,
                lane: self.job.lane.clone(),
            });
        }
        Ok(FencedTx {
            tx,
            client: self.client.clone(),
            job: Arc::clone(&self.job),
            has_enqueued: false,
        })
    }

    /// Commits the job's last effects and its completion as one; `result` is what waiters are given.
    ///
    /// Return `Ok(())` from the handler afterwards.
    ///
    /// # Errors
    /// [`Error::Database`]; nothing was written then.
    pub async fn complete(&mut self, mut tx: FencedTx, result: Value) -> Result<(), Error> {
        sqlx::query_file!(
            "src/worker/settle/complete_one.sql",
            self.job.id.0,
            result,
            self.job.notebook.written(),
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::database("complete a job"))?;
        tx.commit().await?;
        self.is_complete = true;
        Ok(())
    }

    /// Leave to make one request to the far side, within the lane's rate and the fleet's error budget;
    /// waits when it comes soon. Say [`Permit::succeeded`] unless the answer is an error.
    ///
    /// # Errors
    /// [`Throttled`] when the wait would be long: snooze, and the slot is free for others.
    pub async fn throttle(&self) -> Result<Permit, Throttled> {
        self.wait_for_rate().await?;
        let Some(purse) = &self.purse else {
            return Ok(Permit::unlimited());
        };
        if let Some(permit) = purse.permit_now() {
            return Ok(permit);
        }
        let permit = purse.permit().await?;
        // Time has passed: what was booked was for then.
        if let Err(throttled) = self.wait_for_rate().await {
            permit.succeeded();
            return Err(throttled);
        }
        Ok(permit)
    }

    async fn wait_for_rate(&self) -> Result<(), Throttled> {
        let wait = self.limiter.reserve()?;
        if !wait.is_zero() {
            metrics::histogram!("syncline_limiter_wait_seconds").record(wait.as_secs_f64());
            self.client.tally().note(Measure::LimiterWait, wait);
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }
}

/// The fence: this very attempt still runs, under the lease it was started under.
///
/// Both stand on the job's own row, which is locked until the transaction ends. Whoever takes the lane over
/// has to write that row, so it either waits for us or was there first.
async fn check_fence(connection: &mut PgConnection, job: &Started) -> Result<bool, Error> {
    let held = sqlx::query_scalar!(
        r#"
        SELECT true AS "held!"
        FROM syncline.jobs
        WHERE id = $1 AND attempt = $2 AND worker_id = $3 AND epoch = $4
        FOR NO KEY UPDATE
        "#,
        job.id.0,
        i16::try_from(job.attempt).unwrap_or(i16::MAX),
        job.lease.worker.0,
        job.lease.epoch,
    )
    .fetch_optional(connection)
    .await
    .map_err(Error::database("check the lease of a job"))?;
    Ok(held.is_some())
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("job", &self.job.id)
            .finish_non_exhaustive()
    }
}

/// A transaction that passed the fence. Dropped, it rolls back.
pub struct FencedTx {
    tx: Transaction<'static, Postgres>,
    client: Client,
    job: Arc<Started>,
    has_enqueued: bool,
}

impl FencedTx {
    /// Makes the effects durable, and wakes workers for what was enqueued.
    ///
    /// # Errors
    /// [`Error::Database`]; whether the commit took effect is then unknown, as after any lost answer.
    pub async fn commit(self) -> Result<(), Error> {
        self.tx
            .commit()
            .await
            .map_err(Error::database("commit a transaction"))?;
        if self.has_enqueued {
            self.client.wake();
        }
        Ok(())
    }
}

impl EnqueueInto for FencedTx {
    fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    fn note_enqueued(&mut self) {
        self.has_enqueued = true;
    }

    fn parent(&self) -> Option<Parent<'_>> {
        Some(Parent {
            id: self.job.id,
            trace_context: self.job.trace_context.as_deref(),
        })
    }
}

impl Deref for FencedTx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for FencedTx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

impl fmt::Debug for FencedTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedTx").finish_non_exhaustive()
    }
}
