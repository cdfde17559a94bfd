use proptest::prelude::*;

use super::*;

fn base64_key(byte: u8) -> String {
    STANDARD.encode([byte; KEY_LENGTH])
}

fn keyring(keys: &[u8]) -> Keyring {
    let keys: Vec<String> = keys.iter().map(|byte| base64_key(*byte)).collect();
    Keyring::parse(&keys.join(",").into()).unwrap()
}

const PLACE: Aad<'_> = Aad {
    table: "linked_accounts",
    column: "account_token",
    organization_id: "acme",
    row_id: Uuid::from_u128(1),
};

proptest! {
    #[test]
    fn opens_what_it_sealed(plaintext: Vec<u8>, organization_id: String, row: u128) {
        let keyring = keyring(&[1]);
        let place = Aad { organization_id: &organization_id, row_id: Uuid::from_u128(row), ..PLACE };

        let sealed = keyring.seal(&place, &plaintext).unwrap();
        let opened = keyring.open(&place, &sealed.key_id, &sealed.bytes).unwrap();

        prop_assert_eq!(opened.expose_secret(), &plaintext);
    }

    #[test]
    fn refuses_altered_bytes(plaintext: Vec<u8>, at: prop::sample::Index, flip in 1u8..) {
        let keyring = keyring(&[1]);
        let mut sealed = keyring.seal(&PLACE, &plaintext).unwrap();
        let at = at.index(sealed.bytes.len());
        sealed.bytes[at] ^= flip;

        let opened = keyring.open(&PLACE, &sealed.key_id, &sealed.bytes);

        prop_assert_eq!(opened.err(), Some(KeyringError::Refused));
    }
}

#[test]
fn refuses_to_open_in_another_place() {
    let keyring = keyring(&[1]);
    let sealed = keyring.seal(&PLACE, b"secret").unwrap();
    let others = [
        Aad {
            table: "webhook_deliveries",
            ..PLACE
        },
        Aad {
            column: "body",
            ..PLACE
        },
        Aad {
            organization_id: "other",
            ..PLACE
        },
        Aad {
            row_id: Uuid::from_u128(2),
            ..PLACE
        },
        // The same letters, differently divided.
        Aad {
            table: "linked_accountsaccount",
            column: "_token",
            ..PLACE
        },
    ];

    for other in others {
        let opened = keyring.open(&other, &sealed.key_id, &sealed.bytes);
        assert_eq!(opened.err(), Some(KeyringError::Refused), "{other:?}");
    }
}

#[test]
fn refuses_bytes_cut_short() {
    let keyring = keyring(&[1]);
    let sealed = keyring.seal(&PLACE, b"secret").unwrap();

    for length in 0..sealed.bytes.len() {
        let opened = keyring.open(&PLACE, &sealed.key_id, &sealed.bytes[..length]);
        assert_eq!(opened.err(), Some(KeyringError::Refused));
    }
}

#[test]
fn keys_rotate() {
    let old = keyring(&[1]);
    let both = keyring(&[2, 1]);
    let new = keyring(&[2]);

    let sealed_before = old.seal(&PLACE, b"secret").unwrap();
    let sealed_during = both.seal(&PLACE, b"secret").unwrap();

    assert!(
        both.open(&PLACE, &sealed_before.key_id, &sealed_before.bytes)
            .is_ok()
    );
    assert!(
        new.open(&PLACE, &sealed_during.key_id, &sealed_during.bytes)
            .is_ok()
    );
    assert!(matches!(
        new.open(&PLACE, &sealed_before.key_id, &sealed_before.bytes),
        Err(KeyringError::UnknownKey { .. })
    ));
    assert!(
        both.fingerprints(b"token")
            .contains(&old.fingerprint(b"token").to_vec())
    );
    assert_eq!(both.fingerprint(b"token"), new.fingerprint(b"token"));
}

#[test]
fn names_the_key_at_fault() {
    let cases = [
        (String::new(), KeyringError::NoKey),
        (" , ".to_owned(), KeyringError::NoKey),
        ("c2hvcnQ=".to_owned(), KeyringError::BadKey { position: 1 }),
        (
            format!("{},not base64", base64_key(1)),
            KeyringError::BadKey { position: 2 },
        ),
        (
            format!("{0},{0}", base64_key(1)),
            KeyringError::RepeatedKey { position: 2 },
        ),
    ];

    for (keys, expected) in cases {
        assert_eq!(Keyring::parse(&keys.into()).err(), Some(expected));
    }
}

#[test]
fn debug_shows_key_ids_only() {
    let text = format!("{:?}", keyring(&[7]));

    assert!(!text.contains(&base64_key(7)));
    assert!(!text.contains("7, 7"));
    assert!(text.starts_with("Keyring { key_ids: [\""));
}
