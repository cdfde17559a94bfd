//! Starting and stopping a sandbox.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::handle::Handle;
use crate::listener::{Peer, ResettableListener};
use crate::options::Options;
use crate::world::World;
use crate::{control, link_page, routes};

/// The simulated Merge. Start it, and point a client at [`Running::base_url`].
#[derive(Debug)]
pub struct Sandbox;

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the options.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The client that posts webhooks cannot be set up.
    #[error("cannot set up the client that posts webhooks")]
    Client(#[source] reqwest::Error),
}

/// A sandbox that is served. Dropping it stops it, without waiting.
#[derive(Debug)]
pub struct Running {
    handle: Handle,
    base_url: Url,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sandbox {
    /// Starts a sandbox within the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError::Listen`] when the address is taken or not ours.
    pub async fn start(options: Options) -> Result<Running, StartError> {
        let address = options.listen;
        let cannot_listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let base_url = local_url(address);

        let stop = CancellationToken::new();
        let world = Arc::new(
            World::new(options, base_url.clone(), stop.clone()).map_err(StartError::Client)?,
        );
        let handle = Handle(world.clone());

        let tasks = TaskTracker::new();
        let service = router(&world).into_make_service_with_connect_info::<Peer>();
        let serving = axum::serve(ResettableListener(listener), service)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the sandbox's server ended");
            }
        });
        let until = stop.clone();
        tasks.spawn(async move { world.drive(until).await });
        tasks.close();
        Ok(Running {
            handle,
            base_url,
            stop,
            tasks,
        })
    }
}

fn local_url(address: SocketAddr) -> Url {
    Url::parse(&format!("http://{address}")).expect("a socket address makes a URL")
}

fn router(world: &Arc<World>) -> Router {
    Router::new()
        .merge(routes::router(world))
        .with_state(world.clone())
        .merge(link_page::router(world))
        .merge(control::router(Handle(world.clone())))
}

impl Running {
    /// Where it is served, such as `http://127.0.0.1:40123/`. Merge's API is below `/api`.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// The address of Merge's API, `…/api`, as SDKs want it.
    pub fn api_url(&self) -> Url {
        let mut url = self.base_url.clone();
        url.set_path("/api");
        url
    }

    /// Its controls, to be shared with other tasks.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops: requests under way are answered, deliveries under way are given up.
    pub async fn stop(self) {
        self.stop.cancel();
        self.handle.0.webhooks.finish().await;
        self.tasks.wait().await;
    }
}

impl Deref for Running {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
