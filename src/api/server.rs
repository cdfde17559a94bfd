//! The listening socket: HTTP/1.1 with limits on what a connection may hold, and a graceful end.
//!
//! axum's own server gives a connection all the time it wants for its headers. This one does not: a
//! connection must bring a request's headers within [`HEADER_TIMEOUT`], also the next one on a kept-alive
//! connection, and there are never more than [`MAX_CONNECTIONS`]: `crowd` says who gives way.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Extension, Router, body::Body, extract::ConnectInfo, middleware::AddExtension,
    response::Response,
};
use futures::future::BoxFuture;
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer as _, ServiceExt as _};

use self::crowd::{Crowd, Turns};

mod crowd;

/// From the connection, or the answer before, to the end of a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections held at once, or half of the files that we may open, if that is less.
const MAX_CONNECTIONS: usize = 2_000;
/// Bytes of request line and headers.
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// Headers of a request.
const MAX_HEADERS: usize = 100;
/// How long requests in flight may take once we are to stop; a wait for a job is not longer.
const GRACE: Duration = Duration::from_secs(30);

/// Serves until `shutdown`, then lets requests in flight end.
///
/// # Errors
/// Only when the listener itself is unusable; a failed connection is its own matter.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let allowance = Allowance {
        connections: connections(),
        header_timeout: HEADER_TIMEOUT,
    };
    serve_within(allowance, listener, router, shutdown).await
}

/// What is given to those who connect.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    connections: usize,
    header_timeout: Duration,
}

/// How many there may be. Each is an open file, and a shell's usual limit would not be enough for them.
fn connections() -> usize {
    let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return MAX_CONNECTIONS;
    };
    let is_raised = setrlimit(Resource::RLIMIT_NOFILE, most, most).is_ok();
    let files = usize::try_from(if is_raised { most } else { now }).unwrap_or(usize::MAX);
    MAX_CONNECTIONS.min(files / 2).max(1)
}

async fn serve_within(
    allowance: Allowance,
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let crowd = Crowd::new(allowance.connections);
    let graceful = GracefulShutdown::new();
    let tasks = TaskTracker::new();
    while let Some(accepted) = shutdown.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                rest_after(&error).await;
                continue;
            }
        };
        let Some(guest) = shutdown.run_until_cancelled(crowd.admit()).await else {
            break;
        };
        let answering = Answering {
            router: Extension(ConnectInfo(peer)).layer(router.clone()),
            turns: guest.turns(),
        };
        let connection = graceful.watch(connection(stream, answering, allowance.header_timeout));
        tasks.spawn(async move {
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                }
                () = guest.must_leave() => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests in flight did not end in time");
    }
    Ok(())
}

/// The router, told with each request who is at the other end of the connection.
type Told = AddExtension<Router, ConnectInfo<SocketAddr>>;

fn connection(
    stream: TcpStream,
    answering: Answering,
    header_timeout: Duration,
) -> http1::Connection<TokioIo<TcpStream>, Answering> {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), answering)
}

/// The routes, as one connection sees them.
#[derive(Debug)]
struct Answering {
    router: Told,
    turns: Turns,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Response, Self::Error>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let turns = self.turns.clone();
        let request = request.map(|body| Body::new(turns.body(body)));
        let answer = self.router.clone().oneshot(request);
        Box::pin(async move {
            let answer = answer.await;
            turns.hand_back();
            answer
        })
    }
}

/// A connection that broke before it was accepted is nothing; a lack of descriptors needs a pause, or
/// the loop would spin.
async fn rest_after(error: &io::Error) {
    let is_of_connection = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    );
    if !is_of_connection {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
mod tests;
