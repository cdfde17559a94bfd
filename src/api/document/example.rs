//! Examples, made from schemas: the least that is valid.

use serde_json::{Map, Value, json};

/// How deep schemas are followed; ours are not as deep.
const DEPTH: u8 = 8;

/// A value that a schema of this document allows; `name` is that of the field it is for.
pub(super) fn of(document: &Value, schema: &Value, name: &str) -> Value {
    make(document, schema, name, DEPTH)
}

fn make(document: &Value, schema: &Value, name: &str, depth: u8) -> Value {
    let given = schema.get("example").or_else(|| schema["examples"].get(0));
    if let Some(value) = given
        .or_else(|| schema["enum"].get(0))
        .or_else(|| schema.get("default"))
    {
        return value.clone();
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Null;
    };
    if let Some(place) = schema["$ref"].as_str() {
        let found = document.pointer(place.trim_start_matches('#'));
        return found.map_or(Value::Null, |found| make(document, found, name, depth));
    }
    let types = &schema["type"];
    match types.as_str().or_else(|| types[0].as_str()) {
        Some("string") => text(schema, name),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([make(document, &schema["items"], name, depth)]),
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.filter_map(Value::as_str).map(|field| {
                let of_field = &schema["properties"][field];
                (field.to_owned(), make(document, of_field, field, depth))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

fn text(schema: &Value, name: &str) -> Value {
    match schema["format"].as_str() {
        Some("uuid") => json!("019342b5-7c1e-7a52-9b7e-0c4d5f1e2a3b"),
        Some("date-time") => json!("2027-01-31T12:00:00Z"),
        Some("password") => json!("correct horse battery"),
        _ => json!(format!("some {}", name.replace('_', " "))),
    }
}
