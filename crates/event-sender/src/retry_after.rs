use std::time::Duration;

use chrono::DateTime;
use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest wait believed: an endpoint that wants more is asked again after it.
pub(crate) const MAX: Duration = Duration::from_hours(6);

/// How long an answer asks us to wait, from `now` in Unix seconds on.
pub(crate) fn of(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if let Ok(seconds) = value.parse::<u64>() {
        seconds
    } else {
        // As HTTP writes a date, `Sun, 06 Nov 1994 08:49:37 GMT`.
        let then = DateTime::parse_from_rfc2822(value).ok()?.timestamp();
        u64::try_from(then.saturating_sub(now)).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_nonsense_is_not() {
        const NOW: i64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("999999999999", Some(MAX.as_secs())),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(MAX.as_secs())),
            ("-3", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = [(RETRY_AFTER, value.parse().unwrap())]
                .into_iter()
                .collect();
            assert_eq!(
                of(&headers, NOW).map(|wait| wait.as_secs()),
                seconds,
                "{value}"
            );
        }
        assert_eq!(of(&HeaderMap::new(), NOW), None);
    }
}
