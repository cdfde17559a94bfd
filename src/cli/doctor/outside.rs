//! Merge: there, and willing to talk to us.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use merge_client::Error::{Forbidden, RateLimited, Unauthorized};
use secrecy::ExposeSecret as _;

use super::Report;
use super::database::compare_clocks;
use crate::app;
use crate::config::Config;

/// Longest wait for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Merge's clock is told to the second, and its answer takes a while.
const SKEW: TimeDelta = TimeDelta::seconds(10);

#[expect(
    clippy::disallowed_methods,
    reason = "it is the clock of this machine that is looked at"
)]
pub(super) async fn examine(report: &mut Report, config: &Config) {
    if config.merge.api_key.expose_secret().is_empty() {
        report.fail(
            "Merge",
            "not asked: there is no API key",
            "set MERGE_API_KEY",
        );
        return;
    }
    let mut settings = config.merge.clone();
    settings.request_timeout = settings.request_timeout.min(PATIENCE);
    let client = match app::merge_client(&settings) {
        Ok(client) => client,
        Err(error) => {
            report.fail(
                "Merge",
                format!("{error:#}"),
                "see whether this machine has CA certificates",
            );
            return;
        }
    };
    match client.check_key_and_clock().await {
        Ok(date) => {
            report.ok("Merge", "it answers, and takes our API key");
            if let Some(date) = date {
                compare_clocks(report, "Merge's clock", "Merge's", Utc::now(), date, SKEW);
            }
        }
        Err(error @ (Unauthorized { .. } | Forbidden { .. })) => {
            let advice = "set MERGE_API_KEY to a key of this organisation and this region";
            report.fail("Merge", format!("it refuses our API key: {error}"), advice);
        }
        Err(error @ RateLimited { .. }) => {
            report.warn(
                "Merge",
                format!("it answers, and says: {error}"),
                "try again later",
            );
        }
        Err(error) => {
            let told = format!("{:#}", anyhow::Error::new(error));
            let advice = "see whether MERGE_API_BASE is right and this machine may reach it";
            report.fail("Merge", told, advice);
        }
    }
}
