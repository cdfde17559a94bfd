//! What handlers did, counted on their side.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock;

/// The payload's length as JSON, in bytes.
const PAYLOAD_BYTES: usize = 200;

/// What every contender's jobs carry: 200 bytes of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Payload {
    /// Which job this is.
    pub(crate) number: u64,
    /// Which account it is for.
    pub(crate) account: u32,
    filler: String,
}

impl Payload {
    pub(crate) fn new(number: u64, account: u32) -> Self {
        let mut payload = Self {
            number,
            account,
            filler: String::new(),
        };
        let bare = serde_json::to_string(&payload).map_or(0, |json| json.len());
        payload.filler = "x".repeat(PAYLOAD_BYTES.saturating_sub(bare));
        payload
    }

    /// Jobs spread over accounts, one after another.
    pub(crate) fn many(jobs: u64, accounts: u32) -> Vec<Self> {
        (0..accounts)
            .cycle()
            .zip(0..jobs)
            .map(|(account, number)| Self::new(number, account))
            .collect()
    }
}

/// What one process' handlers noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// All of them.
    pub(crate) runs: u64,
    /// By job: when its first run began, in nanoseconds of [`clock`]; zero: not here.
    pub(crate) started: Vec<u64>,
}

/// Runs of handlers, and when each job first ran.
#[derive(Debug)]
pub(crate) struct Ledger {
    expected: u64,
    runs: AtomicU64,
    complete: Notify,
    /// By number, in nanoseconds of [`clock`]; zero: not yet.
    started: Vec<AtomicU64>,
}

impl Ledger {
    /// For jobs numbered from zero, all to be run once.
    pub(crate) fn expecting(jobs: u64) -> Self {
        Self {
            expected: jobs,
            runs: AtomicU64::new(0),
            complete: Notify::new(),
            started: (0..jobs).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Called by the handler, first of all.
    pub(crate) fn note(&self, number: u64) {
        let slot = usize::try_from(number)
            .ok()
            .and_then(|at| self.started.get(at));
        if let Some(slot) = slot {
            // The first run counts; a second is found by the count of all.
            let _ = slot.compare_exchange(0, clock::now_ns(), Ordering::Relaxed, Ordering::Relaxed);
        }
        if self.runs.fetch_add(1, Ordering::AcqRel) + 1 == self.expected {
            self.complete.notify_one();
        }
    }

    /// Waits until as many handlers ran as jobs were expected.
    pub(crate) async fn complete(&self, patience: Duration) -> Result<()> {
        let in_time = tokio::time::timeout(patience, self.complete.notified()).await;
        ensure!(
            in_time.is_ok(),
            "only {} of {} jobs ran within {patience:?}",
            self.runs.load(Ordering::Acquire),
            self.expected
        );
        Ok(())
    }

    /// A copy of what was noted so far.
    pub(crate) fn notes(&self) -> Notes {
        let started = self.started.iter().map(|at| at.load(Ordering::Relaxed));
        Notes {
            runs: self.runs.load(Ordering::Acquire),
            started: started.collect(),
        }
    }

    /// That every job ran, and none twice.
    pub(crate) fn check(&self) -> Result<()> {
        let runs = self.runs.load(Ordering::Acquire);
        let missing = self
            .started
            .iter()
            .filter(|at| at.load(Ordering::Relaxed) == 0)
            .count();
        ensure!(
            runs == self.expected && missing == 0,
            "{} jobs, {runs} runs, {missing} jobs that never ran",
            self.expected
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_have_the_size_that_is_stated() {
        for payload in Payload::many(20_000, 1_000).iter().step_by(999) {
            assert_eq!(serde_json::to_vec(payload).unwrap().len(), PAYLOAD_BYTES);
        }
    }

    #[test]
    fn a_job_that_ran_twice_is_not_right() {
        let ledger = Ledger::expecting(2);
        ledger.note(0);
        ledger.note(0);

        assert!(ledger.check().is_err());
    }
}
