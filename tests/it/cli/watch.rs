//! Looking again and again.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::binary::syncline;
use crate::support::TestApp;

#[tokio::test]
async fn who_watches_sees_what_comes() {
    let app = TestApp::new().await;
    let mut command = syncline(&["jobs", "list", "--json", "--watch=1"]);
    command
        .env("DATABASE_URL", app.database_url())
        .stdout(Stdio::piped());
    let mut watching = command.spawn().unwrap();
    let mut looks = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let look = tokio::time::timeout(Duration::from_mins(1), looks.next_line()).await;
        serde_json::from_str(&look.expect("another look").unwrap().unwrap()).unwrap()
    };

    assert_eq!(next().await["jobs"], serde_json::json!([]));
    let id = app.waiting_job().await.to_string();
    let seen = loop {
        let look = next().await;
        if look["jobs"] != serde_json::json!([]) {
            break look;
        }
    };

    assert_eq!(seen["jobs"][0]["id"], id);
    assert_eq!(watching.try_wait().unwrap(), None, "it goes on");
}
