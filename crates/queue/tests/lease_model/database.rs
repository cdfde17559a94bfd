//! What is stored, and the statements that change it. Each is one transaction, so nothing comes between.

/// Attempts a job may use.
pub(crate) const MAX_ATTEMPTS: u8 = 2;

/// One start of a process, or what it became after its lease was lost: a row of `workers`.
pub(crate) type WorkerId = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    /// `lease_until` lies in the future.
    pub(crate) is_leased: bool,
    /// `state` is `running` or `draining`; otherwise `stopped` or `dead`.
    pub(crate) is_alive: bool,
}

/// The row of `lanes`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lane {
    pub(crate) owner: Option<WorkerId>,
    pub(crate) epoch: u8,
    /// `due_at` is set: some day somebody looks. It means nothing while the lane is owned.
    pub(crate) is_due: bool,
}

/// The lease a job was started under: `worker_id` and `epoch` of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) worker: WorkerId,
    pub(crate) epoch: u8,
}

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Not enqueued yet.
    Nowhere,
    /// In `jobs`, `started_at` is null.
    Waiting,
    /// In `jobs`, `started_at` is set.
    Started(Lease),
    /// In `job_history`.
    Done,
    /// In `dead_jobs`.
    Dead,
}

/// A job, and beside what is stored of it, what has really happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    pub(crate) place: Place,
    pub(crate) attempt: u8,
    /// Committed effects.
    pub(crate) effects: u8,
    /// Attempts recorded as failed, and as crashed.
    pub(crate) failed: u8,
    pub(crate) crashed: u8,
}

/// One attempt, as who runs it knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) job: usize,
    pub(crate) attempt: u8,
    pub(crate) lease: Lease,
}

/// What a write of an attempt must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    /// That this very attempt still runs under the lease it was started under.
    OwnerAndEpoch,
    /// Nothing.
    None,
}

/// What an attempt that did not succeed writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Retry,
    /// Burns no attempt; as a job that is handed back.
    Snooze,
}

/// All tables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Database {
    pub(crate) workers: Vec<Worker>,
    pub(crate) lane: Lane,
    pub(crate) jobs: Vec<Job>,
}

impl Database {
    /// `lease::register`: each call is a worker of its own.
    pub(crate) fn register(&mut self) -> WorkerId {
        self.workers.push(Worker {
            is_leased: true,
            is_alive: true,
        });
        WorkerId::try_from(self.workers.len() - 1).unwrap()
    }

    /// `Keeper::renew`: false when the worker was declared dead.
    pub(crate) fn renew(&mut self, worker: WorkerId) -> bool {
        let row = &mut self.workers[usize::from(worker)];
        row.is_leased |= row.is_alive;
        row.is_alive
    }

    /// `lease::sign_off`.
    pub(crate) fn sign_off(&mut self, worker: WorkerId) {
        self.workers[usize::from(worker)].is_alive = false;
    }

    /// `enqueue.sql`: an owned lane is not written, its owner reads the job when it lets the lane go.
    pub(crate) fn enqueue(&mut self, job: usize) {
        self.jobs[job].place = Place::Waiting;
        if self.lane.owner.is_none() {
            self.lane.is_due = true;
        }
    }

    /// `claim::claim`.
    pub(crate) fn claim(&mut self, worker: WorkerId) -> Option<u8> {
        let is_free = self.lane.owner.is_none() && self.lane.is_due;
        if !is_free || !self.workers[usize::from(worker)].is_alive {
            return None;
        }
        self.lane.owner = Some(worker);
        self.lane.epoch += 1;
        Some(self.lane.epoch)
    }

    /// `start.sql`: only in a lane that is ours since that epoch.
    pub(crate) fn start(&mut self, job: usize, lease: Lease) -> Option<Run> {
        let is_ours = self.lane.owner == Some(lease.worker) && self.lane.epoch == lease.epoch;
        let row = &mut self.jobs[job];
        if !is_ours || row.place != Place::Waiting || row.attempt >= MAX_ATTEMPTS {
            return None;
        }
        row.attempt += 1;
        row.place = Place::Started(lease);
        Some(Run {
            job,
            attempt: row.attempt,
            lease,
        })
    }

    /// `check_fence` of `attempt.rs`, and the same conditions in the statements of `settle`.
    fn passes(&self, run: Run, fence: Fence) -> bool {
        let job = &self.jobs[run.job];
        match fence {
            Fence::OwnerAndEpoch => {
                job.place == Place::Started(run.lease) && job.attempt == run.attempt
            }
            Fence::None => true,
        }
    }

    /// `Attempt::begin` to `Attempt::complete`: the effect and `complete_one.sql`. One step, because the
    /// job's row is locked in between, and everybody who would take it away waits for that.
    pub(crate) fn write(&mut self, run: Run, fence: Fence) {
        if self.passes(run, fence) {
            let job = &mut self.jobs[run.job];
            job.effects += 1;
            job.place = Place::Done;
        }
    }

    /// `put_back.sql`, `bury.sql`.
    pub(crate) fn settle(&mut self, run: Run, failure: Failure, fence: Fence) {
        let is_live = matches!(self.jobs[run.job].place, Place::Started(_));
        if !is_live || !self.passes(run, fence) {
            return;
        }
        let job = &mut self.jobs[run.job];
        job.place = Place::Waiting;
        match failure {
            Failure::Snooze => job.attempt -= 1,
            Failure::Retry => {
                job.failed += 1;
                if job.attempt >= MAX_ATTEMPTS {
                    job.place = Place::Dead;
                }
            }
        }
    }

    /// `hand_back.sql` and the query after it: what runs nowhere in a worker's lane waits again, its attempt
    /// given back; answers the epoch of the lane, if the worker has it.
    pub(crate) fn holdings(&mut self, worker: WorkerId, running: &[usize]) -> Option<u8> {
        if self.lane.owner != Some(worker) {
            return None;
        }
        for (number, job) in self.jobs.iter_mut().enumerate() {
            if matches!(job.place, Place::Started(_)) && !running.contains(&number) {
                job.place = Place::Waiting;
                job.attempt -= 1;
            }
        }
        Some(self.lane.epoch)
    }

    /// `release.sql`.
    pub(crate) fn release(&mut self, lease: Lease) {
        if self.lane.owner == Some(lease.worker) && self.lane.epoch == lease.epoch {
            self.lane.owner = None;
            self.lane.is_due = self.has_waiting();
        }
    }

    /// `rescue`: declares silent workers dead, and frees the lanes of all that ended.
    pub(crate) fn rescue(&mut self) {
        for worker in &mut self.workers {
            worker.is_alive &= worker.is_leased;
        }
        let Some(owner) = self.lane.owner else { return };
        if self.workers[usize::from(owner)].is_alive {
            return;
        }
        for job in &mut self.jobs {
            if matches!(job.place, Place::Started(_)) {
                job.crashed += 1;
                // `bury_crashed.sql`, `put_back_crashed.sql`
                let is_over = job.attempt >= MAX_ATTEMPTS;
                job.place = if is_over { Place::Dead } else { Place::Waiting };
            }
        }
        self.lane.owner = None;
        self.lane.epoch += 1;
        self.lane.is_due = true;
    }

    fn has_waiting(&self) -> bool {
        self.jobs.iter().any(|job| job.place == Place::Waiting)
    }

    pub(crate) fn has_started(&self) -> bool {
        let mut places = self.jobs.iter().map(|job| job.place);
        places.any(|place| matches!(place, Place::Started(_)))
    }
}
