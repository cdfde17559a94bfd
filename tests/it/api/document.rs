//! `/openapi.json` says what the server does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::support::TestApp;

/// Every operation of the document: its method, its path, and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    operations
}

#[tokio::test]
async fn it_has_the_routes_of_the_router() {
    let app = TestApp::new().await;

    let document = app.get("/openapi.json").await.expect(200);

    assert_eq!(document["openapi"], "3.1.0");
    let documented: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let served = app.operations(&["/console"]).await.into_iter();
    let served: BTreeSet<_> = served
        .map(|(method, path)| (method.to_string(), path))
        .collect();
    assert!(served.len() > 25, "{served:?}");
    assert_eq!(documented, served);
}

#[tokio::test]
async fn what_it_names_is_in_it() {
    let app = TestApp::new().await;

    let document = app.get("/openapi.json").await.expect(200);

    let text = document.to_string();
    for reference in text.split(r##""$ref":"#"##).skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "{id} stands for two operations");
        let summary = operation["summary"].as_str().unwrap_or_default();
        assert!(
            !summary.is_empty(),
            "{method} {path} says nothing of itself"
        );
        for (status, response) in operation["responses"].as_object().unwrap() {
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{method} {path} {status}");
        }
        for name in path.split('{').skip(1) {
            let name = name.split('}').next().unwrap();
            let mut parameters = operation["parameters"].as_array().unwrap().iter();
            assert!(
                parameters.any(|known| known["name"] == name),
                "{method} {path}: {name}"
            );
        }
    }
}

#[tokio::test]
async fn it_tells_the_scope_that_the_gate_asks_for() {
    let app = TestApp::new().await;
    let document = app.get("/openapi.json").await.expect(200);
    let key = app.key_with(&[]).await;

    for (method, path, operation) in operations(&document) {
        let Some(scope) = operation["security"][0]["api_key"][0].as_str() else {
            continue;
        };
        let id = "00000000-0000-7000-8000-000000000000";
        let asked = path.split(['{', '}']).enumerate();
        let asked: String = asked
            .map(|(index, part)| if index % 2 == 1 { id } else { part })
            .collect();
        let method: Method = method.parse().unwrap();
        let call = crate::support::Call::new(method, &asked).key(&key);

        let refusal = app.call(call).await.expect(403);

        let detail = refusal["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{scope}`")), "{path}: {detail}");
    }
}
