//! What an attempt leaves for those who look into it: the requests it made, and the last lines it logged.
//!
//! Whoever makes a request or logs a line inside a running attempt says so here, without being handed anything:
//! the attempt is that of the task. Outside of one, nothing happens. The notes are written by the statement that
//! ends the attempt; an attempt that did neither costs nothing. Those of a snoozed or a crashed attempt are lost:
//! the one is no attempt, of the other nobody is left to tell.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{attempt::Started, scrub::scrubbed};

/// Requests, and lines, that are kept: the last.
pub const MAX_KEPT: usize = 20;
/// Characters of a text that are kept.
const MAX_CHARS: usize = 500;

tokio::task_local! {
    /// The attempt that this task runs.
    static RUNNING: Arc<Started>;
}

/// What one attempt left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
#[schema(as = AttemptNotes)]
pub struct Notes {
    /// The last requests it made to the far side, oldest first; at most 20.
    #[schema(value_type = Vec<Request>)]
    pub requests: VecDeque<Request>,
    /// Earlier ones, which are not told.
    pub earlier_requests: u32,
    /// The last lines it logged, oldest first; at most 20.
    #[schema(value_type = Vec<Line>)]
    pub lines: VecDeque<Line>,
    /// Earlier ones, which are not told.
    pub earlier_lines: u32,
}

/// A request to the far side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NotedRequest)]
pub struct Request {
    /// When its end came, in milliseconds from the attempt's beginning.
    pub after_ms: u64,
    /// Such as `GET`.
    pub method: String,
    /// Without what is secret in it.
    pub path: String,
    /// What was answered; `None` when nothing was.
    pub status: Option<u16>,
    /// To the answer's last byte, in milliseconds.
    pub took_ms: u64,
    /// What the far side calls the request.
    pub request_id: Option<String>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NotedLine)]
pub struct Line {
    /// When, in milliseconds from the attempt's beginning.
    pub after_ms: u64,
    /// `ERROR`, `WARN` or `INFO`.
    pub level: String,
    /// The message, then the fields.
    pub text: String,
}

/// Where a running attempt's notes are gathered.
#[derive(Debug)]
pub(crate) struct Notebook {
    began: Instant,
    notes: Mutex<Notes>,
}

impl Notebook {
    pub(crate) fn begin() -> Self {
        Self {
            began: Instant::now(),
            notes: Mutex::default(),
        }
    }

    /// The notes as JSON; `None` when there are none.
    pub(crate) fn written(&self) -> Option<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.requests.is_empty() && notes.lines.is_empty() {
            return None;
        }
        serde_json::to_string(&*notes).ok()
    }

    fn add(&self, add: impl FnOnce(&mut Notes, u64)) {
        let after = millis(self.began.elapsed());
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut notes, after);
    }
}

/// Notes a request that has ended.
pub fn request(
    method: &str,
    path: &str,
    status: Option<u16>,
    took: Duration,
    request_id: Option<&str>,
) {
    with_notebook(|notebook| {
        notebook.add(|notes, after_ms| {
            let request = Request {
                after_ms,
                method: method.to_owned(),
                path: cut(path),
                status,
                took_ms: millis(took),
                request_id: request_id.map(cut),
            };
            notes.earlier_requests += keep(&mut notes.requests, request);
        });
    });
}

/// Notes a line of the log; `text` is called inside an attempt only.
pub fn line(level: &str, text: impl FnOnce() -> String) {
    with_notebook(|notebook| {
        let text = cut(&text());
        notebook.add(|notes, after_ms| {
            let line = Line {
                after_ms,
                level: level.to_owned(),
                text,
            };
            notes.earlier_lines += keep(&mut notes.lines, line);
        });
    });
}

/// Runs `future` as this attempt.
pub(crate) fn noting<F: Future>(
    job: Arc<Started>,
    future: F,
) -> tokio::task::futures::TaskLocalFuture<Arc<Started>, F> {
    RUNNING.scope(job, future)
}

fn with_notebook(note: impl FnOnce(&Notebook)) {
    // Outside of an attempt there is nobody to tell.
    let _ = RUNNING.try_with(|job| note(&job.notebook));
}

/// Adds to the end; says how many had to make room.
fn keep<T>(kept: &mut VecDeque<T>, new: T) -> u32 {
    kept.push_back(new);
    if kept.len() <= MAX_KEPT {
        return 0;
    }
    kept.pop_front();
    1
}

/// The beginning, without what looks like a secret.
fn cut(text: &str) -> String {
    let text = scrubbed(text);
    if text.len() <= MAX_CHARS {
        return text.into_owned();
    }
    text.chars().take(MAX_CHARS).chain("…".chars()).collect()
}

fn millis(span: Duration) -> u64 {
    span.as_millis().try_into().unwrap_or(u64::MAX)
}
