//! A sandbox on a clock that stands still, and a plain client for it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use merge_sandbox::{
    AccountPlan, ClockMode, Handle, LinkAccount, LinkedAccount, Options, Running, Sandbox,
    Schedule, TruthRecord,
};
use reqwest::{Response, StatusCode};
use serde_json::Value;

pub(crate) const API_KEY: &str = "sandbox-api-key";

/// A sandbox and a client that has its key.
pub(crate) struct Merge {
    pub(crate) sandbox: Running,
    pub(crate) client: reqwest::Client,
}

/// No limit, syncs that take no time, no periodic syncs, a clock that stands still.
pub(crate) fn still() -> Options {
    Options {
        clock: ClockMode::Manual(start()),
        requests_per_minute: None,
        schedule: Schedule {
            initial_sync_duration: Duration::ZERO,
            sync_duration: Duration::ZERO,
            sync_interval: None,
            ..Schedule::default()
        },
        ..Options::default()
    }
}

/// Syncs that take a minute, every ten minutes.
pub(crate) fn periodic() -> Options {
    Options {
        schedule: Schedule {
            initial_sync_duration: Duration::from_mins(1),
            sync_duration: Duration::from_mins(1),
            sync_interval: Some(Duration::from_mins(10)),
            changes_per_sync: 40,
            changes_between_syncs: 20,
            ..Schedule::default()
        },
        ..still()
    }
}

pub(crate) fn start() -> DateTime<Utc> {
    "2026-02-03T09:00:00Z".parse().unwrap()
}

/// Only employees, that many.
pub(crate) fn employees(records: u32) -> AccountPlan {
    AccountPlan {
        models: Some(vec!["hris.Employee".to_owned()]),
        records_per_account: records,
        ..AccountPlan::default()
    }
}

impl Merge {
    pub(crate) async fn start(options: Options) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sandbox, client }
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.sandbox.handle()
    }

    pub(crate) fn link(&self, category: &str, plan: AccountPlan) -> LinkedAccount {
        let wanted = LinkAccount {
            category: category.to_owned(),
            end_user_origin_id: format!("org_{category}"),
            integration: None,
            plan: Some(plan),
        };
        self.handle().link_account(&wanted).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!(
            "{}{}",
            self.sandbox.base_url(),
            path.trim_start_matches('/')
        )
    }

    pub(crate) async fn get(&self, path: &str, account_token: &str) -> Response {
        let request = self.client.get(self.url(path)).bearer_auth(API_KEY);
        request
            .header("X-Account-Token", account_token)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn post(&self, path: &str, account_token: &str, body: Value) -> Response {
        let request = self
            .client
            .post(self.url(path))
            .bearer_auth(API_KEY)
            .json(&body);
        request
            .header("X-Account-Token", account_token)
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn json(&self, path: &str, account_token: &str) -> Value {
        let response = self.get(path, account_token).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// All records of a list, and how many pages it took. `each` is called after each page.
    pub(crate) async fn walk(
        &self,
        path: &str,
        account_token: &str,
        mut each: impl FnMut(),
    ) -> (Vec<Value>, usize) {
        let (mut records, mut pages) = (Vec::new(), 0);
        let mut cursor: Option<String> = None;
        loop {
            let mark = if path.contains('?') { '&' } else { '?' };
            let address = match &cursor {
                Some(cursor) => format!("{path}{mark}cursor={cursor}"),
                None => path.to_owned(),
            };
            let page = self.json(&address, account_token).await;
            records.extend(page["results"].as_array().unwrap().iter().cloned());
            pages += 1;
            each();
            let Some(next) = page["next"].as_str() else {
                return (records, pages);
            };
            assert_ne!(cursor.as_deref(), Some(next), "the cursor repeats");
            cursor = Some(next.to_owned());
        }
    }

    pub(crate) fn truth(&self, account: &LinkedAccount, model_id: &str) -> Vec<TruthRecord> {
        self.handle()
            .truth_page(account.id, model_id, None, usize::MAX, true)
            .unwrap()
            .records
    }
}

/// The whole truth as a list would give it.
pub(crate) fn as_values(truth: &[TruthRecord]) -> Vec<Value> {
    truth
        .iter()
        .map(|record| serde_json::from_str(record.data.as_ref().unwrap().get()).unwrap())
        .collect()
}
