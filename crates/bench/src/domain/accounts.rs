//! The database that every round begins with: accounts that are linked, and nothing of theirs read.

use std::time::Duration;

use anyhow::{Result, ensure};
use jobs::poll_sync_status::PollSyncStatus;
use merge_sandbox::{ControlClient, LinkAccount};
use queue::NewJob;
use secrecy::SecretString;
use sqlx::{Connection as _, PgConnection};
use store::linked_accounts::{self, LinkOutcome, Linked, NewAccount};
use store::{AccountId, Keyring};

use super::CATEGORY;
use super::far_side::FarSide;
use crate::server::{Database, Server};
use crate::service;

/// Longer than any first sync of the sandbox takes.
const FIRST_SYNC: Duration = Duration::from_mins(1);

/// Where the pages in memory go, with what the product's table has.
const BY_HAND: &str = "CREATE TABLE by_hand (LIKE syncline.model_records INCLUDING ALL)";

/// A migrated database with so many accounts, to be copied. All their first syncs have ended at the far side, and
/// the job that asks for the sync status waits for each.
pub(crate) async fn template(
    server: &Server,
    far_side: &FarSide,
    accounts: u32,
) -> Result<Database> {
    let database = server.empty().await?;
    test_support::migrate(&database.url()).await?;
    database.execute(BY_HAND).await?;
    let keyring = Keyring::parse(&SecretString::from(service::ENCRYPTION_KEY))?;
    let mut connection = database.connect().await?;
    for number in 0..accounts {
        link(&mut connection, &keyring, &far_side.control, number).await?;
    }
    connection.close().await?;
    far_side.control.advance(FIRST_SYNC).await?;
    database.settle().await?;
    Ok(database)
}

/// Links an account on both sides, as the jobs of a link do between them.
async fn link(
    connection: &mut PgConnection,
    keyring: &Keyring,
    control: &ControlClient,
    number: u32,
) -> Result<()> {
    let organization_id = format!("org_{number}");
    let mut tx = connection.begin().await?;
    let new = NewAccount {
        id: AccountId::new(),
        organization_id: &organization_id,
        category: CATEGORY,
        end_user_origin_id: &format!("origin_{number}"),
        user_id: None,
        display_name: None,
        integration: None,
        end_user_organization_name: "Harbor & Fjord",
        end_user_email_address: "it@harbor.example",
    };
    let pending = linked_accounts::prepare_pending(&mut tx, &new).await?;
    let there = LinkAccount {
        category: CATEGORY.to_owned(),
        end_user_origin_id: pending.end_user_origin_id,
        integration: None,
        plan: None,
    };
    let there = control.link_account(&there).await?;
    let linked = Linked {
        merge_account_id: Some(&there.id.to_string()),
        merge_status: Some("COMPLETE"),
        integration_name: None,
        integration_slug: None,
        account_token: &SecretString::from(there.account_token),
    };
    let outcome = linked_accounts::link(&mut tx, keyring, pending.id, &linked).await?;
    ensure!(
        outcome == LinkOutcome::Linked,
        "account {number} is not linked: {outcome:?}"
    );
    let poll = NewJob::new(&PollSyncStatus {
        account_id: pending.id,
    })?
    .organization(&organization_id);
    queue::enqueue(&mut *tx, &poll).await?;
    tx.commit().await?;
    Ok(())
}
