use std::time::Duration;

use chrono::Utc;
use test_support::TestDatabase;

use super::*;
use crate::{
    JobId, JobState, NewJob, enqueue,
    testing::{
        self,
        probe::{self, Act, Probe},
    },
};

fn lane(name: &str) -> Scope {
    Scope::Lane(Lane::organization(name))
}

/// A job in this lane, of this organization.
async fn of_organization(client: &Client, lane: &str, organization_id: &str) -> JobId {
    let job = NewJob::new(&Probe::in_lane(lane, Act::Done)).unwrap();
    let mut connection = client.pool().acquire().await.unwrap();
    enqueue(&mut *connection, &job.organization(organization_id))
        .await
        .unwrap()
        .id
}

async fn run(client: &Client) -> usize {
    let (registry, seen) = (probe::registry(), probe::Seen::new());
    testing::run_due(client.pool(), &registry, &seen)
        .await
        .unwrap()
        .attempts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_waits_until_it_is_resumed() {
    for scope in [
        Scope::Queue(Queue::SYNC),
        Scope::Kind("probe".to_owned()),
        lane("a"),
        Scope::Organization("org_1".to_owned()),
    ] {
        let database = TestDatabase::new().await;
        let client = Client::new(database.pool().clone());
        pause(&client, &scope, "ops", "a look at it", None)
            .await
            .unwrap();
        let id = of_organization(&client, "a", "org_1").await;

        assert_eq!(run(&client).await, 0, "{scope:?}");
        // Let go while it was paused: nobody looks at the lane again by itself.
        testing::advance(client.pool(), Duration::from_hours(1))
            .await
            .unwrap();
        assert_eq!(run(&client).await, 0, "{scope:?}");
        assert!(resume(&client, &scope, "ops").await.unwrap());

        assert_eq!(run(&client).await, 1, "{scope:?}");
        let job = client.get(id).await.unwrap().unwrap();
        assert_eq!((job.state, job.attempt), (JobState::Completed, 1));
        assert!(!resume(&client, &scope, "ops").await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_lane_holds_up_no_other() {
    let database = TestDatabase::new().await;
    let client = Client::new(database.pool().clone());
    pause(&client, &lane("a"), "ops", "why", None)
        .await
        .unwrap();
    let paused = probe::add(client.pool(), &Probe::in_lane("a", Act::Done)).await;
    let other = probe::add(client.pool(), &Probe::in_lane("b", Act::Done)).await;

    assert_eq!(run(&client).await, 1);

    let state = async |id| client.get(id).await.unwrap().unwrap().state;
    assert_eq!(state(paused).await, JobState::Available);
    assert_eq!(state(other).await, JobState::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_organization_waits_in_every_lane_and_no_other_does() {
    let database = TestDatabase::new().await;
    let client = Client::new(database.pool().clone());
    let scope = Scope::Organization("org_1".to_owned());
    pause(&client, &scope, "ops", "their system is down", None)
        .await
        .unwrap();
    let mut paused = Vec::new();
    for lane in ["a", "b"] {
        paused.push(of_organization(&client, lane, "org_1").await);
    }
    // In a lane that both share, too.
    let other = of_organization(&client, "a", "org_2").await;

    assert_eq!(run(&client).await, 1);

    let state = async |id| client.get(id).await.unwrap().unwrap().state;
    assert_eq!(state(other).await, JobState::Completed);
    for id in &paused {
        let detail = client.detail(*id).await.unwrap().unwrap();
        assert_eq!(
            detail.why_not_running.unwrap().to_string(),
            "Paused: ops paused the organization `org_1` until somebody resumes it (their system is down)."
        );
    }
    assert!(resume(&client, &scope, "ops").await.unwrap());
    assert_eq!(run(&client).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_with_an_end_ends_by_itself() {
    let database = TestDatabase::new().await;
    let client = Client::new(database.pool().clone());
    #[expect(clippy::disallowed_methods, reason = "an end on the database's clock")]
    let end = Utc::now() + Duration::from_mins(10);
    pause(&client, &lane("a"), "ops", "until the deploy", Some(end))
        .await
        .unwrap();
    probe::add(client.pool(), &Probe::in_lane("a", Act::Done)).await;
    assert_eq!(run(&client).await, 0);

    testing::advance(client.pool(), Duration::from_mins(11))
        .await
        .unwrap();

    assert_eq!(run(&client).await, 1);
    assert_eq!(list(client.pool()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_tells_who_when_and_why() {
    let database = TestDatabase::new().await;
    let client = Client::new(database.pool().clone());

    pause(&client, &Scope::Everything, "ada", "first", None)
        .await
        .unwrap();
    pause(&client, &Scope::Everything, "bob", "second", None)
        .await
        .unwrap();

    let pauses = list(client.pool()).await.unwrap();
    assert_eq!(pauses.len(), 1, "one of a scope: {pauses:?}");
    assert_eq!(
        (&pauses[0].scope, &*pauses[0].paused_by, &*pauses[0].reason),
        (&Scope::Everything, "bob", "second")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_refused() {
    let database = TestDatabase::new().await;
    let client = Client::new(database.pool().clone());

    for (scope, by, reason) in [
        (Scope::Kind(String::new()), "ops", "why"),
        (Scope::Kind("a\0b".to_owned()), "ops", "why"),
        (Scope::Organization(String::new()), "ops", "why"),
        (Scope::Everything, "", "why"),
        (Scope::Everything, "ops", ""),
    ] {
        let refused = pause(&client, &scope, by, reason, None).await;
        assert!(
            matches!(refused, Err(Error::InvalidName { .. })),
            "{scope:?} {by:?}"
        );
    }
    assert_eq!(list(client.pool()).await.unwrap(), []);
}
