use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// The secret that stands for one linked account at Merge. Its `Debug` shows nothing of it.
///
/// It survives a relink, but can be replaced by hand at Merge: treat it as replaceable, and store it encrypted.
#[derive(Clone)]
pub struct AccountToken(SecretString);

impl AccountToken {
    /// Wraps a token as Merge gave it.
    pub fn new(token: String) -> Self {
        Self(token.into())
    }

    /// The token itself, to be encrypted or sent.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for AccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountToken([REDACTED])")
    }
}

impl<'de> serde::Deserialize<'de> for AccountToken {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
