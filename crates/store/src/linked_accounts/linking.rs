//! From a click to a linked account: the pending row, and the token that completes it.

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgConnection;

use super::{AccountStatus, LinkedAccount};
use crate::error::During;
use crate::events::{self, EventType};
use crate::{Aad, AccountId, Error, Keyring};

/// What is known of an account when linking begins.
#[derive(Debug, Clone)]
pub struct NewAccount<'a> {
    /// The id it gets, if no pending one is reused.
    pub id: AccountId,
    /// The product's id of its customer.
    pub organization_id: &'a str,
    /// `hris`, `ats`, ….
    pub category: &'a str,
    /// The name it gets at Merge, if no pending one is reused.
    pub end_user_origin_id: &'a str,
    /// The person, when a person is linked.
    pub user_id: Option<&'a str>,
    /// The product's name for the connection.
    pub display_name: Option<&'a str>,
    /// The slug, in single-integration linking.
    pub integration: Option<&'a str>,
    /// Shown in Merge's dialog.
    pub end_user_organization_name: &'a str,
    /// Given to Merge.
    pub end_user_email_address: &'a str,
}

/// The pending account to link: a new one, or the one that was waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Ours.
    pub id: AccountId,
    /// The name to give to Merge.
    pub end_user_origin_id: String,
}

/// Makes sure that there is one pending account for this organization, category, user and integration.
///
/// A pending one is reused, with the names given now, however many ask at once; accounts that are linked
/// already are not looked at, so that a customer may have several.
pub async fn prepare_pending(
    conn: &mut PgConnection,
    new: &NewAccount<'_>,
) -> Result<Pending, Error> {
    sqlx::query_as!(
        Pending,
        r#"
        INSERT INTO syncline.linked_accounts (
            id, organization_id, category, end_user_origin_id, user_id, display_name, integration,
            end_user_organization_name, end_user_email_address
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (organization_id, category, coalesce(user_id, ''), coalesce(integration, ''))
            WHERE status = 'pending'
        DO UPDATE SET
            display_name = coalesce(excluded.display_name, linked_accounts.display_name),
            end_user_organization_name = excluded.end_user_organization_name,
            end_user_email_address = excluded.end_user_email_address,
            updated_at = now()
        RETURNING id AS "id: AccountId", end_user_origin_id
        "#,
        new.id as AccountId,
        new.organization_id,
        new.category,
        new.end_user_origin_id,
        new.user_id,
        new.display_name,
        new.integration,
        new.end_user_organization_name,
        new.end_user_email_address
    )
    .fetch_one(conn)
    .await
    .during("prepare a pending account")
}

/// The same where there may be one account only; `None` when it is there and not pending.
///
/// A pending one is reused whatever integration it was begun for, and whatever it is called at Merge.
pub async fn prepare_only_pending(
    conn: &mut PgConnection,
    new: &NewAccount<'_>,
) -> Result<Option<Pending>, Error> {
    // Of several who ask at once, one makes the account: there is no row yet to wait for.
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
        format!("link {}", new.end_user_origin_id)
    )
    .execute(&mut *conn)
    .await
    .during("wait for others who link the same")?;
    let Some(found) = find_only(conn, new).await? else {
        return insert_only(conn, new).await;
    };
    if found.status != AccountStatus::Pending {
        return Ok(None);
    }
    sqlx::query_as!(
        Pending,
        r#"
        UPDATE syncline.linked_accounts
        SET display_name = coalesce($2, display_name),
            integration = $3,
            end_user_organization_name = $4,
            end_user_email_address = $5,
            updated_at = now()
        WHERE id = $1
        RETURNING id AS "id: AccountId", end_user_origin_id
        "#,
        found.id as AccountId,
        new.display_name,
        new.integration,
        new.end_user_organization_name,
        new.end_user_email_address
    )
    .fetch_optional(conn)
    .await
    .during("reuse a pending account")
}

/// An account of the same organization, category and person.
struct Found {
    id: AccountId,
    status: AccountStatus,
}

/// The one that is linked, or else the newest that is pending, held until the transaction ends.
async fn find_only(conn: &mut PgConnection, new: &NewAccount<'_>) -> Result<Option<Found>, Error> {
    sqlx::query_as!(
        Found,
        r#"
        SELECT id AS "id: AccountId", status AS "status: AccountStatus"
        FROM syncline.linked_accounts
        WHERE organization_id = $1
          AND category = $2
          AND user_id IS NOT DISTINCT FROM $3
        -- Of several that are pending the one for this integration: only one may be for it.
        ORDER BY status = 'pending', integration IS NOT DISTINCT FROM $4 DESC, id DESC
        LIMIT 1
        FOR UPDATE
        "#,
        new.organization_id,
        new.category,
        new.user_id,
        new.integration
    )
    .fetch_optional(conn)
    .await
    .during("find the account of a connection")
}

/// `None` when another organization's account bears the name.
async fn insert_only(
    conn: &mut PgConnection,
    new: &NewAccount<'_>,
) -> Result<Option<Pending>, Error> {
    sqlx::query_as!(
        Pending,
        r#"
        INSERT INTO syncline.linked_accounts (
            id, organization_id, category, end_user_origin_id, user_id, display_name, integration,
            end_user_organization_name, end_user_email_address
        )
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (end_user_origin_id) DO NOTHING
        RETURNING id AS "id: AccountId", end_user_origin_id
        "#,
        new.id as AccountId,
        new.organization_id,
        new.category,
        new.end_user_origin_id,
        new.user_id,
        new.display_name,
        new.integration,
        new.end_user_organization_name,
        new.end_user_email_address
    )
    .fetch_optional(conn)
    .await
    .during("make a pending account")
}

/// The categories in which an organization has accounts that could be the one just linked: those with a pending
/// account first, the newest first.
pub async fn linkable_categories(
    conn: &mut PgConnection,
    organization_id: &str,
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT category
        FROM syncline.linked_accounts
        WHERE organization_id = $1
          AND status <> 'deleting'
        GROUP BY category
        ORDER BY bool_or(status = 'pending') DESC, max(updated_at) DESC, category
        LIMIT 50
        "#,
        organization_id
    )
    .fetch_all(conn)
    .await
    .during("list the categories of an organization")
}

/// Finds the account that Merge says was linked, if it is one of this organization's.
pub async fn find_for_link(
    conn: &mut PgConnection,
    organization_id: &str,
    end_user_origin_id: &str,
) -> Result<Option<LinkedAccount>, Error> {
    let id = sqlx::query_scalar!(
        r#"
        SELECT id AS "id: AccountId"
        FROM syncline.linked_accounts
        WHERE organization_id = $1
          AND end_user_origin_id = $2
          AND status <> 'deleting'
        "#,
        organization_id,
        end_user_origin_id
    )
    .fetch_optional(&mut *conn)
    .await
    .during("find the account of a link")?;
    match id {
        Some(id) => super::find(conn, id, Some(organization_id)).await,
        None => Ok(None),
    }
}

/// What Merge tells when an account is linked.
#[derive(Debug)]
pub struct Linked<'a> {
    /// Merge's id of the account.
    pub merge_account_id: Option<&'a str>,
    /// Merge's word for its status.
    pub merge_status: Option<&'a str>,
    /// `BambooHR`.
    pub integration_name: Option<&'a str>,
    /// `bamboohr`.
    pub integration_slug: Option<&'a str>,
    /// The secret to read it with.
    pub account_token: &'a SecretString,
}

/// What came of [`link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    /// The account is active and has this token.
    Linked,
    /// The account is gone, or being deleted: nothing was stored.
    Gone,
    /// Another of our accounts has Merge's id: nothing was stored.
    TakenBy(AccountId),
}

/// Stores the token, sealed, and makes the account active; may be repeated, and in any order with itself.
///
/// What Merge did not tell stays as it was. The account becomes due for a poll at once.
pub async fn link(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: AccountId,
    linked: &Linked<'_>,
) -> Result<LinkOutcome, Error> {
    let Some(status) = super::lock(conn, id).await? else {
        return Ok(LinkOutcome::Gone);
    };
    if status == AccountStatus::Deleting {
        return Ok(LinkOutcome::Gone);
    }
    if let Some(merge_account_id) = linked.merge_account_id
        && let Some(other) = super::find_by_merge_id(conn, merge_account_id).await?
        && other != id
    {
        return Ok(LinkOutcome::TakenBy(other));
    }
    let organization_id = sqlx::query_scalar!(
        "SELECT organization_id FROM syncline.linked_accounts WHERE id = $1",
        id as AccountId
    )
    .fetch_one(&mut *conn)
    .await
    .during("read the organization of a linked account")?;
    let token = linked.account_token.expose_secret().as_bytes();
    let sealed = keyring.seal(&token_place(&organization_id, id), token)?;

    // merge_account_id is never cleared, nor is a token before a new one is there.
    sqlx::query!(
        r#"
        UPDATE syncline.linked_accounts
        SET status = 'active',
            merge_status = coalesce($2, merge_status),
            merge_account_id = coalesce($3, merge_account_id),
            integration_name = coalesce($4, integration_name),
            integration_slug = coalesce($5, integration_slug),
            account_token_sealed = $6,
            account_token_key_id = $7,
            account_token_hash = $8,
            linked_at = clock_timestamp(),
            next_poll_at = now(),
            refusals = 0,
            last_error = NULL,
            updated_at = now()
        WHERE id = $1
        "#,
        id as AccountId,
        linked.merge_status,
        linked.merge_account_id,
        linked.integration_name,
        linked.integration_slug,
        &sealed.bytes,
        sealed.key_id,
        &keyring.fingerprint(token)
    )
    .execute(&mut *conn)
    .await
    .during("store an account token")?;
    // The dialog and the webhook both bring the news; the first is believed.
    if status != AccountStatus::Active {
        events::tell(conn, EventType::AccountLinked, id, None, None).await?;
    }
    Ok(LinkOutcome::Linked)
}

/// Where an account token is at home.
pub(super) fn token_place(organization_id: &str, id: AccountId) -> Aad<'_> {
    Aad {
        table: "linked_accounts",
        column: "account_token",
        organization_id,
        row_id: id.0,
    }
}
