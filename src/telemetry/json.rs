//! Lines of JSON: one flat object each, with the ids that other lines and traces have as well.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event with the fields of the spans it is in, the innermost before the others; of a name that is there twice
/// the event's own counts.
pub(super) struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>> FormatEvent<S, JsonFields> for Lines {
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        line.put("timestamp", timestamp.into());
        line.put("level", event.metadata().level().as_str().into());
        line.put("target", event.metadata().target().into());
        event.record(&mut line);
        put_trace(&mut line);
        let spans = context.event_scope().into_iter().flatten();
        for span in spans {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            let fields = fields.and_then(|fields| serde_json::from_str(fields).ok());
            let fields: Map<String, Value> = fields.unwrap_or_default();
            for (name, value) in fields {
                line.put(&name, value);
            }
        }
        writeln!(writer, "{}", Value::Object(line.0))
    }
}

fn put_trace(line: &mut Line) {
    Context::map_current(|context| {
        let span = context.span();
        let ids = span.span_context();
        if ids.is_valid() {
            line.put("trace_id", ids.trace_id().to_string().into());
            line.put("span_id", ids.span_id().to_string().into());
        }
    });
}

#[derive(Default)]
struct Line(Map<String, Value>);

impl Line {
    fn put(&mut self, name: &str, value: Value) {
        let name = match name {
            "request.id" => "request_id",
            "job.id" => "job_id",
            "job.kind" => "kind",
            "job.attempt" => "attempt",
            other => other.strip_prefix("r#").unwrap_or(other),
        };
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), value);
        }
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}
