//! Whatever somebody pasted: what is it the id of?

use queue::admin::bulk_actions::{self, BulkId};
use queue::{JobId, WorkerId, workers};
use serde::Serialize;
use store::linked_accounts::{self, AccountFilter};
use store::{AccountId, DeliveryId, webhook_deliveries};
use uuid::Uuid;

use super::{Error, Ops};

/// Workers looked through.
const WORKERS: u16 = 500;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "found", content = "id")]
pub enum Found {
    /// A job.
    Job(JobId),
    /// A linked account, by our id, Merge's, or our name of it at Merge.
    Account(AccountId),
    /// A received webhook.
    Delivery(DeliveryId),
    /// A bulk action.
    Bulk(BulkId),
    /// A worker.
    Worker(WorkerId),
    /// An organization that has linked accounts.
    Organization(String),
}

impl Ops {
    /// Looks for whatever has this id or name.
    pub async fn search(&self, text: &str) -> Result<Option<Found>, Error> {
        // A lane is an account's by its name.
        let text = text.trim();
        let text = text.strip_prefix("acct:").unwrap_or(text);
        if text.is_empty() || text.contains('\0') {
            return Ok(None);
        }
        let by_id = match text.parse() {
            Ok(id) => self.search_id(id).await?,
            Err(_) => None,
        };
        match by_id {
            Some(found) => Ok(Some(found)),
            None => self.search_name(text).await,
        }
    }

    async fn search_id(&self, id: Uuid) -> Result<Option<Found>, Error> {
        if self.queue.get(JobId(id)).await?.is_some() {
            return Ok(Some(Found::Job(JobId(id))));
        }
        let mut conn = self.pool.acquire().await?;
        let (account, delivery) = (AccountId(id), DeliveryId(id));
        let found = linked_accounts::find(&mut conn, account, None).await?;
        if found.is_some() {
            return Ok(Some(Found::Account(account)));
        }
        let found = webhook_deliveries::find(&mut conn, delivery).await?;
        if found.is_some() {
            return Ok(Some(Found::Delivery(delivery)));
        }
        let found = bulk_actions::find(&mut conn, BulkId(id)).await?;
        if found.is_some() {
            return Ok(Some(Found::Bulk(BulkId(id))));
        }
        drop(conn);
        let workers = workers::list(&self.pool, WORKERS).await?;
        let is_worker = workers.iter().any(|worker| worker.id.0 == id);
        Ok(is_worker.then_some(Found::Worker(WorkerId(id))))
    }

    async fn search_name(&self, name: &str) -> Result<Option<Found>, Error> {
        let mut conn = self.pool.acquire().await?;
        if let Some(id) = linked_accounts::find_by_name(&mut conn, name).await? {
            return Ok(Some(Found::Account(id)));
        }
        let filter = AccountFilter {
            organization_id: Some(name),
            ..AccountFilter::default()
        };
        let of_organization = linked_accounts::list(&mut conn, &filter, 1).await?;
        Ok((!of_organization.is_empty()).then(|| Found::Organization(name.to_owned())))
    }
}
