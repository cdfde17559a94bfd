//! A server on a free port whose answers the test decides, and which keeps what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use merge_client::{AccountToken, MergeClient, Settings};

pub(crate) const API_KEY: &str = "canary-api-key-0001";
pub(crate) const ACCOUNT_TOKEN: &str = "canary-account-token-0001";

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) struct Server {
    pub(crate) base: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Starts a server that gives `answer` of every request. It ends with the test's runtime.
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Asked) -> Response + Clone + Send + Sync + 'static,
    {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let app = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
                let request = Asked {
                    method,
                    uri,
                    headers,
                    body,
                };
                log.lock().unwrap().push(request.clone());
                answer(&request)
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, asked }
    }

    /// Starts a server that always answers with this status and JSON.
    pub(crate) async fn json(status: u16, body: &'static str) -> Self {
        Self::start(move |_| json(status, body)).await
    }

    pub(crate) fn client(&self) -> MergeClient {
        MergeClient::new(self.settings()).unwrap()
    }

    /// Settings with limits that tests can reach.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            request_timeout: Duration::from_secs(20),
            max_body_bytes: 1 << 20,
            ..Settings::new(self.base.parse().unwrap(), API_KEY.into())
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn token() -> AccountToken {
    AccountToken::new(ACCOUNT_TOKEN.to_owned())
}

pub(crate) fn json(status: u16, body: impl Into<Body>) -> Response {
    answer(status, &[("content-type", "application/json")], body)
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name: axum::http::HeaderName = name.parse().unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}
