//! Starts runs when they are due or requested, as many at a time as there are slots.
//!
//! All state is behind one lock, which no thread holds while it waits for anything else. A thread of its own
//! ([`Scheduler::watch`]) sees due times pass; each run has a thread too, and starts what waits for its slot
//! when it is over.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use signal_hook::consts::SIGTERM;

use super::job_state::Finished;
use super::live::LiveRuns;
use super::planning::{self, Passed};
use super::request::{Refusal, RunRequest, Trigger};
use super::runner::Runner;
use super::scheduler_state::{Active, SchedulerState};
use crate::job::schedule::Overlap;
use crate::run::{self, Run, Signals, report};
use metricsjob_system::panics::locked;
use metricsjob_system::panics::{point, restarting};

/// Longest time between two looks at the clock: it may be set meanwhile.
const TICK: Duration = Duration::from_secs(1);

/// A clock that goes back by more than this was set.
const CORRECTION: Duration = Duration::from_secs(1);

/// How many runs that were due may wait to be recorded as skipped.
const MAX_SKIPPED: usize = 10_000;

/// Why a run is skipped that waits at the end.
const ENDED: &str = "the server ended before it began";

pub struct Scheduler {
    state: Mutex<SchedulerState>,
    /// Held while the job files are loaded: an older reading of them must not overwrite a newer one.
    pub(super) reloading: Mutex<()>,
    /// Something is due earlier than it was, or the end has come.
    pub(super) changed: Condvar,
    /// A run is over, while the end is waited for.
    settled: Condvar,
    runner: Runner,
    concurrency: usize,
}

impl Scheduler {
    /// One without jobs, for `concurrency` runs at a time.
    pub fn new(runner: Runner, concurrency: usize) -> Arc<Self> {
        Arc::new(Scheduler {
            state: Mutex::new(SchedulerState::new()),
            reloading: Mutex::new(()),
            changed: Condvar::new(),
            settled: Condvar::new(),
            runner,
            concurrency,
        })
    }

    pub fn state(&self) -> MutexGuard<'_, SchedulerState> {
        // Nothing panics halfway through a change.
        locked(&self.state)
    }

    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// Starts runs that are due, until the end.
    pub fn watch(self: &Arc<Self>) {
        restarting("schedule", || self.watch_clock());
    }

    fn watch_clock(self: &Arc<Self>) {
        let mut clock = (SystemTime::now(), Instant::now());
        let mut reaped = Instant::now();
        let mut state = self.state();
        while !state.is_ending {
            let (now, instant) = (SystemTime::now(), Instant::now());
            state.heartbeat = instant;
            let expected = clock.0 + instant.duration_since(clock.1);
            if let Ok(correction) = expected.duration_since(now)
                && correction > CORRECTION
            {
                state.clock_was_set_back(now, correction);
            }
            clock = (now, instant);
            point("scheduler");
            self.start_due(&mut state, now);
            self.start_waiting(&mut state);
            self.record_skipped(&mut state);
            if reaped.elapsed() >= TICK {
                drop(state);
                run::reap_orphans();
                reaped = Instant::now();
                state = self.state();
                continue;
            }
            let wait = state.next_due().map_or(TICK, |at| {
                let left = at.duration_since(SystemTime::now());
                left.unwrap_or_default().min(TICK)
            });
            state = match self.changed.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Asks for a run of the job called `name`, which `change` may change before.
    pub fn ask(
        self: &Arc<Self>,
        name: &str,
        change: impl FnOnce(&mut RunRequest),
    ) -> Result<RunRequest, Refusal> {
        let mut state = self.state();
        if state.is_ending {
            return Err(Refusal::Ending);
        }
        let request = state.request(name, Trigger::Http, SystemTime::now());
        let mut request = request.ok_or_else(|| Refusal::Unknown(name.to_owned()))?;
        change(&mut request);
        state.refusal(&request).map_or(Ok(()), Err)?;
        self.submit(&mut state, request.clone());
        self.start_waiting(&mut state);
        Ok(request)
    }

    /// Starts no further run, waits for `grace` until the runs in progress are over, then passes SIGTERM on to
    /// the rest, and waits for them. Waiting runs are skipped.
    pub fn end(self: &Arc<Self>, grace: Duration) {
        let mut state = self.state();
        state.is_ending = true;
        self.changed.notify_all();
        let mut waiting = std::mem::take(&mut state.queue);
        for entry in state.jobs.values_mut() {
            waiting.extend(entry.pending.drain(..));
            entry.queued = 0;
        }
        for request in waiting {
            self.skip(&mut state, request, ENDED.into());
        }
        // A time that is too far away for the clock never comes.
        let deadline = Instant::now().checked_add(grace);
        let mut is_told = false;
        while !state.is_at_rest() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) && !is_told {
                state.tell_all(SIGTERM);
                is_told = true;
            }
            let wait = match left {
                Some(left) if !is_told => left.min(TICK),
                _ => TICK,
            };
            run::reap_orphans();
            self.record_skipped(&mut state);
            state = match self.settled.wait_timeout(state, wait) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn start_due(self: &Arc<Self>, state: &mut SchedulerState, now: SystemTime) {
        while let Some((job, first)) = state.take_due(now) {
            let Some(entry) = state.jobs.get_mut(&job) else {
                continue;
            };
            let Some(plan) = &entry.job.plan else {
                continue;
            };
            let Passed {
                run,
                missed,
                last_due,
                next,
            } = planning::passed(plan, first, now, rand::random);
            entry.missed += missed;
            entry.last_due = Some(last_due);
            state.plan(&job, next);
            if missed > 0 {
                tracing::warn!(job, runs = missed, "due times went by");
            }
            if let Some((trigger, due)) = run
                && let Some(request) = state.request(&job, trigger, due)
            {
                self.submit(state, request);
            }
        }
    }

    /// Has a run begin once there is a slot, or be skipped.
    pub(super) fn submit(self: &Arc<Self>, state: &mut SchedulerState, request: RunRequest) {
        if state.is_ending {
            return self.skip(state, request, ENDED.into());
        }
        if let Some(refusal) = state.refusal(&request) {
            if state.skipped.len() >= MAX_SKIPPED {
                let (job, run_id) = (&request.job.name, &request.id);
                let error = format!("{MAX_SKIPPED} others wait for that");
                return tracing::error!(job, run_id, %refusal, err = error, "a skipped run is not recorded");
            }
            return self.skip(state, request, refusal.to_string());
        }
        let Some(entry) = state.jobs.get_mut(&request.job.name) else {
            return;
        };
        if entry.job.overlap == Overlap::Queue && entry.is_busy() {
            entry.pending.push_back(request);
        } else {
            entry.queued += 1;
            state.queue.push_back(request);
        }
    }

    fn start_waiting(self: &Arc<Self>, state: &mut SchedulerState) {
        while !state.is_ending && state.slots_taken() < self.concurrency {
            let Some(request) = state.queue.pop_front() else {
                return;
            };
            let name = request.job.name.clone();
            match self.start(state, request) {
                Ok(()) => {
                    if let Some(entry) = state.jobs.get_mut(&name) {
                        entry.queued = entry.queued.saturating_sub(1);
                    }
                }
                // There are too many threads or open files; the next run to end, or the next tick, tries again.
                Err((request, error)) => {
                    tracing::warn!(
                        job = name,
                        err = metricsjob_system::reason(&error),
                        "a run could not be started yet"
                    );
                    state.queue.push_front(request);
                    return;
                }
            }
        }
    }

    /// Has it recorded that a run does not take place.
    pub(super) fn skip(
        self: &Arc<Self>,
        state: &mut SchedulerState,
        request: RunRequest,
        why: String,
    ) {
        state.skipped.push_back((request, why));
        self.record_skipped(state);
    }

    /// Starts a thread that records the skipped runs, one after the other: there may be thousands, which must not have a thread
    /// each. If no thread can be started, the next call tries again, a second later at most.
    fn record_skipped(self: &Arc<Self>, state: &mut SchedulerState) {
        if state.skipped.is_empty() || state.is_recording_skipped {
            return;
        }
        let scheduler = Arc::clone(self);
        let thread = thread::Builder::new().name("skip".into()).spawn(move || {
            let mut state = scheduler.state();
            // It stays in its place until it is recorded, so that it can be found.
            while let Some((request, why)) = state.skipped.front().cloned() {
                drop(state);
                let run = scheduler.runner.skip(&request, why);
                scheduler.state().skipped.pop_front();
                scheduler.settle(&request, run);
                state = scheduler.state();
            }
            state.is_recording_skipped = false;
            scheduler.settled.notify_all();
        });
        match thread {
            Ok(_) => state.is_recording_skipped = true,
            Err(error) => {
                tracing::warn!(err = %error, "skipped runs cannot be recorded yet");
            }
        }
    }

    /// Starts the thread of a run.
    fn start(
        self: &Arc<Self>,
        state: &mut SchedulerState,
        request: RunRequest,
    ) -> Result<(), (RunRequest, std::io::Error)> {
        let (signals, teller) = match Signals::told() {
            Ok(told) => told,
            Err(error) => return Err((request, error)),
        };
        let mut entry = state.jobs.get_mut(&request.job.name);
        let live = match &mut entry {
            Some(entry) => entry.live.add(&request),
            // Nobody looks at a job whose file is gone.
            None => LiveRuns::default().add(&request),
        };
        let scheduler = Arc::clone(self);
        let asked = request.clone();
        let thread = thread::Builder::new().name("run".into()).spawn(move || {
            scheduler.state().began(&asked);
            let run = scheduler.runner.perform(&asked, &live, &signals);
            scheduler.settle(&asked, run);
        });
        let since = SystemTime::now();
        match (thread, entry) {
            (Ok(_), Some(entry)) => {
                entry.running.insert(request.id.clone(), since);
            }
            (Ok(_), None) => {}
            (Err(error), entry) => {
                if let Some(entry) = entry {
                    entry.live.remove(&request, false, Vec::new());
                }
                return Err((request, error));
            }
        }
        let active = Active {
            since,
            teller,
            request,
        };
        state.active.insert(active.request.id.clone(), active);
        Ok(())
    }

    /// Counts a run that is over, and shows its report.
    fn settle(self: &Arc<Self>, request: &RunRequest, run: Run) {
        let mut guard = self.state();
        let state = &mut *guard;
        state.active.remove(&request.id);
        let finished = Arc::new(Finished {
            run: run.record,
            trigger: Some(request.trigger),
        });
        let retries = finished.run.attempts.saturating_sub(1);
        state.window.run(&finished.run, retries);
        if run.state_failure.is_some() {
            state.window.error("state");
        }
        if let Some(entry) = state.jobs.get_mut(&request.job.name) {
            entry.running.remove(&request.id);
            entry.count(request, &finished.run);
            entry.remember(&finished);
            let is_shown = matches!(run.push, Some(Ok(_))) && entry.shows(request);
            let increments = match run.state_failure {
                None => report::increments_of(&finished.run.metrics, &request.job.metrics),
                Some(_) => Vec::new(),
            };
            entry.live.remove(request, is_shown, increments);
            if let Some(Ok(push)) = run.push
                && is_shown
            {
                entry.report(&request.key, push.method(), push.families().to_vec());
            }
            if !entry.is_busy()
                && let Some(next) = entry.pending.pop_front()
            {
                entry.queued += 1;
                state.queue.push_back(next);
            }
        }
        state.remember(finished);
        self.start_waiting(state);
        self.settled.notify_all();
    }
}
