//! Begins the linking of an account: names the connection, stores it, and gets a link token for it.
//!
//! The pending account is stored and committed *before* Merge is asked, so that whatever Merge reports later finds it.
//! A pending account of the same organization, category, user and integration is used again, with the same name at
//! Merge and a fresh token: so a repeat, a retry and two clicks at once end in one row. An account that is linked is
//! left alone: the customer gets another one beside it.
//!
//! The link token is sealed to the request that waits (see [`crate::reply`]) and stored nowhere else. A run that is
//! repeated asks Merge for another one.

use merge_client::LinkTokenRequest;
use queue::{Attempt, Job, Lane, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::linked_accounts::{self, NewAccount, Pending};
use store::{AccountId, sealed_link_tokens};
use uuid::Uuid;

use crate::context::parse_category;
use crate::reply::seal_link_token;
use crate::{JobContext, JobError};

/// Who wants to link what, and where the link token goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreatePending {
    /// The product's id of its customer.
    pub organization_id: String,
    /// `hris`, `ats`, ….
    pub category: String,
    /// Shown in Merge's dialog.
    pub end_user_organization_name: String,
    /// Given to Merge; no mail is sent.
    pub end_user_email_address: String,
    /// The slug of one integration, to go straight to it.
    #[serde(default)]
    pub integration: Option<String>,
    /// The person, when a person rather than the organization is linked.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The product's name for the connection.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Public key of the request that waits: base64, X25519.
    pub reply_key: String,
}

impl Job for CreatePending {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "create_pending";
    const QUEUE: Queue = Queue::INTERACTIVE;
    const RETRY: RetryPolicy = RetryPolicy::QUICK;

    fn lane(&self) -> Lane {
        Lane::organization(&self.organization_id)
    }

    fn limit_key(&self) -> Option<String> {
        let user_id = self.user_id.as_deref().unwrap_or_default();
        Some(format!("create_pending/{}/{user_id}", self.category))
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let category = parse_category(&self.category)?;
        let pending = self.store_pending(attempt).await?;

        let request = LinkTokenRequest {
            end_user_origin_id: pending.end_user_origin_id.clone(),
            end_user_organization_name: self.end_user_organization_name.clone(),
            end_user_email_address: self.end_user_email_address.clone(),
            categories: vec![category],
            integration: self.integration.clone(),
        };
        let answer = context.ask(attempt, context.merge.create_link_token(&request)).await??;

        let sealed = seal_link_token(&self.reply_key, attempt.job_id(), &answer.link_token)
            .map_err(|error| JobError::cancel("bad_reply_key", error))?;
        let mut tx = attempt.begin().await?;
        let lifetime = context.settings.link_token_lifetime;
        sealed_link_tokens::put(&mut tx, attempt.job_id().0, &sealed, lifetime).await?;
        let result = json!({
            "linked_account_id": pending.id,
            "end_user_origin_id": pending.end_user_origin_id,
        });
        Ok(attempt.complete(tx, result).await?)
    }
}

impl CreatePending {
    async fn store_pending(&self, attempt: &Attempt) -> Result<Pending, JobError> {
        let mut tx = attempt.begin().await?;
        let new = NewAccount {
            id: AccountId::new(),
            organization_id: &self.organization_id,
            category: &self.category,
            end_user_origin_id: &self.new_origin_id(),
            user_id: self.user_id.as_deref(),
            display_name: self.display_name.as_deref(),
            integration: self.integration.as_deref(),
            end_user_organization_name: &self.end_user_organization_name,
            end_user_email_address: &self.end_user_email_address,
        };
        let pending = linked_accounts::prepare_pending(&mut tx, &new).await?;
        tx.commit().await?;
        Ok(pending)
    }

    /// A name that was never used: Merge keeps it for good, and takes the same name for the same account.
    fn new_origin_id(&self) -> String {
        let base = self.user_id.as_deref().unwrap_or(&self.organization_id);
        format!("{base}_{}_{}", self.category, Uuid::new_v4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> serde_json::Value {
        json!({
            "organization_id": "acme",
            "category": "hris",
            "end_user_organization_name": "Acme",
            "end_user_email_address": "it@acme.test",
            "integration": "bamboohr",
            "user_id": null,
            "display_name": null,
            "reply_key": "a2V5",
        })
    }

    #[test]
    fn payload_is_frozen() {
        let job: CreatePending = serde_json::from_value(payload()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload());
        assert_eq!(job.lane().as_str(), "org:acme");
        assert_eq!(job.limit_key().as_deref(), Some("create_pending/hris/"));
    }

    #[test]
    fn names_a_connection_after_the_organization_or_the_person() {
        let mut job: CreatePending = serde_json::from_value(payload()).unwrap();
        assert!(job.new_origin_id().starts_with("acme_hris_"));

        job.user_id = Some("u-7".to_owned());
        assert!(job.new_origin_id().starts_with("u-7_hris_"));
        assert_ne!(job.new_origin_id(), job.new_origin_id());
    }
}
