//! The console in other languages: chosen by a person, told whole, in a shape that fits, and with nothing of ours left in
//! English.

use std::collections::BTreeSet;

use serde_json::json;

use crate::ONE_AT_A_TIME;
use crate::axe::Axe;
use crate::chromium::Chromium;
use crate::hands::{BUTTON, Person, Way};
use crate::site::Site;
use crate::sweep::{look, name_of, screenshots};
use crate::tab::Tab;
use crate::world::World;

/// Words that stay as they are, beside ids, code and what somebody typed: names of the product and of Merge's, and of a
/// payload's field.
const NAMES: [&str; 11] = [
    "Syncline",
    "Merge",
    "UTC",
    "English",
    "Deutsch",
    "https",
    "http",
    "hris",
    "Employee",
    "synced",
    "account_id",
];
/// What is not ours: ids, code, messages of errors, what was chosen from names, and what was typed.
const NOT_OURS: &str = ".id, code, pre, kbd, .lane, .error, .message, .detail, .who, .reading [lang], bdi, datalist, script, style, \
    select[name=kind], select[name=queue], select[name=model], [data-not-ours]";

async fn speak(tab: &Tab, site: &Site, language: &str) {
    tab.go(&site.url("login")).await;
    let cookie = json!(format!("syncline-language={language}; path=/"));
    tab.evaluate::<bool>(&format!("document.cookie = {cookie}; true"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_chooses_a_language_has_it_on_every_page_with_and_without_scripts() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, world) = (Chromium::start().await, World::make().await);
    let site = Site::start(world.app, "console").await;
    for way in [Way::Mouse, Way::Keyboard, Way::WithoutScript] {
        let person = Person::enter(&chromium, &site, way, &["operate"]).await;
        person.tab.go(&site.url("jobs?state=dead")).await;

        person.follow(BUTTON, "العربية").await;

        assert!(person.tab.address().await.ends_with("jobs?state=dead"));
        person.sees("المهام").await;
        let written = "document.documentElement.lang + getComputedStyle(document.body).direction";
        assert_eq!(person.tab.evaluate::<String>(written).await, "arrtl");
        person.tab.go(&site.url("queues")).await;
        person.sees("الطوابير").await;
        person.follow(BUTTON, "Deutsch").await;
        person.sees("Warteschlangen").await;
        person.follow(BUTTON, "English").await;
        person.sees("How long jobs wait and run").await;
        person.tab.assert_calm("choosing a language");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_those_of_the_reader_when_they_ask_for_that() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, world) = (Chromium::start().await, World::make().await);
    let page = world.pages[0].clone();
    let site = Site::start(world.app, "console").await;
    let person = Person::enter(&chromium, &site, Way::Mouse, &["read"]).await;
    person.tab.be_in("Asia/Kathmandu").await;
    person.tab.go(&site.url(&page)).await;
    let first = "document.querySelector('main time[title]').title";
    let at_foot = "document.querySelector('#live').innerText";
    let exact: String = person.tab.evaluate(first).await;
    assert!(exact.ends_with(" UTC"), "{exact}");

    person.follow(BUTTON, "local time").await;

    let local: String = person.tab.evaluate(first).await;
    assert!(local.ends_with("GMT+5:45"), "{local}");
    let same = "{ const time = document.querySelector('main time[title]');
        const shown = new Date(time.title); shown.setMilliseconds(0);
        const exact = new Date(time.dateTime); exact.setMilliseconds(0);
        shown.getTime() === exact.getTime() }";
    assert!(person.tab.evaluate::<bool>(same).await, "{local}");
    let foot: String = person.tab.evaluate(at_foot).await;
    assert!(foot.ends_with("GMT+5:45"), "{foot}");
    // What comes by itself is told the same way.
    let fresh = format!(
        "{at_foot} !== {} && {at_foot}.endsWith('GMT+5:45')",
        json!(foot)
    );
    person.tab.until("a fresh time at the foot", &fresh).await;
    person.follow(BUTTON, "UTC").await;
    let exact: String = person.tab.evaluate(first).await;
    assert!(exact.ends_with(" UTC"), "{exact}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_in_german_and_in_arabic() {
    let _one = ONE_AT_A_TIME.lock().await;
    let axe = Axe::bring();
    let (chromium, world) = (Chromium::start().await, World::make().await);
    let pages = world.pages.clone();
    let site = Site::start(world.app, "console").await;
    let mut findings = Vec::new();
    for language in ["de", "ar"] {
        let folder = screenshots(&format!("screenshots-{language}"));
        let guest = chromium.tab().await;
        speak(&guest, &site, language).await;
        guest.go(&site.url("login")).await;
        look(&guest, "login", &axe, &folder, &mut findings).await;
        let person = Person::enter(&chromium, &site, Way::Mouse, &["admin"]).await;
        speak(&person.tab, &site, language).await;
        let mut names = std::collections::BTreeMap::new();
        for page in &pages {
            person.tab.go(&site.url(page)).await;
            let open = "document.querySelectorAll('details:not(.me)').forEach((details) => (details.open = true)); true";
            person.tab.evaluate::<bool>(open).await;
            let name = name_of(page, &mut names);
            look(&person.tab, &name, &axe, &folder, &mut findings).await;
        }
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_ours_is_plain_in_a_language_of_accents() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, world) = (Chromium::start().await, World::make().await);
    let pages = world.pages.clone();
    let site = Site::start(world.app, "console").await;
    let data = data();
    let mut findings = Vec::new();
    let guest = chromium.tab().await;
    speak(&guest, &site, "en-XA").await;
    guest.go(&site.url("login")).await;
    plain(&guest, "login", &data, &mut findings).await;
    let person = Person::enter(&chromium, &site, Way::Mouse, &["admin"]).await;
    speak(&person.tab, &site, "en-XA").await;
    for page in &pages {
        person.tab.go(&site.url(page)).await;
        plain(&person.tab, page, &data, &mut findings).await;
    }
    person.tab.go(&site.url("jobs/nonsense")).await;
    plain(&person.tab, "a fault", &data, &mut findings).await;
    drop(person.tab.complaints());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Names that are shown as they are.
fn data() -> BTreeSet<String> {
    let kinds = jobs::registry().kinds();
    let queues = queue::Queue::ALL.map(queue::Queue::as_str);
    NAMES
        .into_iter()
        .chain(kinds)
        .chain(queues)
        .map(str::to_owned)
        .collect()
}

/// What can be read on a page, and is plain English.
async fn plain(tab: &Tab, page: &str, data: &BTreeSet<String>, findings: &mut Vec<String>) {
    let not_ours = json!(NOT_OURS);
    let read = format!(
        r"(() => {{
            const told = [document.title];
            const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
            for (let node = walker.currentNode; node; node = walker.nextNode()) {{
                const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
                if (element.closest({not_ours})) continue;
                if (node !== element) {{ told.push(node.data); continue; }}
                for (const name of ['placeholder', 'aria-label', 'data-label', 'data-stale', 'data-stopped'])
                    told.push(node.getAttribute(name) ?? '');
                if (!/[0-9a-f]{{8}}/.test(node.title)) told.push(node.title ?? '');
            }}
            return told.filter((text) => /[A-Za-z]{{2}}/.test(text));
        }})()"
    );
    let told: Vec<String> = tab.evaluate(&read).await;
    let is_known = |word: &str| {
        data.contains(word) || word.chars().filter(char::is_ascii_alphabetic).count() < 2
    };
    for text in told {
        // Between these marks stands what a sentence is about.
        let ours = text
            .split('\u{2068}')
            .map(|piece| piece.split_once('\u{2069}').map_or(piece, |(_, rest)| rest));
        let ours = ours.collect::<String>();
        let words = ours.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let english: Vec<_> = words
            .filter(|word| word.is_ascii() && !is_known(word))
            .collect();
        if !english.is_empty() {
            findings.push(format!("{page}: {english:?} in {:?}", text.trim()));
        }
    }
}
