//! What changes in an account's records, and when.

use serde_json::Value;

use super::{Account, AccountState, ModelState, Rules};
use crate::clock::{Micros, micros};
use crate::dice::Dice;

/// A number of changes spread evenly over a time.
#[derive(Debug)]
pub(crate) struct Burst {
    pub(super) kind: BurstKind,
    pub(super) start: Micros,
    pub(super) end: Micros,
    /// Changes due at or after this time are called off.
    pub(super) until: Micros,
    pub(super) total: u32,
    pub(super) done: u32,
    pub(super) dice: Dice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BurstKind {
    /// The first sync: each change is a new record.
    Initial,
    /// Later: new, changed and deleted records.
    Changes,
}

impl Burst {
    /// When the next change is due: after the start and before the end. Where there is no time between them, just before
    /// both, so that the end of a sync is always later than what it brought.
    pub(super) fn next_time(&self) -> Option<Micros> {
        if self.done == self.total {
            return None;
        }
        let span = i128::from(self.end - self.start);
        let time = if span <= i128::from(self.total) {
            self.start - 1
        } else {
            let step = span * i128::from(self.done + 1) / i128::from(self.total + 1);
            self.start + Micros::try_from(step).unwrap_or(0)
        };
        (time < self.until).then_some(time)
    }
}

impl Account {
    /// Lets the changes of a model happen that were due until `limit`.
    pub(super) fn apply_changes(
        &self,
        state: &mut AccountState,
        place: usize,
        limit: Micros,
        rules: Rules<'_>,
    ) {
        let delay = micros(rules.schedule.visibility_delay);
        let mut events = Vec::new();
        let model = &mut state.models[place];
        let mut bursts = std::mem::take(&mut model.bursts);
        for burst in &mut bursts {
            while let Some(time) = burst.next_time().filter(|time| *time + delay <= limit) {
                let dice = burst.dice.at(u64::from(burst.done));
                burst.done += 1;
                if burst.kind == BurstKind::Initial {
                    model.records.create(time);
                } else if time < rules.frozen_at {
                    events.extend(self.change_one(model, dice, time, rules.has_record_events));
                }
            }
        }
        bursts.retain(|burst| burst.next_time().is_some());
        model.bursts = bursts;
        for (event, data) in events {
            self.notify(state, &event, data);
        }
    }

    /// One change of a kind that falls to `dice`; the record's webhook if it is wanted.
    fn change_one(
        &self,
        model: &mut ModelState,
        dice: Dice,
        now: Micros,
        wants_event: bool,
    ) -> Option<(String, Value)> {
        let roll = dice.below(100);
        let start = dice.named("which").index(model.records.len());
        let living = model
            .records
            .iter()
            .enumerate()
            .skip(start)
            .find(|(_, record)| !record.is_deleted);
        let (verb, changed) = match living.map(|(index, _)| index) {
            Some(index) if roll >= 25 => {
                let record = model.records.at_mut(index)?;
                record.touch(now);
                record.is_deleted = roll >= 85 && model.model.has_deleted_mark;
                (
                    if record.is_deleted {
                        "removed"
                    } else {
                        "changed"
                    },
                    record.clone(),
                )
            }
            _ => ("added", model.records.create(now).clone()),
        };
        if !wants_event {
            return None;
        }
        let mut json = Vec::new();
        self.author(model).write(&changed, false, &mut json);
        let data = serde_json::from_slice(&json).expect("the generator writes JSON objects");
        Some((format!("{}.{verb}", model.model.event_name), data))
    }
}

impl AccountState {
    /// How many of `changes` fall to each model.
    pub(super) fn spread_changes(&self, dice: Dice, changes: u32) -> Vec<u32> {
        let mut counts = vec![0; self.models.len()];
        let open: Vec<usize> = (0..counts.len())
            .filter(|place| self.models[*place].outcome.syncs())
            .collect();
        if open.is_empty() {
            return counts;
        }
        for change in 0..changes {
            counts[*dice.named("spread").at(u64::from(change)).pick(&open)] += 1;
        }
        counts
    }
}
