//! What is looked at: every kind of page, each filter of the jobs by itself, and filters together.

use super::fill::{ACCOUNT, ORGANIZATION, WORKER};

/// A page, and what is promised of it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) address: String,
    /// Milliseconds, at the 95th percentile.
    pub(crate) most: Option<f64>,
}

/// The lists of jobs, by filter.
const JOBS: [&str; 32] = [
    "",
    "state=available",
    "state=scheduled",
    "state=retryable",
    "state=running",
    "state=completed",
    "state=cancelled",
    "state=dead",
    "kind=check_health",
    "kind=create_pending",
    "queue=sync",
    "queue=interactive",
    "error=503",
    "error=certificate",
    "error=nowhere+to+be+found",
    "tag=first-sync",
    "tag=none+has+it",
    "min_attempt=5",
    "min_attempt=99",
    "class=merge_unavailable",
    "class=none",
    "http_status=503",
    "http_status=418",
    "lane=system",
    "parent=01900000-0000-7000-8000-000000000000",
    "payload=model_id%3Dhris.Employee",
    "payload=model_id%3Dnone",
    "state=retryable&error=certificate",
    "state=dead&kind=fetch_model_window&error=field",
    "state=retryable&kind=check_health&min_attempt=5&error=nowhere",
    "state=completed&tag=first-sync&kind=check_health",
    "time=finished&from=2020-01-01T00:00&before=2020-01-02T00:00",
];
/// Pages that need no id and promise nothing of their own.
const OTHERS: [&str; 7] = [
    "queues",
    "workers",
    "schedules",
    "webhooks",
    "webhooks?verdict=unparseable",
    "accounts",
    "audit",
];

/// All of them. `ids` are those of a job that waits, one that is dead and one that ended; `group` is the largest.
pub(crate) fn all(ids: &[String], group: &str) -> Vec<Page> {
    let mut pages = vec![page("", 150.0), page("dead", 300.0)];
    pages.push(page(&format!("dead/{group}"), 300.0));
    let of_one = [
        format!("account={ACCOUNT}"),
        format!("organization={ORGANIZATION}"),
        format!("worker={WORKER}"),
        format!("group={group}"),
        format!("organization={ORGANIZATION}&state=dead"),
        format!("account={ACCOUNT}&state=completed&kind=check_health"),
        format!("organization={ORGANIZATION}&error=certificate"),
    ];
    let lists = JOBS.iter().map(|filter| (*filter).to_owned()).chain(of_one);
    pages.extend(lists.map(|filter| page(&format!("jobs?{filter}"), 300.0)));
    // The second page of a list.
    pages.extend(
        ids.iter()
            .map(|id| page(&format!("jobs?after={id}"), 300.0)),
    );
    let rest = ids.iter().map(|id| format!("jobs/{id}"));
    let rest = rest
        .chain(OTHERS.map(str::to_owned))
        .chain([format!("accounts/{ACCOUNT}")]);
    pages.extend(rest.map(|address| Page {
        address,
        most: None,
    }));
    pages
}

fn page(address: &str, most: f64) -> Page {
    Page {
        address: address.to_owned(),
        most: Some(most),
    }
}
