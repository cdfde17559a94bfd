//! Many accounts at once, as a batch of webhooks means them.

use serde::Serialize;
use sqlx::PgConnection;

use super::{AccountStatus, LinkedAccount};
use crate::error::During;
use crate::{AccountId, Error};

/// What somebody says about an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Hint<'a> {
    /// Merge's id of it.
    pub merge_account_id: Option<&'a str>,
    /// Our name of the connection, and its category in lower case.
    pub origin: Option<(&'a str, String)>,
}

/// Where a hint leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meant {
    /// The account with that id of Merge's.
    pub by_merge_id: Option<AccountId>,
    /// The account of that name and category.
    pub by_origin_id: Option<AccountId>,
}

/// Finds the accounts that are meant; the answers are in the order of `hints`.
pub async fn find_meant(conn: &mut PgConnection, hints: &[Hint<'_>]) -> Result<Vec<Meant>, Error> {
    let text = |text: &str| text.to_owned();
    let merge_ids: Vec<Option<String>> = hints
        .iter()
        .map(|hint| hint.merge_account_id.map(text))
        .collect();
    let (origin_ids, categories): (Vec<Option<String>>, Vec<Option<String>>) = hints
        .iter()
        .map(|hint| match &hint.origin {
            Some((origin_id, category)) => (Some(text(origin_id)), Some(category.clone())),
            None => (None, None),
        })
        .unzip();
    sqlx::query_as!(
        Meant,
        r#"
        SELECT by_id.id AS "by_merge_id?: AccountId", by_name.id AS "by_origin_id?: AccountId"
        FROM unnest($1::text[], $2::text[], $3::text[])
            WITH ORDINALITY AS hint (merge_account_id, end_user_origin_id, category, position)
        LEFT JOIN syncline.linked_accounts AS by_id
            ON by_id.merge_account_id = hint.merge_account_id
        LEFT JOIN syncline.linked_accounts AS by_name
            ON by_name.end_user_origin_id = hint.end_user_origin_id
            AND by_name.category = hint.category
        ORDER BY position
        "#,
        &merge_ids as &[Option<String>],
        &origin_ids as &[Option<String>],
        &categories as &[Option<String>]
    )
    .fetch_all(conn)
    .await
    .during("find the linked accounts that webhooks mean")
}

/// Reads accounts and holds them, as [`super::lock`] does, in the order of their ids: so that two who hold several at
/// once do not wait for each other. What does not exist is left out.
pub async fn lock_many(
    conn: &mut PgConnection,
    ids: &[AccountId],
) -> Result<Vec<LinkedAccount>, Error> {
    sqlx::query_file_as!(
        LinkedAccount,
        "src/linked_accounts/lock_many.sql",
        ids as &[AccountId]
    )
    .fetch_all(conn)
    .await
    .during("lock linked accounts")
}

/// The account that somebody means by this text: Merge's id of it, or our name of the connection at Merge.
pub async fn find_by_name(conn: &mut PgConnection, name: &str) -> Result<Option<AccountId>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT id AS "id: AccountId"
        FROM syncline.linked_accounts
        WHERE merge_account_id = $1 OR end_user_origin_id = $1
        LIMIT 1
        "#,
        name
    )
    .fetch_optional(conn)
    .await
    .during("find a linked account by a name")
}

/// How many accounts stand where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusCount {
    /// Where.
    pub status: AccountStatus,
    /// How many.
    pub accounts: i64,
}

/// Counts accounts by status.
pub async fn count_by_status(conn: &mut PgConnection) -> Result<Vec<StatusCount>, Error> {
    sqlx::query_as!(
        StatusCount,
        r#"
        SELECT status AS "status: AccountStatus", count(*) AS "accounts!"
        FROM syncline.linked_accounts
        GROUP BY status
        ORDER BY status
        "#
    )
    .fetch_all(conn)
    .await
    .during("count linked accounts")
}
