use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The header that carries the signature.
pub const HEADER: &str = "X-Merge-Webhook-Signature";

/// URL-safe base64. Written with padding, as Merge does; read with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a delivery cannot be trusted. Says nothing about keys or bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is absent.
    #[error("the signature header is missing")]
    Missing,
    /// The header is not the URL-safe base64 of 32 bytes.
    #[error("the signature is not URL-safe base64 of 32 bytes")]
    Malformed,
    /// No key gives this signature for this body.
    #[error("the signature fits none of the configured keys")]
    Mismatch,
}

/// The signature of a body: URL-safe base64, padded, of its HMAC-SHA256.
///
/// `key` is the text that Merge's dashboard shows; its UTF-8 bytes are the key. `body` is the raw body, byte for byte.
/// Source: Merge, "Webhook signatures", 2026.
pub fn sign(key: &str, body: &[u8]) -> String {
    BASE64.encode(digest(key, body))
}

/// Checks a delivery's signature and tells which key, by its place in `keys`, made it.
///
/// `header` is the value of [`HEADER`], `body` the bytes exactly as received. Padding is optional; hexadecimal, standard
/// base64 and other lengths are refused. Every key is tried, in constant time over the 32 bytes.
///
/// # Errors
/// [`SignatureError`] by the kind of fault; to the sender they all mean 401.
pub fn verify(
    keys: &[SecretString],
    header: Option<&[u8]>,
    body: &[u8],
) -> Result<usize, SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let received: [u8; 32] = BASE64
        .decode(header)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(SignatureError::Malformed)?;

    let mut matched = None;
    for (index, key) in keys.iter().enumerate() {
        let is_equal = bool::from(digest(key.expose_secret(), body).ct_eq(&received));
        if is_equal && matched.is_none() {
            matched = Some(index);
        }
    }
    matched.ok_or(SignatureError::Mismatch)
}

fn digest(key: &str, body: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::fixtures;

    #[test]
    fn signs_every_example_as_published() {
        let index = fixtures::index();

        for example in &index.files {
            assert_eq!(
                sign(&index.key, &example.body()),
                example.signature,
                "{}",
                example.file
            );
        }
        assert_eq!(index.files.len(), 30);
    }

    #[test]
    fn accepts_good_signatures_with_and_without_padding() {
        let index = fixtures::index();
        let keys = keys(&[&index.key]);

        for example in &index.files {
            for header in [&example.signature, &example.signature_unpadded] {
                let verdict = verify(&keys, Some(header.as_bytes()), &example.body());
                assert_eq!(verdict, Ok(0), "{} {header}", example.file);
            }
        }
    }

    #[test]
    fn refuses_bad_signatures() {
        let index = fixtures::index();
        let keys = keys(&[&index.key]);

        for example in &index.files {
            let body = example.body();
            for (name, header) in &example.reject {
                let verdict = verify(&keys, Some(header.as_bytes()), &body);
                assert!(verdict.is_err(), "{}: {name} was accepted", example.file);
            }
            if example.urlsafe_differs_from_standard {
                let header = example.standard_base64.as_bytes();
                assert_eq!(
                    verify(&keys, Some(header), &body),
                    Err(SignatureError::Malformed)
                );
            }
            assert_eq!(verify(&keys, None, &body), Err(SignatureError::Missing));
            assert_eq!(
                verify(&keys, Some(&[0xff, 0xfe]), &body),
                Err(SignatureError::Malformed)
            );
        }
    }

    #[test]
    fn refuses_a_changed_body_and_an_empty_list_of_keys() {
        let index = fixtures::index();
        let example = &index.files[0];
        let header = Some(example.signature.as_bytes());
        let mut body = example.body();

        assert_eq!(verify(&[], header, &body), Err(SignatureError::Mismatch));
        body.push(b'\n');
        assert_eq!(
            verify(&keys(&[&index.key]), header, &body),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn tells_which_key_matched_while_rotating() {
        let keys = keys(&["new-key", "old-key"]);
        let body = b"{}";

        assert_eq!(
            verify(&keys, Some(sign("new-key", body).as_bytes()), body),
            Ok(0)
        );
        assert_eq!(
            verify(&keys, Some(sign("old-key", body).as_bytes()), body),
            Ok(1)
        );
    }

    fn keys(keys: &[&str]) -> Vec<SecretString> {
        keys.iter().map(|key| SecretString::from(*key)).collect()
    }
}
