//! The same rules as JSON Schema, for the document.

use std::borrow::Cow;

use merge_client::catalogue::Category;
use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

use super::{CategoryName, Email, Flag, Limit, Position, Secret, Text};

/// Neither blank nor with a control character.
const TEXT: &str = r"^[^\x00-\x1F\x7F-\x9F]*[^\x00-\x1F\x7F-\x9F\s][^\x00-\x1F\x7F-\x9F]*$";
/// `something@something`
const EMAIL: &str = r"^[^\x00-\x1F\x7F-\x9F\s]+@[^\x00-\x1F\x7F-\x9F\s@]+$";

fn of(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(kind))
}

fn text(pattern: &str, max: usize) -> ObjectBuilder {
    of(Type::String)
        .min_length(Some(1))
        .max_length(Some(max))
        .pattern(Some(pattern))
}

impl<const MAX: usize> PartialSchema for Text<MAX> {
    fn schema() -> RefOr<Schema> {
        text(TEXT, MAX).into()
    }
}

impl<const MAX: usize> ToSchema for Text<MAX> {
    fn name() -> Cow<'static, str> {
        format!("Text{MAX}").into()
    }
}

impl PartialSchema for Email {
    fn schema() -> RefOr<Schema> {
        let example = json!("it@customer.example");
        text(EMAIL, 254).examples([example]).into()
    }
}

impl ToSchema for Email {}

impl PartialSchema for Secret {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Password);
        text(TEXT, 1024).format(Some(format)).into()
    }
}

impl ToSchema for Secret {}

impl PartialSchema for CategoryName {
    fn schema() -> RefOr<Schema> {
        let names = Category::ALL.iter().map(|category| category.as_str());
        of(Type::String).enum_values(Some(names)).into()
    }
}

impl ToSchema for CategoryName {}

impl PartialSchema for Flag {
    fn schema() -> RefOr<Schema> {
        of(Type::Boolean).default(Some(false.into())).into()
    }
}

impl ToSchema for Flag {}

impl PartialSchema for Position {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Int64);
        let number = of(Type::Integer).format(Some(format));
        number.minimum(Some(0)).maximum(Some(i64::MAX)).into()
    }
}

impl ToSchema for Position {}

impl<const MAX: u16> PartialSchema for Limit<MAX> {
    fn schema() -> RefOr<Schema> {
        let number = of(Type::Integer).minimum(Some(1)).maximum(Some(MAX));
        number.default(Some((MAX / 2).into())).into()
    }
}

impl<const MAX: u16> ToSchema for Limit<MAX> {
    fn name() -> Cow<'static, str> {
        format!("Limit{MAX}").into()
    }
}
