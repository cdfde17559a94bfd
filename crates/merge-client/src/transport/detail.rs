use serde_json::Value;

use super::is_json;

const MAX_CHARS: usize = 200;

/// A short text for an error body: its `detail` if it has one, else its JSON, else what it is.
///
/// Secrets that the request carried are taken out, should the far side have echoed them.
pub(super) fn of<'a>(
    content_type: Option<&str>,
    body: &[u8],
    secrets: impl Iterator<Item = &'a str>,
) -> String {
    let mut text = match content_type {
        _ if body.is_empty() => return "no detail".to_owned(),
        Some(declared) if !is_json(declared) => {
            return format!("a body of `{}`", cut(declared, 60));
        }
        _ => said(body),
    };
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    cut(&text, MAX_CHARS)
}

fn said(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(mut object)) => match object.remove("detail") {
            Some(Value::String(detail)) => detail,
            Some(detail) => detail.to_string(),
            None => Value::Object(object).to_string(),
        },
        Ok(other) => other.to_string(),
        Err(_) => "a body that is no JSON".to_owned(),
    }
}

/// The first characters of a text on one line, without control characters.
pub(super) fn cut(text: &str, max_chars: usize) -> String {
    let mut short: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(max_chars)
        .collect();
    if text.chars().nth(max_chars).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    #[test]
    fn says_what_the_body_says() {
        for (body, text) in [
            (r#"{"detail": "Not found."}"#, "Not found."),
            (
                r#"{"email": ["Enter a valid one."]}"#,
                r#"{"email":["Enter a valid one."]}"#,
            ),
            (r#"{"detail": ["a", "b"]}"#, r#"["a","b"]"#),
            ("{\"detail\": \"two\\nlines\"}", "two lines"),
            ("{\"det", "a body that is no JSON"),
            ("", "no detail"),
        ] {
            assert_eq!(of(JSON, body.as_bytes(), std::iter::empty()), text);
        }
        assert_eq!(
            of(Some("text/html"), b"<html>", std::iter::empty()),
            "a body of `text/html`"
        );
    }

    #[test]
    fn cuts_long_texts_and_takes_secrets_out() {
        let body = format!(
            r#"{{"detail": "key sk-canary is bad {}"}}"#,
            "é".repeat(500)
        );

        let text = of(JSON, body.as_bytes(), ["sk-canary"].into_iter());

        assert!(text.starts_with("key [redacted] is bad é"), "{text}");
        assert_eq!(text.chars().count(), MAX_CHARS + 1);
    }
}
