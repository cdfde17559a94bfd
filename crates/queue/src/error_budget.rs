//! The fleet's error budget: never more than so many error answers of the far side in any rolling window,
//! whatever the number of processes.
//!
//! The far side blocks an address that gets too many errors, and with it every account. Whether a request
//! fails is known only afterwards, so each needs a *permit* beforehand. An answer gives it back at once; an
//! error, or no word at all, gives it back when the window has passed. There are as many permits as errors
//! are allowed, so no more than that can come.
//!
//! The permits are shared out in the database: one row a process, renewed every second while it is used, and
//! the sum never above the budget. A process takes what it needs; when others are short, it keeps its fair
//! share. Asking for a permit is no round trip. A share that was not renewed for [`SILENCE`] is void for its
//! holder, and free for others once the window has passed as well: what the holder may have spent is then
//! forgotten by the far side, too.
//!
//! It also bounds how many requests the fleet has under way, to the budget's number.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use serde::Serialize;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    error::{Error, Throttled},
    rollups::{Measure, Tally},
    session::Session,
};

/// How many error answers the fleet may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorBudget {
    /// In any rolling window; at least 1. Also how many requests may be under way at once.
    pub errors: u32,
    /// The window.
    pub window: Duration,
}

impl Default for ErrorBudget {
    /// 15 in 10 s: Merge blocks an address at 20.
    fn default() -> Self {
        Self {
            errors: 15,
            window: Duration::from_secs(10),
        }
    }
}

/// The budget as it is shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shares {
    /// Permits that processes hold: in use, cooling after an error, or to spare.
    pub permits: u32,
    /// Whether requests wait because there are not enough.
    pub are_short: bool,
}

/// Looks at how the budget is shared out now.
///
/// # Errors
/// [`Error::Database`].
pub async fn shares(pool: &PgPool) -> Result<Shares, Error> {
    let row = sqlx::query!(
        r#"
        SELECT coalesce(sum(permits), 0)::integer AS "permits!", coalesce(bool_or(is_short), false) AS "are_short!"
        FROM syncline.error_budget_shares
        WHERE renewed_at >= now() - make_interval(secs => $1)
        "#,
        SILENCE.as_secs_f64(),
    )
    .fetch_one(pool)
    .await
    .map_err(Error::database("read the error budget"))?;
    Ok(Shares {
        permits: row.permits.try_into().unwrap_or(0),
        are_short: row.are_short,
    })
}

/// A share that was not renewed for so long is void.
const SILENCE: Duration = Duration::from_secs(4);
/// How often a share in use is renewed.
const RENEW: Duration = Duration::from_secs(1);
/// Unused for so long, a share is given back.
const IDLE: Duration = Duration::from_secs(5);
/// Longest wait for a permit with the slot kept; beyond it the job snoozes.
const MAX_INLINE_WAIT: Duration = Duration::from_secs(2);
/// Between tries when the database cannot be reached.
const AFTER_ERROR: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);

/// This process' part of the budget; clones share it.
#[derive(Clone)]
pub(crate) struct Purse {
    shared: Arc<Shared>,
}

struct Shared {
    budget: ErrorBudget,
    /// Where the shares are.
    pool: PgPool,
    tally: Arc<Tally>,
    state: Mutex<State>,
    /// A permit became free.
    freed: Notify,
    /// More permits are wanted.
    wanted: Notify,
    task: OnceLock<JoinHandle<()>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Permits: held ones are free, or under way, or cooling after an error.
#[derive(Debug)]
struct State {
    held: u32,
    under_way: u32,
    cooling: VecDeque<Instant>,
    /// Requests that wait for a permit.
    waiting: u32,
    /// When the share becomes void.
    void_at: Instant,
    /// While the share is being written, none is handed out: it may shrink.
    is_writing: bool,
    used_at: Instant,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            held: 0,
            under_way: 0,
            cooling: VecDeque::new(),
            waiting: 0,
            void_at: now,
            is_writing: false,
            used_at: now,
        }
    }

    /// Permits that are not free.
    fn used(&mut self, now: Instant) -> u32 {
        while self.cooling.front().is_some_and(|until| *until <= now) {
            self.cooling.pop_front();
        }
        self.under_way + u32::try_from(self.cooling.len()).unwrap_or(u32::MAX)
    }

    fn take(&mut self, now: Instant) -> bool {
        let used = self.used(now);
        let is_free = !self.is_writing && now < self.void_at && used < self.held;
        if is_free {
            self.under_way += 1;
            self.used_at = now;
        }
        is_free
    }

    /// What to ask the database for: what is used or waited for, and some to spare while there is use. The
    /// less it holds, the less is out of reach for the others should this process die.
    fn desired(&mut self, budget: ErrorBudget, now: Instant) -> u32 {
        let used = self.used(now);
        if self.waiting > 0 || now < self.used_at + IDLE {
            (used + self.waiting + budget.errors.div_ceil(3)).min(budget.errors)
        } else {
            used
        }
    }
}

/// Leave to make one request. Dropped without [`Permit::succeeded`], it counts as an error answer.
#[must_use = "say how the request ended, or it counts as an error"]
pub struct Permit {
    /// `None`: errors are not counted.
    shared: Option<Arc<Shared>>,
    has_succeeded: bool,
}

impl Permit {
    pub(crate) fn unlimited() -> Self {
        Self {
            shared: None,
            has_succeeded: true,
        }
    }

    /// The far side answered, and not with an error.
    pub fn succeeded(mut self) {
        self.has_succeeded = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else {
            return;
        };
        let window = shared.budget.window;
        let mut state = shared.lock();
        state.under_way = state.under_way.saturating_sub(1);
        if !self.has_succeeded {
            state.cooling.push_back(Instant::now() + window);
            metrics::counter!("syncline_error_answers_total").increment(1);
            shared.tally.note(Measure::ErrorAnswer, Duration::ZERO);
        }
        drop(state);
        shared.freed.notify_one();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Purse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purse")
            .field("budget", &self.shared.budget)
            .finish_non_exhaustive()
    }
}

impl Purse {
    pub(crate) fn new(pool: PgPool, budget: ErrorBudget, tally: Arc<Tally>) -> Self {
        Self {
            shared: Arc::new(Shared {
                budget,
                pool,
                tally,
                state: Mutex::new(State::new(Instant::now())),
                freed: Notify::new(),
                wanted: Notify::new(),
                task: OnceLock::new(),
            }),
        }
    }

    /// A permit, if one is free.
    pub(crate) fn permit_now(&self) -> Option<Permit> {
        let is_taken = self.shared.lock().take(Instant::now());
        is_taken.then(|| self.granted())
    }

    /// A permit for one request; waits when one may come soon.
    ///
    /// # Errors
    /// [`Throttled`] when the budget is spent: snooze, and the slot is free for others.
    pub(crate) async fn permit(&self) -> Result<Permit, Throttled> {
        self.keep_share();
        let began = Instant::now();
        let _waiting = Waiting::new(&self.shared);
        while began.elapsed() < MAX_INLINE_WAIT {
            // Register before the try, so that a permit freed in between is not missed.
            let freed = self.shared.freed.notified();
            if let Some(permit) = self.permit_now() {
                return Ok(permit);
            }
            self.shared.wanted.notify_one();
            let _ = timeout(MAX_INLINE_WAIT / 20, freed).await;
        }
        metrics::counter!("syncline_error_budget_exhausted_total").increment(1);
        self.shared
            .tally
            .note(Measure::BudgetExhausted, Duration::ZERO);
        Err(Throttled {
            after: self.shared.budget.window / 2,
        })
    }

    fn granted(&self) -> Permit {
        Permit {
            shared: Some(Arc::clone(&self.shared)),
            has_succeeded: false,
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "ends with the purse; a share that is not renewed is void"
    )]
    fn keep_share(&self) {
        self.shared.task.get_or_init(|| {
            let shared = Arc::downgrade(&self.shared);
            tokio::spawn(keep(shared, Session::like(&self.shared.pool)))
        });
    }
}

/// Counts a request that waits, for as long as it does.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.lock().waiting += 1;
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
        // Whoever else waits may take what this one was told of.
        self.0.freed.notify_one();
    }
}

/// Writes the share of this process: when more is wanted, every second while it is used, and once more to
/// give it back.
async fn keep(shared: std::sync::Weak<Shared>, mut session: Session) {
    let process_id = Uuid::new_v4();
    loop {
        let Some(purse) = shared.upgrade() else {
            return;
        };
        let next = match write_share(&purse, &mut session, process_id).await {
            Ok(held) if held > 0 || purse.lock().waiting > 0 => Some(Instant::now() + RENEW),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(error = %crate::job::chain(&error), "cannot write the share of the error budget");
                Some(Instant::now() + AFTER_ERROR)
            }
        };
        purse.freed.notify_waiters();
        let not_before = Instant::now() + RENEW / 100;
        match next {
            Some(at) => {
                let _ = tokio::time::timeout_at(at, purse.wanted.notified()).await;
            }
            None => purse.wanted.notified().await,
        }
        sleep_until(not_before).await;
    }
}

async fn write_share(
    shared: &Shared,
    session: &mut Session,
    process_id: Uuid,
) -> Result<u32, Error> {
    let began = Instant::now();
    let (desired, used, is_short) = {
        let mut state = shared.lock();
        state.is_writing = true;
        if began >= state.void_at {
            // Whatever was held is void; what is under way is still counted.
            state.held = 0;
        }
        let (used, desired) = (state.used(began), state.desired(shared.budget, began));
        (desired, used, state.waiting > 0 && state.held <= used)
    };
    let claim = Claim {
        desired,
        used,
        is_short,
    };
    let sharing = async {
        let mut connection = session.take().await?;
        let held = share(&mut connection, shared.budget, process_id, claim).await?;
        session.keep(connection);
        Ok(held)
    };
    let written = timeout(PATIENCE, sharing)
        .await
        .unwrap_or(Err(Error::Database {
            operation: "write the share of the error budget",
            source: sqlx::Error::PoolTimedOut,
        }));
    let mut state = shared.lock();
    state.is_writing = false;
    if let Ok(held) = &written {
        state.held = *held;
        state.void_at = began + SILENCE;
    } else {
        // It may have been written smaller.
        state.held = state.held.min(used);
    }
    metrics::gauge!("syncline_error_budget_permits").set(f64::from(state.held));
    written
}

/// What a process asks for.
struct Claim {
    desired: u32,
    used: u32,
    is_short: bool,
}

/// Writes a share; answers how many permits it has now.
async fn share(
    connection: &mut PgConnection,
    budget: ErrorBudget,
    process_id: Uuid,
    claim: Claim,
) -> Result<u32, Error> {
    let mut tx = connection
        .begin()
        .await
        .map_err(Error::database("begin a transaction"))?;
    // One at a time, or two would take the same permits.
    sqlx::query_scalar!(
        r#"SELECT pg_advisory_xact_lock(hashtext('syncline.error_budget_shares'))::text AS "locked""#
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::database("lock the error budget"))?;
    let permits = sqlx::query_file_scalar!(
        "src/error_budget/share.sql",
        process_id,
        i32::try_from(budget.errors).unwrap_or(i32::MAX),
        (budget.window + SILENCE).as_secs_f64(),
        i32::try_from(claim.desired).unwrap_or(i32::MAX),
        i32::try_from(claim.used).unwrap_or(i32::MAX),
        claim.is_short,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::database("write the share of the error budget"))?;
    tx.commit()
        .await
        .map_err(Error::database("write the share of the error budget"))?;
    Ok(u32::try_from(permits).unwrap_or(0))
}

#[cfg(test)]
mod tests;
