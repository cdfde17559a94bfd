use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{API_KEY, Merge, still};

async fn link_token(merge: &Merge) -> String {
    let body = json!({
        "end_user_origin_id": "org_1",
        "end_user_organization_name": "<Harbour> & \"Fjord\"",
        "end_user_email_address": "a@example.com",
        "categories": ["hris", "crm"],
        "should_create_magic_link_url": true,
    });
    let answer: Value = merge
        .post("/api/integrations/create-link-token", "", body)
        .await
        .json()
        .await
        .unwrap();
    let link_token = answer["link_token"].as_str().unwrap();
    assert_eq!(
        answer["magic_link_url"],
        merge.url(&format!("/link?link_token={link_token}"))
    );
    link_token.to_owned()
}

#[tokio::test]
async fn a_person_can_finish_linking_without_scripts() {
    let merge = Merge::start(still()).await;
    let link_token = link_token(&merge).await;

    let page = merge
        .client
        .get(merge.url(&format!("/link?link_token={link_token}")));
    let page = page.send().await.unwrap().text().await.unwrap();
    let form = [
        ("link_token", link_token.as_str()),
        ("integration", "salesforce"),
        ("action", "connect"),
    ];
    let done = merge
        .client
        .post(merge.url("/link"))
        .form(&form)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();

    assert!(page.contains("BambooHR") && page.contains("Salesforce") && !page.contains("Xero"));
    assert!(page.contains("&lt;Harbour&gt; &amp; &quot;Fjord&quot;"));
    assert!(!page.to_lowercase().contains("merge"));
    assert!(done.contains("Salesforce is connected."));
    let public_token = done
        .split("<code>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    let url = merge.url(&format!("/api/crm/v1/account-token/{public_token}"));
    let exchanged = merge
        .client
        .get(url)
        .bearer_auth(API_KEY)
        .send()
        .await
        .unwrap();
    assert_eq!(exchanged.status(), StatusCode::OK);
    let again = merge
        .client
        .get(merge.url(&format!("/link?link_token={link_token}")))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn cancelling_links_nothing_and_the_link_stays_good() {
    let merge = Merge::start(still()).await;
    let link_token = link_token(&merge).await;
    let form = [("link_token", link_token.as_str()), ("action", "cancel")];

    let page = merge
        .client
        .post(merge.url("/link"))
        .form(&form)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();

    assert!(page.contains("link-exit"));
    assert!(merge.handle().accounts().is_empty());
    let again = merge
        .client
        .get(merge.url(&format!("/link?link_token={link_token}")))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_script_offers_the_three_calls() {
    let merge = Merge::start(still()).await;

    let script = merge
        .client
        .get(merge.url("/initialize.js"))
        .send()
        .await
        .unwrap();

    assert_eq!(
        script.headers()["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert!(
        script
            .text()
            .await
            .unwrap()
            .contains("window.MergeLink = { initialize, openLink, update }")
    );
}
