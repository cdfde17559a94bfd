//! The inbox: what came, what was decided about it, and once more.

use askama::Template;
use axum::{
    extract::{RawPathParams, RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use queue::JobId;
use store::webhook_deliveries::{self, DeliveryFilter, DeliveryView, Verdict};
use store::{AccountId, DeliveryId};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    job::parameter,
    jobs::cut,
    page::{self, Frame},
    shown::{When, short, took},
    told::{Said, filters},
};
use crate::app::App;
use crate::ops::{Deed, words::done};

/// Deliveries on a page.
const PAGE: u16 = 50;

#[derive(Debug, Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    verdicts: [&'static str; 7],
    verdict: String,
    event: String,
    account: String,
    deliveries: Vec<DeliveryRow>,
    next: Option<String>,
}

#[derive(Debug, Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    frame: Frame,
    delivery: DeliveryRow,
}

/// A delivery, as it is shown.
#[derive(Debug)]
pub(super) struct DeliveryRow {
    pub(super) id: DeliveryId,
    pub(super) short: String,
    pub(super) verdict: &'static str,
    pub(super) event: String,
    pub(super) account: Option<AccountId>,
    pub(super) account_short: String,
    pub(super) received: When,
    pub(super) latency: Option<Said>,
    pub(super) jobs: usize,
    pub(super) detail: String,
    merge_account_id: Option<String>,
    duplicate_of: Option<DeliveryId>,
    secret_id: String,
    body_hash: String,
    replays: i16,
    job_ids: Vec<JobId>,
}

impl DeliveryRow {
    pub(super) fn of(view: DeliveryView, now: DateTime<Utc>) -> Self {
        let job_ids: Vec<JobId> = view.job_ids.into_iter().flatten().map(JobId).collect();
        Self {
            id: view.id,
            short: short(view.id),
            verdict: view.verdict.as_str(),
            event: view
                .event
                .unwrap_or_else(|| mark!("not judged yet").to_owned()),
            account: view.account_id,
            account_short: view.account_id.map(short).unwrap_or_default(),
            received: When::new(view.received_at, now),
            latency: view
                .processed_at
                .map(|at| took(at - view.received_at).into()),
            jobs: job_ids.len(),
            detail: cut(&view.verdict_detail.unwrap_or_default(), 300),
            merge_account_id: view.merge_account_id,
            duplicate_of: view.duplicate_of,
            secret_id: view.secret_id,
            body_hash: view.body_hash,
            replays: view.replays,
            job_ids,
        }
    }
}

pub(super) async fn list(
    State(app): State<App>,
    visit: Visit,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let text = |name| query.text(name).unwrap_or_default().to_owned();
    let verdict = query.text("verdict").map(|name| {
        let found = Verdict::ALL
            .into_iter()
            .find(|verdict| verdict.as_str() == name);
        found.ok_or_else(|| Fault::field("verdict", mark!("must be a verdict there is")))
    });
    let filter = DeliveryFilter {
        verdict: verdict.transpose()?,
        event: query.text("event"),
        account_id: query.parsed("account", mark!("must be our id of an account"))?,
        ..DeliveryFilter::default()
    };
    let after = query.parsed("after", mark!("must be a place in the list"))?;
    let mut conn = app.pool.acquire().await?;
    let page = webhook_deliveries::list(&mut conn, &filter, after, PAGE).await?;
    let last = page.last().filter(|_| page.len() == usize::from(PAGE));
    let next = last.map(|last| query.next(&["verdict", "event", "account"], &last.id.to_string()));
    page::render(
        visit.reader,
        &WebhooksPage {
            frame: Frame::of(&visit, "webhooks", say!("Webhooks")),
            verdicts: Verdict::ALL.map(Verdict::as_str),
            verdict: text("verdict"),
            event: text("event"),
            account: text("account"),
            deliveries: page
                .into_iter()
                .map(|view| DeliveryRow::of(view, visit.now))
                .collect(),
            next,
        },
    )
}

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let id: DeliveryId = parameter(&path, "id", mark!("delivery"))?;
    let mut conn = app.pool.acquire().await?;
    let view = webhook_deliveries::find(&mut conn, id).await?;
    let view = view.ok_or_else(|| Fault::missing(mark!("delivery; or it went with its day")))?;
    page::render(
        visit.reader,
        &WebhookPage {
            frame: Frame::of(&visit, "webhooks", say!("Delivery {id}", id = short(id))),
            delivery: DeliveryRow::of(view, visit.now),
        },
    )
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let id: DeliveryId = parameter(&path, "id", mark!("delivery"))?;
    let action: String = parameter(&path, "action", mark!("action"))?;
    if action != "replay" {
        return Err(Fault::missing(mark!("action")));
    }
    visit.ops(&app).replay_webhook(id).await?;
    visit
        .done(&app, &format!("webhooks/{id}"), done(Deed::WebhookReplay))
        .await
}
