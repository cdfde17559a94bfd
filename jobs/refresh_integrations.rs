//! The tick that keeps the list of integrations young: reads it at Merge when it is a day old, or was never read.
//!
//! The list is replaced as a whole, so that repeating it is harmless. What is shown in between is the old one.

use std::collections::BTreeMap;

use queue::{Attempt, Job, Lane, Queue, ScheduleSpec};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::integrations::{self, Integration};

use crate::{JobContext, JobError};

/// How old the list may be.
const HOURS: i32 = 24;

/// The tick carries nothing: it looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefreshIntegrations {}

impl Job for RefreshIntegrations {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "refresh_integrations";
    const QUEUE: Queue = Queue::MAINTENANCE;
    const SCHEDULE: Option<ScheduleSpec> = Some(ScheduleSpec::new("40 */5 * * * *"));

    fn lane(&self) -> Lane {
        Lane::system()
    }

    fn unique_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    fn limit_key(&self) -> Option<String> {
        Some(Self::KIND.to_owned())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let mut conn = context.pool.acquire().await?;
        let is_old = integrations::is_old(&mut conn, HOURS).await?;
        drop(conn);
        if !is_old {
            let tx = attempt.begin().await?;
            return Ok(attempt.complete(tx, json!({ "was_old": false })).await?);
        }
        let listed = context.ask(attempt, context.merge.integrations()).await??;

        // By slug, each once.
        let integrations: BTreeMap<_, _> = listed
            .into_iter()
            .map(|listed| (listed.slug.clone(), stored(listed)))
            .collect();
        let integrations: Vec<Integration> = integrations.into_values().collect();
        let mut tx = attempt.begin().await?;
        integrations::replace(&mut tx, &integrations).await?;
        let result = json!({ "was_old": true, "integrations": integrations.len() });
        Ok(attempt.complete(tx, result).await?)
    }
}

/// As it is kept: without what Postgres cannot hold.
fn stored(listed: merge_client::Integration) -> Integration {
    let clean = |text: String| text.replace('\0', "\u{FFFD}");
    Integration {
        slug: clean(listed.slug),
        name: clean(listed.name),
        categories: listed.categories.into_iter().map(clean).collect(),
        image: listed.image.map(clean),
        square_image: listed.square_image.map(clean),
        color: listed.color.map(clean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_empty() {
        assert_eq!(
            serde_json::to_value(RefreshIntegrations {}).unwrap(),
            json!({})
        );
    }
}
