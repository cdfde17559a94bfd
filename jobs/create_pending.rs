//! Gets a link token for a connection that is begun: a pending account.
//!
//! The pending account is written by whoever enqueues this job, in the same transaction ([`CreatePending::prepare`]): so
//! whatever Merge reports later finds it, and the name and address that it holds are in no payload, which would outlive
//! the account. A pending account of the same organization, category, user and integration is used again, with the
//! same name at Merge and a fresh token: so a repeat, a retry and two clicks at once end in one row. An account that is
//! linked, be it between enqueueing and running, is left alone: the customer gets another one beside it, or where only one
//! connection may be ([`Connections::One`]) none.
//!
//! The link token is sealed to the request that waits (see [`crate::reply`]) and stored nowhere else. A run that is
//! repeated asks Merge for another one.

use merge_client::LinkTokenRequest;
use queue::{Attempt, Job, Lane, Queue, RetryPolicy};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use store::linked_accounts::{self, LinkedAccount, NewAccount, Pending};
use store::{AccountId, sealed_link_tokens};
use uuid::Uuid;

use crate::context::parse_category;
use crate::reply::seal_link_token;
use crate::{Connections, JobContext, JobError};

/// Which connection, and where the link token goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreatePending {
    /// The product's id of its customer.
    pub organization_id: String,
    /// Ours; pending when this was enqueued.
    pub account_id: AccountId,
    /// Public key of the request that waits: base64, X25519.
    pub reply_key: String,
}

/// Who wants to link what.
#[derive(Debug, Clone, Copy)]
pub struct LinkRequest<'a> {
    /// The product's id of its customer.
    pub organization_id: &'a str,
    /// `hris`, `ats`, ….
    pub category: &'a str,
    /// Shown in Merge's dialog.
    pub end_user_organization_name: &'a str,
    /// Given to Merge; no mail is sent.
    pub end_user_email_address: &'a str,
    /// The slug of one integration, to go straight to it.
    pub integration: Option<&'a str>,
    /// The person, when a person rather than the organization is linked.
    pub user_id: Option<&'a str>,
    /// The product's name for the connection.
    pub display_name: Option<&'a str>,
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
        Some(format!("create_pending/{}", self.account_id))
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let connections = context.settings.connections;
        let (account, pending) = self.find_or_prepare(attempt, connections).await?;

        let request = LinkTokenRequest {
            end_user_origin_id: pending.end_user_origin_id.clone(),
            end_user_organization_name: account.end_user_organization_name,
            end_user_email_address: account.end_user_email_address,
            categories: vec![parse_category(&account.category)?],
            integration: account.integration,
        };
        let answer = context
            .ask(attempt, context.merge.create_link_token(&request))
            .await??;

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
    /// Makes sure of the pending account, in the caller's transaction, and gives the job to be enqueued in it. `None`:
    /// there is one that is linked, and no other may be.
    ///
    /// # Errors
    /// [`store::Error::Database`].
    pub async fn prepare(
        conn: &mut PgConnection,
        request: LinkRequest<'_>,
        connections: Connections,
        reply_key: String,
    ) -> Result<Option<Self>, store::Error> {
        let pending = prepare_pending(conn, request, connections).await?;
        Ok(pending.map(|pending| Self {
            organization_id: request.organization_id.to_owned(),
            account_id: pending.id,
            reply_key,
        }))
    }

    /// The account, and the pending one to link: the same, or one beside it, if it was linked meanwhile.
    async fn find_or_prepare(
        &self,
        attempt: &Attempt,
        connections: Connections,
    ) -> Result<(LinkedAccount, Pending), JobError> {
        let mut tx = attempt.begin().await?;
        let account = linked_accounts::find(&mut tx, self.account_id, Some(&self.organization_id))
            .await?
            .ok_or_else(JobError::account_not_found)?;
        let request = LinkRequest {
            organization_id: &account.organization_id,
            category: &account.category,
            end_user_organization_name: &account.end_user_organization_name,
            end_user_email_address: &account.end_user_email_address,
            integration: account.integration.as_deref(),
            user_id: account.user_id.as_deref(),
            display_name: account.display_name.as_deref(),
        };
        let pending = prepare_pending(&mut tx, request, connections)
            .await?
            .ok_or_else(|| JobError::cancel("already_active", "it was linked meanwhile"))?;
        tx.commit().await?;
        Ok((account, pending))
    }
}

async fn prepare_pending(
    conn: &mut PgConnection,
    request: LinkRequest<'_>,
    connections: Connections,
) -> Result<Option<Pending>, store::Error> {
    let new = NewAccount {
        id: AccountId::new(),
        organization_id: request.organization_id,
        category: request.category,
        end_user_origin_id: &new_origin_id(request, connections),
        user_id: request.user_id,
        display_name: request.display_name,
        integration: request.integration,
        end_user_organization_name: request.end_user_organization_name,
        end_user_email_address: request.end_user_email_address,
    };
    match connections {
        Connections::Several => Ok(Some(linked_accounts::prepare_pending(conn, &new).await?)),
        Connections::One => linked_accounts::prepare_only_pending(conn, &new).await,
    }
}

/// A name for the connection: Merge keeps it for good, and takes the same name for the same account.
///
/// One that was never used, or where there may be one connection only, its one. That begins with the organization in any
/// case: people of different organizations may have the same id.
fn new_origin_id(request: LinkRequest<'_>, connections: Connections) -> String {
    let (organization, category) = (request.organization_id, request.category);
    match (connections, request.user_id) {
        (Connections::Several, user) => {
            format!(
                "{}_{category}_{}",
                user.unwrap_or(organization),
                Uuid::new_v4()
            )
        }
        (Connections::One, None) => format!("{organization}_{category}"),
        (Connections::One, Some(user)) => format!("{organization}_{user}_{category}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({
            "organization_id": "acme",
            "account_id": "00000000-0000-0000-0000-000000000007",
            "reply_key": "a2V5",
        });

        let job: CreatePending = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
        assert_eq!(job.lane().as_str(), "org:acme");
    }

    #[test]
    fn names_a_connection_after_the_organization_or_the_person() {
        let mut request = LinkRequest {
            organization_id: "acme",
            category: "hris",
            end_user_organization_name: "Acme",
            end_user_email_address: "it@acme.test",
            integration: None,
            user_id: None,
            display_name: None,
        };
        let several = |request| new_origin_id(request, Connections::Several);
        let one = |request| new_origin_id(request, Connections::One);
        assert!(several(request).starts_with("acme_hris_"));
        assert_eq!(one(request), "acme_hris");

        request.user_id = Some("u-7");
        assert!(several(request).starts_with("u-7_hris_"));
        assert_ne!(several(request), several(request));
        assert_eq!(one(request), "acme_u-7_hris");
    }
}
