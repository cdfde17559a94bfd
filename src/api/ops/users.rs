//! Who may use the console, and what people did.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use store::audit::{self, Entry, EntryFilter};
use store::users::{Role, User};
use utoipa::{IntoParams, ToSchema};

use super::{Done, body::Plain};
use crate::api::{
    extract::{Json, Path, Query},
    field::{Limit, Secret, Text},
    page::Cursor,
    prefer::Once,
    problem::Problem,
};
use crate::app::App;
use crate::ops::Ops;

/// Users by name.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserList {
    users: Vec<User>,
}

/// Those who may log in with a password.
#[utoipa::path(get, path = "/api/ops/users", tag = "operations", responses((status = 200, body = UserList)))]
pub(super) async fn list(ops: Ops) -> Result<Json<UserList>, Problem> {
    let users = ops.users().await?;
    Ok(Json(UserList { users }))
}

/// Somebody who is to use the console.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddUser {
    /// Lower-case letters, digits, and any of `. _ @ + -`; begins with a letter or digit.
    name: Text<100>,
    role: Role,
    /// At least 12 characters.
    password: Secret,
}

/// Adds a user.
#[utoipa::path(
    post, path = "/api/ops/users", tag = "operations",
    params(Once), request_body = AddUser,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn add(ops: Ops, Json(body): Json<AddUser>) -> Result<Json<Done>, Problem> {
    ops.add_user(body.name.as_str(), body.role, body.password.0)
        .await?;
    Ok(Done::plain())
}

/// Removes a user; their sessions end at once.
#[utoipa::path(
    post, path = "/api/ops/users/{name}/remove", tag = "operations",
    params(("name" = String, Path, description = "The user."), Once),
    request_body = Plain,
    responses((status = 200, body = Done))
)]
pub(super) async fn remove(
    ops: Ops,
    Path(name): Path<String>,
    Json(Plain {}): Json<Plain>,
) -> Result<Json<Done>, Problem> {
    ops.remove_user(&name).await?;
    Ok(Done::plain())
}

/// Another password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetPassword {
    /// At least 12 characters.
    password: Secret,
}

/// Gives a user another password; their sessions end at once.
#[utoipa::path(
    post, path = "/api/ops/users/{name}/password", tag = "operations",
    params(("name" = String, Path, description = "The user."), Once),
    request_body = SetPassword,
    responses((status = 200, body = Done), (status = 409))
)]
pub(super) async fn password(
    ops: Ops,
    Path(name): Path<String>,
    Json(body): Json<SetPassword>,
) -> Result<Json<Done>, Problem> {
    ops.set_password(&name, body.password.0).await?;
    Ok(Done::plain())
}

/// Query of the audit log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListEntries {
    /// Only what was done to this: the id of a job, an account, ….
    #[param(inline)]
    target: Option<Text<300>>,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<i64>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A page of entries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EntryList {
    entries: Vec<Entry>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<i64>>,
}

/// Who changed what, when and why.
#[utoipa::path(get, path = "/api/ops/audit", tag = "operations", params(ListEntries), responses((status = 200, body = EntryList)))]
pub(super) async fn audit_log(
    State(app): State<App>,
    Query(query): Query<ListEntries>,
) -> Result<Json<EntryList>, Problem> {
    let filter = EntryFilter {
        target: query.target.as_ref().map(Text::as_str),
        before: query.cursor.map(|cursor| cursor.0),
    };
    let mut conn = app.pool.acquire().await?;
    let entries = audit::list(&mut conn, &filter, query.limit.0).await?;
    let next = query
        .limit
        .last_of_full(&entries)
        .map(|last| Cursor(last.position));
    Ok(Json(EntryList { entries, next }))
}
