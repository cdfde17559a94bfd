//! The active signing secrets of webhooks: which there are, what they are called, and how they change while we run.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use merge_client::webhook::{self, SignatureError};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::Sources;

/// How often the files that secrets may stand in are read again.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);

/// The secrets of a process; clones share them.
#[derive(Debug, Clone)]
pub struct WebhookSecrets(Arc<RwLock<Arc<Active>>>);

/// The secrets of one moment. `Debug` shows their ids.
pub struct Active {
    ids: Vec<String>,
    secrets: Vec<SecretString>,
}

impl WebhookSecrets {
    /// These secrets, for a start.
    pub fn new(secrets: Vec<SecretString>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(Active::of(secrets)))))
    }

    /// Those that are active now. Whoever verifies keeps to one set from the beginning to the end.
    pub fn active(&self) -> Arc<Active> {
        let active = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&active)
    }

    /// Puts others in their place, from the next delivery on.
    pub fn replace(&self, secrets: Vec<SecretString>) {
        let new = Active::of(secrets);
        if new.ids == self.active().ids {
            return;
        }
        tracing::info!(secrets = ?new.ids, "webhook secrets changed");
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
    }

    /// Follows the files that secrets stand in, until `shutdown`. While one cannot be read the secrets stay as they are.
    pub async fn follow(&self, sources: &Sources, shutdown: CancellationToken) {
        let mut last_fault = String::new();
        let pause = || shutdown.run_until_cancelled(tokio::time::sleep(RELOAD_INTERVAL));
        while pause().await.is_some() {
            match sources.webhook_secrets() {
                Ok(secrets) => {
                    last_fault.clear();
                    self.replace(secrets);
                }
                Err(error) => {
                    let fault = error.to_string();
                    if fault != last_fault {
                        tracing::error!(%error, "cannot read the webhook secrets again");
                        last_fault = fault;
                    }
                }
            }
        }
    }
}

impl Active {
    fn of(secrets: Vec<SecretString>) -> Self {
        let ids = secrets.iter().map(id).collect();
        Self { ids, secrets }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Their ids, newest first.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The id of the secret that signed a body.
    ///
    /// # Errors
    /// [`SignatureError`] when none did.
    pub fn verify(&self, signature: &[u8], body: &[u8]) -> Result<&str, SignatureError> {
        let index = webhook::verify(&self.secrets, Some(signature), body)?;
        Ok(&self.ids[index])
    }
}

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(&self.ids).finish()
    }
}

/// What a secret is called: a short hash, the same in every process, that leads nobody back.
fn id(secret: &SecretString) -> String {
    let hash = Sha256::new()
        .chain_update(b"syncline webhook secret id")
        .chain_update(secret.expose_secret())
        .finalize();
    hash[..6].iter().fold(String::new(), |mut id, byte| {
        // Writing to a string does not fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    #[test]
    fn each_secret_is_known_by_its_own_id_whatever_its_place() {
        let one = Active::of(secrets(&["new", "old"]));
        let other = Active::of(secrets(&["old"]));
        let signature = webhook::sign("old", b"{}");

        assert_eq!(
            one.verify(signature.as_bytes(), b"{}"),
            Ok(one.ids[1].as_str())
        );
        assert_eq!(one.ids[1], other.ids[0]);
        assert_ne!(one.ids[0], one.ids[1]);
        assert!(!format!("{one:?}").contains("old"));
    }

    #[test]
    fn a_replaced_secret_is_refused_from_then_on() {
        let shared = WebhookSecrets::new(secrets(&["old"]));
        let signature = webhook::sign("old", b"{}");
        assert!(shared.active().verify(signature.as_bytes(), b"{}").is_ok());

        shared.clone().replace(secrets(&["new"]));

        assert_eq!(
            shared.active().verify(signature.as_bytes(), b"{}"),
            Err(SignatureError::Mismatch)
        );
    }
}
