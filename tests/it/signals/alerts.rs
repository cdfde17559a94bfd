//! Alerts and dashboard use names that exist, and alerts fire when they should.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;
use syncline::telemetry::{CATALOGUE, Metric};

use super::promtool::{monitoring, promtool};

fn read(file: &str) -> String {
    fs::read_to_string(monitoring().join(file)).unwrap()
}

/// The values of a key, wherever it stands in a YAML file that has one key a line.
fn values<'a>(yaml: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    yaml.lines().filter_map(move |line| {
        line.trim_start_matches(['-', ' '])
            .strip_prefix(key)?
            .strip_prefix(": ")
    })
}

/// What the dashboard asks Prometheus.
fn questions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array());
    let questions = targets
        .flatten()
        .map(|target| target["expr"].as_str().unwrap());
    questions.map(str::to_owned).collect()
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The metric of a name, which may be that of a part of a histogram.
fn metric(name: &str) -> &'static Metric {
    let of = |name: &str| CATALOGUE.iter().find(|metric| metric.name == name);
    let parts = ["_bucket", "_sum", "_count"];
    let whole = parts.iter().find_map(|part| of(name.strip_suffix(part)?));
    of(name)
        .or(whole)
        .unwrap_or_else(|| panic!("no metric is called {name}"))
}

/// Checks every name and label in a text that asks for metrics.
fn check_names(text: &str) -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    for (start, _) in text.match_indices("syncline_") {
        let rest = &text[start..];
        let end = rest.find(|c| !is_part_of_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let metric = metric(name);
        met.insert(metric.name);
        let Some(selector) = after.strip_prefix('{') else {
            continue;
        };
        let selector = &selector[..selector.find('}').unwrap()];
        for matcher in selector.split(',') {
            let label = matcher.split(['=', '!']).next().unwrap();
            let mut labels = metric.labels.iter();
            let is_known = labels.any(|known| known.name == label);
            let is_everywhere = ["instance", "le"].contains(&label);
            assert!(is_known || is_everywhere, "{name} has no label {label}");
        }
    }
    met
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let asked = check_names(&read("alerts.yml"));

    check_names(&read("alerts.test.yml"));
    assert!(asked.len() > 15, "{asked:?}");
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist_in_words_that_prometheus_knows() {
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    let mut asked = BTreeSet::new();
    for (number, question) in questions().iter().enumerate() {
        asked.extend(check_names(question));
        let question = question
            .replace("$__rate_interval", "5m")
            .replace("$__range", "6h")
            .replace('\'', "''");
        writeln!(
            rules,
            "      - record: question:{number}\n        expr: '{question}'"
        )
        .unwrap();
    }

    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), rules).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()], "");
    // Whatever is worth counting is worth showing; these two are about the process itself.
    for metric in &CATALOGUE {
        let is_seen = asked.contains(metric.name)
            || ["syncline_build_info", "syncline_queue_is_paused"].contains(&metric.name)
            || read("alerts.yml").contains(metric.name);
        assert!(
            is_seen,
            "{} is in no alert, and on no dashboard",
            metric.name
        );
    }
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let (alerts, tests) = (read("alerts.yml"), read("alerts.test.yml"));

    promtool(
        &["check", "rules", "--lint=all", "--lint-fatal", "alerts.yml"],
        "",
    );
    promtool(&["test", "rules", "alerts.test.yml"], "");

    for alert in values(&alerts, "alert") {
        let cases: Vec<_> = tests.split("alertname: ").skip(1).collect();
        let of_alert = |case: &&&str| case.lines().next() == Some(alert);
        let is_quiet = |case: &&str| case.lines().nth(1).unwrap().trim() == "exp_alerts: []";
        let cases: Vec<_> = cases.iter().filter(of_alert).copied().collect();
        let quiet = cases.iter().filter(|case| is_quiet(case)).count();
        assert!(quiet > 0 && cases.len() > quiet, "{alert}: {cases:?}");
    }
}

#[test]
fn each_alert_says_how_bad_it_is_and_what_to_do() {
    let alerts = read("alerts.yml");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operating.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, page) = page.split_once("\n## Alerts\n").unwrap();
    let names: Vec<_> = values(&alerts, "alert").collect();

    let severities: Vec<_> = values(&alerts, "severity").collect();
    let links: Vec<_> = values(&alerts, "runbook_url").collect();

    assert_eq!(values(&alerts, "summary").count(), names.len());
    assert_eq!((severities.len(), links.len()), (names.len(), names.len()));
    assert!(severities.iter().all(|it| ["page", "ticket"].contains(it)));
    for (name, link) in names.iter().zip(links) {
        let start = "{{ or $externalLabels.runbook_of_syncline `docs/operating.md` }}";
        assert_eq!(link, format!("\"{start}#{}\"", name.to_lowercase()));
        let (_, entry) = page
            .split_once(&format!("\n### {name}\n"))
            .unwrap_or_else(|| panic!("{name} has no entry in docs/operating.md"));
        let entry = entry.split("\n### ").next().unwrap();
        for part in ["**What it means.**", "**Look at**", "**Do.**"] {
            assert!(entry.contains(part), "{name}: {part}");
        }
    }
    let entries = page.matches("\n### Syncline").count();
    assert_eq!(entries, names.len(), "an entry is of no alert");
}
