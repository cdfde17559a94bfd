//! A typed client of the control routes, for processes other than the sandbox's own.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::requests::{
    Advance, DeliveriesQuery, Freeze, RecordFields, SendQuery, SetOutcome, SetStatus, TruthQuery,
};
use crate::faults::Fault;
use crate::handle::{CompleteLink, LinkAccount};
use crate::options::{Outcome, WebhookTarget};
use crate::views::{
    AccountView, CompletedLink, Fields, LinkedAccount, ModelTruth, StateView, TruthPage,
    TruthRecord,
};
use crate::webhooks::{DeliveryView, WebhookFaults, WebhookSummary};

/// Controls a sandbox over HTTP. Each method does what the method of [`Handle`](crate::Handle) with its name does.
#[derive(Debug, Clone)]
pub struct ControlClient {
    client: reqwest::Client,
    base: Url,
}

/// Why a control could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The sandbox cannot be reached, or its answer cannot be read.
    #[error("cannot reach the sandbox's `{path}`")]
    Transport {
        /// The control route.
        path: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The sandbox refused.
    #[error("the sandbox's `{path}` answered {status}: {detail}")]
    Refused {
        /// The control route.
        path: String,
        /// The status answered.
        status: u16,
        /// The sandbox's words.
        detail: String,
    },
}

impl ControlClient {
    /// A client of the sandbox at that address, such as `http://127.0.0.1:8090`; a path is ignored.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(base_url: &Url) -> Result<Self, reqwest::Error> {
        let mut base = base_url.clone();
        base.set_path("/_sandbox/");
        base.set_query(None);
        Ok(Self {
            client: crate::http_client()?,
            base,
        })
    }

    /// The sandbox as a whole.
    pub async fn state(&self) -> Result<StateView, ClientError> {
        self.get(&["state"], &()).await
    }

    /// Moves the clock ahead.
    pub async fn advance(&self, by: Duration) -> Result<(), ClientError> {
        self.send(Method::POST, &["clock", "advance"], &Advance { by })
            .await
            .map(drop)
    }

    /// Stops changes of records from now on, or lets them go on.
    pub async fn freeze(&self, is_frozen: bool) -> Result<(), ClientError> {
        self.send(Method::POST, &["freeze"], &Freeze { is_frozen })
            .await
            .map(drop)
    }

    /// Finishes a linking, as an end user would.
    pub async fn complete_link(
        &self,
        link_token: &str,
        choice: &CompleteLink,
    ) -> Result<CompletedLink, ClientError> {
        self.call(Method::POST, &["link", link_token, "complete"], choice)
            .await
    }

    /// All linked accounts, in the order of linking.
    pub async fn accounts(&self) -> Result<Vec<AccountView>, ClientError> {
        self.get(&["accounts"], &()).await
    }

    /// One linked account.
    pub async fn account(&self, id: Uuid) -> Result<AccountView, ClientError> {
        self.get(&["accounts", &id.to_string()], &()).await
    }

    /// Links an account at once, without the dialog.
    pub async fn link_account(&self, wanted: &LinkAccount) -> Result<LinkedAccount, ClientError> {
        self.call(Method::POST, &["accounts"], wanted).await
    }

    /// Removes the account, as Merge's dashboard can.
    pub async fn delete_account(&self, id: Uuid) -> Result<(), ClientError> {
        let path = ["accounts", &id.to_string()];
        self.send(Method::DELETE, &path, &()).await.map(drop)
    }

    /// Sets the account's status.
    pub async fn set_status(&self, id: Uuid, status: &str) -> Result<(), ClientError> {
        let body = SetStatus {
            status: status.to_owned(),
        };
        self.send(Method::PUT, &["accounts", &id.to_string(), "status"], &body)
            .await
            .map(drop)
    }

    /// Sets how the next syncs of a model end.
    pub async fn set_outcome(
        &self,
        id: Uuid,
        model_id: &str,
        outcome: Outcome,
    ) -> Result<(), ClientError> {
        let path = ["accounts", &id.to_string(), "models", model_id, "outcome"];
        self.send(Method::PUT, &path, &SetOutcome { outcome })
            .await
            .map(drop)
    }

    /// Starts a sync of the account now; false when one is running already.
    pub async fn start_sync(&self, id: Uuid) -> Result<bool, ClientError> {
        #[derive(Deserialize)]
        struct Started {
            is_started: bool,
        }
        let started: Started = self
            .call(Method::POST, &["accounts", &id.to_string(), "sync"], &())
            .await?;
        Ok(started.is_started)
    }

    /// The truth of every model of an account, in short.
    pub async fn truth(&self, id: Uuid) -> Result<Vec<ModelTruth>, ClientError> {
        self.get(&["accounts", &id.to_string(), "truth"], &()).await
    }

    /// At most `limit` (1 to 10,000) records of a model as they should be stored, from `after` on.
    pub async fn truth_page(
        &self,
        id: Uuid,
        model_id: &str,
        after: Option<&str>,
        limit: usize,
        with_data: bool,
    ) -> Result<TruthPage, ClientError> {
        let query = TruthQuery {
            after: after.map(str::to_owned),
            limit: Some(limit),
            data: with_data,
        };
        self.get(&["accounts", &id.to_string(), "truth", model_id], &query)
            .await
    }

    /// All records of a model as they should be stored.
    pub async fn truth_of_model(
        &self,
        id: Uuid,
        model_id: &str,
        with_data: bool,
    ) -> Result<Vec<TruthRecord>, ClientError> {
        let mut records = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .truth_page(id, model_id, after.as_deref(), 2000, with_data)
                .await?;
            records.extend(page.records);
            let Some(next) = page.next else {
                return Ok(records);
            };
            after = Some(next);
        }
    }

    /// Creates a record now, with these fields instead of generated ones.
    pub async fn create_record(
        &self,
        id: Uuid,
        model_id: &str,
        fields: Fields,
    ) -> Result<TruthRecord, ClientError> {
        let path = ["accounts", &id.to_string(), "models", model_id, "records"];
        self.call(Method::POST, &path, &RecordFields { fields })
            .await
    }

    /// Changes a record now.
    pub async fn change_record(
        &self,
        id: Uuid,
        model_id: &str,
        key: &str,
        fields: Fields,
    ) -> Result<TruthRecord, ClientError> {
        let path = [
            "accounts",
            &id.to_string(),
            "models",
            model_id,
            "records",
            key,
        ];
        self.call(Method::POST, &path, &RecordFields { fields })
            .await
    }

    /// Deletes a record now.
    pub async fn delete_record(
        &self,
        id: Uuid,
        model_id: &str,
        key: &str,
    ) -> Result<TruthRecord, ClientError> {
        let path = [
            "accounts",
            &id.to_string(),
            "models",
            model_id,
            "records",
            key,
        ];
        self.call(Method::DELETE, &path, &()).await
    }

    /// Lets the next matching requests fail.
    pub async fn add_fault(&self, fault: &Fault) -> Result<(), ClientError> {
        self.send(Method::POST, &["faults"], fault).await.map(drop)
    }

    /// The faults that are not used up.
    pub async fn faults(&self) -> Result<Vec<Fault>, ClientError> {
        self.get(&["faults"], &()).await
    }

    /// Forgets all faults of answers.
    pub async fn clear_faults(&self) -> Result<(), ClientError> {
        self.send(Method::DELETE, &["faults"], &()).await.map(drop)
    }

    /// Sets where webhooks go from now on; `None` sends none.
    pub async fn set_webhook_target(
        &self,
        target: Option<&WebhookTarget>,
    ) -> Result<(), ClientError> {
        self.send(Method::PUT, &["webhooks", "target"], &target)
            .await
            .map(drop)
    }

    /// Sets the faults of deliveries from now on.
    pub async fn set_webhook_faults(&self, faults: WebhookFaults) -> Result<(), ClientError> {
        self.send(Method::PUT, &["webhooks", "faults"], &faults)
            .await
            .map(drop)
    }

    /// Sends what the dashboard's test button does.
    pub async fn ping_webhook(&self) -> Result<(), ClientError> {
        self.send(Method::POST, &["webhooks", "ping"], &())
            .await
            .map(drop)
    }

    /// Sends these bytes as a webhook, signed and retried like any other.
    pub async fn send_webhook(
        &self,
        event: &str,
        body: impl Into<Bytes>,
    ) -> Result<(), ClientError> {
        let path = ["webhooks", "send"];
        let query = SendQuery {
            event: event.to_owned(),
        };
        let request = self
            .client
            .post(self.url(&path))
            .query(&query)
            .body(body.into());
        finish(&path, request).await.map(drop)
    }

    /// Sends the bytes of a logged delivery once more.
    pub async fn redeliver_webhook(&self, delivery_id: Uuid) -> Result<(), ClientError> {
        let path = [
            "webhooks",
            "deliveries",
            &delivery_id.to_string(),
            "redeliver",
        ];
        self.send(Method::POST, &path, &()).await.map(drop)
    }

    /// The last ten thousand deliveries, oldest first; `offset` skips.
    pub async fn deliveries(
        &self,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<DeliveryView>, ClientError> {
        self.get(
            &["webhooks", "deliveries"],
            &DeliveriesQuery { offset, limit },
        )
        .await
    }

    /// Sums over all deliveries.
    pub async fn webhook_summary(&self) -> Result<WebhookSummary, ClientError> {
        self.get(&["webhooks", "summary"], &()).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.client.get(self.url(path)).query(query);
        read(path, finish(path, request).await?).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        read(path, self.send(method, path, body).await?).await
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<reqwest::Response, ClientError> {
        finish(path, self.client.request(method, self.url(path)).json(body)).await
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

async fn finish(
    path: &[&str],
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, ClientError> {
    #[derive(Default, Deserialize)]
    struct Detail {
        detail: String,
    }

    let failed = |source| ClientError::Transport {
        path: route(path),
        source,
    };
    let response = request.send().await.map_err(failed)?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(ClientError::Refused {
        path: route(path),
        status: response.status().as_u16(),
        detail: response.json::<Detail>().await.unwrap_or_default().detail,
    })
}

async fn read<T: DeserializeOwned>(
    path: &[&str],
    response: reqwest::Response,
) -> Result<T, ClientError> {
    response
        .json()
        .await
        .map_err(|source| ClientError::Transport {
            path: route(path),
            source,
        })
}

/// The route without what may be a token.
fn route(path: &[&str]) -> String {
    path.iter()
        .take(1)
        .copied()
        .chain(path.iter().skip(2).copied())
        .collect::<Vec<_>>()
        .join("/…/")
}
