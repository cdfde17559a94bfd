//! Running one started job: its time limit, its panics, its answer.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use crate::{
    attempt::Attempt,
    job::Failure,
    notes,
    registry::Registry,
    worker::{Completion, Ready},
};

/// A kind no code here knows is looked at again after this; another version may run it before.
const UNKNOWN_KIND_DELAY: Duration = Duration::from_secs(30);

/// What a handler gets to end by itself once its token has fired.
const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// Runs a started job to its end and says how it ended. Never panics because a handler does.
///
/// # Errors
/// Every end but success, as the [`Failure`] the job returned, or one made of a panic or a time-out.
pub async fn perform<C: Send + Sync + 'static>(
    ready: Ready,
    registry: Arc<Registry<C>>,
    context: Arc<C>,
) -> Result<Completion, Failure> {
    let job = Arc::clone(&ready.job);
    let attempt = Attempt::new(
        Arc::clone(&job),
        ready.client.clone(),
        ready.limiter.clone(),
        ready.purse.clone(),
        ready.stop.token().clone(),
    );
    let limit = registry
        .policy(&job.kind)
        .map_or(Duration::MAX, |policy| policy.timeout);
    let Some(run) = registry.run(&job.kind, context, attempt) else {
        let reason = format!("no worker of this version knows the kind `{}`", job.kind);
        return Err(Failure::Snooze {
            after: UNKNOWN_KIND_DELAY,
            reason,
        });
    };
    // A task of its own spreads jobs over the runtime's threads; dropped, it takes the job with it.
    let run = AssertUnwindSafe(timeout(limit, run)).catch_unwind();
    let task = notes::noting(Arc::clone(&job), run).instrument(job.span().clone());
    #[expect(
        clippy::disallowed_methods,
        reason = "awaited below, aborted when that is dropped"
    )]
    let mut task = AbortOnDrop(tokio::spawn(task));
    let cut_off = async {
        ready.stop.token().cancelled().await;
        sleep(CANCEL_GRACE).await;
    };
    let began = Instant::now();
    let ended = tokio::select! {
        ended = &mut task.0 => ended,
        () = cut_off => return Err(failed("aborted", "was cut off".to_owned())),
    };
    registry.note_run(&job.kind, began.elapsed());
    match ended {
        Ok(Ok(Ok((is_complete, answer)))) => match answer {
            // Complete is complete, whatever was returned afterwards.
            _ if is_complete => Ok(Completion::Written),
            Ok(()) => Ok(Completion::Done),
            Err(failure) => Err(failure),
        },
        Ok(Ok(Err(_elapsed))) => Err(failed("timeout", format!("ran longer than {limit:?}"))),
        Ok(Err(panic)) => Err(failed(
            "panic",
            format!("panicked: {}", panic_text(&*panic)),
        )),
        Err(_aborted) => Err(failed("aborted", "was cut off".to_owned())),
    }
}

fn failed(class: &'static str, text: String) -> Failure {
    Failure::Retry {
        error: text.into(),
        class,
        http_status: None,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
