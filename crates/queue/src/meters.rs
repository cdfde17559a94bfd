//! What a worker counts and times.
//!
//! It does so for every job, thousands of times a second, so what is counted is looked up once for each kind: after
//! that a count is an addition, and nothing is allocated. Each counter begins at zero with the first job of its kind, so
//! that the first dead one is seen as a change.

use std::collections::HashMap;

use metrics::{Counter, Histogram, counter, histogram};

use crate::{attempt::Started, ids::Queue};

/// How an attempt ended: the words in metrics and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Completed,
    Retried,
    Dead,
    Cancelled,
    Snoozed,
    HandedBack,
    Fenced,
}

impl Ended {
    const ALL: [Self; 7] = [
        Self::Completed,
        Self::Retried,
        Self::Dead,
        Self::Cancelled,
        Self::Snoozed,
        Self::HandedBack,
        Self::Fenced,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Retried => "retried",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Snoozed => "snoozed",
            Self::HandedBack => "handed_back",
            Self::Fenced => "fenced",
        }
    }
}

/// The counters of one task of a worker.
#[derive(Default)]
pub(crate) struct Meters(HashMap<Queue, OfQueue>);

struct OfQueue {
    wait: Histogram,
    kinds: HashMap<String, OfKind>,
}

struct OfKind {
    started: Counter,
    /// In the order of [`Ended::ALL`].
    ended: [Counter; Ended::ALL.len()],
}

impl Meters {
    /// A job was started.
    pub(crate) fn started(&mut self, job: &Started) {
        let queue = self.of(job.queue);
        queue.wait.record(job.waited);
        queue.of(job).started.increment(1);
    }

    /// How one ended was written.
    pub(crate) fn ended(&mut self, job: &Started, how: Ended) {
        self.of(job.queue).of(job).ended[how as usize].increment(1);
    }

    fn of(&mut self, queue: Queue) -> &mut OfQueue {
        self.0.entry(queue).or_insert_with(|| OfQueue {
            wait: histogram!("syncline_job_wait_duration_seconds", "queue" => queue.as_str()),
            kinds: HashMap::new(),
        })
    }
}

impl OfQueue {
    fn of(&mut self, job: &Started) -> &OfKind {
        // `entry` would want a copy of the name, each time.
        if !self.kinds.contains_key(&job.kind) {
            self.kinds
                .insert(job.kind.clone(), OfKind::new(job.queue, &job.kind));
        }
        &self.kinds[&job.kind]
    }
}

impl OfKind {
    fn new(queue: Queue, kind: &str) -> Self {
        let (queue, kind) = (queue.as_str(), kind.to_owned());
        Self {
            started: counter!("syncline_jobs_started_total", "queue" => queue, "kind" => kind.clone()),
            ended: Ended::ALL.map(|how| {
                counter!(
                    "syncline_jobs_finished_total",
                    "queue" => queue, "kind" => kind.clone(), "outcome" => how.as_str()
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_place() {
        for (place, how) in Ended::ALL.into_iter().enumerate() {
            assert_eq!(how as usize, place, "{how:?}");
        }
    }
}
