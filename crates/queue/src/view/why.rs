//! Why a job does not run: one sentence, made from facts.
//!
//! Of several reasons the one is told that holds longest, or that somebody has to do something about.

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgPool;

use crate::{
    error::Error,
    ids::{JobId, WorkerId},
};

/// What stands between a waiting job and its start.
#[derive(Debug, Clone)]
struct Facts {
    now: DateTime<Utc>,
    kind: String,
    queue: String,
    lane: String,
    attempt: i16,
    run_at: DateTime<Utc>,
    last_error: Option<String>,
    pause: Option<Pause>,
    owner: Option<Owner>,
    due_at: Option<DateTime<Utc>>,
    blocked_until: Option<DateTime<Utc>>,
    blocked_reason: Option<String>,
    is_any_worker: bool,
    is_queue_served: bool,
    /// Runs, in this lane, with this limit key.
    limit_holder: Option<(String, JobId)>,
    /// Runs or waits with this unique key.
    unique_holder: Option<JobId>,
    /// How many run in the lane, and one of them.
    running: Option<(i64, JobId)>,
    jobs_before: i64,
    lanes_before: i64,
}

#[derive(Debug, Clone)]
struct Pause {
    what: String,
    by: String,
    reason: String,
    until: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
struct Owner {
    id: WorkerId,
    process: String,
    state: String,
    wanted: Option<String>,
    lease_until: DateTime<Utc>,
    is_serving_queue: bool,
}

/// `None` when the job does not wait.
pub(super) async fn why_not_running(pool: &PgPool, id: JobId) -> Result<Option<String>, Error> {
    Ok(facts(pool, id).await?.as_ref().map(explain))
}

async fn facts(pool: &PgPool, id: JobId) -> Result<Option<Facts>, Error> {
    let row = sqlx::query_file!("src/view/why.sql", id.0)
        .fetch_optional(pool)
        .await
        .map_err(Error::database("find out why a job does not run"))?;
    let Some(row) = row else { return Ok(None) };
    let what = match (row.pause_scope.as_deref(), row.pause_name) {
        (Some("everything"), _) => Some("everything".to_owned()),
        (Some(scope), Some(name)) => Some(format!("the {scope} `{name}`")),
        _ => None,
    };
    let pause = what.map(|what| Pause {
        what,
        by: row.paused_by.unwrap_or_default(),
        reason: row.pause_reason.unwrap_or_default(),
        until: row.paused_until,
    });
    let owner = row.owner.map(|id| Owner {
        id: WorkerId(id),
        process: format!(
            "{} (process {})",
            row.owner_host.as_deref().unwrap_or("an unknown host"),
            row.owner_pid.unwrap_or_default()
        ),
        state: row.owner_state.unwrap_or_else(|| "dead".to_owned()),
        wanted: row.owner_wanted,
        lease_until: row.lease_until.unwrap_or(row.now),
        is_serving_queue: row.is_served_by_owner,
    });
    Ok(Some(Facts {
        now: row.now,
        kind: row.kind,
        queue: row.queue,
        lane: row.lane,
        attempt: row.attempt,
        run_at: row.run_at,
        last_error: row.last_error,
        pause,
        owner,
        due_at: row.due_at,
        blocked_until: row.blocked_until,
        blocked_reason: row.blocked_reason,
        is_any_worker: row.is_any_worker,
        is_queue_served: row.is_queue_served,
        limit_holder: row.limit_key.zip(row.same_limit_key.map(JobId)),
        unique_holder: row.same_unique_key.map(JobId),
        running: row.running_jobs.zip(row.running_id.map(JobId)),
        jobs_before: row.jobs_before,
        lanes_before: row.lanes_before,
    }))
}

fn explain(facts: &Facts) -> String {
    let reasons = [
        paused,
        not_yet,
        unserved,
        lane_blocked,
        left_by_worker,
        held_by_key,
        lane_busy,
    ];
    let reason = reasons.into_iter().find_map(|reason| reason(facts));
    reason.unwrap_or_else(|| lane_waiting(facts))
}

fn paused(facts: &Facts) -> Option<String> {
    let pause = facts.pause.as_ref()?;
    let until = match pause.until {
        Some(until) => format!("until {}", shown(until)),
        None => "until somebody resumes it".to_owned(),
    };
    Some(format!(
        "Paused: {} paused {} {until} ({}).",
        pause.by, pause.what, pause.reason
    ))
}

fn not_yet(facts: &Facts) -> Option<String> {
    if facts.run_at <= facts.now {
        return None;
    }
    let until = shown(facts.run_at);
    let reason = facts.last_error.as_deref().map(brief);
    Some(match (facts.attempt, reason) {
        (0, None) => format!("Scheduled for {until}."),
        (0, Some(reason)) => format!("Put off until {until}: {reason}"),
        (attempt, None) => format!("Backing off until {until}, after attempt {attempt}."),
        (attempt, Some(reason)) => {
            format!("Backing off until {until}, since attempt {attempt} failed: {reason}")
        }
    })
}

fn unserved(facts: &Facts) -> Option<String> {
    if !facts.is_any_worker {
        return Some("No worker is running.".to_owned());
    }
    let queue = &facts.queue;
    (!facts.is_queue_served).then(|| format!("No running worker serves the queue `{queue}`."))
}

fn lane_blocked(facts: &Facts) -> Option<String> {
    let until = facts.blocked_until.filter(|until| *until > facts.now)?;
    let reason = facts
        .blocked_reason
        .as_deref()
        .unwrap_or("no reason is known");
    Some(format!(
        "Its lane `{}` rests until {}: {}",
        facts.lane,
        shown(until),
        brief(reason)
    ))
}

/// The lane belongs to a worker that does not, or may not, work any more.
fn left_by_worker(facts: &Facts) -> Option<String> {
    let owner = facts.owner.as_ref()?;
    let (id, process) = (owner.id, &owner.process);
    let seconds = (owner.lease_until - facts.now).num_seconds();
    if matches!(owner.state.as_str(), "dead" | "stopped") || seconds <= 0 {
        return Some(format!(
            "Its lane belongs to worker {id} on {process}, which is gone; another takes it over within \
             seconds."
        ));
    }
    if let Some(wanted) = &owner.wanted {
        return Some(format!(
            "Its lane belongs to worker {id} on {process}, which was told to {wanted} and starts nothing \
             more; it lets go when its running jobs end."
        ));
    }
    (!owner.is_serving_queue).then(|| {
        format!(
            "Its lane belongs to worker {id} on {process}, which does not serve the queue `{}`; another \
             takes it over when its turn ends.",
            facts.queue
        )
    })
}

fn held_by_key(facts: &Facts) -> Option<String> {
    if let Some((key, holder)) = &facts.limit_holder {
        return Some(format!(
            "Job {holder} runs with the same limit key `{key}`; this one runs after it."
        ));
    }
    let holder = facts.unique_holder?;
    Some(format!(
        "Job {holder} of the kind `{}` waits or runs with the same unique key.",
        facts.kind
    ))
}

fn lane_busy(facts: &Facts) -> Option<String> {
    let (count, one) = facts.running.filter(|(count, _)| *count > 0)?;
    let jobs = match count {
        1 => format!("job {one} runs"),
        more => format!("{more} jobs run, {one} among them"),
    };
    let before = match facts.jobs_before {
        0 => String::new(),
        before => format!(", and {} before it", waiting(before, "job")),
    };
    let lease = facts.owner.as_ref().map_or(String::new(), |owner| {
        let seconds = (owner.lease_until - facts.now).num_seconds();
        format!(
            " (worker {} on {}; should it be dead, its lease ends in {seconds} s)",
            owner.id, owner.process
        )
    });
    Some(format!(
        "Its lane `{}` is busy: {jobs}{lease}{before}.",
        facts.lane
    ))
}

fn lane_waiting(facts: &Facts) -> String {
    if let Some(owner) = &facts.owner {
        let seconds = (owner.lease_until - facts.now).num_seconds();
        let before = match facts.jobs_before {
            0 => String::new(),
            before => format!(" and {} before it", waiting(before, "job")),
        };
        return format!(
            "It waits for a slot of worker {} on {}, which has its lane{before}; should that worker be \
             dead, its lease ends in {seconds} s.",
            owner.id, owner.process,
        );
    }
    match facts.due_at {
        Some(due_at) if due_at <= facts.now => match facts.lanes_before {
            0 => "Its lane is the next to be taken by a worker with a free slot.".to_owned(),
            before => format!(
                "Its lane waits for a worker with a free slot: {} longer.",
                waiting(before, "lane")
            ),
        },
        Some(due_at) => format!(
            "Its lane is looked at again at {}, which is later than it should be.",
            shown(due_at)
        ),
        None => "Its lane is not due, which it should be: retry the job now.".to_owned(),
    }
}

/// `3 jobs wait`, `1000 or more lanes wait`.
fn waiting(count: i64, what: &str) -> String {
    match count {
        1 => format!("1 {what} waits"),
        1000.. => format!("1000 or more {what}s wait"),
        count => format!("{count} {what}s wait"),
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// One line that ends like a sentence.
fn brief(text: &str) -> String {
    let line: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(200)
        .collect();
    let line = line.trim_end_matches(['.', ' ']);
    format!("{line}.")
}

#[cfg(test)]
mod tests;
