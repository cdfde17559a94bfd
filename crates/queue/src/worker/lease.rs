//! The worker's lease, and what happens to those that let theirs run out.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{PgConnection, PgExecutor};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Settings, claim::Claimed};
use crate::{
    client::Client,
    error::Error,
    ids::{Lane, WorkerId},
    job::chain,
    session::{Session, patiently},
};

mod rescue;
pub(crate) use rescue::rescue;

/// Between tries when the lease could not be renewed.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Who the worker is at the moment. After its lease was lost it is somebody new.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    state: watch::Receiver<Lease>,
    seen: WorkerId,
}

#[derive(Debug, Clone, Copy)]
struct Lease {
    worker: WorkerId,
    /// Not renewed in time: perhaps lost.
    has_expired: bool,
}

/// What became of the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It ran out; whether somebody took the lanes is not known.
    Expired,
    /// It was renewed after it had run out, and nobody had noticed.
    Renewed,
    /// Somebody took the lanes; the worker has a new identity.
    Lost,
}

impl Identity {
    pub(crate) fn current(&self) -> WorkerId {
        self.state.borrow().worker
    }

    /// Resolves when the lease ran out, was saved, or was lost. Never, when the keeper is gone.
    pub(crate) async fn changed(&mut self) -> Change {
        if self.state.changed().await.is_err() {
            return std::future::pending().await;
        }
        let lease = *self.state.borrow_and_update();
        if lease.worker != self.seen {
            self.seen = lease.worker;
            Change::Lost
        } else if lease.has_expired {
            Change::Expired
        } else {
            Change::Renewed
        }
    }
}

/// Renews the lease from a connection of its own, and rescues the lanes of dead workers.
pub(super) struct Keeper {
    client: Client,
    settings: Settings,
    state: watch::Sender<Lease>,
    session: Session,
    /// How many jobs run, for people to see.
    running: Arc<AtomicUsize>,
}

impl Keeper {
    /// Registers a new worker.
    pub(super) async fn register(
        client: &Client,
        settings: &Settings,
        running: Arc<AtomicUsize>,
    ) -> Result<(Self, Identity), Error> {
        let worker = register(client.pool(), settings).await?;
        let state = watch::Sender::new(Lease {
            worker,
            has_expired: false,
        });
        let identity = Identity {
            state: state.subscribe(),
            seen: worker,
        };
        let keeper = Self {
            client: client.clone(),
            settings: settings.clone(),
            state,
            session: Session::like(client.pool()),
            running,
        };
        Ok((keeper, identity))
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut renewed_at = Instant::now();
        let mut pause = self.settings.renew_interval;
        while stop.run_until_cancelled(sleep(pause)).await.is_some() {
            let began = Instant::now();
            pause = match timeout(self.settings.lease / 3, self.renew()).await {
                Ok(Ok(has_orphans)) => {
                    renewed_at = began;
                    if has_orphans {
                        self.rescue().await;
                    }
                    self.settings.renew_interval
                }
                failed => {
                    tracing::warn!(?failed, "cannot renew the worker's lease yet");
                    AFTER_ERROR
                }
            };
            if renewed_at.elapsed() >= self.settings.lease {
                self.state
                    .send_if_modified(|lease| !std::mem::replace(&mut lease.has_expired, true));
            }
        }
    }

    /// Renews the lease; answers whether other workers look dead, or left lanes behind.
    async fn renew(&mut self) -> Result<bool, Error> {
        let worker = self.state.borrow().worker;
        let pool = self.client.pool();
        let load = Load {
            running: self.running.load(Ordering::Relaxed),
            connections: pool.options().get_max_connections(),
            connections_in_use: pool
                .size()
                .saturating_sub(u32::try_from(pool.num_idle()).unwrap_or(0)),
        };
        let mut connection = self.session.take().await?;
        let has_orphans = renew(&mut connection, worker, self.settings.lease, load).await?;
        if let Some(has_orphans) = has_orphans {
            self.session.keep(connection);
            self.state
                .send_if_modified(|lease| std::mem::take(&mut lease.has_expired));
            return Ok(has_orphans);
        }
        metrics::counter!("syncline_leases_lost_total").increment(1);
        tracing::warn!(worker.id = %worker, "the lease was lost: others have the lanes; registering anew");
        let worker = register(&mut connection, &self.settings).await?;
        self.session.keep(connection);
        self.state.send_replace(Lease {
            worker,
            has_expired: false,
        });
        Ok(true)
    }

    async fn try_to_rescue(&mut self) -> Result<u64, Error> {
        let mut connection = self.session.take().await?;
        let exhausted = self.settings.rate.exhausted();
        let rescued = patiently("rescue lanes", rescue(&mut connection, exhausted)).await?;
        self.session.keep(connection);
        Ok(rescued)
    }

    async fn rescue(&mut self) {
        match self.try_to_rescue().await {
            Ok(0) => {}
            Ok(lanes) => {
                tracing::warn!(lanes, "took lanes from workers that are gone");
                metrics::counter!("syncline_lanes_rescued_total").increment(lanes);
                self.client.wake();
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "cannot look for dead workers yet");
            }
        }
    }
}

/// Adds a worker's row; each call is a worker of its own.
pub(crate) async fn register(
    database: impl PgExecutor<'_>,
    settings: &Settings,
) -> Result<WorkerId, Error> {
    let id = WorkerId(Uuid::now_v7());
    let slots: std::collections::BTreeMap<_, _> = settings
        .slots
        .iter()
        .map(|(queue, slots)| (queue.as_str(), *slots))
        .collect();
    sqlx::query!(
        r#"
        INSERT INTO syncline.workers (id, lease_until, host, pid, version, slots)
        VALUES ($1, now() + make_interval(secs => $2), $3, $4, $5, $6)
        "#,
        id.0,
        settings.lease.as_secs_f64(),
        host(),
        i32::try_from(std::process::id()).unwrap_or(0),
        settings.version,
        serde_json::json!(slots),
    )
    .execute(database)
    .await
    .map_err(Error::database("register a worker"))?;
    tracing::info!(worker.id = %id, "registered");
    Ok(id)
}

/// What a worker has in hand, for people to see.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Jobs that run.
    running: usize,
    /// Connections its pool may have.
    connections: u32,
    /// Those that somebody uses.
    connections_in_use: u32,
}

/// Renews a worker's lease; `None` when it was declared dead, otherwise whether others left lanes behind.
pub(crate) async fn renew(
    database: impl PgExecutor<'_>,
    worker: WorkerId,
    lease: Duration,
    load: Load,
) -> Result<Option<bool>, Error> {
    sqlx::query_scalar!(
        r#"
            UPDATE syncline.workers
            SET lease_until = now() + make_interval(secs => $2), running = $3,
                connections = $4, connections_in_use = $5
            WHERE id = $1 AND state IN ('running', 'draining')
            RETURNING (
                EXISTS (
                    SELECT
                    FROM syncline.workers
                    WHERE state IN ('running', 'draining') AND lease_until < now() AND id <> $1
                )
                OR EXISTS (
                    SELECT
                    FROM syncline.lanes l
                    JOIN syncline.workers w ON w.id = l.owner
                    WHERE w.state IN ('stopped', 'dead')
                )
            ) AS "has_orphans!"
            "#,
        worker.0,
        lease.as_secs_f64(),
        i32::try_from(load.running).unwrap_or(i32::MAX),
        i32::try_from(load.connections).unwrap_or(i32::MAX),
        i32::try_from(load.connections_in_use).unwrap_or(i32::MAX),
    )
    .fetch_optional(database)
    .await
    .map_err(Error::database("renew the lease"))
}

/// The machine's name, as far as it tells.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

/// Says that the worker takes no more jobs.
pub(super) async fn announce_drain(
    database: impl PgExecutor<'_>,
    worker: WorkerId,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE syncline.workers SET state = 'draining' WHERE id = $1 AND state = 'running'",
        worker.0
    )
    .execute(database)
    .await
    .map_err(Error::database("announce the drain"))?;
    Ok(())
}

/// Ends the worker's registration: it holds nothing any more.
pub(crate) async fn sign_off(database: impl PgExecutor<'_>, worker: WorkerId) -> Result<(), Error> {
    sqlx::query!(
        r#"
        UPDATE syncline.workers
        SET state = 'stopped', ended_at = now()
        WHERE id = $1 AND state IN ('running', 'draining')
        "#,
        worker.0
    )
    .execute(database)
    .await
    .map_err(Error::database("sign a worker off"))?;
    Ok(())
}

/// The lanes a worker has by the database's word. Jobs in them that are started, but not among
/// `running`, run nowhere: they are handed back, each with its attempt.
pub(super) async fn holdings(
    connection: &mut PgConnection,
    worker: WorkerId,
    running: &[Uuid],
) -> Result<Vec<Claimed>, Error> {
    sqlx::query_file!("src/worker/lease/hand_back.sql", worker.0, running)
        .execute(&mut *connection)
        .await
        .map_err(Error::database("hand back jobs"))?;
    let rows = sqlx::query!(
        r#"
        SELECT
            lane,
            epoch,
            greatest(coalesce(extract(epoch FROM limiter_tat - now()), 0), 0)::float8 AS "ahead!",
            crashes
        FROM syncline.lanes
        WHERE owner = $1
        "#,
        worker.0
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Error::database("read the lanes of a worker"))?;
    let lanes = rows.into_iter().map(|row| Claimed {
        lane: Lane::from_stored(row.lane),
        epoch: row.epoch,
        limiter_ahead: Duration::try_from_secs_f64(row.ahead).unwrap_or(Duration::from_mins(1)),
        crashes: row.crashes,
        due: Vec::new(),
    });
    Ok(lanes.collect())
}
