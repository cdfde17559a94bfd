//! Lists and filters.

use super::*;

/// All pages of a list, with how many there were.
async fn all(client: &Client, filter: &Filter, limit: u16) -> (Vec<JobSummary>, usize) {
    let (mut jobs, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = list(client, filter, after, limit).await.unwrap();
        assert!(page.jobs.len() <= usize::from(limit));
        jobs.extend(page.jobs);
        pages += 1;
        after = page.next;
        if after.is_none() {
            return (jobs, pages);
        }
    }
}

fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Jobs of every state, in two lanes, with what can be asked for.
async fn every_state(pool: &PgPool, client: &Client) {
    let mut connection = pool.acquire().await.unwrap();
    for lane in ["a", "b"] {
        for act in [Act::Done, Act::Cancel, Act::Fail] {
            let job = NewJob::new(&Probe::in_lane(lane, act)).unwrap();
            enqueue(&mut *connection, &job.clone().tag("once").max_attempts(1))
                .await
                .unwrap();
            enqueue(&mut *connection, &job.organization(lane))
                .await
                .unwrap();
        }
    }
    run_due(pool).await;
    probe::add(pool, &Probe::in_lane("a", Act::Gate)).await;
    let worker = probe::worker(pool).await;
    drop(probe::claim_and_start(client, worker).await);
    let job = NewJob::new(&Probe::in_lane("b", Act::Done)).unwrap();
    enqueue(
        &mut *connection,
        &job.clone().run_after(Duration::from_hours(1)),
    )
    .await
    .unwrap();
    enqueue(&mut *connection, &job.tag("50%_\\")).await.unwrap();
}

type Condition = Box<dyn Fn(&JobSummary) -> bool>;
type Case = (Filter, Condition);

fn case(
    change: impl FnOnce(&mut Filter),
    condition: impl Fn(&JobSummary) -> bool + 'static,
) -> Case {
    let mut filter = Filter::default();
    change(&mut filter);
    (filter, Box::new(condition))
}

fn names() -> Vec<Case> {
    let mut cases = vec![
        case(|f| f.kinds = strings(&["probe", "other"]), |_| true),
        case(|f| f.kinds = strings(&["other"]), |_| false),
        case(|f| f.queues = strings(&["sync"]), |_| true),
        case(|f| f.queues = strings(&["webhooks"]), |_| false),
        case(
            |f| f.lane = Some("org:b".into()),
            |job| job.lane.as_str() == "org:b",
        ),
        case(
            |f| f.organization_id = Some("a".into()),
            |job| job.organization_id.as_deref() == Some("a"),
        ),
    ];
    for tag in ["once", "50%_\\", "never"] {
        let has_tag = move |job: &JobSummary| job.tags.iter().any(|known| known == tag);
        cases.push(case(|f| f.tag = Some(tag.into()), has_tag));
    }
    cases
}

fn payloads() -> Vec<Case> {
    let of_b = |job: &JobSummary| job.lane.as_str() == "org:b";
    vec![
        case(|f| f.payload = Some("lane=b".into()), of_b),
        case(|f| f.payload = Some("lane".into()), |_| true),
        case(|f| f.payload = Some("unique".into()), |_| false),
        case(|f| f.payload = Some("lane=%".into()), |_| false),
        case(|f| f.payload = Some("lane.deeper=b".into()), |_| false),
        case(
            |f| {
                f.payload = Some("act=fail".into());
                f.states = vec![JobState::Dead];
                f.lane = Some("org:b".into());
            },
            |job| job.state == JobState::Dead && job.lane.as_str() == "org:b",
        ),
    ]
}

fn states() -> Vec<Case> {
    let one = JobState::ALL.map(|state| {
        case(
            |f| f.states = vec![state],
            move |job: &JobSummary| job.state == state,
        )
    });
    let two = [JobState::Dead, JobState::Running];
    let either = case(
        move |f| f.states = two.to_vec(),
        move |job| two.contains(&job.state),
    );
    one.into_iter().chain([either]).collect()
}

fn errors() -> Vec<Case> {
    let as_told = |job: &JobSummary| {
        job.last_error
            .as_deref()
            .is_some_and(|e| e.contains("as told"))
    };
    let mut cases = vec![
        case(|f| f.error_text = Some("AS told".into()), as_told),
        case(
            |f| f.error_class = Some("told".into()),
            |job| job.error_class.as_deref() == Some("told"),
        ),
        case(
            |f| f.http_status = Some(500),
            |job| job.http_status == Some(500),
        ),
        case(
            |f| {
                f.states = vec![JobState::Retryable];
                f.lane = Some("org:a".into());
                f.error_text = Some("told".into());
            },
            |job| job.state == JobState::Retryable && job.lane.as_str() == "org:a",
        ),
    ];
    for text in ["%", "_", "\\"] {
        cases.push(case(|f| f.error_text = Some(text.into()), |_| false));
    }
    cases
}

fn numbers_and_times(jobs: &[JobSummary]) -> Vec<Case> {
    let middle = jobs[jobs.len() / 2].created_at;
    let worker = jobs.iter().find_map(|job| job.worker);
    let parent = jobs[0].id;
    let since = TimeRange {
        from: Some(middle),
        before: None,
    };
    let until = TimeRange {
        from: None,
        before: Some(middle),
    };
    let ended_since = move |job: &JobSummary| job.finished_at.is_some_and(|end| end >= middle);
    vec![
        case(|f| f.min_attempt = Some(1), |job| job.attempt >= 1),
        case(
            |f| (f.min_attempt, f.max_attempt) = (Some(0), Some(0)),
            |job| job.attempt == 0,
        ),
        case(|f| f.created = since, move |job| job.created_at >= middle),
        case(|f| f.created = until, move |job| job.created_at < middle),
        case(|f| f.run_at = since, move |job| job.run_at >= middle),
        case(|f| f.finished = since, ended_since),
        case(|f| f.worker = worker, move |job| job.worker == worker),
        case(|f| f.parent = Some(parent), |_| false),
    ]
}

#[tokio::test]
async fn filters_find_what_fulfils_them_and_nothing_else() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    every_state(pool, &client).await;
    let (jobs, _) = all(&client, &Filter::default(), 100).await;
    assert_eq!(jobs.len(), 15);
    for state in JobState::ALL {
        assert!(jobs.iter().any(|job| job.state == state), "{state:?}");
    }

    let cases = [
        names(),
        payloads(),
        states(),
        errors(),
        numbers_and_times(&jobs),
    ];

    for (filter, condition) in cases.into_iter().flatten() {
        let expected = jobs.iter().filter(|job| condition(job));
        let expected: Vec<_> = expected.map(|job| job.id).collect();
        let (found, _) = all(&client, &filter, 2).await;
        let found: Vec<_> = found.iter().map(|job| job.id).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn a_payload_that_cannot_be_compared_ends_no_search() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let odd = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let plain = probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    sqlx::query!(
        r#"UPDATE syncline.jobs SET payload = '{"lane": "a", "odd": "\u0000"}' WHERE id = $1"#,
        odd.0
    )
    .execute(pool)
    .await
    .unwrap();
    let filter = Filter {
        payload: Some("lane=a".to_owned()),
        ..Filter::default()
    };

    let (found, _) = all(&client, &filter, 10).await;

    let found: Vec<_> = found.iter().map(|job| job.id).collect();
    assert_eq!(found, [plain]);
}

#[tokio::test]
async fn pages_neither_repeat_nor_miss_a_job_that_moves_between_them() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(probe::add(pool, &Probe::in_lane("a", Act::Done)).await);
    }

    let first = list(&client, &Filter::default(), None, 2).await.unwrap();
    run_due(pool).await;
    probe::add(pool, &Probe::in_lane("a", Act::Done)).await;
    let mut seen: Vec<_> = first.jobs.iter().map(|job| job.id).collect();
    let mut after = first.next;
    while let Some(next) = after {
        let page = list(&client, &Filter::default(), Some(next), 2)
            .await
            .unwrap();
        seen.extend(page.jobs.iter().map(|job| job.id));
        after = page.next;
    }

    ids.reverse();
    assert_eq!(
        seen, ids,
        "newest first, each once, the newcomer not at all"
    );
}

#[tokio::test]
async fn a_rare_job_is_found_behind_many_others() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let client = client(pool);
    let job = NewJob::new(&Probe::in_lane("a", Act::Done)).unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let rare = enqueue(&mut *connection, &job.clone().tag("rare"))
        .await
        .unwrap()
        .id;
    let crowd = vec![job; 2_500];
    crate::enqueue_many(&mut *connection, &crowd).await.unwrap();
    let filter = Filter {
        tag: Some("rare".to_owned()),
        ..Filter::default()
    };

    let (found, _) = all(&client, &filter, 50).await;

    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, rare);
}

#[tokio::test]
async fn filters_that_cannot_be_meant_are_refused() {
    let database = TestDatabase::new().await;
    let client = client(database.pool());
    let now = chrono::DateTime::UNIX_EPOCH;
    let filter = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let range = |from, before| TimeRange {
        from,
        before: Some(before),
    };
    let wrong = [
        filter(&|f| f.kinds = strings(&[""])),
        filter(&|f| f.queues = vec!["x".to_owned(); 101]),
        filter(&|f| f.lane = Some("a\0b".into())),
        filter(&|f| f.tag = Some("x".repeat(301))),
        filter(&|f| f.error_text = Some(String::new())),
        filter(&|f| f.payload = Some("=7".into())),
        filter(&|f| f.payload = Some("a..b=7".into())),
        filter(&|f| (f.min_attempt, f.max_attempt) = (Some(3), Some(2))),
        filter(&|f| f.http_status = Some(99)),
        filter(&|f| f.created = range(Some(now), now)),
        filter(&|f| f.finished = range(None, chrono::DateTime::<chrono::Utc>::MAX_UTC)),
    ];

    for filter in wrong {
        let error = list(&client, &filter, None, 10).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidRequest { .. } | Error::InvalidName { .. }
            ),
            "{filter:?}: {error:?}"
        );
    }
    for limit in [0, MAX_PAGE + 1] {
        assert!(
            list(&client, &Filter::default(), None, limit)
                .await
                .is_err()
        );
    }
    // Odd, but possible.
    let odd = filter(&|f| f.tag = Some("'; DROP TABLE jobs; --\u{202e}😀".into()));
    assert_eq!(list(&client, &odd, None, 10).await.unwrap().jobs, []);
}
