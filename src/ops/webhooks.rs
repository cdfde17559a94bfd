//! Deliveries, once more.

use jobs::process_deliveries::ProcessDeliveries;
use serde_json::json;
use store::DeliveryId;
use store::webhook_deliveries;

use super::{Deed, Error, Ops};

impl Ops {
    /// Has a delivery judged once more, as if it had just come.
    pub async fn replay_webhook(&self, id: DeliveryId) -> Result<(), Error> {
        let mut change = self.begin(Deed::WebhookReplay).await?;
        let before = webhook_deliveries::find(change.connection(), id).await?;
        let before = before.ok_or(Error::Missing("delivery"))?;
        let replayed = webhook_deliveries::replay(change.connection(), id).await?;
        if replayed.deliveries == 0 {
            return Err(Error::Refused("it waits to be judged already".to_owned()));
        }
        let jobs = ProcessDeliveries::of_shards(&replayed.shards)?;
        queue::enqueue_many(change.connection(), &jobs).await?;
        let detail = json!({ "before": { "verdict": before.verdict } });
        change.done(&id.to_string(), None, detail).await
    }
}
