//! What a sandbox is started with.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::clock::ClockMode;

/// Everything a sandbox is started with. Each field has a default that suits a test.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on; port 0 takes a free one. Default `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// The API key that callers must send. Default `sandbox-api-key`.
    pub api_key: String,
    /// The same seed gives the same ids, tokens and records. Default 1.
    pub seed: u64,
    /// Real time, or a clock that only moves when told to. Default real.
    pub clock: ClockMode,
    /// Requests per account in any rolling minute; `None` for no limit. Default 100, the smallest plan's.
    pub requests_per_minute: Option<u32>,
    /// Whether more than 20 error answers in 10 s from one address limit that address. Default true.
    pub has_error_budget: bool,
    /// When syncs happen and how much they change.
    pub schedule: Schedule,
    /// Models, number of records and outcomes of accounts linked without a plan of their own.
    pub plan: AccountPlan,
    /// Where webhooks go, and their shapes.
    pub webhooks: WebhookOptions,
    /// Details of list answers that Merge leaves open.
    pub answers: AnswerOptions,
    /// How syncs and their webhooks name models.
    pub model_ids: ModelIds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: "sandbox-api-key".to_owned(),
            seed: 1,
            clock: ClockMode::Real,
            requests_per_minute: Some(100),
            has_error_budget: true,
            schedule: Schedule::default(),
            plan: AccountPlan::default(),
            webhooks: WebhookOptions::default(),
            answers: AnswerOptions::default(),
            model_ids: ModelIds::default(),
        }
    }
}

/// When syncs happen and how much they change. All times are on the sandbox's clock.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// How long the slowest model of an account takes for its first sync; the others take less. Default 2 s.
    pub initial_sync_duration: Duration,
    /// From the start of one sync to the start of the next; `None` for no periodic syncs. Default 30 s.
    pub sync_interval: Option<Duration>,
    /// How long the slowest model takes for a later sync. Default 1 s.
    pub sync_duration: Duration,
    /// Records created, updated and deleted by one later sync of an account, in all its models. Default 20.
    pub changes_per_sync: u32,
    /// The same between two syncs, as pushes from the third party cause them. Default 5.
    pub changes_between_syncs: u32,
    /// Records become visible up to this much after their `modified_at`. Default zero.
    pub visibility_delay: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            initial_sync_duration: Duration::from_secs(2),
            sync_interval: Some(Duration::from_secs(30)),
            sync_duration: Duration::from_secs(1),
            changes_per_sync: 20,
            changes_between_syncs: 5,
            visibility_delay: Duration::ZERO,
        }
    }
}

/// What an account consists of. Model ids may be in any spelling of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountPlan {
    /// The models it has; lists of others answer 404. `None`, the default, for all of its category.
    pub models: Option<Vec<String>>,
    /// Records after the first sync, over all models, unless `records` says more. Default 200.
    pub records_per_account: u32,
    /// Records of single models; the rest of `records_per_account` is spread over the others.
    pub records: BTreeMap<String, u32>,
    /// How syncs of single models end; the others end in [`Outcome::Done`].
    pub outcomes: BTreeMap<String, Outcome>,
    /// False makes it a TEST account: one sync, none after it, and resync is refused. Default true.
    pub is_production: bool,
}

impl Default for AccountPlan {
    fn default() -> Self {
        Self {
            models: None,
            records_per_account: 200,
            records: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            is_production: true,
        }
    }
}

/// How the syncs of a model end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// All records, status DONE.
    #[default]
    Done,
    /// All records, status PARTIALLY_SYNCED; the model stays in its initial sync.
    PartiallySynced,
    /// No change, status FAILED, and no new finish time.
    Failed,
    /// Never synced, status DISABLED.
    Disabled,
    /// Never synced, status PAUSED.
    Paused,
}

/// Where webhooks go, and their shapes.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// The receiver; `None`, the default, sends nothing until one is set.
    pub target: Option<WebhookTarget>,
    /// The shape of `data.sync_status` in `{Model}.synced`. Default an object.
    pub synced_shape: SyncedShape,
    /// Whether `{Model}.added`, `.changed` and `.removed` are sent for changes after the first sync. Default false.
    pub has_record_events: bool,
    /// How long a receiver may take, in real time, before the attempt counts as failed. Default 10 s.
    pub timeout: Duration,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            target: None,
            synced_shape: SyncedShape::Object,
            has_record_events: false,
            timeout: Duration::from_secs(10),
        }
    }
}

/// A receiver of webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// Where deliveries are posted to.
    pub url: Url,
    /// The signature key, as Merge's dashboard shows it.
    pub key: String,
}

/// The shape of `data.sync_status` in `{Model}.synced`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncedShape {
    /// The whole status, with its times.
    Object,
    /// Only the status's word, as in Merge's migration guide.
    Text,
}

/// How syncs and their webhooks name models. Merge's own samples have both ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ModelIds {
    /// By the event, such as `crm.CRMAccount`; the catalogue's canonical id. The default.
    #[default]
    Event,
    /// By the SDK's class, such as `crm.Account`.
    Class,
}

/// Details of list answers that Merge leaves open. A client must get along with each.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerOptions {
    /// `next` is a whole address instead of a bare cursor. Default false.
    pub next_is_url: bool,
    /// A last page that is full is followed by an empty one. Default false.
    pub has_empty_last_page: bool,
    /// Time filters include their limits. Default false.
    pub has_inclusive_limits: bool,
}
