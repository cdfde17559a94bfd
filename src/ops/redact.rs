//! What nobody is to see: secrets in payloads and results.
//!
//! Ours hold none. But what was enqueued is shown to whoever may look, and a mistake in a job must not become a leak.

use serde_json::Value;

const HIDDEN: &str = "(hidden)";
/// Parts of the names of fields that hold secrets.
const NAMES: [&str; 8] = [
    "token",
    "secret",
    "password",
    "authorization",
    "api_key",
    "apikey",
    "credential",
    "sealed",
];
/// How keys of ours, of others, and signed tokens begin.
const BEGINNINGS: [&str; 6] = ["sl_", "sk_", "sk-", "Bearer ", "Basic ", "eyJ"];

/// JSON as people read it, without what they are not to see.
pub fn shown(value: &Value) -> String {
    let value = redacted(value);
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

/// The same JSON, without what nobody is to see.
pub fn redacted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| {
                let shown = if is_secret(name) && !value.is_null() {
                    Value::from(HIDDEN)
                } else {
                    redacted(value)
                };
                (name.clone(), shown)
            });
            Value::Object(fields.collect())
        }
        Value::Array(values) => values.iter().map(redacted).collect(),
        Value::String(text)
            if BEGINNINGS
                .iter()
                .any(|beginning| text.starts_with(beginning)) =>
        {
            Value::from(HIDDEN)
        }
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => value.clone(),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        let value = json!({
            "account_id": "a", "Account_Token": "canary", "nested": [{ "apiKey": ["canary"] }, "Bearer canary"],
            "authorization": { "x": "canary" }, "public_token_sealed": "canary", "password": null,
        });

        let shown = shown(&value);

        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains(r#""account_id": "a""#) && shown.contains(r#""password": null"#));
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let value = json!({ "n": 12_345_678_901_234_567_u64, "list": [1.5, true, null, "text"] });

        let again: Value = serde_json::from_str(&shown(&value)).unwrap();

        assert_eq!(again, value);
    }
}
