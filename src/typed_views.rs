//! The typed views that the catalogue of models asks for.

use merge_client::catalogue::{self, Field, Model};
use store::typed_views::{COMMON, Column, Form, TypedView};

/// A view for each model: `syncline_hris.employees`.
pub(crate) fn of_catalogue() -> Vec<TypedView> {
    catalogue::all().iter().map(view).collect()
}

fn view(model: &Model) -> TypedView {
    let columns = model
        .fields
        .iter()
        .filter(|field| !COMMON.contains(&field.name))
        .map(|field| Column {
            name: field.name.to_owned(),
            form: form(field),
        });
    TypedView {
        category: model.category.as_str().to_owned(),
        name: model.path.replace('-', "_"),
        model_id: model.model_id.to_owned(),
        columns: columns.collect(),
    }
}

/// How a field is read, by the catalogue's word for its type.
fn form(field: &Field) -> Form {
    let word = field.type_name.split([':', '|', '<']).next();
    match word.unwrap_or_default() {
        "string" | "enum" | "uuid" => Form::Text,
        "integer" | "number" => Form::Number,
        "boolean" => Form::Boolean,
        "datetime" => Form::Time,
        _ => Form::Json,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_model_has_a_view_of_its_own_with_each_column_once() {
        let views = of_catalogue();

        let names: HashSet<_> = views
            .iter()
            .map(|view| (&view.category, &view.name))
            .collect();
        assert_eq!(names.len(), catalogue::all().len());
        for view in &views {
            let columns: HashSet<_> = view.columns.iter().map(|column| &column.name).collect();
            assert_eq!(columns.len(), view.columns.len(), "{}", view.name);
        }
    }

    #[test]
    fn fields_are_read_by_their_types() {
        let views = of_catalogue();
        let form_of = |model_id: &str, name: &str| {
            let view = views.iter().find(|view| view.model_id == model_id);
            let columns = &view.unwrap().columns;
            columns
                .iter()
                .find(|column| column.name == name)
                .map(|column| column.form)
        };

        let employee = |name| form_of("hris.Employee", name);
        assert_eq!(employee("first_name"), Some(Form::Text));
        assert_eq!(employee("start_date"), Some(Form::Time));
        assert_eq!(employee("manager"), Some(Form::Text));
        assert_eq!(employee("groups"), Some(Form::Json));
        assert_eq!(employee("remote_id"), None, "every view has it");
        assert_eq!(form_of("hris.Team", "parent_team"), Some(Form::Text));
    }
}
