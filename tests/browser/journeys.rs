//! What people come to the console for at night, from the login to the end; by mouse, by keyboard alone, and with
//! scripts turned off.

use std::time::Duration;

use jobs::check_health::CheckHealth;
use jobs::enqueue_due_polls::EnqueueDuePolls;
use jobs::poll_sync_status::PollSyncStatus;
use queue::{JobId, NewJob};
use store::AccountId;

use crate::chromium::Chromium;
use crate::hands::{BUTTON, LINK, Person, SUMMARY, Way};
use crate::site::Site;
use crate::support::TestApp;
use crate::{ONE_AT_A_TIME, until};

const WAYS: [Way; 3] = [Way::Mouse, Way::Keyboard, Way::WithoutScript];
/// Jobs of the dead group.
const DEAD: i32 = 5_000;
/// Longer than a pause takes to be known to every worker.
const AFTER_THE_PAUSE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn find_why_an_account_is_stale() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, app) = (Chromium::start().await, TestApp::new().await);
    app.silent_worker().await;
    let stale = app.synced_account("org_stale", "hris").await;
    let paused = app.synced_account("org_paused", "crm").await;
    let at_merge = app.merge_account_id(stale).await.parse().unwrap();
    app.merge()
        .handle()
        .set_status(at_merge, "RELINK_NEEDED")
        .unwrap();
    let check = CheckHealth {
        account_id: stale,
        is_told_deleted: false,
    };
    app.enqueue(&check).await;
    app.run_due_jobs().await;
    let mut site = Site::start(app, "console").await;

    for way in WAYS {
        let person = Person::enter(&chromium, &site, way, &["operate"]).await;
        // The support desk knows the customer's name for itself, and no more.
        person.search("org_stale").await;
        person.sees("relink_needed").await;
        person.follow(LINK, &shortened(stale)).await;
        person
            .sees("The customer has to sign in again at their system")
            .await;
        // Another one, which a colleague has paused.
        person.open("Accounts", "a").await;
        person.follow(LINK, &shortened(paused)).await;
        if way == Way::Mouse {
            person.activate(SUMMARY, "Pause").await;
            person.write("Why", "their auditor is in").await;
            person.follow(BUTTON, "Pause").await;
        }
        person.sees("paused by key test").await;
        person.sees("their auditor is in").await;
        person.tab.assert_calm("why an account is stale");
    }
    site.below_a_path().await;
    let person = Person::enter(&chromium, &site, Way::Mouse, &["read"]).await;
    person.search("org_stale").await;
    person.follow(LINK, &shortened(stale)).await;
    person
        .sees("The customer has to sign in again at their system")
        .await;
}

/// As lists show an id.
fn shortened(id: AccountId) -> String {
    let id = id.to_string();
    format!("…{}", &id[id.len() - 8..])
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_a_dead_group_of_5000() {
    let _one = ONE_AT_A_TIME.lock().await;
    let chromium = Chromium::start().await;
    for way in WAYS {
        let app = TestApp::new().await;
        // Of many customers, as when Merge itself was away.
        for _ in 0..50 {
            app.dead_jobs(DEAD / 50, "Merge answered 503").await;
        }
        let site = Site::start(app, "console,worker").await;
        let person = Person::enter(&chromium, &site, way, &["operate"]).await;

        person
            .follow(LINK, "5,000 jobs are dead, of 1 cause*")
            .await;
        person.follow(LINK, "poll_sync_status").await;
        person.sees("5,000 jobs dead in 50 lanes").await;
        person.activate(SUMMARY, "Retry all").await;
        person.write("Why", "Merge is back").await;
        person.follow(BUTTON, "Count them first").await;
        person.sees("5,000 jobs match just now").await;
        person.write("Type 5000 to confirm", "5000").await;
        person.follow(BUTTON, "Retry 5,000 jobs").await;
        person.sees("It is done").await;
        person.open("Dead", "d").await;
        person.sees("No job is dead but of what was resolved").await;

        // The worker gets to each of them, once.
        until("all have run", async || {
            (site.app.count_ended().await == i64::from(DEAD)).then_some(())
        })
        .await;
        person.open("Audit", "u").await;
        person.sees("Merge is back").await;
        person.tab.assert_calm("the retry of a group");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_a_queue_and_resume_it() {
    let _one = ONE_AT_A_TIME.lock().await;
    let chromium = Chromium::start().await;
    let site = Site::start(TestApp::new().await, "console,worker").await;
    for way in WAYS {
        let person = Person::enter(&chromium, &site, way, &["operate"]).await;
        person.open("Queues", "q").await;
        person.activate(SUMMARY, "Pause something …").await;
        person.write("Name", "sync").await;
        person.write("Why", "Merge asked us to").await;
        person.follow(BUTTON, "Pause").await;
        person.sees("It is paused").await;
        let job = job_after_the_pause(&site.app).await;
        person.open("Overview", "o").await;
        person.sees("The queue sync is paused by key test").await;
        person.search(&job.to_string()).await;
        person.sees("Paused: key test").await;
        person.sees("Merge asked us to").await;

        // Due, and left alone, while another queue's job runs.
        site.app.until_overtaken(job).await;
        person.open("Queues", "q").await;
        person.follow(BUTTON, "Resume").await;
        person.sees("Nothing is paused").await;
        person.search(&job.to_string()).await;
        person.sees("cancelled").await;
        person.tab.assert_calm("a pause");
    }
}

/// A job that is due when every worker knows of the pause.
async fn job_after_the_pause(app: &TestApp) -> JobId {
    let account_id = AccountId::new();
    let job = NewJob::new(&PollSyncStatus { account_id }).unwrap();
    let mut connection = app.pool().acquire().await.unwrap();
    let job = job.run_after(AFTER_THE_PAUSE);
    queue::enqueue(&mut *connection, &job).await.unwrap().id
}

impl TestApp {
    /// Jobs of the kind that dies here, which have ended since.
    async fn count_ended(&self) -> i64 {
        sqlx::query_scalar!(
            r#"SELECT count(*) AS "n!" FROM syncline.job_history WHERE kind = 'poll_sync_status'"#
        )
        .fetch_one(self.pool())
        .await
        .unwrap()
    }

    /// Waits until a job is due and one of another queue, enqueued after that, has run; this one has not.
    async fn until_overtaken(&self, job: JobId) {
        let is_due = async || {
            let is_due = sqlx::query_scalar!(
                r#"SELECT run_at < now() AS "is_due!" FROM syncline.jobs WHERE id = $1"#,
                job.0
            );
            is_due.fetch_one(self.pool()).await.unwrap().then_some(())
        };
        until("the job is due", is_due).await;
        self.enqueue(&EnqueueDuePolls {}).await;
        until("a job of another queue has run", async || {
            let others = self.pending("enqueue_due_polls").await;
            others.is_empty().then_some(())
        })
        .await;
        assert_eq!(self.pending("poll_sync_status").await.len(), 1);
    }
}
