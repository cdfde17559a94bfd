//! The console in a real browser: Debian's Chromium, driven over its debugging pipe, in front of the service as a
//! process on a real Postgres.
//!
//! Each page of it is watched: a dialog, a report of the content security policy, an error on the browser's console
//! or a script that failed fails the test that opened it. Nothing sleeps and hopes: every step waits for what a person
//! would wait for, something on the page.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod axe;
mod chromium;
mod hands;
mod hostile;
mod journeys;
mod keys;
mod languages;
mod live;
mod site;
mod strings;
#[expect(
    dead_code,
    unused_imports,
    reason = "made for the tests without a browser, which use all of it"
)]
#[path = "../it"]
mod it {
    pub(crate) mod support;
}
mod sweep;
mod tab;
mod viewer;
mod world;

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use self::it::support;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at a condition.
const LOOK: Duration = Duration::from_millis(20);

/// Each of these tests wants the machine for itself: a browser, a service and a server of Postgres are enough for it.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Looks again and again until there is something.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(LOOK).await;
    }
}
