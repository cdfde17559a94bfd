//! `syncline serve` as a process: started, killed, started again, and in the end asked to stop.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Client;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use url::Url;

use crate::until;

/// The process, and everything it is started with.
pub(crate) struct Service {
    pub(crate) merge_api_key: String,
    pub(crate) webhook_secret: String,
    api_key: String,
    encryption_key: String,
    database_url: String,
    port: u16,
    merge_url: String,
    folder: TempDir,
    http: Client,
    child: Option<Child>,
}

impl Drop for Service {
    /// A test that fails wants to know what the service said.
    #[expect(clippy::print_stderr, reason = "shown with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the service's log:\n{}", self.log());
        }
    }
}

/// What a caller of its API needs.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) http: Client,
    pub(crate) base: Url,
    pub(crate) api_key: String,
}

impl Service {
    pub(crate) fn new(database_url: &str) -> Self {
        // The same port at every start: the sandbox's webhooks have one address.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        // reqwest wants a TLS provider even where there is no TLS; whoever installs one first wins.
        let _is_first = rustls::crypto::ring::default_provider().install_default();
        let random = || STANDARD.encode(rand::random::<[u8; 32]>());
        Self {
            merge_api_key: random(),
            webhook_secret: random(),
            api_key: random(),
            encryption_key: random(),
            database_url: database_url.to_owned(),
            port,
            merge_url: String::new(),
            folder: tempfile::tempdir().unwrap(),
            http: Client::builder()
                .timeout(Duration::from_secs(40))
                .build()
                .unwrap(),
            child: None,
        }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller {
            http: self.http.clone(),
            base: self.url("/"),
            api_key: self.api_key.clone(),
        }
    }

    /// Starts the process, and waits until it is ready.
    pub(crate) async fn start(&mut self, merge_url: &str) {
        merge_url.clone_into(&mut self.merge_url);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .arg("serve")
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", &self.database_url)
            .env("MERGE_API_BASE", &self.merge_url)
            .env("MERGE_API_KEY", &self.merge_api_key)
            .env("MERGE_WEBHOOK_SECRET", &self.webhook_secret)
            .env("SYNCLINE_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("SYNCLINE_API_KEY", &self.api_key)
            .env("SYNCLINE_ENCRYPTION_KEY", &self.encryption_key)
            // Nobody limits us here: the test is about dying, not about waiting.
            .env("SYNCLINE__MERGE__REQUESTS_PER_MINUTE", "100000")
            // A killed process takes what it held of the budget with it for 14 s, longer than it lives here.
            .env("SYNCLINE__MERGE__ERRORS", "1000")
            // The dead are noticed sooner than usual, or most of the test would be waiting for that.
            .env("SYNCLINE__QUEUE__LEASE", "6s")
            .env("SYNCLINE__QUEUE__RENEW_INTERVAL", "2s")
            // What a lost webhook does not tell, a poll must; not after ten minutes.
            .env("SYNCLINE__SYNC__POLL_INITIAL", "2s")
            .env("SYNCLINE__SYNC__POLL_FAST", "2s")
            .env("SYNCLINE__SYNC__POLL_SLOW", "2s")
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.until_ready().await;
    }

    /// `kill -9`, and a new start.
    pub(crate) async fn kill_and_start_again(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().await.unwrap();
        let merge_url = self.merge_url.clone();
        self.start(&merge_url).await;
    }

    /// Asks the process to stop; its exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let pid = child.id().unwrap().to_string();
        let asked = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap();
        assert!(asked.success());
        let ended = timeout(Duration::from_mins(1), child.wait()).await;
        ended
            .expect("the service stops when asked to")
            .unwrap()
            .code()
    }

    /// The end of what all its processes said.
    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }

    fn log_file(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    async fn until_ready(&mut self) {
        let ready = self.url("/health/ready");
        let http = self.http.clone();
        let ask = || {
            let request = http.get(ready.clone()).send();
            async {
                request
                    .await
                    .is_ok_and(|answer| answer.status().is_success())
            }
        };
        until("the service is ready", ask).await;
        let ended = self.child.as_mut().unwrap().try_wait().unwrap();
        assert!(
            ended.is_none(),
            "the service ended: {ended:?}\n{}",
            self.log()
        );
    }
}
