//! Turns the public token that the browser got into an account that is linked.
//!
//! Exchange, then account details, then the check that matters: the connection that Merge names must be one of the
//! *calling* organization's. If it is another's, nothing is stored and the answer is the same as for an account that
//! does not exist. Then, in one transaction: the account token, sealed; the account active; its first poll enqueued;
//! webhooks that came too early waiting again; this job complete.
//!
//! Account details want the category in their address, which the exchange does not tell. The categories of the
//! organization's own accounts are tried, pending ones first: nearly always that is one, and the first request hits.
//! A wrong category is answered 403 or 404.
//!
//! Safe to repeat, though Merge exchanges a token once: its answer is kept, sealed, until the account is linked (see
//! [`store::exchanges`]), and after that the same token gets the same answer without asking Merge. `LinkedAccount.linked` does the same work by another road
//! ([`crate::process_deliveries`]); whichever comes second finds it done.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use merge_client::{AccountDetails, AccountToken, Exchanged};
use queue::{Attempt, FencedTx, Job, Lane, NewJob, Queue, RetryPolicy};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::exchanges::{self, Exchange};
use store::linked_accounts::{self, LinkOutcome, Linked, LinkedAccount};
use store::{Aad, AccountId, Keyring};
use uuid::Uuid;

use crate::context::parse_category;
use crate::poll_sync_status::PollSyncStatus;
use crate::process_deliveries::unpark;
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
        let keyring = &context.keyring;
        let organization_id = &self.organization_id;
        let earlier = exchanges::find(&mut conn, keyring, organization_id, &public_token).await?;
        let categories = linked_accounts::linkable_categories(&mut conn, organization_id).await?;
        drop(conn);
        if categories.is_empty() {
            return Err(JobError::account_not_found());
        }
        let answer = match earlier {
            Some(Exchange::Linked(account_id)) => {
                return self.repeat(context, attempt, account_id).await;
            }
            Some(Exchange::Answered(answer)) => Answer::read(&answer)?,
            None => self.ask(context, attempt, &public_token).await?,
        };
        match self
            .finish(context, attempt, &public_token, &answer, &categories)
            .await
        {
            Err(JobError::Cancel { error, class }) => {
                let mut tx = attempt.begin().await?;
                exchanges::forget(&mut tx, keyring, organization_id, &public_token).await?;
                tx.commit().await?;
                Err(JobError::Cancel { error, class })
            }
            other => other,
        }
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

    /// The same answer as before: the account was linked by this very token.
    async fn repeat(
        &self,
        context: &JobContext,
        attempt: &mut Attempt,
        account_id: AccountId,
    ) -> Result<(), JobError> {
        let mut conn = context.pool.acquire().await?;
        let account = linked_accounts::find(&mut conn, account_id, Some(&self.organization_id))
            .await?
            .filter(|account| account.status.is_readable())
            .ok_or_else(JobError::account_not_found)?;
        drop(conn);
        let result = json!({
            "linked_account_id": account.id,
            "integration_name": account.integration_name,
            "integration_slug": account.integration_slug,
        });
        let tx = attempt.begin().await?;
        Ok(attempt.complete(tx, result).await?)
    }

    /// Exchanges the token, and keeps the answer: Merge gives it once.
    async fn ask(
        &self,
        context: &JobContext,
        attempt: &Attempt,
        public_token: &SecretString,
    ) -> Result<Answer, JobError> {
        let exchanged = context
            .ask(attempt, context.merge.exchange_public_token(public_token))
            .await?
            .map_err(refused_exchange)?;
        let answer = Answer::from(exchanged);
        let (keyring, organization_id) = (&context.keyring, &self.organization_id);
        let bytes = answer.to_secret()?;
        let mut tx = attempt.begin().await?;
        exchanges::answered(&mut tx, keyring, organization_id, public_token, &bytes).await?;
        tx.commit().await?;
        Ok(answer)
    }

    /// Checks whose account it is, links it, enqueues its first poll, and completes the job.
    async fn finish(
        &self,
        context: &JobContext,
        attempt: &mut Attempt,
        public_token: &SecretString,
        answer: &Answer,
        categories: &[String],
    ) -> Result<(), JobError> {
        let details = find_details(context, attempt, answer, categories).await?;

        let mut tx = attempt.begin().await?;
        let account = self.link(context, &mut tx, answer, &details).await?;
        let (keyring, organization_id) = (&context.keyring, &self.organization_id);
        exchanges::linked(&mut tx, keyring, organization_id, public_token, account.id).await?;
        let poll = NewJob::new(&PollSyncStatus {
            account_id: account.id,
        })?
        .organization(organization_id);
        let merge_account_id = merge_account_id(answer, &details);
        let mut jobs = unpark(&mut tx, account.id, merge_account_id).await?;
        jobs.push(poll);
        queue::enqueue_many(&mut tx, &jobs).await?;
        let result = json!({
            "linked_account_id": account.id,
            "integration_name": answer.integration_name(&details),
            "integration_slug": answer.integration_slug(&details),
        });
        Ok(attempt.complete(tx, result).await?)
    }

    /// Stores the link, if the account is one of this organization's.
    async fn link(
        &self,
        context: &JobContext,
        tx: &mut FencedTx,
        answer: &Answer,
        details: &AccountDetails,
    ) -> Result<LinkedAccount, JobError> {
        let origin_id = details.end_user_origin_id.as_deref().unwrap_or_default();
        let account = linked_accounts::find_for_link(tx, &self.organization_id, origin_id)
            .await?
            .ok_or_else(JobError::account_not_found)?;
        let account_token = SecretString::from(answer.account_token.as_str());
        let linked = Linked {
            merge_account_id: merge_account_id(answer, details),
            merge_status: details.status.as_deref(),
            integration_name: answer.integration_name(details),
            integration_slug: answer.integration_slug(details),
            account_token: &account_token,
        };
        match linked_accounts::link(tx, &context.keyring, account.id, &linked).await? {
            LinkOutcome::Linked => Ok(account),
            LinkOutcome::Gone | LinkOutcome::TakenBy(_) => Err(JobError::account_not_found()),
        }
    }
}

/// What Merge answered to the exchange, as it is kept until the account is linked. Shown by no `Debug`.
#[derive(Serialize, Deserialize)]
struct Answer {
    account_token: String,
    linked_account_id: Option<String>,
    integration_name: Option<String>,
    integration_slug: Option<String>,
}

impl Answer {
    fn read(secret: &SecretSlice<u8>) -> Result<Self, JobError> {
        // serde_json's own error could quote the secret.
        serde_json::from_slice(secret.expose_secret())
            .map_err(|_| JobError::cancel("keyring", "the kept answer cannot be read"))
    }

    fn to_secret(&self) -> Result<SecretSlice<u8>, JobError> {
        serde_json::to_vec(self)
            .map(SecretSlice::from)
            .map_err(|_| JobError::cancel("keyring", "the answer cannot be kept"))
    }

    fn integration_name<'a>(&'a self, details: &'a AccountDetails) -> Option<&'a str> {
        self.integration_name
            .as_deref()
            .or(details.integration.as_deref())
    }

    fn integration_slug<'a>(&'a self, details: &'a AccountDetails) -> Option<&'a str> {
        self.integration_slug
            .as_deref()
            .or(details.integration_slug.as_deref())
    }
}

impl From<Exchanged> for Answer {
    fn from(exchanged: Exchanged) -> Self {
        Self {
            account_token: exchanged.account_token.expose().to_owned(),
            linked_account_id: exchanged.linked_account_id,
            integration_name: exchanged.integration_name,
            integration_slug: exchanged.integration_slug,
        }
    }
}

/// Merge's id of the account.
fn merge_account_id<'a>(answer: &'a Answer, details: &'a AccountDetails) -> Option<&'a str> {
    let answered = answer.linked_account_id.as_deref();
    details.id.as_deref().or(answered)
}

/// Asks under each category until one is right.
async fn find_details(
    context: &JobContext,
    attempt: &Attempt,
    answer: &Answer,
    categories: &[String],
) -> Result<AccountDetails, JobError> {
    let token = AccountToken::new(answer.account_token.clone());
    for category in categories {
        let account = context.merge.account(parse_category(category)?, &token);
        match context.ask(attempt, account.details()).await? {
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
