//! Writing how attempts ended.
//!
//! Whatever ended while the last transaction was under way is written by the next, in a few set-based
//! statements: no timer, so a lone job is settled at once, and a flood shares its commits.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::Span;

use crate::{
    attempt::Started,
    client::Client,
    error::Error,
    ids::{JobId, Lane},
    job::{Failure, chain},
    meters::{Ended, Meters},
    registry::{KindPolicy, Registry},
    retry::RetryPolicy,
    rollups::{Measure, Tally},
    scrub::scrubbed,
    session::{Session, patiently},
    worker::{Completion, Stop},
};

pub(crate) mod write;

/// Settled in one transaction at most.
const MAX_BATCH: usize = 1_000;
/// Between tries when the database cannot be reached.
const AFTER_ERROR: Duration = Duration::from_millis(500);

/// What is to be written of an attempt.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    /// The handler wrote it.
    Written,
    Retry {
        delay: Duration,
        class: &'static str,
        message: String,
        http_status: Option<u16>,
    },
    Dead {
        class: &'static str,
        message: String,
        http_status: Option<u16>,
    },
    Cancelled {
        class: &'static str,
        message: String,
    },
    Snooze {
        delay: Duration,
        message: String,
        parks_lane: bool,
    },
    /// Not begun, or cut off by the end of the process.
    HandedBack,
    /// The lease is gone: nothing to write.
    Fenced,
}

impl Outcome {
    fn ended(&self) -> Ended {
        match self {
            Self::Done | Self::Written => Ended::Completed,
            Self::Retry { .. } => Ended::Retried,
            Self::Dead { .. } => Ended::Dead,
            Self::Cancelled { .. } => Ended::Cancelled,
            Self::Snooze { .. } => Ended::Snoozed,
            Self::HandedBack => Ended::HandedBack,
            Self::Fenced => Ended::Fenced,
        }
    }

    /// What is measured of such an end: whether the job got anywhere.
    fn measure(&self) -> Option<Measure> {
        match self {
            Self::Done | Self::Written => Some(Measure::Completed),
            Self::Retry { .. } | Self::Dead { .. } => Some(Measure::Failed),
            Self::Cancelled { .. } | Self::Snooze { .. } | Self::HandedBack | Self::Fenced => None,
        }
    }

    /// A job that somebody asked to stop is cancelled, however it ended, unless it was done.
    fn unless_stopped(self, stop: &Stop) -> Self {
        match (self, stop.message()) {
            (done @ (Self::Done | Self::Written | Self::Fenced), _) => done,
            (_, Some(message)) => Self::Cancelled {
                class: "cancelled",
                message: message.to_owned(),
            },
            (outcome, None) => outcome,
        }
    }

    fn of(job: &Started, answer: Result<Completion, Failure>, policy: RetryPolicy) -> Self {
        match answer {
            Ok(Completion::Done) => Self::Done,
            Ok(Completion::Written) => Self::Written,
            Err(Failure::Fenced) => Self::Fenced,
            Err(Failure::Retry {
                class: "aborted", ..
            }) => Self::HandedBack,
            Err(Failure::Retry {
                error,
                class,
                http_status,
            }) => {
                let message = chain(&*error);
                if job.attempt >= job.max_attempts {
                    return Self::Dead {
                        class,
                        message,
                        http_status,
                    };
                }
                let delay = policy.delay(job.attempt, &mut rand::rng());
                Self::Retry {
                    delay,
                    class,
                    message,
                    http_status,
                }
            }
            Err(Failure::Cancel { error, class }) => Self::Cancelled {
                class,
                message: chain(&*error),
            },
            Err(Failure::Snooze { after, reason }) => Self::Snooze {
                delay: after,
                message: stored(&reason),
                parks_lane: false,
            },
            Err(Failure::Park { after, reason }) => Self::Snooze {
                delay: after,
                message: stored(&reason),
                parks_lane: true,
            },
        }
    }
}

/// Without what looks like a secret, and as Postgres text can hold it.
fn stored(text: &str) -> String {
    scrubbed(text).replace('\0', "\u{fffd}")
}

/// An attempt that ended.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) job: Arc<Started>,
    pub(crate) outcome: Outcome,
    /// From its start to its end.
    pub(crate) took: Duration,
}

/// Told to the dispatcher once it is written.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: JobId,
    pub(crate) lane: Lane,
    pub(crate) epoch: i64,
    pub(crate) parks_lane: bool,
    pub(crate) is_completed: bool,
    /// It waits in its lane again.
    pub(crate) is_put_back: bool,
}

type Policies = Arc<dyn Fn(&str) -> Option<KindPolicy> + Send + Sync>;

/// Hands out tickets; when it and all tickets are gone, the settler ends.
#[derive(Clone)]
pub(crate) struct Tickets {
    ended: mpsc::UnboundedSender<Settlement>,
    policies: Policies,
}

impl Tickets {
    pub(crate) fn of(&self, job: &Arc<Started>, stop: &Stop) -> Ticket {
        Ticket {
            job: Arc::clone(job),
            stop: stop.clone(),
            began: Instant::now(),
            tickets: Some(self.clone()),
        }
    }
}

/// The duty to say how one attempt ended. Dropped without a word, the job is handed back.
pub(crate) struct Ticket {
    job: Arc<Started>,
    stop: Stop,
    began: Instant,
    tickets: Option<Tickets>,
}

impl Ticket {
    pub(crate) fn settle(mut self, answer: Result<Completion, Failure>) {
        let Some(tickets) = self.tickets.take() else {
            return;
        };
        let policy =
            (tickets.policies)(&self.job.kind).map_or(RetryPolicy::STANDARD, |policy| policy.retry);
        let outcome = Outcome::of(&self.job, answer, policy).unless_stopped(&self.stop);
        // Without a settler the process is going down, and the lease runs out.
        let _ = tickets.ended.send(Settlement {
            job: Arc::clone(&self.job),
            outcome,
            took: self.began.elapsed(),
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(tickets) = self.tickets.take() {
            let settlement = Settlement {
                job: Arc::clone(&self.job),
                outcome: Outcome::HandedBack.unless_stopped(&self.stop),
                took: self.began.elapsed(),
            };
            let _ = tickets.ended.send(settlement);
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("job", &self.job.id)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Settler {
    session: Session,
    client: Client,
    ended: mpsc::UnboundedReceiver<Settlement>,
    settled: mpsc::UnboundedSender<Settled>,
    meters: Meters,
}

impl Settler {
    pub(crate) fn new(
        client: Client,
        policies: Policies,
    ) -> (Self, Tickets, mpsc::UnboundedReceiver<Settled>) {
        let (ended_sender, ended) = mpsc::unbounded_channel();
        let (settled, settled_receiver) = mpsc::unbounded_channel();
        let tickets = Tickets {
            ended: ended_sender,
            policies,
        };
        (
            Self {
                session: Session::like(client.pool()),
                client,
                ended,
                settled,
                meters: Meters::default(),
            },
            tickets,
            settled_receiver,
        )
    }

    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        while self.ended.recv_many(&mut batch, MAX_BATCH).await > 0 {
            // In one order, so that two settlers cannot wait for each other; neighbours in the index, too.
            batch.sort_by_key(|settlement| settlement.job.id);
            let written = std::mem::take(&mut batch);
            let accepted = self.write_until_done(&written).await;
            report(&written, &accepted, &mut self.meters);
            measure(self.client.tally(), &written, &accepted);
            self.client.jobs_ended();
            for settlement in &written {
                let parks_lane = matches!(
                    settlement.outcome,
                    Outcome::Snooze {
                        parks_lane: true,
                        ..
                    }
                );
                let _ = self.settled.send(Settled {
                    id: settlement.job.id,
                    lane: settlement.job.lane.clone(),
                    epoch: settlement.job.lease.epoch,
                    parks_lane,
                    is_put_back: matches!(
                        settlement.outcome,
                        Outcome::Retry { .. } | Outcome::Snooze { .. } | Outcome::HandedBack
                    ),
                    is_completed: matches!(settlement.outcome, Outcome::Done | Outcome::Written),
                });
            }
        }
    }

    async fn write(&mut self, settlements: &[Settlement]) -> Result<HashSet<JobId>, Error> {
        let mut connection = self.session.take().await?;
        let accepted = patiently("settle jobs", write::write(&mut connection, settlements)).await?;
        self.session.keep(connection);
        Ok(accepted)
    }

    /// The database decides in the end: either it takes the outcomes, or the lease runs out and it
    /// refuses them.
    async fn write_until_done(&mut self, settlements: &[Settlement]) -> HashSet<JobId> {
        loop {
            match self.write(settlements).await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), jobs = settlements.len(), "cannot settle jobs yet");
                    sleep(AFTER_ERROR).await;
                }
            }
        }
    }
}

/// Settles one attempt at once: for tests that run jobs one after another.
pub(crate) async fn write_one<C: Send + Sync + 'static>(
    pool: &PgPool,
    registry: &Registry<C>,
    job: Arc<Started>,
    answer: Result<Completion, Failure>,
) -> Result<(), Error> {
    let policy = registry
        .policy(&job.kind)
        .map_or(RetryPolicy::STANDARD, |policy| policy.retry);
    let outcome = Outcome::of(&job, answer, policy);
    let settlement = [Settlement {
        job,
        outcome,
        took: Duration::ZERO,
    }];
    let mut connection = pool
        .acquire()
        .await
        .map_err(Error::database("get a connection"))?;
    let accepted = write::write(&mut connection, &settlement).await?;
    report(&settlement, &accepted, &mut Meters::default());
    Ok(())
}

/// Of those that count: what was refused, somebody else has measured, or will.
fn measure(tally: &Tally, settlements: &[Settlement], accepted: &HashSet<JobId>) {
    let counted = settlements.iter().filter(|settlement| {
        accepted.contains(&settlement.job.id) || matches!(settlement.outcome, Outcome::Written)
    });
    tally.note_jobs(counted.filter_map(|Settlement { job, outcome, took }| {
        let measure = outcome.measure()?;
        Some((measure, job.queue, job.kind.as_str(), *took))
    }));
}

/// One log line and one count for each attempt's end.
fn report(settlements: &[Settlement], accepted: &HashSet<JobId>, meters: &mut Meters) {
    for Settlement { job, outcome, .. } in settlements {
        let is_refused = !accepted.contains(&job.id) && !matches!(outcome, Outcome::Written);
        let ended = if is_refused {
            Ended::Fenced
        } else {
            outcome.ended()
        };
        if is_refused && !matches!(outcome, Outcome::Fenced) {
            metrics::counter!("syncline_fenced_writes_total").increment(1);
        }
        meters.ended(job, ended);
        let span = job.span();
        span.record("outcome", ended.as_str());
        span.in_scope(|| log(outcome, span));
    }
}

/// One log line, in the attempt's span, which names it.
fn log(outcome: &Outcome, span: &Span) {
    match outcome {
        Outcome::Dead { class, message, .. } => {
            span.record("error.type", class);
            tracing::error!(error = %message, "job is dead: its last attempt failed");
        }
        Outcome::Retry {
            class,
            message,
            delay,
            ..
        } => {
            span.record("error.type", class);
            tracing::warn!(error = %message, delay_ms = delay.as_millis(), "job will be retried");
        }
        Outcome::Cancelled { class, message } => {
            span.record("error.type", class);
            tracing::info!(error = %message, "job is cancelled");
        }
        Outcome::Done
        | Outcome::Written
        | Outcome::Snooze { .. }
        | Outcome::HandedBack
        | Outcome::Fenced => tracing::info!("job ended"),
    }
}
