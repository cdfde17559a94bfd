//! Live progress on stderr: a line for each account, redrawn in place; plain lines when nobody watches.

use std::{io::IsTerminal, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::product::{Account, Customer};

/// The lines of all accounts.
pub(super) struct Progress {
    screen: Option<MultiProgress>,
}

/// The line of one account.
pub(super) struct Line {
    bar: Option<ProgressBar>,
    label: String,
    last_stage: Stage,
}

/// What is worth a plain line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Linking,
    Linked,
    Storing,
    Complete,
}

impl Progress {
    /// Draws when stderr is a terminal.
    pub(super) fn new() -> Self {
        let screen = std::io::stderr().is_terminal().then(MultiProgress::new);
        Self { screen }
    }

    /// A line for a customer's account.
    pub(super) fn line(&self, customer: &Customer) -> Line {
        let label = format!("{:<18} {:<13}", customer.name, customer.category.as_str());
        let bar = self.screen.as_ref().map(|screen| {
            let style = ProgressStyle::with_template("{prefix} {bar:24.cyan/blue} {msg}")
                .expect("the template is a constant and valid");
            let bar = screen.add(ProgressBar::new(1).with_style(style.progress_chars("━╸─")));
            bar.set_prefix(label.clone());
            bar.set_message("linking");
            bar
        });
        Line {
            bar,
            label,
            last_stage: Stage::Linking,
        }
    }
}

impl Line {
    /// Shows how the account stands.
    pub(super) fn show(&mut self, account: &Account) {
        let (done, all, records) = (
            account.models_done(),
            account.models.len(),
            account.records(),
        );
        let stage = stage(account);
        let name = account.integration_name.as_deref().unwrap_or("…");
        let message = match stage {
            Stage::Linking => "linking".to_owned(),
            Stage::Linked => format!("{name}: first sync at the provider"),
            Stage::Storing => format!("{name}: {done}/{all} models, {records} records"),
            Stage::Complete => format!("{name}: in step, {all} models, {records} records"),
        };
        match &self.bar {
            Some(bar) => {
                bar.set_length(all.max(1) as u64);
                bar.set_position(done as u64);
                bar.set_message(message);
            }
            None if stage != self.last_stage => print(&format!("{} {message}", self.label)),
            None => {}
        }
        self.last_stage = stage;
    }

    /// Leaves the line as it is.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

fn stage(account: &Account) -> Stage {
    if account.status == "pending" {
        Stage::Linking
    } else if account.initial_sync_completed_at.is_some() {
        Stage::Complete
    } else if account.records() == 0 {
        Stage::Linked
    } else {
        Stage::Storing
    }
}

/// The demo talks to the person who started it.
#[expect(clippy::print_stderr, reason = "the demo's face is the terminal")]
pub(super) fn print(text: &str) {
    eprintln!("{text}");
}

/// How often the lines are brought up to date.
pub(super) const REFRESH: Duration = Duration::from_millis(250);
