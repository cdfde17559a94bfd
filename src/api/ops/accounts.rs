//! Linked accounts: how they stand, the proof that nothing was left out, and what can be done.

use axum::extract::State;
use jobs::resync::SyncType;
use queue::Lane;
use queue::lanes::{self, LaneView};
use serde::{Deserialize, Serialize};
use store::AccountId;
use store::fetch_windows::{self, ClosedWindow, Verdict};
use store::linked_accounts::{self, AccountFilter, LinkedAccount};
use store::model_syncs::{self, ModelSync};
use utoipa::{IntoParams, ToSchema};

use super::{
    Done,
    body::{Plain, Reason},
};
use crate::api::{
    account::Status,
    extract::{Json, Path, Query},
    field::{CategoryName, Limit, Text},
    page::Cursor,
    prefer::Once,
    problem::Problem,
};
use crate::app::App;
use crate::ops::Ops;

/// Windows shown of a model.
const WINDOWS: usize = 120;

/// Query of the list; all that is asked for must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAccounts {
    #[param(inline, value_type = Option<linked_accounts::AccountStatus>)]
    status: Option<Status>,
    #[param(inline)]
    organization: Option<Text<128>>,
    #[param(inline)]
    category: Option<CategoryName>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<AccountId>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A page of accounts, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountList {
    accounts: Vec<LinkedAccount>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<AccountId>>,
}

/// Linked accounts of all organizations.
#[utoipa::path(get, path = "/api/ops/accounts", tag = "operations", params(ListAccounts), responses((status = 200, body = AccountList)))]
pub(super) async fn list(
    State(app): State<App>,
    Query(query): Query<ListAccounts>,
) -> Result<Json<AccountList>, Problem> {
    let filter = AccountFilter {
        organization_id: query.organization.as_ref().map(Text::as_str),
        category: query.category.map(|category| category.0.as_str()),
        status: query.status.map(|status| status.0),
        after: query.cursor.map(|cursor| cursor.0),
    };
    let mut conn = app.pool.acquire().await?;
    let accounts = linked_accounts::list(&mut conn, &filter, query.limit.0).await?;
    let next = query
        .limit
        .last_of_full(&accounts)
        .map(|last| Cursor(last.id));
    Ok(Json(AccountList { accounts, next }))
}

/// An account, how each of its models stands, and its lane.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountDetail {
    account: LinkedAccount,
    models: Vec<ModelDetail>,
    /// Where its jobs are done; null before the first.
    lane: Option<LaneView>,
}

/// A model, and the proof that nothing was left out of it.
#[derive(Debug, Serialize, ToSchema)]
struct ModelDetail {
    #[serde(flatten)]
    model: ModelSync,
    /// Whether its windows join.
    proof: Verdict,
    /// The newest windows that were read.
    windows: Vec<ClosedWindow>,
}

/// One account with all that is known of it.
#[utoipa::path(
    get, path = "/api/ops/accounts/{id}", tag = "operations",
    params(("id" = AccountId, Path, description = "Our id of the account.")),
    responses((status = 200, body = AccountDetail))
)]
pub(super) async fn show(
    State(app): State<App>,
    Path(id): Path<AccountId>,
) -> Result<Json<AccountDetail>, Problem> {
    let mut conn = app.pool.acquire().await?;
    let account = linked_accounts::find(&mut conn, id, None).await?;
    let account = account.ok_or_else(|| Problem::missing("linked account"))?;
    let mut models = Vec::new();
    for model in model_syncs::list(&mut conn, id).await? {
        let mark = model.fetched_through;
        let (proof, windows) =
            fetch_windows::prove(&mut conn, id, &model.model_id, mark, WINDOWS).await?;
        models.push(ModelDetail {
            model,
            proof,
            windows,
        });
    }
    drop(conn);
    let lane = lanes::find(&app.pool, &Lane::account(id.0)).await?;
    Ok(Json(AccountDetail {
        account,
        models,
        lane,
    }))
}

/// Asks the provider now how far an account is.
#[utoipa::path(
    post, path = "/api/ops/accounts/{id}/poll", tag = "operations",
    params(("id" = AccountId, Path, description = "Our id of the account."), Once),
    request_body = Plain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn poll(
    ops: Ops,
    Path(id): Path<AccountId>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    Ok(Done::by(ops.poll_account(id).await?))
}

/// Which models are read again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadAgain {
    /// Only this one, such as `hris.Employee`.
    model_id: Option<Text<100>>,
    reason: Option<Reason>,
}

impl ReadAgain {
    async fn ask(self, ops: &Ops, id: AccountId, how: SyncType) -> Result<Json<Done>, Problem> {
        let model = self.model_id.map(Text::into_string);
        let reason = self.reason.as_ref().map(Text::as_str);
        Ok(Done::by(ops.resync_account(id, how, model, reason).await?))
    }
}

/// Reads again what changed lately.
#[utoipa::path(
    post, path = "/api/ops/accounts/{id}/resync-incremental", tag = "operations",
    params(("id" = AccountId, Path, description = "Our id of the account."), Once),
    request_body = ReadAgain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn resync_incremental(
    ops: Ops,
    Path(id): Path<AccountId>,
    Json(body): Json<ReadAgain>,
) -> Result<Json<Done>, Problem> {
    body.ask(&ops, id, SyncType::Incremental).await
}

/// Reads everything again, and has the provider do so, too, which may charge for it.
#[utoipa::path(
    post, path = "/api/ops/accounts/{id}/resync-full", tag = "operations",
    params(("id" = AccountId, Path, description = "Our id of the account."), Once),
    request_body = ReadAgain,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn resync_full(
    ops: Ops,
    Path(id): Path<AccountId>,
    Json(body): Json<ReadAgain>,
) -> Result<Json<Done>, Problem> {
    body.ask(&ops, id, SyncType::Full).await
}

/// What shows that the deletion is meant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteAccount {
    /// The customer's name, as `end_user_organization_name` has it.
    typed: Text<255>,
    reason: Reason,
}

/// Deletes an account at the provider, and here with all its records, for good.
#[utoipa::path(
    post, path = "/api/ops/accounts/{id}/delete", tag = "operations",
    params(("id" = AccountId, Path, description = "Our id of the account."), Once),
    request_body = DeleteAccount,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn delete(
    ops: Ops,
    Path(id): Path<AccountId>,
    Json(body): Json<DeleteAccount>,
) -> Result<Json<Done>, Problem> {
    let job = ops
        .delete_account(id, body.typed.as_str(), body.reason.as_str())
        .await?;
    Ok(Done::by(job))
}
