//! API keys: `sl_` + 43 characters of secret + 6 of checksum; at rest only a SHA-256 digest.
//!
//! The secret holds 256 bits, so a plain digest cannot be guessed back. The checksum tells a
//! mistyped or truncated key from an unknown one without asking the database.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

const PREFIX: &str = "sl_";
const SECRET_BYTES: usize = 32;
const SECRET_LENGTH: usize = 43;
const CHECKSUM_BYTES: usize = 4;
const LENGTH: usize = PREFIX.len() + SECRET_LENGTH + 6;

/// An API key that has the right form; whether it is known, its digest tells.
#[derive(Debug)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// A new key from the system's random source.
    pub fn generate() -> Self {
        let secret: [u8; SECRET_BYTES] = rand::random();
        let body = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
        let checksum = checksum(&body);
        Self(SecretString::from(body + &checksum))
    }

    /// Checks form and checksum.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != LENGTH || !text.is_ascii() || !text.starts_with(PREFIX) {
            return None;
        }
        let (body, given) = text.split_at(PREFIX.len() + SECRET_LENGTH);
        (checksum(body) == given).then(|| Self(SecretString::from(text)))
    }

    /// What the database keeps instead of the key.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }

    /// The first characters, by which people tell their keys apart; useless as a key.
    pub fn prefix(&self) -> &str {
        &self.0.expose_secret()[..PREFIX.len() + 8]
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

fn checksum(body: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..CHECKSUM_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_parses_and_a_damaged_one_does_not() {
        let key = ApiKey::generate();
        let text = key.expose().to_owned();
        assert_eq!(text.len(), LENGTH);
        assert_eq!(ApiKey::parse(&text).unwrap().digest(), key.digest());

        let mut damaged = text.clone();
        damaged.replace_range(10..11, if &text[10..11] == "A" { "B" } else { "A" });
        for wrong in [damaged.as_str(), &text[..51], "", "sl_", "sl_ü"] {
            assert!(ApiKey::parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_not_in_its_debug_text() {
        let key = ApiKey::generate();
        assert!(!format!("{key:?}").contains(key.expose()));
    }
}
