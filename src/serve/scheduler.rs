//! Starts runs when they are due or requested, as many at a time as there are slots.
//!
//! All state is behind one lock, which no thread holds while it waits for anything else. A thread of its own
//! ([`Scheduler::watch`]) sees due times pass; each run has a thread too, and starts what waits for its slot
//! when it is over.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use signal_hook::consts::SIGTERM;

use super::board::{Active, Board};
use super::entry::Finished;
use super::planning::{self, Passed};
use super::request::{Refusal, RunRequest, Trigger};
use super::runner::Runner;
use crate::job::schedule::Overlap;
use crate::run::{self, Run, Signals};
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
    board: Mutex<Board>,
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
            board: Mutex::new(Board::new()),
            reloading: Mutex::new(()),
            changed: Condvar::new(),
            settled: Condvar::new(),
            runner,
            concurrency,
        })
    }

    pub fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics halfway through a change.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut board = self.board();
        while !board.is_ending {
            let (now, instant) = (SystemTime::now(), Instant::now());
            board.heartbeat = instant;
            let expected = clock.0 + instant.duration_since(clock.1);
            if let Ok(correction) = expected.duration_since(now)
                && correction > CORRECTION
            {
                board.clock_was_set_back(now, correction);
            }
            clock = (now, instant);
            point("scheduler");
            self.start_due(&mut board, now);
            self.start_waiting(&mut board);
            self.record_skipped(&mut board);
            if reaped.elapsed() >= TICK {
                drop(board);
                run::reap_orphans();
                reaped = Instant::now();
                board = self.board();
                continue;
            }
            let wait = board.next_due().map_or(TICK, |at| {
                let left = at.duration_since(SystemTime::now());
                left.unwrap_or_default().min(TICK)
            });
            board = match self.changed.wait_timeout(board, wait) {
                Ok((board, _)) => board,
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
        let mut board = self.board();
        if board.is_ending {
            return Err(Refusal::Ending);
        }
        let request = board.request(name, Trigger::Http, SystemTime::now());
        let mut request = request.ok_or_else(|| Refusal::Unknown(name.to_owned()))?;
        change(&mut request);
        board.refusal(&request).map_or(Ok(()), Err)?;
        self.submit(&mut board, request.clone());
        self.start_waiting(&mut board);
        Ok(request)
    }

    /// Starts no further run, waits for `grace` until the runs in progress are over, then passes SIGTERM on to
    /// the rest, and waits for them. Waiting runs are skipped.
    pub fn end(self: &Arc<Self>, grace: Duration) {
        let mut board = self.board();
        board.is_ending = true;
        self.changed.notify_all();
        let mut waiting = std::mem::take(&mut board.queue);
        for entry in board.jobs.values_mut() {
            waiting.extend(entry.pending.drain(..));
            entry.queued = 0;
        }
        for request in waiting {
            self.skip(&mut board, request, ENDED.into());
        }
        // A time that is too far away for the clock never comes.
        let deadline = Instant::now().checked_add(grace);
        let mut is_told = false;
        while !board.is_at_rest() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) && !is_told {
                board.tell_all(SIGTERM);
                is_told = true;
            }
            let wait = match left {
                Some(left) if !is_told => left.min(TICK),
                _ => TICK,
            };
            run::reap_orphans();
            self.record_skipped(&mut board);
            board = match self.settled.wait_timeout(board, wait) {
                Ok((board, _)) => board,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn start_due(self: &Arc<Self>, board: &mut Board, now: SystemTime) {
        while let Some((job, first)) = board.take_due(now) {
            let Some(entry) = board.jobs.get_mut(&job) else {
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
            board.plan(&job, next);
            if missed > 0 {
                tracing::warn!(job, runs = missed, "due times went by");
            }
            if let Some((trigger, due)) = run
                && let Some(request) = board.request(&job, trigger, due)
            {
                self.submit(board, request);
            }
        }
    }

    /// Has a run begin once there is a slot, or be skipped.
    pub(super) fn submit(self: &Arc<Self>, board: &mut Board, request: RunRequest) {
        if board.is_ending {
            return self.skip(board, request, ENDED.into());
        }
        if let Some(refusal) = board.refusal(&request) {
            if board.skipped.len() >= MAX_SKIPPED {
                let (job, run_id) = (&request.job.name, &request.id);
                let error = format!("{MAX_SKIPPED} others wait for that");
                return tracing::error!(job, run_id, %refusal, err = error, "a skipped run is not recorded");
            }
            return self.skip(board, request, refusal.to_string());
        }
        let Some(entry) = board.jobs.get_mut(&request.job.name) else {
            return;
        };
        if entry.job.overlap == Overlap::Queue && entry.is_busy() {
            entry.pending.push_back(request);
        } else {
            entry.queued += 1;
            board.queue.push_back(request);
        }
    }

    fn start_waiting(self: &Arc<Self>, board: &mut Board) {
        while !board.is_ending && board.slots_taken() < self.concurrency {
            let Some(request) = board.queue.pop_front() else {
                return;
            };
            let name = request.job.name.clone();
            match self.start(board, request) {
                Ok(()) => {
                    if let Some(entry) = board.jobs.get_mut(&name) {
                        entry.queued = entry.queued.saturating_sub(1);
                    }
                }
                // There are too many threads or open files; the next run to end, or the next tick, tries again.
                Err((request, error)) => {
                    tracing::warn!(job = name, err = %error, "a run could not be started yet");
                    board.queue.push_front(request);
                    return;
                }
            }
        }
    }

    /// Has it recorded that a run does not take place.
    pub(super) fn skip(self: &Arc<Self>, board: &mut Board, request: RunRequest, why: String) {
        board.skipped.push_back((request, why));
        self.record_skipped(board);
    }

    /// Starts a thread that records the skipped runs, one after the other: there may be thousands, which must not have a thread
    /// each. If no thread can be started, the next call tries again, a second later at most.
    fn record_skipped(self: &Arc<Self>, board: &mut Board) {
        if board.skipped.is_empty() || board.is_recording_skipped {
            return;
        }
        let scheduler = Arc::clone(self);
        let thread = thread::Builder::new().name("skip".into()).spawn(move || {
            let mut board = scheduler.board();
            // It stays in its place until it is recorded, so that it can be found.
            while let Some((request, why)) = board.skipped.front().cloned() {
                drop(board);
                let run = scheduler.runner.skip(&request, why);
                scheduler.board().skipped.pop_front();
                scheduler.settle(&request, run);
                board = scheduler.board();
            }
            board.is_recording_skipped = false;
            scheduler.settled.notify_all();
        });
        match thread {
            Ok(_) => board.is_recording_skipped = true,
            Err(error) => {
                tracing::warn!(err = %error, "skipped runs cannot be recorded yet");
            }
        }
    }

    /// Starts the thread of a run.
    fn start(
        self: &Arc<Self>,
        board: &mut Board,
        request: RunRequest,
    ) -> Result<(), (RunRequest, std::io::Error)> {
        let (signals, teller) = match Signals::told() {
            Ok(told) => told,
            Err(error) => return Err((request, error)),
        };
        let scheduler = Arc::clone(self);
        let asked = request.clone();
        let thread = thread::Builder::new().name("run".into()).spawn(move || {
            scheduler.board().began(&asked);
            let run = scheduler.runner.perform(&asked, &signals);
            scheduler.settle(&asked, run);
        });
        if let Err(error) = thread {
            return Err((request, error));
        }
        let since = SystemTime::now();
        if let Some(entry) = board.jobs.get_mut(&request.job.name) {
            entry.running.insert(request.id.clone(), since);
        }
        let active = Active {
            since,
            teller,
            request,
        };
        board.active.insert(active.request.id.clone(), active);
        Ok(())
    }

    /// Counts a run that is over, and shows its report.
    fn settle(self: &Arc<Self>, request: &RunRequest, run: Run) {
        let mut guard = self.board();
        let board = &mut *guard;
        board.active.remove(&request.id);
        let finished = Arc::new(Finished {
            run: run.record,
            trigger: Some(request.trigger),
        });
        let retries = finished.run.attempts.saturating_sub(1);
        board.window.run(&finished.run, retries);
        if let Some(entry) = board.jobs.get_mut(&request.job.name) {
            entry.running.remove(&request.id);
            entry.count(&finished.run);
            entry.remember(&finished);
            if let Some(Ok(push)) = run.push
                && entry.shows(request)
            {
                entry.report(&request.key, push.method(), push.families().to_vec());
            }
            if !entry.is_busy()
                && let Some(next) = entry.pending.pop_front()
            {
                entry.queued += 1;
                board.queue.push_back(next);
            }
        }
        board.remember(finished);
        self.start_waiting(board);
        self.settled.notify_all();
    }
}
