use std::time::Duration;

use serde::Deserialize;

use super::{Fault, form};

/// The worker. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Jobs of each queue that run at once.
    pub slots: Slots,
    /// Jobs of one lane that run at once.
    pub lane_concurrency: usize,
    /// Jobs of one lane after which others get their turn.
    pub quantum: usize,
    /// How often a worker looks for work when nobody wakes it.
    #[serde(deserialize_with = "form::duration")]
    pub poll_interval: Duration,
    /// Silent for this long, a worker is dead.
    #[serde(deserialize_with = "form::duration")]
    pub lease: Duration,
    /// How often the lease is renewed.
    #[serde(deserialize_with = "form::duration")]
    pub renew_interval: Duration,
    /// How long running jobs may take to end at a stop.
    #[serde(deserialize_with = "form::duration")]
    pub drain_deadline: Duration,
}

/// Jobs of each queue that one worker runs at once; zero leaves the queue to other workers.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// Jobs somebody waits for.
    pub interactive: usize,
    /// Polls and windows.
    pub sync: usize,
    /// Received webhooks.
    pub webhooks: usize,
    /// Events to endpoints.
    pub outbound: usize,
    /// Housekeeping.
    pub maintenance: usize,
}

impl Queue {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let Slots {
            interactive,
            sync,
            webhooks,
            outbound,
            maintenance,
        } = self.slots;
        let slots = [interactive, sync, webhooks, outbound, maintenance];
        let is_any = slots.iter().any(|count| *count > 0);
        Fault::unless(
            is_any,
            "queue.slots.sync",
            "all queues have zero slots; give one at least 1",
        )?;
        for (key, count) in [
            "queue.slots.interactive",
            "queue.slots.sync",
            "queue.slots.webhooks",
            "queue.slots.outbound",
            "queue.slots.maintenance",
        ]
        .into_iter()
        .zip(slots)
        {
            Fault::unless(count <= 10_000, key, "expected at most 10000")?;
        }
        Fault::unless(
            self.lane_concurrency >= 1,
            "queue.lane_concurrency",
            "expected at least 1",
        )?;
        Fault::unless(self.quantum >= 1, "queue.quantum", "expected at least 1")?;
        let is_calm = self.poll_interval >= Duration::from_millis(10);
        Fault::unless(is_calm, "queue.poll_interval", "expected at least 10ms")?;
        let is_renewed = !self.renew_interval.is_zero() && self.renew_interval * 3 <= self.lease;
        let reason = "expected more than zero and at most a third of queue.lease";
        Fault::unless(is_renewed, "queue.renew_interval", reason)
    }
}
