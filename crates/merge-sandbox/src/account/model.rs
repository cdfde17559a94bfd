//! One model of an account: its records and the state of its sync.

use std::collections::VecDeque;

use merge_client::catalogue::{Category, Model, models};
use serde_json::{Value, json};

use super::changes::Burst;
use super::plan::PlannedModel;
use crate::clock::{Micros, to_text};
use crate::options::{ModelIds, Outcome};
use crate::records::RecordSet;

#[derive(Debug)]
pub(crate) struct ModelState {
    /// The model's place in its category.
    pub(crate) index: usize,
    pub(crate) model: &'static Model,
    /// The model's id as syncs speak of it.
    pub(crate) shown_id: String,
    pub(crate) records: RecordSet,
    /// How its next syncs end.
    pub(crate) outcome: Outcome,
    /// The end of the sync that runs now.
    pub(crate) run_end: Option<Micros>,
    pub(crate) last_result: Option<Outcome>,
    pub(crate) last_start: Option<Micros>,
    pub(crate) last_finished: Option<Micros>,
    pub(crate) fresh_as_of: Option<Micros>,
    pub(crate) is_initial: bool,
    /// Changes under way, each burst in the order of its times.
    pub(crate) bursts: VecDeque<Burst>,
}

impl ModelState {
    pub(super) fn new(category: Category, planned: &PlannedModel, model_ids: ModelIds) -> Self {
        let model = &models(category)[planned.index];
        let shown_id = match model_ids {
            ModelIds::Event => model.model_id.to_owned(),
            ModelIds::Class => format!("{category}.{}", model.class_name),
        };
        Self {
            index: planned.index,
            model,
            shown_id,
            records: RecordSet::default(),
            outcome: planned.outcome,
            run_end: None,
            last_result: None,
            last_start: None,
            last_finished: None,
            fresh_as_of: None,
            is_initial: true,
            bursts: VecDeque::new(),
        }
    }

    /// Merge's word for where the sync stands.
    pub(crate) fn status(&self) -> &'static str {
        if !self.outcome.syncs() {
            return self.outcome.word();
        }
        match (self.run_end, self.last_result) {
            (Some(_), _) | (None, None) => "SYNCING",
            (None, Some(result)) => result.word(),
        }
    }

    /// The object of the sync-status list.
    pub(crate) fn status_json(&self, next_start: Option<Micros>) -> Value {
        json!({
            "model_name": self.model.class_name,
            "model_id": self.shown_id,
            "last_sync_start": self.last_start.map(to_text),
            "next_sync_start": next_start.map(to_text),
            "status": self.status(),
            "last_sync_result": self.last_result.map(Outcome::word),
            "last_sync_finished": self.last_finished.map(to_text),
            "is_initial_sync": self.is_initial,
            "data_fresh_as_of": self.fresh_as_of.map(to_text),
            "historical_data_since": null,
            "sync_status_reason": null,
            "selective_sync_configurations_usage": null,
        })
    }

    /// Notes the end of the running sync.
    pub(super) fn finish(&mut self, at: Micros) {
        self.run_end = None;
        self.last_result = Some(self.outcome);
        if self.outcome == Outcome::Failed {
            return;
        }
        self.last_finished = Some(at);
        if self.outcome == Outcome::Done {
            self.fresh_as_of = self.last_start;
            self.is_initial = false;
        }
    }
}
