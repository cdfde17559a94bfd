//! The wall to apalis: our worker's jobs as its backend, our settling as its middleware.
//!
//! apalis pulls, runs and drains; it is never told of a storage error, because an error ends its worker
//! and drops what runs. Everything that touches the database is behind [`crate::worker`].

use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;
use tower::{Layer, Service};

use crate::{
    job::{BoxError, Failure},
    perform::perform,
    registry::Registry,
    worker::{Completion, Ready},
};

/// Yields the started jobs of a [`crate::worker::Worker`].
#[derive(Debug, Clone)]
pub struct LaneBackend {
    /// Shared, so that a restarted apalis worker goes on with the same stream.
    jobs: Arc<Mutex<mpsc::UnboundedReceiver<Ready>>>,
}

impl LaneBackend {
    pub(crate) fn new(jobs: mpsc::UnboundedReceiver<Ready>) -> Self {
        Self {
            jobs: Arc::new(Mutex::new(jobs)),
        }
    }
}

impl Backend for LaneBackend {
    type Task = Task<Ready>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        _context: &mut Context<'_>,
        _worker: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.poll_recv(context).map(|job| {
            if job.is_none() {
                // A backend that has ended is not enough: apalis waits for its worker to be stopped.
                let _ = worker.stop();
            }
            job.map(|ready| Ok(TaskBuilder::new(ready).build()))
        })
    }

    fn poll_close(
        &mut self,
        _context: &mut Context<'_>,
        _worker: &WorkerContext,
    ) -> Poll<Result<(), Self::Error>> {
        // What is still in the channel is handed back by its tickets.
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.close();
        while jobs.try_recv().is_ok() {}
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for LaneBackend {
    type Args = Ready;
    type Id = uuid::Uuid;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = SettleLayer;

    fn config(&self) -> &Self::Config {
        &()
    }

    fn middleware(&mut self, _worker: &mut WorkerContext) -> Self::Layer {
        SettleLayer
    }
}

/// Settles each job by the answer of everything below.
///
/// Judged by the error's *value*: apalis' own status reads "running" after a time-out or a panic.
#[derive(Debug, Clone, Copy)]
pub struct SettleLayer;

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Settle<S> {
        Settle { inner }
    }
}

/// The service made by [`SettleLayer`]; it never fails.
#[derive(Debug, Clone)]
pub struct Settle<S> {
    inner: S,
}

impl<S> Service<Task<Ready>> for Settle<S>
where
    S: Service<Task<Ready>, Response = Completion>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<(), Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Nothing below limits: slots are counted where jobs are started.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut task: Task<Ready>) -> Self::Future {
        // Held here: if the future is dropped, the ticket hands the job back.
        let ticket = task.args.ticket.take();
        let answer = self.inner.call(task);
        async move {
            let answer = answer.await.map_err(|error| into_failure(error.into()));
            if let Some(ticket) = ticket {
                ticket.settle(answer);
            }
            Ok(())
        }
        .boxed()
    }
}

/// The failure a handler returned, however layers wrapped it; anything else is a layer's own refusal.
fn into_failure(error: BoxError) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(error) => Failure::Retry {
            error,
            class: "layer",
            http_status: None,
        },
    }
}

/// Performs jobs: the innermost service of an apalis worker over [`LaneBackend`].
pub struct Performer<C> {
    registry: Arc<Registry<C>>,
    context: Arc<C>,
}

impl<C> Performer<C> {
    /// Performs the jobs of `registry` with `context`.
    pub fn new(registry: Arc<Registry<C>>, context: Arc<C>) -> Self {
        Self { registry, context }
    }
}

impl<C> Clone for Performer<C> {
    fn clone(&self) -> Self {
        Self {
            registry: Arc::clone(&self.registry),
            context: Arc::clone(&self.context),
        }
    }
}

impl<C> fmt::Debug for Performer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Performer")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

impl<C: Send + Sync + 'static> Service<Task<Ready>> for Performer<C> {
    type Response = Completion;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Completion, Failure>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Ready>) -> Self::Future {
        perform(
            task.args,
            Arc::clone(&self.registry),
            Arc::clone(&self.context),
        )
        .boxed()
    }
}
