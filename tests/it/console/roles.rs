//! Who may do what: every deed that the console offers, for every role.

use std::collections::BTreeSet;

use store::AccountId;
use syncline::ops::{Deed, Role};

use crate::support::visitor::Visitor;
use crate::support::{NewKey, TestApp};

/// A form that does a deed, on something made for it.
struct Case {
    page: String,
    fields: Vec<(&'static str, String)>,
}

fn case(page: String, fields: &[(&'static str, &str)]) -> Case {
    let fields = fields
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    Case {
        page,
        fields: fields.chain([("reason", "because".to_owned())]).collect(),
    }
}

/// What there is to act on, and who prepares what has to be prepared.
struct World<'a> {
    app: &'a TestApp,
    admin: Visitor<'a>,
    account: AccountId,
}

impl World<'_> {
    /// Makes what a deed needs; `None` for what the console does not offer.
    async fn case(&self, deed: Deed) -> Option<Case> {
        let app = self.app;
        let account = |action: &str| format!("accounts/{}/{action}", self.account);
        Some(match deed {
            Deed::JobRetry => case(format!("jobs/{}/retry", app.dead_job("a").await), &[]),
            Deed::JobRetryNow => case(format!("jobs/{}/retry-now", app.waiting_job().await), &[]),
            Deed::JobSnooze => case(
                format!("jobs/{}/snooze", app.waiting_job().await),
                &[("for", "1h")],
            ),
            Deed::JobEdit => case(
                format!("jobs/{}/edit", app.waiting_job().await),
                &[("priority", "7")],
            ),
            Deed::JobCancel => case(format!("jobs/{}/cancel", app.waiting_job().await), &[]),
            Deed::JobDelete => case(format!("jobs/{}/delete", app.waiting_job().await), &[]),
            Deed::GroupResolve => case(format!("dead/{}/resolve", self.group().await), &[]),
            Deed::GroupReopen => {
                let page = format!("dead/{}", self.group().await);
                self.admin
                    .follow(&format!("{page}/resolve"), &[("reason", "r")])
                    .await;
                case(format!("{page}/reopen"), &[])
            }
            Deed::BulkRetry => self.bulk("retry").await,
            Deed::BulkRetryNow => self.bulk("retry_now").await,
            Deed::BulkCancel => self.bulk("cancel").await,
            Deed::BulkDelete => self.bulk("delete").await,
            Deed::BulkStop => {
                let started = self.bulk("retry").await;
                self.admin.follow(&started.page, &[]).await;
                case(started.page.replace("/start", "/stop"), &[])
            }
            Deed::Pause => case(
                "queues/pause".to_owned(),
                &[("scope", "queue"), ("name", "sync"), ("for", "1h")],
            ),
            Deed::Resume => {
                let fields = [("scope", "kind"), ("name", "resync"), ("reason", "r")];
                self.admin.follow("queues/pause", &fields).await;
                case("queues/resume".to_owned(), &fields[..2])
            }
            Deed::CountsCheck => case("queues/check-counts".to_owned(), &[]),
            Deed::WorkerQuiet => case(format!("workers/{}/quiet", app.silent_worker().await), &[]),
            Deed::WorkerWork => case(format!("workers/{}/work", app.silent_worker().await), &[]),
            Deed::WorkerDrain => case(format!("workers/{}/drain", app.silent_worker().await), &[]),
            Deed::ScheduleRun => case("schedules/maintain/run".to_owned(), &[]),
            Deed::SchedulePause => case("schedules/maintain/pause".to_owned(), &[("for", "1h")]),
            Deed::ScheduleResume => case("schedules/maintain/resume".to_owned(), &[]),
            Deed::ScheduleEdit => case(
                "schedules/maintain/edit".to_owned(),
                &[("cron", "5 4 * * *")],
            ),
            Deed::ScheduleReset => case("schedules/maintain/reset".to_owned(), &[]),
            Deed::WebhookReplay => case(
                format!("webhooks/{}/replay", app.judged_delivery().await),
                &[],
            ),
            Deed::AccountPoll => case(account("poll"), &[]),
            Deed::AccountSweep => case(account("resync-incremental"), &[]),
            Deed::AccountResync => case(account("resync-full"), &[]),
            Deed::AccountDelete => case(account("delete"), &[("typed", "Customer")]),
            Deed::LogOut => case("logout".to_owned(), &[]),
            Deed::UserAdd => case(
                "users/add".to_owned(),
                &[("name", &Self::nobody()), ("role", "viewer")],
            ),
            Deed::UserRemove => case("users/remove".to_owned(), &[("name", &self.user().await)]),
            Deed::UserPassword => {
                case("users/password".to_owned(), &[("name", &self.user().await)])
            }
            Deed::KeyCreate => case(
                "keys/create".to_owned(),
                &[("name", "a key"), ("read", "yes")],
            ),
            Deed::KeyRevoke => case("keys/revoke".to_owned(), &[("id", &self.key().await)]),
            Deed::LogIn => return None,
        })
    }

    /// A name that no user has yet.
    fn nobody() -> String {
        format!("user-{}", uuid::Uuid::now_v7())
    }

    async fn user(&self) -> String {
        let name = Self::nobody();
        let mut connection = self.app.pool().acquire().await.unwrap();
        let added = store::users::add(&mut connection, &name, Role::Viewer, "a hash").await;
        added.unwrap().unwrap();
        name
    }

    async fn key(&self) -> String {
        self.app.key(NewKey::default()).await;
        let newest = sqlx::query_scalar!("SELECT max(id::text) FROM syncline.api_keys");
        newest.fetch_one(self.app.pool()).await.unwrap().unwrap()
    }

    async fn group(&self) -> String {
        let id = self.app.dead_job("of a group").await;
        let page = self.admin.get(&format!("jobs/{id}")).await.page();
        let rest = page.split("../dead/").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }

    async fn bulk(&self, action: &'static str) -> Case {
        let fields = [
            ("filter", "kind=poll_sync_status"),
            ("action", action),
            ("reason", "r"),
        ];
        let answer = self.admin.post("bulk", &fields).await;
        let page = answer
            .header("location")
            .unwrap()
            .trim_start_matches("./")
            .to_owned();
        case(format!("{page}/start"), &[])
    }
}

#[tokio::test]
async fn each_deed_needs_its_role_and_is_audited() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    let account = app.linked_account("org_1", "hris").await;
    let world = World {
        app: &app,
        admin: app.visitor(&["admin"]).await,
        account,
    };
    let mut done = BTreeSet::new();
    for (role, scopes) in [
        (Role::Viewer, ["read"]),
        (Role::Operator, ["operate"]),
        (Role::Admin, ["admin"]),
    ] {
        for deed in Deed::ALL {
            let Some(case) = world.case(*deed).await else {
                continue;
            };
            // Each with a session of its own, since one deed is to leave it.
            let visitor = app.visitor(&scopes).await;
            let before = app.audited().await;
            let fields: Vec<_> = case
                .fields
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();

            let answer = visitor.post(&case.page, &fields).await;

            let after = app.audited().await;
            let is_allowed = role >= deed.needs();
            // A secret is shown in the answer itself: it is nowhere else to be looked at.
            let shows_secret = ["user.add", "user.password", "key.create"].contains(&deed.as_str());
            let expected = match (is_allowed, shows_secret) {
                (true, true) => 200,
                (true, false) => 303,
                (false, _) => 403,
            };
            assert_eq!(
                answer.status,
                expected,
                "{deed} as {role:?}: {}",
                answer.page()
            );
            if is_allowed {
                assert_eq!(after.len(), before.len() + 1, "{deed} as {role:?}");
                let (actor, action) = after.last().unwrap();
                assert!(actor.starts_with("key test (sl_"), "{actor}");
                assert_eq!(action, deed.as_str());
                done.insert(deed.as_str());
            } else {
                assert_eq!(after, before, "{deed} as {role:?}");
                assert!(
                    answer.page().contains("needs the role"),
                    "{}",
                    answer.page()
                );
            }
        }
    }
    // One logs in by other means.
    let missing: Vec<_> = Deed::ALL
        .iter()
        .map(|deed| deed.as_str())
        .filter(|name| !done.contains(name))
        .collect();
    assert_eq!(missing, ["session.login"]);
    let mut connection = app.pool().acquire().await.unwrap();
    let verdict = store::audit::verify(&mut connection).await.unwrap();
    assert!(
        matches!(verdict, store::audit::Verdict::Whole { .. }),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_viewer_is_offered_nothing_that_changes_anything() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    app.silent_worker().await;
    let viewer = app.visitor(&["read"]).await;
    let account = app.linked_account("org_1", "hris").await;
    let (dead, waiting) = (app.dead_job("a").await, app.waiting_job().await);
    let delivery = app.judged_delivery().await;
    let fields = [
        ("filter", "state=dead"),
        ("action", "retry"),
        ("reason", "r"),
    ];
    let operator = app.visitor(&["operate"]).await;
    let prepared = operator.post("bulk", &fields).await;
    let prepared = prepared.header("location").unwrap();
    for page in [
        String::new(),
        prepared.trim_start_matches("./").to_owned(),
        "jobs".to_owned(),
        "queues".to_owned(),
        "workers".to_owned(),
        "schedules".to_owned(),
        "users".to_owned(),
        "keys".to_owned(),
        format!("jobs/{dead}"),
        format!("jobs/{waiting}"),
        format!("accounts/{account}"),
        format!("webhooks/{delivery}"),
    ] {
        let html = viewer.get(&page).await.page();
        let forms = html.matches(r#"method="post""#).count();
        assert_eq!(forms, 3, "theme, language and logout only: {page}");
    }
}
