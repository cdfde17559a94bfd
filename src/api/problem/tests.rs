//! What leaves us when something is wrong.

use axum::body::to_bytes;
use http::HeaderMap;
use serde_json::Value;

use super::*;

async fn rendered(problem: impl IntoResponse) -> (StatusCode, HeaderMap, Value) {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("r-1"));
    let response = render(problem.into_response(), &RequestId::of(&headers));
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (
        parts.status,
        parts.headers,
        serde_json::from_slice(&body).unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_field_s_fault_is_shown_in_full() {
    let problem = Problem::field(Fault::at("/category", "must be one of a, b"));

    let (status, headers, body) = rendered(problem).await;

    assert_eq!(status, 422);
    assert_eq!(headers["content-type"], "application/problem+json");
    insta::assert_json_snapshot!(body, @r#"
    {
      "detail": "A field of the request holds what it may not.",
      "errors": [
        {
          "detail": "must be one of a, b",
          "pointer": "/category"
        }
      ],
      "request_id": "r-1",
      "status": 422,
      "title": "A field is not valid",
      "type": "urn:syncline:problem:invalid-field"
    }
    "#);
}

#[tokio::test]
async fn our_own_fault_says_nothing_of_the_inside() {
    let cause = sqlx::Error::Protocol("password=hunter2 in table linked_accounts".to_owned());

    let (status, _, body) = rendered(Problem::internal(cause)).await;

    assert_eq!(status, 500);
    assert!(
        !body.to_string().contains("hunter2") && !body.to_string().contains("table"),
        "{body}"
    );
}

#[tokio::test]
async fn a_database_that_is_away_is_worth_another_try() {
    let (status, headers, _) = rendered(Problem::from(sqlx::Error::PoolTimedOut)).await;
    assert_eq!(
        (status.as_u16(), headers["retry-after"].to_str().unwrap()),
        (503, "5")
    );

    let (status, _, _) = rendered(Problem::from(sqlx::Error::RowNotFound)).await;
    assert_eq!(status, 500);
}

#[tokio::test]
async fn a_bare_status_of_some_layer_gets_a_body() {
    for status in [404, 405, 400, 408, 431, 500, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        let (rendered_status, headers, body) = rendered(status).await;
        assert_eq!(rendered_status, status);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(body["status"], status.as_u16());
    }
    let (status, headers, _) = rendered(StatusCode::NO_CONTENT).await;
    assert_eq!((status.as_u16(), headers.len()), (204, 0));
}
