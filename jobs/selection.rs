//! Which models are synced: all of them, or those that the settings name.
//!
//! A model that is not selected is never asked for. What was stored of it before stays as it is; selected again, it goes
//! on where it was, and one that was never read is loaded first, like any other.

use std::collections::HashSet;

use merge_client::{Category, catalogue};

/// Why a model is not synced, as it stands in its row.
pub(crate) const NOT_SELECTED: &str = "not_selected";

/// A choice of models; by default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection(Option<HashSet<&'static str>>);

impl Selection {
    /// The choice of these categories (`hris`) and models (`crm.CRMContact`, in any spelling of the catalogue). No name
    /// at all chooses everything.
    ///
    /// # Errors
    /// The name that is neither, in a sentence.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut chosen = None;
        for name in names {
            let chosen = chosen.get_or_insert_with(HashSet::new);
            if let Some(category) = Category::parse(name) {
                let models = catalogue::models(category).iter();
                chosen.extend(models.map(|model| model.model_id));
            } else if let Some(model) = catalogue::find(name) {
                chosen.insert(model.model_id);
            } else {
                return Err(format!(
                    "`{name}` is neither a category, such as hris, nor a model, such as hris.Employee"
                ));
            }
        }
        Ok(Self(chosen))
    }

    /// Whether a model is synced, by its canonical id.
    pub fn has(&self, model_id: &str) -> bool {
        self.0
            .as_ref()
            .is_none_or(|chosen| chosen.contains(model_id))
    }

    /// Whether any model of a category is synced.
    pub fn has_any_of(&self, category: Category) -> bool {
        let mut models = catalogue::models(category).iter();
        models.any(|model| self.has(model.model_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_chooses_everything() {
        let selection = Selection::of([]).unwrap();

        assert_eq!(selection, Selection::default());
        assert!(selection.has("hris.Employee"));
        assert!(selection.has_any_of(Category::HRIS));
    }

    #[test]
    fn a_category_chooses_all_its_models_and_a_model_itself_in_any_spelling() {
        let selection = Selection::of(["hris", "crm.contacts"]).unwrap();

        assert!(selection.has("hris.Employee"));
        assert!(selection.has("crm.CRMContact"));
        assert!(!selection.has("crm.Lead"));
        assert!(selection.has_any_of(Category::parse("crm").unwrap()));
        assert!(!selection.has_any_of(Category::parse("ats").unwrap()));
    }

    #[test]
    fn a_name_that_is_unknown_is_said() {
        let reason = Selection::of(["hris", "hris.Employe"]).unwrap_err();

        assert!(reason.contains("`hris.Employe` is neither"), "{reason}");
    }
}
