//! What people do to the running service, and who may: the one layer that the console and the API go through, and later
//! the command line.
//!
//! Each change is a [`Deed`]: it needs a role, it is one transaction, and an entry in the audit log is written with it or
//! not at all. Whatever shows a button or takes a form asks here; nobody else decides.

pub mod access;
pub mod accounts;
pub mod bulk;
mod deed;
pub mod groups;
pub mod health;
pub mod jobs;
pub mod keys;
pub mod queues;
pub mod redact;
pub mod schedules;
pub mod search;
pub mod standing;
pub mod users;
pub mod webhooks;
pub mod words;

use phrases::{Phrase, say};
use queue::JobId;
use serde_json::Value;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use store::audit::{self, NewEntry};
use store::idempotency_keys::{self, IdempotencyKey};
pub use store::users::Role;
use uuid::Uuid;

pub use self::deed::Deed;

/// Who does something, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// For people: a user, a key, the command line.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Actor {
    /// May they do this?
    pub fn may(&self, deed: Deed) -> bool {
        self.role >= deed.needs()
    }
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The role does not allow it.
    #[error(
        "`{deed}` needs the role {}; you are {} with the role {}",
        deed.needs().as_str(), actor.name, actor.role.as_str()
    )]
    Forbidden {
        /// What was asked for.
        deed: Deed,
        /// Who asked.
        actor: Actor,
    },
    /// It cannot be done as things stand.
    #[error("{0}")]
    Refused(Phrase),
    /// There is no such thing.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// The queue refused, or failed.
    #[error(transparent)]
    Queue(#[from] queue::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The database failed.
    #[error("cannot reach the database")]
    Database(#[from] sqlx::Error),
}

/// The service, in the hands of somebody.
#[derive(Debug, Clone)]
pub struct Ops {
    pool: PgPool,
    queue: queue::Client,
    actor: Actor,
    once: Option<Once>,
}

/// Under what a deed is done once, however often it is asked for.
#[derive(Debug, Clone)]
pub struct Once {
    /// Whose key it is.
    pub owner: String,
    /// What is asked for with it.
    pub route: String,
    /// What the caller chose.
    pub key: String,
    /// Of the request.
    pub digest: [u8; 32],
}

impl Once {
    fn key(&self) -> IdempotencyKey<'_> {
        IdempotencyKey {
            owner: &self.owner,
            route: &self.route,
            key: &self.key,
        }
    }
}

impl Ops {
    /// Puts the service into somebody's hands.
    pub fn new(pool: PgPool, queue: queue::Client, actor: Actor) -> Self {
        Self {
            pool,
            queue,
            actor,
            once: None,
        }
    }

    /// Does the next deed only if nothing was done under this key.
    #[must_use]
    pub fn once(self, once: Once) -> Self {
        let once = Some(once);
        Self { once, ..self }
    }

    /// Begins a deed, if the actor may do it.
    async fn begin(&self, deed: Deed) -> Result<Change, Error> {
        self.demand(deed)?;
        Ok(Change {
            tx: self.pool.begin().await?,
            ops: self.clone(),
            deed,
            made: None,
        })
    }

    /// May the actor do this? Each deed asks by itself; whoever wants to refuse earlier may ask, too.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn demand(&self, deed: Deed) -> Result<(), Error> {
        if self.actor.may(deed) {
            return Ok(());
        }
        Err(Error::Forbidden {
            deed,
            actor: self.actor.clone(),
        })
    }

    /// Who asks, and why, in the queue's form. Without a reason it is the deed's name.
    fn request(&self, deed: Deed, reason: Option<&str>) -> queue::admin::Request {
        queue::admin::Request {
            by: self.actor.name.clone(),
            reason: reason.unwrap_or(deed.as_str()).to_owned(),
        }
    }
}

/// A deed under way. Dropped before [`Change::done`], nothing has happened.
struct Change {
    tx: Transaction<'static, Postgres>,
    ops: Ops,
    deed: Deed,
    made: Option<JobId>,
}

impl Change {
    fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// This job was made for it.
    fn makes(&mut self, job: JobId) {
        self.made = Some(job);
    }

    /// Notes it in the audit log, commits, and wakes the workers.
    async fn done(
        mut self,
        target: &str,
        reason: Option<&str>,
        detail: Value,
    ) -> Result<(), Error> {
        if let Some(once) = &self.ops.once {
            let (key, made) = (once.key(), self.made.map_or(Uuid::nil(), |job| job.0));
            let before =
                idempotency_keys::insert_or_get(&mut self.tx, key, &once.digest, made).await?;
            if before.is_some() {
                return Err(Error::Refused(say!(
                    "another request with this Idempotency-Key is doing it: ask again"
                )));
            }
        }
        let entry = NewEntry {
            actor: &self.ops.actor.name,
            role: self.ops.actor.role,
            action: self.deed.as_str(),
            target,
            reason,
            detail,
        };
        audit::append(&mut self.tx, entry).await?;
        self.tx.commit().await?;
        self.ops.queue.wake();
        Ok(())
    }
}
