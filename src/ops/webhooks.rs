//! Deliveries, once more.

use jobs::process_deliveries::ProcessDeliveries;
use phrases::{mark, say};
use serde_json::json;
use store::DeliveryId;
use store::webhook_deliveries::{self, DeliveryFilter};

use super::{Deed, Error, Ops};

/// Deliveries replayed in one transaction.
const BATCH: u16 = 1_000;

impl Ops {
    /// Has all deliveries of a filter judged once more; answers how many. An entry in the audit log for each batch.
    pub async fn replay_webhooks(&self, filter: &DeliveryFilter<'_>) -> Result<u64, Error> {
        let (mut count, mut last) = (0, None);
        loop {
            let mut change = self.begin(Deed::WebhookReplay).await?;
            let conn = change.connection();
            let batch = webhook_deliveries::replay_between(conn, filter, last, BATCH).await?;
            last = batch.last;
            if last.is_none() {
                return Ok(count);
            }
            count += batch.deliveries;
            let jobs = ProcessDeliveries::of_shards(&batch.shards)?;
            queue::enqueue_many(change.connection(), &jobs).await?;
            let detail = json!({
                "count": batch.deliveries, "last": last,
                "filter": {
                    "verdict": filter.verdict, "event": filter.event, "account_id": filter.account_id,
                    "since": filter.since, "until": filter.until,
                },
            });
            change.done("many", None, detail).await?;
        }
    }

    /// Has a delivery judged once more, as if it had just come.
    pub async fn replay_webhook(&self, id: DeliveryId) -> Result<(), Error> {
        let mut change = self.begin(Deed::WebhookReplay).await?;
        let before = webhook_deliveries::find(change.connection(), id).await?;
        let before = before.ok_or(Error::Missing(mark!("delivery")))?;
        let replayed = webhook_deliveries::replay(change.connection(), id).await?;
        if replayed.deliveries == 0 {
            return Err(Error::Refused(say!("it waits to be judged already")));
        }
        let jobs = ProcessDeliveries::of_shards(&replayed.shards)?;
        queue::enqueue_many(change.connection(), &jobs).await?;
        let detail = json!({ "before": { "verdict": before.verdict } });
        change.done(&id.to_string(), None, detail).await
    }
}
