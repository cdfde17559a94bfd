//! Webhook endpoints: where the product wants events sent to, how that goes, and what signs them.
//!
//! A secret is shown when it is made, and not again; a repetition under the same `Idempotency-Key` shows it once more,
//! since the first answer may have been lost.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use event_sender::Secret;
use http::{HeaderValue, StatusCode, header};
use jobs::{deliver_event, send_test_event::SendTestEvent};
use queue::NewJob;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use store::{
    EndpointId,
    events::EventType,
    webhook_endpoints::{
        self, Change, Changes, Enabled, Endpoint, From, NewEndpoint, Retired, Rotated,
    },
};
use url::Url;
use utoipa::{IntoParams, ToSchema};

use super::{
    answer::Pending,
    auth::Principal,
    extract::{Json, Path, Query},
    field::{Limit, OrganizationId, Text},
    intake::{Opened, Repeat, Submission},
    link::{PATIENCE, finish},
    page::Cursor,
    prefer::Submitted,
    problem::{Fault, Kind, Problem},
};
use crate::app::App;

/// What a person calls an endpoint.
type Description = Text<255>;

/// Body of those routes that need none: `{}`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Body that makes an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateEndpoint {
    url: Text<2000>,
    /// Only its events. A key that is bound to an organization need not say it.
    organization_id: Option<OrganizationId>,
    description: Option<Description>,
    /// Only these; without it, all.
    #[schema(value_type = Option<Vec<EventType>>, min_items = 1)]
    event_types: Option<Vec<EventTypeName>>,
}

/// The name of a type of event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct EventTypeName(&'static str);

impl<'de> Deserialize<'de> for EventTypeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        EventType::parse(&text)
            .map(|known| Self(known.as_str()))
            .ok_or_else(|| {
                let names = EventType::ALL.map(EventType::as_str).join(", ");
                serde::de::Error::custom(format!("must be one of {names}"))
            })
    }
}

/// An endpoint and, where it was just made, its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointView<'a> {
    #[serde(flatten)]
    endpoint: &'a Endpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

/// Makes an endpoint; it gets the events that come from now on.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints",
    tag = "events",
    params(Submitted),
    request_body = CreateEndpoint,
    responses((status = 201, body = EndpointView<'_>), (status = 404), (status = 409))
)]
pub(super) async fn create(
    State(app): State<App>,
    submission: Submission<CreateEndpoint>,
) -> Result<Response, Problem> {
    let body = &submission.body;
    let own = submission.principal.organization_id();
    let asked = body.organization_id.as_ref().map(Text::as_str);
    if asked.is_some_and(|asked| !submission.principal.may_see(asked)) {
        return Err(Problem::missing("organization"));
    }
    let url = checked_url(&app, &body.url)?;
    let event_types = body.event_types.as_deref().map(names).transpose()?;
    let id = match submission.open(&app, Repeat::Replays).await? {
        Opened::Before(accepted) => EndpointId(accepted.job_id.0),
        Opened::Now(mut intake) => {
            let secret = Secret::generate();
            let new = NewEndpoint {
                organization_id: own.or(asked),
                url: url.as_str(),
                description: body.description.as_ref().map(Text::as_str),
                event_types: event_types.as_deref(),
                secret: secret.bytes(),
            };
            let made = webhook_endpoints::create(intake.connection(), &app.keyring, &new).await?;
            intake
                .commit(made.ok_or_else(too_many)?.id.0)
                .await
                .map(EndpointId)?
        }
    };
    with_secret(&app, &submission.principal, id, StatusCode::CREATED).await
}

/// Query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEndpoints {
    /// Only this organization's. A key that is bound to one sees no other's anyway.
    #[param(inline)]
    organization_id: Option<OrganizationId>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<EndpointId>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A page of endpoints, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EndpointPage {
    webhook_endpoints: Vec<Endpoint>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<EndpointId>>,
}

/// The endpoints that the key may see.
#[utoipa::path(
    get,
    path = "/api/merge/webhook-endpoints",
    tag = "events",
    params(ListEndpoints),
    responses((status = 200, body = EndpointPage), (status = 404))
)]
pub(super) async fn list(
    State(app): State<App>,
    principal: Principal,
    Query(query): Query<ListEndpoints>,
) -> Result<Json<EndpointPage>, Problem> {
    let asked = query.organization_id.as_ref().map(Text::as_str);
    if asked.is_some_and(|asked| !principal.may_see(asked)) {
        return Err(Problem::missing("organization"));
    }
    let organization_id = principal.organization_id().or(asked);
    let after = query.cursor.map(|cursor| cursor.0);
    let mut connection = principal.begin(&app).await?;
    let endpoints =
        webhook_endpoints::list(&mut connection, organization_id, after, query.limit.0).await?;
    Ok(Json(EndpointPage {
        next: query
            .limit
            .last_of_full(&endpoints)
            .map(|last| Cursor(last.id)),
        webhook_endpoints: endpoints,
    }))
}

/// One endpoint.
#[utoipa::path(
    get,
    path = "/api/merge/webhook-endpoints/{id}",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint.")),
    responses((status = 200, body = Endpoint))
)]
pub(super) async fn show(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<EndpointId>,
) -> Result<Json<Endpoint>, Problem> {
    let mut connection = principal.begin(&app).await?;
    let found = webhook_endpoints::find(&mut connection, id, principal.organization_id()).await?;
    found.map(Json).ok_or_else(missing)
}

/// Body that changes an endpoint: what is not named stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateEndpoint {
    url: Option<Text<2000>>,
    /// `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<Description>)]
    description: Change<Description>,
    /// `null`: all.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EventType>>, min_items = 1)]
    event_types: Change<Vec<EventTypeName>>,
}

/// Changes an endpoint. A new address is delivered to at once.
#[utoipa::path(
    patch,
    path = "/api/merge/webhook-endpoints/{id}",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint.")),
    request_body = UpdateEndpoint,
    responses((status = 200, body = Endpoint))
)]
pub(super) async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<EndpointId>,
    Json(body): Json<UpdateEndpoint>,
) -> Result<Json<Endpoint>, Problem> {
    let url = body
        .url
        .as_ref()
        .map(|url| checked_url(&app, url))
        .transpose()?;
    let event_types = body.event_types.as_ref().try_map(|types| names(types))?;
    let description = body.description.as_ref();
    let changes = Changes {
        url: url.as_ref().map(Url::as_str),
        description: description.map(Text::as_str),
        event_types: event_types.as_ref().map(Vec::as_slice),
    };
    let own = principal.organization_id();
    let mut tx = principal.begin(&app).await?;
    let endpoint = webhook_endpoints::update(&mut tx, id, own, &changes)
        .await?
        .ok_or_else(missing)?;
    if url.is_some() && endpoint.disabled_at.is_none() {
        principal.leave(&mut tx).await?;
        deliver_event::deliver_now(&mut tx, &endpoint).await?;
    }
    tx.commit().await?;
    app.queue.wake();
    Ok(Json(endpoint))
}

/// Says that it is done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    success: bool,
}

/// Removes an endpoint. What it did not get yet, it never gets.
#[utoipa::path(
    delete,
    path = "/api/merge/webhook-endpoints/{id}",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint.")),
    responses((status = 200, body = Done))
)]
pub(super) async fn remove(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<EndpointId>,
) -> Result<Json<Done>, Problem> {
    let mut connection = principal.begin(&app).await?;
    if !webhook_endpoints::delete(&mut connection, id, principal.organization_id()).await? {
        return Err(missing());
    }
    connection.commit().await?;
    Ok(Json(Done { success: true }))
}

/// Makes a new secret; the old one signs as well, until it is removed.
#[utoipa::path(
    post,
    path = "/api/merge/webhook-endpoints/{id}/rotate-secret",
    tag = "events",
    params(("id" = EndpointId, Path, description = "The id of the endpoint."), Submitted),
    request_body = Nothing,
    responses((status = 200, body = EndpointView<'_>), (status = 409))
)]
pub(super) async fn rotate_secret(
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
pub(super) async fn remove_old_secret(
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
pub(super) struct EnableEndpoint {
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
pub(super) async fn enable(
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
pub(super) async fn disable(
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
pub(super) struct Tested {
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
pub(super) async fn test(
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

/// The endpoint with the secret that signs.
async fn with_secret(
    app: &App,
    principal: &Principal,
    id: EndpointId,
    status: StatusCode,
) -> Result<Response, Problem> {
    let mut connection = principal.begin(app).await?;
    let found = webhook_endpoints::find(&mut connection, id, principal.organization_id()).await?;
    let endpoint = found.ok_or_else(missing)?;
    let opened = webhook_endpoints::open(&mut connection, &app.keyring, id).await?;
    let bytes = opened.and_then(|opened| opened.secrets.into_iter().next());
    let secret = bytes.map(|bytes| Secret::from_bytes(bytes).to_text());
    let view = EndpointView {
        endpoint: &endpoint,
        secret: secret.as_ref().map(SecretString::expose_secret),
    };
    let mut response = (status, Json(view)).into_response();
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A URL that events may be sent to, as far as can be told without asking for its address.
fn checked_url(app: &App, text: &Text<2000>) -> Result<Url, Problem> {
    let refused = |reason: String| Problem::field(Fault::at("/url", reason));
    let url: Url = text
        .as_str()
        .parse()
        .map_err(|error| refused(format!("must be a URL: {error}")))?;
    app.sender
        .check(&url)
        .map_err(|refusal| refused(refusal.to_string()))?;
    Ok(url)
}

/// Names, each once; at least one.
fn names(types: &[EventTypeName]) -> Result<Vec<String>, Problem> {
    let mut names: Vec<String> = types.iter().map(|name| name.0.to_owned()).collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        let detail = "must name at least one type; leave it out for all";
        return Err(Problem::field(Fault::at("/event_types", detail)));
    }
    Ok(names)
}

fn missing() -> Problem {
    Problem::missing("webhook endpoint")
}

fn conflict(detail: &'static str) -> Problem {
    Problem::new(Kind::EndpointConflict, detail)
}

fn too_many() -> Problem {
    conflict("There are 50 endpoints already; remove one that is not needed.")
}
