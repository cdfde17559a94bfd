//! What is known of a lane that is ours, and which of its jobs may start.

use std::collections::{BTreeMap, HashSet, VecDeque};

use tokio::time::Instant;

use crate::{
    attempt::Started,
    ids::{JobId, Queue},
    limiter::{Rate, SharedLimiter},
    worker::{
        Settings,
        claim::Claimed,
        settle::Settled,
        start::{Chosen, Due},
    },
};

/// Due jobs looked at in a lane at once; more, when none of these may start.
pub(super) const LOOKAHEAD: usize = 64;
const MAX_LOOKAHEAD: usize = 1_024;

/// A lane of ours.
pub(super) struct Owned {
    pub(super) epoch: i64,
    pub(super) limiter: SharedLimiter,
    pub(super) running: usize,
    /// Jobs started since it was claimed.
    pub(super) started: usize,
    pub(super) is_parked: bool,
    /// Workers ended while they ran its jobs: one job at a time, until one completes.
    pub(super) is_suspect: bool,
    /// Due jobs that were seen and not started, in their order.
    pub(super) due: VecDeque<Due>,
    pub(super) picture: Picture,
    /// How many due jobs the next look is to see.
    pub(super) lookahead: usize,
    /// Of the jobs that run.
    pub(super) limit_keys: HashSet<String>,
    /// When a job of it was started last, or it was claimed.
    pub(super) started_at: Instant,
}

/// What the due jobs known of a lane are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picture {
    /// All there were; nothing happened since.
    Complete,
    /// The first there were; others come behind them.
    Beginning,
    /// Something happened since, or nobody has looked yet.
    Stale,
}

impl Picture {
    /// After a look at so many of the first that saw these.
    pub(super) fn of(seen: usize, looked_at: usize) -> Self {
        if seen < looked_at {
            Self::Complete
        } else {
            Self::Beginning
        }
    }
}

impl Owned {
    pub(super) fn new(claimed: Claimed, picture: Picture, rate: Rate) -> Self {
        Self {
            epoch: claimed.epoch,
            limiter: SharedLimiter::new(rate, claimed.limiter_ahead),
            running: 0,
            started: 0,
            is_parked: false,
            is_suspect: claimed.crashes > 0,
            due: claimed.due.into(),
            picture,
            lookahead: LOOKAHEAD,
            limit_keys: HashSet::new(),
            started_at: Instant::now(),
        }
    }

    /// Whether a look at its due jobs can find what is not known yet.
    pub(super) fn has_news(&self) -> bool {
        match self.picture {
            Picture::Complete => false,
            Picture::Beginning => self.due.is_empty(),
            Picture::Stale => true,
        }
    }

    pub(super) fn has_nothing_due(&self) -> bool {
        self.due.is_empty() && !self.has_news()
    }

    pub(super) fn may_start(&self, settings: &Settings) -> bool {
        !self.is_parked && self.room(settings) > 0
    }

    /// How many more of its jobs may start now.
    pub(super) fn room(&self, settings: &Settings) -> usize {
        let at_once = if self.is_suspect {
            1
        } else {
            settings.lane_concurrency
        };
        at_once
            .saturating_sub(self.running)
            .min(settings.quantum.saturating_sub(self.started))
    }

    /// What a look at so many of its due jobs saw.
    pub(super) fn note_due(&mut self, due: VecDeque<Due>, looked_at: usize) {
        self.picture = Picture::of(due.len(), looked_at);
        self.due = due;
    }

    pub(super) fn note_started(&mut self, job: &Started) {
        self.running += 1;
        self.started += 1;
        self.started_at = Instant::now();
        self.limit_keys.extend(job.limit_key.clone());
    }

    pub(super) fn note_settled(&mut self, settled: &Settled, limit_key: Option<&str>) {
        self.running = self.running.saturating_sub(1);
        self.is_parked |= settled.parks_lane;
        self.is_suspect &= !settled.is_completed;
        if settled.is_put_back {
            self.picture = Picture::Stale;
        }
        if let Some(key) = limit_key {
            self.limit_keys.remove(key);
        }
    }

    /// Takes those of the due jobs for which there is a slot, room, and no other with their limit key.
    pub(super) fn choose(
        &mut self,
        settings: &Settings,
        runs: impl Fn(JobId) -> bool,
        free: &mut BTreeMap<Queue, usize>,
        chosen: &mut Chosen,
    ) {
        let mut room = self.room(settings);
        let mut passed_over = VecDeque::new();
        let mut keys = self.limit_keys.clone();
        while room > 0
            && let Some(job) = self.due.pop_front()
        {
            // It runs here already: a start that the server forgot when it crashed.
            if runs(job.id) {
                continue;
            }
            let slot = job
                .queue
                .and_then(|queue| free.get_mut(&queue))
                .filter(|free| **free > 0);
            let is_alone = job.limit_key.as_ref().is_none_or(|key| !keys.contains(key));
            let (Some(slot), true) = (slot, is_alone) else {
                passed_over.push_back(job);
                continue;
            };
            *slot -= 1;
            room -= 1;
            keys.extend(job.limit_key.clone());
            chosen.push(job, self.epoch);
        }
        let is_stuck = room > 0
            && self.picture == Picture::Beginning
            && self.due.is_empty()
            && !passed_over.is_empty();
        self.lookahead = if is_stuck && self.lookahead < MAX_LOOKAHEAD {
            // None of these may start yet; others behind them may.
            self.picture = Picture::Stale;
            self.lookahead * 2
        } else {
            LOOKAHEAD
        };
        while let Some(job) = passed_over.pop_back() {
            self.due.push_front(job);
        }
    }
}
