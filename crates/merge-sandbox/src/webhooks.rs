//! Webhooks to one receiver: signed, retried as Merge does, logged, and made faulty on request.
//!
//! Each delivery runs in its own task, so a slow receiver delays no other delivery, and order is as little guaranteed as
//! at Merge.

mod delivery;
mod log;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::delivery::{Attempter, Ending};
pub(crate) use self::log::DeliveryLog;
pub use self::log::{AttemptView, DeliveryState, DeliveryView, WebhookSummary};
use crate::clock::{Clock, to_time};
use crate::dice::Dice;
use crate::options::{WebhookOptions, WebhookTarget};

/// Something that a receiver should hear of.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) account_id: Uuid,
    pub(crate) event: String,
    /// The `linked_account` object.
    pub(crate) account: Value,
    pub(crate) data: Value,
}

/// Faults of deliveries, each in percent of all deliveries; 0 by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookFaults {
    /// Never sent.
    pub drop_percent: u8,
    /// Sent twice, at once.
    pub duplicate_percent: u8,
    /// Held back, so that later ones overtake it.
    pub reorder_percent: u8,
    /// For how long at most, in real time. Default zero.
    #[serde(with = "humantime_serde")]
    pub reorder_delay: Duration,
}

#[derive(Debug)]
pub(crate) struct Webhooks {
    settings: Mutex<Settings>,
    pub(crate) log: Arc<DeliveryLog>,
    attempter: Attempter,
    tasks: TaskTracker,
    stop: CancellationToken,
    dice: Dice,
}

#[derive(Debug)]
struct Settings {
    target: Option<WebhookTarget>,
    faults: WebhookFaults,
    sent: u64,
}

impl Webhooks {
    pub(crate) fn new(
        options: &WebhookOptions,
        clock: Arc<Clock>,
        seed: u64,
        stop: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        let settings = Settings {
            target: options.target.clone(),
            faults: WebhookFaults::default(),
            sent: 0,
        };
        Ok(Self {
            settings: Mutex::new(settings),
            log: Arc::default(),
            attempter: Attempter::new(clock, options.timeout)?,
            tasks: TaskTracker::new(),
            stop,
            dice: Dice::new(seed).named("webhooks"),
        })
    }

    pub(crate) fn set_target(&self, target: Option<WebhookTarget>) {
        self.lock().target = target;
    }

    pub(crate) fn set_faults(&self, faults: WebhookFaults) {
        self.lock().faults = faults;
    }

    /// Sends what an account's state brought up, in Merge's envelope.
    pub(crate) fn send(&self, notice: Notice) {
        let Some(target) = self.lock().target.clone() else {
            return;
        };
        let body = json!({
            "hook": {
                "id": self.dice.named("hook").uuid(),
                "event": notice.event,
                "target": target.url.as_str(),
            },
            "linked_account": notice.account,
            "data": notice.data,
        });
        self.deliver(
            &target,
            notice.event,
            Some(notice.account_id),
            Bytes::from(body.to_string()),
        );
    }

    /// Sends what the dashboard's test button does; false without a target.
    pub(crate) fn ping(&self) -> bool {
        let body = json!({ "response": "Success! This URL will be notified." });
        self.send_raw("test", Bytes::from(body.to_string()))
    }

    /// Sends a body as it is, signed; false without a target.
    pub(crate) fn send_raw(&self, event: &str, body: Bytes) -> bool {
        let Some(target) = self.lock().target.clone() else {
            return false;
        };
        self.deliver(&target, event.to_owned(), None, body);
        true
    }

    /// Sends a logged delivery's bytes once more; false when it is no longer known, or without a target.
    pub(crate) fn redeliver(&self, id: Uuid) -> bool {
        let Some(target) = self.lock().target.clone() else {
            return false;
        };
        let Some((event, account_id, body)) = self.log.content(id) else {
            return false;
        };
        self.deliver(&target, event, account_id, body);
        true
    }

    fn deliver(
        &self,
        target: &WebhookTarget,
        event: String,
        account_id: Option<Uuid>,
        body: Bytes,
    ) {
        let (dice, faults) = {
            let mut settings = self.lock();
            settings.sent += 1;
            (self.dice.at(settings.sent), settings.faults)
        };
        if dice.named("drop").chance(u64::from(faults.drop_percent)) {
            self.log.open(
                dice.named("delivery").uuid(),
                self.now(),
                event,
                account_id,
                body,
                DeliveryState::Dropped,
            );
            return;
        }
        let copies = 1 + u64::from(
            dice.named("duplicate")
                .chance(u64::from(faults.duplicate_percent)),
        );
        let hold = match dice.named("reorder") {
            dice if dice.chance(u64::from(faults.reorder_percent)) => {
                faults.reorder_delay * u32::try_from(1 + dice.below(100)).unwrap_or(1) / 100
            }
            _ => Duration::ZERO,
        };
        for copy in 0..copies {
            let id = dice.named("delivery").at(copy).uuid();
            self.log.open(
                id,
                self.now(),
                event.clone(),
                account_id,
                body.clone(),
                DeliveryState::Pending,
            );
            self.spawn(id, target.clone(), body.clone(), hold);
        }
    }

    fn spawn(&self, id: Uuid, target: WebhookTarget, body: Bytes, hold: Duration) {
        let (log, attempter) = (self.log.clone(), self.attempter.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let work = async {
                if !hold.is_zero() {
                    tokio::time::sleep(hold).await;
                }
                attempter
                    .run(&target, &body, |attempt| log.note(id, attempt))
                    .await
            };
            let ending = tokio::select! {
                ending = work => ending,
                () = stop.cancelled() => Ending::Abandoned,
            };
            log.close(id, ending.into());
        });
    }

    /// Waits until no delivery is under way.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        to_time(self.attempter.clock().now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Ending> for DeliveryState {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Acknowledged => Self::Delivered,
            Ending::Refused => Self::Refused,
            Ending::Exhausted | Ending::Abandoned => Self::GivenUp,
        }
    }
}
