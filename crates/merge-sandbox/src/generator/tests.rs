use merge_client::catalogue::{self, Model};
use serde_json::{Value, json};

use super::*;
use crate::records::RecordSet;

fn author<'a>(model: &'static Model, counts: &'a [u32]) -> Author<'a> {
    let models = catalogue::models(model.category);
    let model_index = models
        .iter()
        .position(|other| other.model_id == model.model_id);
    Author {
        account: Dice::new(7),
        model_index: model_index.unwrap(),
        model,
        counts,
    }
}

fn written(author: &Author<'_>, record: &Record) -> Value {
    let mut out = Vec::new();
    author.write(record, false, &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn record(number: u32) -> Record {
    let mut records = RecordSet::default();
    for time in 0..=i64::from(number) {
        records.create(1_770_000_000_000_000 + time);
    }
    records.after(None)[number as usize].clone()
}

#[test]
fn every_model_of_the_catalogue_gives_records_with_all_its_fields() {
    for model in catalogue::all() {
        let counts = vec![10; catalogue::models(model.category).len()];
        let author = author(model, &counts);
        for number in 0..20 {
            let json = written(&author, &record(number));

            for field in &model.fields {
                let value = &json[field.name];
                assert!(
                    field.nullable || !value.is_null(),
                    "{} {}",
                    model.model_id,
                    field.name
                );
            }
            assert_eq!(
                json.as_object().unwrap().len(),
                model.fields.len(),
                "{}",
                model.model_id
            );
        }
    }
}

#[test]
fn a_new_version_changes_values_but_not_the_identity() {
    let model = catalogue::find("hris.Employee").unwrap();
    let author = author(model, &[10; 16]);
    let mut record = record(3);
    let before = written(&author, &record);

    record.touch(record.modified_at + 1);
    let after = written(&author, &record);

    assert_eq!(before["id"], after["id"]);
    assert_eq!(before["remote_id"], after["remote_id"]);
    assert_ne!(before["modified_at"], after["modified_at"]);
    assert_ne!(before, after);
}

#[test]
fn a_relation_leads_to_a_record_of_the_account() {
    let employees = catalogue::find("hris.Employee").unwrap();
    let companies = catalogue::find("hris.Company").unwrap();
    let counts = [5; 16];
    let ids: Vec<_> = (0..5)
        .map(|number| author(companies, &counts).id(&record(number)).to_string())
        .collect();

    let company = (0..20)
        .map(|number| written(&author(employees, &counts), &record(number))["company"].clone())
        .find(|company| !company.is_null())
        .unwrap();

    assert!(ids.contains(&company.as_str().unwrap().to_owned()));
}

#[test]
fn fields_set_by_a_test_win_but_not_over_the_bookkeeping() {
    let model = catalogue::find("hris.Employee").unwrap();
    let author = author(model, &[10; 16]);
    let mut record = record(0);
    let id = author.id(&record).to_string();
    let fields = json!({"first_name": "Ada", "id": "mine"});
    record.fields = fields.as_object().cloned().map(Box::new);

    let json = written(&author, &record);

    assert_eq!(json["first_name"], "Ada");
    assert_eq!(json["id"], id);
}

#[test]
fn a_model_without_id_is_known_by_something_lasting_and_unique() {
    let model = catalogue::find("ats.Tag").unwrap();
    let author = author(model, &[10; 16]);

    let mut keys: Vec<_> = (0..300)
        .map(|number| {
            let mut record = record(number);
            let key = author.key(&record);
            record.touch(record.modified_at + 1);
            assert_eq!(author.key(&record), key);
            let json = written(&author, &record);
            assert!(json["remote_id"] == json!(key) || json["name"] == json!(key));
            key
        })
        .collect();
    keys.sort();
    keys.dedup();

    assert_eq!(keys.len(), 300);
}
