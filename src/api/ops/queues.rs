//! Queues and lanes, and what is paused.

use axum::extract::State;
use chrono::{DateTime, Utc};
use queue::counts::Difference;
use queue::lanes::{self, LaneView};
use queue::pause::{Pause, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Done,
    body::{Plain, Reason},
};
use crate::api::{
    extract::Json,
    field::Text,
    prefer::Once,
    problem::{Fault, Problem},
};
use crate::app::App;
use crate::ops::{
    Ops,
    health::{QueueState, Snapshot},
};

/// Lanes of each sort.
const LANES: u16 = 100;

/// A queue in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueView {
    name: String,
    is_paused: bool,
    /// Jobs that are due and wait for a slot.
    available: u64,
    running: u64,
    /// Jobs that failed and run again.
    retryable: u64,
    /// Jobs whose time is still to come.
    scheduled: u64,
    /// Jobs that used all their attempts.
    dead: u64,
    /// Today, in UTC.
    completed_today: u64,
    /// Jobs that the living workers run at once.
    slots: u64,
    /// Since when the oldest due job waits, to the minute.
    oldest_due: Option<DateTime<Utc>>,
}

impl QueueView {
    pub(super) fn all(snapshot: &Snapshot) -> Vec<Self> {
        let queues = snapshot.queues.iter();
        queues
            .map(|(name, queue)| Self::of(snapshot, name, queue))
            .collect()
    }

    fn of(snapshot: &Snapshot, name: &str, queue: &QueueState) -> Self {
        let is_of_it = |pause: &Pause| {
            let scope = pause.scope.columns();
            scope == ("queue", name) || scope.0 == "everything"
        };
        Self {
            name: name.to_owned(),
            is_paused: snapshot.pauses.iter().any(is_of_it),
            available: queue.available,
            running: queue.running,
            retryable: queue.retryable,
            scheduled: queue.scheduled,
            dead: queue.dead,
            completed_today: queue.completed_today,
            slots: queue.slots,
            oldest_due: queue.oldest_due,
        }
    }
}

/// A pause that holds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PauseView {
    /// `everything`, `queue`, `kind`, `lane` or `organization`.
    scope: &'static str,
    /// Of the queue, the kind or the lane; the organization's id.
    name: String,
    paused_by: String,
    reason: String,
    paused_at: DateTime<Utc>,
    /// Null: until somebody resumes it.
    paused_until: Option<DateTime<Utc>>,
}

impl From<Pause> for PauseView {
    fn from(pause: Pause) -> Self {
        let (scope, name) = pause.scope.columns();
        Self {
            scope,
            name: name.to_owned(),
            paused_by: pause.paused_by,
            reason: pause.reason,
            paused_at: pause.paused_at,
            paused_until: pause.paused_until,
        }
    }
}

/// Queues by name, and what is paused.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueList {
    queues: Vec<QueueView>,
    pauses: Vec<PauseView>,
}

/// All queues, and all pauses.
#[utoipa::path(get, path = "/api/ops/queues", tag = "operations", responses((status = 200, body = QueueList)))]
pub(super) async fn list(State(app): State<App>) -> Result<Json<QueueList>, Problem> {
    let snapshot = Snapshot::take(&app.pool, app.queue.now().await?).await?;
    Ok(Json(QueueList {
        queues: QueueView::all(&snapshot),
        pauses: snapshot.pauses.into_iter().map(PauseView::from).collect(),
    }))
}

/// Lanes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LaneList {
    lanes: Vec<LaneView>,
}

/// The lanes that are worked, that wait longest for a worker, and that rest: a hundred of each.
#[utoipa::path(get, path = "/api/ops/lanes", tag = "operations", responses((status = 200, body = LaneList)))]
pub(super) async fn lanes(State(app): State<App>) -> Result<Json<LaneList>, Problem> {
    let lanes = lanes::list(&app.pool, LANES).await?;
    Ok(Json(LaneList { lanes }))
}

/// What is paused, why, and for how long. Exactly one of `queue`, `kind`, `lane`, `organization_id` and `everything`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseJobs {
    /// The jobs of a queue.
    queue: Option<Text<75>>,
    /// The jobs of a kind.
    kind: Option<Text<75>>,
    /// The jobs of a lane: `acct:` and our id of an account, for one.
    lane: Option<Text<75>>,
    /// The jobs of an organization: of all its accounts.
    organization_id: Option<Text<75>>,
    /// `true`: all jobs.
    everything: Option<bool>,
    reason: Reason,
    /// Without it, until somebody resumes it.
    until: Option<DateTime<Utc>>,
}

/// Pauses a queue, a kind, a lane, an organization or everything: within two seconds nothing more of it starts. What runs is not stopped.
#[utoipa::path(
    post, path = "/api/ops/queues/pause", tag = "operations",
    params(Once), request_body = PauseJobs,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn pause(ops: Ops, Json(body): Json<PauseJobs>) -> Result<Json<Done>, Problem> {
    let what = ResumeJobs {
        queue: body.queue,
        kind: body.kind,
        lane: body.lane,
        organization_id: body.organization_id,
        everything: body.everything,
    };
    ops.pause(&what.scope()?, body.reason.as_str(), body.until)
        .await?;
    Ok(Done::plain())
}

/// What is meant. Exactly one of `queue`, `kind`, `lane`, `organization_id` and `everything`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeJobs {
    /// The jobs of a queue.
    queue: Option<Text<75>>,
    /// The jobs of a kind.
    kind: Option<Text<75>>,
    /// The jobs of a lane.
    lane: Option<Text<75>>,
    /// The jobs of an organization.
    organization_id: Option<Text<75>>,
    /// `true`: all jobs.
    everything: Option<bool>,
}

impl ResumeJobs {
    fn scope(&self) -> Result<Scope, Problem> {
        let given = [
            ("queue", &self.queue),
            ("kind", &self.kind),
            ("lane", &self.lane),
            ("organization", &self.organization_id),
        ];
        let named = given
            .iter()
            .filter_map(|(scope, name)| Some((*scope, name.as_ref()?.as_str())));
        let everything = (self.everything == Some(true)).then_some(("everything", ""));
        let mut all = named.chain(everything);
        let (Some((scope, name)), None) = (all.next(), all.next()) else {
            let detail =
                "must name exactly one of queue, kind, lane, organization_id and everything";
            return Err(Problem::field(Fault::at("", detail)));
        };
        Scope::from_columns(scope, name.to_owned())
            .ok_or_else(|| Problem::field(Fault::at("/queue", "must be a queue there is")))
    }
}

/// Resumes what was paused.
#[utoipa::path(
    post, path = "/api/ops/queues/resume", tag = "operations",
    params(Once), request_body = ResumeJobs,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn resume(ops: Ops, Json(body): Json<ResumeJobs>) -> Result<Json<Done>, Problem> {
    ops.resume(&body.scope()?).await?;
    Ok(Done::plain())
}

/// What a check of the counts found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Checked {
    success: bool,
    /// Counts that were wrong, and were put right. There should be none.
    differences: Vec<Difference>,
}

/// Compares the counts of jobs with a look at all of them, which takes seconds with millions, and puts right what differs.
#[utoipa::path(
    post, path = "/api/ops/queues/check-counts", tag = "operations",
    request_body = Plain, responses((status = 200, body = Checked))
)]
pub(super) async fn check_counts(
    ops: Ops,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Checked>, Problem> {
    let differences = ops.check_counts().await?;
    Ok(Json(Checked {
        success: true,
        differences,
    }))
}
