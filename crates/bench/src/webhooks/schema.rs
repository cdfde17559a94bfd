//! The database that every round begins with.

use anyhow::Result;

use crate::server::{Database, Server};

/// Linked accounts that the webhooks are about.
pub(crate) const ACCOUNTS: u32 = 200;

/// What the bare contenders write, and our accounts.
const PREPARED: &str = "
    CREATE TABLE whole (id uuid PRIMARY KEY, received_at timestamptz NOT NULL DEFAULT now(), hash bytea NOT NULL,
        body bytea NOT NULL) WITH (toast_tuple_target = 8160);
    ALTER TABLE whole ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE TABLE narrow (id uuid PRIMARY KEY);
    INSERT INTO syncline.linked_accounts (id, organization_id, category, end_user_origin_id,
        end_user_organization_name, end_user_email_address, status, merge_account_id, account_token_sealed,
        account_token_key_id, account_token_hash, initial_sync_completed_at)
    SELECT gen_random_uuid(), 'org_' || n, 'hris', 'origin_' || n, 'Customer', 'it@customer.example', 'active',
        'account_' || n, 'sealed', 'key', 'hash', now()
    FROM generate_series(0, 199) AS n";

/// A migrated database with accounts, to be copied.
pub(crate) async fn template(server: &Server) -> Result<Database> {
    let database = server.empty().await?;
    test_support::migrate(&database.url()).await?;
    database.execute(PREPARED).await?;
    database.settle().await?;
    Ok(database)
}

/// Deliveries that wait already. Nothing opens them, which costs a worker what every delivery costs but the acting.
pub(crate) async fn add_backlog(database: &Database, deliveries: i32) -> Result<()> {
    let insert = format!(
        "INSERT INTO syncline.webhook_deliveries (id, shard, body_hash, body_sealed, body_key_id, secret_id)
         SELECT gen_random_uuid(), n % 8, sha256(n::text::bytea), repeat('x', 2048)::bytea, 'key', 'secret'
         FROM generate_series(1, {deliveries}) AS n"
    );
    database.execute(&insert).await?;
    database.settle().await
}
