use serde_json::json;

use super::answer::{Answer, Look};
use super::desk::Desk;
use super::exit::Unwell;
use super::queues;
use super::table::{Cell, Table, harmless, section, state};
use crate::config::Config;
use crate::ops::health::{Severity, Snapshot};
use crate::ops::words::grouped;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    look: Look,
}

/// Says whether all is well; if not, the exit code is 1.
pub(super) async fn run(args: Args, config: &Config) -> anyhow::Result<()> {
    let desk = Desk::of(config).await?;
    let mut is_well = true;
    let look = async || {
        let snapshot = Snapshot::take(&desk.pool, desk.now().await?).await?;
        is_well = snapshot.is_well();
        answer(&snapshot)
    };
    args.look.show(look).await?;
    anyhow::ensure!(is_well, Unwell);
    Ok(())
}

fn answer(snapshot: &Snapshot) -> anyhow::Result<Answer> {
    let findings = snapshot.findings();
    let mut text = format!("{}\n", harmless(&snapshot.sentence().to_string()));
    let troubles = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Trouble);
    // One trouble is the whole sentence.
    if troubles.count() > 1 || findings.len() > 1 {
        let mut table = Table::new(&["severity", "finding"]);
        for finding in &findings {
            table.row([
                state(finding.severity.as_str()),
                Cell::from(&finding.sentence),
            ]);
        }
        text += &section("what is not as it should be", &table.shown());
    }
    text += &section("queues", &queues::table(snapshot).shown());
    let mut accounts = Table::new(&["accounts", "status"]);
    for count in &snapshot.accounts {
        let number = grouped(count.accounts.unsigned_abs());
        accounts.row([Cell::from(number), state(count.status.as_str())]);
    }
    text += &section("accounts", &accounts.shown());
    let json = json!({
        "is_well": snapshot.is_well(),
        "sentence": snapshot.sentence(),
        "findings": findings,
        "queues": snapshot.queues,
        "pauses": snapshot.pauses,
        "accounts": snapshot.accounts,
        "workers": snapshot.working().count(),
        "at": snapshot.now,
    });
    Answer::new(text, &json)
}
