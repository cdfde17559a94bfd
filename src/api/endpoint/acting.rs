//! What can be done with an endpoint: another secret, on and off, a test.

use axum::{extract::State, response::Response};
use event_sender::Secret;
use http::StatusCode;
use jobs::{deliver_event, send_test_event::SendTestEvent};
use queue::NewJob;
use serde::Deserialize;
use store::{
    EndpointId,
    webhook_endpoints::{self, Enabled, Endpoint, From, Retired, Rotated},
};
use utoipa::ToSchema;

use super::{EndpointView, conflict, missing, with_secret};
use crate::api::{
    answer::Pending,
    auth::Principal,
    extract::{Json, Path},
    intake::{Opened, Repeat, Submission},
    link::{PATIENCE, finish},
    prefer::Submitted,
    problem::{Kind, Problem},
};
use crate::app::App;

/// Body of those routes that need none: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct Nothing {}

/// Makes a new secret; the old one signs as well, until it is removed.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints/{id}/rotate-secret",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint."), Submitted),
    request_body = Nothing,
    responses((status = 200, body = EndpointView<'_>), (status = 409))
)]
pub(in crate::api) async fn rotate_secret(
    State(app): State<App>,
    Path(id): Path<EndpointId>,
    submission: Submission<Nothing>,
) -> Result<Response, Problem> {
    let id = match submission.open(&app, Repeat::Replays).await? {
        Opened::Before(accepted) => EndpointId(accepted.job_id.0),
        Opened::Now(mut intake) => {
            let (own, secret) = (submission.principal.organization_id(), Secret::generate());
            let connection = intake.connection();
            match webhook_endpoints::rotate_secret(
                connection,
                &app.keyring,
                id,
                own,
                secret.bytes(),
            )
            .await?
            {
                Rotated::Done(_) => intake.commit(id.0).await.map(EndpointId)?,
                Rotated::HasOld => {
                    return Err(conflict("Remove the old secret first: it may be in use."));
                }
                Rotated::Missing => return Err(missing()),
            }
        }
    };
    with_secret(&app, &submission.principal, id, StatusCode::OK).await
}

/// Removes the secret that was before the last rotation.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints/{id}/remove-old-secret",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint.")),
    request_body = Nothing,
    responses((status = 200, body = Endpoint), (status = 409))
)]
pub(in crate::api) async fn remove_old_secret(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<EndpointId>,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Json<Endpoint>, Problem> {
    let mut connection = principal.begin(&app).await?;
    match webhook_endpoints::retire_secret(&mut connection, id, principal.organization_id()).await?
    {
        Retired::Done(endpoint) => {
            connection.commit().await?;
            Ok(Json(*endpoint))
        }
        Retired::Nothing => Err(conflict("There is no old secret.")),
        Retired::Missing => Err(missing()),
    }
}

/// Body that enables an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api) struct EnableEndpoint {
    /// From where on: where it stopped, or from now.
    #[serde(default)]
    from: From,
}

/// Delivers to an endpoint again, at once; also to one that waits for its next attempt.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints/{id}/enable",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint.")),
    request_body = EnableEndpoint,
    responses((status = 200, body = Endpoint), (status = 410))
)]
pub(in crate::api) async fn enable(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<EndpointId>,
    Json(body): Json<EnableEndpoint>,
) -> Result<Json<Endpoint>, Problem> {
    let mut tx = principal.begin(&app).await?;
    let own = principal.organization_id();
    let endpoint = match webhook_endpoints::enable(&mut tx, id, own, body.from).await? {
        Enabled::Done(endpoint) => endpoint,
        Enabled::Missing => return Err(missing()),
        Enabled::Forgotten => {
            return Err(Problem::new(
                Kind::Gone,
                "The events after the last delivery are kept no longer. Enable it from now, then read the records anew.",
            ));
        }
    };
    principal.leave(&mut tx).await?;
    deliver_event::deliver_now(&mut tx, &endpoint).await?;
    tx.commit().await?;
    app.queue.wake();
    Ok(Json(*endpoint))
}

/// Stops delivering to an endpoint, which keeps its place in the feed.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints/{id}/disable",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint.")),
    request_body = Nothing,
    responses((status = 200, body = Endpoint))
)]
pub(in crate::api) async fn disable(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<EndpointId>,
    Json(Nothing {}): Json<Nothing>,
) -> Result<Json<Endpoint>, Problem> {
    let mut connection = principal.begin(&app).await?;
    let own = principal.organization_id();
    let disabled = webhook_endpoints::disable(&mut connection, id, own).await?;
    let disabled = disabled.ok_or_else(missing)?;
    connection.commit().await?;
    Ok(Json(disabled))
}

/// As [`SendTestEvent`] ends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document only")]
pub(in crate::api) struct Tested {
    success: bool,
    job_id: queue::JobId,
    /// Whether it was taken.
    delivered: bool,
    /// What was answered; null: nothing.
    http_status: Option<u16>,
    /// What was wrong.
    error: Option<String>,
}

/// Sends an event that means nothing, and tells whether it was taken.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints/{id}/test",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint."), Submitted),
    request_body = Nothing,
    responses((status = 200, body = Tested), (status = 202, body = Pending), (status = 502))
)]
pub(in crate::api) async fn test(
    State(app): State<App>,
    Path(id): Path<EndpointId>,
    submission: Submission<Nothing>,
) -> Result<Response, Problem> {
    let accepted = match submission.open(&app, Repeat::Replays).await? {
        Opened::Before(accepted) => accepted,
        Opened::Now(mut intake) => {
            let own = submission.principal.organization_id();
            let found = webhook_endpoints::find(intake.connection(), id, own).await?;
            let job = NewJob::new(&SendTestEvent { endpoint_id: id })?;
            let job = match found.ok_or_else(missing)?.organization_id {
                Some(organization_id) => job.organization(&organization_id),
                None => job,
            };
            intake.enqueue(&job).await?
        }
    };
    finish(&app, accepted, submission.prefer, PATIENCE).await
}
