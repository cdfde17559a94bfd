//! Cursors: the place after the last thing of a page, opaque to the caller.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

/// A place in a list, written as URL-safe base64 of its JSON.
///
/// It names no more than a place: whose list is read, the other parameters decide, so that a
/// made-up cursor shows nothing that an honest one would not.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Cursor<T>(pub(super) T);

impl<T: fmt::Debug> fmt::Debug for Cursor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize> Serialize for Cursor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = serde_json::to_vec(&self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Cursor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let json = URL_SAFE_NO_PAD.decode(text).ok();
        let place = json.and_then(|json| serde_json::from_slice(&json).ok());
        place
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("must be a cursor that we gave"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_a_made_up_one_is_refused() {
        let cursor = Cursor((7_u8, "ü/?".to_owned()));
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(
            serde_json::from_str::<Cursor<(u8, String)>>(&text).unwrap(),
            cursor
        );

        for wrong in [r#""""#, r#""!""#, r#""e30""#, r#""AAAA""#] {
            assert!(
                serde_json::from_str::<Cursor<(u8, String)>>(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
