//! The one clock that all processes share.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::Error;
use crate::error::During as _;

/// What the database's clock shows, whatever transaction it is asked in.
///
/// # Errors
/// [`Error::Database`].
pub async fn now(conn: &mut PgConnection) -> Result<DateTime<Utc>, Error> {
    sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
        .fetch_one(conn)
        .await
        .during("read the clock")
}
