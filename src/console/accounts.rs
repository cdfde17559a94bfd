//! Lists of linked accounts.

use askama::Template;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use chrono::{DateTime, Utc};
use phrases::{mark, say};
use store::AccountId;
use store::linked_accounts::{self, AccountFilter, AccountStatus, LinkedAccount};

use super::{
    fault::Fault,
    guard::{Form, Visit},
    jobs::cut,
    page::{self, Frame},
    shown::{When, short},
    told::filters,
};
use crate::app::App;

/// Accounts on a page.
const PAGE: u16 = 100;

#[derive(Debug, Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    frame: Frame,
    statuses: [&'static str; 5],
    status: String,
    organization: String,
    category: String,
    accounts: Vec<AccountRow>,
    next: Option<String>,
}

#[derive(Debug)]
struct AccountRow {
    id: AccountId,
    short: String,
    status: &'static str,
    customer: String,
    organization: String,
    integration: String,
    category: String,
    synced: Option<When>,
    polled: Option<When>,
    next: Option<When>,
    error: String,
}

impl AccountRow {
    fn of(account: LinkedAccount, now: DateTime<Utc>) -> Self {
        Self {
            id: account.id,
            short: short(account.id),
            status: account.status.as_str(),
            customer: cut(&account.end_user_organization_name, 60),
            organization: cut(&account.organization_id, 60),
            integration: account.integration_name.unwrap_or_default(),
            category: account.category,
            synced: When::maybe(account.initial_sync_completed_at, now),
            polled: When::maybe(account.last_polled_at, now),
            next: When::maybe(account.next_poll_at, now),
            error: cut(&account.last_error.unwrap_or_default(), 160),
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
    let status = query.text("status").map(|name| {
        AccountStatus::parse(name)
            .ok_or_else(|| Fault::field("status", mark!("must be a status there is")))
    });
    let filter = AccountFilter {
        organization_id: query.text("organization"),
        category: query.text("category"),
        status: status.transpose()?,
        after: query.parsed("after", mark!("must be a place in the list"))?,
    };
    let mut conn = app.pool.acquire().await?;
    let page = linked_accounts::list(&mut conn, &filter, PAGE).await?;
    let last = page.last().filter(|_| page.len() == usize::from(PAGE));
    let next = last.map(|last| {
        query.next(
            &["status", "organization", "category"],
            &last.id.to_string(),
        )
    });
    page::render(
        visit.reader,
        &AccountsPage {
            frame: Frame::of(&visit, "accounts", say!("Accounts")),
            statuses: AccountStatus::ALL.map(AccountStatus::as_str),
            status: text("status"),
            organization: text("organization"),
            category: text("category"),
            accounts: page
                .into_iter()
                .map(|account| AccountRow::of(account, visit.now))
                .collect(),
            next,
        },
    )
}
