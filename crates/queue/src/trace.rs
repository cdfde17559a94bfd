//! The thread of a trace through the queue.
//!
//! A job remembers the trace it was enqueued in, as a W3C `traceparent`, and each of its attempts goes on with it: so one
//! trace leads from a request to whatever was done because of it, in whichever process. Where nobody traces, a job has
//! the trace that it was given, or that of the job which enqueued it, and none is made up.

use std::str::FromStr;

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};

/// The `traceparent` of what runs now; `None` where nobody traces.
pub fn current() -> Option<String> {
    Context::map_current(|context| {
        let span = context.span();
        let context = span.span_context();
        context.is_valid().then(|| {
            let (trace, span) = (context.trace_id(), context.span_id());
            format!("00-{trace}-{span}-{:02x}", context.trace_flags())
        })
    })
}

/// Opens a span that goes on with the trace of a `traceparent`; without one, with that of what runs now.
pub fn following<T>(traceparent: Option<&str>, open: impl FnOnce() -> T) -> T {
    let remote = traceparent.and_then(parse);
    let _followed = remote.map(|remote| {
        let context = Context::new().with_remote_span_context(remote);
        context.attach()
    });
    open()
}

/// What a text says that has the form `version-trace-parent-flags` of W3C Trace Context, level 1.
pub(crate) fn parse(text: &str) -> Option<SpanContext> {
    let is_hex = |part: &str| {
        let mut bytes = part.bytes();
        bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let &[version, trace, span, flags] = parts.as_slice() else {
        return None;
    };
    let lengths = [version, trace, span, flags].map(str::len);
    if lengths != [2, 32, 16, 2] || version == "ff" || !parts.iter().all(|part| is_hex(part)) {
        return None;
    }
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(flags) & TraceFlags::SAMPLED,
        true,
        TraceState::from_str("").ok()?,
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_followed_trace_is_the_current_one() {
        assert_eq!(current(), None);
        assert_eq!(following(Some(TRACE), current).as_deref(), Some(TRACE));
        assert_eq!(following(None, current), None);
        assert_eq!(current(), None);
    }

    #[test]
    fn what_is_no_traceparent_is_not_followed() {
        for text in [
            "",
            "not a traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-zz",
        ] {
            assert_eq!(following(Some(text), current), None, "{text}");
        }
    }
}
