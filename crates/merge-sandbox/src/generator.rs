//! Writes the JSON of records, from the catalogue's fields and the seed.
//!
//! A record's JSON follows from its account's seed, its model, its number and its version; nothing of it is stored.
//! Relations lead to records that exist: ids follow from numbers, so no look-up is needed.

mod shape;
mod words;

use serde_json::{Map, Value};
use uuid::Uuid;

use self::shape::{FieldShape, Kind, Shape, Text};
use crate::clock::{Micros, to_text};
use crate::dice::Dice;
use crate::records::Record;

/// What the records of one account and model are written from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    /// The account's place in the random world.
    pub(crate) account: Dice,
    /// The model's place among the models of its category.
    pub(crate) model_index: usize,
    pub(crate) model: &'static merge_client::catalogue::Model,
    /// How many records each model of the category begins with, so that relations can be drawn.
    pub(crate) counts: &'a [u32],
}

/// Fields that a test cannot set, because the sandbox's own bookkeeping stands in them.
const OWN_FIELDS: [&str; 5] = [
    "id",
    "created_at",
    "modified_at",
    "remote_was_deleted",
    "remote_data",
];

impl Author<'_> {
    /// Appends the record as one JSON object.
    pub(crate) fn write(&self, record: &Record, with_remote_data: bool, out: &mut Vec<u8>) {
        let Some(fields) = &record.fields else {
            self.write_generated(record, with_remote_data, out);
            return;
        };
        let mut json = Vec::with_capacity(1024);
        self.write_generated(record, with_remote_data, &mut json);
        let mut object: Map<String, Value> =
            serde_json::from_slice(&json).expect("the generator writes JSON objects");
        for (name, value) in fields.iter() {
            if !OWN_FIELDS.contains(&name.as_str()) {
                object.insert(name.clone(), value.clone());
            }
        }
        serde_json::to_writer(out, &object).expect("a Vec takes every byte");
    }

    /// Merge's id of the record.
    pub(crate) fn id(&self, record: &Record) -> Uuid {
        self.id_of(self.model_index, record.number)
    }

    /// The third party's id; a few records have none.
    pub(crate) fn remote_id(&self, record: &Record) -> Option<String> {
        if let Some(value) = set_field(record, "remote_id") {
            return value.as_str().map(str::to_owned);
        }
        let has_none = self.record_dice(record).named("remote_id").chance(4);
        (!has_none).then(|| format!("r-{}", 1000 + record.number))
    }

    /// What a client should know the record by: its id, or for models without one `remote_id`, or else the name.
    pub(crate) fn key(&self, record: &Record) -> String {
        if self.model.has_id {
            return self.id(record).to_string();
        }
        let name = set_field(record, "name").and_then(Value::as_str);
        self.remote_id(record)
            .or_else(|| name.map(str::to_owned))
            .unwrap_or_else(|| self.lasting_name(record))
    }

    fn id_of(&self, model_index: usize, number: u32) -> Uuid {
        self.account
            .at(model_index as u64)
            .at(u64::from(number))
            .uuid()
    }

    fn record_dice(&self, record: &Record) -> Dice {
        self.account
            .at(self.model_index as u64)
            .at(u64::from(record.number))
            .named("fields")
    }

    /// A name that is unique in its list and outlives updates, for models that may be known by it.
    fn lasting_name(&self, record: &Record) -> String {
        format!(
            "{} {}",
            self.record_dice(record).pick(words::NOUNS),
            record.number
        )
    }

    fn write_generated(&self, record: &Record, with_remote_data: bool, out: &mut Vec<u8>) {
        let shape = Shape::of(self.model);
        let dice = self.record_dice(record);
        out.push(b'{');
        for (index, field) in shape.fields.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(field.key.as_bytes());
            // An update changes about every fourth field.
            let version = (u64::from(record.version) + index as u64 % 4) / 4;
            let dice = dice.at(index as u64).at(version);
            self.write_field(field, record, dice, with_remote_data, out);
        }
        out.push(b'}');
    }

    fn write_field(
        &self,
        field: &FieldShape,
        record: &Record,
        dice: Dice,
        with_remote_data: bool,
        out: &mut Vec<u8>,
    ) {
        match &field.kind {
            Kind::Id => write_text(&self.id(record).to_string(), out),
            Kind::RemoteId => match self.remote_id(record) {
                Some(remote_id) => write_text(&remote_id, out),
                None => out.extend_from_slice(b"null"),
            },
            Kind::CreatedAt => write_text(&to_text(record.created_at), out),
            Kind::ModifiedAt => write_text(&to_text(record.modified_at), out),
            Kind::RemoteWasDeleted => write_bool(record.is_deleted, out),
            Kind::RemoteData if with_remote_data => self.write_remote_data(record, out),
            Kind::LastingName => write_text(&self.lasting_name(record), out),
            _ if field.is_nullable && dice.chance(12) => out.extend_from_slice(b"null"),
            kind => self.write_value(kind, dice, out),
        }
    }

    fn write_value(&self, kind: &Kind, dice: Dice, out: &mut Vec<u8>) {
        match kind {
            Kind::Text(text) => write_text(&text.draw(dice), out),
            Kind::Time => write_text(&to_text(past_time(dice)), out),
            Kind::Choice(choices) => write_text(choices[dice.index(choices.len())], out),
            Kind::Integer => out.extend_from_slice(dice.below(10_000).to_string().as_bytes()),
            Kind::Number => {
                let number = format!("{}.{:02}", dice.below(100_000), dice.at(1).below(100));
                out.extend_from_slice(number.as_bytes());
            }
            Kind::Bool => write_bool(dice.chance(50), out),
            Kind::Relation(target) => match self.counts.get(*target) {
                Some(&count) if count > 0 => {
                    let number = u32::try_from(dice.below(u64::from(count))).unwrap_or(0);
                    write_text(&self.id_of(*target, number).to_string(), out);
                }
                _ => out.extend_from_slice(b"null"),
            },
            Kind::Unlisted => write_text(&dice.uuid().to_string(), out),
            Kind::Array(inner) => self.write_array(inner, dice, out),
            Kind::EmptyArray => out.extend_from_slice(b"[]"),
            Kind::EmptyObject => out.extend_from_slice(b"{}"),
            Kind::Null | Kind::RemoteData => out.extend_from_slice(b"null"),
            Kind::Id
            | Kind::RemoteId
            | Kind::CreatedAt
            | Kind::ModifiedAt
            | Kind::RemoteWasDeleted
            | Kind::LastingName => unreachable!("written from the record itself, never drawn"),
        }
    }

    fn write_array(&self, inner: &Kind, dice: Dice, out: &mut Vec<u8>) {
        let is_empty_target = matches!(inner, Kind::Relation(target) if self.counts.get(*target).is_none_or(|count| *count == 0));
        let length = if is_empty_target { 0 } else { dice.below(4) };
        out.push(b'[');
        for place in 0..length {
            if place > 0 {
                out.push(b',');
            }
            self.write_value(inner, dice.at(place), out);
        }
        out.push(b']');
    }

    fn write_remote_data(&self, record: &Record, out: &mut Vec<u8>) {
        let data = serde_json::json!([{
            "path": format!("/{}", self.model.path),
            "data": { "id": self.remote_id(record), "revision": record.version },
        }]);
        serde_json::to_writer(out, &data).expect("a Vec takes every byte");
    }
}

/// A field set by a test.
fn set_field<'a>(record: &'a Record, name: &str) -> Option<&'a Value> {
    record.fields.as_ref()?.get(name)
}

/// Some whole minute of the years 2020 to 2025.
fn past_time(dice: Dice) -> Micros {
    const START: Micros = 1_577_836_800_000_000;
    const MINUTES: u64 = 6 * 365 * 24 * 60;
    let minutes = i64::try_from(dice.below(MINUTES)).unwrap_or(0);
    START + minutes * 60_000_000
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a Vec takes every byte");
}

fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

impl Text {
    fn draw(self, dice: Dice) -> String {
        let word = |place| *dice.at(place).pick(words::NOUNS);
        let first = || *dice.at(1).pick(words::FIRST_NAMES);
        let last = || *dice.at(2).pick(words::LAST_NAMES);
        match self {
            Self::FirstName => first().to_owned(),
            Self::LastName => last().to_owned(),
            Self::FullName => format!("{} {}", first(), last()),
            Self::Email => format!("user{}@example.com", dice.below(100_000)),
            Self::Phone => format!("+49 30 {:07}", dice.below(10_000_000)),
            Self::Address => format!("https://example.com/{}/{}", word(3), dice.below(100_000)),
            Self::Code => format!("{:06X}", dice.below(0x0100_0000)),
            Self::Sentence => format!(
                "{} {}, {} {}.",
                dice.at(4).pick(words::SENTENCES),
                word(5),
                word(6),
                dice.below(1000)
            ),
            Self::Title => format!("{} {} {}", word(7), word(8), dice.below(1000)),
        }
    }
}

#[cfg(test)]
mod tests;
