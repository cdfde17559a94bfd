//! The stored records of one model of an account, in the order in which we stored their changes.

use std::collections::BTreeMap;

use axum::extract::State;
use chrono::{DateTime, Utc};
use merge_client::catalogue;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use store::{
    AccountId,
    model_records::{self, Position, Record, RecordFilter},
};
use utoipa::{IntoParams, ToSchema};

use super::{
    account::find_visible,
    auth::Principal,
    extract::{Json, Path, Query},
    field::{Flag, Limit},
    page::Cursor,
    problem::{Fault, Problem},
};
use crate::app::App;
use crate::mapping::Mapping;

/// The place after a record: when it was changed, and its id.
type Place = (DateTime<Utc>, String);

/// Query of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListRecords {
    #[param(inline)]
    linked_account_id: AccountId,
    /// Only changes that we stored after this time.
    changed_after: Option<DateTime<Utc>>,
    #[serde(default)]
    #[param(inline)]
    include_deleted: Flag,
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor<Place>>,
    #[serde(default)]
    #[param(inline)]
    limit: Limit,
}

/// A page of records.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecordPage {
    model_id: &'static str,
    records: Vec<RecordView>,
    /// Gives the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<Cursor<Place>>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RecordView {
    id: String,
    remote_id: Option<String>,
    is_deleted: bool,
    modified_at: Option<DateTime<Utc>>,
    changed_at: DateTime<Utc>,
    /// As the provider gave it.
    #[schema(value_type = Value)]
    data: Box<RawValue>,
    /// The same in the product's own words, if the model is mapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    mapped: Option<BTreeMap<String, Value>>,
}

/// The stored records of a model.
#[utoipa::path(
    get,
    path = "/api/merge/records/{model_id}",
    tag = "accounts",
    params(("model_id" = String, Path, description = "Such as `hris.Employee`."), ListRecords),
    responses((status = 200, body = RecordPage))
)]
pub(super) async fn list(
    State(app): State<App>,
    principal: Principal,
    Path(model_id): Path<String>,
    Query(query): Query<ListRecords>,
) -> Result<Json<RecordPage>, Problem> {
    let model = catalogue::find(&model_id).ok_or_else(|| Problem::missing("model"))?;
    let mut connection = principal.begin(&app).await?;
    let account = find_visible(&mut connection, &principal, query.linked_account_id).await?;
    if account.category != model.category.as_str() {
        let detail = format!("must be an account of the category {}", model.category);
        return Err(Problem::field(Fault::of("linked_account_id", detail)));
    }
    let filter = RecordFilter {
        account_id: account.id,
        organization_id: principal.organization_id(),
        model_id: model.model_id,
        changed_after: query.changed_after,
        include_deleted: query.include_deleted.0,
        after: query.cursor.map(|Cursor((changed_at, merge_id))| Position {
            changed_at,
            merge_id,
        }),
    };
    let records = model_records::list(&mut connection, &filter, query.limit.0).await?;
    let place = |last: &Record| Cursor((last.changed_at, last.merge_id.clone()));
    let next = query.limit.last_of_full(&records).map(place);
    let mapping = &app.config.sync.mapping;
    let records = records
        .into_iter()
        .map(|record| RecordView::new(record, model.model_id, mapping))
        .collect();
    Ok(Json(RecordPage {
        model_id: model.model_id,
        records,
        next,
    }))
}

impl RecordView {
    fn new(record: Record, model_id: &str, mapping: &Mapping) -> Self {
        Self {
            mapped: mapping.apply(model_id, &record.data.0),
            id: record.merge_id,
            remote_id: record.remote_id,
            is_deleted: record.is_deleted,
            modified_at: record.modified_at,
            changed_at: record.changed_at,
            data: record.data.0,
        }
    }
}
