//! What must hold whatever somebody sends: for the fuzz targets, and for the test over their corpus.

use merge_client::webhook::{Event, EventKind, sign, verify};
use secrecy::SecretString;

const KEYS: [&str; 2] = ["the-key-of-today", "the-key-of-yesterday"];

/// The first byte is the length of the signature, which follows; the rest is the body.
///
/// A signature that is taken is the one and only signature of the body, padded or not.
pub(crate) fn signature(input: &[u8]) {
    let Some((&length, rest)) = input.split_first() else {
        return;
    };
    let (header, body) = rest.split_at(rest.len().min(length.into()));
    let keys = KEYS.map(SecretString::from);
    if let Ok(index) = verify(&keys, Some(header), body) {
        let own = sign(KEYS[index], body);
        let bare = own.trim_end_matches('=');
        assert!(header == own.as_bytes() || header == bare.as_bytes());
    }
    for (index, key) in KEYS.iter().enumerate() {
        let own = sign(key, body);
        assert_eq!(verify(&keys, Some(own.as_bytes()), body), Ok(index));
        assert!(verify(&keys, Some(own.as_bytes()), &[body, b"\n"].concat()).is_err());
    }
}

/// Every JSON object is an event, and nothing else is; a token that it brings is not shown.
pub(crate) fn event(input: &[u8]) {
    let is_object =
        serde_json::from_slice::<serde_json::Value>(input).is_ok_and(|value| value.is_object());
    let event = Event::parse(input);
    assert_eq!(event.is_ok(), is_object);
    let Ok(event) = event else { return };
    if let EventKind::RecordChanged {
        record: Some(record),
        ..
    } = &event.kind
    {
        let text = std::str::from_utf8(input).expect("JSON is UTF-8");
        assert!(text.contains(record.data.get()));
    }
    if let Some(token) = &event.account.account_token {
        let shown = format!("{token:?}");
        assert!(token.expose().len() < 16 || !shown.contains(token.expose()));
    }
}
