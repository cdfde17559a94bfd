//! Is all well? If not: what is wrong, since when, and where to look.
//!
//! Nothing here looks at a live job: counts come from what is counted while jobs change.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use phrases::{Phrase, plural, say};
use queue::JobState;
use queue::admin::groups::{self, DeadGroup};
use queue::counts::{self, Count};
use queue::error_budget::{self, Shares};
use queue::pause::{self, Pause, Scope};
use queue::rollups::{self, Rollup, Window};
use queue::schedule::{self, ScheduleView};
use queue::workers::{self, WorkerView};
use serde::Serialize;
use sqlx::PgPool;
use store::linked_accounts::{self, AccountStatus, StatusCount};
use store::webhook_deliveries;

use super::Error;
use super::words::age;

mod merge;

/// Due for longer than this, a job is late.
const LATE: TimeDelta = TimeDelta::minutes(5);
/// A worker that was lost is told of for so long.
const LOST_LATELY: TimeDelta = TimeDelta::hours(1);
/// Groups of dead jobs looked at.
const GROUPS: u16 = 200;
/// Workers looked at.
const WORKERS: u16 = 200;

/// The service at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// Jobs by queue.
    pub queues: BTreeMap<String, QueueState>,
    /// Pauses that hold.
    pub pauses: Vec<Pause>,
    /// Workers that live, and some that ended.
    pub workers: Vec<WorkerView>,
    /// Groups of dead jobs.
    pub groups: Vec<DeadGroup>,
    /// Schedules.
    pub schedules: Vec<ScheduleView>,
    /// Accounts by status.
    pub accounts: Vec<StatusCount>,
    /// Since when the oldest delivery waits.
    pub delivery_waits_since: Option<DateTime<Utc>>,
    /// What was measured in the last hour.
    pub last_hour: Rollup,
    /// How much of the error budget is in whose hands.
    pub budget: Shares,
}

/// A queue in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct QueueState {
    /// Jobs that are due and wait for a slot.
    pub available: u64,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that failed and run again.
    pub retryable: u64,
    /// Jobs whose time is still to come.
    pub scheduled: u64,
    /// Jobs that used all their attempts.
    pub dead: u64,
    /// Jobs completed today (UTC).
    pub completed_today: u64,
    /// Since when the oldest due job waits, to the minute.
    pub oldest_due: Option<DateTime<Utc>>,
    /// Slots of the workers that live.
    pub slots: u64,
}

impl QueueState {
    /// How long the oldest due job has waited at least.
    pub fn oldest_age(&self, now: DateTime<Utc>) -> TimeDelta {
        self.oldest_due.map_or(TimeDelta::zero(), |minute| {
            (now - minute - TimeDelta::minutes(1)).max(TimeDelta::zero())
        })
    }

    /// Jobs that have not ended.
    pub fn depth(&self) -> u64 {
        self.available + self.running + self.retryable + self.scheduled
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody has to do something.
    Trouble,
    /// Good to know.
    Notice,
}

impl Severity {
    /// The name as shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Notice => "notice",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence.
    pub sentence: Phrase,
    /// Where in the console to look.
    pub page: String,
}

impl Snapshot {
    /// Looks at everything once.
    ///
    /// # Errors
    /// [`Error`] of the database.
    pub async fn take(pool: &PgPool, now: DateTime<Utc>) -> Result<Self, Error> {
        let workers = workers::list(pool, WORKERS).await?;
        let counts = counts::counts(pool).await?;
        let mut queues = by_queue(&counts, now);
        for oldest in counts::oldest_due(pool).await? {
            queues.entry(oldest.queue).or_default().oldest_due = Some(oldest.due_minute);
        }
        add_slots(&mut queues, &workers);
        let groups = groups::list(pool, GROUPS).await?;
        let schedules = schedule::list(pool).await?;
        let pauses = pause::list(pool).await?;
        let last_hour = rollups::read(pool, Window::Hour, false).await?;
        let budget = error_budget::shares(pool).await?;
        let mut conn = pool.acquire().await?;
        Ok(Self {
            now,
            queues,
            pauses,
            workers,
            groups,
            schedules,
            accounts: linked_accounts::count_by_status(&mut conn).await?,
            delivery_waits_since: webhook_deliveries::waiting_since(&mut conn).await?,
            last_hour,
            budget,
        })
    }

    /// What is not as it should be, the worst first.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.look_at_pauses(&mut findings);
        self.look_at_workers(&mut findings);
        self.look_at_queues(&mut findings);
        self.look_at_dead(&mut findings);
        self.look_at_schedules(&mut findings);
        self.look_at_accounts(&mut findings);
        self.look_at_merge(&mut findings);
        findings.sort_by_key(|finding| finding.severity);
        findings
    }

    /// The whole in one sentence.
    pub fn sentence(&self) -> Phrase {
        let findings = self.findings();
        let troubles: Vec<_> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Trouble)
            .collect();
        match troubles.as_slice() {
            [] => {
                let workers = self.working().count() as u64;
                let depth: u64 = self.queues.values().map(QueueState::depth).sum();
                say!(
                    "All well: {workers} at work, {jobs} in hand, none late.",
                    workers = plural!("{count} worker", "{count} workers", count = workers),
                    jobs = plural!("{count} job", "{count} jobs", count = depth)
                )
            }
            [one] => one.sentence.clone(),
            [first, rest @ ..] => {
                let more = rest.len() as u64;
                plural!(
                    "{first} And {more} more trouble, below.",
                    "{first} And {more} more troubles, below.",
                    more = more,
                    first = first.sentence.clone()
                )
            }
        }
    }

    /// Whether nobody has to do anything.
    pub fn is_well(&self) -> bool {
        let findings = self.findings();
        findings
            .iter()
            .all(|finding| finding.severity != Severity::Trouble)
    }

    /// Whether nothing of a queue is started, because somebody paused it or everything.
    pub fn is_paused(&self, queue: &str) -> bool {
        let of_queue = |pause: &Pause| {
            let scope = pause.scope.columns();
            scope == ("queue", queue) || scope.0 == "everything"
        };
        self.pauses.iter().any(of_queue)
    }

    /// The workers that start jobs.
    pub fn working(&self) -> impl Iterator<Item = &WorkerView> {
        self.workers.iter().filter(|worker| is_working(worker))
    }

    fn look_at_pauses(&self, findings: &mut Vec<Finding>) {
        for pause in &self.pauses {
            let severity = match pause.scope {
                Scope::Everything | Scope::Queue(_) => Severity::Trouble,
                Scope::Kind(_) | Scope::Lane(_) | Scope::Organization(_) => Severity::Notice,
            };
            findings.push(Finding {
                severity,
                sentence: paused(pause, self.now),
                page: "queues".to_owned(),
            });
        }
    }

    fn look_at_workers(&self, findings: &mut Vec<Finding>) {
        if self.working().next().is_none() {
            let sentence = say!("No worker is running: no job starts.");
            findings.push(trouble(sentence, "workers"));
        }
        let silent = |worker: &&WorkerView| is_alive(worker) && worker.lease_left.is_zero();
        let silent = self.workers.iter().filter(silent).count() as u64;
        if silent > 0 {
            let sentence = plural!(
                "{workers} worker is silent: another takes over within seconds.",
                "{workers} workers are silent: another takes over within seconds.",
                workers = silent
            );
            findings.push(trouble(sentence, "workers"));
        }
        self.look_at_lost(findings);
    }

    /// Others have taken over long since; but processes do not end without a word for nothing.
    fn look_at_lost(&self, findings: &mut Vec<Finding>) {
        let lost = self
            .workers
            .iter()
            .filter(|worker| worker.state == "dead")
            .filter_map(|worker| Some((worker, self.now - worker.ended_at?)))
            .filter(|(_, ago)| *ago < LOST_LATELY);
        let lost: Vec<_> = lost.collect();
        if let Some((worker, ago)) = lost.iter().min_by_key(|(_, ago)| *ago) {
            findings.push(Finding {
                severity: Severity::Notice,
                sentence: plural!(
                    "{workers} worker was lost in the last hour, the last {age} ago (process {pid} on {host}); others took over what it held.",
                    "{workers} workers were lost in the last hour, the last {age} ago (process {pid} on {host}); others took over what it held.",
                    workers = lost.len() as u64,
                    age = age(*ago),
                    pid = worker.pid.to_string(),
                    host = &worker.host
                ),
                page: "workers".to_owned(),
            });
        }
    }

    fn look_at_queues(&self, findings: &mut Vec<Finding>) {
        let is_any_worker = self.working().next().is_some();
        for (name, queue) in &self.queues {
            let is_waiting = queue.available + queue.retryable > 0;
            if is_any_worker && queue.slots == 0 && is_waiting {
                let sentence = say!(
                    "No running worker serves the queue {name}, and jobs wait in it.",
                    name
                );
                findings.push(trouble(sentence, "queues"));
            }
            let waited = queue.oldest_age(self.now);
            if waited > LATE {
                let sentence = say!(
                    "The oldest job due in the queue {name} has waited for {age}.",
                    name,
                    age = age(waited)
                );
                findings.push(trouble(
                    sentence,
                    &format!("jobs?state=available&state=retryable&queue={name}"),
                ));
            }
        }
        if let Some(since) = self.delivery_waits_since
            && self.now - since > LATE
        {
            let waited = age(self.now - since);
            let sentence = say!("A webhook has waited for {age} to be judged.", age = waited);
            findings.push(trouble(sentence, "webhooks?verdict=received"));
        }
    }

    fn look_at_dead(&self, findings: &mut Vec<Finding>) {
        let open: Vec<_> = self.groups.iter().filter(|group| group.is_open()).collect();
        let jobs: i64 = open.iter().map(|group| group.jobs).sum();
        let newest = open.iter().map(|group| group.last_seen_at).max();
        if let Some(newest) = newest {
            let causes = open.len() as u64;
            let sentence = plural!(
                "{jobs} job is dead, of {causes}, the last {age} ago.",
                "{jobs} jobs are dead, of {causes}, the last {age} ago.",
                jobs = jobs.unsigned_abs(),
                causes = plural!("{count} cause", "{count} causes", count = causes),
                age = age(self.now - newest)
            );
            findings.push(trouble(sentence, "dead"));
        }
    }

    fn look_at_schedules(&self, findings: &mut Vec<Finding>) {
        for schedule in &self.schedules {
            if let Some(problem) = &schedule.problem {
                let name = &schedule.name;
                let sentence = say!("The schedule {name} cannot work: {problem}.", name, problem);
                findings.push(trouble(sentence, "schedules"));
            }
            if schedule.overdue.as_secs() > 60 {
                let late = TimeDelta::from_std(schedule.overdue).unwrap_or_default();
                let sentence = say!(
                    "The schedule {name} is {age} late: no scheduler runs that knows it.",
                    name = &schedule.name,
                    age = age(late)
                );
                findings.push(trouble(sentence, "schedules"));
            }
            if let Some(pause) = &schedule.paused {
                findings.push(Finding {
                    severity: Severity::Notice,
                    sentence: say!(
                        "The schedule {name} is paused by {by}: {reason}.",
                        name = &schedule.name,
                        by = &pause.by,
                        reason = &pause.reason
                    ),
                    page: "schedules".to_owned(),
                });
            }
        }
    }

    fn look_at_accounts(&self, findings: &mut Vec<Finding>) {
        for count in &self.accounts {
            let accounts = count.accounts.unsigned_abs();
            let (severity, sentence) = match count.status {
                AccountStatus::Error => (
                    Severity::Trouble,
                    plural!(
                        "{accounts} account is refused by Merge.",
                        "{accounts} accounts are refused by Merge.",
                        accounts = accounts
                    ),
                ),
                AccountStatus::RelinkNeeded => (
                    Severity::Notice,
                    plural!(
                        "{accounts} account is to be linked again by their customers.",
                        "{accounts} accounts are to be linked again by their customers.",
                        accounts = accounts
                    ),
                ),
                AccountStatus::Pending | AccountStatus::Active | AccountStatus::Deleting => {
                    continue;
                }
            };
            findings.push(Finding {
                severity,
                sentence,
                page: format!("accounts?status={}", count.status.as_str()),
            });
        }
    }
}

/// Who paused what, and why.
pub(crate) fn paused(pause: &Pause, now: DateTime<Utc>) -> Phrase {
    let what = match pause.scope.columns() {
        ("everything", _) => say!("Everything is paused by {by} for {since}: {reason}."),
        ("queue", name) => say!(
            "The queue {name} is paused by {by} for {since}: {reason}.",
            name
        ),
        ("kind", name) => say!(
            "The kind {name} is paused by {by} for {since}: {reason}.",
            name
        ),
        ("organization", name) => say!(
            "The organization {name} is paused by {by} for {since}: {reason}.",
            name
        ),
        (_, name) => say!(
            "The lane {name} is paused by {by} for {since}: {reason}.",
            name
        ),
    };
    what.with("by", &pause.paused_by)
        .with("since", age(now - pause.paused_at))
        .with("reason", pause.reason.trim_end_matches('.'))
}

fn trouble(sentence: Phrase, page: &str) -> Finding {
    Finding {
        severity: Severity::Trouble,
        sentence,
        page: page.to_owned(),
    }
}

pub(crate) fn is_alive(worker: &WorkerView) -> bool {
    worker.state == "running" || worker.state == "draining"
}

pub(crate) fn is_working(worker: &WorkerView) -> bool {
    worker.state == "running" && worker.wanted.is_none() && !worker.lease_left.is_zero()
}

/// The slots of the workers that start jobs.
pub(crate) fn add_slots(queues: &mut BTreeMap<String, QueueState>, workers: &[WorkerView]) {
    for worker in workers.iter().filter(|worker| is_working(worker)) {
        for (queue, slots) in worker.slots.as_object().into_iter().flatten() {
            let slots = slots.as_u64().unwrap_or(0);
            queues.entry(queue.clone()).or_default().slots += slots;
        }
    }
}

/// Jobs in numbers; every queue we know is there.
pub(crate) fn by_queue(counts: &[Count], now: DateTime<Utc>) -> BTreeMap<String, QueueState> {
    let mut queues: BTreeMap<String, QueueState> = BTreeMap::new();
    for queue in queue::Queue::ALL {
        queues.entry(queue.as_str().to_owned()).or_default();
    }
    for count in counts {
        let queue = queues.entry(count.queue.clone()).or_default();
        match count.state {
            JobState::Available => queue.available += count.jobs,
            JobState::Running => queue.running += count.jobs,
            JobState::Retryable => queue.retryable += count.jobs,
            JobState::Scheduled => queue.scheduled += count.jobs,
            JobState::Dead => queue.dead += count.jobs,
            JobState::Completed if count.day == Some(now.date_naive()) => {
                queue.completed_today += count.jobs;
            }
            JobState::Completed | JobState::Cancelled => {}
        }
    }
    queues
}

#[cfg(test)]
mod tests;
