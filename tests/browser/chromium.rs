//! Chromium as a process, and the wire to it: messages of its debugging protocol, each ended by a zero byte, over a
//! pipe. So there is no driver to match its version, no port to be free, and nobody else can listen.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::tab::Tab;

/// The names it has; that of Debian first.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// Gives the program the pipe as its descriptors 3 and 4, where it looks for it.
const WITH_PIPE: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >&2"#;

/// A browser of a test's own, with nothing remembered. Dropped, it is killed.
pub(crate) struct Chromium {
    wire: Arc<Wire>,
    _process: Child,
    _reading: JoinSet<()>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts it.
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let log = File::create(profile.path().join("log")).unwrap();
        let mut process = Command::new("sh")
            .args(["-c", WITH_PIPE, program()])
            .args(["--headless", "--remote-debugging-pipe", "--no-first-run"])
            .args([
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            // Its sandbox is not for root, and pages of our own need none.
            .args(["--no-sandbox", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let wire = Arc::new(Wire {
            stdin: tokio::sync::Mutex::new(process.stdin.take().unwrap()),
            last_id: AtomicU64::new(0),
            waiting: Mutex::default(),
            complaints: Mutex::default(),
        });
        let mut reading = JoinSet::new();
        reading.spawn(Arc::clone(&wire).read(process.stdout.take().unwrap()));
        let version = wire.ask(None, "Browser.getVersion", json!({})).await;
        if let Err(why) = version {
            let log = std::fs::read_to_string(profile.path().join("log")).unwrap_or_default();
            panic!("Chromium does not start: {why}\n{log}");
        }
        Self {
            wire,
            _process: process,
            _reading: reading,
            _profile: profile,
        }
    }

    /// A tab with cookies of its own, as in another browser.
    pub(crate) async fn tab(&self) -> Tab {
        Tab::open(Arc::clone(&self.wire)).await
    }
}

/// Where it is. Without it nothing here can be tested, so that is no reason to pass.
fn program() -> &'static str {
    let path = path();
    let is_there = |name: &&str| {
        std::env::split_paths(&path).any(|folder| Path::new(&folder).join(name).exists())
    };
    NAMES.into_iter().find(is_there).unwrap_or_else(|| {
        panic!("there is no Chromium to test the console with: run `bin/test`, which installs it, or install it yourself")
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "where programs are, no setting of the service"
)]
fn path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// What is said to the browser and what it says, for all tabs.
#[derive(Debug)]
pub(crate) struct Wire {
    stdin: tokio::sync::Mutex<ChildStdin>,
    last_id: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Value, String>>>>,
    /// What went wrong, by session.
    complaints: Mutex<HashMap<String, Vec<String>>>,
}

impl Wire {
    /// Asks for something, of a tab or of the browser itself.
    pub(crate) async fn ask(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, sender);
        self.say(id, session, method, params).await?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer.map_err(|why| format!("{method}: {why}")),
            Ok(Err(_)) => Err(format!("{method}: Chromium has ended")),
            Err(_) => Err(format!("{method}: Chromium does not answer")),
        }
    }

    /// What went wrong in a tab since this was asked last.
    pub(crate) fn take_complaints(&self, session: &str) -> Vec<String> {
        self.complaints
            .lock()
            .unwrap()
            .remove(session)
            .unwrap_or_default()
    }

    async fn say(
        &self,
        id: u64,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<(), String> {
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let written = self.stdin.lock().await.write_all(&bytes).await;
        written.map_err(|error| format!("Chromium does not listen: {error}"))
    }

    async fn read(self: Arc<Self>, stdout: ChildStdout) {
        let mut stdout = BufReader::new(stdout);
        let mut bytes = Vec::new();
        while stdout
            .read_until(0, &mut bytes)
            .await
            .is_ok_and(|read| read > 0)
        {
            bytes.pop();
            let message: Value = serde_json::from_slice(&bytes).expect("Chromium speaks JSON");
            bytes.clear();
            match message["id"].as_u64() {
                Some(id) => self.answered(id, &message),
                None => self.happened(&message).await,
            }
        }
        self.waiting.lock().unwrap().clear();
    }

    fn answered(&self, id: u64, message: &Value) {
        let Some(sender) = self.waiting.lock().unwrap().remove(&id) else {
            return;
        };
        let answer = match &message["error"]["message"] {
            Value::String(why) => Err(why.clone()),
            _ => Ok(message["result"].clone()),
        };
        // Who asked may have given up.
        let _ = sender.send(answer);
    }

    async fn happened(&self, message: &Value) {
        let (session, params) = (message["sessionId"].as_str(), &message["params"]);
        let complaint = match message["method"].as_str() {
            Some("Page.javascriptDialogOpening") => {
                // The page stands still until somebody answers.
                let answer = json!({ "accept": false });
                let _ = self
                    .say(0, session, "Page.handleJavaScriptDialog", answer)
                    .await;
                format!("a dialog says {}", params["message"])
            }
            Some("Runtime.exceptionThrown") => {
                let details = &params["exceptionDetails"];
                format!(
                    "a script failed: {} {}",
                    details["text"], details["exception"]["description"]
                )
            }
            Some("Runtime.consoleAPICalled")
                if ["error", "warning", "assert"]
                    .iter()
                    .any(|kind| params["type"] == **kind) =>
            {
                format!("the console says {}", params["args"])
            }
            Some("Log.entryAdded")
                if ["error", "warning"]
                    .iter()
                    .any(|level| params["entry"]["level"] == **level) =>
            {
                let entry = &params["entry"];
                format!("{}: {} {}", entry["source"], entry["text"], entry["url"])
            }
            Some("Inspector.targetCrashed") => "the tab crashed".to_owned(),
            _ => return,
        };
        let session = session.unwrap_or_default().to_owned();
        self.complaints
            .lock()
            .unwrap()
            .entry(session)
            .or_default()
            .push(complaint);
    }
}
