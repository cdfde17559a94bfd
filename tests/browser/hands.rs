//! Somebody at the console: by mouse, by keyboard alone, or with scripts turned off.

use serde_json::json;

use crate::chromium::Chromium;
use crate::site::Site;
use crate::tab::Tab;
use crate::until;

/// What knows the controls of a page by their names.
const HANDS: &str = include_str!("hands.js");
/// A page on which something takes more presses of the Tab key than this is not one for the keyboard.
const MOST_TABS: usize = 150;

/// How somebody uses the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Mouse,
    Keyboard,
    /// By mouse, and no script of a page runs.
    WithoutScript,
}

/// A kind of control, as a selector.
pub(crate) const LINK: &str = "a";
pub(crate) const BUTTON: &str = "button";
pub(crate) const SUMMARY: &str = "summary";
pub(crate) const FIELD: &str = "input:not([type=hidden])";

/// Somebody who is logged in.
pub(crate) struct Person<'a> {
    pub(crate) tab: Tab,
    pub(crate) site: &'a Site,
    way: Way,
}

impl<'a> Person<'a> {
    /// Comes in with an API key of these scopes, by the page of the login.
    pub(crate) async fn enter(
        chromium: &Chromium,
        site: &'a Site,
        way: Way,
        scopes: &[&str],
    ) -> Self {
        let tab = chromium.tab().await;
        if way == Way::WithoutScript {
            tab.forbid_scripts().await;
        }
        let person = Self { tab, site, way };
        person.tab.go(&site.url("")).await;
        let key = site.key(scopes).await;
        person.write("Or an API key", &key).await;
        person.follow(BUTTON, "Log in with the key").await;
        person
    }

    /// Goes to one of the pages of the bar, by its name or its key.
    pub(crate) async fn open(&self, name: &str, key: &str) {
        if self.way == Way::Keyboard {
            let keys = async {
                self.tab.press("g").await;
                self.tab.press(key).await;
            };
            self.tab.leave(keys).await;
        } else {
            self.follow(LINK, name).await;
        }
    }

    /// Types into the box that takes any id.
    pub(crate) async fn search(&self, text: &str) {
        if self.way == Way::Keyboard {
            self.tab.press("/").await;
        } else {
            self.reach("header input[type=search]", "Search by any id")
                .await;
        }
        self.type_text(text).await;
        self.tab.leave(self.tab.press("Enter")).await;
    }

    /// Opens or closes something, or presses a button that does not leave the page.
    pub(crate) async fn activate(&self, kind: &str, name: &str) {
        self.reach(kind, name).await;
        if self.way == Way::Keyboard {
            self.tab.press("Enter").await;
        }
    }

    /// The same with what leads to another page.
    pub(crate) async fn follow(&self, kind: &str, name: &str) {
        self.tab.leave(self.activate(kind, name)).await;
    }

    /// Writes into a field.
    pub(crate) async fn write(&self, name: &str, text: &str) {
        self.reach(FIELD, name).await;
        self.type_text(text).await;
    }

    /// Waits until something can be read; without scripts, by loading the page again.
    pub(crate) async fn sees(&self, text: &str) {
        let quoted = json!(text);
        let expression = format!("document.body.innerText.includes({quoted})");
        let what = format!("`{text}` can be read");
        until(&what, async || {
            if self.tab.look::<bool>(&expression).await == Some(true) {
                return Some(());
            }
            if self.way == Way::WithoutScript {
                let address = self.tab.address().await;
                self.tab.go(&self.site.absolute(&address)).await;
            }
            None
        })
        .await;
    }

    pub(crate) async fn type_text(&self, text: &str) {
        for character in text.chars() {
            self.tab.press(&character.to_string()).await;
        }
    }

    /// Where a control is.
    pub(crate) async fn place(&self, kind: &str, name: &str) -> [f64; 2] {
        let place = format!("({HANDS}).place({}, {})", json!(kind), json!(name));
        let what = format!("there is one {kind} `{name}`");
        until(&what, async || self.tab.look(&place).await).await
    }

    /// Clicks a control, or moves the focus to it.
    pub(crate) async fn reach(&self, kind: &str, name: &str) {
        if self.way == Way::Keyboard {
            let (kind, quoted) = (json!(kind), json!(name));
            let is_there = format!("({HANDS}).find({kind}, {quoted}) !== null");
            self.tab
                .until(&format!("there is one {kind} `{name}`"), &is_there)
                .await;
            let has_focus = format!("({HANDS}).hasFocus({kind}, {quoted})");
            self.tab_to(&has_focus, name).await;
        } else {
            let [x, y] = self.place(kind, name).await;
            self.tab.click(x, y).await;
        }
    }

    async fn tab_to(&self, has_focus: &str, name: &str) {
        let mut passed = Vec::new();
        for _ in 0..MOST_TABS {
            if self.tab.look::<bool>(has_focus).await == Some(true) {
                return;
            }
            self.tab.press("Tab").await;
            passed.push(
                self.tab
                    .evaluate::<String>(&format!("({HANDS}).focused()"))
                    .await,
            );
        }
        panic!("the Tab key does not lead to `{name}`, but to {passed:#?}");
    }

    /// Everything that the Tab key leads to on this page, once around.
    pub(crate) async fn stops(&self) -> Vec<String> {
        let mut stops = Vec::new();
        loop {
            self.tab.press("Tab").await;
            let at: String = self.tab.evaluate(&format!("({HANDS}).focused()")).await;
            if at.is_empty() || stops.first() == Some(&at) {
                return stops;
            }
            stops.push(at);
            assert!(
                stops.len() < MOST_TABS,
                "the Tab key does not come round: {stops:#?}"
            );
        }
    }
}
