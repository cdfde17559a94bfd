//! Looks at everything that has to be right before anything works, and says what to do about what is not.

use std::time::Duration;

use serde::Serialize;

use super::answer::{Answer, Look};
use super::exit::Unwell;
use super::table::{harmless, state};
use crate::config::Sources;

mod database;
mod outside;
mod secrets;
mod service;
mod settings;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Warn of transactions that have been open for longer.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5m", value_name = "TIME")]
    longest_transaction: Duration,
    #[command(flatten)]
    look: Look,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Entry {
    check: &'static str,
    verdict: Verdict,
    found: String,
    advice: Option<String>,
}

/// All that was looked at.
#[derive(Debug, Default)]
struct Report(Vec<Entry>);

impl Report {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, Verdict::Ok, found, None);
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, advice: &str) {
        self.add(check, Verdict::Warning, found, Some(advice));
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, advice: &str) {
        self.add(check, Verdict::Failed, found, Some(advice));
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        advice: Option<&str>,
    ) {
        self.0.push(Entry {
            check,
            verdict,
            found: found.into(),
            advice: advice.map(str::to_owned),
        });
    }

    fn is_well(&self) -> bool {
        self.0.iter().all(|check| check.verdict != Verdict::Failed)
    }

    fn text(&self) -> String {
        let width = self.0.iter().map(|check| check.check.len()).max();
        let width = width.unwrap_or(0);
        let lines = self.0.iter().map(|check| {
            let verdict = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warning",
                Verdict::Failed => "failed",
            };
            let verdict = state(verdict).padded(7);
            let advice = check.advice.iter().map(|advice| format!(" → {advice}"));
            let told: String = std::iter::once(check.found.clone()).chain(advice).collect();
            format!("{verdict}  {:<width$}  {}\n", check.check, harmless(&told))
        });
        lines.collect()
    }
}

/// Looks; the exit code is 1 if something failed.
pub(super) async fn run(args: Args, sources: &Sources) -> anyhow::Result<()> {
    let mut is_well = true;
    let look = async || {
        let report = examine(&args, sources).await;
        is_well = report.is_well();
        Answer::new(report.text(), &report.0)
    };
    args.look.show(look).await?;
    anyhow::ensure!(is_well, Unwell);
    Ok(())
}

/// From the inside out: what later checks need comes first, and what cannot be looked at is not.
async fn examine(args: &Args, sources: &Sources) -> Report {
    let mut report = Report::default();
    let Some(config) = settings::examine(&mut report, sources) else {
        return report;
    };
    let keyring = secrets::keyring(&mut report, &config);
    if let Some(pool) = database::reach(&mut report, &config).await {
        let looked = async {
            let mut conn = pool.acquire().await?;
            database::examine(&mut report, &mut conn, &config, args.longest_transaction).await?;
            if !database::is_current(&mut report, &pool).await {
                return anyhow::Ok(());
            }
            database::tables(&mut report, &mut conn).await?;
            secrets::stored(&mut report, &mut conn, keyring.as_ref()).await?;
            secrets::webhooks(&mut report, &mut conn, &config).await?;
            drop(conn);
            service::examine(&mut report, &pool).await
        };
        if let Err(error) = looked.await {
            let advice = "look into the database's log, and try again";
            report.fail("looking", format!("{error:#}"), advice);
        }
        pool.close().await;
    }
    outside::examine(&mut report, &config).await;
    report
}
