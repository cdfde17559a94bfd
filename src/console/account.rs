//! One linked account: how it stands, what was read of it, and the proof that nothing was left out.

use askama::Template;
use axum::{
    extract::{RawPathParams, State},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use jobs::resync::SyncType;
use phrases::{Phrase, mark, say};
use queue::admin::{self, Filter};
use queue::lanes::LaneView;
use queue::limiter::Rate;
use queue::pause::{Pause, Scope};
use queue::{JobState, Lane, Queue};
use store::AccountId;
use store::fetch_windows::Verdict;
use store::linked_accounts::{self, AccountStatus, LinkedAccount};
use store::webhook_deliveries::{self, DeliveryFilter};

use super::{
    audit::EntryRow,
    fault::Fault,
    guard::{Form, Visit},
    job::{Action, entries_of, parameter, span_of},
    jobs::{JobRow, encoded},
    page::{self, Frame},
    queues::LaneRow,
    shown::{Number, When, age, grouped},
    told::{Said, filters},
    webhooks::DeliveryRow,
};
use crate::app::App;
use crate::ops::Deed;
use crate::ops::standing::{Proof, behind, prove, sentence, told};
use crate::ops::words::done;

mod drawing;
use drawing::{Axis, HEIGHT, Rect, draw};

/// Windows drawn of a model.
const WINDOWS: usize = 120;
/// A model that is further behind than this is marked.
const LATE: TimeDelta = TimeDelta::hours(1);
/// Jobs in trouble, and deliveries, on the page.
const LATEST: u16 = 10;

#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    account: LinkedAccount,
    customer: String,
    integration: String,
    status: &'static str,
    is_paused: bool,
    /// The pauses because of which it stands still.
    holds: Vec<Said>,
    sentence: Said,
    organization_query: String,
    created: When,
    synced: Option<When>,
    polled: Option<When>,
    next_poll: Option<When>,
    lane: Option<LaneRow>,
    rate: Said,
    axis: Said,
    models: Vec<ModelRow>,
    actions: Vec<Action>,
    jobs: Vec<JobRow>,
    deliveries: Vec<DeliveryRow>,
    entries: Vec<EntryRow>,
}

#[derive(Debug)]
struct ModelRow {
    id: String,
    status: String,
    proof: Said,
    proof_class: &'static str,
    refusal: Option<String>,
    windows: Vec<Rect>,
    records: Number,
    behind: Said,
    is_late: bool,
    read: Option<When>,
}

const POLL: Action = Action {
    deed: Deed::AccountPoll,
    path: "poll",
    name: mark!("Look now"),
    hint: mark!("Merge is asked at once how far it is."),
    needs_reason: false,
    is_grave: false,
};
const SWEEP: Action = Action {
    deed: Deed::AccountSweep,
    path: "resync-incremental",
    name: mark!("Read again what changed lately"),
    hint: mark!("What Merge changed since its last finish."),
    needs_reason: false,
    is_grave: false,
};
const RESYNC: Action = Action {
    deed: Deed::AccountResync,
    path: "resync-full",
    name: mark!("Read everything again"),
    hint: mark!("Merge reads the third party anew, too, and may charge for it."),
    needs_reason: true,
    is_grave: true,
};
const PAUSE: Action = Action {
    deed: Deed::Pause,
    path: "pause",
    name: mark!("Pause"),
    hint: mark!("Nothing of this account is started meanwhile."),
    needs_reason: true,
    is_grave: false,
};
const RESUME: Action = Action {
    deed: Deed::Resume,
    path: "resume",
    name: mark!("Resume"),
    hint: "",
    needs_reason: false,
    is_grave: false,
};
const DELETE: Action = Action {
    deed: Deed::AccountDelete,
    path: "delete",
    name: mark!("Delete"),
    hint: mark!("At Merge, and here with all its records, for good."),
    needs_reason: true,
    is_grave: true,
};

pub(super) async fn show(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
) -> Result<Response, Fault> {
    let id: AccountId = parameter(&path, "id", mark!("linked account"))?;
    let lane = Lane::account(id.0);
    let mut conn = app.pool.acquire().await?;
    let account = linked_accounts::find(&mut conn, id, None).await?;
    let account = account.ok_or_else(|| Fault::missing(mark!("linked account")))?;
    let proofs = prove(&mut conn, id, WINDOWS).await?;
    let about = DeliveryFilter {
        account_id: Some(id),
        ..DeliveryFilter::default()
    };
    let deliveries = webhook_deliveries::list(&mut conn, &about, None, LATEST).await?;
    drop(conn);
    let in_trouble = Filter {
        states: vec![JobState::Dead, JobState::Retryable],
        lane: Some(lane.as_str().to_owned()),
        ..Filter::default()
    };
    let jobs = admin::list(&app.queue, &in_trouble, None, LATEST)
        .await?
        .jobs;
    let pauses = queue::pause::list(&app.pool).await?;
    let lane_now = queue::lanes::find(&app.pool, &lane).await?;
    let scope = Scope::Lane(lane);
    let is_paused = pauses.iter().any(|pause| pause.scope == scope);
    let entries = entries_of(&app, &id.to_string(), visit.now).await?;
    let mut page = AccountPage::of(&visit, account, proofs, is_paused);
    page.holds = pauses
        .iter()
        .filter(|pause| holds(&pause.scope, &scope, &page.account.organization_id))
        .map(|pause| held(pause, visit.now).into())
        .collect();
    page.jobs = jobs
        .into_iter()
        .map(|job| JobRow::of(job, visit.now))
        .collect();
    page.rate = rate_now(app.worker_settings().rate, lane_now.as_ref(), visit.now).into();
    page.lane = lane_now.map(|lane| LaneRow::of(lane, visit.now));
    page.deliveries = deliveries
        .into_iter()
        .map(|view| DeliveryRow::of(view, visit.now))
        .collect();
    page.entries = entries;
    page::render(visit.reader, &page)
}

impl AccountPage {
    fn of(visit: &Visit, account: LinkedAccount, proofs: Vec<Proof>, is_paused: bool) -> Self {
        let now = visit.now;
        let axis = Axis::of(&proofs, now);
        let sentence = sentence(&account, &proofs).into();
        let customer = account.end_user_organization_name.trim().to_owned();
        Self {
            frame: Frame::of(visit, "accounts", Phrase::verbatim(customer.clone())),
            integration: account.integration_name.clone().unwrap_or_default(),
            status: account.status.as_str(),
            is_paused,
            sentence,
            organization_query: encoded(&account.organization_id),
            created: When::new(account.created_at, now),
            synced: When::maybe(account.initial_sync_completed_at, now),
            polled: When::maybe(account.last_polled_at, now),
            next_poll: When::maybe(account.next_poll_at, now),
            axis: say!("from {start} on", start = axis.start).into(),
            models: proofs
                .into_iter()
                .map(|proof| ModelRow::of(proof, &axis, now))
                .collect(),
            actions: actions(&account, is_paused)
                .into_iter()
                .filter(|action| visit.actor.may(action.deed))
                .collect(),
            holds: Vec::new(),
            lane: None,
            rate: say!("").into(),
            jobs: Vec::new(),
            deliveries: Vec::new(),
            entries: Vec::new(),
            customer,
            account,
        }
    }
}

/// How many requests for it may be made now.
fn rate_now(rate: Rate, lane: Option<&LaneView>, now: DateTime<Utc>) -> Phrase {
    let Rate { per_minute, burst } = rate;
    let limit = say!(
        "{per_minute} a minute, {burst} of them at once",
        per_minute,
        burst
    );
    if let Some(owner) = lane.and_then(|lane| lane.owner_process.as_deref()) {
        return say!(
            "{limit}; how many are left now, its worker knows ({owner})",
            limit,
            owner
        );
    }
    let free_at = lane.and_then(|lane| lane.burst_free_at);
    let until_free = free_at.and_then(|at| (at - now).to_std().ok());
    let left = rate.left(until_free.unwrap_or_default());
    say!("{limit}; {left} are left at once now", limit, left)
}

fn actions(account: &LinkedAccount, is_paused: bool) -> Vec<Action> {
    let mut actions = Vec::new();
    if account.status.is_readable() {
        actions.extend([POLL, SWEEP, RESYNC]);
    }
    actions.push(if is_paused { RESUME } else { PAUSE });
    if account.status != AccountStatus::Deleting {
        actions.push(DELETE);
    }
    actions
}

/// Does a pause of this stop the syncs of the account with that lane, of that organization?
fn holds(scope: &Scope, lane: &Scope, organization_id: &str) -> bool {
    match scope {
        Scope::Everything | Scope::Queue(Queue::SYNC) => true,
        Scope::Organization(id) => id == organization_id,
        Scope::Queue(_) | Scope::Kind(_) | Scope::Lane(_) => scope == lane,
    }
}

fn held(pause: &Pause, now: DateTime<Utc>) -> Phrase {
    let what = match pause.scope {
        Scope::Everything => say!("Everything is paused by {by} for {since}: {reason}."),
        Scope::Queue(_) => say!("All syncs are paused by {by} for {since}: {reason}."),
        Scope::Organization(_) => {
            say!("Its organization is paused by {by} for {since}: {reason}.")
        }
        Scope::Kind(_) | Scope::Lane(_) => say!("It is paused by {by} for {since}: {reason}."),
    };
    what.with("by", &pause.paused_by)
        .with("since", age(now - pause.paused_at))
        .with("reason", pause.reason.trim_end_matches('.'))
}

impl ModelRow {
    fn of((model, (verdict, windows)): Proof, axis: &Axis, now: DateTime<Utc>) -> Self {
        let behind = behind(&model, now);
        let proof = Said::from(told(&verdict));
        let proof_class = match verdict {
            Verdict::NeverRead => "none",
            Verdict::Contiguous { .. } => "well",
            Verdict::Gap { .. } => "bad",
        };
        let mut drawn: Vec<Rect> = windows
            .iter()
            .enumerate()
            .map(|(index, window)| draw(index, window, axis))
            .collect();
        if let Verdict::Gap { from, to } = verdict {
            let from = from.map_or(0, |from| axis.place(from));
            drawn.push(Rect {
                class: "gap",
                x: from,
                y: 0,
                width: (axis.place(to) - from).max(2),
                height: HEIGHT,
                title: proof.clone(),
            });
        }
        Self {
            id: model.model_id,
            status: model.status.unwrap_or_default(),
            proof,
            proof_class,
            refusal: model.refusal,
            windows: drawn,
            records: grouped(model.records.unsigned_abs()),
            is_late: behind.is_some_and(|behind| behind > LATE),
            behind: behind.map_or_else(|| Phrase::verbatim("–"), age).into(),
            read: When::maybe(model.last_fetched_at, now),
        }
    }
}

pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    path: RawPathParams,
    form: Form,
) -> Result<Response, Fault> {
    let id: AccountId = parameter(&path, "id", mark!("linked account"))?;
    let action: String = parameter(&path, "action", mark!("action"))?;
    let (ops, page) = (visit.ops(&app), format!("accounts/{id}"));
    let scope = Scope::Lane(Lane::account(id.0));
    let model = form.text("model").map(str::to_owned);
    let notice = match action.as_str() {
        "poll" => {
            ops.poll_account(id).await?;
            done(Deed::AccountPoll)
        }
        "resync-incremental" => {
            ops.resync_account(id, SyncType::Incremental, model, form.text("reason"))
                .await?;
            done(Deed::AccountSweep)
        }
        "resync-full" => {
            let reason = Some(form.need("reason")?);
            ops.resync_account(id, SyncType::Full, model, reason)
                .await?;
            done(Deed::AccountResync)
        }
        "pause" => {
            let until = span_of(&form)?.map(|span| visit.now + span);
            ops.pause(&scope, form.need("reason")?, until).await?;
            say!("The account is paused.")
        }
        "resume" => {
            ops.resume(&scope).await?;
            say!("The account goes on.")
        }
        "delete" => {
            let typed = form.text("typed").unwrap_or_default();
            ops.delete_account(id, typed, form.need("reason")?).await?;
            done(Deed::AccountDelete)
        }
        _ => return Err(Fault::missing(mark!("action"))),
    };
    visit.done(&app, &page, notice).await
}
