//! Reading an account again on demand.

use axum::{extract::State, response::Response};
use jobs::resync::{Resync, SyncType};
use merge_client::catalogue;
use queue::NewJob;
use serde::Deserialize;
use store::AccountId;
use utoipa::ToSchema;

use super::{
    account::find_visible,
    answer::Pending,
    field::Text,
    intake::{Opened, Repeat, Submission},
    link::{finish, must_be_linked},
    prefer::Submitted,
    problem::{Fault, Problem},
};
use crate::app::App;

/// Body of `resync`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResyncAccount {
    #[serde(alias = "integration_id")]
    linked_account_id: AccountId,
    sync_type: SyncType,
    model_id: Option<Text<100>>,
}

/// As [`Resync`] ends.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document only")]
pub(super) struct Resynced {
    success: bool,
    job_id: queue::JobId,
    /// The models that are read again.
    models: Vec<String>,
    /// What the provider said to it.
    provider: String,
}

/// Enqueues a resync of an account, or of one of its models.
#[utoipa::path(
    post,
    path = "/api/merge/resync",
    tag = "linking",
    params(Submitted),
    request_body = ResyncAccount,
    responses(
        (status = 200, body = Resynced), (status = 202, body = Pending), (status = 404), (status = 409), (status = 502),
    )
)]
pub(super) async fn resync(
    State(app): State<App>,
    submission: Submission<ResyncAccount>,
) -> Result<Response, Problem> {
    let accepted = match submission.open(&app, Repeat::Replays).await? {
        Opened::Before(accepted) => accepted,
        Opened::Now(mut intake) => {
            let body = &submission.body;
            let account_id = body.linked_account_id;
            let account =
                find_visible(intake.connection(), &submission.principal, account_id).await?;
            must_be_linked(&account)?;
            let model = body.model_id.as_ref().map(|model_id| {
                catalogue::find(model_id.as_str())
                    .filter(|model| model.category.as_str() == account.category)
                    .ok_or_else(|| {
                        let detail =
                            format!("must be a model of the category {}", account.category);
                        Problem::field(Fault::at("/model_id", detail))
                    })
            });
            let job = Resync {
                account_id,
                sync_type: body.sync_type,
                model_id: model.transpose()?.map(|model| model.model_id.to_owned()),
            };
            intake
                .enqueue(&NewJob::new(&job)?.organization(&account.organization_id))
                .await?
        }
    };
    finish(&app, accepted, submission.prefer, None).await
}
