//! A process, as far as its end goes: a runtime of its own, with one thread, that can be killed.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

/// What runs in it ends between two instructions when it is killed, and stands still when its thread does.
pub(crate) struct Process {
    runtime: Option<Runtime>,
}

impl Process {
    pub(crate) fn start(main: impl Future<Output = ()> + Send + 'static) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(main);
        Self {
            runtime: Some(runtime),
        }
    }

    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
