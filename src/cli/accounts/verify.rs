//! The proof that nothing of an account was left out.

use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::AccountId;
use store::fetch_windows::{self, ClosedWindow, Extent, Verdict};
use store::linked_accounts::{self, AccountFilter};
use store::model_syncs;

use crate::cli::desk::Desk;
use crate::cli::exit::Missing;

/// Accounts read in one query.
const PAGE: u16 = 500;

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Only this account, and every window of it.
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// One JSON object a line instead of text.
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Writes a line for each model; fails if one has a gap.
    pub(super) async fn run(&self, desk: &Desk) -> anyhow::Result<()> {
        let mut conn = desk.pool.acquire().await?;
        let gaps = self.write(&mut conn, &mut io::stdout().lock()).await?;
        anyhow::ensure!(gaps == 0, "models with a gap: {gaps}");
        Ok(())
    }
}

/// One model of one account.
#[derive(Serialize)]
struct Line<'a> {
    linked_account_id: AccountId,
    model_id: &'a str,
    #[serde(flatten)]
    verdict: Verdict,
    /// Why nothing new is read of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<ClosedWindow>,
}

impl Verify {
    /// Writes a line for each model, and returns how many have a gap.
    async fn write(&self, conn: &mut PgConnection, out: &mut impl Write) -> anyhow::Result<usize> {
        if let Some(id) = self.account {
            let found = linked_accounts::find(conn, id, None).await?;
            found.ok_or_else(|| Missing(format!("linked account {id}")))?;
            return self.verify(conn, id, out).await;
        }
        let mut gaps = 0;
        let mut filter = AccountFilter::default();
        loop {
            let accounts = linked_accounts::list(conn, &filter, PAGE).await?;
            for account in &accounts {
                gaps += self.verify(conn, account.id, out).await?;
            }
            match accounts.last() {
                Some(last) if accounts.len() >= usize::from(PAGE) => filter.after = Some(last.id),
                _ => return Ok(gaps),
            }
        }
    }

    async fn verify(
        &self,
        conn: &mut PgConnection,
        id: AccountId,
        out: &mut impl Write,
    ) -> anyhow::Result<usize> {
        let mut gaps = 0;
        for model in model_syncs::list(conn, id).await? {
            let keep = if self.account.is_some() {
                usize::MAX
            } else {
                0
            };
            let watermark = model.fetched_through;
            let (verdict, chain) =
                fetch_windows::prove(conn, id, &model.model_id, watermark, keep).await?;
            let line = Line {
                linked_account_id: id,
                model_id: &model.model_id,
                verdict,
                refusal: model.refusal.as_deref(),
                chain,
            };
            gaps += usize::from(matches!(line.verdict, Verdict::Gap { .. }));
            if self.json {
                writeln!(out, "{}", serde_json::to_string(&line)?)?;
            } else {
                line.write(out)?;
            }
        }
        Ok(gaps)
    }
}

impl Line<'_> {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        write!(out, "{}  {:<32}  ", self.linked_account_id, self.model_id)?;
        match &self.verdict {
            Verdict::NeverRead => write!(out, "never read")?,
            Verdict::Contiguous {
                since,
                through,
                windows,
            } => write!(
                out,
                "contiguous since {}, through {}, windows: {windows}",
                text(*since),
                text(*through)
            )?,
            Verdict::Gap { from, to } => write!(
                out,
                "GAP from {} to {}",
                from.map_or("the beginning".to_owned(), text),
                text(*to)
            )?,
        }
        match self.refusal {
            None => writeln!(out)?,
            Some("not_selected") => writeln!(out, ", not selected")?,
            Some(refusal) => writeln!(out, ", refused: {refusal}")?,
        }
        for window in &self.chain {
            let extent = match window.extent {
                Extent::First => "first",
                Extent::Next => "next",
                Extent::Sweep => "sweep",
                Extent::Whole => "whole",
            };
            let merged = match window.windows {
                1 => String::new(),
                windows => format!("  windows: {windows}"),
            };
            let limit = |limit: Option<DateTime<Utc>>| limit.map_or("…".to_owned(), text);
            writeln!(
                out,
                "    {}  {extent:<5}  {} to {}  mark {}  records: {}{merged}",
                text(window.started_at),
                limit(window.modified_after),
                limit(window.modified_before),
                text(window.mark),
                window.records
            )?;
        }
        Ok(())
    }
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
