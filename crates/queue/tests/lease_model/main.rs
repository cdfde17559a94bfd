//! The lease protocol as a model, every state of which is looked at: two processes, one lane, two jobs,
//! and whatever can go wrong between any two statements.
//!
//! The model's actions are the statements of `src/worker`, each named where it is applied. Taken out of the
//! model, the fence is missed: the checker finds the history in which an effect happens twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod database;
mod model;
mod process;

use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

use crate::{
    database::Fence,
    model::{Protocol, Release},
};

/// As the code is.
const SOUND: Protocol = Protocol {
    fence: Fence::OwnerAndEpoch,
    release: Release::UnlessJobsRun,
    jobs: 1,
    misfortunes: 2,
};

#[test]
fn whatever_happens_an_effect_is_there_once_and_no_job_is_lost() {
    let checker = SOUND.checker().threads(2).spawn_bfs().join();

    checker.assert_properties();
}

#[test]
fn two_jobs_of_a_lane_do_not_confuse_each_other() {
    let protocol = Protocol {
        jobs: 2,
        misfortunes: 1,
        ..SOUND
    };

    let checker = protocol.checker().threads(2).spawn_bfs().join();

    // One misfortune is not enough for all that can happen; but nothing wrong does.
    for name in checker.discoveries().into_keys() {
        let found = checker.discovery_classification(name);
        assert!(matches!(found, DiscoveryClassification::Example), "{name}");
    }
}

#[test]
fn without_the_fence_the_checker_finds_the_effect_that_happens_twice() {
    let protocol = Protocol {
        fence: Fence::None,
        ..SOUND
    };

    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AllOf([model::EFFECT_ONCE].into()))
        .spawn_bfs()
        .join();

    checker.assert_any_discovery(model::EFFECT_ONCE);
}

/// A start that was given up may take effect when its worker has looked for it already.
#[test]
fn were_lanes_let_go_with_jobs_that_run_the_checker_would_find_the_lost_job() {
    let protocol = Protocol {
        release: Release::Always,
        ..SOUND
    };

    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::AllOf([model::NO_JOB_LOST].into()))
        .spawn_bfs()
        .join();

    checker.assert_any_discovery(model::NO_JOB_LOST);
}
