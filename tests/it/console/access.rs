//! Who is let in, and until when.

use http::Method;
use queue::Client;
use secrecy::SecretString;
use syncline::ops::{Actor, Ops, Role};

use crate::support::visitor::{ORIGIN, Visitor, browse, cookie_of, form};
use crate::support::{NewKey, TestApp};

const PASSWORD: &str = "correct horse battery";

/// The service in the hands of whoever may do everything.
fn ops(app: &TestApp) -> Ops {
    let actor = Actor {
        name: "test".to_owned(),
        role: Role::Admin,
    };
    Ops::new(app.pool().clone(), Client::new(app.pool().clone()), actor)
}

async fn add_user(app: &TestApp, name: &str, role: Role) {
    let password = SecretString::from(PASSWORD);
    ops(app).add_user(name, role, password).await.unwrap();
}

async fn log_in(app: &TestApp, fields: &[(&str, &str)]) -> u16 {
    let call = browse(Method::POST, "/console/login").text(&form(fields));
    app.call(call).await.status.as_u16()
}

async fn is_in(visitor: &Visitor<'_>) -> bool {
    visitor.get("jobs").await.status == 200
}

#[tokio::test]
async fn nobody_sees_anything_without_a_session() {
    let app = TestApp::new().await;
    let id = uuid::Uuid::now_v7();
    for page in [
        "",
        "jobs",
        "dead",
        "bulk",
        "queues",
        "workers",
        "schedules",
        "webhooks",
        "accounts",
        "audit",
        "search?q=1",
        "live",
        &format!("jobs/{id}"),
        &format!("accounts/{id}"),
        &format!("webhooks/{id}"),
    ] {
        let path = format!("/console/{page}");
        for cookie in [
            None,
            Some("syncline=made-up"),
            Some("__Host-syncline=made-up"),
        ] {
            let call = browse(Method::GET, &path);
            let call = match cookie {
                Some(cookie) => call.header("cookie", cookie),
                None => call,
            };
            let answer = app.call(call).await;
            assert_eq!(answer.status, 303, "{page}");
            assert!(
                answer.header("location").unwrap().contains("login?next="),
                "{page}"
            );
            assert!(answer.body.is_empty());
        }
    }
    // A key of the API opens the API, not the console.
    let call = browse(Method::GET, "/console/jobs").key("bootstrap-key-of-the-tests");
    assert_eq!(app.call(call).await.status, 303);
}

#[tokio::test]
async fn a_user_comes_in_by_name_and_password_and_goes() {
    let app = TestApp::new().await;
    add_user(&app, "anna", Role::Operator).await;
    let wrong = [
        [("name", "anna"), ("password", "wrong horse battery")],
        [("name", "ben"), ("password", PASSWORD)],
        [("name", "anna"), ("password", "")],
        [("name", "an na"), ("password", PASSWORD)],
    ];
    for fields in wrong {
        assert_eq!(log_in(&app, &fields).await, 401, "{fields:?}");
    }

    let anna = app
        .visitor_with(&[("name", " Anna "), ("password", PASSWORD)])
        .await;
    let page = anna.get("jobs").await.page();
    let left = anna.post("logout", &[]).await;

    assert!(page.contains("anna, operator"), "{page}");
    assert_eq!(left.status, 303);
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(
        !is_in(&anna).await,
        "the cookie may still be there, the session is not"
    );
    let audited = app.audited().await;
    let of_anna: Vec<_> = audited
        .iter()
        .filter(|(actor, _)| actor == "anna")
        .collect();
    assert_eq!(of_anna.len(), 2, "{audited:?}");
}

#[tokio::test]
async fn the_cookie_is_for_this_host_and_its_pages_only() {
    let app = TestApp::new().await;
    let login = |host: &str, origin: &str, forwarded: Option<&str>| {
        let call = browse(Method::POST, "/console/login")
            .without("host")
            .without("origin");
        let call = call.header("host", host).header("origin", origin);
        let call = match forwarded {
            Some(proto) => call.header("x-forwarded-proto", proto),
            None => call,
        };
        call.text(&form(&[("key", "bootstrap-key-of-the-tests")]))
    };
    for (host, origin, forwarded, is_local) in [
        ("127.0.0.1:8080", ORIGIN, None, true),
        ("localhost:8080", "http://localhost:8080", None, true),
        ("[::1]:8080", "http://[::1]:8080", None, true),
        ("127.0.0.1:8080", ORIGIN, Some("https"), false),
        ("ops.example.com", "https://ops.example.com", None, false),
        (
            "127.0.0.1.example.com",
            "https://127.0.0.1.example.com",
            None,
            false,
        ),
    ] {
        let answer = app.call(login(host, origin, forwarded)).await;
        assert_eq!(answer.status, 303, "{host}");
        let cookie = answer.header("set-cookie").unwrap();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        assert!(
            cookie.contains("Path=/;") && !cookie.contains("Domain"),
            "{cookie}"
        );
        assert_eq!(
            cookie.starts_with("syncline="),
            is_local,
            "{host}: {cookie}"
        );
        let is_secure = cookie.starts_with("__Host-syncline=") && cookie.contains("Secure");
        assert_eq!(is_secure, !is_local, "{host}: {cookie}");
    }
}

#[tokio::test]
async fn a_session_does_not_outlive_the_next_login_of_its_browser() {
    let app = TestApp::new().await;
    let first = app.visitor(&["admin"]).await;
    let call = browse(Method::POST, "/console/login")
        .header("cookie", &first.cookie)
        .text(&form(&[("key", "bootstrap-key-of-the-tests")]));

    let answer = app.call(call).await;

    let second = app.visitor_of(cookie_of(&answer)).await;
    assert_ne!(first.cookie, second.cookie);
    assert!(!is_in(&first).await && is_in(&second).await);
}

#[tokio::test]
async fn who_is_removed_is_out_at_once() {
    let app = TestApp::new().await;
    add_user(&app, "anna", Role::Admin).await;
    add_user(&app, "ben", Role::Admin).await;
    let login = |name| [("name", name), ("password", PASSWORD)];
    let anna = app.visitor_with(&login("anna")).await;
    let ben = app.visitor_with(&login("ben")).await;
    assert!(is_in(&anna).await && is_in(&ben).await);

    ops(&app).remove_user("anna").await.unwrap();
    let other = SecretString::from("another horse battery");
    ops(&app).set_password("ben", other).await.unwrap();

    assert!(!is_in(&anna).await && !is_in(&ben).await);
}

#[tokio::test]
async fn a_name_that_fails_often_has_to_wait_even_with_the_right_password() {
    let app = TestApp::new().await;
    add_user(&app, "anna", Role::Viewer).await;
    // As if somebody had tried a few times just now.
    let mut connection = app.pool().acquire().await.unwrap();
    for _ in 0..9 {
        store::users::note_failed_login(&mut connection, "anna")
            .await
            .unwrap();
    }
    drop(connection);

    let call = browse(Method::POST, "/console/login");
    let fields = form(&[("name", "anna"), ("password", PASSWORD)]);
    let answer = app.call(call.text(&fields)).await;

    assert_eq!(answer.status, 429);
    let after: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert!(
        answer.page().contains("too many attempts") || answer.page().contains("Too many attempts")
    );
    assert_eq!(
        log_in(&app, &[("name", "ben"), ("password", PASSWORD)]).await,
        401
    );
}

#[tokio::test]
async fn keys_come_in_with_the_role_of_their_scopes() {
    let app = TestApp::new().await;
    for (scopes, role) in [
        (&["read"][..], "viewer"),
        (&["operate"][..], "operator"),
        (&["link", "admin"][..], "admin"),
    ] {
        let page = app.visitor(scopes).await.get("jobs").await.page();
        assert!(
            page.contains("key test (sl_") && page.contains(&format!(", {role}<")),
            "{role}"
        );
    }
    let links = NewKey {
        scopes: &["link"],
        ..NewKey::default()
    };
    let of_one = NewKey {
        organization_id: Some("own"),
        ..NewKey::default()
    };
    let revoked = NewKey {
        is_revoked: true,
        ..NewKey::default()
    };
    for (new, expected) in [(links, 403), (of_one, 403), (revoked, 401)] {
        let key = app.key(new).await;
        assert_eq!(log_in(&app, &[("key", &key)]).await, expected);
    }
}

#[tokio::test]
async fn a_login_leads_back_to_where_it_was_asked_for_and_nowhere_else() {
    let app = TestApp::new().await;
    for (next, expected) in [
        ("jobs?state=dead", "./jobs?state=dead"),
        ("//evil.example/", ".///evil.example/"),
        ("https://evil.example", "./https://evil.example"),
        ("javascript:alert(1)", "./javascript:alert(1)"),
    ] {
        let fields = form(&[("key", "bootstrap-key-of-the-tests"), ("next", next)]);
        let answer = app
            .call(browse(Method::POST, "/console/login").text(&fields))
            .await;
        assert_eq!(answer.header("location"), Some(expected));
    }
}
