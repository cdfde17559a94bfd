use std::time::Duration;

use jobs::Selection;
use serde::Deserialize;

use super::{Fault, form};
use crate::mapping::Mapping;

/// An account that nobody asks about for two weeks is paused by Merge; a day leaves room.
const LONGEST_POLL: Duration = Duration::from_hours(24);

/// Windows and polls. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// Which models are synced.
    #[serde(rename = "models", deserialize_with = "form::selection")]
    pub selection: Selection,
    /// What records are called when they are read.
    #[serde(rename = "mapping_file", deserialize_with = "form::mapping")]
    pub mapping: Mapping,
    /// How far a window reaches back behind the end of the last one.
    #[serde(deserialize_with = "form::duration")]
    pub overlap: Duration,
    /// Between polls, until the first sync is complete.
    #[serde(deserialize_with = "form::duration")]
    pub poll_initial: Duration,
    /// Between polls of accounts that Merge syncs at least hourly.
    #[serde(deserialize_with = "form::duration")]
    pub poll_fast: Duration,
    /// Between polls of the others.
    #[serde(deserialize_with = "form::duration")]
    pub poll_slow: Duration,
    /// Between polls of accounts that Merge refuses.
    #[serde(deserialize_with = "form::duration")]
    pub poll_refused: Duration,
    /// How long no window of a model may end before its tail is swept.
    #[serde(deserialize_with = "form::duration")]
    pub sweep_interval: Duration,
    /// Between looks at an account's own status.
    #[serde(deserialize_with = "form::duration")]
    pub check_interval: Duration,
    /// Whether PARTIALLY_SYNCED completes a first sync.
    pub accept_partial_first_sync: bool,
    /// Whether records that webhooks bring are stored.
    pub store_webhook_records: bool,
    /// How long received webhooks are kept.
    #[serde(deserialize_with = "form::duration")]
    pub keep_deliveries: Duration,
    /// How long events can be read.
    #[serde(deserialize_with = "form::duration")]
    pub keep_events: Duration,
    /// How long an `Idempotency-Key` is remembered.
    #[serde(deserialize_with = "form::duration")]
    pub keep_idempotency_keys: Duration,
}

impl Sync {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let is_enough = self.overlap >= Duration::from_secs(5);
        let reason = "expected at least 5s: less loses records that Merge shows late";
        Fault::unless(is_enough, "sync.overlap", reason)?;
        for (key, interval) in [
            ("sync.poll_initial", self.poll_initial),
            ("sync.poll_fast", self.poll_fast),
            ("sync.poll_slow", self.poll_slow),
            ("sync.poll_refused", self.poll_refused),
            ("sync.sweep_interval", self.sweep_interval),
            ("sync.check_interval", self.check_interval),
        ] {
            let is_sane = (Duration::from_secs(1)..=LONGEST_POLL).contains(&interval);
            Fault::unless(is_sane, key, "expected 1s to 24h")?;
        }
        for (key, duration) in [
            ("sync.keep_deliveries", self.keep_deliveries),
            ("sync.keep_events", self.keep_events),
            ("sync.keep_idempotency_keys", self.keep_idempotency_keys),
        ] {
            Fault::unless(
                duration >= Duration::from_mins(1),
                key,
                "expected at least 1m",
            )?;
        }
        Ok(())
    }
}
