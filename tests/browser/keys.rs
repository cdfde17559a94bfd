//! Keys that lead somewhere.

use crate::ONE_AT_A_TIME;
use crate::chromium::Chromium;
use crate::hands::{Person, Way};
use crate::site::Site;
use crate::support::TestApp;

/// What has the focus, and what is chosen in its form.
const AT_HAND: &str = "[document.activeElement.name, \
                       document.activeElement.form?.querySelector('select')?.value ?? '']";

#[tokio::test(flavor = "multi_thread")]
async fn r_and_x_lead_to_what_retries_and_cancels_and_do_nothing_more() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, app) = (Chromium::start().await, TestApp::new().await);
    let (dead, waiting) = (app.dead_job("it broke").await, app.waiting_job().await);
    let site = Site::start(app, "console").await;
    let person = Person::enter(&chromium, &site, Way::Keyboard, &["operate"]).await;
    let tab = &person.tab;

    person.open("Jobs", "j").await;
    for (key, chosen) in [("r", "retry"), ("x", "cancel")] {
        tab.press(key).await;
        let at_hand: [String; 2] = tab.evaluate(AT_HAND).await;
        assert_eq!(at_hand, ["reason", chosen], "{key}");
        // Out of the field, so that keys are keys again.
        tab.press("Escape").await;
    }

    person.search(&dead.to_string()).await;
    let before = tab.address().await;
    tab.press("r").await;
    assert_eq!(tab.address().await, before, "nothing is done by one key");
    tab.leave(tab.press("Enter")).await;
    person
        .sees("It runs again, with a fresh set of attempts.")
        .await;

    person.search(&waiting.to_string()).await;
    tab.press("x").await;
    person.type_text("not needed").await;
    tab.leave(tab.press("Enter")).await;
    person.sees("It was cancelled.").await;

    // Every key that does something is told.
    tab.press("?").await;
    let told: Vec<String> = tab
        .evaluate(
            "[...document.querySelectorAll('dialog[open] kbd')].map((key) => key.textContent)",
        )
        .await;
    for key in ["/", "j", "k", "f", "e", "r", "x", ".", "?", "g", "q"] {
        assert!(told.iter().any(|other| other == key), "{key}: {told:?}");
    }
    tab.assert_calm("the keys");
}
