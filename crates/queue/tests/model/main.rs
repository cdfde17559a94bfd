//! The queue against a model of it: random histories of several workers, run in both, and compared after
//! every step. The model is a few vectors; the other side is Postgres and the statements of the worker.
//!
//! `PROPTEST_CASES` asks for more histories than the few of a usual run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

mod reference;
mod system;

use std::{cell::RefCell, rc::Rc};

use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};

use crate::{
    reference::{Reference, State, Step},
    system::{Stage, System},
};

/// Histories of a usual run.
const CASES: u32 = 24;

/// Proptest reads `PROPTEST_CASES` itself; what it would do unasked is too much for a usual run.
fn config() -> Config {
    let asked = Config::default();
    Config {
        cases: if asked.cases == 256 {
            CASES
        } else {
            asked.cases
        },
        max_shrink_iters: 300,
        failure_persistence: None,
        ..asked
    }
}

thread_local! {
    /// One database for all histories: making one takes longer than a history does.
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

struct Queue;

impl StateMachineTest for Queue {
    type SystemUnderTest = System;
    type Reference = Reference;

    fn init_test(_: &State) -> System {
        let stage = STAGE.with_borrow(|stage| stage.clone().unwrap());
        System::new(stage)
    }

    fn apply(mut system: System, after: &State, step: Step) -> System {
        system.apply(after, &step);
        system
    }

    fn check_invariants(system: &System, expected: &State) {
        system.compare(expected);
    }

    fn teardown(mut system: System, last: State) {
        system.end_all(&last);
    }
}

#[test]
fn every_history_ends_as_the_model_says() {
    STAGE.set(Some(Rc::new(Stage::new())));
    let histories = Reference::sequential_strategy(30..60);

    let outcome = TestRunner::new(config()).run(&histories, |(first, steps, seen)| {
        Queue::test_sequential(config(), first, steps, seen);
        Ok(())
    });

    STAGE.take();
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
