//! The schedule of an account: syncs that start, let records appear and change, and end.
//!
//! Nothing runs in the background. An account is brought up to date whenever somebody looks at it: everything that the
//! schedule has in store up to that moment happens then, each change with the time it was due. So an account nobody looks
//! at costs nothing, and a moved clock needs no waiting.

use serde_json::json;

use super::changes::{Burst, BurstKind};
use super::{Account, AccountState};
use crate::clock::{Micros, micros, to_text, to_whole_seconds};
use crate::options::{Outcome, Schedule, SyncedShape};
use crate::webhooks::Notice;

/// What governs all accounts alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) schedule: &'a Schedule,
    /// Changes due at or after this time do not happen.
    pub(crate) frozen_at: Micros,
    pub(crate) synced_shape: SyncedShape,
    pub(crate) has_record_events: bool,
}

impl Account {
    /// Lets everything happen that was due until `now`.
    pub(crate) fn advance(&self, state: &mut AccountState, now: Micros, rules: Rules<'_>) {
        loop {
            let boundary = state.boundary();
            let limit = boundary.map_or(now, |boundary| boundary.min(now));
            self.advance_models(state, limit, rules);
            match boundary {
                Some(boundary) if boundary <= now => {
                    self.pass_boundary(state, boundary, now, rules);
                }
                _ => return,
            }
        }
    }

    /// Starts a sync now; false when one is running.
    pub(crate) fn start_sync(
        &self,
        state: &mut AccountState,
        now: Micros,
        rules: Rules<'_>,
    ) -> bool {
        if state.is_syncing {
            return false;
        }
        let run = self.dice.named("sync").at(state.syncs_started);
        let is_first = state.syncs_started == 0;
        state.syncs_started += 1;
        state.is_syncing = true;
        state.sync_started_at = Some(now);

        let longest = if is_first {
            rules.schedule.initial_sync_duration
        } else {
            rules.schedule.sync_duration
        };
        let changes = state.spread_changes(run, rules.schedule.changes_per_sync);
        let syncing: Vec<usize> = (0..state.models.len())
            .filter(|place| state.models[*place].outcome.syncs())
            .collect();
        let slowest = syncing.get(run.index(syncing.len())).copied();
        let mut end_of_all = now;
        for place in syncing {
            let model = &mut state.models[place];
            let dice = run.at(model.index as u64);
            let percent = if Some(place) == slowest {
                100
            } else {
                40 + dice.below(61)
            };
            let end = now + micros(longest) / 100 * Micros::try_from(percent).unwrap_or(100);
            end_of_all = end_of_all.max(end);
            model.run_end = Some(end);
            // A sync that starts early ends the time between two syncs.
            for burst in &mut model.bursts {
                burst.until = burst.until.min(now);
            }
            model.last_start = Some(now);
            if model.outcome == Outcome::Failed {
                continue;
            }
            // A model that failed or was disabled until now is loaded by the first sync that works.
            let is_load = model.last_finished.is_none();
            let (kind, total) = if is_load {
                (BurstKind::Initial, self.counts[model.index])
            } else {
                (BurstKind::Changes, changes[place])
            };
            model.bursts.push_back(Burst {
                kind,
                start: now,
                end,
                until: Micros::MAX,
                total,
                done: 0,
                dice: dice.named("changes"),
            });
        }
        state.next_sync_start = rules
            .schedule
            .sync_interval
            .filter(|_| self.is_production)
            .map(|interval| (now + self.jittered(micros(interval), is_first)).max(end_of_all + 1));
        true
    }

    /// The first interval differs from account to account, so that not all sync at once.
    fn jittered(&self, interval: Micros, is_first: bool) -> Micros {
        if !is_first {
            return interval;
        }
        let percent = 80 + self.dice.named("jitter").below(41);
        interval / 100 * Micros::try_from(percent).unwrap_or(100)
    }

    fn pass_boundary(
        &self,
        state: &mut AccountState,
        boundary: Micros,
        now: Micros,
        rules: Rules<'_>,
    ) {
        if state.is_syncing {
            self.complete_sync(state, boundary, rules);
            return;
        }
        // After a jump of the clock only the last few of the syncs missed are made up for.
        let interval = rules.schedule.sync_interval.map_or(0, micros).max(1);
        let is_far_behind =
            state.has_ended_first_sync() && now - boundary > interval.saturating_mul(3);
        let start = if is_far_behind {
            now - interval
        } else {
            boundary
        };
        self.start_sync(state, start, rules);
    }

    fn complete_sync(&self, state: &mut AccountState, at: Micros, rules: Rules<'_>) {
        let is_initial = state.synced_at.is_none();
        state.is_syncing = false;
        state.synced_at = Some(at);
        let mut statuses = serde_json::Map::new();
        for model in state.models.iter().filter(|model| model.outcome.syncs()) {
            let status = json!({
                "last_sync_finished": model.last_finished.map(to_whole_seconds),
                "last_sync_result": model.last_result.map(Outcome::word),
                "data_fresh_as_of": model.fresh_as_of.map(to_whole_seconds),
                "sync_status_reason": null,
            });
            statuses.insert(model.shown_id.clone(), status);
        }
        let data = json!({
            "is_initial_sync": is_initial,
            "integration_name": self.integration.name,
            "integration_id": self.integration.slug,
            "sync_status": statuses,
        });
        self.notify(state, "LinkedAccount.sync_completed", data);

        let Some(next) = state.next_sync_start else {
            return;
        };
        let dice = self.dice.named("between").at(state.syncs_started);
        let changes = state.spread_changes(dice, rules.schedule.changes_between_syncs);
        for (model, total) in state.models.iter_mut().zip(changes) {
            if total > 0 && model.last_finished.is_some() {
                let dice = dice.at(model.index as u64);
                model.bursts.push_back(Burst {
                    kind: BurstKind::Changes,
                    start: at,
                    end: next,
                    until: Micros::MAX,
                    total,
                    done: 0,
                    dice,
                });
            }
        }
    }

    fn advance_models(&self, state: &mut AccountState, limit: Micros, rules: Rules<'_>) {
        for place in 0..state.models.len() {
            self.apply_changes(state, place, limit, rules);
            let model = &mut state.models[place];
            if let Some(end) = model.run_end.filter(|end| *end <= limit) {
                model.finish(end);
                self.announce_model(state, place, rules);
            }
        }
    }

    fn announce_model(&self, state: &mut AccountState, place: usize, rules: Rules<'_>) {
        let model = &state.models[place];
        let status = match rules.synced_shape {
            SyncedShape::Object => model.status_json(state.next_sync_start),
            SyncedShape::Text => json!(model.status()),
        };
        let fields: Vec<_> = match model.outcome {
            Outcome::Failed => Vec::new(),
            _ => model
                .model
                .fields
                .iter()
                .map(|field| field.name)
                .take(3)
                .collect(),
        };
        let data = json!({
            "integration_name": self.integration.name,
            "integration_id": self.integration.slug,
            "synced_fields": fields,
            "sync_status": status,
        });
        let event = format!("{}.synced", model.model.event_name);
        self.notify(state, &event, data);
    }

    /// Puts a webhook about this account into its outbox.
    pub(crate) fn notify(&self, state: &mut AccountState, event: &str, data: serde_json::Value) {
        let notice = Notice {
            account_id: self.id,
            event: event.to_owned(),
            account: self.webhook_json(state),
            data,
        };
        state.outbox.push(notice);
    }
}

impl AccountState {
    /// When the account as a whole moves on: the end of the running sync, else the start of the next.
    fn boundary(&self) -> Option<Micros> {
        if self.is_syncing {
            // A sync of no models ends where it began, at the time of the last look.
            return self
                .models
                .iter()
                .filter_map(|model| model.run_end)
                .max()
                .or(self.last_end());
        }
        self.next_sync_start
            .filter(|_| self.status != "RELINK_NEEDED")
    }

    fn last_end(&self) -> Option<Micros> {
        self.models
            .iter()
            .filter_map(|model| model.last_start)
            .max()
            .or(Some(self.completed_at))
    }

    /// When something will happen that others should hear of.
    pub(crate) fn next_due(&self, rules: Rules<'_>) -> Option<Micros> {
        let ends = self.models.iter().filter_map(|model| model.run_end);
        let delay = micros(rules.schedule.visibility_delay);
        let changes = self
            .models
            .iter()
            .filter(|_| rules.has_record_events)
            .flat_map(|model| &model.bursts)
            .filter_map(|burst| burst.next_time().map(|time| time + delay));
        ends.chain(changes).chain(self.boundary()).min()
    }

    /// When the next sync starts, as an answer shows it.
    pub(crate) fn next_sync_text(&self) -> Option<String> {
        self.next_sync_start.map(to_text)
    }
}
