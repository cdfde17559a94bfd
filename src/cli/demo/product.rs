//! The product's backend, as one that uses us would be: it speaks to the public HTTP API and nothing else.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use merge_client::catalogue::Category;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

/// How long an answer may be put off.
const PATIENCE: Duration = Duration::from_mins(2);

/// A caller of the API.
#[derive(Debug, Clone)]
pub(super) struct Product {
    http: Client,
    api: Url,
    key: SecretString,
}

/// A customer who wants something linked.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    /// The product's id of it.
    pub(super) organization_id: String,
    /// Its name.
    pub(super) name: &'static str,
    /// What it links.
    pub(super) category: Category,
}

/// Customers have names.
const NAMES: [&str; 10] = [
    "Harbor & Fjord",
    "Copper Lantern",
    "Northwind Bakery",
    "Blue Heron Labs",
    "Juniper Freight",
    "Sable & Finch",
    "Tidewater Legal",
    "Maple Robotics",
    "Ostrich Insurance",
    "Lumen Dental",
];

/// The order in which categories are shown: those that most products begin with come first.
const CATEGORIES: [Category; 10] = [
    Category::HRIS,
    Category::ATS,
    Category::CRM,
    Category::ACCOUNTING,
    Category::TICKETING,
    Category::FILESTORAGE,
    Category::KNOWLEDGEBASE,
    Category::CHAT,
    Category::CALENDAR,
    Category::EMAIL,
];

impl Customer {
    /// The customer of that number, from 0.
    pub(super) fn numbered(number: usize) -> Self {
        Self {
            organization_id: format!("org-{:03}", number + 1),
            name: NAMES[number % NAMES.len()],
            category: CATEGORIES[number % CATEGORIES.len()],
        }
    }
}

/// What `create-link-token` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    pub(super) link_token: String,
    pub(super) linked_account_id: String,
}

/// What `linked-accounts/{id}` answers, as far as the demo looks at it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Account {
    pub(super) status: String,
    pub(super) integration_name: Option<String>,
    pub(super) initial_sync_completed_at: Option<String>,
    pub(super) models: Vec<Model>,
}

/// One model of it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Model {
    pub(super) fetched_through: Option<String>,
    pub(super) status: Option<String>,
    pub(super) records: u64,
}

impl Model {
    /// Whether nothing of its first sync is left to be stored.
    pub(super) fn is_done(&self) -> bool {
        let is_off = matches!(self.status.as_deref(), Some("DISABLED" | "PAUSED"));
        self.fetched_through.is_some() || is_off
    }
}

impl Account {
    /// Models whose first sync is stored.
    pub(super) fn models_done(&self) -> usize {
        self.models.iter().filter(|model| model.is_done()).count()
    }

    /// Records stored.
    pub(super) fn records(&self) -> u64 {
        self.models.iter().map(|model| model.records).sum()
    }
}

impl Product {
    /// A caller of the API at that address, with that key.
    pub(super) fn new(api: Url, key: SecretString) -> Result<Self> {
        // reqwest wants a TLS provider even where there is no TLS; whoever installs one first wins.
        let _is_first = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().timeout(Duration::from_secs(40)).build()?;
        Ok(Self { http, api, key })
    }

    /// Begins to link a customer's account.
    pub(super) async fn create_link_token(&self, customer: &Customer) -> Result<Link> {
        let body = json!({
            "organization_id": customer.organization_id,
            "category": customer.category.as_str(),
            "end_user_organization_name": customer.name,
            "end_user_email_address": "it-admin@customer.example",
        });
        self.post("api/merge/create-link-token", &body).await
    }

    /// Ends linking, with what the dialog gave.
    pub(super) async fn exchange_public_token(
        &self,
        customer: &Customer,
        token: &str,
    ) -> Result<()> {
        let body = json!({"organization_id": customer.organization_id, "public_token": token});
        self.post::<Value>("api/merge/exchange-public-token", &body)
            .await
            .map(drop)
    }

    /// How an account stands.
    pub(super) async fn account(&self, id: &str) -> Result<Account> {
        let url = self.api.join(&format!("api/merge/linked-accounts/{id}"))?;
        self.patiently(self.http.get(url)).await
    }

    /// The service's figures, as Prometheus would read them.
    pub(super) async fn metrics(&self) -> Result<String> {
        let answer = self.http.get(self.api.join("metrics")?).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        // One key for all tries: however often it is asked, it is done once.
        let key = Uuid::now_v7().to_string();
        let request = self
            .http
            .post(self.api.join(path)?)
            .header("idempotency-key", key)
            .json(body);
        self.patiently(request)
            .await
            .with_context(|| format!("{path} did not succeed"))
    }

    /// Asks until there is an answer: a backend that waits when told to, as all should.
    async fn patiently<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let request = request.bearer_auth(self.key.expose_secret());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = request.try_clone().context("the body is in memory")?;
            let answer = request.send().await?;
            let status = answer.status();
            if status == StatusCode::OK {
                return answer
                    .json()
                    .await
                    .context("the answer is not what the API promises");
            }
            let comes_later = [StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE];
            if !comes_later.contains(&status) || Instant::now() > deadline {
                bail!("{status}: {}", answer.text().await.unwrap_or_default());
            }
            sleep(retry_after(&answer)).await;
        }
    }
}

/// How long the service asks us to wait.
fn retry_after(answer: &Response) -> Duration {
    let header = answer.headers().get("retry-after");
    let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1))
}
