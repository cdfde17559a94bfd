//! The jobs, run by the queue against the sandbox: what each achieves, and what it survives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check_health;
mod create_pending;
mod delete_account;
mod deliver_event;
mod enqueue_due_polls;
mod exchange_token;
mod fetch_model_window;
mod guides_rule;
mod histories;
mod hostile_pages;
mod maintain;
mod poll_sync_status;
mod process_deliveries;
mod refresh_integrations;
mod relink_account;
mod resync;
mod run_bulk_action;
mod selection;
mod sweeps;
mod workshop;
