//! Webhooks at a steady pace while the service, or Postgres, is killed: what was answered 200 is kept, and judged.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use merge_client::webhook::{HEADER, sign};
use reqwest::Client;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use syncline::cli::demo::truth::compare;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::task::TaskTracker;
use url::Url;

use crate::{Machine, ONE_AT_A_TIME, PATIENCE, linking::link_accounts, stand_still, until};

/// Linked accounts, which the webhooks are about.
const ACCOUNTS: usize = 3;
const RECORDS: u64 = 300;
/// Between two webhooks: 200 a second.
const PACE: Duration = Duration::from_millis(5);
/// The service is killed so often, every two seconds.
const KILLS: usize = 20;
const BETWEEN_KILLS: Duration = Duration::from_secs(2);
/// From Postgres' return to the first 200.
const RECOVERY: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_receiving_it_loses_no_webhook() {
    let _one = ONE_AT_A_TIME.lock().await;
    let mut machine = Machine::start(RECORDS).await;
    let sender = Sender::to(&machine).await;
    let sending = TaskTracker::new().spawn(sender.clone().send());

    for _ in 0..KILLS {
        sleep(BETWEEN_KILLS).await;
        machine.service.kill_and_start_again().await;
    }
    sender.stop.notify_one();
    let answers = sending.await.unwrap();

    let kept = answers.kept();
    assert!(
        kept.len() > KILLS * 100 && answers.cut_off() > 0,
        "{} kept, {} cut off",
        kept.len(),
        answers.cut_off()
    );
    assert_kept_and_judged(&machine.pool, &kept).await;
    stand_still(&machine.pool, machine.sandbox.handle()).await;
    let comparison = compare(&machine.pool, machine.sandbox.handle()).await;
    assert!(comparison.unwrap().is_equal(), "{}", machine.service.log());
    assert_eq!(machine.service.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_webhooks_are_asked_to_come_again() {
    let _one = ONE_AT_A_TIME.lock().await;
    let mut machine = Machine::start(RECORDS).await;
    let sender = Sender::to(&machine).await;
    let sending = TaskTracker::new().spawn(sender.clone().send());
    sender.until(Some(200)).await;

    machine.server.stop_immediate().await;
    sender.until(Some(503)).await;
    sleep(BETWEEN_KILLS).await;
    machine.server.restart().await;
    let returned = Instant::now();
    sender.until(Some(200)).await;
    let took = returned.elapsed();
    sleep(BETWEEN_KILLS).await;
    sender.stop.notify_one();
    let answers = sending.await.unwrap();

    assert!(took < RECOVERY, "{took:?}");
    // Nobody was told anything but yes, or to come again.
    let others = answers
        .0
        .iter()
        .filter(|answer| !matches!(answer.status, Some(200 | 503)));
    assert_eq!(others.count(), 0, "{}", machine.service.log());
    assert_kept_and_judged(&machine.pool, &answers.kept()).await;
    assert_eq!(machine.service.terminate().await, Some(0));
}

/// Sends webhooks at its pace, whatever becomes of them.
#[derive(Clone)]
struct Sender {
    http: Client,
    url: Url,
    secret: String,
    /// Merge's ids of the accounts.
    accounts: Arc<Vec<String>>,
    /// The last answers, for who waits for one.
    answered: tokio::sync::watch::Sender<Option<u16>>,
    stop: Arc<Notify>,
}

struct Answer {
    body_hash: Vec<u8>,
    /// `None`: there was none.
    status: Option<u16>,
}

struct Answers(Vec<Answer>);

impl Answers {
    /// The bodies that were answered 200.
    fn kept(&self) -> HashSet<Vec<u8>> {
        let kept = self.0.iter().filter(|answer| answer.status == Some(200));
        kept.map(|answer| answer.body_hash.clone()).collect()
    }

    fn cut_off(&self) -> usize {
        self.0
            .iter()
            .filter(|answer| answer.status.is_none())
            .count()
    }
}

impl Sender {
    /// Links accounts, and makes a sender of webhooks about them.
    async fn to(machine: &Machine) -> Self {
        let handle = machine.sandbox.handle().clone();
        let linking = link_accounts(machine.service.caller(), handle, ACCOUNTS);
        timeout(PATIENCE, linking).await.expect("linking ends");
        let accounts = sqlx::query_scalar!(
            r#"SELECT merge_account_id AS "id!" FROM syncline.linked_accounts WHERE status = 'active'"#
        );
        Self {
            http: machine.service.caller().http,
            url: machine.service.url("/api/webhooks/merge"),
            secret: machine.service.webhook_secret.clone(),
            accounts: Arc::new(accounts.fetch_all(&machine.pool).await.unwrap()),
            answered: tokio::sync::watch::Sender::new(None),
            stop: Arc::default(),
        }
    }

    /// Sends until told to stop, then waits for the last answers.
    async fn send(self) -> Answers {
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut under_way = JoinSet::new();
        let mut number = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.stop.notified() => break,
            }
            under_way.spawn(self.clone().send_one(number));
            number += 1;
        }
        Answers(under_way.join_all().await)
    }

    async fn send_one(self, number: usize) -> Answer {
        let body = self.body(number);
        let body_hash = Sha256::digest(&body).to_vec();
        let request = self
            .http
            .post(self.url.clone())
            .header(HEADER, sign(&self.secret, &body))
            .body(body);
        let answer = request.send().await;
        let status = answer.ok().map(|answer| answer.status().as_u16());
        self.answered.send_replace(status);
        Answer { body_hash, status }
    }

    /// Waits for the next answer of this kind.
    async fn until(&self, status: Option<u16>) {
        let mut answered = self.answered.subscribe();
        answered.mark_unchanged();
        let waiting = async {
            while *answered.borrow_and_update() != status {
                answered.changed().await.unwrap();
            }
        };
        let found = timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("no answer {status:?} came"));
    }

    /// Of every kind: about accounts of ours, about others, tests, and what is no JSON.
    fn body(&self, number: usize) -> Bytes {
        let account = &self.accounts[number % self.accounts.len()];
        let of = |event: &str, account: &str| {
            json!({
                "hook": { "id": number, "event": event },
                "linked_account": { "id": account },
                "data": { "sync_status": "DONE" },
            })
        };
        let body = match number % 5 {
            0 => of("LinkedAccount.sync_completed", account),
            1 => of("Employee.synced", account),
            2 => of("Employee.synced", "another's"),
            3 => json!({ "response": number }),
            _ => return Bytes::from(format!("{{ no JSON {number}")),
        };
        Bytes::from(body.to_string())
    }
}

/// Every body of these is in the inbox, and reaches a verdict.
async fn assert_kept_and_judged(pool: &PgPool, bodies: &HashSet<Vec<u8>>) {
    let kept = sqlx::query_scalar!("SELECT body_hash FROM syncline.webhook_deliveries");
    let kept: HashSet<Vec<u8>> = kept.fetch_all(pool).await.unwrap().into_iter().collect();
    let lost = bodies.difference(&kept).count();
    assert_eq!(lost, 0, "of {} that were answered 200", bodies.len());
    until("everything is judged", || async {
        let waiting = sqlx::query_scalar!(
            r#"SELECT count(*) AS "n!" FROM syncline.webhook_deliveries WHERE verdict = 'received'"#
        );
        waiting.fetch_one(pool).await.unwrap() == 0
    })
    .await;
}
