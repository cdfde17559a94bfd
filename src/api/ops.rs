//! `/api/ops`: all that the console shows and does, for programs, through the same [`crate::ops`].
//!
//! A deed is done at the address that [`Deed::api_path`] gives it by rule.

use axum::{
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};
use http::HeaderValue;
use queue::JobId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};
use uuid::Uuid;

use super::{answer::REPLAYED, document, extract::Json};
use crate::app::App;
use crate::ops::{Deed, Role, access::scope_of};

mod accounts;
mod body;
mod bulk;
mod dead;
mod gate;
mod jobs;
mod keys;
mod problems;
mod queues;
mod schedules;
mod status;
mod users;
mod webhooks;
mod workers;

/// A deed is done.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = DeedDone)]
pub(super) struct Done {
    success: bool,
    /// The job that was made for it, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<JobId>,
}

impl Done {
    /// Without a job.
    fn plain() -> Json<Self> {
        Json(Self {
            success: true,
            job_id: None,
        })
    }

    /// This job does it.
    fn by(job_id: JobId) -> Json<Self> {
        Json(Self {
            success: true,
            job_id: Some(job_id),
        })
    }

    /// As it was noted under an idempotency key.
    fn of_stored(job_id: JobId) -> Self {
        Self {
            success: true,
            job_id: Some(job_id).filter(|id| id.0 != Uuid::nil()),
        }
    }

    /// The answer to who asks once more.
    fn again(self) -> Response {
        let mut response = Json(self).into_response();
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

/// Every route, with what its key must be allowed to do.
pub(super) fn routes(app: &App) -> OpenApiRouter<App> {
    let reading = OpenApiRouter::new()
        .routes(routes!(status::show))
        .routes(routes!(status::search))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::show))
        .routes(routes!(dead::list))
        .routes(routes!(dead::show))
        .routes(routes!(bulk::list))
        .routes(routes!(bulk::show))
        .routes(routes!(queues::list))
        .routes(routes!(queues::lanes))
        .routes(routes!(workers::list))
        .routes(routes!(schedules::list))
        .routes(routes!(webhooks::list))
        .routes(routes!(webhooks::show))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::show))
        .routes(routes!(keys::list))
        .routes(routes!(users::list))
        .routes(routes!(users::audit_log));
    let deeds = deeds().into_iter().map(|(deed, routes)| {
        let routes = OpenApiRouter::new().routes(routes);
        gated(app, Some(deed), routes)
    });
    deeds.fold(gated(app, None, reading), OpenApiRouter::merge)
}

/// What is done where.
fn deeds() -> Vec<(Deed, UtoipaMethodRouter<App>)> {
    vec![
        (Deed::JobRetry, routes!(jobs::retry)),
        (Deed::JobRetryNow, routes!(jobs::retry_now)),
        (Deed::JobSnooze, routes!(jobs::snooze)),
        (Deed::JobEdit, routes!(jobs::edit)),
        (Deed::JobCancel, routes!(jobs::cancel)),
        (Deed::JobDelete, routes!(jobs::delete)),
        (Deed::GroupResolve, routes!(dead::resolve)),
        (Deed::GroupReopen, routes!(dead::reopen)),
        // The least of the deeds that it can be; which it is, and what that needs, the body tells.
        (Deed::BulkRetry, routes!(bulk::prepare)),
        (Deed::BulkRetry, routes!(bulk::start)),
        (Deed::BulkStop, routes!(bulk::stop)),
        (Deed::Pause, routes!(queues::pause)),
        (Deed::Resume, routes!(queues::resume)),
        (Deed::CountsCheck, routes!(queues::check_counts)),
        (Deed::WorkerQuiet, routes!(workers::quiet)),
        (Deed::WorkerWork, routes!(workers::work)),
        (Deed::WorkerDrain, routes!(workers::drain)),
        (Deed::ScheduleRun, routes!(schedules::run)),
        (Deed::SchedulePause, routes!(schedules::pause)),
        (Deed::ScheduleResume, routes!(schedules::resume)),
        (Deed::ScheduleEdit, routes!(schedules::edit)),
        (Deed::ScheduleReset, routes!(schedules::reset)),
        (Deed::WebhookReplay, routes!(webhooks::replay)),
        (Deed::AccountPoll, routes!(accounts::poll)),
        (Deed::AccountSweep, routes!(accounts::resync_incremental)),
        (Deed::AccountResync, routes!(accounts::resync_full)),
        (Deed::AccountDelete, routes!(accounts::delete)),
        (Deed::KeyCreate, routes!(keys::create)),
        (Deed::KeyRevoke, routes!(keys::revoke)),
        (Deed::UserAdd, routes!(users::add)),
        (Deed::UserRemove, routes!(users::remove)),
        (Deed::UserPassword, routes!(users::password)),
    ]
}

/// Puts the gate before some routes, and says so in the document.
fn gated(app: &App, deed: Option<Deed>, mut routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    let role = deed.map_or(Role::Viewer, Deed::needs);
    document::demand(routes.get_openapi_mut(), scope_of(role));
    let gate = gate::Gate {
        app: app.clone(),
        deed,
    };
    routes.route_layer(from_fn_with_state(gate, gate::admit))
}
