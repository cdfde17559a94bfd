//! Traces: what a request led to, through the queue, to the calls of Merge.
//!
//! Three kinds of spans are traced. Of each, only what [`TRACED`] names leaves the process, under the names of
//! OpenTelemetry's conventions: no payload, no secret, no name of a person or an organization, whatever the span has for
//! the log. Spans are sent in batches by a thread of its own; when the collector is slow or away they are dropped, and
//! nothing waits for it.
//!
//! Without a collector, JSON logs still have the ids of traces, which then are nowhere else.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{SpanKind, Status, TracerProvider as _};
use opentelemetry::{KeyValue, Value};
use opentelemetry_otlp::{
    SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use tracing::Metadata;
use tracing::subscriber::Interest;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::{Layer, Registry};
use url::Url;

use super::LogGate;
use super::collector::Collector;
use crate::config::{LogFormat, Telemetry};

/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last batch.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Spans that wait to be sent, at most.
const WAITING: usize = 8_192;
/// From one batch to the next.
const INTERVAL: Duration = Duration::from_secs(2);
/// Spans of one batch, at most.
const BATCH: usize = 512;

/// A kind of span that is traced.
struct Traced {
    /// What `tracing` calls it.
    span: &'static str,
    kind: SpanKind,
    /// What it is called outside: these fields, one after another.
    title: &'static [&'static str],
    /// What is known beforehand.
    fixed: &'static [(&'static str, &'static str)],
    /// Fields that are sent, and their names outside.
    fields: &'static [(&'static str, &'static str)],
}

const TRACED: [Traced; 3] = [
    Traced {
        span: "http.request",
        kind: SpanKind::Server,
        title: &["http.request.method", "http.route"],
        fixed: &[],
        fields: &[
            ("http.request.method", "http.request.method"),
            ("http.route", "http.route"),
            ("http.response.status_code", "http.response.status_code"),
            ("error.type", "error.type"),
            ("request.id", "syncline.request.id"),
        ],
    },
    Traced {
        span: "job.run",
        kind: SpanKind::Consumer,
        title: &["job.kind"],
        fixed: &[
            ("messaging.system", "syncline"),
            ("messaging.operation.type", "process"),
        ],
        fields: &[
            ("job.queue", "messaging.destination.name"),
            ("job.id", "messaging.message.id"),
            ("job.kind", "syncline.job.kind"),
            ("job.attempt", "syncline.job.attempt"),
            ("outcome", "syncline.job.outcome"),
            ("error.type", "error.type"),
        ],
    },
    Traced {
        span: "merge.request",
        kind: SpanKind::Client,
        title: &["endpoint"],
        fixed: &[("service.peer.name", "merge")],
        fields: &[
            ("endpoint", "syncline.merge.endpoint"),
            ("http.request.method", "http.request.method"),
            ("http.response.status_code", "http.response.status_code"),
            ("error.type", "error.type"),
        ],
    },
];

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Traces what runs, if the settings name a collector, or want lines of JSON, which bear the ids of traces.
pub(super) fn layer(settings: &Telemetry) -> Option<impl Layer<Registry> + Send + Sync> {
    if settings.otlp_endpoint.is_none() && settings.log_format != LogFormat::Json {
        return None;
    }
    let provider = PROVIDER.get_or_init(|| provider(settings));
    let is_traced = |metadata: &Metadata<'_>| {
        metadata.is_span() && TRACED.iter().any(|it| it.span == metadata.name())
    };
    // Asked anew for each span. What a filter has said once and for all is not asked for again, and then the answer to
    // another question may be taken for it: that of `tracing::enabled!`, which sqlx asks at each query.
    let filter = dynamic_filter_fn(move |metadata, _| is_traced(metadata))
        .with_callsite_filter(move |metadata| {
            if is_traced(metadata) {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        })
        .with_max_level_hint(LevelFilter::DEBUG);
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("syncline"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false);
    Some(layer.with_filter(filter))
}

/// Sends what still waits; call it when the process ends. Takes two seconds at most.
pub async fn flush() {
    let Some(provider) = PROVIDER.get().cloned() else {
        return;
    };
    let ending = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST_PATIENCE));
    if let Ok(Err(error)) = ending.await {
        tracing::debug!(%error, "the last traces were not sent");
    }
}

fn provider(settings: &Telemetry) -> SdkTracerProvider {
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "syncline"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ]);
    let builder = SdkTracerProvider::builder().with_resource(resource.build());
    let exporter = settings.otlp_endpoint.as_ref().map(Outgoing::to);
    match exporter {
        None => builder
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
            .build(),
        Some(Err(error)) => {
            tracing::error!(error = %format!("{error:#}"), "traces cannot be sent");
            builder.with_sampler(Sampler::AlwaysOff).build()
        }
        Some(Ok(exporter)) => {
            let batches = BatchConfigBuilder::default()
                .with_max_queue_size(WAITING)
                .with_max_export_batch_size(BATCH)
                .with_scheduled_delay(INTERVAL)
                .build();
            let processor = BatchSpanProcessor::builder(exporter)
                .with_batch_config(batches)
                .build();
            let share = Sampler::TraceIdRatioBased(settings.trace_ratio);
            builder
                .with_sampler(Sampler::ParentBased(Box::new(share)))
                .with_span_processor(processor)
                .build()
        }
    }
}

/// What is sent, in the words of the conventions.
#[derive(Debug)]
struct Outgoing {
    exporter: OtlpExporter,
    failures: LogGate,
}

impl Outgoing {
    fn to(endpoint: &Url) -> anyhow::Result<Self> {
        let address = format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'));
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(Collector::new(endpoint, PATIENCE)?)
            .with_endpoint(address)
            .with_timeout(PATIENCE)
            .build()?;
        Ok(Self {
            exporter,
            failures: LogGate::default(),
        })
    }
}

impl SpanExporter for Outgoing {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let outgoing = batch.into_iter().filter_map(conventional).collect();
        let sent = self.exporter.export(outgoing).await;
        let outcome = if sent.is_ok() { "sent" } else { "lost" };
        metrics::counter!("syncline_trace_spans_total", "outcome" => outcome).increment(spans);
        if let Err(error) = &sent
            && let Some(left_out) = self.failures.pass()
        {
            tracing::warn!(%error, spans, left_out, "traces are lost: the collector does not take them");
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Routes that are asked every few seconds by those who look after us: their traces would bury all others.
fn is_for_machines(route: &str) -> bool {
    route.starts_with("/health/") || route == "/metrics"
}

/// A span with nothing but what may leave the process.
fn conventional(mut span: SpanData) -> Option<SpanData> {
    let traced = TRACED.iter().find(|traced| traced.span == span.name)?;
    let value = |name: &str| {
        let mut attributes = span.attributes.iter();
        attributes
            .find(|attribute| attribute.key.as_str() == name)
            .map(|attribute| attribute.value.clone())
    };
    if value("http.route").is_some_and(|route| is_for_machines(&route.as_str())) {
        return None;
    }
    let title: Vec<_> = traced
        .title
        .iter()
        .filter_map(|field| value(field))
        .collect();
    let title: Vec<_> = title.iter().map(Value::as_str).collect();
    let fixed = traced.fixed.iter();
    let fixed = fixed.map(|&(name, value)| KeyValue::new(name, value));
    let sent = traced.fields.iter();
    let sent = sent.filter_map(|&(field, name)| Some(KeyValue::new(name, value(field)?)));
    let attributes = fixed.chain(sent).collect();
    if value("error.type").is_some() {
        span.status = Status::error("");
    }
    span.name = title.join(" ").into();
    span.span_kind = traced.kind.clone();
    span.attributes = attributes;
    span.events = opentelemetry_sdk::trace::SpanEvents::default();
    Some(span)
}
