use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::Keyring;

use super::{Fault, Need};

/// Secrets at rest. See `config/default.toml` for each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// Keys in base64, separated by commas, the first of which encrypts: input of [`Keyring::parse`]. Empty only for
    /// commands that decrypt nothing.
    pub keys: SecretString,
}

impl Encryption {
    pub(super) fn check(&self, need: Need) -> Result<(), Fault> {
        const KEY: &str = "encryption.keys";
        const HOW: &str = "make one with `openssl rand -base64 32`";
        if self.keys.expose_secret().is_empty() {
            let set = "not set; set SYNCLINE_ENCRYPTION_KEY or SYNCLINE_ENCRYPTION_KEY_FILE";
            return Fault::unless(need == Need::Database, KEY, &format!("{set}; {HOW}"));
        }
        match Keyring::parse(&self.keys) {
            Ok(_) => Ok(()),
            Err(error) => Err(Fault {
                key: KEY,
                reason: format!("{error}; {HOW}"),
            }),
        }
    }
}
