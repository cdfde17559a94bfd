//! A collector of traces, as OpenTelemetry has them: OTLP over HTTP, in protobuf.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Listens until it is dropped.
pub(crate) struct Collector {
    pub(crate) url: String,
    received: Arc<Mutex<Received>>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Sent>,
    bytes: Vec<u8>,
}

/// A span that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) kind: i32,
    pub(crate) attributes: Vec<(String, String)>,
}

impl Sent {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let (_, value) = attributes.find(|(other, _)| other == name)?;
        Some(value)
    }
}

impl Collector {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own server, aborted with it"
    )]
    pub(crate) async fn start() -> Self {
        let received = Arc::new(Mutex::new(Received::default()));
        let router = Router::new()
            .route("/v1/traces", post(receive))
            .with_state(Arc::clone(&received));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            received,
            server,
        }
    }

    /// What came.
    pub(crate) fn spans(&self) -> Vec<Sent> {
        self.received.lock().unwrap().spans.clone()
    }

    /// Whether a text is anywhere in what came.
    pub(crate) fn has(&self, text: &str) -> bool {
        let received = self.received.lock().unwrap();
        received
            .bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(received): State<Arc<Mutex<Received>>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body.clone()).unwrap();
    let resources = request.resource_spans.iter();
    let scopes = resources.flat_map(|resource| &resource.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans).map(sent);
    let mut received = received.lock().unwrap();
    received.spans.extend(spans);
    received.bytes.extend_from_slice(&body);
    StatusCode::OK
}

fn sent(span: &Span) -> Sent {
    let hex = |bytes: &[u8]| {
        let bytes = bytes.iter().map(|byte| format!("{byte:02x}"));
        bytes.collect::<Vec<_>>().concat()
    };
    Sent {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        name: span.name.clone(),
        kind: span.kind,
        attributes: span.attributes.iter().map(attribute).collect(),
    }
}

fn attribute(attribute: &KeyValue) -> (String, String) {
    let value = attribute.value.as_ref().and_then(|any| any.value.as_ref());
    let value = match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    (attribute.key.clone(), value)
}
