//! Receivers in a process of their own, all behind the same listener: this program again, with a hidden subcommand.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use merge_client::webhook::{HEADER, verify};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use syncline::{api, worker};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::child::{Child, Parent};
use crate::server::Database;
use crate::{service, sql};

mod group;

use self::group::Group;

/// What the webhooks are signed with.
pub(crate) const SECRET: &str = "signature-key-of-the-benchmark";
/// Connections of the one that commits each webhook by itself: more gain nothing.
const CONNECTIONS: u32 = 32;

/// Who receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Contender {
    /// (a): verifies, and forgets.
    Bare,
    /// (b): a commit for each.
    CommitEach,
    /// (b'): shares commits, of a row that holds nothing.
    SharedCommits,
    /// (c): ours; nobody drains.
    Ours,
    /// (d): ours, with a worker in the same process.
    OursDraining,
}

impl Contender {
    pub(crate) const ALL: [Self; 5] = [
        Self::Bare,
        Self::CommitEach,
        Self::SharedCommits,
        Self::Ours,
        Self::OursDraining,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "(a) verifies only",
            Self::CommitEach => "(b) a commit each",
            Self::SharedCommits => "(b') shared commits, narrow row",
            Self::Ours => "(c) ours, nobody drains",
            Self::OursDraining => "(d) ours, a worker drains",
        }
    }

    /// Transactions that put webhooks into the database, for each of them; as long as nobody touched them since.
    pub(crate) async fn commits(self, database: &Database) -> Result<f64> {
        let table = match self {
            Self::Bare | Self::OursDraining => return Ok(0.0),
            Self::CommitEach => "whole",
            Self::SharedCommits => "narrow",
            Self::Ours => "syncline.webhook_deliveries",
        };
        let pool = database.pool(1).await?;
        let per_million = format!(
            "SELECT 1000000 * count(DISTINCT xmin::text) / greatest(count(*), 1) FROM {table}"
        );
        let commits = sql::number(&pool, &per_million).await?;
        pool.close().await;
        Ok(f64::from(u32::try_from(commits)?) / 1_000_000.0)
    }
}

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The database, with its password; that is why it is not on the command line.
    url: String,
    contender: Contender,
}

impl Order {
    pub(crate) fn of(contender: Contender, database: &Database) -> Self {
        Self {
            url: database.url(),
            contender,
        }
    }
}

/// A receiver, seen from its parent. Dropped, it is killed.
pub(crate) struct Receiver {
    child: Child,
    /// Where it listens, on this machine.
    pub(crate) port: u16,
}

impl Receiver {
    /// Starts the process and waits until it listens.
    pub(crate) async fn spawn(order: &Order) -> Result<Self> {
        let mut child = Child::spawn("receiver", order).await?;
        let port = child.answer().await?.parse()?;
        Ok(Self { child, port })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.pid()
    }

    /// Lets it end.
    pub(crate) async fn stop(self) -> Result<()> {
        self.child.stop().await
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut parent = Parent::listen();
    let order: Order = parent.order().await?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let shutdown = CancellationToken::new();
    let stopping = shutdown.clone();
    let until_stdin_ends = async {
        parent.answer(&port.to_string())?;
        while parent.next().await.is_some() {}
        stopping.cancel();
        anyhow::Ok(())
    };
    let receiving = async {
        match order.contender {
            Contender::Ours | Contender::OursDraining => ours(&order, listener, shutdown).await,
            Contender::Bare | Contender::CommitEach | Contender::SharedCommits => {
                let router = peer(&order).await?;
                Ok(api::serve(listener, router, shutdown).await?)
            }
        }
    };
    tokio::try_join!(until_stdin_ends, receiving)?;
    Ok(())
}

async fn ours(order: &Order, listener: TcpListener, shutdown: CancellationToken) -> Result<()> {
    let mut app = service::app(
        &order.url,
        &[
            ("MERGE_WEBHOOK_SECRET", SECRET),
            // The worker drains and does nothing else.
            ("SYNCLINE__QUEUE__SLOTS__SYNC", "0"),
            ("SYNCLINE__QUEUE__SLOTS__INTERACTIVE", "0"),
            ("SYNCLINE__QUEUE__SLOTS__MAINTENANCE", "0"),
        ],
    )
    .await?;
    app.shutdown = shutdown;
    let keeping = {
        let (pool, queue, inbox) = (app.pool.clone(), app.queue.clone(), app.inbox.clone());
        app.requests
            .spawn(async move { inbox.run(pool, queue).await })
    };
    let working = async {
        if order.contender == Contender::OursDraining {
            worker::run(app.clone(), app.shutdown.clone()).await?;
        }
        anyhow::Ok(())
    };
    let serving = async {
        let router = api::router(app.clone());
        api::serve(listener, router, app.shutdown.clone()).await?;
        Ok(())
    };
    tokio::try_join!(working, serving)?;
    keeping.abort();
    Ok(())
}

/// What the bare ones share.
#[derive(Clone)]
struct Peer {
    secrets: Arc<[SecretString]>,
    keeping: Keeping,
}

#[derive(Clone)]
enum Keeping {
    Nothing,
    Each(PgPool),
    Shared(Group),
}

async fn peer(order: &Order) -> Result<Router> {
    let pool = |connections| {
        PgPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .connect(&order.url)
    };
    let keeping = match order.contender {
        Contender::CommitEach => Keeping::Each(pool(CONNECTIONS).await?),
        Contender::SharedCommits => Keeping::Shared(Group::start(pool(1).await?)),
        Contender::Bare | Contender::Ours | Contender::OursDraining => Keeping::Nothing,
    };
    let secrets: Arc<[SecretString]> = [SecretString::from(SECRET)].into();
    Ok(Router::new()
        .route("/api/webhooks/merge", post(receive))
        .with_state(Peer { secrets, keeping }))
}

async fn receive(
    State(peer): State<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, StatusCode> {
    let signature = headers.get(HEADER).map(axum::http::HeaderValue::as_bytes);
    verify(&peer.secrets, signature, &body).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let kept = match &peer.keeping {
        Keeping::Nothing => Ok(()),
        Keeping::Each(pool) => sql::insert_whole(pool, Uuid::now_v7(), &body).await,
        Keeping::Shared(group) => group.keep(Uuid::now_v7()).await,
    };
    kept.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(r#"{"received":true}"#)
}
