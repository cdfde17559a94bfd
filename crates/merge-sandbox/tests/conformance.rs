//! Merge's official Python client, pointed at the sandbox: it must be able to read every answer.
//!
//! The interpreter is the one named by `SYNCLINE_CONFORMANCE_PYTHON`; without it, a virtual environment is made below the
//! target folder, once. Where neither can be had, the test fails when `CI` is set, and else says that it was skipped.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use merge_sandbox::{AccountPlan, Options, Sandbox, Schedule};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance");
const CATALOGUE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../merge-client/catalogue.json"
);

#[tokio::test]
async fn the_official_python_client_understands_every_answer() {
    let python = match python() {
        Ok(python) => python,
        Err(why) if variable("CI").is_some() => panic!("the Python client cannot be tried: {why}"),
        Err(why) => {
            // Written past the capture of test output, so that it is seen.
            let text = format!("SKIPPED: the Python client was not tried: {why}\n");
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return;
        }
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
        let script = Path::new(FOLDER).join("check.py");
        run(Command::new(python)
            .arg(script)
            .args([&url, "sandbox-api-key", CATALOGUE]))
    })
    .await
    .unwrap();

    if let Err(why) = output {
        panic!("{why}");
    }
    sandbox.stop().await;
}

fn python() -> Result<PathBuf, String> {
    if let Some(python) = variable("SYNCLINE_CONFORMANCE_PYTHON") {
        return Ok(PathBuf::from(python));
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in the target folder");
    let environment = target.join("conformance-venv");
    let python = environment.join("bin/python");
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).map_err(|error| error.to_string())?;
    // Written last, so that a broken installation is tried again.
    let installed = environment.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "-r"])
        .arg(&requirements))?;
    std::fs::write(&installed, wanted).map_err(|error| error.to_string())?;
    Ok(python)
}

fn run(command: &mut Command) -> Result<Output, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(format!(
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&text)
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own switches, no setting of the service"
)]
fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
