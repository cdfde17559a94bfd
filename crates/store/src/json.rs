//! JSON in a form that `jsonb` can hold.

use std::borrow::Cow;

/// What stands for a character that cannot be stored: U+FFFD, the replacement character.
const REPLACEMENT: &str = "\\ufffd";

/// The longest number that is stored as a number, in characters, and the largest power of ten in it.
const LONGEST_NUMBER: usize = 1000;
const LARGEST_EXPONENT: u32 = 1000;

/// Replaces in a JSON text what Postgres refuses in `jsonb`, so that one odd record does not stop a page.
///
/// Valid JSON may hold three things that `jsonb` cannot: the escape `\u0000`, halves of surrogate pairs, and
/// numbers beyond its range. The first two become U+FFFD, and such a number a string of its digits. Texts that
/// hold none of these, nearly all, are returned as they are.
pub fn storable_json(text: &str) -> Cow<'_, str> {
    if !needs_a_look(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let (token, replaced) = match first {
            b'"' => string_token(rest),
            b'-' | b'0'..=b'9' => number_token(rest),
            _ => {
                let end = rest.find(['"', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
                (end.unwrap_or(rest.len()), None)
            }
        };
        match replaced {
            Some(replaced) => out.push_str(&replaced),
            None => out.push_str(&rest[..token]),
        }
        rest = &rest[token..];
    }
    Cow::Owned(out)
}

/// A quick search that lets nearly every text pass: are there escapes by number, exponents or very long digits?
fn needs_a_look(text: &str) -> bool {
    let mut digits = 0;
    let mut before = 0;
    for byte in text.bytes() {
        match byte {
            b'u' if before == b'\\' => return true,
            b'e' | b'E' if before.is_ascii_digit() => return true,
            b'0'..=b'9' | b'.' => digits += 1,
            _ => digits = 0,
        }
        if digits > LONGEST_NUMBER {
            return true;
        }
        before = byte;
    }
    false
}

/// The length of the string that `text` begins with, quotes included, and its replacement if it needs one.
fn string_token(text: &str) -> (usize, Option<String>) {
    let bytes = text.as_bytes();
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        let (length, is_storable) = escape(&text[at..]);
        if !is_storable {
            let out = out.get_or_insert_default();
            out.push_str(&text[copied..at]);
            out.push_str(REPLACEMENT);
            copied = at + length;
        }
        at += length;
    }
    let end = (at + 1).min(bytes.len());
    if let Some(out) = &mut out {
        out.push_str(text.get(copied..end).unwrap_or_default());
    }
    (end, out)
}

/// The length of the escape that `text` begins with, a surrogate pair as a whole, and whether it can be stored.
fn escape(text: &str) -> (usize, bool) {
    match code_unit(text) {
        None => (2, true),
        Some(0xD800..=0xDBFF) => match text.get(6..).and_then(code_unit) {
            Some(0xDC00..=0xDFFF) => (12, true),
            _ => (6, false),
        },
        Some(0 | 0xDC00..=0xDFFF) => (6, false),
        Some(_) => (6, true),
    }
}

/// The number in an escape like `\u00e9`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

/// The length of the number that `text` begins with, and the same as a string if it is beyond `jsonb`.
fn number_token(text: &str) -> (usize, Option<String>) {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let number = &text[..end];
    let exponent = number
        .split(['e', 'E'])
        .nth(1)
        .map(|digits| digits.trim_start_matches(['+', '-']));
    let is_too_large = exponent.is_some_and(|digits| {
        !digits
            .parse::<u32>()
            .is_ok_and(|exponent| exponent <= LARGEST_EXPONENT)
    });
    let is_beyond = number.len() > LONGEST_NUMBER || is_too_large;
    (end, is_beyond.then(|| format!("\"{number}\"")))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn replaces_what_jsonb_cannot_hold() {
        let cases = [
            (r#""a\u0000b""#, r#""a\ufffdb""#),
            (
                r#"{"a\u0000":"\u0000\u0000"}"#,
                r#"{"a\ufffd":"\ufffd\ufffd"}"#,
            ),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ud83dx\ude00""#, r#""\ufffdx\ufffd""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#"{"n":1e99999}"#, r#"{"n":"1e99999"}"#),
            (r"[-1.5E+99999999999,2]", r#"["-1.5E+99999999999",2]"#),
        ];
        for (text, expected) in cases {
            assert_eq!(storable_json(text), expected);
        }
    }

    #[test]
    fn leaves_the_rest_alone() {
        let cases = [
            r#"{"path":"C:\\u0000","pair":"\ud83d\ude00","e":"\u00e9","quote":"\"","n":[1e10,-0.5,1E-9]}"#,
            r#""an escaped backslash \\\\u0000""#,
            r#""1e99999 in a string""#,
            "null",
            "",
        ];
        for text in cases {
            assert_eq!(storable_json(text), text);
        }
    }

    /// The same text with all that is not ASCII written by number.
    fn escape_all(text: &str) -> String {
        let mut escaped = String::new();
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => escaped.push(byte.into()),
                _ => write!(escaped, "\\u{unit:04x}").unwrap(),
            }
        }
        escaped
    }

    proptest! {
        #[test]
        fn any_text_stays_json_and_means_the_same(texts: Vec<String>, number: f64) {
            let value = serde_json::json!({ "texts": texts, "number": number });
            let escaped = escape_all(&value.to_string());

            let stored: serde_json::Value = serde_json::from_str(&storable_json(&escaped)).unwrap();

            let expected = value.to_string().replace("\\u0000", "\\ufffd");
            let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
            prop_assert_eq!(stored, expected);
        }
    }
}
