//! No token shows, whatever is printed.

use std::error::Error as _;

use merge_client::{AccountToken, Category, Error, LinkTokenRequest, webhook};
use secrecy::SecretString;

use crate::server::{ACCOUNT_TOKEN, API_KEY, Server, answer, json, token};

const PUBLIC_TOKEN: &str = "canary-public-token-0001";

fn assert_clean(what: &str, text: &str) {
    assert!(!text.contains("canary"), "{what} shows a secret: {text}");
}

#[tokio::test]
async fn errors_show_no_token_even_when_the_far_side_echoes_it() {
    let echo = format!(r#"{{"detail": "{API_KEY} {ACCOUNT_TOKEN} {PUBLIC_TOKEN}"}}"#);
    let public_token = SecretString::from(PUBLIC_TOKEN);
    for status in [302, 400, 401, 403, 404, 422, 429, 500] {
        let body = echo.clone();
        let server = Server::start(move |asked| {
            // The account token is known only to the calls that carry it, and likewise the public token.
            let is_exchange = asked.uri.path().contains("account-token");
            let body = if is_exchange {
                body.replace(ACCOUNT_TOKEN, "")
            } else {
                body.replace(PUBLIC_TOKEN, "")
            };
            json(status, body)
        })
        .await;
        let client = server.client();

        let details = client
            .account(Category::HRIS, &token())
            .details()
            .await
            .unwrap_err();
        let exchange = client
            .exchange_public_token(&public_token)
            .await
            .unwrap_err();

        for error in [details, exchange] {
            assert_clean("error", &format!("{error} {error:?} {:?}", error.source()));
        }
    }
}

#[tokio::test]
async fn a_transport_error_does_not_show_the_path() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = merge_client::Settings::new(base.parse().unwrap(), API_KEY.into());
    let client = merge_client::MergeClient::new(settings).unwrap();

    let error = client
        .exchange_public_token(&PUBLIC_TOKEN.into())
        .await
        .unwrap_err();

    assert!(matches!(error, Error::Transport { .. }));
    assert_clean("error", &format!("{error} {error:?} {:?}", error.source()));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_quoted() {
    for body in [
        r#""canary-token""#,
        r#"{"account_token": ["canary"]}"#,
        r#"{"account_token": "a", "integration": ["canary"]}"#,
        r#"{"account_token": "a", "id": {"canary": 1}}"#,
        r#"{"account_token": canary}"#,
    ] {
        let server = Server::json(200, body).await;
        let error = server
            .client()
            .exchange_public_token(&"pt".into())
            .await
            .unwrap_err();
        assert_clean(body, &format!("{error} {error:?}"));
    }
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let server = Server::start(|asked| {
        let body = if asked.uri.path().ends_with("create-link-token") {
            r#"{"link_token": "canary-lt", "magic_link_url": "https://h.test/canary"}"#
        } else {
            r#"{"account_token": "canary-at", "id": "la"}"#
        };
        answer(200, &[("content-type", "application/json")], body)
    })
    .await;
    let client = server.client();
    let request = LinkTokenRequest {
        end_user_origin_id: "org_hris_1".to_owned(),
        end_user_organization_name: "canary name".to_owned(),
        end_user_email_address: "canary@h.example".to_owned(),
        categories: vec![Category::HRIS],
        integration: None,
    };

    assert_clean("settings", &format!("{:?}", server.settings()));
    assert_clean("client", &format!("{client:?}"));
    assert_clean(
        "account",
        &format!("{:?}", client.account(Category::HRIS, &token())),
    );
    assert_clean(
        "account token",
        &format!("{:?}", AccountToken::new("canary".to_owned())),
    );
    assert_clean("request", &format!("{request:?}"));
    assert_clean(
        "link token",
        &format!("{:?}", client.create_link_token(&request).await.unwrap()),
    );
    let exchanged = client
        .exchange_public_token(&PUBLIC_TOKEN.into())
        .await
        .unwrap();
    assert_clean("exchange", &format!("{exchanged:?}"));
    let body =
        br#"{"hook": {"event": "LinkedAccount.linked"}, "data": {"account_token": "canary"}}"#;
    assert_clean(
        "event",
        &format!("{:?}", webhook::Event::parse(body).unwrap()),
    );
    let signing = webhook::verify(&["canary".into()], Some(b"x"), b"").unwrap_err();
    assert_clean("signature error", &format!("{signing} {signing:?}"));
}
