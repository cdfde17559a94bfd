//! The scheduler role: enqueues what runs by the clock.

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Fires the schedules of all jobs until `shutdown`. Any number may run: a tick fires once.
pub async fn run(app: App, shutdown: CancellationToken) {
    queue::schedule::run(app.queue, jobs::registry().schedules(), shutdown).await;
}
