//! The inbox: what Merge sent, kept before it is acknowledged, judged later.
//!
//! Bodies are sealed, since one of the events brings an account token. Receiving only appends; everything else is
//! found out, written and indexed when a delivery is judged.
//!
//! **Duplicates.** Merge repeats a delivery, but has no id for it: only the same body tells. The same body may also
//! be news again, since one shape of event says "done" and no time. So of those that wait, the first of a body is
//! judged and the others are put aside, since it is acted on later than all of them arrived; and of one that was acted
//! on before, [`Delivery::twin`] tells whoever judges the next.
//!
//! **Retention.** The table is divided by the day of arrival, and days are dropped whole.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::error::During;
use crate::{Aad, AccountId, DeliveryId, Error};

mod browsing;
mod judging;
mod receiving;

pub use browsing::{
    DeliveryFilter, DeliveryView, Replayed, SecretUse, Tally, find, list, open_body, replay,
    replay_between, secrets, tally, waiting_since,
};
pub use judging::{Delivery, Judgement, Twin, judge, unpark, waiting, waiting_shards};
pub use receiving::{NewDelivery, ensure_partitions, insert};

/// How many ways the inbox is divided, so that as many jobs can drain it side by side.
pub const SHARDS: u16 = 8;

/// What was decided about a delivery.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, sqlx::Type, utoipa::ToSchema, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing yet.
    Received,
    /// It was acted on.
    Processed,
    /// It asks for nothing: a test, an event that we do not use, an account being deleted.
    Ignored,
    /// It is about an account that is not linked yet, and is judged again when it is.
    Parked,
    /// It is about an account that we do not know. Judged again when we come to know it.
    UnknownAccount,
    /// Its body makes no sense.
    Unparseable,
    /// Another one said the same.
    Duplicate,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Received,
        Self::Processed,
        Self::Ignored,
        Self::Parked,
        Self::UnknownAccount,
        Self::Unparseable,
        Self::Duplicate,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Processed => "processed",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
            Self::UnknownAccount => "unknown_account",
            Self::Unparseable => "unparseable",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Drops the days that are wholly older than `age`, unless something of them still waits; returns how many.
pub async fn drop_old(conn: &mut PgConnection, age: Duration) -> Result<i32, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT syncline.drop_delivery_partitions(
            ((now() - make_interval(secs => $1)) AT TIME ZONE 'UTC')::date
        ) AS "dropped!"
        "#,
        age.as_secs_f64()
    )
    .fetch_one(conn)
    .await
    .during("drop old webhook deliveries")
}

/// Deletes the deliveries of one account, which hold its data.
pub async fn delete_of_account(
    conn: &mut PgConnection,
    account_id: AccountId,
) -> Result<u64, Error> {
    let deleted = sqlx::query!(
        r#"
        DELETE FROM syncline.webhook_deliveries
        WHERE account_id = $1
        "#,
        account_id as AccountId
    )
    .execute(conn)
    .await
    .during("delete the webhook deliveries of a linked account")?;
    Ok(deleted.rows_affected())
}

fn body_place(id: DeliveryId) -> Aad<'static> {
    Aad {
        table: "webhook_deliveries",
        column: "body",
        organization_id: "",
        row_id: id.0,
    }
}

#[cfg(test)]
mod tests;
