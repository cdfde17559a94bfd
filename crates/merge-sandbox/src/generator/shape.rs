//! What each field of a model looks like, worked out once from the catalogue.

use std::collections::HashMap;
use std::sync::LazyLock;

use merge_client::catalogue::{self, Category, Field, Model};

/// The fields of one model, in the order in which they are written.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) fields: Vec<FieldShape>,
}

#[derive(Debug)]
pub(super) struct FieldShape {
    /// The field's key as it stands in the JSON, colon included.
    pub(super) key: String,
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
}

#[derive(Debug)]
pub(super) enum Kind {
    Id,
    RemoteId,
    CreatedAt,
    ModifiedAt,
    RemoteWasDeleted,
    /// Null unless asked for.
    RemoteData,
    /// A unique name that updates do not change.
    LastingName,
    Text(Text),
    Time,
    Choice(Vec<&'static str>),
    Integer,
    Number,
    Bool,
    /// The id of a record of the category's model with that index.
    Relation(usize),
    /// The id of something that has no list of its own.
    Unlisted,
    Array(Box<Kind>),
    EmptyArray,
    EmptyObject,
    Null,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Text {
    FirstName,
    LastName,
    FullName,
    Email,
    Phone,
    Address,
    Code,
    Sentence,
    Title,
}

static SHAPES: LazyLock<HashMap<&'static str, Shape>> = LazyLock::new(|| {
    catalogue::all()
        .iter()
        .map(|model| (model.model_id, Shape::new(model)))
        .collect()
});

impl Shape {
    pub(super) fn of(model: &Model) -> &'static Self {
        &SHAPES[model.model_id]
    }

    fn new(model: &Model) -> Self {
        let fields = model
            .fields
            .iter()
            .map(|field| FieldShape {
                key: format!("\"{}\":", field.name),
                kind: kind_of(model, field),
                is_nullable: field.nullable,
            })
            .collect();
        Self { fields }
    }
}

fn kind_of(model: &Model, field: &Field) -> Kind {
    match field.name {
        "id" => Kind::Id,
        "remote_id" => Kind::RemoteId,
        "created_at" => Kind::CreatedAt,
        "modified_at" => Kind::ModifiedAt,
        "remote_was_deleted" => Kind::RemoteWasDeleted,
        "remote_data" => Kind::RemoteData,
        "name" if !model.has_id => Kind::LastingName,
        name => typed(model.category, name, field.type_name),
    }
}

fn typed(category: Category, name: &str, type_name: &'static str) -> Kind {
    if let Some(inner) = type_name
        .strip_prefix("array<")
        .and_then(|rest| rest.strip_suffix('>'))
    {
        return match typed(category, name, inner) {
            Kind::Null | Kind::EmptyObject => Kind::EmptyArray,
            kind => Kind::Array(Box::new(kind)),
        };
    }
    if let Some(choices) = type_name.strip_prefix("enum:") {
        return Kind::Choice(choices.split('|').collect());
    }
    if let Some(target) = type_name.strip_prefix("uuid|") {
        return catalogue::models(category)
            .iter()
            .position(|model| model.class_name == target)
            .map_or(Kind::Unlisted, Kind::Relation);
    }
    match type_name {
        "string" => Kind::Text(text_of(name)),
        "datetime" => Kind::Time,
        "integer" => Kind::Integer,
        "number" => Kind::Number,
        "boolean" => Kind::Bool,
        "object" => Kind::EmptyObject,
        // Objects of the SDK's own, such as `GroupFieldMappings`.
        _ => Kind::Null,
    }
}

fn text_of(name: &str) -> Text {
    let has = |part: &str| name.contains(part);
    match name {
        "first_name" => Text::FirstName,
        "last_name" => Text::LastName,
        "display_full_name" => Text::FullName,
        "name" | "title" | "subject" => Text::Title,
        _ if has("email") => Text::Email,
        _ if has("phone") => Text::Phone,
        _ if has("url") || has("website") || has("link") => Text::Address,
        _ if has("number") || has("code") || name.ends_with("_id") || has("ssn") => Text::Code,
        _ if has("description") || has("content") || has("body") || has("note") || has("memo") => {
            Text::Sentence
        }
        _ if has("name") => Text::Title,
        _ => Text::Title,
    }
}
