//! axe-core, which finds what keeps people from using a page. It comes with a package of PyPI, is kept below the target
//! folder, and goes into a page by the debugging protocol: the policy lets no other script in.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::tab::Tab;

const REQUIREMENTS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/browser/requirements.txt"
);
/// Its rules of WCAG 2.2, A and AA, and what is good practice. All of the page, nothing loaded once more.
const RUN: &str = r"
    axe.run(document, { preload: false, resultTypes: ['violations'] }).then(({ violations }) =>
        violations.map(({ id, impact, help, nodes }) => ({
            id, impact, help, nodes: nodes.slice(0, 5).map((node) => node.html.slice(0, 200) + ' ' + node.failureSummary),
        })))
";

/// A rule that a page breaks, as axe tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Finding(Value);

impl Finding {
    pub(crate) fn is_serious(&self) -> bool {
        ["serious", "critical"]
            .iter()
            .any(|impact| self.0["impact"] == **impact)
    }
}

/// The script.
pub(crate) struct Axe(String);

impl Axe {
    /// Brings it, once for a target folder.
    pub(crate) fn bring() -> Self {
        let file = install().join("axe_playwright_python/axe.min.js");
        Self(std::fs::read_to_string(file).unwrap())
    }

    /// What it finds on the page that a tab shows.
    pub(crate) async fn look_at(&self, tab: &Tab) -> Vec<Finding> {
        if !tab.evaluate::<bool>("'axe' in window").await {
            // It says what it is; that is no JSON.
            tab.evaluate::<bool>(&format!("{}; true", self.0)).await;
        }
        tab.evaluate(RUN).await
    }
}

fn install() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in the target folder");
    let (environment, packages) = (target.join("axe-venv"), target.join("axe"));
    let wanted = std::fs::read_to_string(REQUIREMENTS).unwrap();
    // Written last, so that a broken installation is tried again.
    let installed = packages.join("installed.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return packages;
    }
    run(Command::new("python3")
        .args(["-m", "venv"])
        .arg(&environment));
    // Without what it depends on: we want a file of it.
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--upgrade",
        "--require-hashes",
        "--target",
    ]);
    run(pip.arg(&packages).args(["-r", REQUIREMENTS]));
    std::fs::write(installed, wanted).unwrap();
    packages
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "axe-core cannot be had: {command:?} ended with {}:\n{said}",
        output.status
    );
}
