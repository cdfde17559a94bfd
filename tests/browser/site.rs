//! The service as a process, on a test's database; perhaps behind a proxy that serves it below a path.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, uri::PathAndQuery};
use reqwest::Client;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::support::app::usual;
use crate::support::{NewKey, TestApp};
use crate::until;

/// Where the proxy serves it.
const BELOW: &str = "/tools/ops";

/// The running service, and what was put into its database.
pub(crate) struct Site {
    pub(crate) app: TestApp,
    /// Where browsers reach it, without the slash.
    base: String,
    proxy: JoinSet<()>,
    folder: TempDir,
    _child: Child,
}

impl Drop for Site {
    /// A test that fails wants to know what the service said.
    #[expect(clippy::print_stderr, reason = "shown with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let end = lines.len().saturating_sub(40);
            eprintln!("the end of the service's log:\n{}", lines[end..].join("\n"));
        }
    }
}

impl Site {
    /// Starts these roles, and waits until they are ready.
    pub(crate) async fn start(app: TestApp, roles: &str) -> Self {
        // reqwest wants a TLS provider even where there is no TLS; whoever installs one first wins.
        let _is_first = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .args(["serve", "--role", roles, "--listen", &address])
            .current_dir(folder.path())
            .env_clear()
            .envs(usual(&app.database_url(), app.merge().base_url().as_str()))
            .env("SYNCLINE__TELEMETRY__FILTER", "info,sqlx=warn")
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let site = Self {
            app,
            base: format!("http://{address}"),
            proxy: JoinSet::new(),
            folder,
            _child: child,
        };
        let (http, ready) = (client(), format!("{}/health/ready", site.base));
        until("the service is ready", async || {
            let answer = http.get(&ready).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        site
    }

    /// From now on it is reached through a proxy that takes a path away, as in many companies.
    pub(crate) async fn below_a_path(&mut self) {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let state = (client(), self.base.clone());
        let proxy = axum::Router::new().fallback(pass_on).with_state(state);
        self.proxy
            .spawn(async move { axum::serve(listener, proxy).await.unwrap() });
        self.base = format!("http://{address}{BELOW}");
    }

    /// The address of a page.
    pub(crate) fn url(&self, page: &str) -> String {
        format!("{}/console/{page}", self.base)
    }

    /// An address of this host, as the tab knows it.
    pub(crate) fn absolute(&self, address: &str) -> String {
        let base: url::Url = self.base.parse().unwrap();
        base.join(address).unwrap().to_string()
    }

    /// A new API key.
    pub(crate) async fn key(&self, scopes: &[&str]) -> String {
        let new = NewKey {
            scopes,
            ..NewKey::default()
        };
        self.app.key(new).await
    }
}

fn client() -> Client {
    let client = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    client.build().unwrap()
}

/// As proxies do: the host that the browser asked for stays, the answer comes as it is made.
async fn pass_on(State((http, upstream)): State<(Client, String)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let Some(path) = whole.strip_prefix(BELOW) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let asked = http
        .request(parts.method, format!("{upstream}{path}"))
        .headers(parts.headers)
        .body(body);
    let Ok(answer) = asked.send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let mut passed = Response::new(Body::empty());
    *passed.status_mut() = answer.status();
    *passed.headers_mut() = answer.headers().clone();
    *passed.body_mut() = Body::from_stream(answer.bytes_stream());
    passed
}
