use std::io::{self, IsTerminal as _};
use std::panic::PanicHookInfo;

use queue::scrub::scrubbed;
use tracing::Subscriber;
use tracing_subscriber::fmt::format::JsonFields;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use super::{attempt_lines, json, traces};
use crate::config::{LogFormat, Telemetry};

/// Starts logging to stderr, sends panics there as one line, and starts tracing. A second call changes nothing.
///
/// No secret is logged because none is ever given to `tracing`: types that hold one have a `Debug` that hides it.
pub fn init(settings: &Telemetry) {
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let started = match traces::layer(settings) {
        None => registry()
            .with(filter)
            .with(vec![lines(settings), attempt_lines()])
            .try_init(),
        // Each with what it wants to see.
        Some(traced) => {
            let lines = lines(settings).with_filter(filter).boxed();
            registry()
                .with(vec![traced.boxed(), lines, attempt_lines()])
                .try_init()
        }
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

fn lines<S>(settings: &Telemetry) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = fmt::layer().with_writer(io::stderr);
    match settings.log_format {
        LogFormat::Text => lines
            .compact()
            .with_ansi(io::stderr().is_terminal())
            .boxed(),
        LogFormat::Json => lines
            .fmt_fields(JsonFields::new())
            .event_format(json::Lines)
            .with_ansi(false)
            .boxed(),
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = scrubbed(info.payload_as_str().unwrap_or("no message"));
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        panic.message = %message,
        panic.place = place,
        "a task panicked: {message}"
    );
}
