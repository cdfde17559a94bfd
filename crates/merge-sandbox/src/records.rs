//! The records of one model of one account, in the order of their lists.
//!
//! A record is some forty bytes: its times and a number, from which the generator writes its JSON when it is asked for.
//! So a thousand accounts of twenty thousand records fit into memory, and nothing is copied to serve a page.

use serde_json::{Map, Value};

use crate::clock::Micros;
use crate::cursor::Position;

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) created_at: Micros,
    pub(crate) modified_at: Micros,
    /// The place among all records ever made for this model; its id and its values follow from it.
    pub(crate) number: u32,
    /// Raised by each update; some values follow from it too.
    pub(crate) version: u32,
    pub(crate) is_deleted: bool,
    /// Fields set by a test, which win over the generated ones.
    pub(crate) fields: Option<Box<Map<String, Value>>>,
}

impl Record {
    pub(crate) fn position(&self) -> Position {
        Position {
            created_at: self.created_at,
            number: self.number,
        }
    }

    /// Marks a change. `modified_at` never goes back, even when changes become visible out of order.
    pub(crate) fn touch(&mut self, now: Micros) {
        self.modified_at = self.modified_at.max(now);
        self.version += 1;
    }
}

/// Records ordered by (`created_at`, number).
#[derive(Debug, Default)]
pub(crate) struct RecordSet {
    records: Vec<Record>,
    next_number: u32,
}

/// What a list request filters by.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filter {
    pub(crate) modified_after: Option<Micros>,
    pub(crate) modified_before: Option<Micros>,
    pub(crate) created_after: Option<Micros>,
    pub(crate) created_before: Option<Micros>,
    pub(crate) has_inclusive_limits: bool,
    pub(crate) includes_deleted: bool,
}

impl Filter {
    pub(crate) fn admits(&self, record: &Record) -> bool {
        (self.includes_deleted || !record.is_deleted)
            && self.is_within(
                record.modified_at,
                self.modified_after,
                self.modified_before,
            )
            && self.is_within(record.created_at, self.created_after, self.created_before)
    }

    fn is_within(&self, time: Micros, after: Option<Micros>, before: Option<Micros>) -> bool {
        let slack = Micros::from(self.has_inclusive_limits);
        after.is_none_or(|after| time > after - slack)
            && before.is_none_or(|before| time < before + slack)
    }
}

impl RecordSet {
    /// Adds a new record with that time and gives it its number.
    pub(crate) fn create(&mut self, now: Micros) -> &mut Record {
        let record = Record {
            created_at: now,
            modified_at: now,
            number: self.next_number,
            version: 0,
            is_deleted: false,
            fields: None,
        };
        self.next_number += 1;

        // Nearly always the end; only records that become visible late go before others.
        let place = match self.records.last() {
            Some(last) if last.position() > record.position() => self
                .records
                .partition_point(|other| other.position() < record.position()),
            _ => self.records.len(),
        };
        self.records.insert(place, record);
        &mut self.records[place]
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Record> {
        self.records.iter()
    }

    pub(crate) fn at_mut(&mut self, index: usize) -> Option<&mut Record> {
        self.records.get_mut(index)
    }

    pub(crate) fn remove(&mut self, index: usize) {
        self.records.remove(index);
    }

    /// The records after that position, in order.
    pub(crate) fn after(&self, position: Option<Position>) -> &[Record] {
        let start = position.map_or(0, |position| {
            self.records
                .partition_point(|record| record.position() <= position)
        });
        &self.records[start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stays_ordered_whatever_the_order_of_creation(times in prop::collection::vec(0..50_i64, 0..100)) {
            let mut records = RecordSet::default();
            for time in &times {
                records.create(*time);
            }

            let positions: Vec<_> = records.iter().map(Record::position).collect();
            prop_assert_eq!(positions.len(), times.len());
            prop_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn a_walk_by_positions_meets_every_record_once(count in 0..200_u32, page in 1..40_usize) {
            let mut records = RecordSet::default();
            for number in 0..count {
                records.create(i64::from(number) / 3);
            }

            let mut seen = Vec::new();
            let mut last = None;
            loop {
                let found: Vec<_> = records.after(last).iter().take(page).collect();
                let Some(end) = found.last() else { break };
                last = Some(end.position());
                seen.extend(found.iter().map(|record| record.number));
            }

            prop_assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn limits_are_exclusive_unless_told_otherwise() {
        let mut records = RecordSet::default();
        let record = records.create(100).clone();
        let filter = |has_inclusive_limits| Filter {
            modified_after: Some(100),
            created_before: Some(101),
            has_inclusive_limits,
            ..Filter::default()
        };

        assert!(!filter(false).admits(&record));
        assert!(filter(true).admits(&record));
    }
}
