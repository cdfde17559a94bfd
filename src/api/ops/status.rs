//! Is all well? And what has this id?

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::linked_accounts::AccountStatus;
use utoipa::{IntoParams, ToSchema};

use super::queues::QueueView;
use crate::api::{
    extract::{Json, Query},
    field::Text,
    problem::Problem,
};
use crate::app::App;
use crate::ops::{
    Ops,
    health::{Finding, Severity, Snapshot},
    search::Found,
};

/// The service at one moment.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatusView {
    /// Whether nobody has to do anything.
    is_well: bool,
    /// The whole in one sentence.
    sentence: String,
    /// What is not as it should be, the worst first.
    findings: Vec<FindingView>,
    queues: Vec<QueueView>,
    /// Workers that start jobs.
    workers: usize,
    accounts: Vec<StatusCount>,
    /// The database's clock.
    now: DateTime<Utc>,
}

/// One thing that is not as it should be.
#[derive(Debug, Serialize, ToSchema)]
struct FindingView {
    /// `trouble`: somebody has to do something. `notice`: good to know.
    severity: &'static str,
    sentence: String,
    /// Where in the console to look.
    page: String,
}

impl From<Finding> for FindingView {
    fn from(finding: Finding) -> Self {
        Self {
            severity: finding.severity.as_str(),
            sentence: finding.sentence.to_string(),
            page: finding.page,
        }
    }
}

/// Accounts of one status.
#[derive(Debug, Serialize, ToSchema)]
struct StatusCount {
    status: AccountStatus,
    accounts: i64,
}

/// The state of the service: all well, or what is wrong.
#[utoipa::path(get, path = "/api/ops/status", tag = "operations", responses((status = 200, body = StatusView)))]
pub(super) async fn show(State(app): State<App>) -> Result<Json<StatusView>, Problem> {
    let snapshot = Snapshot::take(&app.pool, app.queue.now().await?).await?;
    let findings = snapshot.findings();
    let counts = snapshot.accounts.iter();
    Ok(Json(StatusView {
        is_well: findings
            .iter()
            .all(|finding| finding.severity != Severity::Trouble),
        sentence: snapshot.sentence().to_string(),
        queues: QueueView::all(&snapshot),
        workers: snapshot.working().count(),
        accounts: counts
            .map(|count| StatusCount {
                status: count.status,
                accounts: count.accounts,
            })
            .collect(),
        findings: findings.into_iter().map(FindingView::from).collect(),
        now: snapshot.now,
    }))
}

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Search {
    /// Any id: of a job, an account (ours, the provider's, its origin id), a delivery, a bulk action, a worker, an
    /// organization.
    #[param(inline)]
    q: Text<300>,
}

/// What has the id.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchResult {
    /// Null: nothing that is still kept.
    found: Option<Found>,
}

/// Any id leads to what has it.
#[utoipa::path(get, path = "/api/ops/search", tag = "operations", params(Search), responses((status = 200, body = SearchResult)))]
pub(super) async fn search(
    ops: Ops,
    Query(query): Query<Search>,
) -> Result<Json<SearchResult>, Problem> {
    let found = ops.search(query.q.as_str()).await?;
    Ok(Json(SearchResult { found }))
}
