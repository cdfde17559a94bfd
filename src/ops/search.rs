//! Any id leads to what has it: our own ids, and those that Merge and the product gave.

use queue::admin::bulk_actions::BulkId;
use queue::{JobId, WorkerId, workers};
use serde::Serialize;
use store::linked_accounts::{self, AccountFilter};
use store::{AccountId, DeliveryId, webhook_deliveries};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Ops};

/// Workers looked through.
const WORKERS: u16 = 500;

/// What has an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "what", content = "id")]
pub enum Found {
    /// A job.
    Job(JobId),
    /// A linked account.
    Account(AccountId),
    /// A delivery of the inbox.
    Webhook(DeliveryId),
    /// A bulk action.
    Bulk(BulkId),
    /// A worker.
    Worker(WorkerId),
    /// An organization that has accounts.
    Organization(String),
}

impl Ops {
    /// Looks for what has an id, or a name that Merge or the product gave it.
    pub async fn search(&self, text: &str) -> Result<Option<Found>, Error> {
        let text = text.trim();
        if text.is_empty() || text.contains('\0') {
            return Ok(None);
        }
        // A lane is an account's by its name.
        let text = text.strip_prefix("acct:").unwrap_or(text);
        if let Ok(id) = text.parse()
            && let Some(found) = self.search_id(id).await?
        {
            return Ok(Some(found));
        }
        self.search_name(text).await
    }

    async fn search_id(&self, id: Uuid) -> Result<Option<Found>, Error> {
        if self.queue.get(JobId(id)).await?.is_some() {
            return Ok(Some(Found::Job(JobId(id))));
        }
        let mut conn = self.pool.acquire().await?;
        let account = linked_accounts::find(&mut conn, AccountId(id), None).await?;
        if account.is_some() {
            return Ok(Some(Found::Account(AccountId(id))));
        }
        let delivery = webhook_deliveries::find(&mut conn, DeliveryId(id)).await?;
        if delivery.is_some() {
            return Ok(Some(Found::Webhook(DeliveryId(id))));
        }
        drop(conn);
        match self.bulk(BulkId(id)).await {
            Ok(_) => return Ok(Some(Found::Bulk(BulkId(id)))),
            Err(Error::Missing(_)) => {}
            Err(error) => return Err(error),
        }
        let workers = workers::list(&self.pool, WORKERS).await?;
        let is_worker = workers.iter().any(|worker| worker.id.0 == id);
        Ok(is_worker.then_some(Found::Worker(WorkerId(id))))
    }

    async fn search_name(&self, name: &str) -> Result<Option<Found>, Error> {
        if let Some(id) = self.queue.job_of_request(name).await? {
            return Ok(Some(Found::Job(id)));
        }
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
