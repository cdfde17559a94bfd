//! Any id leads to its page.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use queue::admin::bulk_actions::BulkId;
use queue::{JobId, workers};
use store::linked_accounts::{self, AccountFilter};
use store::{AccountId, DeliveryId, webhook_deliveries};
use uuid::Uuid;

use super::{
    fault::Fault,
    guard::{Form, Visit},
    jobs::encoded,
    page::{self, Frame},
};
use crate::app::App;
use crate::ops;

/// Workers looked through.
const WORKERS: u16 = 500;

#[derive(Debug, Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    sentence: String,
}

pub(super) async fn find(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let text = query.text("q").unwrap_or_default();
    // A lane is an account's by its name.
    let text = text.strip_prefix("acct:").unwrap_or(text);
    let found = match text.parse() {
        _ if text.is_empty() => None,
        Ok(id) => by_id(&app, &visit, id).await?,
        Err(_) => None,
    };
    let found = match found {
        None if !text.is_empty() => by_name(&app, text).await?,
        found => found,
    };
    if let Some(page) = found {
        return Ok(page::see_other(&format!("{}{page}", visit.root)));
    }
    let sentence = if text.is_empty() {
        "Nothing was asked for.".to_owned()
    } else {
        format!("Nothing here has the id “{text}”, or it is kept no longer.")
    };
    page::render(&SearchPage {
        frame: Frame::of(&visit, "", "Search"),
        sentence,
    })
}

async fn by_id(app: &App, visit: &Visit, id: Uuid) -> Result<Option<String>, Fault> {
    if app.queue.get(JobId(id)).await?.is_some() {
        return Ok(Some(format!("jobs/{id}")));
    }
    let mut conn = app.pool.acquire().await?;
    if linked_accounts::find(&mut conn, AccountId(id), None)
        .await?
        .is_some()
    {
        return Ok(Some(format!("accounts/{id}")));
    }
    if webhook_deliveries::find(&mut conn, DeliveryId(id))
        .await?
        .is_some()
    {
        return Ok(Some(format!("webhooks/{id}")));
    }
    drop(conn);
    match visit.ops(app).bulk(BulkId(id)).await {
        Ok(_) => return Ok(Some(format!("bulk/{id}"))),
        Err(ops::Error::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let workers = workers::list(&app.pool, WORKERS).await?;
    let is_worker = workers.iter().any(|worker| worker.id.0 == id);
    Ok(is_worker.then(|| format!("jobs?worker={id}")))
}

async fn by_name(app: &App, name: &str) -> Result<Option<String>, Fault> {
    if name.contains('\0') {
        return Ok(None);
    }
    let mut conn = app.pool.acquire().await?;
    if let Some(id) = linked_accounts::find_by_name(&mut conn, name).await? {
        return Ok(Some(format!("accounts/{id}")));
    }
    let filter = AccountFilter {
        organization_id: Some(name),
        ..AccountFilter::default()
    };
    let of_organization = linked_accounts::list(&mut conn, &filter, 1).await?;
    Ok((!of_organization.is_empty()).then(|| format!("accounts?organization={}", encoded(name))))
}
