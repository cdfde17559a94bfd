//! Why a job does not run: one sentence, made from facts.
//!
//! Of several reasons the one is told that holds longest, or that somebody has to do something about.

use chrono::{DateTime, Utc};
use phrases::{Part, Phrase, mark, plural, say};
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
    what: Phrase,
    by: String,
    reason: String,
    until: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
struct Owner {
    id: WorkerId,
    process: Phrase,
    state: String,
    wanted: Option<String>,
    lease_until: DateTime<Utc>,
    is_serving_queue: bool,
}

/// `None` when the job does not wait.
pub(super) async fn why_not_running(pool: &PgPool, id: JobId) -> Result<Option<Phrase>, Error> {
    Ok(facts(pool, id).await?.as_ref().map(explain))
}

async fn facts(pool: &PgPool, id: JobId) -> Result<Option<Facts>, Error> {
    let row = sqlx::query_file!("src/view/why.sql", id.0)
        .fetch_optional(pool)
        .await
        .map_err(Error::database("find out why a job does not run"))?;
    let Some(row) = row else { return Ok(None) };
    let what = match (row.pause_scope.as_deref(), row.pause_name) {
        (Some("everything"), _) => Some(say!("everything")),
        (Some("queue"), Some(name)) => Some(say!("the queue `{name}`", name)),
        (Some("kind"), Some(name)) => Some(say!("the kind `{name}`", name)),
        (Some("organization"), Some(name)) => Some(say!("the organization `{name}`", name)),
        (Some(_), Some(name)) => Some(say!("the lane `{name}`", name)),
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
        process: say!(
            "{host} (process {pid})",
            host = row
                .owner_host
                .map_or(say!("an unknown host").into(), Part::from),
            pid = row.owner_pid.unwrap_or_default().to_string()
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

fn explain(facts: &Facts) -> Phrase {
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

fn paused(facts: &Facts) -> Option<Phrase> {
    let pause = facts.pause.as_ref()?;
    let until = match pause.until {
        Some(until) => say!("until {at}", at = shown(until)),
        None => say!("until somebody resumes it"),
    };
    Some(say!(
        "Paused: {by} paused {what} {until} ({reason}).",
        by = &pause.by,
        what = pause.what.clone(),
        until,
        reason = &pause.reason
    ))
}

fn not_yet(facts: &Facts) -> Option<Phrase> {
    if facts.run_at <= facts.now {
        return None;
    }
    let until = shown(facts.run_at);
    let reason = facts.last_error.as_deref().map(brief);
    Some(match (i64::from(facts.attempt), reason) {
        (0, None) => say!("Scheduled for {until}.", until),
        (0, Some(reason)) => say!("Put off until {until}: {reason}", until, reason),
        (attempt, None) => say!(
            "Backing off until {until}, after attempt {attempt}.",
            until,
            attempt
        ),
        (attempt, Some(reason)) => say!(
            "Backing off until {until}, since attempt {attempt} failed: {reason}",
            until,
            attempt,
            reason
        ),
    })
}

fn unserved(facts: &Facts) -> Option<Phrase> {
    if !facts.is_any_worker {
        return Some(say!("No worker is running."));
    }
    let queue = &facts.queue;
    (!facts.is_queue_served).then(|| say!("No running worker serves the queue `{queue}`.", queue))
}

fn lane_blocked(facts: &Facts) -> Option<Phrase> {
    let until = facts.blocked_until.filter(|until| *until > facts.now)?;
    let reason = facts.blocked_reason.as_deref().map(brief);
    Some(say!(
        "Its lane `{lane}` rests until {until}: {reason}",
        lane = &facts.lane,
        until = shown(until),
        reason = reason.map_or(say!("no reason is known.").into(), Part::from)
    ))
}

/// The lane belongs to a worker that does not, or may not, work any more.
fn left_by_worker(facts: &Facts) -> Option<Phrase> {
    let owner = facts.owner.as_ref()?;
    let of_owner = |phrase: Phrase| {
        phrase
            .with("id", owner.id.to_string())
            .with("process", owner.process.clone())
    };
    let seconds = (owner.lease_until - facts.now).num_seconds();
    if matches!(owner.state.as_str(), "dead" | "stopped") || seconds <= 0 {
        return Some(of_owner(say!(
            "Its lane belongs to worker {id} on {process}, which is gone; another takes it over within seconds."
        )));
    }
    if let Some(wanted) = &owner.wanted {
        return Some(of_owner(say!(
            "Its lane belongs to worker {id} on {process}, which was told to {wanted} and starts nothing more; it lets go when its running jobs end.",
            wanted
        )));
    }
    (!owner.is_serving_queue).then(|| {
        of_owner(say!(
            "Its lane belongs to worker {id} on {process}, which does not serve the queue `{queue}`; another takes it over when its turn ends.",
            queue = &facts.queue
        ))
    })
}

fn held_by_key(facts: &Facts) -> Option<Phrase> {
    if let Some((key, holder)) = &facts.limit_holder {
        return Some(say!(
            "Job {holder} runs with the same limit key `{key}`; this one runs after it.",
            holder = holder.to_string(),
            key
        ));
    }
    let holder = facts.unique_holder?;
    Some(say!(
        "Job {holder} of the kind `{kind}` waits or runs with the same unique key.",
        holder = holder.to_string(),
        kind = &facts.kind
    ))
}

fn lane_busy(facts: &Facts) -> Option<Phrase> {
    let (count, one) = facts.running.filter(|(count, _)| *count > 0)?;
    let jobs = plural!(
        "job {one} runs",
        "{count} jobs run, {one} among them",
        count = count.unsigned_abs(),
        one = one.to_string()
    );
    let before = match facts.jobs_before {
        0 => say!(""),
        before => say!(", and {waiting} before it", waiting = jobs_waiting(before)),
    };
    let lease = facts.owner.as_ref().map_or(say!(""), |owner| {
        say!(
            " (worker {id} on {process}; should it be dead, its lease ends in {seconds} s)",
            id = owner.id.to_string(),
            process = owner.process.clone(),
            seconds = (owner.lease_until - facts.now).num_seconds()
        )
    });
    Some(say!(
        "Its lane `{lane}` is busy: {jobs}{lease}{before}.",
        lane = &facts.lane,
        jobs,
        lease,
        before
    ))
}

fn lane_waiting(facts: &Facts) -> Phrase {
    if let Some(owner) = &facts.owner {
        let before = match facts.jobs_before {
            0 => say!(""),
            before => say!(" and {waiting} before it", waiting = jobs_waiting(before)),
        };
        return say!(
            "It waits for a slot of worker {id} on {process}, which has its lane{before}; should that worker be dead, its lease ends in {seconds} s.",
            id = owner.id.to_string(),
            process = owner.process.clone(),
            before,
            seconds = (owner.lease_until - facts.now).num_seconds()
        );
    }
    match facts.due_at {
        Some(due_at) if due_at <= facts.now => match facts.lanes_before {
            0 => say!("Its lane is the next to be taken by a worker with a free slot."),
            before => say!(
                "Its lane waits for a worker with a free slot: {waiting} longer.",
                waiting = lanes_waiting(before)
            ),
        },
        Some(due_at) => say!(
            "Its lane is looked at again at {at}, which is later than it should be.",
            at = shown(due_at)
        ),
        None => say!("Its lane is not due, which it should be: retry the job now."),
    }
}

fn jobs_waiting(count: i64) -> Phrase {
    match count {
        1000.. => say!("1000 or more jobs wait"),
        count => plural!(
            "{count} job waits",
            "{count} jobs wait",
            count = count.unsigned_abs()
        ),
    }
}

fn lanes_waiting(count: i64) -> Phrase {
    match count {
        1000.. => say!("1000 or more lanes wait"),
        count => plural!(
            "{count} lane waits",
            "{count} lanes wait",
            count = count.unsigned_abs()
        ),
    }
}

fn shown(at: DateTime<Utc>) -> Part {
    Part::Time {
        at,
        pattern: mark!("%Y-%m-%dT%H:%M:%SZ"),
    }
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
