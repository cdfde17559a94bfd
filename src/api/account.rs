//! Linked accounts as the product sees them: lists, one with its models, and how its sync stands.
//!
//! Read from our own rows, never from the provider.

use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use store::{
    AccountId,
    linked_accounts::{self, AccountFilter, AccountStatus, LinkedAccount},
    model_syncs::{self, ModelSync},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    auth::Principal,
    extract::{Json, Path, Query},
    field::{CategoryName, Limit, OrganizationId},
    link::OneAccount,
    page::Cursor,
    problem::Problem,
};
use crate::app::App;

/// An account that the key may see.
///
/// # Errors
/// 404 when it does not exist, or belongs to an organization that the key may not see.
pub(super) async fn find_visible(
    connection: &mut PgConnection,
    principal: &Principal,
    account_id: AccountId,
) -> Result<LinkedAccount, Problem> {
    let account =
        linked_accounts::find(connection, account_id, principal.organization_id()).await?;
    account.ok_or_else(|| Problem::missing("linked account"))
}

/// Query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListAccounts {
    #[param(inline)]
    organization_id: OrganizationId,
    #[param(inline)]
    category: Option<CategoryName>,
    #[param(inline, value_type = Option<AccountStatus>)]
    status: Option<Status>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<AccountId>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A status to filter by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Status(pub(super) AccountStatus);

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        AccountStatus::parse(&text).map(Self).ok_or_else(|| {
            serde::de::Error::custom(
                "must be one of pending, active, relink_needed, error, deleting",
            )
        })
    }
}

/// A page of accounts, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountPage {
    linked_accounts: Vec<AccountView>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<AccountId>>,
}

/// One organization's accounts.
#[utoipa::path(
    get,
    path = "/api/merge/linked-accounts",
    tag = "accounts",
    params(ListAccounts),
    responses((status = 200, body = AccountPage), (status = 404))
)]
pub(super) async fn list(
    State(app): State<App>,
    principal: Principal,
    Query(query): Query<ListAccounts>,
) -> Result<Json<AccountPage>, Problem> {
    if !principal.may_see(query.organization_id.as_str()) {
        return Err(Problem::missing("organization"));
    }
    let filter = AccountFilter {
        organization_id: Some(query.organization_id.as_str()),
        category: query.category.map(|category| category.0.as_str()),
        status: query.status.map(|status| status.0),
        after: query.cursor.map(|cursor| cursor.0),
    };
    let mut connection = principal.begin(&app).await?;
    let accounts = linked_accounts::list(&mut connection, &filter, query.limit.0).await?;
    let next = query
        .limit
        .last_of_full(&accounts)
        .map(|last| Cursor(last.id));
    let linked_accounts = accounts.into_iter().map(AccountView::from).collect();
    Ok(Json(AccountPage {
        linked_accounts,
        next,
    }))
}

/// One account, and how each of its models stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccountWithModels {
    #[serde(flatten)]
    account: AccountView,
    models: Vec<ModelView>,
}

/// One account with its models.
#[utoipa::path(
    get,
    path = "/api/merge/linked-accounts/{id}",
    tag = "accounts",
    params(("id" = AccountId, Path, description = "Our id of the account.")),
    responses((status = 200, body = AccountWithModels))
)]
pub(super) async fn show(
    State(app): State<App>,
    principal: Principal,
    Path(account_id): Path<AccountId>,
) -> Result<Json<AccountWithModels>, Problem> {
    let mut connection = principal.begin(&app).await?;
    let account = find_visible(&mut connection, &principal, account_id).await?;
    let models = model_syncs::list(&mut connection, account_id).await?;
    let models = models.into_iter().map(ModelView::from).collect();
    Ok(Json(AccountWithModels {
        account: account.into(),
        models,
    }))
}

/// How an account's sync stands, in the words of the product's guide.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncStatusView {
    success: bool,
    /// Whether every enabled model was stored for the first time.
    sync_complete: bool,
    /// `PENDING`, `SYNCING`, `FAILED`, `PARTIALLY_SYNCED` or `DONE`, over all models.
    sync_status: &'static str,
    /// The end of the last whole fetch of any model.
    last_sync_time: Option<DateTime<Utc>>,
    models: Vec<ModelView>,
}

/// The state of an account's sync.
#[utoipa::path(
    post,
    path = "/api/merge/check-sync-status",
    tag = "accounts",
    request_body = OneAccount,
    responses((status = 200, body = SyncStatusView), (status = 404))
)]
pub(super) async fn check_sync_status(
    State(app): State<App>,
    principal: Principal,
    Json(body): Json<OneAccount>,
) -> Result<Json<SyncStatusView>, Problem> {
    let mut connection = principal.begin(&app).await?;
    let account_id = body.linked_account_id;
    let account = find_visible(&mut connection, &principal, account_id).await?;
    let models = model_syncs::list(&mut connection, account_id).await?;
    Ok(Json(SyncStatusView {
        success: true,
        sync_complete: account.initial_sync_completed_at.is_some(),
        sync_status: overall(&account, &models),
        last_sync_time: models
            .iter()
            .filter_map(|model| model.last_fetched_at)
            .max(),
        models: models.into_iter().map(ModelView::from).collect(),
    }))
}

/// One word for the whole account: the one that most needs attention. Models that are not selected need none.
fn overall(account: &LinkedAccount, models: &[ModelSync]) -> &'static str {
    let models: Vec<_> = models.iter().filter(|model| model.is_selected()).collect();
    let is_any = |status: &str| {
        models
            .iter()
            .any(|model| model.status.as_deref() == Some(status))
    };
    if account.status == AccountStatus::Pending || models.is_empty() {
        "PENDING"
    } else if is_any("FAILED") {
        "FAILED"
    } else if account.initial_sync_completed_at.is_none() || is_any("SYNCING") {
        "SYNCING"
    } else if is_any("PARTIALLY_SYNCED") {
        "PARTIALLY_SYNCED"
    } else {
        "DONE"
    }
}

/// An account without what is ours alone: tokens, the provider's ids, error texts.
#[derive(Debug, Serialize, ToSchema)]
struct AccountView {
    id: AccountId,
    organization_id: String,
    category: String,
    end_user_origin_id: String,
    user_id: Option<String>,
    display_name: Option<String>,
    end_user_organization_name: String,
    end_user_email_address: String,
    status: AccountStatus,
    integration_name: Option<String>,
    integration_slug: Option<String>,
    initial_sync_completed_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<LinkedAccount> for AccountView {
    fn from(account: LinkedAccount) -> Self {
        Self {
            id: account.id,
            organization_id: account.organization_id,
            category: account.category,
            end_user_origin_id: account.end_user_origin_id,
            user_id: account.user_id,
            display_name: account.display_name,
            end_user_organization_name: account.end_user_organization_name,
            end_user_email_address: account.end_user_email_address,
            status: account.status,
            integration_name: account.integration_name,
            integration_slug: account.integration_slug,
            initial_sync_completed_at: account.initial_sync_completed_at,
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}

/// How one model of an account stands.
#[derive(Debug, Serialize, ToSchema)]
struct ModelView {
    model_id: String,
    status: Option<String>,
    last_sync_result: Option<String>,
    is_initial_sync: Option<bool>,
    /// What the provider has, on its clock.
    available_through: Option<DateTime<Utc>>,
    /// What we have of it.
    fetched_through: Option<DateTime<Utc>>,
    last_synced_at: Option<DateTime<Utc>>,
    last_fetched_at: Option<DateTime<Utc>>,
    records: i64,
    /// Why it is not read: `not_selected`, `unknown_model`, `not_found` or `forbidden`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
}

impl From<ModelSync> for ModelView {
    fn from(model: ModelSync) -> Self {
        Self {
            model_id: model.model_id,
            status: model.status,
            last_sync_result: model.last_sync_result,
            is_initial_sync: model.is_initial_sync,
            available_through: model.available_through,
            fetched_through: model.fetched_through,
            last_synced_at: model.last_synced_at,
            last_fetched_at: model.last_fetched_at,
            records: model.records,
            refusal: model.refusal,
        }
    }
}
