//! Only forms of one's own session change anything.

use http::Method;

use crate::support::TestApp;
use crate::support::visitor::{ORIGIN, browse, form};

/// Every address that takes forms, but for the login.
const ADDRESSES: [&str; 9] = [
    "jobs/{id}/retry",
    "dead/abc/resolve",
    "bulk",
    "bulk/{id}/start",
    "queues/pause",
    "workers/{id}/quiet",
    "schedules/maintain/run",
    "webhooks/{id}/replay",
    "accounts/{id}/poll",
];

fn addresses() -> Vec<String> {
    let id = uuid::Uuid::now_v7().to_string();
    let all = ADDRESSES.iter().map(|address| address.replace("{id}", &id));
    all.chain(["logout".to_owned()]).collect()
}

#[tokio::test]
async fn a_form_needs_the_token_of_its_session() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let other = app.visitor(&["admin"]).await;
    let before = app.audited().await.len();

    for address in addresses() {
        for token in ["", "made-up", other.token.as_str()] {
            let fields = [("reason", "r"), ("scope", "everything"), ("token", token)];
            let answer = app.call(admin.sending(&address, &fields)).await;
            assert_eq!(answer.status, 403, "{address} {token}");
            assert!(answer.page().contains("not of your session"), "{address}");
        }
    }

    assert_eq!(app.audited().await.len(), before);
    assert_eq!(admin.get("jobs").await.status, 200, "nobody was logged out");
}

#[tokio::test]
async fn a_form_has_to_come_from_our_own_pages() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let before = app.audited().await.len();
    let elsewhere: [&[(&str, &str)]; 7] = [
        &[],
        &[("origin", "null")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:8081")],
        &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
        &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
    ];
    let mut all = addresses();
    all.extend(["login".to_owned(), "theme".to_owned()]);

    for address in all {
        for headers in elsewhere {
            let fields = [
                ("token", admin.token.as_str()),
                ("reason", "r"),
                ("scope", "everything"),
                ("key", "bootstrap-key-of-the-tests"),
            ];
            let call = browse(Method::POST, &format!("/console/{address}"))
                .without("origin")
                .header("cookie", &admin.cookie)
                .text(&form(&fields));
            let call = headers
                .iter()
                .fold(call, |call, (name, value)| call.header(name, value));
            let answer = app.call(call).await;
            assert_eq!(answer.status, 403, "{address} {headers:?}");
            assert_eq!(answer.header("set-cookie"), None);
        }
    }

    assert_eq!(app.audited().await.len(), before);
}

#[tokio::test]
async fn a_browser_that_says_same_origin_is_believed() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let fields = [
        ("token", admin.token.as_str()),
        ("scope", "everything"),
        ("reason", "r"),
    ];

    let call = admin.sending("queues/pause", &fields).without("origin");
    let answer = app.call(call.header("sec-fetch-site", "same-origin")).await;

    assert_eq!(answer.status, 303);
}

#[tokio::test]
async fn behind_a_proxy_the_public_origin_counts() {
    let settings = [(
        "SYNCLINE__CONSOLE__PUBLIC_ORIGIN",
        "https://ops.example.com",
    )];
    let app = TestApp::with_settings(&settings).await;
    let login = |origin: &str| {
        browse(Method::POST, "/console/login")
            .without("origin")
            .header("origin", origin)
            .text(&form(&[("key", "bootstrap-key-of-the-tests")]))
    };

    let from_public = app.call(login("https://ops.example.com")).await;
    let from_inside = app.call(login(ORIGIN)).await;

    assert_eq!(from_public.status, 303);
    assert!(
        from_public
            .header("set-cookie")
            .unwrap()
            .starts_with("__Host-syncline=")
    );
    assert_eq!(from_inside.status, 403);
}
