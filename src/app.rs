//! The parts of a running process, and the only place where they meet.

use std::sync::Arc;

use anyhow::Context as _;
use event_sender::EventSender;
use jobs::{BreakerSettings, Breakers, JobContext, SyncSettings};
use merge_client::MergeClient;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use store::Keyring;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{self, Config};
use crate::console::Pulse;
use crate::database;
use crate::inbox::Inbox;
use crate::webhook_secrets::WebhookSecrets;

/// Everything the roles of a process share; clones are handles on the same.
#[derive(Clone)]
pub struct App {
    /// The settings, checked.
    pub config: Arc<Config>,
    /// The database.
    pub pool: PgPool,
    /// The queue in it.
    pub queue: queue::Client,
    /// The keys that secrets are sealed with.
    pub keyring: Arc<Keyring>,
    /// The signing secrets of webhooks.
    pub webhook_secrets: WebhookSecrets,
    /// Where received webhooks are handed in; whoever serves the API runs it.
    pub inbox: Inbox,
    /// What the console knows of the last minutes; whoever serves it runs it.
    pub pulse: Arc<Pulse>,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Fires when the process is to stop.
    pub shutdown: CancellationToken,
    /// Requests in flight, which a stop waits for.
    pub requests: TaskTracker,
    /// Sends events to endpoints; knows which addresses are allowed.
    pub sender: EventSender,
    merge: MergeClient,
    breakers: Breakers,
}

impl App {
    /// Joins the parts; touches neither the database nor the network.
    ///
    /// # Errors
    /// When the HTTP client cannot be built, or the encryption keys cannot be read.
    pub fn new(config: Config, pool: PgPool, metrics: PrometheusHandle) -> anyhow::Result<Self> {
        let keyring =
            Keyring::parse(&config.encryption.keys).context("cannot read the encryption keys")?;
        let merge = merge_client(&config.merge)?;
        let breakers = Breakers::new(BreakerSettings {
            failures: config.merge.breaker_failures,
            pause: config.merge.breaker_pause,
            longest_pause: config.merge.breaker_longest_pause,
        });
        let sender = EventSender::new(config.endpoints.sender())?;
        let listen = database::listen(&config.database)?;
        let webhook_secrets = WebhookSecrets::new(config.merge.webhook_secrets.clone());
        Ok(Self {
            webhook_secrets,
            inbox: Inbox::new(config.http.webhook_buffer_bytes),
            pulse: Arc::default(),
            config: Arc::new(config),
            queue: queue::Client::listening(pool.clone(), listen),
            pool,
            keyring: Arc::new(keyring),
            metrics,
            shutdown: CancellationToken::new(),
            requests: TaskTracker::new(),
            sender,
            merge,
            breakers,
        })
    }

    /// All that a job may touch.
    pub fn job_context(&self) -> JobContext {
        let sync = &self.config.sync;
        JobContext {
            pool: self.pool.clone(),
            merge: self.merge.clone(),
            keyring: Arc::clone(&self.keyring),
            queue: self.queue.clone(),
            breakers: self.breakers.clone(),
            sender: self.sender.clone(),
            give_up_after: self.config.endpoints.give_up_after,
            settings: SyncSettings {
                selection: sync.selection.clone(),
                connections: self.config.merge.connections,
                overlap: sync.overlap,
                poll_initial: sync.poll_initial,
                poll_fast: sync.poll_fast,
                poll_slow: sync.poll_slow,
                poll_refused: sync.poll_refused,
                sweep_interval: sync.sweep_interval,
                check_interval: sync.check_interval,
                accept_partial_first_sync: sync.accept_partial_first_sync,
                store_webhook_records: sync.store_webhook_records,
                keep_deliveries: sync.keep_deliveries,
                keep_events: sync.keep_events,
                keep_idempotency_keys: sync.keep_idempotency_keys,
                ..SyncSettings::default()
            },
        }
    }

    /// How this process' worker behaves.
    pub fn worker_settings(&self) -> queue::worker::Settings {
        let config = &self.config.queue;
        let slots = [
            (queue::Queue::INTERACTIVE, config.slots.interactive),
            (queue::Queue::SYNC, config.slots.sync),
            (queue::Queue::WEBHOOKS, config.slots.webhooks),
            (queue::Queue::OUTBOUND, config.slots.outbound),
            (queue::Queue::MAINTENANCE, config.slots.maintenance),
        ];
        queue::worker::Settings {
            slots: slots.into_iter().filter(|(_, slots)| *slots > 0).collect(),
            lane_concurrency: config.lane_concurrency,
            quantum: config.quantum,
            rate: queue::limiter::Rate {
                per_minute: self.config.merge.requests_per_minute,
                burst: self.config.merge.burst,
            },
            error_budget: queue::ErrorBudget {
                errors: self.config.merge.errors,
                window: self.config.merge.errors_window,
            },
            poll_interval: config.poll_interval,
            lease: config.lease,
            renew_interval: config.renew_interval,
            drain_deadline: config.drain_deadline,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The client that the settings describe; touches no network.
pub(crate) fn merge_client(config: &config::Merge) -> anyhow::Result<MergeClient> {
    let settings = merge_client::Settings {
        request_timeout: config.request_timeout,
        max_body_bytes: config.max_body_bytes,
        observer: Some(jobs::note_exchange),
        ..merge_client::Settings::new(config.api_base.clone(), config.api_key.clone())
    };
    MergeClient::new(settings).context("cannot build the HTTP client")
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
