//! Claims lanes, starts their jobs within the free slots, lets lanes go.
//!
//! All its state is in this one task, so nothing here can race with itself: other tasks send messages.
//! What is in memory is only a picture of what the database says. It can be wrong after an error, when
//! a commit's answer was lost; [`Dispatcher::reconcile`] then reads the truth.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Ready, Settings, claim,
    lease::{Change, Identity},
    release,
    settle::{Settled, Tickets},
    start,
};
use crate::{
    attempt::Started,
    client::Client,
    error::Error,
    ids::{JobId, Lane, Queue},
    job::chain,
    limiter::SharedLimiter,
};

/// Due jobs looked at in each lane, to find some that may start.
const LOOKAHEAD: usize = 64;
/// The picture is checked against the database this often, and after each error.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
const AFTER_ERROR: Duration = Duration::from_millis(250);
/// What handlers get to notice the drain deadline before they are cut off.
const LAST_GRACE: Duration = Duration::from_secs(3);

pub(super) struct Channels {
    pub(super) to_backend: mpsc::UnboundedSender<Ready>,
    pub(super) tickets: Tickets,
    pub(super) settled: mpsc::UnboundedReceiver<Settled>,
}

/// A lane of ours.
struct Owned {
    epoch: i64,
    limiter: SharedLimiter,
    running: usize,
    /// Jobs started since it was claimed.
    started: usize,
    is_parked: bool,
    /// It may have due jobs: something happened since the last look found none.
    has_due: bool,
}

/// A job of ours that runs.
struct Running {
    queue: Queue,
    lane: Lane,
    limit_key: Option<String>,
    cancellation: CancellationToken,
}

pub(super) struct Dispatcher {
    client: Client,
    settings: Settings,
    identity: Identity,
    work: watch::Receiver<()>,
    channels: Channels,
    free: BTreeMap<Queue, usize>,
    lanes: HashMap<Lane, Owned>,
    running: HashMap<JobId, Running>,
    next_reconcile: Instant,
}

impl Dispatcher {
    pub(super) fn new(
        client: Client,
        settings: Settings,
        identity: Identity,
        channels: Channels,
    ) -> Self {
        Self {
            work: client.work(),
            free: settings.slots.clone(),
            client,
            settings,
            identity,
            channels,
            lanes: HashMap::new(),
            running: HashMap::new(),
            next_reconcile: Instant::now() + RECONCILE_INTERVAL,
        }
    }

    /// Works until told to drain, then drains; answers who it was.
    pub(super) async fn run(mut self, draining: CancellationToken) -> Identity {
        let mut next_look = Instant::now();
        while !draining.is_cancelled() {
            tokio::select! {
                () = draining.cancelled() => break,
                Ok(()) = self.work.changed() => self.look_again(),
                Some(settled) = self.channels.settled.recv() => self.note_settled(&settled),
                change = self.identity.changed() => self.note_identity(change),
                () = sleep_until(next_look) => self.look_again(),
            }
            next_look = match self.round().await {
                Ok(wait) => Instant::now() + wait.min(self.settings.poll_interval),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "cannot dispatch jobs yet");
                    self.next_reconcile = Instant::now();
                    Instant::now() + AFTER_ERROR
                }
            };
        }
        self.drain().await;
        self.identity
    }

    fn look_again(&mut self) {
        for owned in self.lanes.values_mut() {
            owned.has_due = true;
        }
    }

    fn note_settled(&mut self, settled: &Settled) {
        self.settle(settled);
        while let Ok(settled) = self.channels.settled.try_recv() {
            self.settle(&settled);
        }
    }

    fn settle(&mut self, settled: &Settled) {
        let Some(running) = self.running.remove(&settled.id) else {
            return;
        };
        if let Some(free) = self.free.get_mut(&running.queue) {
            *free += 1;
        }
        if let Some(owned) = self.lanes.get_mut(&settled.lane)
            && owned.epoch == settled.epoch
        {
            owned.running = owned.running.saturating_sub(1);
            owned.is_parked |= settled.parks_lane;
            owned.has_due = true;
        }
    }

    /// The lease has run out or is lost: what runs is told to stop, so that a new owner is alone with the
    /// far side; what it would still write is refused. Lost, the lanes are somebody else's.
    fn note_identity(&mut self, change: Change) {
        if change == Change::Lost {
            self.lanes.clear();
        }
        for running in self.running.values() {
            running.cancellation.cancel();
        }
    }

    /// One round of work; answers how long nothing will be due, as far as is known.
    async fn round(&mut self) -> Result<Duration, Error> {
        if Instant::now() >= self.next_reconcile {
            self.reconcile().await?;
            self.next_reconcile = Instant::now() + RECONCILE_INTERVAL;
        }
        let wait = self.claim().await?;
        self.start().await?;
        self.release().await?;
        Ok(wait)
    }

    async fn claim(&mut self) -> Result<Duration, Error> {
        let want = self.wanted();
        if want.any + want.urgent == 0 {
            return Ok(self.settings.poll_interval);
        }
        let next = self
            .client
            .patiently("look for due lanes", |pool| async move {
                claim::next_due(&pool).await
            })
            .await?;
        match next {
            None => return Ok(Duration::MAX),
            Some(until_due) if !until_due.is_zero() => return Ok(until_due),
            Some(_) => {}
        }
        let worker = self.identity.current();
        let claimed = self
            .client
            .patiently("claim lanes", move |pool| async move {
                claim::claim(&pool, worker, want).await
            })
            .await?;
        // More may be due than was wanted; the next look is then when a slot is free.
        for lane in claimed {
            self.own(lane.lane, lane.epoch, lane.limiter_ahead);
        }
        Ok(self.settings.poll_interval)
    }

    fn own(&mut self, lane: Lane, epoch: i64, limiter_ahead: Duration) {
        let owned = Owned {
            epoch,
            limiter: SharedLimiter::new(self.settings.rate, limiter_ahead),
            running: 0,
            started: 0,
            is_parked: false,
            has_due: true,
        };
        self.lanes.insert(lane, owned);
    }

    /// One lane for each slot that no lane waits for already.
    fn wanted(&self) -> claim::Want {
        let waiting = self
            .lanes
            .values()
            .filter(|owned| owned.running == 0)
            .count();
        let urgent = self.free.get(&Queue::INTERACTIVE).copied().unwrap_or(0);
        let others: usize = self
            .free
            .iter()
            .filter(|(queue, _)| **queue != Queue::INTERACTIVE)
            .map(|(_, free)| free)
            .sum();
        claim::Want {
            urgent,
            any: others.saturating_sub(waiting),
        }
    }

    async fn start(&mut self) -> Result<(), Error> {
        let hungry: Vec<String> = self
            .lanes
            .iter()
            .filter(|(_, owned)| self.may_start(owned))
            .map(|(lane, _)| lane.as_str().to_owned())
            .collect();
        if hungry.is_empty() || self.free.values().all(|free| *free == 0) {
            return Ok(());
        }
        let asked = hungry.clone();
        let due = self
            .client
            .patiently("look for due jobs", move |pool| async move {
                start::due(&pool, &hungry, LOOKAHEAD).await
            })
            .await?;
        let with_due: HashSet<&str> = due.iter().map(|job| job.lane.as_str()).collect();
        for (lane, owned) in &mut self.lanes {
            if asked.iter().any(|asked| asked == lane.as_str()) {
                owned.has_due = with_due.contains(lane.as_str());
            }
        }
        let chosen = self.choose(due);
        if chosen.is_empty() {
            return Ok(());
        }
        let worker = self.identity.current();
        let started = self
            .client
            .patiently("start jobs", move |pool| async move {
                start::start(&pool, worker, &chosen).await
            })
            .await?;
        for job in started {
            self.hand_over(job);
        }
        Ok(())
    }

    fn may_start(&self, owned: &Owned) -> bool {
        owned.has_due
            && !owned.is_parked
            && owned.running < self.settings.lane_concurrency
            && owned.started < self.settings.quantum
    }

    /// Those of the due jobs for which there is a slot, room in the lane, and no other with their
    /// limit key.
    fn choose(&self, due: Vec<start::Due>) -> Vec<(JobId, i64)> {
        let mut free = self.free.clone();
        let mut room: HashMap<&Lane, usize> = HashMap::new();
        let mut keys: HashSet<(Lane, String)> = self
            .running
            .values()
            .filter_map(|job| Some((job.lane.clone(), job.limit_key.clone()?)))
            .collect();
        let mut chosen = Vec::new();
        for job in due {
            let Some((lane, owned)) = self.lanes.get_key_value(&job.lane) else {
                continue;
            };
            let room = room.entry(lane).or_insert_with(|| {
                let concurrency = self.settings.lane_concurrency - owned.running;
                concurrency.min(self.settings.quantum.saturating_sub(owned.started))
            });
            let Some(free) = job.queue.and_then(|queue| free.get_mut(&queue)) else {
                continue;
            };
            if *room == 0 || *free == 0 {
                continue;
            }
            if let Some(key) = job.limit_key
                && !keys.insert((job.lane.clone(), key))
            {
                continue;
            }
            *room -= 1;
            *free -= 1;
            chosen.push((job.id, owned.epoch));
        }
        chosen
    }

    fn hand_over(&mut self, job: Arc<Started>) {
        let Some(owned) = self.lanes.get_mut(&job.lane) else {
            return;
        };
        owned.running += 1;
        owned.started += 1;
        if let Some(free) = self.free.get_mut(&job.queue) {
            *free = free.saturating_sub(1);
        }
        let cancellation = CancellationToken::new();
        let running = Running {
            queue: job.queue,
            lane: job.lane.clone(),
            limit_key: job.limit_key.clone(),
            cancellation: cancellation.clone(),
        };
        self.running.insert(job.id, running);
        metrics::counter!(
            "syncline_jobs_started_total",
            "queue" => job.queue.as_str(), "kind" => job.kind.clone()
        )
        .increment(1);
        metrics::histogram!("syncline_job_wait_duration_seconds", "queue" => job.queue.as_str())
            .record(job.waited.as_secs_f64());
        let ready = Ready {
            ticket: Some(self.channels.tickets.of(&job)),
            limiter: owned.limiter.clone(),
            client: self.client.clone(),
            cancellation,
            job,
        };
        // Nobody receives any more: dropped, the ticket hands the job back.
        let _ = self.channels.to_backend.send(ready);
    }

    /// Lets go of lanes that have nothing to do, are parked, or had their turn.
    async fn release(&mut self) -> Result<(), Error> {
        let idle: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, owned)| {
                let is_over = owned.is_parked || owned.started >= self.settings.quantum;
                owned.running == 0 && (is_over || !owned.has_due)
            })
            .map(|(lane, owned)| release::Releasable {
                lane: lane.clone(),
                epoch: owned.epoch,
                limiter_ahead: owned.limiter.ahead(),
            })
            .collect();
        if idle.is_empty() {
            return Ok(());
        }
        let worker = self.identity.current();
        let released = self
            .client
            .patiently("let lanes go", move |pool| async move {
                release::release(&pool, worker, &idle).await
            })
            .await?;
        let mut is_turn_over = false;
        for lane in released {
            let owned = self.lanes.remove(&lane);
            is_turn_over |= owned.is_some_and(|owned| owned.started >= self.settings.quantum);
        }
        // Look again at once: what was let go may be due before the next poll.
        self.client.wake_local();
        if is_turn_over {
            self.client.wake();
        }
        Ok(())
    }

    /// Makes the picture true: adopts lanes that are ours without our knowing, hands back jobs that run
    /// nowhere, forgets lanes that are ours no more.
    async fn reconcile(&mut self) -> Result<(), Error> {
        let worker = self.identity.current();
        let running: Vec<_> = self.running.keys().map(|id| id.0).collect();
        let truth = self
            .client
            .patiently("reconcile lanes", move |pool| async move {
                super::lease::holdings(&pool, worker, &running).await
            })
            .await?;
        let held: HashMap<_, _> = truth
            .into_iter()
            .map(|lane| (lane.lane.clone(), lane))
            .collect();
        self.lanes.retain(|lane, owned| {
            held.get(lane)
                .is_some_and(|claimed| claimed.epoch == owned.epoch)
        });
        for (lane, claimed) in held {
            if !self.lanes.contains_key(&lane) {
                tracing::info!(%lane, "adopted a lane whose claim was not answered");
                self.own(lane, claimed.epoch, claimed.limiter_ahead);
            }
        }
        Ok(())
    }

    async fn drain(&mut self) {
        let deadline = Instant::now() + self.settings.drain_deadline;
        if let Err(error) =
            super::lease::announce_drain(&self.client, self.identity.current()).await
        {
            tracing::debug!(error = %chain(&error), "cannot announce the drain");
        }
        tracing::info!(
            running = self.running.len(),
            "draining: no more jobs are started"
        );
        // Closing the channel ends the backend; what it has not begun is handed back by its tickets.
        let (closed, _) = mpsc::unbounded_channel();
        self.channels.to_backend = closed;
        self.wait_for_running(deadline).await;
        if !self.running.is_empty() {
            tracing::warn!(
                running = self.running.len(),
                "the drain deadline has passed: jobs are cut off"
            );
            for running in self.running.values() {
                running.cancellation.cancel();
            }
            self.wait_for_running(Instant::now() + LAST_GRACE).await;
        }
        self.running.clear();
        if let Err(error) = self.let_all_go().await {
            tracing::warn!(error = %chain(&error), "cannot let lanes go; their lease runs out");
        }
    }

    async fn let_all_go(&mut self) -> Result<(), Error> {
        // Hands back, with its attempt, whatever has still not ended.
        self.reconcile().await?;
        for owned in self.lanes.values_mut() {
            owned.has_due = false;
            owned.running = 0;
        }
        self.release().await
    }

    async fn wait_for_running(&mut self, deadline: Instant) {
        while !self.running.is_empty() {
            match timeout_at(deadline, self.channels.settled.recv()).await {
                Ok(Some(settled)) => self.settle(&settled),
                Ok(None) | Err(_) => return,
            }
        }
    }
}
