//! What can be read from a sandbox from outside, in process and over `/_sandbox/` alike.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::account::{Account, AccountState};
use crate::clock::to_time;
use crate::webhooks::WebhookSummary;

/// The sandbox as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateView {
    /// The sandbox's clock.
    pub now: DateTime<Utc>,
    /// Whether changes are stopped.
    pub is_frozen: bool,
    /// Linked accounts.
    pub accounts: usize,
    /// Accounts that are in their first sync still.
    pub accounts_in_first_sync: usize,
    /// Records over all accounts, deleted ones included.
    pub records: u64,
    /// Requests to the API, refused ones included, control routes apart.
    pub requests: u64,
    /// The most requests of one account in any rolling minute, refused ones included.
    pub peak_requests_per_minute: usize,
    /// Requests refused with 429 because of an account's limit.
    pub rate_limited: u64,
    /// The most error answers (400 and more, except 429) that one address got in any 10 s.
    pub peak_errors_in_10_s: usize,
    /// Requests refused with 429 because of too many errors.
    pub error_limited: u64,
    /// Deliveries and their latencies.
    pub webhooks: WebhookSummary,
}

/// A linked account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountView {
    /// Merge's id of it.
    pub id: Uuid,
    /// Such as `hris`.
    pub category: String,
    /// The integrator's id of the connection.
    pub end_user_origin_id: String,
    /// Such as `BambooHR`.
    pub integration: String,
    /// Such as `bamboohr`.
    pub integration_slug: String,
    /// Such as `COMPLETE`.
    pub status: String,
    /// Whether a sync runs now.
    pub is_syncing: bool,
    /// Whether the first sync has ended.
    pub has_ended_first_sync: bool,
    /// When the last sync began; it may still run.
    pub sync_started_at: Option<DateTime<Utc>>,
    /// When the last sync ended.
    pub synced_at: Option<DateTime<Utc>>,
    /// When the next sync starts.
    pub next_sync_start: Option<String>,
    /// Records over all models, deleted ones included.
    pub records: u64,
    /// Requests with its token, refused ones included.
    pub requests: u64,
    /// Requests refused with 429.
    pub rate_limited: u64,
    /// The most requests in any rolling minute, refused ones included.
    pub peak_requests_per_minute: usize,
    /// Its models, in the catalogue's order.
    pub models: Vec<ModelView>,
}

/// One model of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelView {
    /// The canonical id, such as `hris.Employee`.
    pub model_id: String,
    /// Such as `SYNCING` or `DONE`.
    pub status: String,
    /// Whether its first sync has not ended well yet.
    pub is_initial_sync: bool,
    /// The end of the last sync that did not fail.
    pub last_sync_finished: Option<DateTime<Utc>>,
    /// Records visible now, deleted ones included.
    pub records: u64,
}

/// What is true of one model of an account, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelTruth {
    /// The canonical id.
    pub model_id: String,
    /// Records, deleted ones included.
    pub records: u64,
    /// Records marked as deleted.
    pub deleted: u64,
    /// See [`crate::digest`]: equal digests mean the same keys, times and deletions.
    pub digest: String,
}

/// A record as it should be stored by who has read everything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TruthRecord {
    /// Merge's id, or for models without one the `remote_id`, or else the name.
    pub key: String,
    /// Merge's time of the last change.
    pub modified_at: DateTime<Utc>,
    /// Whether it is marked as deleted.
    pub is_deleted: bool,
    /// The whole record as a list with `include_deleted_data=true` gives it; absent unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
}

/// Some of the records of a model, in the order of its list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TruthPage {
    /// The records.
    pub records: Vec<TruthRecord>,
    /// Pass it as `after` to read on; `None` at the end.
    pub next: Option<String>,
}

/// A finished linking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletedLink {
    /// To be exchanged for the account token, once.
    pub public_token: String,
    /// The account linked, or linked again.
    pub linked_account_id: Uuid,
    /// Its category.
    pub category: String,
    /// The slug of the integration chosen.
    pub integration: String,
}

/// An account linked without the dialog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedAccount {
    /// Merge's id of it.
    pub id: Uuid,
    /// Its account token.
    pub account_token: String,
}

/// Fields by name, as set by a test.
pub type Fields = BTreeMap<String, serde_json::Value>;

impl AccountView {
    pub(crate) fn of(account: &Account, state: &AccountState) -> Self {
        let models: Vec<_> = state
            .models
            .iter()
            .map(|model| ModelView {
                model_id: model.model.model_id.to_owned(),
                status: model.status().to_owned(),
                is_initial_sync: model.is_initial,
                last_sync_finished: model.last_finished.map(to_time),
                records: model.records.len() as u64,
            })
            .collect();
        Self {
            id: account.id,
            category: account.category.to_string(),
            end_user_origin_id: account.end_user_origin_id.clone(),
            integration: account.integration.name.to_owned(),
            integration_slug: account.integration.slug.to_owned(),
            status: state.status.clone(),
            is_syncing: state.is_syncing,
            has_ended_first_sync: state.has_ended_first_sync(),
            sync_started_at: state.sync_started_at.map(to_time),
            synced_at: state.synced_at.map(to_time),
            next_sync_start: state.next_sync_text(),
            records: models.iter().map(|model| model.records).sum(),
            requests: state.requests.total,
            rate_limited: state.requests.refused,
            peak_requests_per_minute: state.requests.peak,
            models,
        }
    }
}
