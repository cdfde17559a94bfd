//! Bodies and queries that do not fit, and how their problems name the place.

use serde::Deserialize;

use super::*;
use crate::api::field::{Limit, Text};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only how it is read matters")]
struct Body {
    name: Text<8>,
    #[serde(alias = "old_count")]
    count: u8,
    inner: Option<Inner>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only how it is read matters")]
struct Inner {
    list: Vec<u8>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only how it is read matters")]
struct Page {
    organization_id: Text<8>,
    #[serde(default)]
    limit: Limit,
    after: Option<Text<4>>,
}

fn rendered(problem: Problem) -> (u16, String) {
    (problem.into_response().status().as_u16(), String::new())
}

#[test]
fn a_body_that_does_not_fit_is_answered_by_status_and_pointer() {
    let cases = [
        ("", 400, ""),
        ("{", 400, ""),
        ("{} {}", 422, "/name"),
        (r#"{"name":"a","count":1} x"#, 400, ""),
        ("[]", 422, ""),
        (r#" ["a", 1, null]"#, 422, ""),
        ("null", 422, ""),
        (r#"{"count":1}"#, 422, "/name"),
        (r#"{"name":5,"count":1}"#, 422, "/name"),
        (r#"{"name":"","count":1}"#, 422, "/name"),
        (r#"{"name":"a\u0000","count":1}"#, 422, "/name"),
        (r#"{"name":"a","count":300}"#, 422, "/count"),
        (r#"{"name":"a","count":1,"old_count":1}"#, 422, "/count"),
        (r#"{"name":"a","count":1,"extra/x":1}"#, 422, "/extra~1x"),
        (
            r#"{"name":"a","count":1,"inner":{"list":[1,"x"]}}"#,
            422,
            "/inner/list/1",
        ),
    ];
    for (body, status, at) in cases {
        let problem = parse_json::<Body>(body.as_bytes()).expect_err(body);
        let shown = format!("{problem:?}");
        assert_eq!(rendered(problem).0, status, "{body}: {shown}");
        if !at.is_empty() {
            assert!(
                shown.contains(&format!("pointer: Some({at:?})")),
                "{body}: {shown}"
            );
        }
    }
    assert!(parse_json::<Body>(br#"{"name":"a","old_count":1}"#).is_ok());
}

#[test]
fn a_query_that_does_not_fit_names_the_parameter() {
    let cases = [
        ("", "organization_id"),
        ("organization_id=", "organization_id"),
        ("organization_id=a&organization_id=b", "organization_id"),
        ("organization_id=a&limit=0", "limit"),
        ("organization_id=a&limit=many", "limit"),
        ("organization_id=a&after=12345", "after"),
        ("organization_id=a&other=1", "other"),
    ];
    for (query, parameter) in cases {
        let problem = parse_query::<Page>(query).expect_err(query);
        let shown = format!("{problem:?}");
        assert!(
            shown.contains(&format!("parameter: Some({parameter:?})")),
            "{query}: {shown}"
        );
    }
    assert!(parse_query::<Page>("organization_id=a&limit=100&after=1").is_ok());
}
