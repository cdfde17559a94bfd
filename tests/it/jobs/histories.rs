//! Random histories: whatever happens at Merge, on the way and to us, in the end exactly the truth is stored.
//!
//! Many accounts live through histories of their own at once, drawn from one seed. Records change during syncs, between
//! a finish and the fetch, and become visible late; syncs fail, end in part, are paused; models are enabled later;
//! answers are broken; webhooks come twice, late, in any order, or never; and processes are killed at any page. Then
//! the faults end, changes stop, Merge syncs once more, and polls follow.
//!
//! The seed of a failure is printed. `HISTORIES_SEED=7 cargo test --test it histories` lives through that one only.
//! What a seed draws is always the same; the order in which jobs run is the database's, so now and then a seed has to
//! be tried more than once.

use std::ops::RangeInclusive;
use std::time::Duration;

use merge_sandbox::{Fault, FaultKind, Outcome, TruthRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::workshop::{Account, NEXT_SYNC, SYNC, Workshop, plan};

/// One workshop each.
const SEEDS: RangeInclusive<u64> = 1..=5;
const MORE_SEEDS: RangeInclusive<u64> = 6..=10;
/// Histories lived through in each workshop.
const ACCOUNTS: usize = 100;
/// Things that happen to each account.
const ROUNDS: usize = 4;
/// A lane whose worker was killed more often in a row waits for people to look at it.
const MOST_CRASHES: u32 = 4;

/// A category and two of its models. The second is enabled later, or only when all is over.
type Kind = (&'static str, [&'static str; 2]);

const KINDS: [Kind; 3] = [
    ("hris", ["hris.Employee", "hris.Team"]),
    ("crm", ["crm.CRMContact", "crm.Lead"]),
    // The first cannot be filtered by time, and bears no mark when it is deleted.
    (
        "accounting",
        ["accounting.PaymentTerm", "accounting.Contact"],
    ),
];

/// One account, and the webhooks that Merge sent about it, which may arrive at any time, or never.
struct Subject {
    account: Account,
    kind: Kind,
    token: String,
    webhooks: Vec<Value>,
}

impl Subject {
    async fn new(workshop: &Workshop, number: usize) -> Self {
        let kind @ (category, models) = KINDS[number % KINDS.len()];
        let mut plan = plan(&models.map(|model| (model, 5)));
        plan.outcomes
            .insert(models[1].to_owned(), Outcome::Disabled);
        let organization = format!("org_{number}");
        let (account, token) = workshop.linked_at_once(&organization, category, plan).await;
        Self {
            account,
            kind,
            token,
            webhooks: Vec::new(),
        }
    }

    /// Keeps a webhook that Merge sends now.
    fn is_told(&mut self, event: &str, data: &Value) {
        self.webhooks.push(json!({
            "hook": { "event": event },
            "linked_account": { "id": self.account.merge_id, "category": self.kind.0 },
            "data": data,
        }));
    }

    /// What Merge would tell of the syncs that have ended.
    fn is_told_of_syncs(&mut self, workshop: &Workshop) {
        let models = workshop.sandbox.account(self.account.merge_id).unwrap();
        let status: serde_json::Map<_, _> = models
            .models
            .iter()
            .filter(|model| ["DONE", "PARTIALLY_SYNCED"].contains(&model.status.as_str()))
            .map(|model| {
                let told = json!({
                    "last_sync_finished": model.last_sync_finished,
                    "last_sync_result": model.status,
                });
                (model.model_id.clone(), told)
            })
            .collect();
        let data = json!({ "is_initial_sync": false, "sync_status": status });
        self.is_told("LinkedAccount.sync_completed", &data);
    }

    /// What Merge would tell of a record.
    fn is_told_of_record(&mut self, model: &str, verb: &str, record: &TruthRecord) {
        let name = model.split('.').next_back().unwrap();
        let data = serde_json::from_str(record.data.as_ref().unwrap().get()).unwrap();
        self.is_told(&format!("{name}.{verb}"), &data);
    }
}

struct History {
    workshop: Workshop,
    rng: StdRng,
    subjects: Vec<Subject>,
    crashes: u32,
}

impl History {
    async fn begin(seed: u64) -> Self {
        let workshop = Workshop::with(|options, settings| {
            options.seed = seed;
            options.schedule.visibility_delay = Duration::from_secs(30);
            options.schedule.changes_per_sync = 3;
            options.schedule.changes_between_syncs = 2;
            settings.page_size = 3;
        })
        .await;
        let mut subjects = Vec::new();
        for number in 0..ACCOUNTS {
            subjects.push(Subject::new(&workshop, number).await);
        }
        Self {
            workshop,
            rng: StdRng::seed_from_u64(seed),
            subjects,
            crashes: 0,
        }
    }

    async fn run(&mut self) {
        for _ in 0..ROUNDS {
            for index in 0..self.subjects.len() {
                self.happen(index).await;
            }
            let wait = Duration::from_secs(self.rng.random_range(0..120));
            self.workshop.advance(wait).await;
            self.work().await;
            let wait = Duration::from_secs(self.rng.random_range(0..400));
            self.workshop.sandbox.advance(wait);
            for subject in &mut self.subjects {
                subject.is_told_of_syncs(&self.workshop);
            }
        }
    }

    /// Runs what is due, to the end or to a crash.
    async fn work(&mut self) {
        if self.crashes < MOST_CRASHES && self.rng.random_bool(0.7) {
            self.crashes += 1;
            let (requests, steps) = (self.rng.random_range(1..60), self.rng.random_range(0..100));
            self.workshop.run_until_killed(requests, steps).await;
        } else {
            self.workshop.run().await;
        }
    }

    /// One thing happens to one account.
    async fn happen(&mut self, index: usize) {
        let subject = &mut self.subjects[index];
        let (id, sandbox) = (subject.account.merge_id, &self.workshop.sandbox);
        let model = *subject.kind.1.choose(&mut self.rng).unwrap();
        match self.rng.random_range(0..12) {
            0 => {
                let created = sandbox.create_record(id, model, [].into()).unwrap();
                subject.is_told_of_record(model, "added", &created);
            }
            dice @ 1..=3 => {
                let page = sandbox.truth_page(id, model, None, 100, false).unwrap();
                let Some(record) = page.records.choose(&mut self.rng) else {
                    return;
                };
                if dice == 3 {
                    let deleted = sandbox.delete_record(id, model, &record.key).unwrap();
                    subject.is_told_of_record(model, "removed", &deleted);
                } else {
                    let changed = sandbox.change_record(id, model, &record.key, [].into());
                    subject.is_told_of_record(model, "changed", &changed.unwrap());
                }
            }
            4 => {
                let outcomes = [
                    Outcome::Done,
                    Outcome::Done,
                    Outcome::PartiallySynced,
                    Outcome::Failed,
                    Outcome::Paused,
                ];
                let outcome = *outcomes.choose(&mut self.rng).unwrap();
                sandbox.set_outcome(id, model, outcome).unwrap();
            }
            5 => {
                sandbox.start_sync(id).unwrap();
            }
            6 => self.break_answers(index),
            7 | 8 => {
                // It stays in the list, so that it may come again.
                if let Some(webhook) = subject.webhooks.choose(&mut self.rng) {
                    let body = webhook.to_string();
                    self.workshop.keep_delivery(body.as_bytes()).await;
                }
            }
            _ => self.poll(index).await,
        }
    }

    async fn poll(&self, index: usize) {
        let account_id = self.subjects[index].account.id;
        self.workshop
            .enqueue(&jobs::poll_sync_status::PollSyncStatus { account_id })
            .await;
    }

    fn break_answers(&mut self, index: usize) {
        let status = |status, retry_after| FaultKind::Status {
            status,
            retry_after,
        };
        let kinds = [
            status(400, None),
            status(404, None),
            status(429, Some(1)),
            status(500, None),
            FaultKind::Html { status: 502 },
            FaultKind::Html { status: 200 },
            FaultKind::TruncatedJson,
            FaultKind::CutOff,
            FaultKind::Reset,
        ];
        let subject = &self.subjects[index];
        self.workshop.sandbox.add_fault(Fault {
            path_prefix: format!("/api/{}/v1/", subject.kind.0),
            account_token: Some(subject.token.clone()),
            times: self.rng.random_range(1..3),
            kind: kinds.choose(&mut self.rng).unwrap().clone(),
        });
    }

    /// All faults end, changes stop, and Merge and we have time enough.
    async fn calm_down(&mut self) {
        let sandbox = &self.workshop.sandbox;
        sandbox.clear_faults();
        sandbox.freeze(true);
        for subject in &self.subjects {
            for model in subject.kind.1 {
                let id = subject.account.merge_id;
                sandbox.set_outcome(id, model, Outcome::Done).unwrap();
            }
        }
        sandbox.advance(SYNC);
        sandbox.advance(NEXT_SYNC);
        sandbox.advance(NEXT_SYNC);
        self.workshop.forget_failures().await;
        // What waits after a failure runs again; each time it may fail once more, for it was under way.
        for _ in 0..3 {
            self.workshop.advance(Duration::from_hours(24)).await;
            self.workshop.run().await;
        }
        self.workshop.forget_failures().await;
        for index in 0..self.subjects.len() {
            self.poll(index).await;
        }
        self.workshop.run().await;
    }

    async fn assert_all_is_well(&self) {
        for subject in &self.subjects {
            self.workshop.assert_equal_to_truth(&subject.account).await;
            self.workshop
                .assert_windows_are_contiguous(&subject.account)
                .await;
        }
    }
}

#[expect(
    clippy::print_stdout,
    reason = "shown when a test fails: the last is the one"
)]
async fn live_through(seeds: RangeInclusive<u64>) {
    let seeds = match only_seed() {
        Some(seed) if !seeds.contains(&seed) => return,
        Some(seed) => seed..=seed,
        None => seeds,
    };
    for seed in seeds {
        println!("HISTORIES_SEED={seed}");
        let mut history = History::begin(seed).await;
        history.run().await;
        history.calm_down().await;
        history.assert_all_is_well().await;
    }
}

/// The one seed to live through.
fn only_seed() -> Option<u64> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a choice of the person who runs the test"
    )]
    let seed = std::env::var("HISTORIES_SEED").ok()?;
    Some(seed.parse().unwrap())
}

// Two, for two processors.

#[tokio::test]
async fn whatever_happens_in_the_end_exactly_the_truth_is_stored() {
    live_through(SEEDS).await;
}

#[tokio::test]
async fn the_same_with_other_seeds() {
    live_through(MORE_SEEDS).await;
}
