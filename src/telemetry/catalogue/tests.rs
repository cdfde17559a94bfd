use std::fmt::Write as _;
use std::path::Path;

use super::*;

#[test]
fn names_say_what_they_are() {
    for metric in &CATALOGUE {
        let (name, unit) = (metric.name, metric.unit);
        assert!(name.starts_with("syncline_"), "{name}");
        assert_eq!(
            name.ends_with("_total"),
            metric.kind == Kind::Counter,
            "{name}"
        );
        assert_eq!(name.ends_with("_seconds"), unit == "seconds", "{name}");
        if metric.kind == Kind::Histogram {
            assert_eq!(unit, "seconds", "{name}");
        }
        let alike = CATALOGUE.iter().filter(|other| other.name == name);
        assert_eq!(alike.count(), 1, "{name}");
    }
}

#[test]
fn no_label_names_a_customer_or_a_job() {
    for metric in &CATALOGUE {
        for label in metric.labels {
            let is_bounded = !["id", "account", "organization", "lane", "path"]
                .iter()
                .any(|word| label.name.contains(word));
            assert!(is_bounded, "{} by {}", metric.name, label.name);
        }
    }
}

/// docs/metrics.md is written anew when it is not what the catalogue says, and the test fails this once.
#[test]
fn the_page_of_all_metrics_is_up_to_date() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");

    let (written, page) = (std::fs::read_to_string(&file).unwrap_or_default(), page());

    if written != page {
        std::fs::write(&file, page).unwrap();
        panic!(
            "docs/metrics.md was not up to date. It has been written anew: look at it, and commit it"
        );
    }
}

/// The page of all metrics.
fn page() -> String {
    let mut page = "\
# Metrics

What `/metrics` shows, for Prometheus. This page is made of `src/telemetry/catalogue.rs`: `cargo test catalogue` writes it
anew. Alerts and a dashboard that use these are in [monitoring/](../monitoring).

Counters and histograms are of one process: add them up over all. What is \"from the database\" every process shows alike,
as of the last quarter of a minute: take the maximum.
"
    .to_owned();
    let mut section = "";
    for metric in &CATALOGUE {
        if metric.section != section {
            section = metric.section;
            let head = "| metric | type | unit | labels | |\n|---|---|---|---|---|";
            writeln!(page, "\n## {section}\n\n{head}").unwrap();
        }
        let labels: Vec<_> = metric.labels.iter().map(|label| label.name).collect();
        let (name, kind, unit) = (metric.name, metric.kind.as_str(), metric.unit);
        let (labels, help) = (labels.join(", "), metric.help);
        writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |").unwrap();
    }
    page.push_str("\n## Labels\n\n| label | of | values |\n|---|---|---|\n");
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for label in CATALOGUE.iter().flat_map(|metric| metric.labels) {
        if seen.contains(&(label.name, label.values)) {
            continue;
        }
        seen.push((label.name, label.values));
        let has = |metric: &&Metric| {
            let mut labels = metric.labels.iter();
            labels.any(|other| (other.name, other.values) == (label.name, label.values))
        };
        let names = CATALOGUE.iter().filter(has).map(|metric| metric.name);
        let names: Vec<_> = names.map(|name| format!("`{name}`")).collect();
        let (name, names, values) = (label.name, names.join(", "), label.values);
        writeln!(page, "| {name} | {names} | {values} |").unwrap();
    }
    page
}
