//! The third-party products that customers can link, as Merge listed them last.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::Error;
use crate::error::During;

/// Most integrations that are shown; Merge has a few hundred.
const MOST: i64 = 5_000;

/// One integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Integration {
    /// Such as `bamboohr`.
    pub slug: String,
    /// Such as `BambooHR`.
    pub name: String,
    /// The categories that it offers.
    pub categories: Vec<String>,
    /// Address of its logo.
    pub image: Option<String>,
    /// Address of its logo as a square.
    pub square_image: Option<String>,
    /// Its colour.
    pub color: Option<String>,
}

/// Lists integrations by name; those of one category if one is given.
pub async fn list(
    conn: &mut PgConnection,
    category: Option<&str>,
) -> Result<Vec<Integration>, Error> {
    sqlx::query_as!(
        Integration,
        r#"
        SELECT slug, name, categories, image, square_image, color
        FROM syncline.integrations
        WHERE $1::text IS NULL OR $1 = ANY(categories)
        ORDER BY lower(name), slug
        LIMIT $2
        "#,
        category,
        MOST
    )
    .fetch_all(conn)
    .await
    .during("list integrations")
}

/// When the list was read at Merge; `None`: not yet.
pub async fn refreshed_at(conn: &mut PgConnection) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!("SELECT refreshed_at FROM syncline.integrations_refresh")
        .fetch_one(conn)
        .await
        .during("read the age of the integrations")
}

/// Whether the list is older than `hours`, or was never read.
pub async fn is_old(conn: &mut PgConnection, hours: i32) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT refreshed_at IS NULL OR refreshed_at < now() - make_interval(hours => $1) AS "is_old!"
        FROM syncline.integrations_refresh
        "#,
        hours
    )
    .fetch_one(conn)
    .await
    .during("read the age of the integrations")
}

/// Puts a new list in the place of the old one. Give each slug once.
pub async fn replace(conn: &mut PgConnection, integrations: &[Integration]) -> Result<(), Error> {
    // First of all: of two who do this at once, one waits here.
    sqlx::query!("UPDATE syncline.integrations_refresh SET refreshed_at = now()")
        .execute(&mut *conn)
        .await
        .during("note the age of the integrations")?;
    sqlx::query!("DELETE FROM syncline.integrations")
        .execute(&mut *conn)
        .await
        .during("remove the old integrations")?;
    sqlx::query!(
        r#"
        INSERT INTO syncline.integrations (slug, name, categories, image, square_image, color)
        SELECT slug, name, categories, image, square_image, color
        FROM jsonb_to_recordset($1)
            AS listed (slug text, name text, categories text[], image text, square_image text, color text)
        "#,
        Json(integrations) as Json<&[Integration]>
    )
    .execute(conn)
    .await
    .during("store integrations")?;
    Ok(())
}
