//! The receiver of webhooks: verify, store, answer. Everything else is a job's work.
//!
//! The sender gives us ten seconds, tries three times, and drops for good what we answer with 4xx.
//! So a delivery is answered 200 exactly when it is on disk, and 401 only when nobody with a key sent it:
//!
//! | case | answer |
//! |---|---|
//! | stored, whatever it says (also unknown event or account, duplicate, ping, broken JSON) | 200 |
//! | signature missing, given twice, or wrong; body too long to be verified | 401 |
//! | no secret configured | 500 |
//! | cannot be stored, or the body did not arrive whole | 503, to be sent again |
//!
//! The body is verified byte for byte, and sealed before it touches the disk, because it may hold an account
//! token. Nothing of it is parsed here: a job does that, in its own time.

use std::time::Duration;

use axum::extract::{Request, State};
use bytes::Bytes;
use http::HeaderMap;
use jobs::process_deliveries::ProcessDeliveries;
use merge_client::webhook;
use queue::NewJob;
use serde::Serialize;
use store::webhook_deliveries::{self, NewDelivery};
use tokio::time::Instant;

use super::{
    Limits,
    extract::{BodyError, Json, read_body},
    problem::{Kind, Problem},
};
use crate::app::App;

/// Longest time to store a delivery; the sender waits for ten seconds.
const STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole answer.
#[derive(Debug, Serialize)]
pub(super) struct Receipt {
    received: bool,
}

/// Takes one delivery.
pub(super) async fn receive(
    State(app): State<App>,
    request: Request,
) -> Result<Json<Receipt>, Problem> {
    let started = Instant::now();
    let outcome = take(&app, request).await;
    let verdict = match &outcome {
        Ok(()) => "stored",
        Err(refusal) => refusal.verdict(),
    };
    metrics::counter!("syncline_webhook_received_total", "verdict" => verdict).increment(1);
    metrics::histogram!("syncline_webhook_ack_duration_seconds", "verdict" => verdict)
        .record(started.elapsed());
    outcome
        .map(|()| Json(Receipt { received: true }))
        .map_err(Problem::from)
}

/// Why a delivery was not taken.
enum Refusal {
    /// Nobody with a key sent it, as far as we can tell.
    Unverified(&'static str),
    /// There is no secret to verify it with.
    NoSecret,
    /// It may be taken when it is sent again.
    NotStored(Problem),
}

async fn take(app: &App, request: Request) -> Result<(), Refusal> {
    let secrets = &app.config.merge.webhook_secrets;
    if secrets.is_empty() {
        return Err(Refusal::NoSecret);
    }
    let (parts, body) = request.into_parts();
    let signature = signature(&parts.headers)?;
    let limits = Limits::of(app);
    let body = match read_body(body, limits.webhook_body_bytes, &limits).await {
        Ok(body) => body,
        Err(BodyError::TooLarge) => return Err(Refusal::Unverified("the body is too long")),
        Err(BodyError::TooSlow | BodyError::Broken) => {
            return Err(Refusal::NotStored(Problem::unavailable(
                "the body did not arrive whole",
            )));
        }
    };
    let key_index = webhook::verify(secrets, Some(signature), &body)
        .map_err(|_| Refusal::Unverified("the signature is wrong"))?;
    // In a task of its own, which goes on when we cease to wait: cut off half way, a transaction may stay open
    // in the pool. Stored after a 503 it is sent again, and then it is a duplicate.
    let stored = app.requests.spawn(store(app.clone(), key_index, body));
    match tokio::time::timeout(STORE_TIMEOUT, stored).await {
        Ok(Ok(stored)) => stored.map_err(Refusal::NotStored),
        Ok(Err(panic)) => Err(Refusal::NotStored(Problem::unavailable(panic))),
        Err(late) => Err(Refusal::NotStored(Problem::unavailable(late))),
    }
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

/// The delivery and the job that works it off, in one transaction.
async fn store(app: App, key_index: usize, body: Bytes) -> Result<(), Problem> {
    let delivery = NewDelivery::seal(&app.keyring, &body, key_index)?;
    let shard = delivery.shard();
    let mut transaction = app.pool.begin().await?;
    if webhook_deliveries::insert(&mut transaction, &delivery).await? {
        queue::enqueue(
            &mut transaction,
            &NewJob::new(&ProcessDeliveries { shard })?,
        )
        .await?;
    }
    transaction.commit().await?;
    app.queue.wake();
    Ok(())
}

impl Refusal {
    fn verdict(&self) -> &'static str {
        match self {
            Self::Unverified(_) => "unverified",
            Self::NoSecret => "no_secret",
            Self::NotStored(_) => "not_stored",
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unverified(reason) => {
                tracing::warn!(reason, "webhook refused");
                // One text for all reasons: who guesses learns nothing.
                Self::new(Kind::BadSignature, "The signature is missing or wrong.")
            }
            Refusal::NoSecret => {
                Self::internal("a webhook came, but no webhook secret is configured")
            }
            // Whatever it was, sending it again is the only cure.
            Refusal::NotStored(problem) => problem.into_unavailable(),
        }
    }
}
