use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgPool;

use super::{Histogram, Measure, add};
use crate::{error::Error, ids::Queue, session::patiently};

/// What was measured since the last time, by measure and queue, then by kind.
pub(super) type Gathered = HashMap<(Measure, Option<Queue>), HashMap<String, Histogram>>;

/// What this process has measured, and not yet stored.
///
/// To note something is a lock that nobody holds for long, and no allocation but for the first of its kind. It holds as
/// much as there are kinds, whether or not anybody ever stores it.
#[derive(Debug, Default)]
pub struct Tally {
    gathered: Mutex<Gathered>,
}

impl Tally {
    /// Notes a measurement that is of no kind of jobs.
    pub fn note(&self, measure: Measure, took: Duration) {
        note(&mut self.lock(), measure, None, "", took);
    }

    /// Notes a measurement of a job.
    pub fn note_job(&self, measure: Measure, queue: Queue, kind: &str, took: Duration) {
        note(&mut self.lock(), measure, Some(queue), kind, took);
    }

    /// Notes measurements of many jobs.
    pub(crate) fn note_jobs<'a>(
        &self,
        jobs: impl Iterator<Item = (Measure, Queue, &'a str, Duration)>,
    ) {
        let mut gathered = self.lock();
        for (measure, queue, kind, took) in jobs {
            note(&mut gathered, measure, Some(queue), kind, took);
        }
    }

    /// Stores what was gathered. What cannot be stored is kept for the next time.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn store(&self, pool: &PgPool) -> Result<(), Error> {
        let gathered = std::mem::take(&mut *self.lock());
        if gathered.is_empty() {
            return Ok(());
        }
        let stored = patiently("store what was measured", add(pool, &gathered)).await;
        if stored.is_err() {
            self.put_back(gathered);
        }
        stored
    }

    /// How many measurements wait to be stored.
    pub fn waiting(&self) -> u64 {
        let gathered = self.lock();
        let histograms = gathered.values().flat_map(HashMap::values);
        histograms.map(Histogram::count).sum()
    }

    fn put_back(&self, taken: Gathered) {
        let mut gathered = self.lock();
        for (series, kinds) in taken {
            let now = gathered.entry(series).or_default();
            for (kind, histogram) in kinds {
                now.entry(kind).or_default().add(&histogram);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(
    gathered: &mut Gathered,
    measure: Measure,
    queue: Option<Queue>,
    kind: &str,
    took: Duration,
) {
    let kinds = gathered.entry((measure, queue)).or_default();
    if let Some(histogram) = kinds.get_mut(kind) {
        histogram.note(took);
    } else {
        kinds.entry(kind.to_owned()).or_default().note(took);
    }
}
