//! Merge's official Python client, pointed at the sandbox: it must be able to read every answer.
//!
//! The interpreter is that of `test_support::Python`; `SYNCLINE_CONFORMANCE_PYTHON` names another.

use std::path::Path;
use std::time::Duration;

use merge_sandbox::{AccountPlan, Options, Sandbox, Schedule};
use test_support::Python;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");
const CATALOGUE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../merge-client/catalogue.json"
);

#[tokio::test]
async fn the_official_python_client_understands_every_answer() {
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let tmpdir = env!("CARGO_TARGET_TMPDIR");
    let Some(python) = Python::with("conformance", &requirements, tmpdir) else {
        return;
    };
    let sandbox = Sandbox::start(Options {
        requests_per_minute: None,
        plan: AccountPlan {
            records_per_account: 400,
            ..AccountPlan::default()
        },
        schedule: Schedule {
            initial_sync_duration: Duration::ZERO,
            sync_interval: None,
            ..Schedule::default()
        },
        ..Options::default()
    })
    .await
    .unwrap();
    let url = sandbox.base_url().to_string();

    let output = tokio::task::spawn_blocking(move || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/check.py");
        python.run([script, &url, "sandbox-api-key", CATALOGUE], "")
    })
    .await
    .unwrap();

    if let Err(why) = output {
        panic!("{why}");
    }
    sandbox.stop().await;
}
