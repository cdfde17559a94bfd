//! The worker role: an apalis monitor over the queue's lanes.

use std::sync::Arc;

use anyhow::Context as _;
use apalis::prelude::{Monitor, WorkerBuilder};
use queue::{backend::Performer, worker::Worker};
use tokio_util::sync::CancellationToken;

use crate::announcer;
use crate::app::App;

/// Runs jobs until `shutdown`, then drains: claims nothing more, lets what runs end until the deadline,
/// hands back the rest. Asked to drain from outside, it does so, too, and cancels `shutdown` then.
///
/// # Errors
/// When the worker cannot be registered. Afterwards it waits errors out.
pub async fn run(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    let registry = Arc::new(jobs::registry());
    let context = Arc::new(app.job_context());
    let (worker, backend) = Worker::start(&app.queue, &registry, app.worker_settings())
        .await
        .context("cannot start the worker")?;
    let performer = Performer::new(registry, context);
    let monitor = Monitor::new()
        .register(move |restarts| {
            WorkerBuilder::new(format!("syncline-{restarts}"))
                .backend(backend.clone())
                .build(performer.clone())
        })
        // The backend never fails, so this is for what nobody foresaw; nothing is lost by it, since
        // whatever ran is handed back.
        .should_restart(|_, error| {
            tracing::error!(%error, "the executor ended and is started again");
            true
        });
    let executing = async {
        // Ends when the backend does, which is once the worker drains.
        monitor.run().await.context("the executor ended badly")?;
        if !shutdown.is_cancelled() {
            tracing::info!("somebody asked the worker to drain: the process stops");
            shutdown.cancel();
        }
        anyhow::Ok(())
    };
    let draining = async {
        shutdown.cancelled().await;
        worker.drain().await;
        Ok(())
    };
    tokio::select! {
        ended = async { tokio::try_join!(executing, draining) } => ended.map(|_| ()),
        never = announcer::run(&app.pool, &app.queue) => match never {},
    }
}
