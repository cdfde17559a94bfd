//! Records in the product's own words: fields picked, renamed, with defaults, and values looked up.
//!
//! A mapping is applied when records are read. What is stored stays as Merge gave it, so a new mapping counts at once and
//! for all records, and nothing is read from Merge again. `config/mapping.example.toml` shows how it is written.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use merge_client::{Model, catalogue};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[cfg(test)]
mod tests;

/// The mapped models by their ids, with their fields in the order of their names. Default: none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mapping(HashMap<&'static str, Vec<Rule>>);

/// One field of the product's.
#[derive(Debug, Clone, PartialEq)]
struct Rule {
    name: String,
    /// The model's field.
    from: &'static str,
    /// The product's values for Merge's.
    lookup: Option<BTreeMap<String, Value>>,
    /// Where there is no value, or none to be found.
    default: Value,
}

/// A rule as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: Option<String>,
    lookup: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    default: Value,
}

impl Mapping {
    /// Reads the file of a mapping, and checks it against the catalogue.
    ///
    /// # Errors
    /// The first fault, in one line that names the model and the field.
    pub fn read(path: &Path) -> Result<Self, String> {
        let fault = |reason: String| format!("{}: {reason}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        Self::parse(&text).map_err(fault)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let models: BTreeMap<String, toml::Value> =
            toml::from_str(text).map_err(|error| one_line(&error))?;
        let mut mapping = Self::default();
        for (name, fields) in models {
            let model = catalogue::find(&name)
                .ok_or_else(|| format!("the catalogue has no model `{name}`"))?;
            let toml::Value::Table(fields) = fields else {
                return Err(format!("{name}: expected its fields"));
            };
            let rules: Result<Vec<Rule>, String> = fields
                .into_iter()
                .map(|(field, rule)| {
                    Rule::parse(model, &field, rule)
                        .map_err(|reason| format!("{name}, field `{field}`: {reason}"))
                })
                .collect();
            if mapping.0.insert(model.model_id, rules?).is_some() {
                let id = model.model_id;
                return Err(format!("`{name}`: {id} is mapped twice"));
            }
        }
        Ok(mapping)
    }

    /// A record of this model in the product's words; `None`: the model is not mapped.
    pub fn apply(&self, model_id: &str, data: &RawValue) -> Option<BTreeMap<String, Value>> {
        let rules = self.0.get(model_id)?;
        // Each stored record is an object. If one was not, all its fields would be missing.
        let record: HashMap<&str, &RawValue> = serde_json::from_str(data.get()).unwrap_or_default();
        let mapped = rules.iter().map(|rule| {
            let value = record
                .get(rule.from)
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
                .unwrap_or_default();
            (rule.name.clone(), rule.apply(value))
        });
        Some(mapped.collect())
    }
}

impl Rule {
    fn parse(model: &Model, name: &str, rule: toml::Value) -> Result<Self, String> {
        let written = match rule {
            toml::Value::String(from) => Written {
                from: Some(from),
                ..Written::default()
            },
            toml::Value::Table(table) => table.try_into().map_err(|error| one_line(&error))?,
            _ => return Err(r#"expected a field's name, or { from = "…" }"#.to_owned()),
        };
        let from = written.from.as_deref().unwrap_or(name);
        let Some(field) = model.fields.iter().find(|field| field.name == from) else {
            let names: Vec<_> = model.fields.iter().map(|field| field.name).collect();
            return Err(format!(
                "the model has no field `{from}`; it has {}",
                names.join(", ")
            ));
        };
        if written.lookup.is_some() && is_many(field.type_name) {
            return Err(format!(
                "`{from}` is {}: only a single value can be looked up",
                field.type_name
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            from: field.name,
            lookup: written.lookup,
            default: written.default,
        })
    }

    fn apply(&self, value: Value) -> Value {
        let found = match &self.lookup {
            None => Some(value),
            Some(lookup) => match &value {
                Value::String(word) => lookup.get(word).cloned(),
                Value::Bool(_) | Value::Number(_) => lookup.get(&value.to_string()).cloned(),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            },
        };
        found
            .filter(|value| !value.is_null())
            .unwrap_or_else(|| self.default.clone())
    }
}

/// Whether a field of this type holds more than one value.
fn is_many(type_name: &str) -> bool {
    type_name.starts_with("array") || type_name.starts_with("object")
}

fn one_line(error: &toml::de::Error) -> String {
    let message = error.message();
    message.lines().collect::<Vec<_>>().join("; ")
}
