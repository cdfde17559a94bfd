//! The control routes below `/_sandbox`: the handle, over HTTP. No key is asked for.

mod client;
mod requests;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::client::{ClientError, ControlClient};
use self::requests::{
    Advance, DeliveriesQuery, Freeze, RecordFields, SendQuery, SetOutcome, SetStatus, TruthQuery,
};
use crate::faults::Fault;
use crate::handle::{CompleteLink, ControlError, Handle, LinkAccount};
use crate::options::WebhookTarget;
use crate::views::{
    AccountView, CompletedLink, LinkedAccount, ModelTruth, StateView, TruthPage, TruthRecord,
};
use crate::webhooks::{DeliveryView, WebhookFaults, WebhookSummary};

type Answer<T> = Result<Json<T>, ControlError>;

pub(crate) fn router(handle: Handle) -> Router {
    Router::new()
        .route("/_sandbox/state", get(state))
        .route("/_sandbox/clock/advance", post(advance))
        .route("/_sandbox/freeze", post(freeze))
        .route("/_sandbox/link/{link_token}/complete", post(complete_link))
        .route("/_sandbox/accounts", get(accounts).post(link_account))
        .route(
            "/_sandbox/accounts/{id}",
            get(account).delete(delete_account),
        )
        .route("/_sandbox/accounts/{id}/sync", post(start_sync))
        .route("/_sandbox/accounts/{id}/status", put(set_status))
        .route("/_sandbox/accounts/{id}/truth", get(truth))
        .route("/_sandbox/accounts/{id}/truth/{model_id}", get(truth_page))
        .route(
            "/_sandbox/accounts/{id}/models/{model_id}/outcome",
            put(set_outcome),
        )
        .route(
            "/_sandbox/accounts/{id}/models/{model_id}/records",
            post(create_record),
        )
        .route(
            "/_sandbox/accounts/{id}/models/{model_id}/records/{key}",
            post(change_record).delete(delete_record),
        )
        .route(
            "/_sandbox/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/_sandbox/webhooks/target", put(set_webhook_target))
        .route("/_sandbox/webhooks/faults", put(set_webhook_faults))
        .route("/_sandbox/webhooks/ping", post(ping_webhook))
        .route("/_sandbox/webhooks/send", post(send_webhook))
        .route("/_sandbox/webhooks/summary", get(webhook_summary))
        .route("/_sandbox/webhooks/deliveries", get(deliveries))
        .route(
            "/_sandbox/webhooks/deliveries/{id}/redeliver",
            post(redeliver_webhook),
        )
        .with_state(handle)
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoAccount | Self::NoModel | Self::NoRecord => StatusCode::NOT_FOUND,
            Self::NoCategory | Self::BadCursor | Self::Link(_) => StatusCode::BAD_REQUEST,
            Self::NothingToSend => StatusCode::CONFLICT,
        };
        (status, Json(json!({ "detail": self.to_string() }))).into_response()
    }
}

async fn state(State(handle): State<Handle>) -> Json<StateView> {
    Json(handle.state())
}

async fn advance(State(handle): State<Handle>, Json(body): Json<Advance>) -> Json<Value> {
    handle.advance(body.by);
    Json(json!({ "now": handle.now() }))
}

async fn freeze(State(handle): State<Handle>, Json(body): Json<Freeze>) -> StatusCode {
    handle.freeze(body.is_frozen);
    StatusCode::NO_CONTENT
}

async fn complete_link(
    State(handle): State<Handle>,
    Path(link_token): Path<String>,
    body: Bytes,
) -> Result<Json<CompletedLink>, Response> {
    let choice: CompleteLink = if body.is_empty() {
        CompleteLink::default()
    } else {
        let unreadable = |error: serde_json::Error| {
            let detail = json!({ "detail": error.to_string() });
            (StatusCode::BAD_REQUEST, Json(detail)).into_response()
        };
        serde_json::from_slice(&body).map_err(unreadable)?
    };
    handle
        .complete_link(&link_token, &choice)
        .map(Json)
        .map_err(IntoResponse::into_response)
}

async fn accounts(State(handle): State<Handle>) -> Json<Vec<AccountView>> {
    Json(handle.accounts())
}

async fn link_account(
    State(handle): State<Handle>,
    Json(body): Json<LinkAccount>,
) -> Answer<LinkedAccount> {
    handle.link_account(&body).map(Json)
}

async fn account(State(handle): State<Handle>, Path(id): Path<Uuid>) -> Answer<AccountView> {
    handle.account(id).map(Json)
}

async fn delete_account(
    State(handle): State<Handle>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ControlError> {
    handle.delete_account(id)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn start_sync(State(handle): State<Handle>, Path(id): Path<Uuid>) -> Answer<Value> {
    let is_started = handle.start_sync(id)?;
    Ok(Json(json!({ "is_started": is_started })))
}

async fn set_status(
    State(handle): State<Handle>,
    Path(id): Path<Uuid>,
    Json(body): Json<SetStatus>,
) -> Result<StatusCode, ControlError> {
    handle.set_status(id, &body.status)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn truth(State(handle): State<Handle>, Path(id): Path<Uuid>) -> Answer<Vec<ModelTruth>> {
    handle.truth(id).map(Json)
}

async fn truth_page(
    State(handle): State<Handle>,
    Path((id, model_id)): Path<(Uuid, String)>,
    Query(query): Query<TruthQuery>,
) -> Answer<TruthPage> {
    let after = query.after.as_deref();
    handle
        .truth_page(id, &model_id, after, query.limit(), query.data)
        .map(Json)
}

async fn set_outcome(
    State(handle): State<Handle>,
    Path((id, model_id)): Path<(Uuid, String)>,
    Json(body): Json<SetOutcome>,
) -> Result<StatusCode, ControlError> {
    handle.set_outcome(id, &model_id, body.outcome)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn create_record(
    State(handle): State<Handle>,
    Path((id, model_id)): Path<(Uuid, String)>,
    Json(body): Json<RecordFields>,
) -> Answer<TruthRecord> {
    handle.create_record(id, &model_id, body.fields).map(Json)
}

async fn change_record(
    State(handle): State<Handle>,
    Path((id, model_id, key)): Path<(Uuid, String, String)>,
    Json(body): Json<RecordFields>,
) -> Answer<TruthRecord> {
    handle
        .change_record(id, &model_id, &key, body.fields)
        .map(Json)
}

async fn delete_record(
    State(handle): State<Handle>,
    Path((id, model_id, key)): Path<(Uuid, String, String)>,
) -> Answer<TruthRecord> {
    handle.delete_record(id, &model_id, &key).map(Json)
}

async fn faults(State(handle): State<Handle>) -> Json<Vec<Fault>> {
    Json(handle.faults())
}

async fn add_fault(State(handle): State<Handle>, Json(fault): Json<Fault>) -> StatusCode {
    handle.add_fault(fault);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(handle): State<Handle>) -> StatusCode {
    handle.clear_faults();
    StatusCode::NO_CONTENT
}

async fn set_webhook_target(
    State(handle): State<Handle>,
    Json(target): Json<Option<WebhookTarget>>,
) -> StatusCode {
    handle.set_webhook_target(target);
    StatusCode::NO_CONTENT
}

async fn set_webhook_faults(
    State(handle): State<Handle>,
    Json(faults): Json<WebhookFaults>,
) -> StatusCode {
    handle.set_webhook_faults(faults);
    StatusCode::NO_CONTENT
}

async fn ping_webhook(State(handle): State<Handle>) -> Result<StatusCode, ControlError> {
    handle.ping_webhook()?;
    Ok(StatusCode::NO_CONTENT)
}

async fn send_webhook(
    State(handle): State<Handle>,
    Query(query): Query<SendQuery>,
    body: Bytes,
) -> Result<StatusCode, ControlError> {
    handle.send_webhook(&query.event, body)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn webhook_summary(State(handle): State<Handle>) -> Json<WebhookSummary> {
    Json(handle.webhook_summary())
}

async fn deliveries(
    State(handle): State<Handle>,
    Query(query): Query<DeliveriesQuery>,
) -> Json<Vec<DeliveryView>> {
    Json(handle.deliveries(query.offset, query.limit))
}

async fn redeliver_webhook(
    State(handle): State<Handle>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ControlError> {
    handle.redeliver_webhook(id)?;
    Ok(StatusCode::NO_CONTENT)
}
