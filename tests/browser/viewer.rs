//! Who may only look can change nothing: no page has a control for it, and forms that they make themselves are refused.

use serde_json::json;

use crate::ONE_AT_A_TIME;
use crate::chromium::Chromium;
use crate::hands::{BUTTON, Person, Way};
use crate::site::Site;
use crate::world::World;

/// What a viewer's controls send: how the console looks to them, and that they leave.
const OWN: [&str; 3] = ["theme", "logout", "reading"];
/// Every button or way to a form that there is without a role for it, as the Tab key names it.
const CONTROLS: [&str; 12] = [
    "auto",
    "light",
    "dark",
    "Log out",
    "Show",
    "Close",
    "More",
    "English",
    "Deutsch",
    "العربية",
    "UTC",
    "local time",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_cannot_change_anything() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, world) = (Chromium::start().await, World::make().await);
    let pages = world.pages.clone();
    let forged = forms(&world);
    let site = Site::start(world.app, "console").await;

    for way in [Way::Mouse, Way::Keyboard] {
        let viewer = Person::enter(&chromium, &site, way, &["read"]).await;
        let before = site.app.audited().await;
        for page in &pages {
            viewer.tab.go(&site.url(page)).await;
            let senders: Vec<String> = viewer
                .tab
                .evaluate("[...document.querySelectorAll('form')].filter((form) => form.method === 'post').map((form) => form.action)")
                .await;
            assert!(
                senders.len() == OWN.len()
                    && senders
                        .iter()
                        .all(|to| OWN.iter().any(|own| to.ends_with(own))),
                "{page}: {senders:?}"
            );
        }
        // What others may do something on, as the Tab key goes through it.
        for page in pages
            .iter()
            .filter(|page| way == Way::Keyboard && has_actions(page))
        {
            viewer.tab.go(&site.url(page)).await;
            for stop in viewer.stops().await {
                assert!(is_own(&stop), "{page}: the Tab key leads to {stop}");
            }
        }
        viewer.tab.assert_calm("the pages of a viewer");

        for (address, fields) in &forged {
            viewer.tab.go(&site.url("jobs")).await;
            viewer.forge(&site.url(address), fields).await;
            viewer.sees("needs the role").await;
            // That it was refused is on the browser's console, too.
            let complaints = viewer.tab.complaints();
            assert!(
                complaints.iter().all(|complaint| complaint.contains("403")),
                "{complaints:?}"
            );
        }
        assert_eq!(site.app.audited().await, before);
    }
}

/// Is it a page on which others find actions? Of jobs, one is enough.
fn has_actions(page: &str) -> bool {
    let of_one = ["accounts/", "webhooks/", "dead/", "bulk/"];
    page.ends_with("jobs/01990000-0000-7000-8001-000000000001")
        || of_one.iter().any(|kind| page.starts_with(kind))
        || ["workers", "schedules"].contains(&page)
}

/// Is it a control that changes nothing, or one of those for themselves?
fn is_own(stop: &str) -> bool {
    let (kind, name) = stop.split_once(' ').unwrap_or((stop, ""));
    ["a", "input", "select", "div", "pre"].contains(&kind)
        || CONTROLS.contains(&name)
        || name.starts_with("key test")
}

type Fields = Vec<(&'static str, String)>;

/// What an admin's pages would send.
fn forms(world: &World) -> Vec<(String, Fields)> {
    let reason = || ("reason", "because".to_owned());
    let pause = vec![("scope", "everything".to_owned()), reason()];
    let (account, dead, group) = (world.account, world.dead_job, &world.group);
    let filter = ("filter", format!("state=dead&group={group}"));
    vec![
        ("queues/pause".to_owned(), pause),
        (
            format!("accounts/{account}/delete"),
            vec![("typed", "Customer".to_owned()), reason()],
        ),
        (format!("jobs/{dead}/retry"), vec![reason()]),
        (format!("dead/{group}/resolve"), vec![reason()]),
        (
            "bulk".to_owned(),
            vec![filter, ("action", "retry".to_owned()), reason()],
        ),
        ("schedules/maintain/run".to_owned(), vec![reason()]),
    ]
}

impl Person<'_> {
    /// Makes a form in the page, with the token of their own session, and sends it.
    async fn forge(&self, address: &str, fields: &Fields) {
        let make = format!(
            r#"
            const token = document.querySelector("input[name=token]").cloneNode();
            const form = document.createElement("form");
            form.method = "post";
            form.action = {address};
            for (const [name, value] of {fields}) {{
                const input = document.createElement("input");
                [input.name, input.value] = [name, value];
                form.append(input);
            }}
            const button = document.createElement("button");
            button.textContent = "Do it all the same";
            form.append(token, button);
            document.getElementById("main").prepend(form);
            true"#,
            address = json!(address),
            fields = json!(fields),
        );
        self.tab.evaluate::<bool>(&make).await;
        self.follow(BUTTON, "Do it all the same").await;
    }
}
