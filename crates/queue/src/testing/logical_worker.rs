//! A worker without tasks: each of its statements when a test says so, and in any order.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    attempt::{Attempt, Started},
    client::Client,
    error::Error,
    ids::{JobId, Lane, WorkerId},
    job::Failure,
    limiter::{Rate, SharedLimiter},
    registry::Registry,
    testing::acquire,
    worker::{Completion, Settings, Stop, claim, lease, release, settle, start},
};

/// Lanes claimed, and jobs of a lane started, at most, by one call.
const MANY: usize = 100;

/// A worker driven by hand: for tests that want several of them in one process, and want to choose what
/// happens between any two of their statements. It runs the very statements that a
/// [`Worker`](crate::worker::Worker) runs; what a worker decides by itself is left to the test.
///
/// Like a worker, it believes that lanes are its own until the database says otherwise.
#[derive(Debug)]
pub struct LogicalWorker {
    client: Client,
    settings: Settings,
    id: WorkerId,
    /// With the epoch since which each is its own.
    lanes: BTreeMap<Lane, i64>,
}

impl LogicalWorker {
    /// Registers a worker.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn register(client: &Client) -> Result<Self, Error> {
        let settings = Settings {
            lease: Duration::from_hours(1),
            ..Settings::default()
        };
        Ok(Self {
            id: lease::register(client.pool(), &settings).await?,
            client: client.clone(),
            settings,
            lanes: BTreeMap::new(),
        })
    }

    /// Its id; another one after its lease was lost.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Renews the lease. Declared dead meanwhile, it registers anew, owns nothing, and answers false.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn renew(&mut self) -> Result<bool, Error> {
        let pool = self.client.pool();
        let renewed =
            lease::renew(pool, self.id, self.settings.lease, lease::Load::default()).await?;
        if renewed.is_none() {
            *self = Self::register(&self.client).await?;
        }
        Ok(renewed.is_some())
    }

    /// Claims every lane that is due, and lets those go again in which nothing may start.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn claim(&mut self) -> Result<(), Error> {
        let want = claim::Want {
            urgent: 0,
            any: MANY,
        };
        let claimed = claim::claim(self.client.pool(), self.id, want, &[], 0).await?;
        let epochs: BTreeMap<_, _> = claimed
            .into_iter()
            .map(|lane| (lane.lane, lane.epoch))
            .collect();
        let due = self.due(&epochs).await?;
        self.lanes.extend(epochs.clone());
        let nothing_due = |lane: &Lane| due.iter().all(|job| job.lane != *lane);
        let idle: Vec<_> = epochs
            .into_iter()
            .filter(|(lane, _)| nothing_due(lane))
            .collect();
        self.let_go(&idle).await
    }

    /// Starts every job that is due in the lanes it believes to own, and hands them to the test.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn start(&mut self) -> Result<Vec<Run>, Error> {
        let due = self.due(&self.lanes).await?;
        let mut chosen = start::Chosen::default();
        for job in due {
            if let Some(epoch) = self.lanes.get(&job.lane) {
                chosen.push(job, *epoch);
            }
        }
        let started = start::start(self.client.pool(), self.id, &chosen).await?;
        let runs = started.into_iter().map(|job| Run {
            job,
            client: self.client.clone(),
        });
        Ok(runs.collect())
    }

    /// Lets all lanes go that it believes to own, but those in which one of these runs.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn release(&mut self, running: &[&Run]) -> Result<(), Error> {
        let idle: Vec<_> = self
            .lanes
            .iter()
            .filter(|(lane, _)| running.iter().all(|run| run.job.lane != **lane))
            .map(|(lane, epoch)| (lane.clone(), *epoch))
            .collect();
        self.let_go(&idle).await
    }

    async fn due(&self, lanes: &BTreeMap<Lane, i64>) -> Result<Vec<start::Due>, Error> {
        let lanes: Vec<_> = lanes.keys().map(|lane| (lane.clone(), MANY)).collect();
        start::due(self.client.pool(), &lanes, &self.settings.served()).await
    }

    async fn let_go(&mut self, lanes: &[(Lane, i64)]) -> Result<(), Error> {
        let lanes: Vec<_> = lanes
            .iter()
            .map(|(lane, epoch)| release::Releasable {
                lane: lane.clone(),
                epoch: *epoch,
                limiter_ahead: Duration::ZERO,
                is_doubtful: false,
            })
            .collect();
        let pool = self.client.pool();
        for lane in release::release(
            &mut *acquire(pool).await?,
            self.id,
            &lanes,
            &self.settings.served(),
        )
        .await?
        {
            self.lanes.remove(&lane);
        }
        Ok(())
    }

    /// Declares silent workers dead and frees the lanes of all that ended; answers how many.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn rescue(&self) -> Result<u64, Error> {
        lease::rescue(&mut *acquire(self.client.pool()).await?, Duration::ZERO).await
    }

    /// Ends the registration, as a worker does that has drained.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sign_off(self) -> Result<(), Error> {
        lease::sign_off(self.client.pool(), self.id).await
    }
}

/// A job that was started, in the hands of the test. It can be settled more than once, and too late: the
/// database decides.
#[derive(Debug, Clone)]
pub struct Run {
    job: Arc<Started>,
    client: Client,
}

impl Run {
    /// Which job runs.
    pub fn job_id(&self) -> JobId {
        self.job.id
    }

    /// Whose run it is.
    pub fn worker_id(&self) -> WorkerId {
        self.job.lease.worker
    }

    /// The attempt, as its handler would be given it: for effects behind the fence.
    pub fn attempt(&self) -> Attempt {
        let rate = Rate {
            per_minute: 1_000,
            burst: 100,
        };
        Attempt::new(
            Arc::clone(&self.job),
            self.client.clone(),
            SharedLimiter::new(rate, Duration::ZERO),
            None,
            Stop::default().token().clone(),
        )
    }

    /// Settles the attempt by a handler's answer.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn settle<C: Send + Sync + 'static>(
        &self,
        registry: &Registry<C>,
        answer: Result<(), Failure>,
    ) -> Result<(), Error> {
        let answer = answer.map(|()| Completion::Done);
        settle::write_one(self.client.pool(), registry, Arc::clone(&self.job), answer).await
    }

    /// Hands the job back, as a worker does that stops.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn hand_back(&self) -> Result<(), Error> {
        let cut_off = Failure::Retry {
            error: "was cut off".into(),
            class: "aborted",
            http_status: None,
        };
        let registry = Registry::<()>::new();
        self.settle(&registry, Err(cut_off)).await
    }
}
