//! Turns the public token that the browser got into an account that is linked.
//!
//! Exchange, then account details, then the check that matters: the connection that Merge names must be one of the
//! *calling* organization's. If it is another's, nothing is stored and the answer is the same as for an account that
//! does not exist. Then, in one transaction: the account token, sealed; the account active; its first poll enqueued; this
//! job complete.
//!
//! Account details want the category in their address, which the exchange does not tell. The categories of the
//! organization's own accounts are tried, pending ones first: nearly always that is one, and the first request hits.
//! A wrong category is answered 403 or 404.
//!
//! Safe to repeat: the same account gets the same token. `LinkedAccount.linked` does the same work by another road
//! ([`crate::process_deliveries`]); whichever comes second finds it done.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use merge_client::{AccountDetails, Exchanged};
use queue::{Attempt, FencedTx, Job, Lane, NewJob, Queue, RetryPolicy};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::linked_accounts::{self, LinkOutcome, Linked, LinkedAccount};
use store::{Aad, Keyring};
use uuid::Uuid;

use crate::context::parse_category;
use crate::poll_sync_status::PollSyncStatus;
use crate::{JobContext, JobError};

/// Whose public token; the token itself is sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExchangeToken {
    /// The organization in whose name it is exchanged.
    pub organization_id: String,
    /// Made by [`seal_public_token`].
    pub public_token_sealed: String,
}

impl Job for ExchangeToken {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "exchange_token";
    const QUEUE: Queue = Queue::INTERACTIVE;
    const RETRY: RetryPolicy = RetryPolicy::QUICK;

    fn lane(&self) -> Lane {
        Lane::organization(&self.organization_id)
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let public_token = self.open_public_token(&context.keyring)?;
        let mut conn = context.pool.acquire().await?;
        let categories =
            linked_accounts::linkable_categories(&mut conn, &self.organization_id).await?;
        drop(conn);
        if categories.is_empty() {
            return Err(JobError::account_not_found());
        }

        attempt.throttle().await?;
        let exchanged = context
            .merge
            .exchange_public_token(&public_token)
            .await
            .map_err(refused_exchange)?;
        let details = find_details(context, attempt, &exchanged, &categories).await?;

        let mut tx = attempt.begin().await?;
        let account = self.link(context, &mut tx, &exchanged, &details).await?;
        let poll = NewJob::new(&PollSyncStatus {
            account_id: account.id,
        })?
        .organization(&self.organization_id);
        queue::enqueue(&mut tx, &poll).await?;
        let result = json!({
            "linked_account_id": account.id,
            "integration_name": exchanged.integration_name.or(details.integration),
            "integration_slug": exchanged.integration_slug.or(details.integration_slug),
        });
        Ok(attempt.complete(tx, result).await?)
    }
}

impl ExchangeToken {
    fn open_public_token(&self, keyring: &Keyring) -> Result<SecretString, JobError> {
        let bad = || JobError::cancel("keyring", "the public token cannot be opened");
        let (key_id, sealed) = self.public_token_sealed.split_once(':').ok_or_else(bad)?;
        let sealed = STANDARD.decode(sealed).map_err(|_| bad())?;
        let place = public_token_place(&self.organization_id);
        let token = keyring
            .open(&place, key_id, &sealed)
            .map_err(store::Error::from)?;
        let text = std::str::from_utf8(token.expose_secret()).map_err(|_| bad())?;
        Ok(text.into())
    }

    /// Stores the link, if the account is one of this organization's.
    async fn link(
        &self,
        context: &JobContext,
        tx: &mut FencedTx,
        exchanged: &Exchanged,
        details: &AccountDetails,
    ) -> Result<LinkedAccount, JobError> {
        let origin_id = details.end_user_origin_id.as_deref().unwrap_or_default();
        let account = linked_accounts::find_for_link(tx, &self.organization_id, origin_id)
            .await?
            .ok_or_else(JobError::account_not_found)?;
        let account_token = SecretString::from(exchanged.account_token.expose());
        let linked = Linked {
            merge_account_id: details
                .id
                .as_deref()
                .or(exchanged.linked_account_id.as_deref()),
            merge_status: details.status.as_deref(),
            integration_name: exchanged
                .integration_name
                .as_deref()
                .or(details.integration.as_deref()),
            integration_slug: exchanged
                .integration_slug
                .as_deref()
                .or(details.integration_slug.as_deref()),
            account_token: &account_token,
        };
        match linked_accounts::link(tx, &context.keyring, account.id, &linked).await? {
            LinkOutcome::Linked => Ok(account),
            LinkOutcome::Gone | LinkOutcome::TakenBy(_) => Err(JobError::account_not_found()),
        }
    }
}

/// Asks under each category until one is right.
async fn find_details(
    context: &JobContext,
    attempt: &Attempt,
    exchanged: &Exchanged,
    categories: &[String],
) -> Result<AccountDetails, JobError> {
    for category in categories {
        attempt.throttle().await?;
        let category = parse_category(category)?;
        match context
            .merge
            .account(category, &exchanged.account_token)
            .details()
            .await
        {
            Ok(details) => return Ok(details),
            Err(
                merge_client::Error::NotFound { .. }
                | merge_client::Error::Forbidden { .. }
                | merge_client::Error::Rejected { status: 400, .. },
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(JobError::account_not_found())
}

/// A public token that Merge does not know is the caller's mistake.
fn refused_exchange(error: merge_client::Error) -> JobError {
    match error {
        merge_client::Error::NotFound { .. } => JobError::cancel("merge_rejected", error),
        other => other.into(),
    }
}

/// Seals a public token for the payload of an [`ExchangeToken`] of this organization.
///
/// # Errors
/// [`store::KeyringError::TooLong`].
pub fn seal_public_token(
    keyring: &Keyring,
    organization_id: &str,
    public_token: &SecretString,
) -> Result<String, store::KeyringError> {
    let place = public_token_place(organization_id);
    let sealed = keyring.seal(&place, public_token.expose_secret().as_bytes())?;
    Ok(format!(
        "{}:{}",
        sealed.key_id,
        STANDARD.encode(sealed.bytes)
    ))
}

/// Bound to the organization; not to the job, whose id is not known yet.
fn public_token_place(organization_id: &str) -> Aad<'_> {
    Aad {
        table: "jobs",
        column: "public_token",
        organization_id,
        row_id: Uuid::nil(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({ "organization_id": "acme", "public_token_sealed": "k:c2VhbGVk" });

        let job: ExchangeToken = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
        assert_eq!(job.lane().as_str(), "org:acme");
    }

    #[test]
    fn a_public_token_opens_in_its_organization_only() {
        let keyring = Keyring::random();
        let sealed = seal_public_token(&keyring, "acme", &"pt_secret".into()).unwrap();
        let job = |organization_id: &str| ExchangeToken {
            organization_id: organization_id.to_owned(),
            public_token_sealed: sealed.clone(),
        };

        let opened = job("acme").open_public_token(&keyring).unwrap();

        assert_eq!(opened.expose_secret(), "pt_secret");
        assert!(!sealed.contains("pt_secret"));
        assert!(job("other").open_public_token(&keyring).is_err());
    }

    #[test]
    fn an_unknown_public_token_is_the_callers_mistake() {
        let error = merge_client::Error::NotFound {
            endpoint: "GET integrations/account-token".to_owned(),
            detail: "Not found.".to_owned(),
        };

        let error = refused_exchange(error);

        assert!(matches!(
            error,
            JobError::Cancel {
                class: "merge_rejected",
                ..
            }
        ));
    }
}
