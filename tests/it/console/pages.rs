//! Every page: there, in bounds, and reachable by its links wherever the console is served.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use http::Method;
use syncline::api::Surfaces;
use url::Url;

use crate::support::visitor::{Visitor, browse};
use crate::support::{Call, TestApp};

/// Something of everything, and the address of each page.
async fn pages(app: &TestApp, visitor: &Visitor<'_>) -> Vec<String> {
    app.known_schedules().await;
    app.silent_worker().await;
    let account = app.synced_account("org_1", "hris").await;
    let (dead, waiting) = (app.dead_job("it broke").await, app.waiting_job().await);
    let delivery = app.judged_delivery().await;
    let group = sqlx::query_scalar!("SELECT fingerprint FROM syncline.dead_jobs LIMIT 1");
    let group = group.fetch_one(app.pool()).await.unwrap();
    let fields = [
        ("filter", "state=dead"),
        ("action", "retry"),
        ("reason", "r"),
    ];
    let prepared = visitor.post("bulk", &fields).await;
    let bulk = prepared
        .header("location")
        .unwrap_or_default()
        .trim_start_matches("./")
        .to_owned();
    let mut pages = vec![format!("jobs/{dead}"), format!("jobs/{waiting}"), bulk];
    pages.extend([
        format!("accounts/{account}"),
        format!("webhooks/{delivery}"),
        format!("dead/{group}"),
    ]);
    let plain = [
        "",
        "jobs",
        "jobs?state=dead&state=retryable&kind=resync&error=x",
        "dead",
        "dead?resolved=yes",
        "bulk",
        "queues",
        "workers",
        "schedules",
        "webhooks",
        "accounts",
        "users",
        "keys",
        "queues?window=7d",
        "audit",
        "search?q=nothing",
    ];
    pages.extend(plain.map(str::to_owned));
    pages
}

#[tokio::test]
async fn every_page_keeps_the_browser_in_bounds() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let mut all = pages(&app, &admin).await;
    all.extend(
        [
            "login",
            "assets/console.js",
            "assets/console.css",
            "assets/icon.svg",
        ]
        .map(str::to_owned),
    );
    let missing = [
        "jobs/1",
        "nothing/here",
        "assets/none",
        "accounts/x",
        "schedules/none/none",
    ];

    for page in all.iter().map(String::as_str).chain(missing) {
        let answer = admin.get(page).await;
        let is_missing = missing.contains(&page);
        assert_eq!(
            answer.status.is_success(),
            !is_missing,
            "{page}: {}",
            answer.status
        );
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{page}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert!(answer.header("x-request-id").is_some());
        if page.starts_with("assets") && !is_missing {
            continue;
        }
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8"),
            "{page}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{page}");
        let html = answer.page();
        for inline in ["<style", " style=", " onclick", " onload", "javascript:"] {
            assert!(!html.contains(inline), "{page}: {inline}");
        }
        let scripts = html.matches("<script").count();
        assert_eq!(
            scripts,
            html.matches("<script type=\"module\" src=").count(),
            "{page}"
        );
        assert!(html.contains("<title>") && html.contains("<h1"), "{page}");
    }
}

#[tokio::test]
async fn every_link_works_below_any_path() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let mut followed = BTreeSet::new();
    for page in pages(&app, &admin).await {
        let html = admin.get(&page).await.page();
        // As a proxy serves it that takes `/tools/ops` away.
        let base =
            Url::parse(&format!("https://ops.example.com/tools/ops/console/{page}")).unwrap();
        for (method, link) in links(&html) {
            let target = base.join(&link).unwrap();
            let path = target.path().strip_prefix("/tools/ops/console");
            let path = path.unwrap_or_else(|| panic!("{page} leads elsewhere: {link}"));
            let query = target
                .query()
                .map(|query| format!("?{query}"))
                .unwrap_or_default();
            let inside = format!("{}{query}", path.trim_start_matches('/'));
            if method == "get" && followed.insert(inside.clone()) {
                let answer = admin.get(&inside).await;
                // The lane of a job that was made up is that of an account nobody linked.
                let is_gone = inside.starts_with("accounts/")
                    && answer.page().contains("There is no such linked account.");
                assert!(
                    [200, 303].contains(&answer.status.as_u16()) || is_gone,
                    "{page} leads to {inside}: {}",
                    answer.status
                );
            }
            if method == "post" && followed.insert(format!("post {inside}")) {
                // Without its token nothing is done; but the address takes forms.
                let status = app.call(admin.sending(&inside, &[])).await.status;
                assert!(
                    [403, 303].contains(&status.as_u16()),
                    "{page} posts to {inside}: {status}"
                );
            }
        }
    }
    assert!(followed.len() > 60, "{}", followed.len());
}

/// What a page links to and sends forms to, with the method.
fn links(html: &str) -> Vec<(&'static str, String)> {
    let mut links = Vec::new();
    for tag in html.split('<').filter_map(|rest| rest.split('>').next()) {
        let attribute = |name: &str| {
            let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
            Some(
                rest.split('"')
                    .next()?
                    .replace("&#38;", "&")
                    .replace("&amp;", "&"),
            )
        };
        let method = if tag.contains(r#"method="post""#) {
            "post"
        } else {
            "get"
        };
        for name in ["href", "src", "action"] {
            if let Some(link) = attribute(name)
                .filter(|link| !link.starts_with('#') && !tag.contains("method=\"dialog\""))
            {
                links.push((method, link));
            }
        }
    }
    links
}

#[tokio::test]
async fn the_whole_console_weighs_little() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let mut bytes = 0;
    for page in [
        "",
        "jobs",
        "assets/console.js",
        "assets/console.css",
        "assets/icon.svg",
    ] {
        bytes += admin.get(page).await.body.len();
    }
    // Not even compressed.
    assert!(bytes < 120_000, "{bytes}");
}

#[tokio::test]
async fn an_address_without_its_slash_leads_to_the_console() {
    let app = TestApp::new().await;
    let answer = app.call(browse(Method::GET, "/console")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, Some("console/"))
    );
}

#[tokio::test]
async fn a_process_has_only_the_addresses_of_its_roles() {
    let app = TestApp::new().await;
    for (has_api, has_console) in [(true, false), (false, true), (false, false)] {
        let surfaces = Surfaces {
            has_api,
            has_console,
        };
        for (path, is_there) in [
            ("/console/login", has_console),
            ("/api/merge/integrations", has_api),
            ("/health/live", true),
        ] {
            let call = Call::new(Method::GET, path).header("host", "127.0.0.1:8080");
            let status = app.call_at(surfaces, call).await.status.as_u16();
            assert_eq!(status != 404, is_there, "{path}: {status}");
        }
    }
}

#[tokio::test]
async fn any_id_is_found() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let account = app.linked_account("org_1", "hris").await;
    let (job, worker) = (app.waiting_job().await, app.silent_worker().await);
    let delivery = app.judged_delivery().await;
    let at_merge = app.merge_account_id(account).await;
    for (text, page) in [
        (job.to_string(), format!("./jobs/{job}")),
        (account.to_string(), format!("./accounts/{account}")),
        (format!(" acct:{account} "), format!("./accounts/{account}")),
        (delivery.to_string(), format!("./webhooks/{delivery}")),
        (at_merge, format!("./accounts/{account}")),
        (worker.to_string(), format!("./jobs?worker={worker}")),
        (
            "org_1".to_owned(),
            "./accounts?organization=org_1".to_owned(),
        ),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let answer = viewer.get(&format!("search?q={encoded}")).await;
        assert_eq!(answer.header("location"), Some(page.as_str()), "{text}");
    }
    let nothing = viewer
        .get("search?q=01900000-0000-7000-8000-000000000000")
        .await;
    assert!(nothing.page().contains("Nothing here has the id"));
}

#[tokio::test]
async fn an_account_shows_the_proof_or_the_gap() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let account = app.synced_account("org_1", "hris").await;
    let page = format!("accounts/{account}");

    let whole = viewer.get(&page).await.page();
    sqlx::query!("DELETE FROM syncline.fetch_windows WHERE model_id = 'hris.Employee'")
        .execute(app.pool())
        .await
        .unwrap();
    let broken = viewer.get(&page).await.page();

    assert!(
        whole.contains("In step") && whole.contains("contiguous since 20"),
        "{whole}"
    );
    assert!(!whole.contains("GAP"));
    assert!(
        broken.contains("GAP from the beginning to 20") && broken.contains("have a gap"),
        "{broken}"
    );
}

#[tokio::test]
async fn the_overview_says_what_is_wrong_and_where() {
    let app = TestApp::new().await;
    let admin = app.visitor(&["admin"]).await;
    let idle = admin.get("").await.page();
    app.silent_worker().await;
    let well = admin.get("").await.page();
    app.dead_jobs(2, "it broke").await;
    let pause = [
        ("scope", "queue"),
        ("name", "sync"),
        ("reason", "Merge is down"),
    ];
    admin.follow("queues/pause", &pause).await;
    let bad = admin.get("").await.page();

    assert!(
        idle.contains("No worker is running: no job starts."),
        "{idle}"
    );
    assert!(well.contains("All well: 1 worker at work"), "{well}");
    assert!(
        bad.contains("2 jobs are dead, of 1 cause") && bad.contains(r#"href="./dead""#),
        "{bad}"
    );
    assert!(
        bad.contains("The queue sync is paused by key test"),
        "{bad}"
    );
}

#[tokio::test]
async fn a_page_is_told_when_to_look_again() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let call = browse(Method::GET, "/console/live").header("cookie", &viewer.cookie);

    let mut stream = app.stream(call).await;
    let first = stream.next().await.unwrap().unwrap();

    assert!(first.starts_with(b"event: beat\ndata: "), "{first:?}");
}

#[tokio::test]
async fn counts_that_are_wrong_are_found_and_put_right() {
    let app = TestApp::new().await;
    let operator = app.visitor(&["operate"]).await;
    app.waiting_job().await;
    let right = operator.follow("queues/check-counts", &[]).await;
    sqlx::query!("UPDATE syncline.job_count_deltas SET change = change + 1")
        .execute(app.pool())
        .await
        .unwrap();

    let wrong = operator.follow("queues/check-counts", &[]).await;
    let mended = operator.follow("queues/check-counts", &[]).await;

    let fine = "The counts are those of a look at all jobs.";
    assert!(right.contains(fine), "{right}");
    assert!(wrong.contains("wrong, and put right"), "{wrong}");
    assert!(mended.contains(fine), "{mended}");
}

#[tokio::test]
async fn an_account_shows_how_many_requests_are_left() {
    let app = TestApp::new().await;
    let viewer = app.visitor(&["read"]).await;
    let account = app.synced_account("org_1", "hris").await;
    let lane = format!("acct:{account}");
    let page = format!("accounts/{account}");
    let mut told = Vec::new();
    for seconds in [0.0, 3600.0] {
        sqlx::query!(
            "UPDATE syncline.lanes SET limiter_tat = now() + make_interval(secs => $2) WHERE lane = $1",
            lane,
            seconds
        )
        .execute(app.pool())
        .await
        .unwrap();
        told.push(viewer.get(&page).await.page());
    }

    assert!(told[0].contains("20 are left at once now"), "{}", told[0]);
    assert!(told[1].contains("0 are left at once now"), "{}", told[1]);
}
