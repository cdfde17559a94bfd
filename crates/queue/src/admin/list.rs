//! Listing jobs, newest first.
//!
//! The order is that of ids, which never change and carry their time, so a page is right whatever
//! happens meanwhile: a job that moves from one table to another keeps its place.
//!
//! No filter has an index of its own: each would cost every enqueue and every completion something,
//! for a question that is rarely asked. Instead jobs are looked at in runs of ids, a few thousand first,
//! then as many as the pace allows, until the page is full or [`PATIENCE`] is over. So the time a page takes is bounded,
//! however rare the jobs and however large the tables; the price is that a page may be shorter than
//! asked for, or empty, and still not be the last. Only lanes and groups of dead jobs are looked up by an index:
//! live jobs have one for their order, and dead jobs are few enough to afford theirs (in history one would cost
//! 6 µs a job, a fifth of all that running one costs), so a lane's runs are of history alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::filter::{Filter, HISTORY, invalid};
use crate::{
    client::Client,
    error::Error,
    ids::{JobId, Lane, WorkerId},
    view::{JobState, unsigned},
};

/// Jobs a page may have.
pub const MAX_PAGE: u16 = 500;

/// No further run of ids is begun after this.
const PATIENCE: Duration = Duration::from_millis(120);
/// Jobs in the first run of ids, and in the longest.
const FIRST_RUN: u32 = 2_000;
const LONGEST_RUN: u32 = 32_000;
/// What a run should take: the next is made as long as the last one's pace allows.
const RUN_TIME: Duration = Duration::from_millis(50);
/// How much longer, or shorter, the next may be.
const MOST_CHANGE: f64 = 4.0;

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct JobSummary {
    /// Its id.
    pub id: JobId,
    /// Its type.
    pub kind: String,
    /// Its class.
    pub queue: String,
    /// Its lane.
    pub lane: Lane,
    /// Where it stands.
    pub state: JobState,
    /// Lower runs first within its lane.
    pub priority: i16,
    /// Attempts begun.
    pub attempt: u16,
    /// Attempts there may be.
    pub max_attempts: u16,
    /// Whose job it is.
    pub organization_id: Option<String>,
    /// For people who look for it.
    pub tags: Vec<String>,
    /// Who runs it, or ran it last.
    pub worker: Option<WorkerId>,
    /// Groups errors; set when the job ended badly.
    pub error_class: Option<String>,
    /// Of the last failed attempt, or why it waits; the first 300 characters.
    pub last_error: Option<String>,
    /// What the far side answered when it died.
    pub http_status: Option<u16>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// Earliest start.
    pub run_at: DateTime<Utc>,
    /// When the current or last attempt began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The job that enqueued it.
    pub parent_id: Option<JobId>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = JobPage)]
pub struct Page {
    /// Newest first; may be fewer than asked for, and none, without being the last.
    pub jobs: Vec<JobSummary>,
    /// Where to go on; `None` when there is nothing more.
    pub next: Option<JobId>,
}

/// The jobs that fulfil `filter`, newest first, from behind `after` on.
///
/// # Errors
/// [`Error::InvalidRequest`] and [`Error::InvalidName`] for what cannot be meant, [`Error::Database`].
pub async fn list(
    client: &Client,
    filter: &Filter,
    after: Option<JobId>,
    limit: u16,
) -> Result<Page, Error> {
    filter.check()?;
    if limit == 0 || limit > MAX_PAGE {
        return Err(invalid(
            "page",
            format!("its length {limit} is not between 1 and {MAX_PAGE}"),
        ));
    }
    let (pool, filter) = (client.pool().clone(), filter.clone());
    let listing = async move {
        let mut tx = begin(&pool).await?;
        let page = look(&mut tx, &filter, after, limit).await?;
        tx.commit().await.map_err(Error::database("list jobs"))?;
        Ok(page)
    };
    // In a task of its own: see `Client::spawn`.
    client
        .spawn(listing)
        .await
        .map_err(|_aborted| Error::ShuttingDown)?
}

/// A transaction that sees one moment, in which statements are planned for the values they are given.
pub(super) async fn begin(
    pool: &sqlx::PgPool,
) -> Result<sqlx::Transaction<'static, sqlx::Postgres>, Error> {
    let mut tx = pool
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await
        .map_err(Error::database("begin a transaction"))?;
    plan_for_values(&mut tx).await?;
    Ok(tx)
}

/// A plan for any filter would read everything for each. Compiling one takes longer than running it.
pub(super) async fn plan_for_values(tx: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!(
        r#"
        SELECT
            set_config('plan_cache_mode', 'force_custom_plan', true) AS plans,
            set_config('jit', 'off', true) AS jit
        "#
    )
    .fetch_one(tx)
    .await
    .map_err(Error::database("prepare to list jobs"))?;
    Ok(())
}

async fn look(
    tx: &mut PgConnection,
    filter: &Filter,
    after: Option<JobId>,
    limit: u16,
) -> Result<Page, Error> {
    let search = Search::new(tx, filter, None).await?;
    let unindexed = search.unindexed();
    let ids = filter.ids();
    let mut below = [after.map(|after| after.0), ids.end]
        .into_iter()
        .flatten()
        .min();
    let began = Instant::now();
    let mut run = FIRST_RUN;
    let mut jobs = Vec::new();
    loop {
        let run_began = Instant::now();
        let floor = end_of_run(tx, &unindexed, below, run).await?;
        let missing = usize::from(limit) - jobs.len();
        jobs.extend(
            search
                .between(tx, floor.max(ids.start)..below, missing)
                .await?,
        );
        let is_exhausted = floor.is_none_or(|floor| ids.start.is_some_and(|start| floor <= start));
        let is_full = jobs.len() == usize::from(limit);
        if is_full || is_exhausted || began.elapsed() >= PATIENCE {
            let last = jobs.last().map(|job: &JobSummary| job.id);
            let next = match (is_full, is_exhausted) {
                (true, _) => last,
                (false, true) => None,
                (false, false) => floor.map(JobId),
            };
            return Ok(Page { jobs, next });
        }
        below = floor;
        run = next_run(run, run_began.elapsed());
    }
}

/// How many jobs to look at next, after so many took so long.
fn next_run(run: u32, took: Duration) -> u32 {
    let change = RUN_TIME.as_secs_f64() / took.as_secs_f64().max(f64::EPSILON);
    let change = change.clamp(MOST_CHANGE.recip(), MOST_CHANGE);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and at most four times a small number"
    )]
    let next = (f64::from(run) * change) as u32;
    next.clamp(FIRST_RUN / 4, LONGEST_RUN)
}

/// The id from which on `run` jobs lie in these tables; `None` when there are fewer.
async fn end_of_run(
    tx: &mut PgConnection,
    places: &[String],
    below: Option<Uuid>,
    run: u32,
) -> Result<Option<Uuid>, Error> {
    sqlx::query_scalar!(
        r#"
        SELECT id AS "id!"
        FROM syncline.all_jobs
        WHERE place = ANY ($1) AND ($2::uuid IS NULL OR id < $2)
        ORDER BY id DESC
        OFFSET $3
        LIMIT 1
        "#,
        places,
        below,
        i64::from(run) - 1,
    )
    .fetch_optional(tx)
    .await
    .map_err(Error::database("list jobs"))
}

/// A filter in the database's words.
pub(super) struct Search<'a> {
    filter: &'a Filter,
    pub(super) places: Vec<String>,
    states: Option<Vec<String>>,
    lanes: Option<Vec<String>>,
    error_pattern: Option<String>,
    payload_path: Option<Vec<String>>,
    /// Only jobs that were there, and stood as they stand, at this time.
    bound: Option<DateTime<Utc>>,
}

impl<'a> Search<'a> {
    pub(super) async fn new(
        tx: &mut PgConnection,
        filter: &'a Filter,
        bound: Option<DateTime<Utc>>,
    ) -> Result<Self, Error> {
        let lanes = match &filter.lane {
            Some(lane) => Some(vec![lane.clone()]),
            // They are only in lanes that somebody owns, and those are few.
            None if filter.is_of_running() => Some(owned_lanes(tx).await?),
            None => None,
        };
        let states = filter.states.iter().map(|state| state.as_str().to_owned());
        Ok(Self {
            places: filter.places(),
            states: (!filter.states.is_empty()).then(|| states.collect()),
            lanes,
            error_pattern: filter.error_text.as_deref().map(containing),
            payload_path: filter.payload_path(),
            bound,
            filter,
        })
    }

    /// The tables in which such jobs are found by looking at all.
    fn unindexed(&self) -> Vec<String> {
        let is_indexed = self.lanes.is_some() || self.filter.fingerprint.is_some();
        let places = self.places.iter();
        let unindexed = places.filter(|place| !is_indexed || *place == HISTORY);
        unindexed.cloned().collect()
    }

    /// The newest of the jobs with these ids.
    pub(super) async fn between(
        &self,
        tx: &mut PgConnection,
        ids: std::ops::Range<Option<Uuid>>,
        limit: usize,
    ) -> Result<Vec<JobSummary>, Error> {
        let filter = self.filter;
        let rows = sqlx::query_file!(
            "src/admin/list.sql",
            &self.places,
            self.states.as_deref(),
            non_empty(&filter.kinds),
            non_empty(&filter.queues),
            self.lanes.as_deref(),
            filter.organization_id,
            filter.tag,
            filter.min_attempt.map(stored),
            filter.max_attempt.map(stored),
            filter.created.from,
            filter.created.before,
            filter.run_at.from,
            filter.run_at.before,
            filter.finished.from,
            filter.finished.before,
            self.error_pattern,
            filter.error_class,
            filter.http_status.map(stored),
            filter.worker.map(|worker| worker.0),
            filter.parent.map(|parent| parent.0),
            self.bound,
            ids.end,
            ids.start,
            i64::try_from(limit).unwrap_or(i64::MAX),
            filter.fingerprint,
            self.payload_path.as_deref(),
            filter.payload_text(),
        )
        .fetch_all(tx)
        .await
        .map_err(Error::database("list jobs"))?;
        let jobs = rows.into_iter().map(|row| JobSummary {
            id: JobId(row.id),
            kind: row.kind,
            queue: row.queue,
            lane: Lane::from_stored(row.lane),
            state: JobState::from_stored(&row.state),
            priority: row.priority,
            attempt: unsigned(row.attempt),
            max_attempts: unsigned(row.max_attempts),
            organization_id: row.organization_id,
            tags: row.tags,
            worker: row.worker_id.map(WorkerId),
            error_class: row.error_class,
            last_error: row.last_error,
            http_status: row.http_status.map(unsigned),
            created_at: row.created_at,
            run_at: row.run_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            parent_id: row.parent_id.map(JobId),
        });
        Ok(jobs.collect())
    }

    /// How many there are; looks at all of them.
    pub(super) async fn count(&self, tx: &mut PgConnection) -> Result<u64, Error> {
        let filter = self.filter;
        let count = sqlx::query_file_scalar!(
            "src/admin/count.sql",
            &self.places,
            self.states.as_deref(),
            non_empty(&filter.kinds),
            non_empty(&filter.queues),
            self.lanes.as_deref(),
            filter.organization_id,
            filter.tag,
            filter.min_attempt.map(stored),
            filter.max_attempt.map(stored),
            filter.created.from,
            filter.created.before,
            filter.run_at.from,
            filter.run_at.before,
            filter.finished.from,
            filter.finished.before,
            self.error_pattern,
            filter.error_class,
            filter.http_status.map(stored),
            filter.worker.map(|worker| worker.0),
            filter.parent.map(|parent| parent.0),
            self.bound,
            filter.fingerprint,
            self.payload_path.as_deref(),
            filter.payload_text(),
        )
        .fetch_one(tx)
        .await
        .map_err(Error::database("count jobs"))?;
        Ok(count.try_into().unwrap_or(0))
    }
}

async fn owned_lanes(tx: &mut PgConnection) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!("SELECT lane FROM syncline.lanes WHERE owner IS NOT NULL")
        .fetch_all(tx)
        .await
        .map_err(Error::database("read the lanes that are worked"))
}

fn non_empty(values: &[String]) -> Option<&[String]> {
    (!values.is_empty()).then_some(values)
}

/// A LIKE pattern for texts that contain this one.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

fn stored(number: u16) -> i16 {
    number.try_into().unwrap_or(i16::MAX)
}
