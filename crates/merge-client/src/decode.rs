//! JSON to types, with errors that name the place and never the value.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer};

use url::Url;

use crate::Error;

/// Longest path shown: its keys come from the far side.
const MAX_PATH_CHARS: usize = 120;

/// Reads a whole body. Nesting is bounded by serde_json's own limit of 128.
pub(crate) fn json<'de, T: Deserialize<'de>>(endpoint: &str, body: &'de [u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        fault(endpoint, &path, error.inner())
    })?;
    deserializer
        .end()
        .map_err(|error| fault(endpoint, ".", &error))?;
    Ok(value)
}

/// The error for one place of a body.
pub(crate) fn fault(endpoint: &str, path: &str, error: &serde_json::Error) -> Error {
    Error::Decode {
        endpoint: endpoint.to_owned(),
        path: path.chars().take(MAX_PATH_CHARS).collect(),
        reason: reason(error),
    }
}

/// What was expected; serde's own text may quote the value that was found, which may be a secret.
fn reason(error: &serde_json::Error) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => format!("the JSON ends too early, at {place}"),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
            format!("broken JSON at {place}")
        }
        serde_json::error::Category::Data => {
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            match text.rsplit_once(", expected ") {
                Some((_, expected)) => format!("expected {expected}"),
                None if text.starts_with("missing field ") => text.to_owned(),
                None => "not of the expected form".to_owned(),
            }
        }
    }
}

/// The cursor in a `next`: bare, or the `cursor` parameter of a URL, whose host is of no interest.
///
/// # Errors
/// [`Error::Decode`] for a URL without one: taking it for the end would lose the pages behind it.
pub(crate) fn cursor(endpoint: &str, next: Option<String>) -> Result<Option<String>, Error> {
    let Some(next) = next.filter(|next| !next.is_empty()) else {
        return Ok(None);
    };
    let is_url = next.starts_with("http://") || next.starts_with("https://");
    if !is_url {
        return Ok(Some(next));
    }
    let found = Url::parse(&next).ok().and_then(|url| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(name, value)| name == "cursor" && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    });
    found.map(Some).ok_or_else(|| Error::Decode {
        endpoint: endpoint.to_owned(),
        path: "next".to_owned(),
        reason: "expected a cursor or a URL with one".to_owned(),
    })
}

/// A time as Merge writes it: RFC 3339; without an offset it is taken as UTC.
pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.into());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .ok()
        .map(|time| time.and_utc())
}

/// An optional time; a text that is none is an error.
pub(crate) fn time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<DateTime<Utc>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    parse_time(&text)
        .map(Some)
        .ok_or_else(|| serde::de::Error::custom("not a time, expected a time in RFC 3339"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[expect(dead_code, reason = "only its decoding matters here")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(rename = "id")]
        _id: String,
        #[serde(rename = "at", default, deserialize_with = "time")]
        _at: Option<DateTime<Utc>>,
    }

    #[test]
    fn errors_name_the_place_and_never_the_value() {
        for (body, path, reason) in [
            (
                r#"{"inner": [{"id": "a"}, {"id": 77001}]}"#,
                "inner[1].id",
                "expected a string",
            ),
            (
                r#"{"inner": "canary, expected x"}"#,
                "inner",
                "expected a sequence",
            ),
            (r#"{"inner": [{}]}"#, "inner[0]", "missing field `id`"),
            (
                r#"{"inner": [{"id": "a", "at": "canary"}]}"#,
                "inner[0].at",
                "expected a time in RFC 3339",
            ),
            (
                r#"{"inner": [{"id": "can"#,
                "inner[0].id",
                "the JSON ends too early, at line 1 column 22",
            ),
            (
                r#"{"inner": []} canary"#,
                ".",
                "broken JSON at line 1 column 15",
            ),
            ("<html>", ".", "broken JSON at line 1 column 1"),
        ] {
            let error = json::<Outer>("GET x", body.as_bytes()).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(
                !text.contains("canary") && !text.contains("77001"),
                "{text}"
            );
            let Error::Decode {
                path: found,
                reason: why,
                ..
            } = error
            else {
                panic!("{error:?}");
            };
            assert_eq!((found.as_str(), why.as_str()), (path, reason), "{body}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_overflow() {
        let body = "[".repeat(100_000);

        let error = json::<serde_json::Value>("GET x", body.as_bytes()).unwrap_err();

        assert!(matches!(error, Error::Decode { .. }));
    }

    #[test]
    fn a_next_is_a_cursor_or_a_url_that_holds_one() {
        for (next, expected) in [
            (None, Some(None)),
            (Some(""), Some(None)),
            (Some("cD0yMDI2LTAy"), Some(Some("cD0yMDI2LTAy"))),
            (Some("/+="), Some(Some("/+="))),
            (
                Some("https://evil.test/x?page_size=1&cursor=a%2Bb%3D"),
                Some(Some("a+b=")),
            ),
            (Some("https://evil.test/x?page=2"), None),
            (Some("http://"), None),
        ] {
            let found = cursor("GET x", next.map(str::to_owned)).ok();
            assert_eq!(
                found,
                expected.map(|cursor| cursor.map(str::to_owned)),
                "{next:?}"
            );
        }
    }

    #[test]
    fn times_with_and_without_an_offset_mean_utc() {
        for text in [
            "2026-02-04T03:16:41.5Z",
            "2026-02-04T04:16:41.5+01:00",
            "2026-02-04T03:16:41.5",
        ] {
            assert_eq!(
                parse_time(text).unwrap().to_rfc3339(),
                "2026-02-04T03:16:41.500+00:00"
            );
        }
        assert_eq!(parse_time("yesterday"), None);
    }
}
