//! How a request becomes a job: once for each `Idempotency-Key`, in one transaction.
//!
//! ```text
//! Submission      key checked, body read and parsed, preferences noted
//!   └ open        the idempotency key looked up: asked before -> that job, nothing more
//!       └ Intake  an open transaction: the handler looks up what it needs, then
//!           └ enqueue   job and key row, one commit, then the workers are woken
//! ```
//!
//! Two requests with one key at the same time both get as far as the key's row; the second waits there
//! for the first to commit, finds the row, and rolls its own job back. The same key with another body
//! is refused with 422.
//!
//! **Link tokens are never replayed**: only the request that enqueued a job can open its token. So a
//! repeat of such a request (see [`Repeat::Afresh`]) answers 202 with the job while that job runs, and
//! once it has ended, enqueues another one for the same pending account, which then stands under the key.

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::{HeaderMap, Uri};
use queue::{JobId, NewJob};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, Postgres, Transaction};
use store::idempotency_keys::{self, Earlier, IdempotencyKey};
use uuid::Uuid;

use super::{
    auth::Principal,
    extract::{parse_json, read_json},
    prefer::Prefer,
    problem::{Fault, Kind, Problem},
};
use crate::app::App;
use crate::ops::Once;

/// Longest `Idempotency-Key` in characters.
const MAX_KEY_LENGTH: usize = 255;

/// A request that asks for a job.
#[derive(Debug)]
pub(super) struct Submission<T> {
    /// The parsed body.
    pub(super) body: T,
    /// Who asks.
    pub(super) principal: Principal,
    /// How long to wait for the job.
    pub(super) prefer: Prefer,
    claim: Option<Claim>,
}

/// An `Idempotency-Key`, where it counts, and what it was used for.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    owner: String,
    route: String,
    key: String,
    digest: [u8; 32],
}

/// A job stands for the request, newly made or found under its idempotency key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    /// The job.
    pub(super) job_id: JobId,
    /// Whether an earlier request enqueued it.
    pub(super) is_replay: bool,
}

/// What the same idempotency key means the second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The answer of the same job.
    Replays,
    /// Another job, once the first has ended: its answer was for one pair of eyes.
    Afresh,
}

/// What [`Submission::open`] found.
pub(super) enum Opened {
    /// The job was asked for before.
    Before(Accepted),
    /// Go on.
    Now(Box<Intake>),
}

/// An open transaction on its way to a job.
pub(super) struct Intake {
    app: App,
    principal: Principal,
    transaction: Transaction<'static, Postgres>,
    claim: Option<Claim>,
    /// The ended job that the new one is to replace under the key.
    replaces: Option<JobId>,
}

impl<T: DeserializeOwned> FromRequest<App> for Submission<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let Ok(principal) = Principal::from_request_parts(&mut parts, app).await;
        let Ok(prefer) = Prefer::from_request_parts(&mut parts, app).await;
        let key = Claim::key_of(&parts.headers)?;
        let uri = parts.uri.clone();
        let bytes = read_json(Request::from_parts(parts, body), app).await?;
        let claim = key.map(|key| Claim::new(&principal, &uri, key, &bytes));
        Ok(Self {
            body: parse_json(&bytes)?,
            principal,
            prefer,
            claim,
        })
    }
}

impl Claim {
    /// The header's value, of 1 to 255 visible ASCII characters.
    pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
        const NAME: &str = "Idempotency-Key";
        let mut values = headers.get_all(NAME).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let bytes = value.as_bytes();
        let is_valid = values.next().is_none()
            && (1..=MAX_KEY_LENGTH).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_graphic);
        match value.to_str() {
            Ok(key) if is_valid => Ok(Some(key.to_owned())),
            _ => Err(
                Problem::new(Kind::MalformedRequest, "A header holds what it may not.").fault(
                    Fault::of(
                        NAME,
                        format!("must be 1 to {MAX_KEY_LENGTH} visible ASCII characters, once"),
                    ),
                ),
            ),
        }
    }

    /// What the key stands for in this request.
    pub(super) fn new(principal: &Principal, uri: &Uri, key: String, body: &[u8]) -> Self {
        Self {
            owner: principal.id().to_owned(),
            // With the id in it, if there is one: the same key for another thing is another key.
            route: uri.path().to_owned(),
            key,
            digest: Sha256::digest(body).into(),
        }
    }

    /// The job that stands under the key already. Holds no connection when it returns: whoever holds one
    /// and waits for another can bring all to a stop.
    pub(super) async fn earlier(&self, app: &App) -> Result<Option<Accepted>, Problem> {
        let mut connection = app.pool.acquire().await?;
        let earlier = idempotency_keys::find(&mut connection, self.key()).await?;
        earlier.map(|earlier| self.replay(&earlier)).transpose()
    }

    fn key(&self) -> IdempotencyKey<'_> {
        IdempotencyKey {
            owner: &self.owner,
            route: &self.route,
            key: &self.key,
        }
    }

    /// The job that stands under the key, if it was asked for with the same body.
    fn replay(&self, earlier: &Earlier) -> Result<Accepted, Problem> {
        if earlier.request_digest != self.digest {
            return Err(Problem::new(
                Kind::KeyReused,
                "This Idempotency-Key was used with another body; take a new key for a new request.",
            ));
        }
        Ok(Accepted {
            job_id: JobId(earlier.job_id),
            is_replay: true,
        })
    }
}

impl From<Claim> for Once {
    fn from(claim: Claim) -> Self {
        let Claim {
            owner,
            route,
            key,
            digest,
        } = claim;
        Self {
            owner,
            route,
            key,
            digest,
        }
    }
}

impl<T> Submission<T> {
    /// Begins the transaction, unless the job was asked for before under the same key.
    ///
    /// # Errors
    /// 422 when the key was used with another body; 503 and 500 for the database.
    pub(super) async fn open(&self, app: &App, repeat: Repeat) -> Result<Opened, Problem> {
        let mut replaces = None;
        if let Some(accepted) = self.earlier(app).await? {
            if repeat == Repeat::Replays || !has_ended(app, accepted.job_id).await? {
                return Ok(Opened::Before(accepted));
            }
            replaces = Some(accepted.job_id);
        }
        let transaction = self.principal.begin(app).await?;
        let claim = self.claim.clone();
        Ok(Opened::Now(Box::new(Intake {
            app: app.clone(),
            principal: self.principal.clone(),
            transaction,
            claim,
            replaces,
        })))
    }

    /// The job that stands under the key already.
    async fn earlier(&self, app: &App) -> Result<Option<Accepted>, Problem> {
        match &self.claim {
            Some(claim) => claim.earlier(app).await,
            None => Ok(None),
        }
    }
}

/// Has the job ended? One that is kept no longer has.
async fn has_ended(app: &App, job_id: JobId) -> Result<bool, Problem> {
    Ok(app
        .queue
        .get(job_id)
        .await?
        .is_none_or(|job| job.state.has_ended()))
}

impl Intake {
    /// The transaction, for what the handler must look up or write; in the name of the key.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    /// Enqueues the job, commits, wakes the workers. Dropped before that, nothing has happened.
    pub(super) async fn enqueue(mut self, job: &NewJob) -> Result<Accepted, Problem> {
        self.principal.leave(&mut self.transaction).await?;
        let job_id = queue::enqueue(&mut self.transaction, job).await?.id;
        if let Some(claim) = self.claim.take()
            && let Some(earlier) = self.record(&claim, job_id).await?
        {
            self.transaction.rollback().await?;
            return claim.replay(&earlier);
        }
        self.transaction.commit().await?;
        self.app.queue.wake();
        Ok(Accepted {
            job_id,
            is_replay: false,
        })
    }

    /// Commits what the handler wrote, without a job; under the key stands `id`, of what came of it. Gives the id that
    /// stands there: of what another request wrote first, and then nothing was written now.
    pub(super) async fn commit(mut self, id: Uuid) -> Result<Uuid, Problem> {
        self.principal.leave(&mut self.transaction).await?;
        if let Some(claim) = self.claim.take()
            && let Some(earlier) = self.record(&claim, JobId(id)).await?
        {
            self.transaction.rollback().await?;
            return Ok(claim.replay(&earlier)?.job_id.0);
        }
        self.transaction.commit().await?;
        Ok(id)
    }

    /// Writes the key's row; `Some` is what another request wrote first.
    async fn record(&mut self, claim: &Claim, job_id: JobId) -> Result<Option<Earlier>, Problem> {
        let (connection, key) = (&mut *self.transaction, claim.key());
        let Some(old) = self.replaces else {
            let digest = &claim.digest;
            return Ok(idempotency_keys::insert_or_get(connection, key, digest, job_id.0).await?);
        };
        if idempotency_keys::replace(connection, key, old.0, job_id.0).await? {
            return Ok(None);
        }
        let earlier = idempotency_keys::find(connection, key).await?;
        earlier
            .map(Some)
            .ok_or_else(|| Problem::unavailable("an idempotency key vanished"))
    }
}
