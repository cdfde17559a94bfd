//! Each page on a desk and on a phone, by day and by night: nothing that keeps people from using it, nothing on the
//! browser's console, nothing wider than the screen; and a picture of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::ONE_AT_A_TIME;
use crate::axe::Axe;
use crate::chromium::Chromium;
use crate::hands::{Person, Way};
use crate::site::Site;
use crate::tab::{Screen, Tab};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn every_page_can_be_used_everywhere() {
    let _one = ONE_AT_A_TIME.lock().await;
    let axe = Axe::bring();
    let folder = screenshots("screenshots");
    let (chromium, world) = (Chromium::start().await, World::make().await);
    let pages = world.pages.clone();
    let site = Site::start(world.app, "console").await;
    let mut findings = Vec::new();

    let guest = chromium.tab().await;
    guest.go(&site.url("login")).await;
    look(&guest, "login", &axe, &folder, &mut findings).await;
    let admin = Person::enter(&chromium, &site, Way::Mouse, &["admin"]).await;
    let mut names = BTreeMap::new();
    for page in &pages {
        admin.tab.go(&site.url(page)).await;
        look(
            &admin.tab,
            &name_of(page, &mut names),
            &axe,
            &folder,
            &mut findings,
        )
        .await;
    }
    // With everything open that can be.
    for page in ["queues", "schedules", &pages[0]] {
        admin.tab.go(&site.url(page)).await;
        let open = "document.querySelectorAll('details').forEach((details) => (details.open = true)); true";
        admin.tab.evaluate::<bool>(open).await;
        let name = format!("{}-open", name_of(page, &mut BTreeMap::new()));
        look(&admin.tab, &name, &axe, &folder, &mut findings).await;
    }

    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(names.len() > 12, "{names:?}");
}

/// On every screen; what is wrong comes to the findings.
pub(crate) async fn look(
    tab: &Tab,
    name: &str,
    axe: &Axe,
    folder: &Path,
    findings: &mut Vec<String>,
) {
    for screen in Screen::ALL {
        let place = format!("{name} at {} px, {}", screen.width, screen.scheme);
        tab.look_on(screen).await;
        tab.until(&place, &format!("screen.width === {}", screen.width))
            .await;
        let widest: u32 = tab.evaluate("document.documentElement.scrollWidth").await;
        if widest > screen.width {
            findings.push(format!(
                "{place}: {widest} px wide, because of {}",
                wide(tab).await
            ));
        }
        if tab.evaluate::<f64>("scrollX").await != 0.0 {
            findings.push(format!("{place}: it begins beside its beginning"));
        }
        let clipped: Vec<String> = tab.evaluate(CLIPPED).await;
        findings.extend(
            clipped
                .into_iter()
                .map(|clipped| format!("{place}: clipped is {clipped}")),
        );
        let file = folder.join(format!("{name}-{}-{}.png", screen.width, screen.scheme));
        tab.screenshot(&file).await;
        findings.extend(
            tab.complaints()
                .into_iter()
                .map(|complaint| format!("{place}: {complaint}")),
        );
        let found = axe.look_at(tab).await;
        let serious = found.iter().filter(|finding| finding.is_serious());
        findings.extend(serious.map(|finding| format!("{place}: {finding:#?}")));
    }
    tab.look_on(Screen::DESK).await;
}

/// What is cut off at the edge of something, but for names of people and what is in fields, which may be of any length.
const CLIPPED: &str = "[...document.querySelectorAll('body *')]
    .filter((element) => ['hidden', 'clip'].includes(getComputedStyle(element).overflowX) && !element.closest('svg'))
    .filter((element) => element.scrollWidth > element.clientWidth + 1 && !element.matches('.me summary, input'))
    .map((element) => `${element.localName}.${element.className}: ${element.innerText}`)
    .concat([...document.querySelectorAll('input[placeholder]')].filter((input) => {
        const [style, pen] = [getComputedStyle(input), document.createElement('canvas').getContext('2d')];
        pen.font = `${style.fontSize} ${style.fontFamily}`;
        const room = input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
        // A search has a cross to empty it.
        const cross = input.type === 'search' ? parseFloat(style.fontSize) * 1.25 : 0;
        return input.clientWidth > 0 && pen.measureText(input.placeholder).width > room - cross;
    }).map((input) => `the placeholder ${input.placeholder}`))";

/// What is wider than the screen, by its tag and class.
async fn wide(tab: &Tab) -> String {
    let wide = "[...document.querySelectorAll('main *, header *')]
        .filter((element) => { const box = element.getBoundingClientRect(); return box.right > screen.width || box.left < 0; })
        .filter((element) => !element.closest('.scroll'))
        .map((element) => `${element.localName}.${element.className}`).slice(0, 5).join(', ')";
    tab.evaluate(wide).await
}

/// Of the file: what kind of page it is, and which one of that kind.
pub(crate) fn name_of(page: &str, names: &mut BTreeMap<String, u32>) -> String {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let (kind, id) = path.split_once('/').unwrap_or((path, ""));
    let mut name = if kind.is_empty() { "overview" } else { kind }.to_owned();
    if !id.is_empty() {
        name.push_str("-one");
    }
    if !query.is_empty() {
        name.push_str("-filtered");
    }
    let count = names.entry(name.clone()).or_default();
    *count += 1;
    if *count > 1 {
        format!("{name}-{count}")
    } else {
        name
    }
}

/// Where pictures are kept; those of another day are no pictures of this.
pub(crate) fn screenshots(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in the target folder");
    let folder = target.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}
