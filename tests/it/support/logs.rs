//! Everything that is logged on this thread, for tests of what must not be.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::LazyLock,
};

use tracing_subscriber::{
    Layer, filter::dynamic_filter_fn, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt,
};

thread_local! {
    static IS_CAPTURING: Cell<bool> = const { Cell::new(false) };
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One subscriber for all threads: with one for each thread, tracing remembers of a place in the code that
/// nobody listens when the first thread to pass there does not.
static SUBSCRIBER: LazyLock<()> = LazyLock::new(|| {
    let capture = fmt::layer().with_ansi(false).with_writer(|| OfThisThread);
    let capture = capture.with_filter(dynamic_filter_fn(|_, _| IS_CAPTURING.get()));
    registry()
        .with(capture)
        .with(syncline::telemetry::attempt_lines())
        .try_init()
        .expect("no test sets up logs of its own");
});

/// Captures until it is dropped. Tests run on a runtime of one thread, so it sees all their tasks.
pub(crate) struct Logs(());

impl Logs {
    pub(crate) fn capture() -> Self {
        LazyLock::force(&SUBSCRIBER);
        TEXT.take();
        IS_CAPTURING.set(true);
        Self(())
    }

    #[expect(clippy::unused_self, reason = "only while something is captured")]
    pub(crate) fn text(&self) -> String {
        TEXT.with_borrow(|text| String::from_utf8_lossy(text).into_owned())
    }

    #[track_caller]
    pub(crate) fn assert_without(&self, secret: &str) {
        let text = self.text();
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret was logged");
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        IS_CAPTURING.set(false);
    }
}

struct OfThisThread;

impl io::Write for OfThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TEXT.with_borrow_mut(|text| text.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
