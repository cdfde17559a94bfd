use std::time::Duration;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// The longest wait believed. A longer one is asked again after it.
const MAX: Duration = Duration::from_hours(1);

/// How long the answer asks us to wait: `Retry-After` in seconds or as a date, else `X-RateLimit-Reset` in Unix seconds.
///
/// Points in time are measured from the answer's own `Date`, so that our clock plays no part; without it they say
/// nothing. Order of the headers as in Merge's SDKs.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let now = || text(DATE.as_str()).and_then(http_date);
    let until = |then: DateTime<Utc>| Some((then - now()?).to_std().unwrap_or_default());

    let retry_after = text(RETRY_AFTER.as_str()).and_then(|value| match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds.min(MAX.as_secs_f64())).ok(),
        Err(_) => until(http_date(value)?),
    });
    let reset = || {
        until(DateTime::from_timestamp(
            text("x-ratelimit-reset")?.parse().ok()?,
            0,
        )?)
    };
    retry_after.or_else(reset).map(|wait| wait.min(MAX))
}

/// A date as HTTP writes it, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 22 Nov 2026 10:00:00 GMT";

    #[test]
    fn reads_every_form() {
        let reset = "1795341660"; // 2026-11-22 10:01:00 UTC
        for (headers, seconds) in [
            (&[("retry-after", "7")][..], Some(7.0)),
            (&[("retry-after", " 0.5 ")], Some(0.5)),
            (&[("retry-after", "0")], Some(0.0)),
            (
                &[
                    ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT"),
                    ("date", NOW),
                ],
                Some(30.0),
            ),
            (
                &[
                    ("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT"),
                    ("date", NOW),
                ],
                Some(0.0),
            ),
            (&[("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT")], None),
            (&[("x-ratelimit-reset", reset), ("date", NOW)], Some(60.0)),
            (
                &[
                    ("retry-after", "5"),
                    ("x-ratelimit-reset", reset),
                    ("date", NOW),
                ],
                Some(5.0),
            ),
            (
                &[
                    ("retry-after", "soon"),
                    ("x-ratelimit-reset", reset),
                    ("date", NOW),
                ],
                Some(60.0),
            ),
            (&[("retry-after", "999999999999")], Some(3600.0)),
            (&[("retry-after", "-3")], None),
            (&[("retry-after", "NaN")], Some(3600.0)),
            (
                &[("x-ratelimit-reset", "99999999999999999999"), ("date", NOW)],
                None,
            ),
            (&[], None),
        ] {
            let map = headers
                .iter()
                .map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap()));
            let map: HeaderMap = map.collect();
            assert_eq!(
                of(&map).map(|wait| wait.as_secs_f64()),
                seconds,
                "{headers:?}"
            );
        }
    }
}
