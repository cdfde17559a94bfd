//! What handlers did: the same record for the stock storage's and for ours.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::PATIENCE;

/// What a handler does.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) enum Act {
    #[default]
    Done,
    /// Waits for a permit at the gate.
    Gate,
    /// Works for so long.
    Work(Duration),
    Fail,
    Panic,
    /// Never ends by itself.
    Hang,
    /// Asks to be run again after a minute.
    NotYet,
}

/// What happened to one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Began,
    Ended,
    /// Its future was dropped.
    CutOff,
    /// The fence kept its effects out.
    Refused,
}

/// One line of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) job: u32,
    pub(crate) worker: &'static str,
    pub(crate) step: Step,
}

/// The record, and what handlers wait for.
pub(crate) struct Seen {
    entries: watch::Sender<Vec<Entry>>,
    /// A handler at the gate takes one permit.
    pub(crate) gate: Semaphore,
    is_frozen: Mutex<bool>,
    thaw: Condvar,
}

impl Seen {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            entries: watch::Sender::new(Vec::new()),
            gate: Semaphore::new(0),
            is_frozen: Mutex::new(true),
            thaw: Condvar::new(),
        })
    }

    pub(crate) fn note(&self, job: u32, worker: &'static str, step: Step) {
        let entry = Entry { job, worker, step };
        self.entries.send_modify(|entries| entries.push(entry));
    }

    /// Runs a handler's body, and notes its begin and its end, whichever that is.
    pub(crate) async fn run<T>(
        &self,
        job: u32,
        worker: &'static str,
        body: impl Future<Output = T>,
    ) -> T {
        self.note(job, worker, Step::Began);
        let mut run = Run {
            seen: self,
            job,
            worker,
            last: Step::CutOff,
        };
        let answer = body.await;
        run.last = Step::Ended;
        answer
    }

    /// Waits for a permit at the gate.
    pub(crate) async fn pass_gate(&self) {
        self.gate.acquire().await.unwrap().forget();
    }

    /// Stops the whole thread, and with it a process that has only one, until [`Seen::thaw`].
    pub(crate) fn freeze(&self) {
        let mut is_frozen = self.is_frozen.lock().unwrap();
        while *is_frozen {
            is_frozen = self.thaw.wait(is_frozen).unwrap();
        }
    }

    pub(crate) fn thaw(&self) {
        *self.is_frozen.lock().unwrap() = false;
        self.thaw.notify_all();
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.borrow().clone()
    }

    /// Runs that began.
    pub(crate) fn runs(&self) -> usize {
        count(&self.entries(), Step::Began)
    }

    /// Runs of one job that began.
    pub(crate) fn runs_of(&self, job: u32) -> usize {
        let entries = self.entries();
        entries
            .iter()
            .filter(|entry| entry.job == job && entry.step == Step::Began)
            .count()
    }

    /// The most runs that were under way at once.
    pub(crate) fn most_at_once(&self) -> usize {
        let mut running = 0_usize;
        let mut most = 0;
        for entry in self.entries() {
            match entry.step {
                Step::Began => running += 1,
                Step::Ended | Step::CutOff => running -= 1,
                Step::Refused => {}
            }
            most = most.max(running);
        }
        most
    }

    /// Waits until the record is so.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[Entry]) -> bool) {
        let mut entries = self.entries.subscribe();
        let waiting = entries.wait_for(|entries| holds(entries));
        let is_so = timeout(PATIENCE, waiting).await.is_ok();
        assert!(is_so, "waited in vain: {what}; seen: {:?}", self.entries());
    }

    /// Waits until so many runs have come so far.
    pub(crate) async fn until_so_many(&self, step: Step, runs: usize) {
        let what = format!("{runs} × {step:?}");
        self.until(&what, |entries| count(entries, step) >= runs)
            .await;
    }
}

fn count(entries: &[Entry], step: Step) -> usize {
    entries.iter().filter(|entry| entry.step == step).count()
}

/// Notes the end of a run, also of one that is dropped.
struct Run<'a> {
    seen: &'a Seen,
    job: u32,
    worker: &'static str,
    last: Step,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.seen.note(self.job, self.worker, self.last);
    }
}
