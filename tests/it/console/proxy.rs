//! A proxy that says who somebody is.

use http::Method;
use queue::Client;
use secrecy::SecretString;
use syncline::ops::{Actor, Ops, Role};

use crate::support::visitor::{browse, cookie_of};
use crate::support::{Answer, Call, TestApp};

const PROXY: &str = "10.1.2.3";
const HEADER: &str = "x-auth-request-email";

/// A service behind a proxy, with a user that it may name.
async fn behind_a_proxy() -> TestApp {
    let settings = [
        ("SYNCLINE__CONSOLE__PROXY_HEADER", "X-Auth-Request-Email"),
        (
            "SYNCLINE__CONSOLE__TRUSTED_PROXIES",
            "10.1.2.0/24, 127.0.0.1",
        ),
    ];
    let app = TestApp::with_settings(&settings).await;
    add_users(&app).await;
    app
}

async fn add_users(app: &TestApp) {
    let actor = Actor {
        name: "test".to_owned(),
        role: Role::Admin,
    };
    let ops = Ops::new(app.pool().clone(), Client::new(app.pool().clone()), actor);
    for name in ["anna@x.example", "ben@x.example"] {
        let password = SecretString::from("correct horse battery");
        ops.add_user(name, Role::Operator, password).await.unwrap();
    }
}

fn login() -> Call {
    browse(Method::GET, "/console/login?next=jobs")
}

#[track_caller]
fn assert_shut(answer: &Answer, why: &str) {
    assert_eq!(answer.status, 200, "{why}: {answer:?}");
    assert_eq!(answer.header("set-cookie"), None, "{why}");
    assert!(answer.page().contains("Log in with the key"), "{why}");
}

#[tokio::test]
async fn whom_a_trusted_proxy_names_is_in_until_they_leave() {
    let app = behind_a_proxy().await;

    // As some proxies write names.
    let named = login().from(PROXY).header(HEADER, " Anna@X.example ");
    let answer = app.call(named).await;

    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, Some("./jobs"))
    );
    let anna = app.visitor_of(cookie_of(&answer)).await;
    let page = anna.get("jobs").await.page();
    assert!(page.contains("anna@x.example, operator"), "{page}");
    let logins = app.audited().await;
    assert!(
        logins.contains(&("anna@x.example".to_owned(), "session.login".to_owned())),
        "{logins:?}"
    );
    let left = anna.post("logout", &[]).await;
    assert_eq!(anna.get("jobs").await.status, 303, "the session is over");
    let next = format!(
        "/console/{}",
        left.header("location").unwrap().trim_start_matches("./")
    );
    let asked = browse(Method::GET, &next)
        .from(PROXY)
        .header(HEADER, "anna@x.example");
    let asked = app.call(asked).await;
    assert_shut(&asked, "who left is not let in again unasked");
    assert!(asked.page().contains("log in as anna@x.example"));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let app = behind_a_proxy().await;
    let anna = |call: Call| call.header(HEADER, "anna@x.example");
    for (why, call) in [
        ("another address", anna(login().from("10.1.3.3"))),
        ("an unknown address", anna(login())),
        (
            "an address that is only told",
            anna(login().from("10.9.9.9").header("x-forwarded-for", PROXY)),
        ),
        ("no name", login().from(PROXY)),
        ("an empty name", login().from(PROXY).header(HEADER, " ")),
        ("two names", anna(anna(login().from(PROXY)))),
    ] {
        assert_shut(&app.call(call).await, why);
    }
    for name in ["carl@x.example", "a\u{301}nna", "' OR 1=1"] {
        let answer = app.call(login().from(PROXY).header(HEADER, name)).await;
        let refused = [200, 403].contains(&answer.status.as_u16());
        assert!(
            refused && answer.header("set-cookie").is_none(),
            "{name}: {answer:?}"
        );
    }
    let carl = app
        .call(login().from(PROXY).header(HEADER, "carl@x.example"))
        .await;
    assert!(
        carl.page().contains("syncline users add carl@x.example"),
        "{}",
        carl.page()
    );

    let off = TestApp::new().await;
    add_users(&off).await;
    assert_shut(
        &off.call(anna(login().from(PROXY))).await,
        "the setting is off",
    );
}

#[tokio::test]
async fn a_session_is_of_whom_the_proxy_names_now() {
    let app = behind_a_proxy().await;
    let answer = app
        .call(login().from(PROXY).header(HEADER, "anna@x.example"))
        .await;
    let cookie = cookie_of(&answer);
    let look = |name: &str| {
        let call = browse(Method::GET, "/console/jobs").from(PROXY);
        app.call(call.header("cookie", &cookie).header(HEADER, name))
    };

    assert_eq!(look("anna@x.example").await.status, 200);
    let other = look("ben@x.example").await;

    assert_eq!(other.status, 303, "{other:?}");
    assert!(
        other
            .header("location")
            .unwrap()
            .contains("login?next=jobs")
    );
}

#[tokio::test]
async fn the_address_is_that_of_the_connection() {
    let app = behind_a_proxy().await;
    let base = app.serve().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());

    let call = client.build().unwrap().get(format!("{base}/console/login"));
    let answer = call.header(HEADER, "anna@x.example").send().await.unwrap();

    assert_eq!(answer.status(), 303, "127.0.0.1 is trusted");
    assert!(answer.headers().contains_key("set-cookie"));
}
