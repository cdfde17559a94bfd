//! The database: there, new enough, set up to keep what it was given, and in shape.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use store::server;

use super::Report;
use crate::config::Config;
use crate::database::{check_shape, connect};
use crate::ops::words::{age, ago, grouped, plural, took};

/// A doctor does not wait for a server to start.
const PATIENCE: Duration = Duration::from_secs(5);
/// The oldest version that the migrations work on.
const OLDEST: i64 = 140_000;
/// Connections of one process beside those for jobs: the API's and the queue's.
const OTHER_CONNECTIONS: i64 = 17;
/// More dead rows than this, and more than there are live ones, slow everything down.
const MANY_DEAD: i64 = 20_000;
/// Clocks that differ by less cannot be told from the way there.
const SKEW: TimeDelta = TimeDelta::seconds(2);
/// House-keeping makes partitions a week ahead; it did not run for days if fewer are there.
const DAYS_AHEAD: i32 = 3;
/// Names told of many.
const TOLD: usize = 5;

/// The database, if it can be reached.
pub(super) async fn reach(report: &mut Report, config: &Config) -> Option<PgPool> {
    let mut settings = config.database.clone();
    settings.connect_timeout = settings.connect_timeout.min(PATIENCE);
    let began = Instant::now();
    match connect(&settings).await {
        Ok(pool) => {
            let took = took(TimeDelta::from_std(began.elapsed()).unwrap_or_default());
            report.ok("database", format!("reached in {took}"));
            Some(pool)
        }
        Err(error) => {
            report.fail(
                "database",
                format!("{error:#}"),
                "start it, or correct DATABASE_URL",
            );
            None
        }
    }
}

/// The server: its version, its settings, its clock, and who is in the way.
pub(super) async fn examine(
    report: &mut Report,
    conn: &mut PgConnection,
    config: &Config,
    longest: Duration,
) -> anyhow::Result<()> {
    settings(report, conn, config).await?;
    clock(report, conn).await?;
    transactions(report, conn, longest).await
}

fn version(report: &mut Report, name: &str, number: i64) {
    let found = format!("PostgreSQL {name}");
    if number < OLDEST {
        report.fail("version", found, "use PostgreSQL 14 or newer");
    } else {
        report.ok("version", found);
    }
}

async fn settings(
    report: &mut Report,
    conn: &mut PgConnection,
    config: &Config,
) -> anyhow::Result<()> {
    let names = [
        "server_version",
        "server_version_num",
        "fsync",
        "full_page_writes",
        "synchronous_commit",
        "autovacuum",
        "track_counts",
        "idle_in_transaction_session_timeout",
        "TimeZone",
        "max_connections",
        "superuser_reserved_connections",
    ];
    let values = server::settings(conn, &names).await?;
    let value = |name: &str| values.get(name).map_or("", String::as_str);
    let number = |name: &str| value(name).parse::<i64>().unwrap_or(0);
    version(
        report,
        value("server_version"),
        number("server_version_num"),
    );
    let off: Vec<&str> = ["fsync", "full_page_writes", "synchronous_commit"]
        .into_iter()
        .filter(|name| value(name) == "off")
        .collect();
    if off.is_empty() {
        report.ok("durability", "what was committed survives a crash");
    } else {
        let found = format!("a crash loses what was committed: {} off", off.join(", "));
        report.fail("durability", found, "switch that on in postgresql.conf");
    }
    if value("autovacuum") == "off" || value("track_counts") == "off" {
        let found = "it is off: dead rows stay, and everything gets slower";
        report.fail("autovacuum", found, "switch autovacuum and track_counts on");
    } else {
        report.ok("autovacuum", "it is on");
    }
    // Without a pooler we set it ourselves.
    if number("idle_in_transaction_session_timeout") == 0 {
        let found = "a session that goes idle in a transaction is never ended";
        let advice =
            "give the role a limit: ALTER ROLE … SET idle_in_transaction_session_timeout = '30s'";
        report.warn("idle sessions", found, advice);
    } else {
        report.ok("idle sessions", "those in a transaction are ended");
    }
    let most = number("max_connections") - number("superuser_reserved_connections");
    connections(report, conn, most, config).await
}

async fn connections(
    report: &mut Report,
    conn: &mut PgConnection,
    most: i64,
    config: &Config,
) -> anyhow::Result<()> {
    let ours = i64::from(config.database.max_connections) + OTHER_CONNECTIONS;
    let used = server::count_connections(conn).await?;
    let found = format!("{used} of {most} are in use; a process of ours takes up to {ours}");
    if ours > most {
        let advice = "lower database.max_connections, or raise the server's max_connections";
        report.fail("connections", found, advice);
    } else if used * 10 >= most * 9 {
        let advice = "raise the server's max_connections, or put a pooler before it";
        report.warn("connections", found, advice);
    } else {
        report.ok("connections", found);
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is the clock of this machine that is looked at"
)]
async fn clock(report: &mut Report, conn: &mut PgConnection) -> anyhow::Result<()> {
    let (before, began) = (Utc::now(), Instant::now());
    let theirs = store::clock::now(conn).await?;
    let half = TimeDelta::from_std(began.elapsed() / 2).unwrap_or_default();
    compare_clocks(
        report,
        "clock",
        "the database's",
        before + half,
        theirs,
        SKEW,
    );
    Ok(())
}

/// Says whether two clocks agree as far as can be told.
pub(super) fn compare_clocks(
    report: &mut Report,
    check: &'static str,
    whose: &str,
    ours: DateTime<Utc>,
    theirs: DateTime<Utc>,
    most: TimeDelta,
) {
    let skew = ours - theirs;
    if skew.abs() <= most {
        report.ok(check, format!("it agrees with {whose}"));
        return;
    }
    let direction = if skew > TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    let found = format!("this machine is {} {direction} {whose}", age(skew.abs()));
    report.warn(check, found, "have both follow a time server (NTP)");
}

async fn transactions(
    report: &mut Report,
    conn: &mut PgConnection,
    longest: Duration,
) -> anyhow::Result<()> {
    let holders = server::holders(conn).await?;
    let old = holders
        .iter()
        .filter(|holder| holder.seconds.is_none() || holder.age() > longest);
    let old: Vec<String> = old
        .map(|holder| {
            let since = holder
                .seconds
                .map(|_| TimeDelta::from_std(holder.age()).unwrap_or_default());
            let since = since.map_or_else(String::new, |since| format!(" for {}", age(since)));
            format!("{} {}{since}", holder.what, holder.name)
        })
        .collect();
    if old.is_empty() {
        report.ok("old transactions", "none keeps dead rows alive");
    } else {
        let found = format!("dead rows are kept alive by: {}", list(&old));
        let advice =
            "end it: pg_terminate_backend(process), ROLLBACK PREPARED, or pg_drop_replication_slot";
        report.warn("old transactions", found, advice);
    }
    Ok(())
}

/// Whether the database has this program's shape.
pub(super) async fn is_current(report: &mut Report, pool: &PgPool) -> bool {
    match check_shape(pool).await {
        Ok(()) => {
            report.ok("migrations", "all are applied");
            true
        }
        Err(error) => {
            report.fail(
                "migrations",
                format!("{error:#}"),
                "nothing else was looked at there",
            );
            false
        }
    }
}

/// Our tables: their indexes, their dead rows, their partitions.
pub(super) async fn tables(report: &mut Report, conn: &mut PgConnection) -> anyhow::Result<()> {
    let indexes = server::check_indexes(conn).await?;
    if indexes.missing.is_empty() && indexes.invalid.is_empty() {
        report.ok("indexes", "all are there");
    }
    if !indexes.missing.is_empty() {
        let found = format!("missing: {}", list(&indexes.missing));
        let advice = "create it as migrations/ has it, CONCURRENTLY";
        report.fail("indexes", found, advice);
    }
    if !indexes.invalid.is_empty() {
        let found = format!("never finished: {}", list(&indexes.invalid));
        report.fail("indexes", found, "REINDEX INDEX CONCURRENTLY");
    }
    dead_rows(report, conn).await?;
    partitions(report, conn).await
}

async fn dead_rows(report: &mut Report, conn: &mut PgConnection) -> anyhow::Result<()> {
    let (tables, now) = (server::tables(conn).await?, store::clock::now(conn).await?);
    let bloated = tables
        .iter()
        .filter(|table| table.dead > MANY_DEAD && table.dead > table.live);
    let bloated: Vec<String> = bloated
        .map(|table| {
            let dead = grouped(table.dead.unsigned_abs());
            let last = table
                .vacuumed_at
                .map_or("never".to_owned(), |at| ago(at, now).to_string());
            format!("{} ({dead}, cleaned up {last})", table.table)
        })
        .collect();
    if bloated.is_empty() {
        report.ok("dead rows", "no table has too many");
    } else {
        let found = format!("more than live ones in {}", list(&bloated));
        let advice = "see what is in the way (old transactions, autovacuum), then VACUUM it";
        report.warn("dead rows", found, advice);
    }
    Ok(())
}

async fn partitions(report: &mut Report, conn: &mut PgConnection) -> anyhow::Result<()> {
    let tables = server::partitions(conn).await?;
    let Some(next) = tables.iter().min_by_key(|table| table.days) else {
        return Ok(());
    };
    let days = plural(u64::try_from(next.days).unwrap_or(0), "day");
    let found = format!("{} has them for {days} from today on", next.table);
    let advice = "a worker makes them (`maintain`): see whether one runs; now: `syncline schedules run maintain`";
    match next.days {
        0 => report.fail("partitions", found, advice),
        days if days < DAYS_AHEAD => report.warn("partitions", found, advice),
        _ => report.ok("partitions", found),
    }
    Ok(())
}

/// The first of many.
fn list(names: &[String]) -> String {
    let told = names
        .iter()
        .take(TOLD)
        .cloned()
        .collect::<Vec<_>>()
        .join("; ");
    match names.len().checked_sub(TOLD) {
        None | Some(0) => told,
        Some(more) => format!("{told}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::{Entry, Verdict};

    #[test]
    fn a_server_that_is_too_old_is_told() {
        let mut report = Report::default();
        version(&mut report, "13.22", 130_022);
        version(&mut report, "14.0", 140_000);

        let said = |entry: &Entry| (entry.verdict, entry.found.clone());
        assert_eq!(
            said(&report.0[0]),
            (Verdict::Failed, "PostgreSQL 13.22".to_owned())
        );
        let advice = report.0[0].advice.as_deref();
        assert_eq!(advice, Some("use PostgreSQL 14 or newer"));
        assert_eq!(
            said(&report.0[1]),
            (Verdict::Ok, "PostgreSQL 14.0".to_owned())
        );
    }

    #[test]
    fn clocks_that_differ_are_told() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (seconds, verdict, told) in [
            (1, Verdict::Ok, "it agrees with the database's"),
            (
                90,
                Verdict::Warning,
                "this machine is 1 min ahead of the database's",
            ),
            (
                -7,
                Verdict::Warning,
                "this machine is 7 s behind the database's",
            ),
        ] {
            let mut report = Report::default();
            let ours = now + TimeDelta::seconds(seconds);
            compare_clocks(&mut report, "clock", "the database's", ours, now, SKEW);
            assert_eq!(
                (report.0[0].verdict, report.0[0].found.as_str()),
                (verdict, told)
            );
        }
    }
}
