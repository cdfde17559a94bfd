//! Receivers in a process of their own, all behind the same listener: this program again, with a hidden subcommand.

use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
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
use syncline::app::App;
use syncline::config::{Config, Environment, Need, Sources};
use syncline::{api, telemetry, worker};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::server::Database;
use crate::{processes, sql};

mod group;

use self::group::Group;

/// What the webhooks are signed with.
pub(crate) const SECRET: &str = "signature-key-of-the-benchmark";
/// Connections of the one that commits each webhook by itself: more gain nothing.
const CONNECTIONS: u32 = 32;
/// How long a receiver may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

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
    stdin: ChildStdin,
    /// Where it listens, on this machine.
    pub(crate) port: u16,
}

impl Receiver {
    /// Starts the process and waits until it listens.
    pub(crate) async fn spawn(order: &Order) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut child = Command::new(program)
            .arg("receiver")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a receiver")?;
        let mut stdin = child.stdin.take().context("it has no stdin")?;
        let mut answers = BufReader::new(child.stdout.take().context("it has no stdout")?).lines();
        let order = format!("{}\n", serde_json::to_string(order)?);
        stdin.write_all(order.as_bytes()).await?;
        let port = timeout(PATIENCE, answers.next_line())
            .await
            .context("a receiver does not start")??;
        Ok(Self {
            port: port.context("a receiver ended")?.parse()?,
            child,
            stdin,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.id().context("the receiver has ended")
    }

    /// Lets it end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.stdin);
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .context("a receiver does not end")??;
        ensure!(status.success(), "a receiver ended with {status}");
        Ok(())
    }
}

/// The child's side.
pub(crate) async fn serve() -> Result<()> {
    let mut lines = processes::stdin_lines();
    let order = lines.recv().await.context("there is no order")?;
    let order: Order = serde_json::from_str(&order).context("cannot understand the order")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let shutdown = CancellationToken::new();
    let stopping = shutdown.clone();
    let until_stdin_ends = async {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{port}")?;
        out.flush()?;
        drop(out);
        while lines.recv().await.is_some() {}
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
    let variables = [
        ("DATABASE_URL", order.url.as_str()),
        ("MERGE_API_KEY", "nobody-is-asked"),
        ("MERGE_WEBHOOK_SECRET", SECRET),
        (
            "SYNCLINE_ENCRYPTION_KEY",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ),
        // The worker drains and does nothing else.
        ("SYNCLINE__QUEUE__SLOTS__SYNC", "0"),
        ("SYNCLINE__QUEUE__SLOTS__INTERACTIVE", "0"),
        ("SYNCLINE__QUEUE__SLOTS__MAINTENANCE", "0"),
    ];
    let sources = Sources {
        environment: Environment::of(variables),
        ..Sources::default()
    };
    let config = Config::load(&sources, Need::Service)?;
    let pool = syncline::database::connect(&config.database).await?;
    let mut app = App::new(config, pool, telemetry::recorder())?;
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
