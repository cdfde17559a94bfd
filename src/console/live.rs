//! Tells pages that are open when to look again: server-sent events, which say no more than "now".

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response, Sse, sse};
use futures::stream;

use crate::app::App;

/// The browser comes back by itself then, and shows its cookie again.
const LIFE: Duration = Duration::from_mins(5);

pub(super) async fn follow(State(app): State<App>) -> Response {
    let mut beats = app.pulse.beats();
    beats.mark_changed();
    let over = tokio::time::Instant::now() + LIFE;
    let shutdown = app.shutdown.clone();
    let events = stream::unfold((beats, shutdown), move |(mut beats, shutdown)| async move {
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep_until(over) => return None,
            changed = beats.changed() => changed.ok()?,
        }
        let beat = *beats.borrow_and_update();
        let event = sse::Event::default().event("beat").data(beat.to_string());
        Some((Ok::<_, Infallible>(event), (beats, shutdown)))
    });
    Sse::new(events)
        .keep_alive(sse::KeepAlive::new().interval(Duration::from_secs(15)))
        .into_response()
}
