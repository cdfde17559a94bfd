//! The jobs a process knows.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::future::BoxFuture;
use metrics::{Histogram, histogram};

use crate::{
    attempt::Attempt,
    error::Error,
    job::{Failure, Job, UniqueWhile, chain},
    retry::RetryPolicy,
    schedule::Schedule,
};

/// What the queue knows of a kind without knowing its type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindPolicy {
    pub(crate) retry: RetryPolicy,
    pub(crate) timeout: Duration,
}

/// What a handler leaves behind: the attempt, to see whether it completed, and its answer.
type Answer = (bool, Result<(), Failure>);
type Run<C> = dyn Fn(Arc<C>, Attempt) -> BoxFuture<'static, Answer> + Send + Sync;

/// The keys of a job, told by its payload.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) unique: Option<String>,
    pub(crate) is_unique_while_running: bool,
    pub(crate) limit: Option<String>,
}

struct Entry<C> {
    policy: KindPolicy,
    keys: fn(&str) -> Result<Keys, Error>,
    schedule: Option<Schedule>,
    run: Arc<Run<C>>,
    /// Looked up at its first run.
    run_time: OnceLock<Histogram>,
}

/// Maps each kind to the code that runs it. `C` is the context all its jobs share.
pub struct Registry<C> {
    entries: BTreeMap<&'static str, Entry<C>>,
}

impl<C: Send + Sync + 'static> Registry<C> {
    /// An empty registry.
    #[expect(
        clippy::new_without_default,
        reason = "an empty registry is only ever a beginning"
    )]
    pub fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }

    /// Adds a kind.
    ///
    /// # Panics
    /// When the kind is there already, or its schedule cannot work: both are mistakes in the program,
    /// seen at its first start.
    #[must_use]
    pub fn register<J: Job<Context = C>>(mut self) -> Self {
        let schedule = J::SCHEDULE.map(|spec| match Schedule::of::<J>(spec) {
            Ok(schedule) => schedule,
            Err(error) => panic!("{}", chain(&error)),
        });
        let entry = Entry {
            policy: KindPolicy {
                retry: J::RETRY,
                timeout: J::TIMEOUT,
            },
            keys: keys_of::<J>,
            schedule,
            run: Arc::new(|context, attempt| Box::pin(decode_and_run::<J>(context, attempt))),
            run_time: OnceLock::new(),
        };
        assert!(
            self.entries.insert(J::KIND, entry).is_none(),
            "two jobs are registered as `{}`",
            J::KIND
        );
        self
    }

    /// The kinds, sorted.
    pub fn kinds(&self) -> Vec<&'static str> {
        self.entries.keys().copied().collect()
    }

    /// The schedules of the jobs that have one.
    pub fn schedules(&self) -> Vec<Schedule> {
        self.entries
            .values()
            .filter_map(|entry| entry.schedule.clone())
            .collect()
    }

    pub(crate) fn policy(&self, kind: &str) -> Option<KindPolicy> {
        self.entries.get(kind).map(|entry| entry.policy)
    }

    /// The keys of a stored job.
    pub(crate) fn keys(&self, kind: &str, payload: &str) -> Result<Keys, Error> {
        let entry = self.entries.get(kind).ok_or_else(|| Error::UnknownKind {
            kind: kind.to_owned(),
        })?;
        (entry.keys)(payload)
    }

    /// Notes how long a job ran.
    pub(crate) fn note_run(&self, kind: &str, time: Duration) {
        if let Some((kind, entry)) = self.entries.get_key_value(kind) {
            let find = || histogram!("syncline_job_run_duration_seconds", "kind" => *kind);
            entry.run_time.get_or_init(find).record(time);
        }
    }

    pub(crate) fn run(
        &self,
        kind: &str,
        context: Arc<C>,
        attempt: Attempt,
    ) -> Option<BoxFuture<'static, Answer>> {
        self.entries
            .get(kind)
            .map(|entry| (entry.run)(context, attempt))
    }
}

impl<C> std::fmt::Debug for Registry<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.entries.keys()).finish()
    }
}

fn keys_of<J: Job>(payload: &str) -> Result<Keys, Error> {
    let job: J = serde_json::from_str(payload).map_err(|source| Error::Decode {
        kind: J::KIND,
        source,
    })?;
    Ok(Keys {
        unique: job.unique_key(),
        is_unique_while_running: J::UNIQUE == UniqueWhile::PendingOrRunning,
        limit: job.limit_key(),
    })
}

async fn decode_and_run<J: Job>(context: Arc<J::Context>, mut attempt: Attempt) -> Answer {
    let job: J = match serde_json::from_str(attempt.payload()) {
        Ok(job) => job,
        Err(source) => {
            // A later version may understand it: retried, and dead only after the last attempt.
            let error = Box::new(Error::Decode {
                kind: J::KIND,
                source,
            });
            let failure = Failure::Retry {
                error,
                class: "undecodable",
                http_status: None,
            };
            return (false, Err(failure));
        }
    };
    let answer = job.run(&context, &mut attempt).await.map_err(Into::into);
    (attempt.is_complete(), answer)
}
