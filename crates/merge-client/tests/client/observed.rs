//! What an observer is told.

use std::cell::RefCell;
use std::time::Duration;

use merge_client::{Category, Exchange, ListQuery, MergeClient, Settings, catalogue};
use secrecy::SecretString;

use crate::server::{API_KEY, Server, answer, token};

/// Method, path, status and id of a request.
type Told = (String, String, Option<u16>, Option<String>);

thread_local! {
    // Each test runs on a thread of its own.
    static TOLD: RefCell<Vec<Told>> = const { RefCell::new(Vec::new()) };
}

fn note(exchange: &Exchange<'_>) {
    let id = exchange.request_id.map(str::to_owned);
    let (method, path) = (exchange.method.to_owned(), exchange.path.to_owned());
    TOLD.with_borrow_mut(|told| told.push((method, path, exchange.status, id)));
}

fn observed(settings: Settings) -> MergeClient {
    let observer: merge_client::Observer = note;
    MergeClient::new(Settings {
        observer: Some(observer),
        ..settings
    })
    .unwrap()
}

fn told(method: &str, path: &str, status: Option<u16>, id: Option<&str>) -> Told {
    (
        method.to_owned(),
        path.to_owned(),
        status,
        id.map(str::to_owned),
    )
}

#[tokio::test]
async fn is_told_of_each_request_without_its_secrets() {
    let server = Server::start(|_| answer(503, &[("x-request-id", "r-17")], "")).await;
    let client = observed(server.settings());

    let public_token = SecretString::from("canary-public-token");
    client
        .exchange_public_token(&public_token)
        .await
        .unwrap_err();

    let path = "integrations/account-token";
    assert_eq!(TOLD.take(), [told("GET", path, Some(503), Some("r-17"))]);
}

#[tokio::test]
async fn a_name_that_quotes_a_secret_is_none() {
    let id = format!("r-{API_KEY}");
    let server = Server::start(move |_| answer(503, &[("x-request-id", &id)], "")).await;

    let client = observed(server.settings());
    client.check_key().await.unwrap_err();

    let (_, _, status, id) = TOLD.take().remove(0);
    assert_eq!((status, id), (Some(503), None));
}

#[tokio::test]
async fn is_told_of_a_request_that_is_given_up() {
    let (began, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        began.send(stream).unwrap();
    });
    let client = observed(Settings::new(base.parse().unwrap(), "key".into()));

    let query = ListQuery {
        modified_after: None,
        modified_before: None,
        include_deleted_data: true,
        cursor: None,
        page_size: 100,
    };
    let token = token();
    let account = client.account(Category::HRIS, &token);
    let model = catalogue::find("hris.Employee").unwrap();
    tokio::select! {
        answer = account.list(model, &query) => panic!("{answer:?}"),
        stream = has_begun.recv() => assert!(stream.is_some()),
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nothing was sent"),
    }

    assert_eq!(TOLD.take(), [told("GET", "hris/v1/employees", None, None)]);
}
