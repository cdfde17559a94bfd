//! The service: somebody works, and the clock ticks.

use sqlx::PgPool;

use super::Report;
use crate::ops::health::Snapshot;
use crate::ops::queues::worker_state;
use crate::ops::schedules::state;
use crate::ops::words::plural;

pub(super) async fn examine(report: &mut Report, pool: &PgPool) -> anyhow::Result<()> {
    let now = store::clock::now(&mut *pool.acquire().await?).await?;
    let snapshot = Snapshot::take(pool, now).await?;
    let silent = snapshot
        .workers
        .iter()
        .filter(|worker| worker_state(worker) == "silent");
    let silent = silent.count();
    let working = plural(snapshot.working().count() as u64, "worker");
    if snapshot.working().next().is_none() {
        let advice = "start `syncline serve`, or `syncline serve --role worker`";
        report.fail("workers", "none is running: no job starts", advice);
    } else if silent > 0 {
        let found = format!("{working} at work, {silent} silent");
        let advice = "another takes over within seconds; see why it died: `syncline workers list`";
        report.warn("workers", found, advice);
    } else {
        report.ok("workers", format!("{working} at work"));
    }
    let named = |wanted: &str| {
        let such = snapshot
            .schedules
            .iter()
            .filter(|view| state(view) == wanted);
        such.map(|view| view.name.as_str()).collect::<Vec<_>>()
    };
    let (late, broken) = (named("late"), named("broken"));
    let advice = "start `syncline serve`, or `syncline serve --role scheduler`";
    if snapshot.schedules.is_empty() {
        report.fail("schedules", "no scheduler ever ran here", advice);
    } else if !broken.is_empty() {
        let found = format!("cannot work: {}", broken.join(", "));
        let advice =
            "`syncline schedules show NAME` says why; `schedules reset NAME` takes edits back";
        report.fail("schedules", found, advice);
    } else if !late.is_empty() {
        report.fail("schedules", format!("late: {}", late.join(", ")), advice);
    } else {
        let count = plural(snapshot.schedules.len() as u64, "schedule");
        report.ok("schedules", format!("{count}, none late"));
    }
    Ok(())
}
