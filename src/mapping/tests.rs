use serde_json::json;

use super::*;

fn mapped(mapping: &str, model_id: &str, record: &Value) -> Value {
    let mapping = Mapping::parse(mapping).unwrap();
    let data = serde_json::value::to_raw_value(record).unwrap();
    serde_json::to_value(mapping.apply(model_id, &data)).unwrap()
}

#[test]
fn fields_are_picked_renamed_defaulted_and_looked_up() {
    let mapping = r#"
        ["hris.Employee"]
        email = "work_email"
        first_name = {}
        team = { default = "nobody's" }
        status = { from = "employment_status", lookup = { ACTIVE = "here", INACTIVE = 0 }, default = "?" }
    "#;
    let employee = |status: Value| {
        json!({
            "work_email": "ada@acme.test", "first_name": "Ada", "last_name": "L.", "team": null,
            "employment_status": status,
        })
    };
    for (status, expected) in [
        (json!("ACTIVE"), json!("here")),
        (json!("INACTIVE"), json!(0)),
        (json!("ON_THE_MOON"), json!("?")),
        (Value::Null, json!("?")),
    ] {
        let expected = json!({
            "email": "ada@acme.test", "first_name": "Ada", "team": "nobody's", "status": expected,
        });
        let employee = employee(status);
        assert_eq!(mapped(mapping, "hris.Employee", &employee), expected);
    }
}

#[test]
fn a_model_without_a_mapping_is_not_mapped() {
    let mapping = "[\"hris.Employee\"]\nemail = \"work_email\"";

    assert_eq!(mapped(mapping, "hris.Team", &json!({})), Value::Null);
}

#[test]
fn models_may_be_spelled_as_merge_does() {
    let mapping = "[\"crm.contacts\"]\nfirst_name = {}";

    let contact = mapped(mapping, "crm.CRMContact", &json!({ "first_name": "Ada" }));

    assert_eq!(contact, json!({ "first_name": "Ada" }));
}

#[test]
fn a_value_of_any_type_keeps_it() {
    let mapping = "[\"hris.Employee\"]\ngroups = {}";
    let employee = json!({ "groups": ["a", { "b": 1.50 }] });

    assert_eq!(mapped(mapping, "hris.Employee", &employee), employee);
}

#[test]
fn every_fault_names_model_and_field() {
    for (mapping, expected) in [
        (
            "[\"hris.Employe\"]\na = {}",
            "the catalogue has no model `hris.Employe`",
        ),
        (
            "[\"hris.Team\"]\nemail = \"work_email\"",
            "hris.Team, field `email`: the model has no field `work_email`; it has ",
        ),
        (
            "[\"hris.Team\"]\nemail = {}",
            "hris.Team, field `email`: the model has no field `email`",
        ),
        (
            "[\"hris.Team\"]\nname = 3",
            "hris.Team, field `name`: expected a field's name",
        ),
        (
            "[\"hris.Team\"]\nname = { form = \"name\" }",
            "hris.Team, field `name`: unknown field `form`",
        ),
        (
            "[\"hris.Employee\"]\ngroups = { lookup = { a = 1 } }",
            "hris.Employee, field `groups`: `groups` is array<",
        ),
        (
            "[\"hris.Team\"]\nname = {}\n[\"hris.teams\"]\nname = {}",
            "hris.Team is mapped twice",
        ),
        ("\"hris.Team\" = 3", "hris.Team: expected its fields"),
        ("[hris", "unclosed table"),
    ] {
        let reason = Mapping::parse(mapping).unwrap_err();
        assert!(reason.contains(expected), "{reason}");
        assert!(!reason.contains('\n'), "{reason}");
    }
}

#[test]
fn the_example_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mapping.example.toml");

    assert!(!Mapping::read(&path).unwrap().0.is_empty());
}
