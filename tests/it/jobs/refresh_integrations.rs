//! What can be linked.

use jobs::refresh_integrations::RefreshIntegrations;
use serde_json::json;
use store::integrations;

use super::workshop::Workshop;

#[tokio::test]
async fn the_list_is_read_once_a_day_and_replaced() {
    let workshop = Workshop::new().await;
    let mut conn = workshop.pool().acquire().await.unwrap();

    let first = workshop.perform(&RefreshIntegrations {}).await;
    let second = workshop.perform(&RefreshIntegrations {}).await;

    assert_eq!(first.result.unwrap()["was_old"], true);
    assert_eq!(second.result, Some(json!({ "was_old": false })));
    let all = integrations::list(&mut conn, None).await.unwrap();
    let hris = integrations::list(&mut conn, Some("hris")).await.unwrap();
    assert!(!hris.is_empty() && hris.len() < all.len());
    assert!(
        hris.iter()
            .all(|integration| integration.categories.contains(&"hris".to_owned()))
    );

    sqlx::query!(
        "UPDATE syncline.integrations_refresh SET refreshed_at = now() - interval '25 hours'"
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    let third = workshop.perform(&RefreshIntegrations {}).await;
    assert_eq!(third.result.unwrap()["integrations"], all.len());
}
