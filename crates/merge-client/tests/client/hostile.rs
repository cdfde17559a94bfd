//! Answers that a gateway, a fault or an enemy may give.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::stream;
use merge_client::{Category, Error, ListQuery, MergeClient, Page, catalogue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Server, answer, json, token};

async fn list(client: &MergeClient) -> Result<Page, Error> {
    let query = ListQuery {
        modified_after: None,
        modified_before: None,
        include_deleted_data: true,
        cursor: None,
        page_size: 100,
    };
    let model = catalogue::find("hris.Employee").unwrap();
    client
        .account(Category::HRIS, &token())
        .list(model, &query)
        .await
}

async fn list_against(respond: impl Fn() -> Response + Clone + Send + Sync + 'static) -> Error {
    let server = Server::start(move |_| respond()).await;
    list(&server.client()).await.unwrap_err()
}

#[tokio::test]
async fn statuses_become_variants() {
    for (status, class, is_retryable) in [
        (400, "rejected", false),
        (401, "unauthorized", false),
        (403, "forbidden", false),
        (404, "not_found", false),
        (408, "rejected", true),
        (409, "rejected", true),
        (429, "rate_limited", true),
        (500, "server", true),
        (503, "server", true),
    ] {
        let error = list_against(move || json(status, r#"{"detail": "because"}"#)).await;

        assert_eq!((error.class(), error.status()), (class, Some(status)));
        assert_eq!(error.is_retryable(), is_retryable, "{status}");
        let text = error.to_string();
        assert!(text.contains("GET hris/v1/employees"), "{text}");
        assert_eq!(
            text.contains("because"),
            matches!(status, 400..429),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_html_page_is_no_answer() {
    let html = &[("content-type", "text/html; charset=utf-8")];

    let gateway = list_against(|| answer(502, html, "<html>Bad gateway</html>")).await;
    let portal = list_against(|| answer(200, html, "<html>Log in</html>")).await;
    let refusal = list_against(|| answer(401, html, "<html>no</html>")).await;

    assert!(matches!(gateway, Error::Server { status: 502, .. }));
    assert!(matches!(portal, Error::NotJson { .. }) && portal.is_retryable());
    assert!(!format!("{refusal}").contains("<html>"), "{refusal}");
}

#[tokio::test]
async fn a_rate_limit_tells_how_long() {
    let seconds = list_against(|| answer(429, &[("retry-after", "7")], "")).await;
    let date = list_against(|| {
        let date = [
            ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ("retry-after", "Sun, 22 Nov 2026 10:00:30 GMT"),
        ];
        answer(429, &date, "")
    })
    .await;
    let server = list_against(|| answer(503, &[("retry-after", "2")], "")).await;
    let untold = list_against(|| answer(429, &[], "")).await;

    assert_eq!(seconds.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(date.retry_after(), Some(Duration::from_secs(30)));
    assert_eq!(server.retry_after(), Some(Duration::from_secs(2)));
    assert!(matches!(
        untold,
        Error::RateLimited {
            retry_after: None,
            ..
        }
    ));
}

#[tokio::test]
async fn a_wrong_type_names_its_path() {
    for (body, expected) in [
        (r#"{"next": null, "results": {"canary": 1}}"#, "results"),
        (r#"{"next": 5, "results": []}"#, "next"),
        (r#"{"next": "https://h.test/x", "results": []}"#, "next"),
        (
            r#"{"next": null, "results": [{"id": "1"}, "canary"]}"#,
            "results[1]",
        ),
        (r#"{"next": null}"#, "."),
        (r#"["canary"]"#, "."),
        (r#"{"next": null, "results": [{"id": "1""#, "results[0]"),
        ("", "."),
    ] {
        let error = list_against(move || json(200, body)).await;

        let text = format!("{error}, {error:?}");
        assert!(!text.contains("canary"), "{text}");
        let Error::Decode { path, .. } = error else {
            panic!("{body}: {error:?}")
        };
        assert_eq!(path, expected, "{body}");
    }
}

#[tokio::test]
async fn a_record_nested_too_deep_is_refused() {
    let error = list_against(|| {
        let (open, close) = ("[".repeat(5_000), "]".repeat(5_000));
        json(
            200,
            format!(r#"{{"next": null, "results": [{{"a": {open}{close}}}]}}"#),
        )
    })
    .await;

    assert!(matches!(error, Error::Decode { path, .. } if path == "results[0]"));
}

#[tokio::test]
async fn reading_stops_at_the_limit() {
    let declared = list_against(|| json(200, vec![b' '; 3 << 20])).await;
    let endless = list_against(|| {
        let chunks =
            stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096])));
        json(200, Body::from_stream(chunks))
    })
    .await;
    let bomb = list_against(|| {
        let headers = [
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        answer(
            200,
            &headers,
            &include_bytes!("../../fixtures/eight_mebibytes_of_spaces.gz")[..],
        )
    })
    .await;
    let endless_refusal = list_against(|| {
        let chunks =
            stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096])));
        json(400, Body::from_stream(chunks))
    })
    .await;

    for error in [declared, endless, bomb] {
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    limit_bytes: 1_048_576,
                    ..
                }
            ),
            "{error:?}"
        );
    }
    assert!(matches!(
        endless_refusal,
        Error::Rejected { status: 400, .. }
    ));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_no_token_leaves() {
    let elsewhere = Server::json(200, r#"{"next": null, "results": []}"#).await;
    let target = format!("{}/api/hris/v1/employees", elsewhere.base);

    for status in [301, 302, 307, 308] {
        let target = target.clone();
        let error = list_against(move || answer(status, &[("location", &target)], "")).await;

        assert!(matches!(error, Error::Rejected { .. }), "{error:?}");
        assert!(error.to_string().contains("redirect"), "{error}");
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_next_on_another_host_does_not_lead_there() {
    let elsewhere = Server::json(200, r#"{"next": null, "results": []}"#).await;
    let next = format!("{}/api/hris/v1/sync-status?cursor=two", elsewhere.base);
    let server = Server::start(move |asked| {
        let is_second = asked
            .uri
            .query()
            .is_some_and(|query| query.contains("cursor=two"));
        let next = if is_second {
            "null".to_owned()
        } else {
            format!("{next:?}")
        };
        json(200, format!(r#"{{"next": {next}, "results": []}}"#))
    })
    .await;

    server
        .client()
        .account(Category::HRIS, &token())
        .sync_status()
        .await
        .unwrap();

    assert_eq!(server.asked().len(), 2);
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn cursors_that_go_in_a_circle_end_the_walk() {
    let repeating = Server::json(200, r#"{"next": "same", "results": []}"#).await;
    let growing = Server::start(|asked| {
        json(
            200,
            format!(
                r#"{{"next": "c{}", "results": []}}"#,
                asked.uri.to_string().len()
            ),
        )
    })
    .await;

    for server in [repeating, growing] {
        let error = server
            .client()
            .account(Category::HRIS, &token())
            .sync_status()
            .await
            .unwrap_err();

        assert!(matches!(error, Error::EndlessPages { .. }), "{error:?}");
        assert!(server.asked().len() <= 50);
    }
}

#[tokio::test]
async fn a_slow_answer_times_out() {
    let server = Server::start(|_| {
        let never = stream::pending::<Result<Bytes, std::io::Error>>();
        json(200, Body::from_stream(never))
    })
    .await;
    let settings = merge_client::Settings {
        request_timeout: Duration::from_millis(300),
        ..server.settings()
    };

    let error = list(&MergeClient::new(settings).unwrap())
        .await
        .unwrap_err();

    assert_eq!((error.class(), error.is_retryable()), ("timeout", true));
}

#[tokio::test]
async fn a_body_cut_off_is_a_transport_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
            .write_all(br#"{"next": null, "results": ["#)
            .await
            .unwrap();
    });
    let settings = merge_client::Settings::new(base.parse().unwrap(), "key".into());

    let error = list(&MergeClient::new(settings).unwrap())
        .await
        .unwrap_err();

    assert_eq!((error.class(), error.is_retryable()), ("transport", true));
}

#[tokio::test]
async fn nobody_listening_is_a_transport_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = merge_client::Settings::new(base.parse().unwrap(), "key".into());

    let error = list(&MergeClient::new(settings).unwrap())
        .await
        .unwrap_err();

    assert_eq!(error.class(), "transport");
}
