//! The models of Merge's unified API, as data.
//!
//! Read once from `catalogue.json`, which says where its facts come from. One model has up to four spellings (model id,
//! SDK class, REST path, event name), and Merge's own texts mix them; [`find`] and [`find_event`] accept them all, in
//! any case. A model that is not listed here is not an error: Merge adds models without notice.

mod category;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::value::RawValue;

pub use self::category::{Category, UnknownCategory};

/// One list endpoint of the API, and the records it gives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each with its own field in the file"
)]
pub struct Model {
    /// The category it belongs to.
    pub category: Category,
    /// The canonical id, `category.EventName`, such as `hris.Employee`. This is the one we store.
    pub model_id: &'static str,
    /// Other spellings of the id seen in answers and texts, such as `hris.employees`.
    #[serde(borrow)]
    pub aliases: Vec<&'static str>,
    /// The class in Merge's SDKs, such as `Account` where the event says `CRMAccount`.
    pub class_name: &'static str,
    /// The name in webhook events, the `Employee` of `Employee.synced`.
    pub event_name: &'static str,
    /// The path below `{category}/v1/`, such as `employees`.
    pub path: &'static str,
    /// Whether the list takes `modified_after` and `modified_before`; if not, it is re-read whole.
    #[serde(rename = "modified")]
    pub has_modified_filter: bool,
    /// Whether the list takes `include_deleted_data`.
    #[serde(rename = "deleted")]
    pub has_deleted_filter: bool,
    /// Whether the list comes in pages.
    #[serde(rename = "cursor")]
    pub has_page_cursor: bool,
    /// Whether its records carry Merge's `id`; `ats.Tag` does not.
    pub has_id: bool,
    /// Whether its records carry `remote_was_deleted`.
    #[serde(rename = "has_deleted")]
    pub has_deleted_mark: bool,
    /// Its fields, in the SDK's order. Records may carry others.
    pub fields: Vec<Field>,
}

/// One field of a model.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key in the record.
    pub name: &'static str,
    /// Its type in words: `string`, `integer`, `number`, `boolean`, `datetime`, `object`, `uuid|Model` (a relation),
    /// `enum:A|B` (open: other words occur), or `array<…>` of one of them.
    pub type_name: &'static str,
    /// Whether null is allowed.
    pub nullable: bool,
}

impl<'de: 'static> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, type_name) = <(&'static str, &'static str)>::deserialize(deserializer)?;
        let nullable = type_name.ends_with('?');
        Ok(Self {
            name,
            type_name: type_name.trim_end_matches('?'),
            nullable,
        })
    }
}

/// The models of one category, in the order of their paths.
pub fn models(category: Category) -> &'static [Model] {
    let models = &CATALOGUE.models;
    let start = models.partition_point(|model| rank(model.category) < rank(category));
    let end = models.partition_point(|model| rank(model.category) <= rank(category));
    &models[start..end]
}

/// Every model, category by category.
pub fn all() -> &'static [Model] {
    &CATALOGUE.models
}

/// The model of that id or one of its aliases, such as `hris.Employee` or `crm.accounts`, in any case.
pub fn find(model_id: &str) -> Option<&'static Model> {
    let index = *CATALOGUE.by_id.get(&model_id.to_ascii_lowercase())?;
    CATALOGUE.models.get(index)
}

/// The model that an event of this category means, such as `CRMAccount` of `CRMAccount.synced`, in any case.
pub fn find_event(category: Category, event_name: &str) -> Option<&'static Model> {
    find(&format!("{category}.{event_name}"))
}

struct Catalogue {
    models: Vec<Model>,
    by_id: HashMap<String, usize>,
}

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct File {
        #[serde(borrow)]
        models: Vec<&'static RawValue>,
    }

    const WHY: &str = "catalogue.json is part of the crate and read by its tests";
    let file: File = serde_json::from_str(include_str!("../catalogue.json")).expect(WHY);
    let mut models: Vec<Model> = file
        .models
        .iter()
        .map(|line| serde_json::from_str(line.get()).expect(WHY))
        .collect();
    models.sort_by_key(|model| rank(model.category));
    let by_id = models
        .iter()
        .enumerate()
        .flat_map(|(index, model)| spellings(model).map(move |spelling| (spelling, index)))
        .collect();
    Catalogue { models, by_id }
});

/// Every spelling of a model's id, in lower case.
fn spellings(model: &Model) -> impl Iterator<Item = String> {
    let named = [model.class_name, model.event_name, model.path]
        .map(|name| format!("{}.{name}", model.category));
    let listed = model.aliases.iter().map(|alias| (*alias).to_owned());
    std::iter::once(model.model_id.to_owned())
        .chain(named)
        .chain(listed)
        .map(|spelling| spelling.to_ascii_lowercase())
}

fn rank(category: Category) -> usize {
    Category::ALL
        .iter()
        .position(|other| *other == category)
        .unwrap_or(Category::ALL.len())
}
