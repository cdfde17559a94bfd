#![doc = include_str!("README.md")]

mod breaker;
mod context;
mod error;
mod readiness;
pub mod reply;
mod selection;

pub mod check_health;
pub mod check_key;
pub mod create_pending;
pub mod delete_account;
pub mod deliver_event;
pub mod enqueue_due_checks;
pub mod enqueue_due_events;
pub mod enqueue_due_polls;
pub mod exchange_token;
pub mod fetch_model_window;
pub mod maintain;
pub mod poll_sync_status;
pub mod process_deliveries;
pub mod refresh_integrations;
pub mod relink_account;
pub mod resync;
pub mod run_bulk_action;
pub mod send_test_event;

pub use breaker::{BreakerSettings, Breakers};
pub use context::{Connections, JobContext, SyncSettings, note_exchange};
pub use error::JobError;
pub use selection::Selection;

/// Every job that the workers know.
pub fn registry() -> queue::Registry<JobContext> {
    queue::Registry::new()
        .register::<check_health::CheckHealth>()
        .register::<check_key::CheckKey>()
        .register::<create_pending::CreatePending>()
        .register::<delete_account::DeleteAccount>()
        .register::<deliver_event::DeliverEvent>()
        .register::<enqueue_due_checks::EnqueueDueChecks>()
        .register::<enqueue_due_events::EnqueueDueEvents>()
        .register::<enqueue_due_polls::EnqueueDuePolls>()
        .register::<exchange_token::ExchangeToken>()
        .register::<fetch_model_window::FetchModelWindow>()
        .register::<maintain::Maintain>()
        .register::<poll_sync_status::PollSyncStatus>()
        .register::<process_deliveries::ProcessDeliveries>()
        .register::<refresh_integrations::RefreshIntegrations>()
        .register::<relink_account::RelinkAccount>()
        .register::<resync::Resync>()
        .register::<run_bulk_action::RunBulkAction>()
        .register::<send_test_event::SendTestEvent>()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Files of this room that hold no job.
    const NO_JOBS: [&str; 7] = [
        "lib",
        "breaker",
        "context",
        "error",
        "readiness",
        "reply",
        "selection",
    ];

    #[test]
    fn each_file_holds_a_registered_job() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<String> = std::fs::read_dir(room)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| !NO_JOBS.contains(&name.as_str()))
            .collect();
        files.sort();

        assert_eq!(files, super::registry().kinds());
    }
}
