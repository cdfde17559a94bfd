//! What a process has in its memory: a picture of the database that can be wrong.

use crate::database::{Database, Lease, Run, WorkerId};

/// Whether a process goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Works,
    /// Was told to stop: starts nothing more.
    Drains,
    /// Ended well. A handler that was cut off may still be about to write.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Process {
    pub(crate) identity: WorkerId,
    pub(crate) life: Life,
    /// The lane is its own since this epoch.
    pub(crate) owned: Option<u8>,
    /// The dispatcher's `running`.
    pub(crate) runs: Vec<Run>,
    /// Handlers that nobody counts any more.
    pub(crate) zombies: Vec<Run>,
    /// A statement was not answered: the next one reads the truth.
    pub(crate) must_reconcile: bool,
    /// A start that was given up, and takes effect whenever it does, or never.
    pub(crate) in_flight: Option<(usize, Lease)>,
}

impl Process {
    pub(crate) fn new(identity: WorkerId) -> Self {
        Self {
            identity,
            life: Life::Works,
            owned: None,
            runs: Vec::new(),
            zombies: Vec::new(),
            must_reconcile: false,
            in_flight: None,
        }
    }

    pub(crate) fn is_free_to_act(&self) -> bool {
        self.life == Life::Works && !self.must_reconcile
    }

    /// The lease under which it would start jobs now.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let worker = self.identity;
        self.owned.map(|epoch| Lease { worker, epoch })
    }

    /// Nothing runs in the lane, as far as it knows.
    pub(crate) fn is_idle(&self) -> bool {
        let lease = self.lease();
        self.runs.iter().all(|run| Some(run.lease) != lease)
    }

    pub(crate) fn runs_job(&self, job: usize) -> bool {
        self.runs.iter().any(|run| run.job == job)
    }

    pub(crate) fn add(&mut self, run: Run) {
        self.runs.push(run);
        self.runs.sort_unstable();
    }

    /// Every handler there is, counted or not.
    pub(crate) fn handlers(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter().chain(&self.zombies).copied()
    }

    pub(crate) fn forget(&mut self, run: Run) {
        self.runs.retain(|known| *known != run);
        self.zombies.retain(|known| *known != run);
    }

    /// `Keeper::renew`: somebody new when it was taken for dead. What it owned is not its own any more.
    pub(crate) fn renew(&mut self, database: &mut Database) {
        if !database.renew(self.identity) {
            self.identity = database.register();
            self.owned = None;
        }
    }

    /// `Dispatcher::reconcile`.
    pub(crate) fn reconcile(&mut self, database: &mut Database) {
        let running: Vec<_> = self.runs.iter().map(|run| run.job).collect();
        self.owned = database.holdings(self.identity, &running);
        self.must_reconcile = false;
    }
}
