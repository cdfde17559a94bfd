//! Takes out of a text what looks like a secret.
//!
//! Types that hold one do not show it. But an error quotes what a far side said, and that may quote what it was sent. So
//! every text of an attempt passes here before it is kept or logged. Rather too much is taken out than too little.

use std::{borrow::Cow, sync::LazyLock};

use regex_lite::Regex;

const HIDDEN: &str = "(hidden)";

/// What stands before a secret is kept: a scheme, or a name with `=` or, as in JSON and headers, a colon. In a sentence a
/// colon follows a name, too: "cannot exchange the public token: no answer".
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let after_scheme = r"\b(?:bearer|basic)\s+";
    let after_equals = r"(?:token|secret|password|api[_-]?key|credential)[a-z0-9_-]*=\s*";
    let in_json = r#"(?:token|secret|password|authorization|api[_-]?key|credential)[a-z0-9_-]*\\?["']\s*:\s*\\?["']"#;
    let in_header =
        r"(?:authorization|x-[a-z-]*(?:token|key|secret|signature)):\s*(?:bearer\s+|basic\s+)?";
    let named =
        format!(r#"(?i)({in_json}|{in_header}|{after_equals}|{after_scheme})[^\s"',;&\\]+"#);
    // How keys of ours, of others, and signed tokens begin.
    let known = r"\b(?:sl_|sk_|sk-|eyJ)[A-Za-z0-9_.-]{12,}";
    Regex::new(&format!("{named}|{known}")).expect("a pattern that its tests compile")
});

/// The text without what looks like a secret.
pub fn scrubbed(text: &str) -> Cow<'_, str> {
    SECRET.replace_all(text, |found: &regex_lite::Captures<'_>| {
        let before = found.get(1).map_or("", |before| before.as_str());
        format!("{before}{HIDDEN}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_wherever_they_are_quoted() {
        for text in [
            "Merge answered: Authorization: Bearer canary-1",
            "sent with Basic canary==",
            r#"{"account_token": "canary", "public_token":"canary"}"#,
            r#"a body of {\"api_key\": \"canary\"}"#,
            "{'Password': 'canary'}",
            "GET /x?account_token=canary&page=2 failed",
            "X-Account-Token: canary",
            "x-merge-webhook-signature: canary=",
            "the key sl_canary_0123456789 is not known",
            "eyJcanary.0123456789.abc",
        ] {
            let shown = scrubbed(text);
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains(HIDDEN), "{shown}");
        }
        assert_eq!(
            scrubbed("x?token=canary&page=2: HTTP 400"),
            "x?token=(hidden)&page=2: HTTP 400"
        );
    }

    #[test]
    fn sentences_stay_as_they_are() {
        for text in [
            "cannot exchange the public token: no answer within 60 s",
            "the account token is not accepted any more: HTTP 401",
            "job 0193a1b2-0000-7000-8000-000000000001 needs a secret",
            "Merge refuses our API key",
            "basically fine; the password must be changed",
            "sk_short",
        ] {
            assert_eq!(scrubbed(text), text);
        }
    }
}
