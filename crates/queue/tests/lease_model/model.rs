//! The protocol: what can happen next, and what must always hold.

use stateright::{Model, Property};

use crate::{
    database::{Database, Failure, Fence, Job, Lane, MAX_ATTEMPTS, Place, Run, WorkerId},
    process::{Life, Process},
};

const PROCESSES: usize = 2;
/// Owners of the lane beyond which nothing new is learnt.
const MAX_EPOCH: u8 = 4;

pub(crate) const EFFECT_ONCE: &str = "an effect is there at most once";

pub(crate) const NO_JOB_LOST: &str = "no job is lost when nothing more goes wrong";

/// Which lanes a worker that knows of nothing running lets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    /// Those in which nothing runs by the database's word either.
    UnlessJobsRun,
    /// All.
    Always,
}

pub(crate) struct Protocol {
    pub(crate) fence: Fence,
    pub(crate) release: Release,
    pub(crate) jobs: usize,
    /// How many leases run out, processes are killed or drained, and answers are lost, in all.
    pub(crate) misfortunes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    database: Database,
    processes: Vec<Process>,
    /// Still to come, at most.
    misfortunes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Enqueue(usize),
    Claim(usize),
    ClaimWithoutAnswer(usize),
    Start(usize, usize),
    /// Given up; it may still take effect.
    StartWithoutAnswer(usize, usize),
    StartTakesEffect(usize),
    StartIsLost(usize),
    Write(usize, Run),
    /// Committed, but the handler is told of an error.
    WriteWithoutAnswer(usize, Run),
    Settle(usize, Run, Failure),
    Release(usize),
    Reconcile(usize),
    Renew(usize),
    Expire(WorkerId),
    Rescue,
    /// The process is killed, and another starts in its place.
    Crash(usize),
    Drain(usize),
    SignOff(usize),
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let job = Job {
            place: Place::Nowhere,
            attempt: 0,
            effects: 0,
            failed: 0,
            crashed: 0,
        };
        let mut database = Database {
            workers: Vec::new(),
            lane: Lane {
                owner: None,
                epoch: 0,
                is_due: false,
            },
            jobs: vec![job; self.jobs],
        };
        let processes = (0..PROCESSES)
            .map(|_| Process::new(database.register()))
            .collect();
        vec![State {
            database,
            processes,
            misfortunes: self.misfortunes,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (job, row) in state.database.jobs.iter().enumerate() {
            if row.place == Place::Nowhere {
                actions.push(Action::Enqueue(job));
            }
        }
        for process in 0..PROCESSES {
            state.actions_of(process, actions);
        }
        if state.misfortunes > 0 {
            for (worker, row) in state.database.workers.iter().enumerate() {
                if row.is_alive && row.is_leased {
                    actions.push(Action::Expire(WorkerId::try_from(worker).unwrap()));
                }
            }
        }
        actions.push(Action::Rescue);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.apply(&mut state, action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(EFFECT_ONCE, |_, state: &State| {
                state.database.jobs.iter().all(|job| job.effects <= 1)
            }),
            Property::always(
                "an effect and its completion are one",
                |_, state: &State| {
                    let mut jobs = state.database.jobs.iter();
                    jobs.all(|job| (job.effects > 0) == (job.place == Place::Done))
                },
            ),
            Property::always("attempts never exceed the maximum", |_, state: &State| {
                let mut jobs = state.database.jobs.iter();
                jobs.all(|job| job.attempt <= MAX_ATTEMPTS)
            }),
            // So a crash counts as one, and a graceful stop, a snooze and a lost answer as none.
            Property::always("every attempt is accounted for", |_, state: &State| {
                state.database.jobs.iter().all(is_accounted_for)
            }),
            Property::always(NO_JOB_LOST, |model: &Self, state: &State| {
                model.all_end(state.clone())
            }),
            Property::always(
                "no job is lost when every process dies",
                |model: &Self, state: &State| model.all_end(state.after_a_disaster()),
            ),
            Property::sometimes("two handlers run one job", |_, state: &State| {
                let [first, second] = &state.processes[..] else {
                    return false;
                };
                let of_second: Vec<_> = second.handlers().map(|run| run.job).collect();
                first.handlers().any(|run| of_second.contains(&run.job))
            }),
            Property::sometimes(
                "a job is done after its worker was lost",
                |_, state: &State| {
                    let mut jobs = state.database.jobs.iter();
                    jobs.any(|job| job.place == Place::Done && job.crashed > 0)
                },
            ),
            Property::sometimes("a job dies of crashes", |_, state: &State| {
                let mut jobs = state.database.jobs.iter();
                jobs.any(|job| job.place == Place::Dead && job.crashed == MAX_ATTEMPTS)
            }),
            Property::sometimes(
                "a process stops well and leaves a job",
                |_, state: &State| {
                    let has_stopped = |process: &Process| process.life == Life::Stopped;
                    state.processes.iter().any(has_stopped)
                        && state
                            .database
                            .jobs
                            .iter()
                            .any(|job| job.place == Place::Waiting)
                },
            ),
        ]
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.database.lane.epoch <= MAX_EPOCH
    }
}

/// Failed and crashed attempts, and the one that runs or that was the good one, are all there were.
fn is_accounted_for(job: &Job) -> bool {
    let ended = job.failed + job.crashed;
    match job.place {
        Place::Nowhere => job.attempt == 0,
        Place::Waiting => job.attempt == ended && job.attempt < MAX_ATTEMPTS,
        Place::Started(_) | Place::Done => job.attempt == ended + 1,
        Place::Dead => job.attempt == ended && job.attempt == MAX_ATTEMPTS,
    }
}

impl State {
    fn actions_of(&self, index: usize, actions: &mut Vec<Action>) {
        let process = &self.processes[index];
        let may_fail = self.misfortunes > 0;
        if process.is_free_to_act() {
            actions.push(Action::Claim(index));
            if may_fail {
                actions.push(Action::ClaimWithoutAnswer(index));
            }
            if process.owned.is_some() {
                for job in (0..self.database.jobs.len()).filter(|job| !process.runs_job(*job)) {
                    actions.push(Action::Start(index, job));
                    if may_fail && process.in_flight.is_none() {
                        actions.push(Action::StartWithoutAnswer(index, job));
                    }
                }
            }
        }
        if process.in_flight.is_some() {
            actions.extend([Action::StartTakesEffect(index), Action::StartIsLost(index)]);
        }
        for run in process.handlers() {
            actions.push(Action::Write(index, run));
            if may_fail {
                actions.push(Action::WriteWithoutAnswer(index, run));
            }
            actions.push(Action::Settle(index, run, Failure::Retry));
            actions.push(Action::Settle(index, run, Failure::Snooze));
        }
        if process.life == Life::Stopped {
            return;
        }
        actions.extend([Action::Reconcile(index), Action::Renew(index)]);
        if process.owned.is_some() && !process.must_reconcile && process.is_idle() {
            actions.push(Action::Release(index));
        }
        if may_fail {
            actions.push(Action::Crash(index));
        }
        match process.life {
            Life::Works if may_fail => actions.push(Action::Drain(index)),
            Life::Drains if process.owned.is_none() && !process.must_reconcile => {
                actions.push(Action::SignOff(index));
            }
            Life::Works | Life::Drains | Life::Stopped => {}
        }
    }

    /// Every process is killed, and one starts.
    fn after_a_disaster(&self) -> Self {
        let mut state = self.clone();
        for process in &mut state.processes {
            process.runs.clear();
            process.zombies.clear();
            process.life = Life::Stopped;
        }
        state
    }
}

impl Protocol {
    fn apply(&self, state: &mut State, action: Action) {
        let State {
            database,
            processes,
            misfortunes,
        } = state;
        match action {
            Action::Enqueue(job) => database.enqueue(job),
            Action::Claim(index) => {
                let process = &mut processes[index];
                if let Some(epoch) = database.claim(process.identity) {
                    process.owned = Some(epoch);
                }
            }
            Action::ClaimWithoutAnswer(index) => {
                *misfortunes -= 1;
                database.claim(processes[index].identity);
                processes[index].must_reconcile = true;
            }
            Action::Start(index, job) => {
                let process = &mut processes[index];
                let lease = process.lease();
                if let Some(run) = lease.and_then(|lease| database.start(job, lease)) {
                    process.add(run);
                }
            }
            Action::StartWithoutAnswer(index, job) => {
                *misfortunes -= 1;
                let process = &mut processes[index];
                process.in_flight = process.lease().map(|lease| (job, lease));
                process.must_reconcile = true;
            }
            Action::StartTakesEffect(index) => {
                if let Some((job, lease)) = processes[index].in_flight.take() {
                    database.start(job, lease);
                }
            }
            Action::StartIsLost(index) => processes[index].in_flight = None,
            Action::Write(index, run) => {
                database.write(run, self.fence);
                processes[index].forget(run);
            }
            Action::WriteWithoutAnswer(_, run) => {
                *misfortunes -= 1;
                database.write(run, self.fence);
            }
            Action::Settle(index, run, failure) => {
                database.settle(run, failure, self.fence);
                processes[index].forget(run);
            }
            Action::Release(index) => {
                let process = &mut processes[index];
                let may_go = self.release == Release::Always || !database.has_started();
                if let Some(lease) = process.lease().filter(|_| may_go) {
                    database.release(lease);
                }
                // Kept or gone: the next reconciliation tells.
                process.owned = None;
            }
            Action::Reconcile(index) => processes[index].reconcile(database),
            Action::Renew(index) => processes[index].renew(database),
            Action::Expire(worker) => {
                *misfortunes -= 1;
                database.workers[usize::from(worker)].is_leased = false;
            }
            Action::Rescue => database.rescue(),
            Action::Crash(index) => {
                *misfortunes -= 1;
                // What the server was told already it still does.
                let in_flight = processes[index].in_flight;
                processes[index] = Process::new(database.register());
                processes[index].in_flight = in_flight;
            }
            Action::Drain(index) => {
                *misfortunes -= 1;
                let process = &mut processes[index];
                process.life = Life::Drains;
                process.must_reconcile = true;
                // Past the deadline nobody waits for these any more.
                process.zombies.append(&mut process.runs);
            }
            Action::SignOff(index) => {
                database.sign_off(processes[index].identity);
                processes[index].life = Life::Stopped;
            }
        }
    }

    /// Whether every job comes to its end when from now on all goes well: statements are answered, leases
    /// renewed, and there is at least one worker.
    fn all_end(&self, mut state: State) -> bool {
        for index in 0..PROCESSES {
            self.apply(&mut state, Action::StartTakesEffect(index));
        }
        // Leases of those that are gone run out.
        for (worker, row) in state.database.workers.iter_mut().enumerate() {
            row.is_leased &= state.processes.iter().any(|process| {
                usize::from(process.identity) == worker && process.life != Life::Stopped
            });
        }
        let newcomer = Process::new(state.database.register());
        state.processes.push(newcomer);
        for _ in 0..=MAX_ATTEMPTS {
            for index in 0..state.processes.len() {
                self.one_good_round(&mut state, index);
            }
            self.apply(&mut state, Action::Rescue);
        }
        let mut places = state.database.jobs.iter().map(|job| job.place);
        places.all(|place| matches!(place, Place::Nowhere | Place::Done | Place::Dead))
    }

    fn one_good_round(&self, state: &mut State, index: usize) {
        if state.processes[index].life == Life::Stopped {
            return;
        }
        self.apply(state, Action::Renew(index));
        self.apply(state, Action::Reconcile(index));
        if state.processes[index].life == Life::Works {
            self.apply(state, Action::Claim(index));
            for job in 0..self.jobs {
                if !state.processes[index].runs_job(job) {
                    self.apply(state, Action::Start(index, job));
                }
            }
        }
        let runs: Vec<_> = state.processes[index].handlers().collect();
        for run in runs {
            self.apply(state, Action::Write(index, run));
        }
        if state.processes[index].is_idle() {
            self.apply(state, Action::Release(index));
        }
    }
}
