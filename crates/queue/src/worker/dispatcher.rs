//! Claims lanes, starts their jobs within the free slots, lets lanes go.
//!
//! All its state is in this one task, so nothing here can race with itself: other tasks send messages.
//! What is in memory is only a picture of what the database says. It can be wrong after an error, when
//! a commit's answer was lost; [`Dispatcher::reconcile`] then reads the truth.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use owned::{LOOKAHEAD, Owned, Picture};

use super::{
    Ready, Settings, Stop,
    claim::{self, Claimed},
    lease::{Change, Identity},
    look::{self, Wanted},
    release,
    settle::{Settled, Tickets},
    start::{self, Chosen},
};
use crate::{
    attempt::Started,
    client::Client,
    error::Error,
    error_budget::Purse,
    ids::{JobId, Lane, Queue},
    job::chain,
    meters::Meters,
    rollups::Measure,
    session::{Session, patiently},
};

mod owned;

/// The picture is checked against the database this often, and after each error.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(30);
/// While jobs run, requests to cancel them are looked for at least this often.
const CANCEL_INTERVAL: Duration = Duration::from_millis(750);
const AFTER_ERROR: Duration = Duration::from_millis(250);
/// After others were faster, or hold what is due.
const AFTER_CONTENTION: Duration = Duration::from_millis(25);
/// What handlers get to notice the drain deadline before they are cut off.
const LAST_GRACE: Duration = Duration::from_secs(3);

pub(super) struct Channels {
    pub(super) to_backend: mpsc::UnboundedSender<Ready>,
    pub(super) tickets: Tickets,
    pub(super) settled: mpsc::UnboundedReceiver<Settled>,
    /// How many jobs run, for the worker's row.
    pub(super) running: Arc<AtomicUsize>,
}

/// A job of ours that runs.
struct Running {
    queue: Queue,
    limit_key: Option<String>,
    stop: Stop,
}

pub(super) struct Dispatcher {
    session: Session,
    client: Client,
    settings: Settings,
    identity: Identity,
    work: watch::Receiver<()>,
    channels: Channels,
    purse: Purse,
    meters: Meters,
    free: BTreeMap<Queue, usize>,
    lanes: HashMap<Lane, Owned>,
    /// Those in which a start was not answered.
    doubtful: HashSet<Lane>,
    running: HashMap<JobId, Running>,
    seen: look::Seen,
    seen_at: Instant,
    /// Something may be due that is not ours yet.
    should_claim: bool,
    next_look: Instant,
    next_reconcile: Instant,
    /// Lanes that are suspect no more, and requests to cancel that are met: to be written.
    absolved: Vec<String>,
    met: Vec<Uuid>,
}

impl Dispatcher {
    pub(super) fn new(
        client: Client,
        settings: Settings,
        identity: Identity,
        channels: Channels,
    ) -> Self {
        Self {
            session: Session::like(client.pool()),
            work: client.work(),
            free: settings.slots.clone(),
            purse: Purse::new(
                client.pool().clone(),
                settings.error_budget,
                Arc::clone(client.tally()),
            ),
            meters: Meters::default(),
            client,
            settings,
            identity,
            channels,
            lanes: HashMap::new(),
            doubtful: HashSet::new(),
            running: HashMap::new(),
            seen: look::Seen::default(),
            seen_at: Instant::now(),
            should_claim: false,
            next_look: Instant::now(),
            next_reconcile: Instant::now() + RECONCILE_INTERVAL,
            absolved: Vec::new(),
            met: Vec::new(),
        }
    }

    /// Works until told to drain, then drains; answers who it was.
    pub(super) async fn run(mut self, draining: CancellationToken) -> Identity {
        let mut next_round = Instant::now();
        while !draining.is_cancelled() && self.seen.wanted != Wanted::Drain {
            tokio::select! {
                () = draining.cancelled() => break,
                Ok(()) = self.work.changed() => self.look_again(),
                Some(settled) = self.channels.settled.recv() => self.note_settled(&settled),
                change = self.identity.changed() => self.note_identity(change),
                () = sleep_until(next_round) => {}
            }
            next_round = match self.round().await {
                Ok(wait) => Instant::now() + wait,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "cannot dispatch jobs yet");
                    self.next_reconcile = Instant::now();
                    self.next_look = Instant::now();
                    self.expect_due();
                    Instant::now() + AFTER_ERROR
                }
            };
        }
        self.drain().await;
        self.session.close().await;
        self.identity
    }

    /// Somebody enqueued, paused or asked for something.
    fn look_again(&mut self) {
        self.should_claim = true;
        self.next_look = Instant::now();
        self.expect_due();
    }

    fn expect_due(&mut self) {
        for owned in self.lanes.values_mut() {
            owned.picture = Picture::Stale;
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
        self.channels.running.fetch_sub(1, Ordering::Relaxed);
        if let Some(free) = self.free.get_mut(&running.queue) {
            *free += 1;
        }
        if running.stop.is_requested() {
            self.met.push(settled.id.0);
        }
        if let Some(owned) = self.lanes.get_mut(&settled.lane)
            && owned.epoch == settled.epoch
        {
            let was_suspect = owned.is_suspect;
            owned.note_settled(settled, running.limit_key.as_deref());
            if was_suspect && !owned.is_suspect {
                self.absolved.push(settled.lane.as_str().to_owned());
            }
        }
    }

    /// The lease has run out or is lost: what runs is told to stop, so that a new owner is alone with the
    /// far side; what it would still write is refused. Lost, the lanes are somebody else's.
    fn note_identity(&mut self, change: Change) {
        if change == Change::Lost {
            self.lanes.clear();
        }
        for running in self.running.values() {
            running.stop.cut_off();
        }
        self.should_claim = true;
    }

    /// One round of work; answers how long nothing will be due, as far as is known.
    async fn round(&mut self) -> Result<Duration, Error> {
        if Instant::now() >= self.next_reconcile {
            self.reconcile().await?;
            self.next_reconcile = Instant::now() + RECONCILE_INTERVAL;
        }
        // Slots may be free for lanes that were seen to be due when there were none.
        self.should_claim |= self.next_due() == Some(Duration::ZERO);
        // Work first: whoever enqueued just now waits for it.
        let was_short = self.claim().await?;
        self.start().await?;
        self.write_notes().await?;
        let has_released = self.release().await?;
        let is_poll = Instant::now() >= self.next_look;
        if was_short || has_released || is_poll {
            self.look(is_poll).await?;
        }
        Ok(self.wait(was_short))
    }

    /// Until the next round, unless something happens before.
    fn wait(&self, was_short: bool) -> Duration {
        let idle = if self.running.is_empty() {
            self.settings.poll_interval
        } else {
            self.settings.poll_interval.min(CANCEL_INTERVAL)
        };
        if !self.may_work() || self.wanted().is_nothing() {
            return idle;
        }
        // More is due than was claimed: at once, but not faster than others let it go.
        let until_due = if self.should_claim {
            Duration::ZERO
        } else {
            self.next_due().unwrap_or(idle)
        };
        let at_least = if was_short {
            AFTER_CONTENTION
        } else {
            Duration::ZERO
        };
        until_due.clamp(at_least, idle.max(at_least))
    }

    /// Time until the first lane is due for which there are slots, as far as is known.
    fn next_due(&self) -> Option<Duration> {
        let next = if self.wanted().any > 0 {
            self.seen.next_due
        } else {
            self.seen.next_urgent
        };
        next.map(|next| next.saturating_sub(self.seen_at.elapsed()))
    }

    fn may_work(&self) -> bool {
        self.seen.wanted == Wanted::Work && !self.seen.is_everything_paused
    }

    async fn look(&mut self, is_poll: bool) -> Result<(), Error> {
        let (worker, looked_at) = (self.identity.current(), Instant::now());
        let mut connection = self.session.take().await?;
        let seen = patiently("look for due lanes", look::look(&mut connection, worker)).await?;
        self.session.keep(connection);
        if seen.pauses != self.seen.pauses {
            self.expect_due();
        } else if is_poll {
            // What was put off may be due, where nothing else is.
            let idle = self.lanes.values_mut().filter(|owned| owned.due.is_empty());
            idle.for_each(|owned| owned.picture = Picture::Stale);
        }
        for cancellation in &seen.cancellations {
            if let Some(running) = self.running.get(&cancellation.job_id) {
                running.stop.request(&cancellation.message);
            }
        }
        self.seen = seen;
        self.seen_at = looked_at;
        self.next_look = Instant::now() + self.settings.poll_interval.min(CANCEL_INTERVAL);
        Ok(())
    }

    /// Claims lanes; answers whether there were fewer than wanted.
    async fn claim(&mut self) -> Result<bool, Error> {
        let want = self.wanted();
        if !self.should_claim || !self.may_work() || want.is_nothing() {
            return Ok(false);
        }
        let (worker, served) = (self.identity.current(), self.settings.served());
        let mut connection = self.session.take().await?;
        let claimed = patiently(
            "claim lanes",
            claim::claim(&mut connection, worker, want, &served, LOOKAHEAD),
        )
        .await?;
        self.session.keep(connection);
        self.should_claim = claimed.len() >= want.any.max(1);
        for lane in claimed {
            self.doubtful.remove(&lane.lane);
            let picture = Picture::of(lane.due.len(), LOOKAHEAD);
            self.own(lane, picture);
        }
        Ok(!self.should_claim)
    }

    fn own(&mut self, claimed: Claimed, picture: Picture) {
        let lane = claimed.lane.clone();
        self.lanes
            .insert(lane, Owned::new(claimed, picture, self.settings.rate));
    }

    /// Urgent lanes for the slots that are kept free for them. Of the others, as many as fill the free slots
    /// if each has all the jobs it may run at once: other workers may want some, too, and what then stays
    /// free is for the next claim.
    fn wanted(&self) -> claim::Want {
        let at_hand: usize = self
            .lanes
            .values()
            .filter(|owned| {
                owned.running == 0 && !owned.has_nothing_due() && owned.may_start(&self.settings)
            })
            .map(|owned| owned.room(&self.settings))
            .sum();
        let bulk = self.free.get(&Queue::SYNC).copied().unwrap_or(0);
        let all: usize = self.free.values().sum();
        claim::Want {
            urgent: all - bulk,
            any: bulk
                .saturating_sub(at_hand)
                .div_ceil(self.settings.lane_concurrency.max(1)),
        }
    }

    async fn start(&mut self) -> Result<(), Error> {
        self.find_due().await?;
        let chosen = self.choose();
        if chosen.is_empty() {
            return Ok(());
        }
        let (worker, wanted) = (self.identity.current(), chosen.len());
        let mut connection = self.session.take().await?;
        let started = patiently("start jobs", start::start(&mut connection, worker, &chosen))
            .await
            .inspect_err(|_| self.doubt())?;
        self.session.keep(connection);
        if started.len() < wanted {
            // Somebody changes them, or enqueues them again just now.
            self.expect_due();
        }
        if started.is_empty() {
            // Or the lanes are not ours any more.
            self.next_reconcile = self.next_reconcile.min(Instant::now() + AFTER_ERROR);
        }
        for job in started {
            self.hand_over(job);
        }
        Ok(())
    }

    /// Looks into the lanes that could start jobs and know of none, or not of the newest.
    async fn find_due(&mut self) -> Result<(), Error> {
        if !self.may_work() || self.free.values().all(|free| *free == 0) {
            return Ok(());
        }
        let asked: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, owned)| owned.may_start(&self.settings) && owned.has_news())
            .map(|(lane, owned)| (lane.clone(), owned.lookahead))
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let served = self.settings.served();
        let mut connection = self.session.take().await?;
        let due = patiently(
            "look for due jobs",
            start::due(&mut connection, &asked, &served),
        )
        .await?;
        self.session.keep(connection);
        let mut seen: HashMap<_, VecDeque<_>> = HashMap::new();
        for job in due {
            seen.entry(job.lane.clone()).or_default().push_back(job);
        }
        for (lane, looked_at) in asked {
            if let Some(owned) = self.lanes.get_mut(&lane) {
                owned.note_due(seen.remove(&lane).unwrap_or_default(), looked_at);
            }
        }
        Ok(())
    }

    /// A start was not answered, and may take effect when this has reconciled already: no lane is let go
    /// any more without a look at its jobs.
    fn doubt(&mut self) {
        self.doubtful.extend(self.lanes.keys().cloned());
    }

    /// Those of the due jobs for which there is a slot, room in the lane, and no other with their limit key.
    /// Lanes that waited longest come first, each with all it has room for.
    fn choose(&mut self) -> Chosen {
        let mut chosen = Chosen::default();
        if !self.may_work() {
            return chosen;
        }
        let mut lanes: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, owned)| !owned.due.is_empty() && owned.may_start(&self.settings))
            .map(|(lane, owned)| (owned.started_at, lane.clone()))
            .collect();
        lanes.sort();
        let mut free = self.free.clone();
        for (_, lane) in lanes {
            if free.values().all(|free| *free == 0) {
                break;
            }
            if let Some(owned) = self.lanes.get_mut(&lane) {
                let runs = |id| self.running.contains_key(&id);
                owned.choose(&self.settings, runs, &mut free, &mut chosen);
            }
        }
        chosen
    }

    fn hand_over(&mut self, job: Arc<Started>) {
        let Some(owned) = self.lanes.get_mut(&job.lane) else {
            return;
        };
        owned.note_started(&job);
        if let Some(free) = self.free.get_mut(&job.queue) {
            *free = free.saturating_sub(1);
        }
        let stop = Stop::default();
        if let Some(cancellation) = self.seen.cancellation_of(job.id) {
            stop.request(&cancellation.message);
        }
        let running = Running {
            queue: job.queue,
            limit_key: job.limit_key.clone(),
            stop: stop.clone(),
        };
        self.running.insert(job.id, running);
        self.channels.running.fetch_add(1, Ordering::Relaxed);
        self.meters.started(&job);
        self.client
            .tally()
            .note_job(Measure::Wait, job.queue, &job.kind, job.waited);
        let ready = Ready {
            ticket: Some(self.channels.tickets.of(&job, &stop)),
            limiter: owned.limiter.clone(),
            purse: Some(self.purse.clone()),
            client: self.client.clone(),
            stop,
            job,
        };
        // Nobody receives any more: dropped, the ticket hands the job back.
        let _ = self.channels.to_backend.send(ready);
    }

    /// Writes what was noted on the way.
    async fn write_notes(&mut self) -> Result<(), Error> {
        if self.absolved.is_empty() && self.met.is_empty() {
            return Ok(());
        }
        let worker = self.identity.current();
        let mut connection = self.session.take().await?;
        if !self.absolved.is_empty() {
            let absolving = claim::absolve(&mut connection, worker, &self.absolved);
            patiently("clear lanes of suspicion", absolving).await?;
            self.absolved.clear();
        }
        if !self.met.is_empty() {
            let forgetting = look::forget_cancellations(&mut connection, &self.met);
            patiently("forget requests to cancel", forgetting).await?;
            self.met.clear();
        }
        self.session.keep(connection);
        Ok(())
    }

    /// Lets go of lanes that have nothing to do, are parked, or had their turn; answers whether any were.
    async fn release(&mut self) -> Result<bool, Error> {
        let may_work = self.may_work();
        let idle: Vec<_> = self
            .lanes
            .iter()
            .filter(|(_, owned)| {
                let is_over =
                    owned.is_parked || owned.started >= self.settings.quantum || !may_work;
                owned.running == 0 && (is_over || owned.has_nothing_due())
            })
            .map(|(lane, owned)| release::Releasable {
                lane: lane.clone(),
                epoch: owned.epoch,
                limiter_ahead: owned.limiter.ahead(),
                is_doubtful: self.doubtful.contains(lane),
            })
            .collect();
        if idle.is_empty() {
            return Ok(false);
        }
        let (worker, served) = (self.identity.current(), self.settings.served());
        let mut connection = self.session.take().await?;
        let released = patiently(
            "let lanes go",
            release::release(&mut connection, worker, &idle, &served),
        )
        .await?;
        self.session.keep(connection);
        let mut is_turn_over = false;
        for lane in released {
            self.doubtful.remove(&lane);
            let owned = self.lanes.remove(&lane);
            is_turn_over |= owned.is_some_and(|owned| owned.started >= self.settings.quantum);
        }
        if is_turn_over {
            self.client.wake();
        }
        Ok(true)
    }

    /// Makes the picture true: adopts lanes that are ours without our knowing, hands back jobs that run
    /// nowhere, forgets lanes that are ours no more.
    async fn reconcile(&mut self) -> Result<(), Error> {
        let worker = self.identity.current();
        let running: Vec<_> = self.running.keys().map(|id| id.0).collect();
        let mut connection = self.session.take().await?;
        let truth = patiently(
            "reconcile lanes",
            super::lease::holdings(&mut connection, worker, &running),
        )
        .await?;
        self.session.keep(connection);
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
                self.doubtful.insert(lane);
                self.own(claimed, Picture::Stale);
            }
        }
        Ok(())
    }

    async fn drain(&mut self) {
        let deadline = Instant::now() + self.settings.drain_deadline;
        if let Err(error) = self.announce_drain().await {
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
                running.stop.cut_off();
            }
            self.wait_for_running(Instant::now() + LAST_GRACE).await;
        }
        self.running.clear();
        if let Err(error) = self.write_notes().await {
            tracing::debug!(error = %chain(&error), "cannot write what was noted");
        }
        if let Err(error) = self.let_all_go().await {
            tracing::warn!(error = %chain(&error), "cannot let lanes go; their lease runs out");
        }
    }

    async fn announce_drain(&mut self) -> Result<(), Error> {
        let worker = self.identity.current();
        let mut connection = self.session.take().await?;
        let announcing = super::lease::announce_drain(&mut connection, worker);
        patiently("announce the drain", announcing).await?;
        self.session.keep(connection);
        Ok(())
    }

    async fn let_all_go(&mut self) -> Result<(), Error> {
        // Hands back, with its attempt, whatever has still not ended.
        self.reconcile().await?;
        for owned in self.lanes.values_mut() {
            owned.due.clear();
            owned.picture = Picture::Complete;
            owned.running = 0;
        }
        self.release().await?;
        Ok(())
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
