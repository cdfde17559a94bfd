//! The id that names one request in our logs, in its answer, and in the caller's own logs.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Taken from the caller, and given back.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// At most so many characters are taken over from a caller.
const MAX_LENGTH: usize = 128;

/// The caller's own id if it is harmless to log, else a fresh UUID (version 7).
#[derive(Debug, Clone)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// Reads the header, or makes an id.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        headers
            .get(HEADER)
            .filter(|value| is_harmless(value))
            .cloned()
            .map_or_else(Self::fresh, Self)
    }

    fn fresh() -> Self {
        let id = Uuid::now_v7().to_string();
        Self(HeaderValue::from_str(&id).expect("a UUID is visible ASCII"))
    }

    /// The id as text.
    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().expect("checked when it was made")
    }

    /// The id as the value of its header.
    pub(super) fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Letters, digits and a few signs: nothing that could forge a line of a log.
fn is_harmless(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= MAX_LENGTH
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_harmless_id_and_replaces_any_other() {
        let given = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(value));
            RequestId::of(&headers).as_str().to_owned()
        };

        assert_eq!(given("abc-123_Z.9"), "abc-123_Z.9");
        assert_ne!(given("two words"), "two words");
        assert_ne!(given(""), "");
        assert!(Uuid::parse_str(RequestId::of(&HeaderMap::new()).as_str()).is_ok());
    }
}
