//! Linking, relinking and deleting accounts: four routes that each enqueue one job.

use std::time::Duration;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use jobs::{
    create_pending::{CreatePending, LinkRequest},
    delete_account::DeleteAccount,
    exchange_token::{ExchangeToken, seal_public_token},
    relink_account::RelinkAccount,
    reply::ReplyKey,
};
use queue::NewJob;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{AccountId, linked_accounts::LinkedAccount};
use utoipa::ToSchema;

use super::{
    account::find_visible,
    answer::{self, Ending, Pending},
    auth::Principal,
    field::{CategoryName, Email, OrganizationId, Secret, Text},
    intake::{Accepted, Opened, Repeat, Submission},
    prefer::{Prefer, Submitted},
    problem::{Fault, Kind, Problem},
};
use crate::app::App;

/// How long somebody who waits for a dialog is kept, unless `Prefer` says otherwise.
pub(super) const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// Body of `create-link-token`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateLinkToken {
    organization_id: OrganizationId,
    category: CategoryName,
    end_user_organization_name: Text<255>,
    end_user_email_address: Email,
    integration: Option<Text<100>>,
    user_id: Option<Text<128>>,
    display_name: Option<Text<255>>,
}

/// Begins to link an account: a pending row, and a link token for the dialog.
#[utoipa::path(
    post,
    path = "/api/merge/create-link-token",
    tag = "linking",
    params(Submitted),
    request_body = CreateLinkToken,
    responses((status = 200, body = Handover<'_>), (status = 202, body = Pending), (status = 409), (status = 502))
)]
pub(super) async fn create_link_token(
    State(app): State<App>,
    submission: Submission<CreateLinkToken>,
) -> Result<Response, Problem> {
    must_see(&submission.principal, &submission.body.organization_id)?;
    must_be_selected(&app, submission.body.category)?;
    let (reply, reply_key) = ReplyKey::generate();
    let accepted = match submission.open(&app, Repeat::Afresh).await? {
        Opened::Before(accepted) => return Ok(answer::accepted(accepted, submission.prefer)),
        Opened::Now(mut intake) => {
            let body = &submission.body;
            let organization_id = body.organization_id.as_str();
            let request = LinkRequest {
                organization_id,
                category: body.category.0.as_str(),
                end_user_organization_name: body.end_user_organization_name.as_str(),
                end_user_email_address: body.end_user_email_address.as_str(),
                integration: body.integration.as_ref().map(Text::as_str),
                user_id: body.user_id.as_ref().map(Text::as_str),
                display_name: body.display_name.as_ref().map(Text::as_str),
            };
            let connections = app.config.merge.connections;
            let job = CreatePending::prepare(intake.connection(), request, connections, reply_key)
                .await?
                .ok_or_else(already_linked)?;
            intake
                .enqueue(&NewJob::new(&job)?.organization(organization_id))
                .await?
        }
    };
    link_token(&app, accepted, submission.prefer, &reply).await
}

fn must_be_selected(app: &App, CategoryName(category): CategoryName) -> Result<(), Problem> {
    if app.config.sync.selection.has_any_of(category) {
        return Ok(());
    }
    let detail = "is not synced by this service; see its setting sync.models";
    Err(Problem::field(Fault::at("/category", detail)))
}

/// There is a connection, and the settings allow no second one.
fn already_linked() -> Problem {
    let detail =
        "There is a connection already, and only one is allowed. Relink it, or delete it first.";
    Problem::new(Kind::AlreadyActive, detail)
}

/// Body of the routes that name one account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OneAccount {
    #[serde(alias = "integration_id")]
    pub(super) linked_account_id: AccountId,
}

/// A link token for an account that is linked already: its credentials are to be renewed.
#[utoipa::path(
    post,
    path = "/api/merge/relink-integration",
    tag = "linking",
    params(Submitted),
    request_body = OneAccount,
    responses(
        (status = 200, body = Handover<'_>), (status = 202, body = Pending), (status = 404), (status = 409), (status = 502),
    )
)]
pub(super) async fn relink_integration(
    State(app): State<App>,
    submission: Submission<OneAccount>,
) -> Result<Response, Problem> {
    let account_id = submission.body.linked_account_id;
    let (reply, reply_key) = ReplyKey::generate();
    let accepted = match submission.open(&app, Repeat::Afresh).await? {
        Opened::Before(accepted) => return Ok(answer::accepted(accepted, submission.prefer)),
        Opened::Now(mut intake) => {
            let account =
                find_visible(intake.connection(), &submission.principal, account_id).await?;
            must_be_linked(&account)?;
            let job = RelinkAccount {
                account_id,
                reply_key,
            };
            intake
                .enqueue(&NewJob::new(&job)?.organization(&account.organization_id))
                .await?
        }
    };
    link_token(&app, accepted, submission.prefer, &reply).await
}

/// The end of both: the token, for the request that enqueued the job and holds the key to it.
async fn link_token(
    app: &App,
    accepted: Accepted,
    prefer: Prefer,
    reply: &ReplyKey,
) -> Result<Response, Problem> {
    // A job found under the key was sealed to somebody else.
    if accepted.is_replay {
        return Ok(answer::accepted(accepted, prefer));
    }
    let Ending::Completed(result) = answer::wait(app, accepted.job_id, prefer, PATIENCE).await?
    else {
        return Ok(answer::accepted(accepted, prefer));
    };
    let token = take_token(app, accepted, reply).await?;
    let body = Handover {
        success: true,
        link_token: token.expose_secret(),
        linked_account_id: result.get("linked_account_id"),
        end_user_origin_id: result.get("end_user_origin_id"),
        job_id: accepted.job_id,
    };
    let mut response = answer::completed(body, accepted, prefer);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A link token, for the dialog in the browser.
#[derive(Serialize, ToSchema)]
pub(super) struct Handover<'a> {
    success: bool,
    /// For the dialog; valid once, and not for long.
    link_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<AccountId>)]
    linked_account_id: Option<&'a Value>,
    /// Our name of the connection at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    end_user_origin_id: Option<&'a Value>,
    job_id: queue::JobId,
}

/// Takes the sealed token out of the database, and opens it with the key that only we have.
async fn take_token(
    app: &App,
    accepted: Accepted,
    reply: &ReplyKey,
) -> Result<SecretString, Problem> {
    let mut connection = app.pool.acquire().await?;
    let sealed = store::sealed_link_tokens::take(&mut connection, accepted.job_id.0).await?;
    let sealed = sealed.ok_or_else(|| {
        Problem::new(
            Kind::Unavailable,
            "The link token has expired; ask for another one.",
        )
        .retry_after(Duration::from_secs(1))
    })?;
    reply
        .open(accepted.job_id, &sealed)
        .map_err(Problem::internal)
}

/// Body of `exchange-public-token`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExchangePublicToken {
    organization_id: OrganizationId,
    public_token: Secret,
}

/// Ends linking: the dialog's public token becomes an account token, which stays with us.
#[utoipa::path(
    post,
    path = "/api/merge/exchange-public-token",
    tag = "linking",
    params(Submitted),
    request_body = ExchangePublicToken,
    responses(
        (status = 200, body = Exchanged), (status = 202, body = Pending), (status = 404), (status = 409), (status = 502),
    )
)]
pub(super) async fn exchange_public_token(
    State(app): State<App>,
    submission: Submission<ExchangePublicToken>,
) -> Result<Response, Problem> {
    let ExchangePublicToken {
        organization_id,
        public_token,
    } = &submission.body;
    must_see(&submission.principal, organization_id)?;
    let accepted = match submission.open(&app, Repeat::Replays).await? {
        Opened::Before(accepted) => accepted,
        Opened::Now(intake) => {
            let organization_id = organization_id.as_str();
            let public_token_sealed =
                seal_public_token(&app.keyring, organization_id, &public_token.0)
                    .map_err(Problem::internal)?;
            let job = ExchangeToken {
                organization_id: organization_id.to_owned(),
                public_token_sealed,
            };
            intake
                .enqueue(&NewJob::new(&job)?.organization(organization_id))
                .await?
        }
    };
    finish(&app, accepted, submission.prefer, PATIENCE).await
}

/// Deletes an account, at the provider first, then with all that we stored of it.
#[utoipa::path(
    post,
    path = "/api/merge/delete-integration",
    tag = "linking",
    params(Submitted),
    request_body = OneAccount,
    responses((status = 200, body = Deleted), (status = 202, body = Pending), (status = 404), (status = 502))
)]
pub(super) async fn delete_integration(
    State(app): State<App>,
    submission: Submission<OneAccount>,
) -> Result<Response, Problem> {
    let account_id = submission.body.linked_account_id;
    let accepted = match submission.open(&app, Repeat::Replays).await? {
        Opened::Before(accepted) => accepted,
        Opened::Now(mut intake) => {
            let account =
                find_visible(intake.connection(), &submission.principal, account_id).await?;
            let job = NewJob::new(&DeleteAccount { account_id })?;
            intake
                .enqueue(&job.organization(&account.organization_id))
                .await?
        }
    };
    finish(&app, accepted, submission.prefer, None).await
}

/// The job's own result, with `success` and `job_id`, or 202.
pub(super) async fn finish(
    app: &App,
    accepted: Accepted,
    prefer: Prefer,
    patience: Option<Duration>,
) -> Result<Response, Problem> {
    let Ending::Completed(result) = answer::wait(app, accepted.job_id, prefer, patience).await?
    else {
        return Ok(answer::accepted(accepted, prefer));
    };
    let body = Finished {
        success: true,
        job_id: accepted.job_id,
        result,
    };
    Ok(answer::completed(body, accepted, prefer).into_response())
}

/// As [`ExchangeToken`] ends.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "for the document only: `Finished` is what is answered"
)]
pub(super) struct Exchanged {
    success: bool,
    job_id: queue::JobId,
    linked_account_id: AccountId,
    integration_name: Option<String>,
    integration_slug: Option<String>,
}

/// As [`DeleteAccount`] ends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "as `Exchanged`")]
pub(super) struct Deleted {
    success: bool,
    job_id: queue::JobId,
    /// Whether there was an account to delete.
    was_there: bool,
    /// Records that were deleted.
    records: Option<i64>,
}

#[derive(Serialize)]
struct Finished {
    success: bool,
    job_id: queue::JobId,
    #[serde(flatten)]
    result: Value,
}

/// Only what is linked can be linked again.
pub(super) fn must_be_linked(account: &LinkedAccount) -> Result<(), Problem> {
    if account.status.is_readable() {
        return Ok(());
    }
    Err(Problem::new(
        Kind::Conflict,
        "The account is not linked, or is being deleted.",
    ))
}

/// A foreign organization does not exist for the key.
fn must_see(principal: &Principal, organization_id: &OrganizationId) -> Result<(), Problem> {
    if principal.may_see(organization_id.as_str()) {
        return Ok(());
    }
    Err(Problem::missing("organization"))
}
