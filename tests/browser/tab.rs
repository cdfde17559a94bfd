//! One page at a time, watched.

use std::path::Path;
use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::chromium::Wire;
use crate::until;

/// Said in every document before anything of its own runs: what the policy stops is an error on the console.
const WATCH: &str = r#"
    addEventListener("securitypolicyviolation", (event) =>
        console.error("policy report", event.violatedDirective, event.blockedURI, event.sample));
"#;
/// What a screenshot shows at most, in pixels from the top.
const TALLEST: u32 = 2_600;

/// What a page is looked at on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) scheme: &'static str,
}

impl Screen {
    pub(crate) const DESK: Self = Self {
        width: 1440,
        height: 900,
        scheme: "light",
    };
    pub(crate) const PHONE: Self = Self {
        width: 390,
        height: 844,
        scheme: "light",
    };
    pub(crate) const ALL: [Self; 4] = [
        Self::DESK,
        Self::DESK.dark(),
        Self::PHONE,
        Self::PHONE.dark(),
    ];

    const fn dark(self) -> Self {
        Self {
            scheme: "dark",
            ..self
        }
    }
}

/// A tab with cookies of its own. What went wrong in it fails the test when it is asked for, or dropped.
pub(crate) struct Tab {
    wire: Arc<Wire>,
    session: String,
}

impl Tab {
    pub(crate) async fn open(wire: Arc<Wire>) -> Self {
        let ask = async |method, params| wire.ask(None, method, params).await.unwrap();
        let context = ask("Target.createBrowserContext", json!({})).await;
        let blank =
            json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = ask("Target.createTarget", blank).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = ask("Target.attachToTarget", attach).await;
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let tab = Self { wire, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            tab.ask(domain, json!({})).await;
        }
        tab.ask(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({ "source": WATCH }),
        )
        .await;
        tab.ask(
            "Emulation.setFocusEmulationEnabled",
            json!({ "enabled": true }),
        )
        .await;
        tab.look_on(Screen::DESK).await;
        tab
    }

    pub(crate) async fn look_on(&self, screen: Screen) {
        let size = json!({
            "width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": screen.width < 500,
            "screenWidth": screen.width, "screenHeight": screen.height,
        });
        self.ask("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!({ "features": [
            { "name": "prefers-color-scheme", "value": screen.scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.ask("Emulation.setEmulatedMedia", scheme).await;
    }

    /// As if it stood in that time zone.
    pub(crate) async fn be_in(&self, zone: &str) {
        let zone = json!({ "timezoneId": zone });
        self.ask("Emulation.setTimezoneOverride", zone).await;
    }

    /// From now on no script of a page runs.
    pub(crate) async fn forbid_scripts(&self) {
        self.ask(
            "Emulation.setScriptExecutionDisabled",
            json!({ "value": true }),
        )
        .await;
    }

    /// Goes to an address, and waits until all of the page is there.
    pub(crate) async fn go(&self, url: &str) {
        let gone = self.ask("Page.navigate", json!({ "url": url })).await;
        assert_eq!(gone.get("errorText"), None, "{url}");
        self.until(
            &format!("{url} is there"),
            "document.readyState === 'complete'",
        )
        .await;
    }

    /// Does what leads to another page, and waits until all of that is there.
    pub(crate) async fn leave(&self, doing: impl Future<Output = ()>) {
        self.evaluate::<bool>("window.isStill = true").await;
        doing.await;
        self.until(
            "another page is there",
            "!window.isStill && document.readyState === 'complete'",
        )
        .await;
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, what: &str, expression: &str) {
        until(what, async || {
            self.look::<bool>(expression).await.filter(|is_so| *is_so)
        })
        .await;
    }

    /// What an expression is in the page.
    pub(crate) async fn evaluate<T: DeserializeOwned>(&self, expression: &str) -> T {
        let value = self
            .try_evaluate(expression)
            .await
            .unwrap_or_else(|why| panic!("{why}: {expression}"));
        serde_json::from_value(value).unwrap()
    }

    /// The same; `None` while the page is being left, or it is null.
    pub(crate) async fn look<T: DeserializeOwned>(&self, expression: &str) -> Option<T> {
        let value = self.try_evaluate(expression).await.ok()?;
        serde_json::from_value(value).unwrap_or(None)
    }

    async fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self
            .wire
            .ask(Some(&self.session), "Runtime.evaluate", params)
            .await?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(format!(
                "{} {}",
                details["text"], details["exception"]["description"]
            )),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    /// Where the tab is, from the host on.
    pub(crate) async fn address(&self) -> String {
        self.evaluate("location.pathname + location.search").await
    }

    /// Presses the left button at a place, and lets it go.
    pub(crate) async fn click(&self, x: f64, y: f64) {
        let button =
            |kind| json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
        let moved = self.ask(
            "Input.dispatchMouseEvent",
            json!({ "type": "mouseMoved", "x": x, "y": y }),
        );
        let pressed = self.ask("Input.dispatchMouseEvent", button("mousePressed"));
        let released = self.ask("Input.dispatchMouseEvent", button("mouseReleased"));
        tokio::join!(biased; moved, pressed, released);
    }

    /// Only presses it, or only lets it go.
    pub(crate) async fn button(&self, kind: &str, x: f64, y: f64) {
        let event = json!({ "type": kind, "x": x, "y": y, "button": "left", "clickCount": 1 });
        self.ask("Input.dispatchMouseEvent", event).await;
    }

    /// Presses a key, and lets it go: a character, or one of `Tab`, `Enter`, `Escape`.
    pub(crate) async fn press(&self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            text => ("", 0, text),
        };
        let event = |kind| {
            let mut event =
                json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number });
            if !text.is_empty() && kind == "keyDown" {
                event["text"] = text.into();
            }
            event
        };
        self.ask("Input.dispatchKeyEvent", event("keyDown")).await;
        self.ask("Input.dispatchKeyEvent", event("keyUp")).await;
    }

    /// Keeps a picture of the whole page.
    pub(crate) async fn screenshot(&self, file: &Path) {
        let [width, height, seen]: [u32; 3] = self
            .evaluate("[innerWidth, Math.max(innerHeight, document.documentElement.scrollHeight), innerHeight]")
            .await;
        let clip =
            json!({ "x": 0, "y": 0, "width": width, "height": height.min(TALLEST), "scale": 1 });
        // Where all is seen anyway, a page that is written from right to left would come out shifted.
        let params =
            json!({ "format": "png", "captureBeyondViewport": height > seen, "clip": clip });
        let taken = self.ask("Page.captureScreenshot", params).await;
        let png = STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// What went wrong since this was asked last.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.wire.take_complaints(&self.session)
    }

    #[track_caller]
    pub(crate) fn assert_calm(&self, place: &str) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "{place}: {complaints:#?}");
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        self.wire
            .ask(Some(&self.session), method, params)
            .await
            .unwrap()
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_calm("a tab");
        }
    }
}
