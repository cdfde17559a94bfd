//! Signing secrets, and what is signed with them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// Bytes of a new secret. The convention asks for 24 to 64.
const LENGTH: usize = 32;

/// A signing secret, shared with an endpoint. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// A new one from the system's random source.
    pub fn generate() -> Self {
        let bytes: [u8; LENGTH] = rand::random();
        Self(bytes.to_vec().into())
    }

    /// One that was made before, by its bytes.
    pub fn from_bytes(bytes: SecretSlice<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be sealed.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// As people and libraries are given it: `whsec_` and base64.
    pub fn to_text(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.bytes())).into()
    }

    /// The signature of a message: `v1,` and base64.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mac =
            Hmac::<Sha256>::new_from_slice(self.bytes()).expect("HMAC takes keys of any length");
        let signature = mac
            .chain_update(format!("{id}.{timestamp}."))
            .chain_update(body)
            .finalize()
            .into_bytes();
        format!("v1,{}", STANDARD.encode(signature))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    #[test]
    fn a_secret_has_the_form_of_the_convention_and_is_not_shown_by_debug() {
        let secret = Secret::generate();
        let text = secret.to_text().expose_secret().to_owned();

        let encoded = text.strip_prefix("whsec_").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), secret.bytes());
        assert_eq!(secret.bytes().len(), 32);
        assert_ne!(secret.bytes(), Secret::generate().bytes());
        assert!(!format!("{secret:?}").contains(encoded));
    }

    #[test]
    fn the_example_of_the_convention_is_signed_as_it_says() {
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = Secret::from_bytes(bytes.into());

        let signature = secret.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );

        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    proptest! {
        #[test]
        fn another_implementation_signs_the_same(
            id in "[a-z]{3}_[0-9]{1,18}", timestamp in 0_i64..4_000_000_000, body in "\\PC{0,200}",
        ) {
            let secret = Secret::generate();
            let other = Webhook::new(secret.to_text().expose_secret()).unwrap();

            let expected = other.sign(&id, timestamp, body.as_bytes()).unwrap();

            prop_assert_eq!(secret.sign(&id, timestamp, body.as_bytes()), expected);
        }
    }
}
