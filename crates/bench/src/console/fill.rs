//! A million jobs that wait, a million that ended, and what belongs to them.

use anyhow::Result;

use crate::server::{Database, Server};

const ROWS: &str = include_str!("fill.sql");
/// The account that is looked at, one of 2,000.
pub(crate) const ACCOUNT: &str = "019a0000-0000-7000-8000-000000000007";
/// Its organization.
pub(crate) const ORGANIZATION: &str = "org_7";
/// A worker that ran an eighth of what ended.
pub(crate) const WORKER: &str = "0e9c1f60-0000-4000-8000-000000000003";

/// A migrated database with so many jobs that wait, and as many that ended; counted, vacuumed and analysed.
pub(crate) async fn database(server: &Server, many: u32) -> Result<Database> {
    let database = server.empty().await?;
    test_support::migrate(&database.url()).await?;
    // Its rows are of the last day: further back there is no partition of history.
    database
        .execute(&ROWS.replace("MANY", &many.to_string()))
        .await?;
    let pool = database.pool(1).await?;
    queue::counts::repair(&pool).await?;
    pool.close().await;
    database.settle().await?;
    Ok(database)
}
