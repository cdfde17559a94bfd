//! `/docs`: the same for people.

use http::Method;

use crate::support::{Call, TestApp};

#[tokio::test]
async fn it_shows_every_operation_and_needs_nothing_from_elsewhere() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.expect(200);

    let page = app
        .call(Call::new(Method::GET, "/docs").without("authorization"))
        .await;

    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self';"),
        "{policy}"
    );
    let html = page.page();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(html.contains(&format!(r#"id="{id}""#)), "{id}");
        }
    }
    for forbidden in [
        "<script",
        "<img",
        " style=",
        " src=",
        "href=\"http",
        "javascript:",
    ] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    for link in html.split(r##"href="#"##).skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(
            html.contains(&format!(r#"id="{target}""#)),
            "nothing at #{target}"
        );
    }
    let style = app.call(Call::new(Method::GET, "/docs/style.css")).await;
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert!(style.page().contains(".operation"));
}
