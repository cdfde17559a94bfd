//! Secrets: those we were given, and whether they open what is stored.

use sqlx::PgConnection;
use store::{Keyring, linked_accounts, webhook_deliveries};

use super::Report;
use crate::config::Config;
use crate::ops::words::{ago, plural};
use crate::webhook_secrets::WebhookSecrets;

/// The keys that tokens are sealed with.
pub(super) fn keyring(report: &mut Report, config: &Config) -> Option<Keyring> {
    // That there are none was said of the settings.
    Keyring::parse(&config.encryption.keys)
        .inspect_err(|error| {
            let advice =
                "set SYNCLINE_ENCRYPTION_KEY to base64 of 32 bytes: `openssl rand -base64 32`";
            report.fail("encryption key", error.to_string(), advice);
        })
        .ok()
}

/// Whether it opens what is stored: a token for each key that one was sealed with.
pub(super) async fn stored(
    report: &mut Report,
    conn: &mut PgConnection,
    keyring: Option<&Keyring>,
) -> anyhow::Result<()> {
    let Some(keyring) = keyring else {
        return Ok(());
    };
    let accounts = linked_accounts::one_of_each_key(conn).await?;
    for id in &accounts {
        match linked_accounts::access(conn, keyring, *id).await {
            Ok(_) => {}
            Err(store::Error::Keyring(error)) => {
                let found = format!("the token of account {id} cannot be opened: {error}");
                let advice = "append the key that it was sealed with to SYNCLINE_ENCRYPTION_KEY, after a comma";
                report.fail("encryption key", found, advice);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    let found = match accounts.len() {
        0 => "no token is stored yet",
        _ => "it opens the tokens that are stored",
    };
    report.ok("encryption key", found);
    Ok(())
}

/// Whether webhooks can be verified, and when that was last done.
pub(super) async fn webhooks(
    report: &mut Report,
    conn: &mut PgConnection,
    config: &Config,
) -> anyhow::Result<()> {
    let secrets = WebhookSecrets::new(config.merge.webhook_secrets.clone()).active();
    if secrets.ids().is_empty() {
        let found =
            "there is none: every webhook is answered 500, and only polling keeps accounts in step";
        let advice = "set MERGE_WEBHOOK_SECRET to the signature key that Merge's dashboard shows";
        report.fail("webhook secret", found, advice);
        return Ok(());
    }
    let used = webhook_deliveries::secrets(conn).await?;
    let now = store::clock::now(conn).await?;
    let ours = used.iter().filter(|used| secrets.ids().contains(&used.id));
    let last = ours.map(|used| used.last_used_at).max();
    let last = last.map_or("never used yet".to_owned(), |at| {
        format!("last used {}", ago(at, now))
    });
    let count = plural(secrets.ids().len() as u64, "secret");
    report.ok("webhook secret", format!("{count}, {last}"));
    Ok(())
}
