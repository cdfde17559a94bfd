//! The receiver of webhooks: verify, keep, answer. Everything else is a job's work.
//!
//! The sender gives us ten seconds, tries three times, and drops for good what we answer with 4xx.
//! So a delivery is answered 200 exactly when it is on disk, and 401 only when nobody with a key sent it:
//!
//! | case | answer |
//! |---|---|
//! | kept, whatever it says (also unknown event or account, duplicate, ping, broken JSON) | 200 |
//! | signature missing, given twice, or wrong; body too long to be verified | 401 |
//! | no secret configured | 500 |
//! | cannot be kept, too much at once, or the body did not arrive whole | 503, to be sent again |
//!
//! The body is verified byte for byte, and sealed before it leaves this process, because it may hold an account
//! token. Nothing of it is parsed here: a job does that, in its own time. A flood of bad signatures costs its
//! hashing and one counter: no statement, and a line in the log every now and then.
//!
//! A caller that hangs up takes nothing back: what was handed to the inbox is written.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::{
    body::{Body, HttpBody as _},
    extract::{Request, State},
};
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, StreamExt as _};
use http::HeaderMap;
use merge_client::webhook;
use metrics::{Counter, Histogram};
use queue::rollups::{Measure, Tally};
use serde::Serialize;
use store::Keyring;
use store::webhook_deliveries::NewDelivery;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use super::{
    Limits,
    extract::Json,
    problem::{Kind, Problem},
};
use crate::{
    app::App,
    inbox::{Inbox, NotKept, Room},
    telemetry::LogGate,
    webhook_secrets::WebhookSecrets,
};

/// When to send again what could not be kept. The sender's own pauses are one and two seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The whole answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Receipt {
    received: bool,
}

/// What receiving needs, and nothing else: deliveries share it, since each copy would cost as much as the hashing.
pub(super) struct Receiver {
    secrets: WebhookSecrets,
    keyring: Arc<Keyring>,
    inbox: Inbox,
    limits: Limits,
    /// Lets a refusal into the log now and then.
    refusals: LogGate,
    stored: Meters,
    /// For the console.
    measured: Arc<Tally>,
}

/// The metrics of one verdict.
struct Meters {
    received: Counter,
    acknowledged: Histogram,
}

impl Meters {
    fn of(verdict: &'static str) -> Self {
        Self {
            received: metrics::counter!("syncline_webhook_received_total", "verdict" => verdict),
            acknowledged: metrics::histogram!("syncline_webhook_ack_duration_seconds", "verdict" => verdict),
        }
    }

    fn count(&self, took: Duration) {
        self.received.increment(1);
        self.acknowledged.record(took);
    }
}

impl Receiver {
    pub(super) fn of(app: &App) -> Arc<Self> {
        Arc::new(Self {
            secrets: app.webhook_secrets.clone(),
            keyring: Arc::clone(&app.keyring),
            inbox: app.inbox.clone(),
            limits: Limits::of(app),
            refusals: LogGate::default(),
            stored: Meters::of("stored"),
            measured: Arc::clone(app.queue.tally()),
        })
    }

    async fn take(&self, request: Request) -> Result<(), Refusal> {
        let secrets = self.secrets.active();
        if secrets.is_empty() {
            return Err(Refusal::NoSecret);
        }
        let (parts, body) = request.into_parts();
        let signature = signature(&parts.headers)?;
        let mut room = self.inbox.room();
        let reading = read(body, self.limits.webhook_body_bytes, &mut room);
        let body = timeout(self.limits.body_timeout, reading).await;
        let body = body.unwrap_or(Err(Refusal::Incomplete))?;
        let secret_id = secrets
            .verify(signature, &body)
            .map_err(|_| Refusal::Unverified("the signature is wrong"))?;
        let delivery =
            NewDelivery::seal(&self.keyring, &body, secret_id).map_err(|_| Refusal::NotStored)?;
        let delivery = delivery.in_trace(queue::trace::current());
        drop(body);
        let kept = self.inbox.keep(delivery).await;
        kept.map_err(|error| match error {
            NotKept::Full => Refusal::Shed,
            NotKept::Failed => Refusal::NotStored,
        })
    }
}

/// Takes one delivery.
#[utoipa::path(
    post,
    path = "/api/webhooks/merge",
    tag = "webhooks",
    request_body = Value,
    responses((status = 200, body = Receipt), (status = 401), (status = 500), (status = 503)),
    security(("webhook_signature" = []))
)]
pub(super) async fn receive(
    State(receiver): State<Arc<Receiver>>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    let started = Instant::now();
    let taken = AssertUnwindSafe(receiver.take(request)).catch_unwind();
    let outcome = taken.await.unwrap_or(Err(Refusal::Broken));
    let took = started.elapsed();
    match outcome {
        Ok(()) => {
            receiver.stored.count(took);
            receiver.measured.note(Measure::Acknowledgement, took);
            Ok(Json(Receipt { received: true }))
        }
        Err(refusal) => {
            let verdict = refusal.as_str();
            Meters::of(verdict).count(took);
            if let Some(left_out) = receiver.refusals.pass() {
                tracing::warn!(verdict, reason = %refusal, left_out, "webhook refused");
            }
            Err(refusal.into())
        }
    }
}

/// Takes one delivery, at the address of a guide.
#[utoipa::path(
    post,
    path = "/webhooks/merge/sync-completed",
    tag = "webhooks",
    request_body = Value,
    responses((status = 200, body = Receipt), (status = 401), (status = 500), (status = 503)),
    security(("webhook_signature" = []))
)]
pub(super) async fn receive_sync_completed(
    receiver: State<Arc<Receiver>>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    receive(receiver, request).await
}

/// Takes one delivery, at the address of a guide.
#[utoipa::path(
    post,
    path = "/webhooks/merge/model-synced",
    tag = "webhooks",
    request_body = Value,
    responses((status = 200, body = Receipt), (status = 401), (status = 500), (status = 503)),
    security(("webhook_signature" = []))
)]
pub(super) async fn receive_model_synced(
    receiver: State<Arc<Receiver>>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    receive(receiver, request).await
}

/// Takes one delivery, at the address of its category.
#[utoipa::path(
    post,
    path = "/api/merge/webhook/{category}",
    tag = "webhooks",
    params(("category" = String, Path, description = "Means nothing: the body says all.")),
    request_body = Value,
    responses((status = 200, body = Receipt), (status = 401), (status = 500), (status = 503)),
    security(("webhook_signature" = []))
)]
pub(super) async fn receive_of_category(
    receiver: State<Arc<Receiver>>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    receive(receiver, request).await
}

/// Why a delivery was not taken.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Refusal {
    /// Nobody with a key sent it, as far as we can tell.
    #[error("{0}")]
    Unverified(&'static str),
    /// There is no secret to verify it with.
    #[error("no webhook secret is configured")]
    NoSecret,
    /// It did not arrive whole.
    #[error("the body did not arrive whole, or not in time")]
    Incomplete,
    /// More comes than can be kept.
    #[error("too many webhooks, or too large ones, at once")]
    Shed,
    /// The database did not take it.
    #[error("it could not be stored")]
    NotStored,
    /// We failed in a way that nobody foresaw; the panic is in the log.
    #[error("receiving it panicked")]
    Broken,
}

/// The value of the only signature header.
fn signature(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let mut values = headers.get_all(webhook::HEADER).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value.as_bytes()),
        (None, _) => Err(Refusal::Unverified("the signature is missing")),
        (Some(_), Some(_)) => Err(Refusal::Unverified("there is more than one signature")),
    }
}

/// Reads a body whole, but no more than `limit` bytes, and no more than there is room for.
async fn read(body: Body, limit: usize, room: &mut Room) -> Result<Bytes, Refusal> {
    const TOO_LONG: Refusal = Refusal::Unverified("the body is too long");
    if body.size_hint().lower() > limit as u64 {
        return Err(TOO_LONG);
    }
    let mut chunks = body.into_data_stream();
    let mut whole = Bytes::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::Incomplete)?;
        if whole.len() + chunk.len() > limit {
            return Err(TOO_LONG);
        }
        if !room.grow(chunk.len()) {
            return Err(Refusal::Shed);
        }
        if whole.is_empty() {
            whole = chunk; // Mostly it is all there is.
        } else {
            let mut longer = BytesMut::from(whole);
            longer.extend_from_slice(&chunk);
            whole = longer.freeze();
        }
    }
    Ok(whole)
}

impl Refusal {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Unverified(_) => "unverified",
            Self::NoSecret => "no_secret",
            Self::Incomplete => "incomplete",
            Self::Shed => "shed",
            Self::NotStored => "not_stored",
            Self::Broken => "broken",
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            // One text for all reasons: who guesses learns nothing.
            Refusal::Unverified(_) => {
                Self::new(Kind::BadSignature, "The signature is missing or wrong.")
            }
            Refusal::NoSecret | Refusal::Broken => Self::internal(refusal).logged(),
            Refusal::Incomplete | Refusal::Shed | Refusal::NotStored => {
                Self::unavailable(refusal).retry_after(RETRY_AFTER).logged()
            }
        }
    }
}
