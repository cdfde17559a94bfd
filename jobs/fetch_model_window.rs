//! Stores one window of one model, page by page.
//!
//! The window is opened between watermark and mark, or because one is wanted (see [`store::fetch_windows`]), or resumed
//! where an earlier run left it. Each page and the cursor of the next are one fenced transaction: a crash costs at most
//! one page read twice. The last page closes the window and moves the watermark, all in one; if the mark moved
//! meanwhile, the next window's job is enqueued in that same transaction. If this was the last model missing, the
//! initial sync is completed after it, together with the job.
//!
//! Safe to repeat: storing a page again changes nothing, and of two runs at once the second finds its page stored or
//! its lease lost.
//!
//! Once its turn is over the job lets others of its lane go first, and goes on where it was. A cursor that Merge
//! refuses or repeats begins the walk anew, a few times; then the window is given up, and begun again later. So does a page
//! that is longer than what is read of an answer, with half as many records a page. A model
//! that Merge does not give at all is marked as refused, so that the others do not wait for it.

use std::collections::HashSet;
use std::time::Duration;

use merge_client::{ListQuery, Model, Page, Record, catalogue};
use queue::{Attempt, Job, Lane, NewJob, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::AccountId;
use store::fetch_windows::{self, Opening, Window};
use store::model_records::{Counts, NewRecord};
use store::model_syncs;
use tokio::time::Instant;

use crate::context::OpenAccount;
use crate::{JobContext, JobError};

/// Times that the walk of one window begins again before the window is given up.
const MOST_RESTARTS: i32 = 5;

/// Which model of which account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FetchModelWindow {
    /// Ours.
    pub account_id: AccountId,
    /// `hris.Employee`.
    pub model_id: String,
}

impl Job for FetchModelWindow {
    type Context = JobContext;
    type Error = JobError;

    const KIND: &'static str = "fetch_model_window";
    const QUEUE: Queue = Queue::SYNC;
    const TIMEOUT: Duration = Duration::from_mins(5);

    fn lane(&self) -> Lane {
        Lane::account(self.account_id.0)
    }

    fn unique_key(&self) -> Option<String> {
        Some(format!("{}/{}", self.account_id, self.model_id))
    }

    fn limit_key(&self) -> Option<String> {
        Some(self.model_id.clone())
    }

    async fn run(&self, context: &JobContext, attempt: &mut Attempt) -> Result<(), JobError> {
        let model = catalogue::find(&self.model_id).ok_or_else(|| {
            let reason = format!("the catalogue has no model `{}`", self.model_id);
            JobError::cancel("unknown_model", reason)
        })?;
        if !context.settings.selection.has(model.model_id) {
            let tx = attempt.begin().await?;
            return Ok(attempt
                .complete(tx, json!({ "is_selected": false }))
                .await?);
        }
        let account = context.open_account(self.account_id).await?;
        let Some(window) = self.resume_or_open(context, attempt, model).await? else {
            // Perhaps the attempt before closed the window, and was cut off then.
            let tx = attempt.begin().await?;
            let result = json!({ "was_due": false });
            return account.complete(attempt, tx, result).await;
        };
        let walk = Walk {
            context,
            model,
            account: &account,
            window,
            seen: HashSet::new(),
            stored: Counts::default(),
            without_key: 0,
        };
        walk.run(attempt).await
    }
}

impl FetchModelWindow {
    /// Jobs for models that are due.
    pub(crate) fn for_models(
        account_id: AccountId,
        organization_id: &str,
        model_ids: &[String],
    ) -> Result<Vec<NewJob>, queue::Error> {
        model_ids
            .iter()
            .map(|model_id| {
                let job = NewJob::new(&Self {
                    account_id,
                    model_id: model_id.clone(),
                })?;
                Ok(job.organization(organization_id))
            })
            .collect()
    }

    async fn resume_or_open(
        &self,
        context: &JobContext,
        attempt: &Attempt,
        model: &Model,
    ) -> Result<Option<Window>, JobError> {
        let opening = Opening {
            overlap: context.settings.overlap,
            has_modified_filter: model.has_modified_filter,
        };
        let mut tx = attempt.begin().await?;
        let window =
            fetch_windows::resume_or_open(&mut tx, self.account_id, &self.model_id, opening)
                .await?;
        tx.commit().await?;
        Ok(window)
    }
}

/// The walk through the pages of one window.
struct Walk<'a> {
    context: &'a JobContext,
    model: &'static Model,
    account: &'a OpenAccount,
    window: Window,
    /// Cursors of this run, so that a circle is noticed.
    seen: HashSet<String>,
    stored: Counts,
    /// Records that nothing tells apart, which cannot be stored.
    without_key: usize,
}

/// What one request led to.
enum Step {
    Page(Page),
    /// The cursor has expired, or was never one.
    CursorRefused,
    /// The page is longer than an answer may be.
    TooLarge(merge_client::Error),
    /// Merge does not give us this model.
    ModelRefused(&'static str),
}

impl Walk<'_> {
    async fn run(mut self, attempt: &mut Attempt) -> Result<(), JobError> {
        let deadline = Instant::now() + self.context.settings.turn;
        loop {
            match self.ask(attempt).await? {
                Step::Page(page) if self.is_circle(page.next.as_deref()) => {
                    self.restart(attempt).await?;
                }
                Step::Page(page) => match page.next {
                    Some(next) => self.save(attempt, &page.records, &next).await?,
                    None => return self.finish(attempt, &page.records).await,
                },
                Step::CursorRefused => self.restart(attempt).await?,
                Step::TooLarge(error) => self.shrink(attempt, error).await?,
                Step::ModelRefused(reason) => return self.refuse(attempt, reason).await,
            }
            if attempt.cancellation().is_cancelled() || Instant::now() >= deadline {
                return Err(JobError::yield_turn("others of the lane have their turn"));
            }
        }
    }

    async fn ask(&self, attempt: &Attempt) -> Result<Step, JobError> {
        use merge_client::Error::{Forbidden, NotFound, Rejected, TooLarge};

        let query = ListQuery {
            modified_after: self.window.modified_after,
            modified_before: self.window.modified_before,
            include_deleted_data: true,
            cursor: self.window.cursor.clone(),
            page_size: self.page_size(),
        };
        let account = self
            .context
            .merge
            .account(self.account.category, &self.account.token);
        let has_cursor = query.cursor.is_some();
        match self
            .context
            .ask(attempt, account.list(self.model, &query))
            .await?
        {
            Ok(page) => Ok(Step::Page(page)),
            Err(Rejected { status: 400, .. } | NotFound { .. }) if has_cursor => {
                Ok(Step::CursorRefused)
            }
            Err(error @ TooLarge { .. }) => Ok(Step::TooLarge(error)),
            Err(NotFound { .. }) => Ok(Step::ModelRefused("not_found")),
            Err(Forbidden { .. }) => Ok(Step::ModelRefused("forbidden")),
            Err(error) => {
                self.context.blame(attempt, &error).await?;
                Err(error.into())
            }
        }
    }

    /// Records a page of this walk.
    fn page_size(&self) -> u16 {
        let usual = self.context.settings.page_size;
        let own = self.window.page_size.map(i16::unsigned_abs);
        own.unwrap_or(usual)
    }

    /// Whether the page's cursor is the one it was asked by, or one that was met before.
    fn is_circle(&mut self, next: Option<&str>) -> bool {
        let Some(next) = next else { return false };
        if let Some(current) = &self.window.cursor {
            self.seen.insert(current.clone());
        }
        !self.seen.insert(next.to_owned())
    }

    async fn save(
        &mut self,
        attempt: &Attempt,
        records: &[Record],
        next_cursor: &str,
    ) -> Result<(), JobError> {
        let keys = self.keys(records);
        let records = storable(records, &keys);
        let mut tx = attempt.begin().await?;
        let counts =
            fetch_windows::save_page(&mut tx, &mut self.window, &records, next_cursor).await?;
        tx.commit().await?;
        self.stored += counts;
        Ok(())
    }

    /// What the records of a page are stored under; `None` for those that nothing tells apart.
    fn keys(&mut self, records: &[Record]) -> Vec<Option<String>> {
        let keys: Vec<_> = records.iter().map(Record::key).collect();
        let without_key = keys.iter().filter(|key| key.is_none()).count();
        if without_key > 0 {
            self.without_key += without_key;
            tracing::warn!(account.id = %self.window.account_id, merge.model = %self.window.model_id,
                records = without_key, "left out records without any id");
        }
        keys
    }

    /// Stores the last page, closes the window and enqueues what follows in one transaction, and completes the job.
    async fn finish(mut self, attempt: &mut Attempt, records: &[Record]) -> Result<(), JobError> {
        let keys = self.keys(records);
        let records = storable(records, &keys);
        let mut tx = attempt.begin().await?;
        let closed = fetch_windows::save_last_page(&mut tx, &self.window, &records).await?;
        self.stored += closed.counts;
        if closed.leaves_gap {
            metrics::counter!("syncline_window_gaps_total").increment(1);
            tracing::error!(account.id = %self.window.account_id, merge.model = %self.window.model_id,
                "a window does not join the one before: changes were left out; resync the account, and tell us");
        }
        if closed.is_due_again {
            let due = [self.window.model_id.clone()];
            let organization_id = &self.account.organization_id;
            let next = FetchModelWindow::for_models(self.window.account_id, organization_id, &due)?;
            queue::enqueue_many(&mut tx, &next).await?;
        }
        let result = json!({
            "pages": self.window.pages + 1,
            "inserted": self.stored.inserted,
            "updated": self.stored.updated,
            "unchanged": self.stored.unchanged,
            "stale": self.stored.stale,
            "absent": closed.absent,
            "without_key": self.without_key,
        });
        self.account.complete(attempt, tx, result).await
    }

    async fn restart(&mut self, attempt: &Attempt) -> Result<(), JobError> {
        let mut tx = attempt.begin().await?;
        if self.window.restarts >= MOST_RESTARTS {
            fetch_windows::abandon(&mut tx, &self.window).await?;
            tx.commit().await?;
            let reason = format!("Merge's cursors lead nowhere, {MOST_RESTARTS} times over");
            return Err(JobError::retry("endless_pages", reason));
        }
        fetch_windows::restart(&mut tx, &mut self.window).await?;
        tx.commit().await?;
        self.seen.clear();
        Ok(())
    }

    /// Begins anew with smaller pages; a record that is too long by itself is beyond us.
    async fn shrink(
        &mut self,
        attempt: &Attempt,
        error: merge_client::Error,
    ) -> Result<(), JobError> {
        let half = self.page_size() / 2;
        if half == 0 {
            return Err(error.into());
        }
        let mut tx = attempt.begin().await?;
        let half = half.try_into().unwrap_or(i16::MAX);
        fetch_windows::resize(&mut tx, &mut self.window, half).await?;
        tx.commit().await?;
        self.seen.clear();
        Ok(())
    }

    /// Marks the model as refused; the initial sync does not wait for it any longer.
    async fn refuse(self, attempt: &mut Attempt, reason: &'static str) -> Result<(), JobError> {
        let account_id = self.window.account_id;
        let mut tx = attempt.begin().await?;
        model_syncs::refuse(&mut tx, account_id, &self.window.model_id, reason).await?;
        fetch_windows::abandon(&mut tx, &self.window).await?;
        tracing::warn!(account.id = %account_id, merge.model = %self.window.model_id, reason,
            "Merge does not give us this model");
        let result = json!({ "refused": reason });
        self.account.complete(attempt, tx, result).await
    }
}

/// The records of a page that have a key, as they are stored.
fn storable<'a>(records: &'a [Record], keys: &'a [Option<String>]) -> Vec<NewRecord<'a>> {
    let new = |(record, key): (&'a Record, &'a Option<String>)| {
        Some(NewRecord {
            merge_id: key.as_deref()?,
            remote_id: record.remote_id.as_deref(),
            data: record.data.get(),
            modified_at: record.modified_at,
            created_at: record.created_at,
            is_deleted: record.is_deleted,
        })
    };
    records.iter().zip(keys).filter_map(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_frozen() {
        let payload = json!({
            "account_id": "00000000-0000-0000-0000-000000000007",
            "model_id": "hris.Employee",
        });

        let job: FetchModelWindow = serde_json::from_value(payload.clone()).unwrap();

        assert_eq!(serde_json::to_value(&job).unwrap(), payload);
        assert_eq!(
            job.unique_key().as_deref(),
            Some("00000000-0000-0000-0000-000000000007/hris.Employee")
        );
        assert_eq!(job.limit_key().as_deref(), Some("hris.Employee"));
    }
}
