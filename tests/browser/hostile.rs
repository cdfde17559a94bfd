//! Whatever customers, third parties and attackers write stays text: 500 strings in every field that the console
//! shows, and in every field that it takes. No dialog, no report of the policy, no element that a string has made.

use serde_json::json;
use sqlx::PgPool;
use url::form_urlencoded::byte_serialize;

use crate::ONE_AT_A_TIME;
use crate::chromium::Chromium;
use crate::hands::{Person, Way};
use crate::site::Site;
use crate::strings;
use crate::support::TestApp;

/// Puts the strings (`s`, each with its number `n`) into one kind of row each.
const ROWS: [&str; 16] = [
    "INSERT INTO syncline.dead_jobs (
         id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key, organization_id, tags,
         error_class, last_error, created_at, run_at, started_at, finished_at, trace_context
     )
     SELECT ('01990000-0000-7000-8001-' || lpad(n::text, 12, '0'))::uuid, left(s, 60) || n, s, 'sync', 50, 3, 3,
         json_build_object(left(s, 90), s), s, s, s, ARRAY[s, s], left(s, 90), s, now(), now(), now(), now(), s FROM strings",
    // A dead job with an attempt for each string.
    "INSERT INTO syncline.job_attempts (job_id, attempt, worker_id, started_at, finished_at, outcome, error_class, message)
     SELECT '01990000-0000-7000-8001-000000000001', n, gen_random_uuid(), now() + n * interval '1 ms', now(), 'retried',
         left(s, 90), s FROM strings",
    // And what each of them left.
    "INSERT INTO syncline.attempt_notes (job_id, started_at, finished_at, notes)
     SELECT '01990000-0000-7000-8001-000000000001', now() + n * interval '1 ms', now(), json_build_object(
         'requests', json_build_array(json_build_object(
             'after_ms', 1, 'method', s, 'path', s, 'status', 500, 'took_ms', 1, 'request_id', s)),
         'lines', json_build_array(json_build_object('after_ms', 1, 'level', s, 'text', s))) FROM strings",
    "INSERT INTO syncline.jobs (
         id, lane, kind, queue, priority, run_at, attempt, max_attempts, payload, organization_id, tags, last_error
     )
     SELECT ('01990000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, left(s, 60) || n, s, 'sync', 50, now(), 1, 3,
         json_build_object(left(s, 90), s), s, ARRAY[s], s FROM strings",
    "INSERT INTO syncline.job_history (
         id, lane, kind, queue, priority, state, attempt, max_attempts, payload, result, organization_id, tags,
         error_class, last_error, created_at, run_at, started_at, finished_at
     )
     SELECT ('01990000-0000-7000-8002-' || lpad(n::text, 12, '0'))::uuid, left(s, 60), s, 'sync', 50, 'cancelled', 1, 3,
         '{}', json_build_object(left(s, 90), s), s, ARRAY[s], s, s, now(), now(), now(), now() FROM strings",
    "INSERT INTO syncline.lanes (lane, due_at, blocked_until, blocked_reason, crashes)
     SELECT left(s, 60) || n, now(), now() + interval '1 hour', s, 1 FROM strings",
    "INSERT INTO syncline.linked_accounts (
         id, organization_id, category, end_user_origin_id, end_user_organization_name, end_user_email_address, status,
         merge_status, merge_account_id, integration_name, last_error, user_id, display_name
     )
     SELECT ('01980000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, s, 'hris', s || n, s, s, 'error', s, s || n, s,
         s, s, s FROM strings",
    "INSERT INTO syncline.model_syncs (account_id, model_id, status, refusal, refused_at, available_through)
     SELECT '01980000-0000-7000-8000-000000000001', s, s, s, now(), now() FROM strings",
    "INSERT INTO syncline.pauses (scope, name, paused_by, reason) SELECT 'kind', s, s, s FROM strings",
    // And one of what the accounts need.
    "INSERT INTO syncline.pauses (scope, name, paused_by, reason)
     SELECT 'everything', '', string_agg(s, ' '), string_agg(s, ' ') FROM strings",
    "INSERT INTO syncline.workers (id, lease_until, host, pid, version, slots)
     SELECT gen_random_uuid(), now() + interval '1 hour', s, n, s, '{\"sync\": 1}' FROM strings",
    "INSERT INTO syncline.schedules (
         name, cron, next_run_at, cron_override, time_zone_override, overridden_by, override_reason, overridden_at,
         paused_by, pause_reason, paused_at
     )
     SELECT s, s, now(), s, s, s, s, now(), s, s, now() FROM strings",
    "INSERT INTO syncline.audit_log (position, at, actor, role, action, target, reason, detail, hash)
     SELECT n + 10, now(), s, s, s, s, s, s, sha256('') FROM strings",
    "INSERT INTO syncline.webhook_deliveries (
         id, shard, body_hash, body_sealed, body_key_id, secret_id, verdict, verdict_detail, processed_at, event,
         merge_account_id, account_id
     )
     SELECT ('01990000-0000-7000-8003-' || lpad(n::text, 12, '0'))::uuid, 0, sha256(n::text::bytea), '', '', s,
         'unparseable', s, now(), s, s, ('01980000-0000-7000-8000-' || lpad((n % 2)::text, 12, '0'))::uuid FROM strings",
    "INSERT INTO syncline.dead_groups (fingerprint, first_seen_at, resolved_at, resolved_by, reason)
     SELECT fingerprint, now(), now() - (n % 2) * interval '1 day', s, s
     FROM syncline.dead_jobs JOIN strings ON s = kind WHERE n % 3 = 0",
    "INSERT INTO syncline.bulk_actions (id, bulk, jobs, sample)
     SELECT ('01990000-0000-7000-8004-' || lpad(n::text, 12, '0'))::uuid,
         jsonb_set(jsonb_set(jsonb_set(bulk::jsonb, '{request}', jsonb_build_object('by', s, 'reason', s)),
             '{filter,error_text}', to_jsonb(s)), '{filter,organization_id}', to_jsonb(s)), jobs, sample
     FROM syncline.bulk_actions, strings",
];
/// One row of each kind whose every field holds all of the strings (`s`), as far as an index lets it.
const ALL_IN_ONE: [&str; 6] = [
    "INSERT INTO syncline.dead_jobs (
         id, lane, kind, queue, priority, attempt, max_attempts, payload, unique_key, limit_key, organization_id, tags,
         error_class, last_error, created_at, run_at, started_at, finished_at, trace_context
     )
     SELECT '01990000-0000-7000-8001-000000000900', 'all', left(s, 500), 'sync', 50, 3, 3, json_build_object('all', s, s, 'all'), s,
         s, s, ARRAY[s, s], s, s, now(), now(), now(), now(), s FROM strings",
    "INSERT INTO syncline.jobs (
         id, lane, kind, queue, priority, run_at, attempt, max_attempts, payload, limit_key, organization_id, tags,
         last_error, trace_context
     )
     SELECT '01990000-0000-7000-8000-000000000900', 'all', left(s, 500), 'sync', 50, now(), 1, 3, json_build_object(s, s), s, s,
         ARRAY[s], s, s FROM strings",
    "INSERT INTO syncline.job_history (
         id, lane, kind, queue, priority, state, attempt, max_attempts, payload, result, organization_id, tags,
         error_class, last_error, created_at, run_at, started_at, finished_at, trace_context
     )
     SELECT '01990000-0000-7000-8002-000000000900', s, left(s, 500), 'sync', 50, 'cancelled', 1, 3, json_build_object(s, s),
         json_build_object('all', s), s, ARRAY[s], s, s, now(), now(), now(), now(), s FROM strings",
    "INSERT INTO syncline.linked_accounts (
         id, organization_id, category, end_user_origin_id, end_user_organization_name, end_user_email_address, status,
         merge_status, merge_account_id, integration_name, last_error, user_id, display_name
     )
     SELECT '01980000-0000-7000-8000-000000000900', 'all', 'hris', 'all', s, s, 'error', s, 'all', s, s, s, s
     FROM strings",
    "INSERT INTO syncline.webhook_deliveries (
         id, shard, body_hash, body_sealed, body_key_id, secret_id, verdict, verdict_detail, processed_at, event
     )
     SELECT '01990000-0000-7000-8003-000000000900', 0, sha256('all'), '', '', s, 'unparseable', s, now(), s FROM strings",
    "INSERT INTO syncline.bulk_actions (id, bulk, jobs, sample)
     SELECT '01990000-0000-7000-8004-000000000900',
         jsonb_set(bulk::jsonb, '{request}', jsonb_build_object('by', s, 'reason', s)), jobs, sample
     FROM syncline.bulk_actions, strings
     LIMIT 1",
];
/// Their pages: each string in each field of each kind of page.
const PAGES: [&str; 7] = [
    "jobs/01990000-0000-7000-8001-000000000900",
    "jobs/01990000-0000-7000-8000-000000000900",
    "jobs/01990000-0000-7000-8002-000000000900",
    "accounts/01980000-0000-7000-8000-000000000900",
    "webhooks/01990000-0000-7000-8003-000000000900",
    "bulk/01990000-0000-7000-8004-000000000900",
    // The job of the attempts.
    "jobs/01990000-0000-7000-8001-000000000001",
];
/// Lists; gone through to their ends, they show all of the strings.
const LISTS: [&str; 12] = [
    "",
    "jobs",
    "dead",
    "dead?resolved=yes",
    "bulk",
    "queues",
    "workers",
    "schedules",
    "webhooks",
    "accounts",
    "audit",
    "accounts/01980000-0000-7000-8000-000000000001",
];
/// What a page has of its own; nothing else may be in it, whatever the strings say.
const STRANGERS: &str = r#"
    [...document.querySelectorAll("script, img, iframe, object, embed, video, math, style, link, base, meta, template, [onload], [onerror], [onfocus], [style]")]
        .filter((element) => !(element.parentNode === document.head && ["SCRIPT", "LINK", "META"].includes(element.tagName)))
        .map((element) => element.outerHTML.slice(0, 200))
        .concat([...document.links].filter(({ href }) => !href.startsWith(location.origin + "/console/")).map(({ href }) => href))
        .concat([...document.querySelectorAll("form[action]")]
            .map((form) => new URL(form.getAttribute("action"), location).href)
            .filter((address) => !address.startsWith(location.origin + "/console/")))
        .concat(document.head.querySelectorAll("script").length <= 1 && document.head.querySelectorAll("meta, link").length === 4 ? [] : ["the head is another"])
"#;

#[tokio::test(flavor = "multi_thread")]
async fn strings_stay_text_wherever_they_stand() {
    let _one = ONE_AT_A_TIME.lock().await;
    let (chromium, app, strings) = (
        Chromium::start().await,
        TestApp::new().await,
        strings::all(),
    );
    let site = Site::start(app, "console").await;
    let person = Person::enter(&chromium, &site, Way::Mouse, &["admin"]).await;
    prepare_bulk(&person).await;
    fill(site.app.pool(), &strings).await;

    for page in PAGES {
        person.tab.go(&site.url(page)).await;
        person.assert_harmless(page).await;
        let last = json!(strings.last().unwrap());
        let is_shown = format!("document.body.textContent.includes({last})");
        assert!(person.tab.evaluate::<bool>(&is_shown).await, "{page}");
    }
    for list in LISTS {
        person.tab.go(&site.url(list)).await;
        person.assert_harmless(list).await;
        let next = "document.querySelector('a[rel=next]')?.href";
        while let Some(next) = person.tab.look::<String>(next).await {
            person.tab.go(&next).await;
            person.assert_harmless(list).await;
        }
    }
    for (at, string) in strings.iter().enumerate() {
        rename_keys(site.app.pool(), string).await;
        let page = page_of(at, string);
        person.tab.go(&site.url(&page)).await;
        person.assert_harmless(&page).await;
        // As far as a browser shows it: without what HTML turns into something else.
        if at % 10 == 0 {
            person
                .tab
                .go(&site.url(&format!("jobs/01990000-0000-7000-8001-{:012}", at + 1)))
                .await;
            let shown = string.replace("\r\n", "\n").replace('\r', "\n");
            let is_shown = format!("document.body.textContent.includes({})", json!(shown));
            assert!(person.tab.evaluate::<bool>(&is_shown).await, "{string:?}");
        }
    }
}

/// A page of one string: a row of its own, or what it is when it is typed into a field; by turns, so that each of these
/// gets to see strings of every sort. Lists and full pages have shown all of them already.
fn page_of(at: usize, string: &str) -> String {
    let id = |kind: &str, number: usize| format!("{kind}{number:012}");
    let (number, encoded) = (
        at + 1,
        byte_serialize(string.as_bytes()).collect::<String>(),
    );
    let short: String =
        byte_serialize(string.chars().take(60).collect::<String>().as_bytes()).collect();
    let kinds = [
        id("jobs/01990000-0000-7000-8001-", number),
        id("jobs/01990000-0000-7000-8000-", number),
        id("jobs/01990000-0000-7000-8002-", number),
        id("accounts/01980000-0000-7000-8000-", number),
        id("webhooks/01990000-0000-7000-8003-", number),
        id("bulk/01990000-0000-7000-8004-", number),
        format!(
            "jobs?error={short}&organization={short}&lane={short}&tag={short}&class={short}&kind={short}&group={short}&queue={short}"
        ),
        format!("search?q={encoded}"),
        format!("accounts?organization={encoded}&category={encoded}"),
        format!("webhooks?event={encoded}"),
        format!("audit?target={encoded}"),
        format!("login?next={encoded}"),
    ];
    kinds[(at + at / 24) % kinds.len()].clone()
}

impl Person<'_> {
    async fn assert_harmless(&self, page: &str) {
        self.tab.assert_calm(page);
        let strangers: Vec<String> = self.tab.evaluate(STRANGERS).await;
        assert!(strangers.is_empty(), "{page}: {strangers:#?}");
    }
}

/// Something that rows of bulk actions can be made after.
async fn prepare_bulk(person: &Person<'_>) {
    use queue::admin::{Action, Filter};
    use syncline::ops::{Actor, Ops, Role};

    let pool = person.site.app.pool();
    let actor = Actor {
        name: "test".to_owned(),
        role: Role::Admin,
    };
    let ops = Ops::new(pool.clone(), queue::Client::new(pool.clone()), actor);
    ops.prepare_bulk(Filter::default(), Action::Delete, "r")
        .await
        .unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "rows that the service would not write"
)]
async fn fill(pool: &PgPool, strings: &[String]) {
    // The columns' names of the strings come before the statement, whatever it is.
    let each = "WITH strings AS (SELECT s, n FROM unnest($1::text[]) WITH ORDINALITY AS t (s, n))";
    let one = "WITH strings AS (SELECT string_agg(s, ' ' ORDER BY n) AS s
               FROM unnest($1::text[]) WITH ORDINALITY AS t (s, n))";
    let rows = ROWS.map(|rows| (each, rows));
    for (strings_as, rows) in rows.into_iter().chain(ALL_IN_ONE.map(|rows| (one, rows))) {
        let statement = format!("{strings_as} {rows}");
        let filled = sqlx::query(sqlx::AssertSqlSafe(statement))
            .bind(strings)
            .execute(pool)
            .await;
        filled.unwrap_or_else(|error| panic!("{error}: {rows}"));
    }
    queue::counts::repair(pool).await.unwrap();
}

/// The name of who is logged in stands on each page.
async fn rename_keys(pool: &PgPool, name: &str) {
    sqlx::query!("UPDATE syncline.api_keys SET name = $1", name)
        .execute(pool)
        .await
        .unwrap();
}
