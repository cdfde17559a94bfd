//! Secrets at rest: sealed with an authenticated cipher, and bound to their place.
//!
//! A sealed secret opens only in the row, column and organization that it was sealed for: these are the
//! *associated data* of the cipher, so a copy in another row is refused, not decrypted. The cipher is
//! XChaCha20-Poly1305 with a random nonce of 24 bytes, which may be drawn for as many messages as we like.
//!
//! Several keys are held while rotating: the first seals, each opens what it once sealed. What is stored
//! beside the sealed bytes is the *key id*, a short hash of the key, so that order and number may change.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, AeadInOut, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use rand::Rng;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The layout of sealed bytes: version, nonce, ciphertext with its tag.
const VERSION: u8 = 1;
const NONCE_LENGTH: usize = 24;
const TAG_LENGTH: usize = 16;
const KEY_LENGTH: usize = 32;

/// Where a secret lives. It opens there and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Aad<'a> {
    /// The table, or what stands for one.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The organization that the row belongs to; empty when the row belongs to none.
    pub organization_id: &'a str,
    /// The row's id; nil when the secret is not in a row yet.
    pub row_id: Uuid,
}

impl Aad<'_> {
    /// The bytes that the cipher authenticates. Each part is preceded by its length, so that no two places
    /// have the same bytes.
    fn encode(&self, key_id: &str) -> Vec<u8> {
        let parts: [&[u8]; 5] = [
            self.table.as_bytes(),
            self.column.as_bytes(),
            self.organization_id.as_bytes(),
            self.row_id.as_bytes(),
            key_id.as_bytes(),
        ];
        let mut bytes = vec![VERSION];
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

/// A sealed secret, safe to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key sealed it.
    pub key_id: String,
    /// Version, nonce, ciphertext.
    pub bytes: Vec<u8>,
}

/// The encryption keys. Neither `Debug` nor an error shows any of them.
pub struct Keyring {
    keys: Vec<Key>,
}

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
    fingerprinting: SecretSlice<u8>,
}

impl Keyring {
    /// Reads keys as base64 of 32 bytes each, separated by commas; the first seals.
    ///
    /// # Errors
    /// [`KeyringError::NoKey`], [`KeyringError::BadKey`] with the position of the key at fault, and
    /// [`KeyringError::RepeatedKey`].
    pub fn parse(keys: &SecretString) -> Result<Self, KeyringError> {
        let mut parsed: Vec<Key> = Vec::new();
        let texts = keys
            .expose_secret()
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty());
        for (index, text) in texts.enumerate() {
            let position = index + 1;
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| KeyringError::BadKey { position })?;
            let key = Key::new(&bytes).ok_or(KeyringError::BadKey { position })?;
            if parsed.iter().any(|other| other.id == key.id) {
                return Err(KeyringError::RepeatedKey { position });
            }
            parsed.push(key);
        }
        if parsed.is_empty() {
            return Err(KeyringError::NoKey);
        }
        Ok(Self { keys: parsed })
    }

    /// A keyring of one random key, for tests and for a demo that keeps nothing.
    ///
    /// # Panics
    /// Never: the key has the right length.
    pub fn random() -> Self {
        let mut bytes = [0; KEY_LENGTH];
        rand::rng().fill_bytes(&mut bytes);
        Self {
            keys: vec![Key::new(&bytes).expect("32 bytes are a key")],
        }
    }

    /// The id of the key that seals.
    pub fn key_id(&self) -> &str {
        &self.first().id
    }

    /// Seals a secret for one place, with the first key.
    ///
    /// # Errors
    /// [`KeyringError::TooLong`] beyond the cipher's limit of 256 GiB.
    pub fn seal(&self, aad: &Aad<'_>, plaintext: &[u8]) -> Result<Sealed, KeyringError> {
        let key = self.first();
        let mut nonce = [0; NONCE_LENGTH];
        rand::rng().fill_bytes(&mut nonce);
        let mut bytes = Vec::with_capacity(1 + NONCE_LENGTH + plaintext.len() + TAG_LENGTH);
        bytes.push(VERSION);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plaintext);
        let (aad, text) = (aad.encode(&key.id), &mut bytes[1 + NONCE_LENGTH..]);
        let tag = key
            .cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &aad, text.into())
            .map_err(|_| KeyringError::TooLong)?;
        bytes.extend_from_slice(&tag);
        Ok(Sealed {
            key_id: key.id.clone(),
            bytes,
        })
    }

    /// Opens what [`Self::seal`] sealed for the same place.
    ///
    /// # Errors
    /// [`KeyringError::UnknownKey`] when the key that sealed it is not held any more;
    /// [`KeyringError::Refused`] when the bytes were altered, or sealed for another place.
    pub fn open(
        &self,
        aad: &Aad<'_>,
        key_id: &str,
        sealed: &[u8],
    ) -> Result<SecretSlice<u8>, KeyringError> {
        let key = self
            .keys
            .iter()
            .find(|key| key.id == key_id)
            .ok_or_else(|| KeyringError::UnknownKey {
                key_id: key_id.to_owned(),
            })?;
        let (version, rest) = sealed.split_first().ok_or(KeyringError::Refused)?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_LENGTH>()
            .ok_or(KeyringError::Refused)?;
        if *version != VERSION {
            return Err(KeyringError::Refused);
        }
        let payload = Payload {
            msg: ciphertext,
            aad: &aad.encode(&key.id),
        };
        let plaintext = key
            .cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| KeyringError::Refused)?;
        Ok(plaintext.into())
    }

    /// A keyed hash by which a secret can be found again without being readable: of the first key.
    ///
    /// Store this one; look for any of [`Self::fingerprints`].
    pub fn fingerprint(&self, bytes: &[u8]) -> [u8; 32] {
        self.first().fingerprint(bytes)
    }

    /// The fingerprints of a secret under each key, so that one stored before a rotation is found.
    pub fn fingerprints(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.keys
            .iter()
            .map(|key| key.fingerprint(bytes).to_vec())
            .collect()
    }

    fn first(&self) -> &Key {
        self.keys.first().expect("a keyring holds at least one key")
    }
}

impl Key {
    /// `None` when the length is wrong.
    fn new(bytes: &[u8]) -> Option<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).ok()?;
        let id = Sha256::new()
            .chain_update(b"syncline key id")
            .chain_update(bytes)
            .finalize();
        let fingerprinting = keyed_hash(bytes, b"syncline fingerprint");
        Some(Self {
            id: crate::hex(&id[..6]),
            cipher,
            fingerprinting: fingerprinting.to_vec().into(),
        })
    }

    fn fingerprint(&self, bytes: &[u8]) -> [u8; 32] {
        keyed_hash(self.fingerprinting.expose_secret(), bytes)
    }
}

fn keyed_hash(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Keyring")
            .field("key_ids", &ids)
            .finish_non_exhaustive()
    }
}

/// Why a keyring could not be read, or a secret not be sealed or opened. Shows no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The setting is empty.
    #[error("no encryption key is given")]
    NoKey,
    /// A key is not base64 of 32 bytes.
    #[error("encryption key {position} is not base64 of 32 bytes")]
    BadKey {
        /// Counted from 1.
        position: usize,
    },
    /// A key is given twice.
    #[error("encryption key {position} repeats an earlier one")]
    RepeatedKey {
        /// Counted from 1.
        position: usize,
    },
    /// The key that sealed it is not held.
    #[error("no encryption key with id `{key_id}` is given")]
    UnknownKey {
        /// The id stored beside the sealed bytes.
        key_id: String,
    },
    /// The sealed bytes do not open here.
    #[error("the sealed secret was altered, or belongs elsewhere")]
    Refused,
    /// More than the cipher can take.
    #[error("the secret is too long to be sealed")]
    TooLong,
}

#[cfg(test)]
mod tests;
