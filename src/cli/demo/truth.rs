//! Compares what we stored with what is true at the sandbox, record by record.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use anyhow::{Context, Result};
use merge_sandbox::{AccountView, Handle, TruthRecord};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use store::{
    AccountId, linked_accounts,
    model_records::{self, Position, Record, RecordFilter},
    model_syncs,
};
use tokio::time::sleep;

/// Records read at once, on either side.
const PAGE: u16 = 500;
/// Between two looks at the sandbox.
const LOOK: Duration = Duration::from_millis(50);
/// Differences that are described; more are only counted.
const DESCRIBED: usize = 20;

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Accounts compared.
    pub accounts: usize,
    /// Records that are true.
    pub records: u64,
    /// How many things differ.
    pub differences: u64,
    /// The first of them, in words.
    pub described: Vec<String>,
}

impl Comparison {
    /// Whether everything that is true is stored, and nothing else.
    pub fn is_equal(&self) -> bool {
        self.differences == 0
    }

    fn differs(&mut self, words: impl FnOnce() -> String) {
        self.differences += 1;
        if self.described.len() < DESCRIBED {
            self.described.push(words());
        }
    }
}

/// Compares ids, deletions and contents of every record of every account linked at the sandbox.
///
/// Only meaningful once both stand still: see [`has_caught_up`].
///
/// # Errors
/// When the database or the sandbox cannot be read.
pub async fn compare(pool: &PgPool, sandbox: &Handle) -> Result<Comparison> {
    let mut comparison = Comparison::default();
    let mut connection = pool.acquire().await?;
    for account in sandbox.accounts() {
        comparison.accounts += 1;
        let merge_id = account.id.to_string();
        match linked_accounts::find_by_merge_id(&mut connection, &merge_id).await? {
            Some(ours) => {
                compare_account(&mut connection, sandbox, &account, ours, &mut comparison).await?;
            }
            None => comparison.differs(|| format!("account {merge_id} is not linked here")),
        }
    }
    Ok(comparison)
}

/// Whether every window up to the sandbox's latest syncs is stored.
///
/// # Errors
/// When the database cannot be read.
pub async fn has_caught_up(pool: &PgPool, sandbox: &Handle) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    for account in sandbox.accounts() {
        let merge_id = account.id.to_string();
        let Some(ours) = linked_accounts::find_by_merge_id(&mut connection, &merge_id).await?
        else {
            return Ok(false);
        };
        let models = model_syncs::list(&mut connection, ours).await?;
        let fetched: HashMap<_, _> = models
            .into_iter()
            .filter_map(|model| Some((model.model_id, model.fetched_through?)))
            .collect();
        let is_behind = account.models.iter().any(|model| {
            let fetched = fetched.get(&model.model_id);
            // Some webhooks tell the time of a finish in whole seconds only.
            model.last_sync_finished.is_some_and(|finished| {
                fetched.is_none_or(|fetched| fetched.timestamp() < finished.timestamp())
            })
        });
        if is_behind {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Stops the sandbox's changes, and returns when every account has synced once from beginning to end
/// since, so that nothing it holds is still to be announced.
pub async fn settle(sandbox: &Handle) {
    sandbox.freeze(true);
    let frozen_at = sandbox.now();
    // One that began before may have seen its last changes just before its finish.
    let has_synced = |account: &AccountView| {
        account.has_ended_first_sync
            && !account.is_syncing
            && account
                .sync_started_at
                .is_some_and(|started_at| started_at > frozen_at)
    };
    loop {
        let accounts = sandbox.accounts();
        for account in accounts
            .iter()
            .filter(|account| !account.is_syncing && !has_synced(account))
        {
            // Fails when the account was deleted meanwhile; then there is nothing to wait for.
            if let Err(error) = sandbox.start_sync(account.id) {
                tracing::debug!(%error, "cannot start a sync");
            }
        }
        if accounts.iter().all(has_synced) {
            return;
        }
        sleep(LOOK).await;
    }
}

async fn compare_account(
    connection: &mut PgConnection,
    sandbox: &Handle,
    account: &AccountView,
    ours: AccountId,
    comparison: &mut Comparison,
) -> Result<()> {
    for model in &account.models {
        let place = format!("{} of {}", model.model_id, account.end_user_origin_id);
        let mut stored = stored(connection, ours, &model.model_id).await?;
        let mut after = None;
        loop {
            let page = sandbox
                .truth_page(
                    account.id,
                    &model.model_id,
                    after.as_deref(),
                    PAGE.into(),
                    true,
                )
                .with_context(|| format!("cannot read the truth of {place}"))?;
            for truth in &page.records {
                comparison.records += 1;
                match stored.remove(&truth.key) {
                    None => comparison.differs(|| format!("{place}: {} is missing", truth.key)),
                    Some(record) => {
                        if let Some(fault) = difference(truth, &record) {
                            comparison.differs(|| format!("{place}: {} {fault}", truth.key));
                        }
                    }
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        for key in stored.keys() {
            comparison.differs(|| format!("{place}: {key} is stored, but not true"));
        }
    }
    Ok(())
}

/// What of a stored record is not as it should be.
fn difference(truth: &TruthRecord, stored: &Record) -> Option<String> {
    if truth.is_deleted != stored.is_deleted {
        return Some(format!(
            "should be deleted: {}, but is: {}",
            truth.is_deleted, stored.is_deleted
        ));
    }
    let truth: Value = serde_json::from_str(truth.data.as_ref()?.get()).ok()?;
    let stored: Value = serde_json::from_str(stored.data.0.get()).ok()?;
    if truth == stored {
        return None;
    }
    let (Value::Object(truth), Value::Object(stored)) = (&truth, &stored) else {
        return Some("is no object".to_owned());
    };
    let names: BTreeSet<_> = truth.keys().chain(stored.keys()).collect();
    let is_different = |name: &&String| truth.get(*name) != stored.get(*name);
    let differing: Vec<_> = names.into_iter().filter(is_different).cloned().collect();
    Some(format!("differs in {}", differing.join(", ")))
}

/// Every stored record of a model, by key.
async fn stored(
    connection: &mut PgConnection,
    account_id: AccountId,
    model_id: &str,
) -> Result<HashMap<String, Record>> {
    let mut all = HashMap::new();
    let mut after = None;
    loop {
        let filter = RecordFilter {
            account_id,
            organization_id: None,
            model_id,
            changed_after: None,
            include_deleted: true,
            after,
        };
        let page = model_records::list(connection, &filter, PAGE).await?;
        let is_last = page.len() < usize::from(PAGE);
        after = page.last().map(|last| Position {
            changed_at: last.changed_at,
            merge_id: last.merge_id.clone(),
        });
        all.extend(
            page.into_iter()
                .map(|record| (record.merge_id.clone(), record)),
        );
        if is_last {
            return Ok(all);
        }
    }
}
