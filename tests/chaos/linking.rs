//! A product's backend that does not give up: it asks again, under the same key, until it has an answer.

use std::time::Duration;

use futures::future::join_all;
use merge_client::catalogue::Category;
use merge_sandbox::{CompleteLink, Handle};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::service::Caller;

/// Links so many accounts at once, each of its own organization.
pub(crate) async fn link_accounts(caller: Caller, sandbox: Handle, accounts: usize) {
    join_all((0..accounts).map(|number| link(&caller, &sandbox, number))).await;
}

async fn link(caller: &Caller, sandbox: &Handle, number: usize) {
    let organization_id = format!("org-{number}");
    let create = json!({
        "organization_id": organization_id,
        "category": Category::ALL[number % Category::ALL.len()].as_str(),
        "end_user_organization_name": "Customer",
        "end_user_email_address": "it@customer.example",
    });
    for round in 0.. {
        let key = format!("link-{number}-{round}");
        let link = caller
            .ask("api/merge/create-link-token", &key, &create)
            .await;
        let link = link.expect("a link token can always be had");
        let token = link["link_token"].as_str().unwrap();
        let Ok(completed) = sandbox.complete_link(token, &CompleteLink::default()) else {
            continue;
        };

        let exchange =
            json!({"organization_id": organization_id, "public_token": completed.public_token});
        let key = format!("exchange-{number}-{round}");
        if caller
            .ask("api/merge/exchange-public-token", &key, &exchange)
            .await
            .is_some()
        {
            return;
        }
        // A public token is good for one use. Killed between using it and storing what it gave, the
        // service cannot use it again; but the webhook may have told the same.
        if caller
            .is_active(link["linked_account_id"].as_str().unwrap())
            .await
        {
            return;
        }
    }
}

impl Caller {
    /// Asks until there is an answer: 200, or a refusal (`None`).
    async fn ask(&self, path: &str, key: &str, body: &Value) -> Option<Value> {
        loop {
            let request = self
                .http
                .post(self.base.join(path).unwrap())
                .bearer_auth(&self.api_key)
                .header("idempotency-key", key)
                .json(body);
            let Ok(answer) = request.send().await else {
                // Killed.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            match answer.status() {
                StatusCode::OK => {
                    if let Ok(answer) = answer.json().await {
                        return Some(answer);
                    }
                }
                StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                    return None;
                }
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn is_active(&self, account_id: &str) -> bool {
        loop {
            let url = self
                .base
                .join(&format!("api/merge/linked-accounts/{account_id}"))
                .unwrap();
            let answer = self.http.get(url).bearer_auth(&self.api_key).send().await;
            if let Ok(answer) = answer
                && answer.status() == StatusCode::OK
                && let Ok(account) = answer.json::<Value>().await
            {
                return account["status"] == "active";
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}
