//! When Merge's data of a model is ready to be read.
//!
//! One rule for polls and webhooks (Merge's guides contradict each other; what was chosen and why is told in the
//! repository's notes on Merge): strict until a model was stored once, permissive afterwards.

use chrono::{DateTime, Utc};
use merge_client::SyncStatus;
use merge_client::webhook::ModelMark;

/// What somebody told about a model's syncs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Told<'a> {
    /// Where Merge stands now; `None`: not told.
    pub(crate) status: Option<&'a str>,
    /// How the last finished sync ended.
    pub(crate) result: Option<&'a str>,
    /// When it ended.
    pub(crate) finished: Option<DateTime<Utc>>,
    /// Whether Merge is at its first sync of the model.
    pub(crate) is_initial_sync: Option<bool>,
}

impl<'a> Told<'a> {
    /// From a whole status.
    pub(crate) fn by_status(status: &'a SyncStatus) -> Self {
        Self {
            status: Some(status.status.as_str()).filter(|word| !word.is_empty()),
            result: status.last_sync_result.as_deref(),
            finished: status.last_sync_finished,
            is_initial_sync: status.is_initial_sync,
        }
    }

    /// From an entry of `LinkedAccount.sync_completed`, which tells no status: the sync has just ended, so its
    /// result is the status.
    pub(crate) fn by_mark(mark: &'a ModelMark, is_initial_sync: Option<bool>) -> Self {
        Self {
            status: mark.last_sync_result.as_deref(),
            result: mark.last_sync_result.as_deref(),
            finished: mark.last_sync_finished,
            is_initial_sync,
        }
    }

    /// The finish up to which the model can be read; `None` while it cannot.
    ///
    /// `is_loaded`: whether it was stored once. A sync that failed never counts. Before the first load a sync in part
    /// does not either, unless `accept_partial`, and Merge must be done, or past its first sync. After it a good
    /// finish is good even while the next sync runs.
    pub(crate) fn ready_through(
        &self,
        is_loaded: bool,
        accept_partial: bool,
    ) -> Option<DateTime<Utc>> {
        let is_partial = match self.result? {
            "DONE" => false,
            "PARTIALLY_SYNCED" => true,
            _ => return None,
        };
        let is_ready = match self.status {
            Some("DISABLED") => false,
            _ if is_loaded || self.is_initial_sync == Some(false) => true,
            Some("DONE") => !is_partial || accept_partial,
            Some("PARTIALLY_SYNCED") => is_partial && accept_partial,
            _ => false,
        };
        self.finished.filter(|_| is_ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// status, result, is_initial_sync; ready: before the first load, the same lenient, after it.
    type Case = (
        Option<&'static str>,
        Option<&'static str>,
        Option<bool>,
        [bool; 3],
    );

    const TABLE: &[Case] = &[
        // Merge's first sync.
        (Some("SYNCING"), None, Some(true), [false, false, false]),
        (
            Some("SYNCING"),
            Some("DONE"),
            Some(true),
            [false, false, true],
        ),
        (Some("DONE"), Some("DONE"), Some(true), [true, true, true]),
        (Some("DONE"), Some("DONE"), None, [true, true, true]),
        (
            Some("PARTIALLY_SYNCED"),
            Some("PARTIALLY_SYNCED"),
            Some(true),
            [false, true, true],
        ),
        (
            Some("DONE"),
            Some("PARTIALLY_SYNCED"),
            Some(true),
            [false, true, true],
        ),
        (
            Some("FAILED"),
            Some("FAILED"),
            Some(true),
            [false, false, false],
        ),
        (
            Some("PAUSED"),
            Some("DONE"),
            Some(true),
            [false, false, true],
        ),
        // Past it.
        (Some("DONE"), Some("DONE"), Some(false), [true, true, true]),
        (
            Some("SYNCING"),
            Some("DONE"),
            Some(false),
            [true, true, true],
        ),
        (
            Some("SYNCING"),
            Some("PARTIALLY_SYNCED"),
            Some(false),
            [true, true, true],
        ),
        (
            Some("PARTIALLY_SYNCED"),
            Some("PARTIALLY_SYNCED"),
            Some(false),
            [true, true, true],
        ),
        (
            Some("FAILED"),
            Some("FAILED"),
            Some(false),
            [false, false, false],
        ),
        (
            Some("SYNCING"),
            Some("FAILED"),
            Some(false),
            [false, false, false],
        ),
        (Some("DONE"), None, Some(false), [false, false, false]),
        // Whatever else.
        (
            Some("DISABLED"),
            Some("DONE"),
            Some(false),
            [false, false, false],
        ),
        (Some("A_NEW_WORD"), Some("DONE"), None, [false, false, true]),
        (
            Some("DONE"),
            Some("A_NEW_WORD"),
            Some(false),
            [false, false, false],
        ),
        (None, Some("DONE"), None, [false, false, true]),
    ];

    #[test]
    fn ready_as_the_table_says() {
        let finished = DateTime::from_timestamp(1_770_000_000, 0);
        for (status, result, is_initial_sync, expected) in TABLE.iter().copied() {
            let told = Told {
                status,
                result,
                finished,
                is_initial_sync,
            };
            let ready = [(false, false), (false, true), (true, false)]
                .map(|(is_loaded, lenient)| told.ready_through(is_loaded, lenient).is_some());
            assert_eq!(ready, expected, "{told:?}");
        }
    }

    #[test]
    fn never_ready_without_a_finish() {
        let told = Told {
            status: Some("DONE"),
            result: Some("DONE"),
            ..Told::default()
        };

        assert_eq!(told.ready_through(true, true), None);
    }
}
