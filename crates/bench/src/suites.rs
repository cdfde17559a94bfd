//! The suites, one for each subcommand.

pub(crate) mod console;
pub(crate) mod domain;
pub(crate) mod queue;
pub(crate) mod webhooks;

use std::fs;

/// Of the last minute, the last five and the last fifteen.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
