use test_support::TestDatabase;

use super::*;

const BUDGET: ErrorBudget = ErrorBudget {
    errors: 6,
    window: Duration::from_millis(1_500),
};

/// Promise P5: all processes together never get more error answers than the budget in a rolling window.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_whose_every_request_fails_stays_within_the_budget() {
    let database = TestDatabase::new().await;
    let answers: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let until = Instant::now() + BUDGET.window * 5;
    let mut requests = Vec::new();
    for _process in 0..3 {
        let purse = Purse::new(database.pool().clone(), BUDGET, Arc::default());
        for _job in 0..4 {
            let (purse, answers) = (purse.clone(), Arc::clone(&answers));
            requests.push(async move {
                while Instant::now() < until {
                    if let Ok(permit) = purse.permit().await {
                        answers.lock().unwrap().push(Instant::now());
                        drop(permit);
                    }
                }
            });
        }
    }

    futures::future::join_all(requests).await;

    let mut answers = answers.lock().unwrap().clone();
    answers.sort();
    for (first, at) in answers.iter().enumerate() {
        let within = answers[first..]
            .iter()
            .take_while(|answer| **answer < *at + BUDGET.window)
            .count();
        assert!(within <= BUDGET.errors as usize, "{within} in one window");
    }
    assert!(
        answers.len() > BUDGET.errors as usize,
        "permits come back when the window has passed"
    );
}

#[tokio::test]
async fn answers_give_their_permit_back_at_once() {
    let database = TestDatabase::new().await;
    let purse = Purse::new(database.pool().clone(), BUDGET, Arc::default());

    for _ in 0..BUDGET.errors * 5 {
        purse.permit().await.unwrap().succeeded();
    }
}

#[tokio::test]
async fn a_spent_budget_makes_jobs_snooze() {
    let database = TestDatabase::new().await;
    let budget = ErrorBudget {
        window: Duration::from_mins(1),
        ..BUDGET
    };
    let tally = Arc::new(Tally::default());
    let purse = Purse::new(database.pool().clone(), budget, Arc::clone(&tally));
    purse.permit().await.unwrap().succeeded();
    for _ in 0..budget.errors {
        drop(purse.permit().await.unwrap());
    }

    let refused = purse.permit().await;

    assert!(refused.is_err(), "{refused:?}");
    let expected = u64::from(budget.errors) + 1;
    assert_eq!(
        tally.waiting(),
        expected,
        "each error, and the request put off"
    );
}

/// No process keeps the others out: what it does not use goes to whoever is short.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_gets_its_share_of_a_busy_one() {
    let database = TestDatabase::new().await;
    let (first, second) = (
        Purse::new(database.pool().clone(), BUDGET, Arc::default()),
        Purse::new(database.pool().clone(), BUDGET, Arc::default()),
    );
    let mut busy = Vec::new();
    while busy.len() < BUDGET.errors as usize {
        busy.extend(first.permit().await);
    }
    assert_eq!(first.shared.lock().held, BUDGET.errors, "alone, it has all");
    busy.into_iter().for_each(Permit::succeeded);

    let shared = async {
        loop {
            first.permit().await.map(Permit::succeeded).ok();
            if let Ok(permit) = second.permit().await {
                permit.succeeded();
                break;
            }
        }
    };

    timeout(Duration::from_mins(1), shared)
        .await
        .expect("it gets one");
    let held: i64 = sqlx::query_scalar!(
        r#"SELECT coalesce(sum(permits), 0) AS "held!" FROM syncline.error_budget_shares"#
    )
    .fetch_one(database.pool())
    .await
    .unwrap();
    assert!(held <= i64::from(BUDGET.errors));
}
