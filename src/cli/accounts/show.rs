//! How one linked account is, and what was read of it.

use chrono::{DateTime, Utc};
use queue::admin::{self, Filter, JobSummary};
use queue::pause::{self, Scope};
use queue::{JobState, Lane};
use serde_json::json;
use store::AccountId;
use store::linked_accounts::{self, LinkedAccount};

use crate::cli::answer::{Answer, Look};
use crate::cli::desk::Desk;
use crate::cli::exit::Missing;
use crate::cli::jobs::{table, time};
use crate::cli::table::{Cell, Facts, Table, harmless, maybe, section};
use crate::ops::standing::{Proof, behind, prove, sentence, told};
use crate::ops::words::{age, ago, grouped};

/// Jobs in trouble that are shown with it.
const LATEST: u16 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Our id of it.
    id: AccountId,
    #[command(flatten)]
    look: Look,
}

impl Show {
    pub(super) async fn run(&self, desk: &Desk) -> anyhow::Result<()> {
        self.look.show(async || self.answer(desk).await).await
    }

    async fn answer(&self, desk: &Desk) -> anyhow::Result<Answer> {
        let lane = Lane::account(self.id.0);
        let mut conn = desk.pool.acquire().await?;
        let account = linked_accounts::find(&mut conn, self.id, None).await?;
        let account = account.ok_or_else(|| Missing(format!("linked account {}", self.id)))?;
        let proofs = prove(&mut conn, self.id, 0).await?;
        drop(conn);
        let in_trouble = Filter {
            states: vec![JobState::Dead, JobState::Retryable],
            lane: Some(lane.to_string()),
            ..Filter::default()
        };
        let jobs = admin::list(&desk.queue, &in_trouble, None, LATEST)
            .await?
            .jobs;
        let all = pause::list(&desk.pool).await?;
        let scope = Scope::Lane(lane);
        let paused = all.into_iter().find(|pause| pause.scope == scope);
        let seen = Seen {
            now: desk.now().await?,
            account,
            proofs,
            jobs,
            paused,
        };
        Answer::new(seen.text(), &seen.json())
    }
}

struct Seen {
    now: DateTime<Utc>,
    account: LinkedAccount,
    proofs: Vec<Proof>,
    jobs: Vec<JobSummary>,
    paused: Option<pause::Pause>,
}

impl Seen {
    fn text(&self) -> String {
        let mut text = format!(
            "{}\n\n",
            harmless(&sentence(&self.account, &self.proofs).to_string())
        );
        text += &self.facts().shown();
        text += &section("models", &self.models().shown());
        if !self.jobs.is_empty() {
            text += &section("jobs in trouble", &table(&self.jobs, self.now).shown());
        }
        text
    }

    fn facts(&self) -> Facts {
        let (account, now) = (&self.account, self.now);
        let mut facts = Facts::default();
        facts.add("id", account.id);
        facts.add("status", account.status.as_str());
        facts.add("customer", account.end_user_organization_name.trim());
        facts.add("organization", &account.organization_id);
        facts.add("category", &account.category);
        facts.maybe("integration", account.integration_name.as_ref());
        facts.maybe("Merge's status", account.merge_status.as_ref());
        facts.maybe("Merge's id", account.merge_account_id.as_ref());
        facts.add("our name of it", &account.end_user_origin_id);
        facts.maybe(
            "paused",
            self.paused
                .as_ref()
                .map(|pause| format!("by {}: {}", pause.paused_by, pause.reason)),
        );
        facts.add("begun", time(account.created_at, now));
        facts.maybe(
            "first sync",
            account.initial_sync_completed_at.map(|at| time(at, now)),
        );
        facts.maybe("polled", account.last_polled_at.map(|at| time(at, now)));
        facts.maybe("next poll", account.next_poll_at.map(|at| time(at, now)));
        facts.maybe("last error", account.last_error.as_ref());
        facts
    }

    fn models(&self) -> Table {
        let mut table = Table::new(&[
            "model", "proof", "records", "behind", "read", "at Merge", "refused",
        ]);
        for (model, (verdict, _)) in &self.proofs {
            table.row([
                Cell::from(&model.model_id),
                Cell::from(told(verdict)),
                Cell::from(grouped(model.records.unsigned_abs())),
                maybe(behind(model, self.now).map(age)),
                maybe(model.last_fetched_at.map(|at| ago(at, self.now))),
                maybe(model.status.as_ref()),
                maybe(model.refusal.as_ref()),
            ]);
        }
        table
    }

    fn json(&self) -> serde_json::Value {
        let models: Vec<_> = self
            .proofs
            .iter()
            .map(|(model, (verdict, _))| json!({ "model": model, "proof": verdict }))
            .collect();
        json!({
            "account": self.account,
            "sentence": sentence(&self.account, &self.proofs),
            "pause": self.paused,
            "models": models,
            "jobs_in_trouble": self.jobs,
        })
    }
}
