//! Schemathesis asks all that `/openapi.json` describes, in many ways, and finds no answer that it does not describe.
//!
//! The interpreter is that of `test_support::Python`; `SYNCLINE_SCHEMATHESIS_PYTHON` names another. How it asks is in
//! `schemathesis/schemathesis.toml`; the seed is fixed, so a failure comes again.

use std::path::Path;

use test_support::Python;

use crate::support::TestApp;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/api/schemathesis");

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let tmpdir = env!("CARGO_TARGET_TMPDIR");
    let Some(python) = Python::with("schemathesis", &requirements, tmpdir) else {
        return;
    };
    let app = TestApp::new().await;
    app.known_schedules().await;
    app.synced_account("org_1", "hris").await;
    app.dead_jobs(3, "it hurts").await;
    app.waiting_job().await;
    app.silent_worker().await;
    app.judged_delivery().await;
    let key = app.key_with(&["admin"]).await;
    let document = format!("{}/openapi.json", app.serve().await);

    let asking = tokio::task::spawn_blocking(move || {
        let config = format!("{FOLDER}/schemathesis.toml");
        let authorization = format!("Authorization: Bearer {key}");
        let arguments = [
            "-c",
            "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())",
            "--config-file",
            &config,
            "run",
            &document,
            "--header",
            &authorization,
            // No job is waited for: nobody runs them here.
            "--header",
            "Prefer: respond-async",
            "--no-color",
        ];
        python.run(arguments, "")
    });

    match asking.await {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => panic!("{why}"),
        Err(panic) => panic!("{panic}"),
    }
}
