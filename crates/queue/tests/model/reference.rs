//! The model: what a queue with leased lanes does, told without a database.

use proptest::{prelude::*, sample::Index};
use proptest_state_machine::ReferenceStateMachine;

pub(crate) const LANES: usize = 2;
pub(crate) const WORKERS: usize = 3;
pub(crate) const MAX_ATTEMPTS: u16 = 3;
const KEYS: u8 = 2;
/// Hours until a job that waits for later is due.
pub(crate) const LATER: u32 = 5;
/// Hours until a failed job is due; drawn by chance in the queue, and then set to this.
pub(crate) const AFTER_FAILURE: u32 = 20;
/// The same, of a job that crashed.
pub(crate) const AFTER_CRASH: u32 = 1;
/// Workers in a row after which a lane is paused.
const QUARANTINE: u32 = 5;

/// Which of the model's workers; a restart makes a new one.
pub(crate) type Worker = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Waiting,
    /// By the run of this number.
    Running(usize),
    Completed,
    Cancelled,
    Dead,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) lane: usize,
    pub(crate) key: Option<u8>,
    pub(crate) place: Place,
    pub(crate) attempts: u16,
    /// Attempts recorded as failed or crashed, but the last of a dead job.
    pub(crate) recorded: usize,
    pub(crate) effects: usize,
    due_at: u32,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) owner: Option<Worker>,
    pub(crate) is_paused: bool,
    epoch: u32,
    crashes: u32,
}

#[derive(Debug, Clone)]
struct Lease {
    is_alive: bool,
    has_expired: bool,
}

/// A run, and by what the fence knows it. A run that was given back, and the next of the same job in the
/// same claim of the lane, are one to the fence: who ran the first has said that it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    job: usize,
    worker: Worker,
    /// How often the lane had been claimed.
    epoch: u32,
    attempt: u16,
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    hour: u32,
    pub(crate) jobs: Vec<Job>,
    pub(crate) lanes: Vec<Lane>,
    /// The pending job that holds each key.
    pub(crate) keys: Vec<Option<usize>>,
    leases: Vec<Lease>,
    /// Who each of the processes is at the moment.
    pub(crate) processes: Vec<Worker>,
    /// Every run there ever was, in the order of their starts; any of them may still write.
    pub(crate) runs: Vec<Run>,
    /// What the last step is expected to have answered.
    pub(crate) started: Vec<usize>,
    pub(crate) holder: Option<usize>,
    pub(crate) is_refused: bool,
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// An effect and the completion, as one.
    Write,
    Complete,
    Fail,
    Snooze,
    Cancel,
    HandBack,
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Enqueue {
        lane: usize,
        key: Option<u8>,
        is_later: bool,
    },
    /// What a worker does in a round: lets idle lanes go, claims, starts.
    Round(usize),
    Claim(usize),
    Start(usize),
    Release(usize),
    Renew(usize),
    Expire(usize),
    Rescue,
    /// A process is killed and started again; its handlers may write on for a while.
    Crash(usize),
    /// A process stops gracefully and is started again.
    Drain(usize),
    /// Any run, also one that has lost its lease or has ended.
    End(Index, End),
    Pause(usize),
    Resume(usize),
    MoveClock(u32),
}

pub(crate) struct Reference;

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        let mut state = State {
            hour: 0,
            jobs: Vec::new(),
            lanes: vec![Lane::default(); LANES],
            keys: vec![None; usize::from(KEYS)],
            leases: Vec::new(),
            processes: Vec::new(),
            runs: Vec::new(),
            started: Vec::new(),
            holder: None,
            is_refused: false,
        };
        for _ in 0..WORKERS {
            let worker = state.register();
            state.processes.push(worker);
        }
        Just(state).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let process = || 0..WORKERS;
        let lane = || 0..LANES;
        let key = prop::option::of(0..KEYS);
        let enqueue = (lane(), key, prop::bool::weighted(0.2)).prop_map(|(lane, key, is_later)| {
            Step::Enqueue {
                lane,
                key,
                is_later,
            }
        });
        let end = prop_oneof![
            3 => Just(End::Write),
            2 => Just(End::Complete),
            3 => Just(End::Fail),
            2 => Just(End::Snooze),
            1 => Just(End::Cancel),
            1 => Just(End::HandBack),
        ];
        let end = (any::<Index>(), end).prop_map(|(run, end)| Step::End(run, end));
        let end = if state.runs.is_empty() {
            process().prop_map(Step::Start).boxed()
        } else {
            end.boxed()
        };
        prop_oneof![
            8 => enqueue,
            10 => process().prop_map(Step::Round),
            3 => process().prop_map(Step::Claim),
            3 => process().prop_map(Step::Start),
            3 => process().prop_map(Step::Release),
            2 => process().prop_map(Step::Renew),
            3 => process().prop_map(Step::Expire),
            6 => Just(Step::Rescue),
            4 => process().prop_map(Step::Crash),
            1 => process().prop_map(Step::Drain),
            8 => end,
            1 => lane().prop_map(Step::Pause),
            3 => lane().prop_map(Step::Resume),
            3 => prop::sample::select(vec![AFTER_CRASH, LATER, AFTER_FAILURE])
                .prop_map(Step::MoveClock),
        ]
        .boxed()
    }

    fn preconditions(state: &State, step: &Step) -> bool {
        match step {
            Step::End(..) => !state.runs.is_empty(),
            // Two orphans with one key: which of them has it afterwards is left to chance.
            Step::Rescue => !state.has_running_twins(),
            _ => true,
        }
    }

    fn apply(mut state: State, step: &Step) -> State {
        state.started.clear();
        state.holder = None;
        state.is_refused = false;
        match step {
            Step::Enqueue {
                lane,
                key,
                is_later,
            } => state.enqueue(*lane, *key, *is_later),
            Step::Round(process) => {
                let worker = state.processes[*process];
                state.release(worker);
                state.claim(worker);
                state.start(worker);
            }
            Step::Claim(process) => state.claim(state.processes[*process]),
            Step::Start(process) => state.start(state.processes[*process]),
            Step::Release(process) => state.release(state.processes[*process]),
            Step::Renew(process) => state.renew(*process),
            Step::Expire(process) => {
                let worker = state.processes[*process];
                state.leases[worker].has_expired = true;
            }
            Step::Rescue => state.rescue(),
            Step::Crash(process) => {
                let worker = state.processes[*process];
                state.leases[worker].has_expired = true;
                state.processes[*process] = state.register();
            }
            Step::Drain(process) => state.drain(*process),
            Step::End(run, end) => {
                let run = run.index(state.runs.len());
                state.is_refused = !state.end(run, *end);
            }
            Step::Pause(lane) => state.lanes[*lane].is_paused = true,
            Step::Resume(lane) => {
                state.lanes[*lane].is_paused = false;
                state.lanes[*lane].crashes = 0;
            }
            Step::MoveClock(hours) => state.hour += hours,
        }
        state
    }
}

impl State {
    fn register(&mut self) -> Worker {
        self.leases.push(Lease {
            is_alive: true,
            has_expired: false,
        });
        self.leases.len() - 1
    }

    fn enqueue(&mut self, lane: usize, key: Option<u8>, is_later: bool) {
        let number = self.jobs.len();
        if let Some(key) = key {
            let holder = &mut self.keys[usize::from(key)];
            if holder.is_some() {
                self.holder = *holder;
                return;
            }
            *holder = Some(number);
        }
        self.holder = Some(number);
        self.jobs.push(Job {
            lane,
            key,
            place: Place::Waiting,
            attempts: 0,
            recorded: 0,
            effects: 0,
            due_at: self.hour + if is_later { LATER } else { 0 },
        });
    }

    fn is_due(&self, job: &Job) -> bool {
        job.place == Place::Waiting && job.due_at <= self.hour && !self.lanes[job.lane].is_paused
    }

    /// Every free lane with a job that may start. (The queue may claim others, and lets them go at once.)
    fn claim(&mut self, worker: Worker) {
        if !self.leases[worker].is_alive {
            return;
        }
        for lane in 0..LANES {
            let has_due = self
                .jobs
                .iter()
                .any(|job| job.lane == lane && self.is_due(job));
            if has_due && self.lanes[lane].owner.is_none() {
                self.lanes[lane].owner = Some(worker);
                self.lanes[lane].epoch += 1;
            }
        }
    }

    fn start(&mut self, worker: Worker) {
        for number in 0..self.jobs.len() {
            let job = &self.jobs[number];
            if !self.is_due(job) || self.lanes[job.lane].owner != Some(worker) {
                continue;
            }
            let run = self.runs.len();
            self.runs.push(Run {
                job: number,
                worker,
                epoch: self.lanes[job.lane].epoch,
                attempt: job.attempts + 1,
            });
            self.started.push(number);
            self.free_key(number);
            let job = &mut self.jobs[number];
            job.place = Place::Running(run);
            job.attempts += 1;
        }
    }

    /// Lanes of the worker in which nothing runs.
    fn release(&mut self, worker: Worker) {
        for number in 0..LANES {
            let is_busy = self
                .jobs
                .iter()
                .any(|job| job.lane == number && matches!(job.place, Place::Running(_)));
            let lane = &mut self.lanes[number];
            if lane.owner == Some(worker) && !is_busy {
                lane.owner = None;
            }
        }
    }

    fn renew(&mut self, process: usize) {
        let worker = self.processes[process];
        if self.leases[worker].is_alive {
            self.leases[worker].has_expired = false;
        } else {
            self.processes[process] = self.register();
        }
    }

    fn rescue(&mut self) {
        for lease in &mut self.leases {
            lease.is_alive &= !lease.has_expired;
        }
        for number in 0..LANES {
            let Some(owner) = self.lanes[number].owner else {
                continue;
            };
            if self.leases[owner].is_alive {
                continue;
            }
            self.lanes[number].owner = None;
            let orphans: Vec<_> = (0..self.jobs.len())
                .filter(|job| self.jobs[*job].lane == number)
                .filter(|job| matches!(self.jobs[*job].place, Place::Running(_)))
                .collect();
            if !orphans.is_empty() {
                let lane = &mut self.lanes[number];
                lane.crashes += 1;
                lane.is_paused |= lane.crashes >= QUARANTINE;
            }
            for job in orphans {
                self.fail(job, AFTER_CRASH);
            }
        }
    }

    fn drain(&mut self, process: usize) {
        let worker = self.processes[process];
        for run in self.runs_of(worker) {
            self.end(run, End::HandBack);
        }
        self.release(worker);
        self.leases[worker].is_alive = false;
        self.processes[process] = self.register();
    }

    /// The runs of a worker that have not ended, by their numbers.
    pub(crate) fn runs_of(&self, worker: Worker) -> Vec<usize> {
        let is_running = |run: &usize| {
            let job = &self.jobs[self.runs[*run].job];
            self.runs[*run].worker == worker && job.place == Place::Running(*run)
        };
        (0..self.runs.len()).filter(is_running).collect()
    }

    /// False when the fence refuses: the job is not this run's any more.
    fn end(&mut self, run: usize, end: End) -> bool {
        let number = self.runs[run].job;
        let Place::Running(rightful) = self.jobs[number].place else {
            return false;
        };
        if self.runs[rightful] != self.runs[run] {
            return false;
        }
        match end {
            End::Write => {
                self.jobs[number].effects += 1;
                self.jobs[number].place = Place::Completed;
            }
            End::Complete => self.jobs[number].place = Place::Completed,
            End::Cancel => self.jobs[number].place = Place::Cancelled,
            End::Fail => self.fail(number, AFTER_FAILURE),
            End::Snooze => {
                self.jobs[number].attempts -= 1;
                self.put_back(number, self.hour + LATER);
            }
            End::HandBack => {
                self.jobs[number].attempts -= 1;
                self.put_back(number, self.jobs[number].due_at);
            }
        }
        true
    }

    fn fail(&mut self, number: usize, delay: u32) {
        let job = &mut self.jobs[number];
        if job.attempts >= MAX_ATTEMPTS {
            job.place = Place::Dead;
        } else {
            job.recorded += 1;
            self.put_back(number, self.hour + delay);
        }
    }

    fn has_running_twins(&self) -> bool {
        let running = || {
            let is_running = |job: &&Job| matches!(job.place, Place::Running(_));
            self.jobs
                .iter()
                .filter(is_running)
                .filter_map(|job| job.key)
        };
        (0..KEYS).any(|key| running().filter(|other| *other == key).count() > 1)
    }

    /// It holds its key again, unless a twin has it.
    fn put_back(&mut self, number: usize, due_at: u32) {
        let job = &mut self.jobs[number];
        job.place = Place::Waiting;
        job.due_at = due_at;
        if let Some(key) = job.key {
            self.keys[usize::from(key)].get_or_insert(number);
        }
    }

    fn free_key(&mut self, number: usize) {
        for holder in &mut self.keys {
            if *holder == Some(number) {
                *holder = None;
            }
        }
    }
}
