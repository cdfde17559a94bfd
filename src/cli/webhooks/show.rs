//! Deliveries as people read them.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use sqlx::PgPool;
use store::webhook_deliveries::{self, DeliveryView};

use super::print_json;
use crate::config::Config;
use crate::webhook_secrets::WebhookSecrets;

/// Those who can be listed, a line each.
pub(super) fn table(deliveries: &[DeliveryView]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<36}  {:<20}  {:<15}  {:<30}  {:<36}  detail",
        "id", "received", "verdict", "event", "account"
    )?;
    for delivery in deliveries {
        writeln!(
            out,
            "{:<36}  {:<20}  {:<15}  {:<30}  {:<36}  {}",
            delivery.id.to_string(),
            time(delivery.received_at),
            delivery.verdict.as_str(),
            delivery.event.as_deref().unwrap_or("-"),
            delivery
                .account_id
                .map_or_else(|| "-".to_owned(), |id| id.to_string()),
            delivery.verdict_detail.as_deref().unwrap_or("")
        )?;
    }
    Ok(())
}

/// One, a line for each thing known of it.
pub(super) fn lines(delivery: &DeliveryView) -> anyhow::Result<()> {
    let took = delivery.processed_at.map(|at| {
        format!(
            "{} ({} ms later)",
            time(at),
            (at - delivery.received_at).num_milliseconds()
        )
    });
    let jobs = delivery.job_ids.as_deref().unwrap_or_default();
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let lines = [
        ("id", Some(delivery.id.to_string())),
        ("received", Some(time(delivery.received_at))),
        ("verdict", Some(delivery.verdict.as_str().to_owned())),
        ("detail", delivery.verdict_detail.clone()),
        ("processed", took),
        ("event", delivery.event.clone()),
        ("account", delivery.account_id.map(|id| id.to_string())),
        ("account at Merge", delivery.merge_account_id.clone()),
        (
            "duplicate of",
            delivery.duplicate_of.map(|id| id.to_string()),
        ),
        ("replays", Some(delivery.replays.to_string())),
        ("jobs", Some(jobs.join(" "))),
        ("secret", Some(delivery.secret_id.clone())),
        ("SHA-256", Some(delivery.body_hash.clone())),
        ("bytes, sealed", Some(delivery.sealed_bytes.to_string())),
    ];
    let mut out = io::stdout().lock();
    for (name, value) in lines {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            writeln!(out, "{name:<16}  {value}")?;
        }
    }
    Ok(())
}

/// Counts, and the secrets: those in use, and those that are configured.
pub(super) async fn stats(
    pool: &PgPool,
    config: &Config,
    last: Duration,
    is_json: bool,
) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await?;
    let tallies = webhook_deliveries::tally(&mut conn, last).await?;
    let used = webhook_deliveries::secrets(&mut conn).await?;
    let active = WebhookSecrets::new(config.merge.webhook_secrets.clone()).active();
    let is_active = |id: &String| active.ids().contains(id);
    let unused: Vec<&String> = active
        .ids()
        .iter()
        .filter(|id| !used.iter().any(|used| used.id == **id))
        .collect();
    if is_json {
        let used: Vec<_> = used
            .iter()
            .map(|used| {
                json!({
                    "id": used.id, "is_active": is_active(&used.id),
                    "first_used_at": used.first_used_at, "last_used_at": used.last_used_at,
                })
            })
            .chain(
                unused
                    .iter()
                    .map(|id| json!({ "id": id, "is_active": true })),
            )
            .collect();
        return print_json(&json!({ "deliveries": tallies, "secrets": used }));
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<34}  {:<15}  {:>10}  {:>10}  {:>10}  last",
        "event", "verdict", "deliveries", "median, s", "longest, s"
    )?;
    let seconds =
        |seconds: Option<f64>| seconds.map_or_else(|| "-".to_owned(), |s| format!("{s:.3}"));
    for tally in tallies {
        writeln!(
            out,
            "{:<34}  {:<15}  {:>10}  {:>10}  {:>10}  {}",
            tally.event.as_deref().unwrap_or("-"),
            tally.verdict.as_str(),
            tally.deliveries,
            seconds(tally.median_seconds),
            seconds(tally.longest_seconds),
            time(tally.last_received_at)
        )?;
    }
    writeln!(
        out,
        "\n{:<12}  {:<8}  {:<20}  last used",
        "secret", "state", "first used"
    )?;
    for used in &used {
        let state = if is_active(&used.id) {
            "active"
        } else {
            "retired"
        };
        let (first, last) = (time(used.first_used_at), time(used.last_used_at));
        writeln!(out, "{:<12}  {state:<8}  {first:<20}  {last}", used.id)?;
    }
    for id in unused {
        writeln!(out, "{id:<12}  {:<8}  {:<20}  never", "active", "never")?;
    }
    out.flush().context("cannot write to stdout")
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
