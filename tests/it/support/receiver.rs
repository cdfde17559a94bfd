//! An endpoint of the product: keeps what it is sent, and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Listens until it is dropped.
pub(crate) struct Receiver {
    url: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    received: Mutex<Vec<Received>>,
    answers: Mutex<VecDeque<Planned>>,
    /// How the rest are answered.
    usual: Mutex<Planned>,
    /// A permit for each request that came.
    arrived: Semaphore,
}

#[derive(Debug, Clone, Copy)]
enum Planned {
    Status(u16),
    RetryAfter(u16, u64),
    Never,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    /// The `webhook-id`.
    pub(crate) fn id(&self) -> String {
        self.headers["webhook-id"].to_str().unwrap().to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether somebody who has this secret believes it.
    pub(crate) fn verifies_with(&self, secret: &str) -> bool {
        let webhook = Webhook::new(secret).unwrap();
        webhook.verify(&self.body, &self.headers).is_ok()
    }
}

impl Receiver {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own server, aborted with it"
    )]
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            answers: Mutex::default(),
            usual: Mutex::new(Planned::Status(204)),
            arrived: Semaphore::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            shared,
            server,
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How everything is answered from now on.
    pub(crate) fn answer(&self, status: u16) {
        *self.shared.usual.lock().unwrap() = Planned::Status(status);
    }

    /// How the next is answered.
    pub(crate) fn answer_next(&self, status: u16) {
        self.plan(Planned::Status(status));
    }

    /// The next is asked to wait so many seconds.
    pub(crate) fn answer_next_with_wait(&self, status: u16, seconds: u64) {
        self.plan(Planned::RetryAfter(status, seconds));
    }

    /// The next is not answered at all.
    pub(crate) fn hang_next(&self) {
        self.plan(Planned::Never);
    }

    fn plan(&self, planned: Planned) {
        self.shared.answers.lock().unwrap().push_back(planned);
    }

    /// What came, in its order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// The ids of what came, in its order.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.received().iter().map(Received::id).collect()
    }

    /// Waits for one more request than it was waited for before.
    pub(crate) async fn arrived(&self) {
        self.shared.arrived.acquire().await.unwrap().forget();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    shared
        .received
        .lock()
        .unwrap()
        .push(Received { headers, body });
    shared.arrived.add_permits(1);
    let planned = shared.answers.lock().unwrap().pop_front();
    match planned.unwrap_or_else(|| *shared.usual.lock().unwrap()) {
        Planned::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Planned::RetryAfter(status, seconds) => {
            let wait = [(RETRY_AFTER, seconds.to_string())];
            (StatusCode::from_u16(status).unwrap(), wait).into_response()
        }
        Planned::Never => std::future::pending().await,
    }
}
