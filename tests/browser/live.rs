//! Pages that stay open: they follow what happens, and nobody who is using one loses their place by it.

use crate::ONE_AT_A_TIME;
use crate::chromium::Chromium;
use crate::hands::{LINK, Person, Way};
use crate::site::Site;
use crate::support::TestApp;

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_what_happens_and_leaves_people_their_place() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, app) = (Chromium::start().await, TestApp::new().await);
    app.silent_worker().await;
    app.dead_job("the first").await;
    let site = Site::start(app, "console").await;

    // With the focus on a link, by keyboard.
    let person = Person::enter(&chromium, &site, Way::Keyboard, &["read"]).await;
    person.open("Dead", "d").await;
    person.reach(LINK, "poll_sync_status").await;
    site.app.dead_jobs(41, "the first").await;
    person.sees("42").await;
    person.tab.leave(person.tab.press("Enter")).await;
    person.sees("42 jobs dead").await;

    // With the button of the mouse down on a link while the page gets news; what was pressed is what is clicked.
    let person = Person::enter(&chromium, &site, Way::Mouse, &["read"]).await;
    let page = site.url("");
    person.tab.go(&page).await;
    let [x, y] = person.place(LINK, "42 jobs are dead, of 1 cause*").await;
    person.tab.button("mousePressed", x, y).await;
    site.app.dead_jobs(100, "another cause").await;
    // Nothing is to change below the finger; the clock below it, which is no part of it, tells that there was news.
    let seen: String = person
        .tab
        .evaluate("document.getElementById('live').textContent")
        .await;
    let news = format!("document.getElementById('live').textContent !== {seen:?}");
    person.tab.until("the page has news", &news).await;
    person
        .tab
        .leave(person.tab.button("mouseReleased", x, y))
        .await;
    assert!(person.tab.address().await.ends_with("/dead"));
    person.tab.assert_calm("a live page");
}
