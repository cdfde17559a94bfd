//! The built binary, with an environment that holds nothing of the test's own.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::support::TestApp;

/// Settings that the service needs, with an address where no Postgres listens.
pub(crate) const NEEDED: [(&str, &str); 3] = [
    (
        "DATABASE_URL",
        "postgres://app:canary-password@127.0.0.1:1/app",
    ),
    ("MERGE_API_KEY", "canary-merge-api-key"),
    ("SYNCLINE_ENCRYPTION_KEY", ENCRYPTION_KEY),
];

/// 32 bytes.
pub(crate) const ENCRYPTION_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The binary with these arguments; ended when the value is dropped.
pub(crate) fn syncline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs the binary on the database of an app: the exit code, stdout, stderr.
pub(crate) async fn run(app: &TestApp, args: &[&str]) -> (i32, String, String) {
    let mut command = syncline(args);
    command.env("DATABASE_URL", app.database_url());
    output(command).await
}

/// The same, for what must succeed and answers in JSON.
pub(crate) async fn json(app: &TestApp, args: &[&str]) -> Value {
    let (code, stdout, stderr) = run(app, &[args, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {stdout}"))
}

/// Runs it to its end: the exit code, stdout, stderr.
pub(crate) async fn output(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let code = status.code().expect("ended by itself");
    (
        code,
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}
