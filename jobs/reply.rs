//! Link tokens on their way to the request that waits, readable by nobody else.
//!
//! The request makes a key pair that lives as long as it does, and gives the public half along with the job.
//! The job seals the link token to it (HPKE, RFC 9180, base mode: X25519, HKDF-SHA256, ChaCha20-Poly1305) for that
//! job alone: the job's id is authenticated. What is stored for a moment is the encapsulated key of 32 bytes followed
//! by the ciphertext; what is inside is `{"link_token": "…"}`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256};
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use queue::JobId;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;

/// What the keys are for.
const INFO: &[u8] = b"syncline link token";
/// Length of an encapsulated X25519 key.
const ENCAPPED_LENGTH: usize = 32;

/// The private half, held by the request that waits and gone with it.
pub struct ReplyKey(PrivateKey);

impl ReplyKey {
    /// A new pair: the private half to keep, the public half, in base64, for the job's payload.
    pub fn generate() -> (Self, String) {
        let (private, public) = X25519HkdfSha256::gen_keypair();
        (Self(private), STANDARD.encode(public.to_bytes()))
    }

    /// Opens what [`seal_link_token`] sealed to this key for this job.
    ///
    /// # Errors
    /// [`ReplyError::Refused`] when it was altered, or sealed to another key or for another job.
    pub fn open(&self, job_id: JobId, sealed: &[u8]) -> Result<SecretString, ReplyError> {
        let (encapped, ciphertext) = sealed
            .split_at_checked(ENCAPPED_LENGTH)
            .ok_or(ReplyError::Refused)?;
        let encapped = EncappedKey::from_bytes(encapped).map_err(|_| ReplyError::Refused)?;
        let plaintext = hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
            &OpModeR::Base,
            &self.0,
            &encapped,
            INFO,
            ciphertext,
            job_id.0.as_bytes(),
        )
        .map_err(|_| ReplyError::Refused)?;
        let reply: Reply = serde_json::from_slice(&plaintext).map_err(|_| ReplyError::Refused)?;
        Ok(reply.link_token.into())
    }
}

impl fmt::Debug for ReplyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyKey").finish_non_exhaustive()
    }
}

/// Seals a link token to the public key of the request that waits for this job.
///
/// # Errors
/// [`ReplyError::BadKey`] when the key is not base64 of an X25519 public key.
pub fn seal_link_token(
    reply_key: &str,
    job_id: JobId,
    link_token: &SecretString,
) -> Result<Vec<u8>, ReplyError> {
    let key = STANDARD.decode(reply_key).map_err(|_| ReplyError::BadKey)?;
    let key = PublicKey::from_bytes(&key).map_err(|_| ReplyError::BadKey)?;
    let reply = Reply {
        link_token: link_token.expose_secret().to_owned(),
    };
    let plaintext = serde_json::to_vec(&reply).map_err(|_| ReplyError::Refused)?;
    let (encapped, ciphertext) = hpke::single_shot_seal::<
        ChaCha20Poly1305,
        HkdfSha256,
        X25519HkdfSha256,
    >(&OpModeS::Base, &key, INFO, &plaintext, job_id.0.as_bytes())
    .map_err(|_| ReplyError::BadKey)?;
    let mut sealed = encapped.to_bytes().to_vec();
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

#[derive(Serialize, Deserialize)]
struct Reply {
    link_token: String,
}

/// Why a link token could not be sealed or opened. Shows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The public key is none.
    #[error("the reply key is not base64 of an X25519 public key")]
    BadKey,
    /// It was altered, or is for another key or job.
    #[error("the sealed link token was altered, or is meant for another request")]
    Refused,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn job(number: u128) -> JobId {
        JobId(Uuid::from_u128(number))
    }

    #[test]
    fn the_one_who_waits_can_read_it() {
        let (key, public) = ReplyKey::generate();

        let sealed = seal_link_token(&public, job(1), &"lt_secret".into()).unwrap();

        assert_eq!(
            key.open(job(1), &sealed).unwrap().expose_secret(),
            "lt_secret"
        );
        assert!(!sealed.windows(9).any(|part| part == b"lt_secret"));
    }

    #[test]
    fn nobody_else_can() {
        let (key, public) = ReplyKey::generate();
        let (other, _) = ReplyKey::generate();
        let sealed = seal_link_token(&public, job(1), &"lt_secret".into()).unwrap();
        let mut altered = sealed.clone();
        *altered.last_mut().unwrap() ^= 1;

        assert_eq!(other.open(job(1), &sealed).err(), Some(ReplyError::Refused));
        assert_eq!(key.open(job(2), &sealed).err(), Some(ReplyError::Refused));
        assert_eq!(key.open(job(1), &altered).err(), Some(ReplyError::Refused));
        assert_eq!(
            key.open(job(1), &sealed[..20]).err(),
            Some(ReplyError::Refused)
        );
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for key in ["", "not base64!", "c2hvcnQ="] {
            let sealed = seal_link_token(key, job(1), &"lt_secret".into());
            assert_eq!(sealed.err(), Some(ReplyError::BadKey));
        }
    }
}
