//! What runs by the clock, by command.

use super::binary::{json, run};
use crate::support::TestApp;

#[tokio::test]
async fn a_schedule_is_shown_run_paused_and_changed() {
    let app = TestApp::new().await;
    app.known_schedules().await;
    let name = "enqueue_due_polls";
    let verb = async |args: &[&str]| run(&app, &[&["schedules"], args].concat()).await.0;

    let (_, table, _) = run(&app, &["schedules", "list"]).await;
    let shown = json(&app, &["schedules", "show", name]).await;
    assert!(
        table.contains(name) && table.contains(shown["words"].as_str().unwrap()),
        "{table}"
    );
    assert_eq!(shown["next_runs"].as_array().unwrap().len(), 5);

    let ran = json(&app, &["schedules", "run", name, "--reason", "now"]).await;
    assert_eq!(
        json(&app, &["jobs", "show", ran["job_id"].as_str().unwrap()]).await["job"]["kind"],
        name
    );
    assert_eq!(
        verb(&["pause", name, "--reason", "r", "--for", "1h"]).await,
        0
    );
    assert_eq!(
        json(&app, &["schedules", "show", name]).await["paused"]["reason"],
        "r"
    );
    assert_eq!(verb(&["resume", name]).await, 0);
    let edit = [
        "edit",
        name,
        "--cron",
        "30 2 * * *",
        "--time-zone",
        "Europe/Berlin",
        "--reason",
        "r",
    ];
    assert_eq!(verb(&edit).await, 0);
    let (_, text, _) = run(&app, &["schedules", "show", name]).await;
    assert!(
        text.contains("30 2 * * * (Europe/Berlin)") && text.contains("in the code"),
        "{text}"
    );
    assert_eq!(verb(&["reset", name]).await, 0);
    let again = json(&app, &["schedules", "show", name]).await;
    assert_eq!(again["timing"], again["declared"]);

    let (code, _, stderr) = run(
        &app,
        &[
            "schedules",
            "edit",
            name,
            "--cron",
            "often",
            "--reason",
            "r",
        ],
    )
    .await;
    assert!(
        code == 65 && stderr.contains("not a cron expression"),
        "{stderr}"
    );
    assert_eq!(verb(&["edit", name, "--reason", "r"]).await, 2);
    assert_eq!(verb(&["run", "nothing", "--reason", "r"]).await, 66);
    assert_eq!(verb(&["show", "nothing"]).await, 66);
}
