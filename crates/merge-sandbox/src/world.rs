//! The whole state of a sandbox, and the rules for touching it.
//!
//! Each account has a lock of its own. [`World::visit`] is the way in: it brings the account up to date, runs the caller's
//! work, and sends the webhooks that came up once the lock is gone.

mod accounts;
mod linking;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use self::accounts::Accounts;
pub(crate) use self::accounts::Standing;
pub use self::linking::LinkError;
pub(crate) use self::linking::LinkRequest;
use crate::account::{Account, AccountState, Rules};
use crate::clock::{Clock, Micros};
use crate::faults::Faults;
use crate::limits::ErrorBudget;
use crate::links::Links;
use crate::options::Options;
use crate::webhooks::Webhooks;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) clock: Arc<Clock>,
    pub(crate) base_url: Url,
    pub(crate) faults: Faults,
    pub(crate) errors: ErrorBudget,
    pub(crate) webhooks: Webhooks,
    /// Requests to the API, control routes apart.
    pub(crate) requests: watch::Sender<u64>,
    links: Mutex<Links>,
    accounts: RwLock<Accounts>,
    frozen_at: AtomicI64,
    /// When which account has to be looked at, so that its webhooks go out in time.
    agenda: Mutex<BTreeSet<(Micros, Uuid)>>,
    agenda_changed: Notify,
}

impl World {
    pub(crate) fn new(
        options: Options,
        base_url: Url,
        stop: CancellationToken,
    ) -> Result<Self, reqwest::Error> {
        let clock = Arc::new(Clock::new(options.clock));
        Ok(Self {
            webhooks: Webhooks::new(&options.webhooks, clock.clone(), options.seed, stop)?,
            links: Mutex::new(Links::new(options.seed)),
            clock,
            options,
            base_url,
            faults: Faults::default(),
            errors: ErrorBudget::default(),
            requests: watch::Sender::new(0),
            accounts: RwLock::default(),
            frozen_at: AtomicI64::new(Micros::MAX),
            agenda: Mutex::default(),
            agenda_changed: Notify::new(),
        })
    }

    /// Works on an account that is up to date, and sends the webhooks that this brings up.
    pub(crate) fn visit<T>(
        &self,
        account: &Account,
        work: impl FnOnce(&mut AccountState, Micros) -> T,
    ) -> T {
        let rules = self.rules();
        let (result, outbox) = {
            let mut state = account.lock();
            let now = self.clock.now();
            account.advance(&mut state, now, rules);
            let result = work(&mut state, now);
            // What the work started may be over at once, when durations are zero.
            account.advance(&mut state, now, rules);
            self.reschedule(account, &mut state, rules);
            (result, std::mem::take(&mut state.outbox))
        };
        for notice in outbox {
            self.webhooks.send(notice);
        }
        result
    }

    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            schedule: &self.options.schedule,
            frozen_at: self.frozen_at.load(Ordering::SeqCst),
            synced_shape: self.options.webhooks.synced_shape,
            has_record_events: self.options.webhooks.has_record_events,
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen_at.load(Ordering::SeqCst) != Micros::MAX
    }

    /// Stops changes of records from now on, or lets them go on. Syncs run either way.
    pub(crate) fn set_frozen(&self, is_frozen: bool) {
        // Changes due before this moment happen; those of a frozen time never do.
        self.visit_all();
        if is_frozen == self.is_frozen() {
            return;
        }
        let frozen_at = if is_frozen {
            self.clock.now()
        } else {
            Micros::MAX
        };
        self.frozen_at.store(frozen_at, Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.visit_all();
    }

    fn visit_all(&self) {
        for account in self.accounts() {
            self.visit(&account, |_, _| ());
        }
    }

    /// Brings accounts up to date when something of theirs is due, until told to stop.
    pub(crate) async fn drive(&self, stop: CancellationToken) {
        loop {
            let changed = self.agenda_changed.notified();
            let first = self.lock_agenda().first().copied();
            let due = async {
                match first {
                    Some((time, _)) => self.clock.sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = changed => {}
                () = due => self.visit_due(),
            }
        }
    }

    fn visit_due(&self) {
        let now = self.clock.now();
        let due: Vec<Uuid> = {
            let mut agenda = self.lock_agenda();
            let later = agenda.split_off(&(now + 1, Uuid::nil()));
            std::mem::replace(&mut *agenda, later)
                .into_iter()
                .map(|(_, id)| id)
                .collect()
        };
        for id in due {
            if let Some(account) = self.account(id) {
                account.lock().agenda_entry = None;
                self.visit(&account, |_, _| ());
            }
        }
    }

    fn reschedule(&self, account: &Account, state: &mut AccountState, rules: Rules<'_>) {
        let due = state.next_due(rules);
        if due == state.agenda_entry {
            return;
        }
        let mut agenda = self.lock_agenda();
        if let Some(old) = state.agenda_entry {
            agenda.remove(&(old, account.id));
        }
        if let Some(due) = due {
            agenda.insert((due, account.id));
        }
        state.agenda_entry = due;
        drop(agenda);
        self.agenda_changed.notify_one();
    }

    fn lock_agenda(&self) -> std::sync::MutexGuard<'_, BTreeSet<(Micros, Uuid)>> {
        self.agenda.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_links(&self) -> std::sync::MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
