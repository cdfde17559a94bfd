use std::collections::{HashMap, HashSet};

use super::*;

#[test]
fn holds_the_published_number_of_models_per_category() {
    let expected = [16, 16, 11, 29, 11, 5, 5, 4, 5, 6];

    let counts = Category::ALL.map(|category| models(category).len());

    assert_eq!(counts, expected);
    assert_eq!(all().len(), 108);
    for category in Category::ALL {
        assert!(
            models(category)
                .iter()
                .all(|model| model.category == category)
        );
    }
}

#[test]
fn model_ids_and_paths_are_unique() {
    let ids: HashSet<_> = all().iter().map(|model| model.model_id).collect();
    let paths: HashSet<_> = all()
        .iter()
        .map(|model| (model.category, model.path))
        .collect();

    assert_eq!(ids.len(), all().len());
    assert_eq!(paths.len(), all().len());
}

#[test]
fn no_spelling_means_two_models() {
    let mut meaning: HashMap<String, &str> = HashMap::new();

    for model in all() {
        for spelling in spellings(model) {
            let other = meaning.insert(spelling.clone(), model.model_id);
            assert!(
                other.is_none_or(|id| id == model.model_id),
                "{spelling} is ambiguous"
            );
        }
    }
}

#[test]
fn finds_a_model_by_any_spelling_in_any_case() {
    for (spelling, model_id) in [
        ("hris.Employee", "hris.Employee"),
        ("hris.employees", "hris.Employee"),
        ("HRIS.EMPLOYEE", "hris.Employee"),
        ("crm.Account", "crm.CRMAccount"),
        ("crm.CRMAccount", "crm.CRMAccount"),
        ("crm.accounts", "crm.CRMAccount"),
        ("accounting.Account", "accounting.Account"),
        ("accounting.Invoices", "accounting.Invoice"),
        ("filestorage.File", "filestorage.FileStorageFile"),
        ("ats.eeoc", "ats.EEOC"),
        ("ats.interviews", "ats.ScheduledInterview"),
    ] {
        assert_eq!(
            find(spelling).map(|model| model.model_id),
            Some(model_id),
            "{spelling}"
        );
    }
    assert!(find("hris.Department").is_none());
    assert!(find("").is_none());
}

#[test]
fn finds_the_model_of_an_event() {
    let found = |category, name| find_event(category, name).map(|model| model.path);

    assert_eq!(found(Category::CRM, "CRMAccount"), Some("accounts"));
    assert_eq!(
        found(Category::FILESTORAGE, "FileStorageFile"),
        Some("files")
    );
    assert_eq!(found(Category::HRIS, "Employee"), Some("employees"));
    assert_eq!(found(Category::HRIS, "Deduction"), None);
}

#[test]
fn knows_the_models_that_differ_from_the_rest() {
    let ids = |wanted: fn(&Model) -> bool| -> Vec<_> {
        all()
            .iter()
            .filter(|model| wanted(model))
            .map(|model| model.model_id)
            .collect()
    };

    assert_eq!(
        ids(|model| !model.has_modified_filter),
        [
            "accounting.AccountingPeriod",
            "accounting.BankFeedAccount",
            "accounting.ItemFulfillment",
            "accounting.PaymentMethod",
            "accounting.PaymentTerm",
        ]
    );
    assert_eq!(
        ids(|model| !model.has_deleted_mark),
        [
            "crm.CustomObjectClass",
            "crm.EngagementType",
            "accounting.AccountingPeriod",
            "accounting.PaymentMethod",
            "accounting.PaymentTerm",
            "accounting.Project",
        ]
    );
    assert_eq!(ids(|model| !model.has_id), ["ats.Tag"]);
    assert!(ids(|model| !model.has_page_cursor || !model.has_deleted_filter).is_empty());
}

#[test]
fn fields_tell_name_type_and_nullability() {
    let employee = find("hris.Employee").unwrap();
    let field = |name| {
        employee
            .fields
            .iter()
            .find(|field| field.name == name)
            .copied()
            .unwrap()
    };

    assert_eq!(field("first_name").type_name, "string");
    assert!(field("first_name").nullable);
    assert_eq!(field("company").type_name, "uuid|Company");
    assert!(
        all()
            .iter()
            .flat_map(|model| &model.fields)
            .all(|f| !f.type_name.contains('?'))
    );
}

#[test]
fn a_category_is_read_in_any_case_and_refused_when_unknown() {
    assert_eq!(Category::parse("HRIS"), Some(Category::HRIS));
    assert_eq!(Category::parse("mktg"), None);
    assert_eq!(serde_json::to_string(&Category::CRM).unwrap(), r#""crm""#);
    let error = serde_json::from_str::<Category>(r#""pets""#).unwrap_err();
    assert!(
        error.to_string().contains("expected one of hris, ats"),
        "{error}"
    );
}
