//! Pauses, and what is asked of workers.

use chrono::{DateTime, Utc};
use phrases::{mark, say};
use queue::WorkerId;
use queue::counts::{self, Difference};
use queue::pause::{self, Scope};
use queue::workers::{self, Ask, WorkerView};
use serde_json::json;

use super::{Deed, Error, Ops};

/// Wrong counts that the audit log names.
const DIFFERENCES: usize = 20;

/// As the audit log names what is paused.
fn target(scope: &Scope) -> String {
    match scope.columns() {
        (kind, "") => kind.to_owned(),
        (kind, name) => format!("{kind} {name}"),
    }
}

/// How a worker is, in one word.
pub fn worker_state(worker: &WorkerView) -> &'static str {
    match (worker.state.as_str(), worker.wanted.as_deref()) {
        ("running" | "draining", _) if worker.lease_left.is_zero() => mark!("silent"),
        ("running", Some("quiet")) => mark!("quiet"),
        ("running", Some(_)) | ("draining", _) => mark!("draining"),
        ("running", None) => mark!("working"),
        ("stopped", _) => mark!("stopped"),
        _ => mark!("lost"),
    }
}

impl Ops {
    /// Pauses, until a time or until somebody resumes it.
    pub async fn pause(
        &self,
        scope: &Scope,
        reason: &str,
        until: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        let mut change = self.begin(Deed::Pause).await?;
        let by = &self.actor.name;
        pause::set(change.connection(), scope, by, reason, until).await?;
        let detail = json!({ "until": until });
        change.done(&target(scope), Some(reason), detail).await
    }

    /// Resumes.
    pub async fn resume(&self, scope: &Scope) -> Result<(), Error> {
        let mut change = self.begin(Deed::Resume).await?;
        if !pause::lift(change.connection(), scope, &self.actor.name).await? {
            return Err(Error::Refused(say!(
                "{what} is not paused",
                what = target(scope)
            )));
        }
        change.done(&target(scope), None, json!({})).await
    }

    /// Compares the counts with a look at all jobs, and puts right what differs, which is nothing; answers what differed.
    pub async fn check_counts(&self) -> Result<Vec<Difference>, Error> {
        let mut change = self.begin(Deed::CountsCheck).await?;
        let differences = counts::repair_in(change.connection()).await?;
        let first: Vec<_> = differences.iter().take(DIFFERENCES).collect();
        let detail = json!({ "differences": differences.len(), "first": first });
        change.done("counts", None, detail).await?;
        Ok(differences)
    }

    /// Asks something of a worker, which hears it within two seconds.
    pub async fn ask_worker(&self, worker: WorkerId, what: Ask) -> Result<(), Error> {
        let deed = match what {
            Ask::Quiet => Deed::WorkerQuiet,
            Ask::Work => Deed::WorkerWork,
            Ask::Drain => Deed::WorkerDrain,
        };
        let mut change = self.begin(deed).await?;
        if !workers::ask_in(change.connection(), worker, what).await? {
            return Err(Error::Missing(mark!("worker that lives")));
        }
        change.done(&worker.to_string(), None, json!({})).await
    }
}
