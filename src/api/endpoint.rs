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
use jobs::deliver_event;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use store::{
    EndpointId,
    events::EventType,
    webhook_endpoints::{self, Change, Changes, Endpoint, NewEndpoint},
};
use url::Url;
use utoipa::{IntoParams, ToSchema};

use super::{
    auth::Principal,
    extract::{Json, Path, Query},
    field::{Limit, OrganizationId, Text},
    intake::{Opened, Repeat, Submission},
    page::Cursor,
    prefer::Submitted,
    problem::{Fault, Kind, Problem},
};
use crate::app::App;

pub(super) mod acting;

/// What a person calls an endpoint.
type Description = Text<255>;

/// Body that makes an endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateEndpoint {
    #[schema(value_type = String, min_length = 1, max_length = 2000, example = "https://hooks.example/in")]
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
