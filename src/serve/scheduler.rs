//! Starts runs when they are due or asked for, as many at a time as there are slots.
//!
//! All that is known is behind one lock, which nobody holds while anything is waited for. A thread of its own
//! ([`Scheduler::watch`]) sees due times pass; each run has a thread too, and starts what waits for its slot
//! when it is over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use signal_hook::consts::SIGTERM;

use super::entry::{Entry, Finished, MAX_PENDING, Next};
use super::lag::Lag;
use super::planning::{self, Passed};
use super::request::{Refusal, Request, Trigger};
use super::restore::Restored;
use super::runner::{Runner, Settled};
use super::window::Window;
use crate::job::catalog::{Catalog, CatalogError};
use crate::job::schedule::{Missed, Overlap};
use crate::job::{Job, Work};
use crate::metrics::GroupingKey;
use crate::run::{self, Signals, Teller};

/// How long nobody looks at the clock, at most: it may be set meanwhile.
const TICK: Duration = Duration::from_secs(1);

/// How many runs may wait for a slot.
const MAX_QUEUE: usize = 10_000;

/// How many runs that are over are remembered whole, besides the last of each job.
const REMEMBERED: usize = 64;

/// How many of the last lines of stderr are kept of a command, if its job does not say.
const TAIL: usize = 20;

/// A clock that goes back by more than this was set.
const CORRECTION: Duration = Duration::from_secs(1);

pub struct Scheduler {
    board: Mutex<Board>,
    /// Held while the job files are loaded: what was read first must not be taken last.
    reloading: Mutex<()>,
    /// Something is due earlier than it was, or the end has come.
    changed: Condvar,
    /// A run is over, while the end is waited for.
    settled: Condvar,
    runner: Runner,
    concurrency: usize,
}

/// All that is known.
pub struct Board {
    pub jobs: BTreeMap<String, Entry>,
    /// What is wrong with job files: each a text of one or more lines.
    pub problems: Vec<String>,
    pub queue: VecDeque<Request>,
    /// The runs that go on, by their ids.
    pub active: HashMap<String, Active>,
    pub remembered: VecDeque<Arc<Finished>>,
    pub lag: Lag,
    pub window: Window,
    /// When the scheduler last looked.
    pub heartbeat: Instant,
    pub is_ending: bool,
    due: BinaryHeap<Reverse<Due>>,
    generation: u64,
}

/// A run that goes on.
pub struct Active {
    pub request: Request,
    pub since: SystemTime,
    teller: Teller,
    /// Whether it has a slot.
    has_slot: bool,
}

/// When which job is due. It is void once the job has another generation.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: SystemTime,
    generation: u64,
    job: String,
}

/// What loading the job files came to.
#[derive(Debug)]
pub struct Reloaded {
    pub jobs: usize,
    pub problems: Vec<String>,
}

impl Scheduler {
    /// One without jobs, for `concurrency` runs at a time.
    pub fn new(runner: Runner, concurrency: usize) -> Arc<Self> {
        Arc::new(Scheduler {
            board: Mutex::new(Board {
                jobs: BTreeMap::new(),
                problems: Vec::new(),
                queue: VecDeque::new(),
                active: HashMap::new(),
                remembered: VecDeque::new(),
                lag: Lag::default(),
                window: Window::default(),
                heartbeat: Instant::now(),
                is_ending: false,
                due: BinaryHeap::new(),
                generation: 0,
            }),
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

    /// Takes the jobs that `catalog` has now, demos only `with_demos`. A job whose file cannot be read stays
    /// as it was.
    ///
    /// # Errors
    ///
    /// A directory of jobs cannot be read; nothing has changed.
    pub fn reload(
        self: &Arc<Self>,
        catalog: &Catalog,
        with_demos: bool,
    ) -> Result<Reloaded, CatalogError> {
        let _turn = (self.reloading.lock()).unwrap_or_else(PoisonError::into_inner);
        let mut problems = Vec::new();
        let mut loaded: BTreeMap<String, (Arc<Job>, GroupingKey)> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for found in catalog.list()? {
            let job = found.job.map_err(|error| error.to_string());
            let with_key = job.and_then(|job| match check(&job) {
                Ok(key) => Ok((job, key)),
                Err(problem) => Err(format!("{}: {problem}", found.defined_in)),
            });
            match with_key {
                Ok((job, _)) if job.is_demo && !with_demos => {}
                Ok((job, key)) => drop(loaded.insert(found.name, (Arc::new(prepared(job)), key))),
                Err(problem) => {
                    problems.push(problem);
                    unreadable.push(found.name);
                }
            }
        }
        let known: Vec<String> = self.board().jobs.keys().cloned().collect();
        let fresh = loaded.iter().filter(|(name, _)| !known.contains(name));
        let restored: HashMap<String, Restored> = fresh
            .map(|(name, (job, key))| (name.clone(), self.runner.restore(job, key)))
            .collect();

        let now = SystemTime::now();
        let mut guard = self.board();
        let board = &mut *guard;
        let mut gone = Vec::new();
        board.jobs.retain(|name, entry| {
            let stays = loaded.contains_key(name) || unreadable.contains(name);
            if !stays {
                gone.extend(entry.pending.drain(..));
            }
            stays
        });
        let jobs = &board.jobs;
        board.queue.retain(|request| {
            let stays = jobs.contains_key(&request.job.name);
            if !stays {
                gone.push(request.clone());
            }
            stays
        });
        let mut missed = Vec::new();
        for (name, (job, key)) in loaded {
            let is_new = !board.jobs.contains_key(&name);
            let entry = board.jobs.entry(name.clone());
            let entry = entry.or_insert_with(|| Entry::new(Arc::clone(&job), key.clone()));
            if is_new && let Some(restored) = restored.get(&name) {
                restored.put_into(entry);
                let last = restored.last_start();
                let plan = job
                    .plan
                    .as_ref()
                    .filter(|plan| plan.missed == Missed::RunOnce);
                if let (Some(plan), Some(last)) = (plan, last)
                    && planning::went_by(plan, last, now)
                {
                    missed.push(name.clone());
                }
            }
            let is_planned_anew = is_new || entry.job.plan != job.plan;
            (entry.job, entry.key) = (job, key);
            if is_planned_anew {
                let next = entry.job.plan.as_ref();
                let next = next.and_then(|plan| planning::next(plan, now, rand::random));
                board.generation += 1;
                plan_next(&mut board.due, entry, &name, next, board.generation);
            }
        }
        for name in missed {
            if let Some(request) = board.request(&name, Trigger::Missed, now) {
                self.submit(board, request);
            }
        }
        for request in gone {
            self.skip(board, request, "its job file is gone".into());
        }
        board.problems = problems.clone();
        self.changed.notify_all();
        Ok(Reloaded {
            jobs: board.jobs.len(),
            problems,
        })
    }

    /// Starts what is due, until the end.
    pub fn watch(self: &Arc<Self>) {
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
            self.start_due(&mut board, now);
            self.start_waiting(&mut board);
            if reaped.elapsed() >= TICK {
                drop(board);
                run::reap_orphans();
                reaped = Instant::now();
                board = self.board();
                continue;
            }
            let next = board.due.peek().map(|Reverse(due)| due.at);
            let wait = next.map_or(TICK, |at| {
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
        change: impl FnOnce(&mut Request),
    ) -> Result<Request, Refusal> {
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

    /// Starts nothing more, waits for `grace` until what runs is over, then passes on SIGTERM, and waits for
    /// the rest. What waited is skipped.
    pub fn end(self: &Arc<Self>, grace: Duration) {
        let mut board = self.board();
        board.is_ending = true;
        self.changed.notify_all();
        let pending = board.jobs.values_mut();
        let pending: Vec<Request> = pending.flat_map(|entry| entry.pending.drain(..)).collect();
        let waiting: Vec<Request> = board.queue.drain(..).collect();
        for request in waiting {
            if let Some(entry) = board.jobs.get_mut(&request.job.name) {
                entry.queued = entry.queued.saturating_sub(1);
            }
            self.skip(
                &mut board,
                request,
                "the server ended before it began".into(),
            );
        }
        for request in pending {
            self.skip(
                &mut board,
                request,
                "the server ended before it began".into(),
            );
        }
        // A time that is too far away for the clock never comes.
        let deadline = Instant::now().checked_add(grace);
        let mut is_told = false;
        while !board.active.is_empty() {
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
            board = match self.settled.wait_timeout(board, wait) {
                Ok((board, _)) => board,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn start_due(self: &Arc<Self>, board: &mut Board, now: SystemTime) {
        while let Some(Reverse(due)) = board.due.peek()
            && due.at <= now
        {
            let Some(Reverse(Due {
                generation, job, ..
            })) = board.due.pop()
            else {
                return;
            };
            let Some(entry) = board.jobs.get_mut(&job) else {
                continue;
            };
            if entry.generation != generation {
                continue;
            }
            let (Some(plan), Some(first)) = (&entry.job.plan, entry.next) else {
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
            board.generation += 1;
            plan_next(&mut board.due, entry, &job, next, board.generation);
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
    fn submit(self: &Arc<Self>, board: &mut Board, request: Request) {
        if let Some(refusal) = board.refusal(&request) {
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
            match self.start(board, request, None) {
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

    /// Records that a run does not take place.
    fn skip(self: &Arc<Self>, board: &mut Board, request: Request, why: String) {
        if let Err((request, error)) = self.start(board, request, Some(why)) {
            let (job, run_id) = (&request.job.name, &request.id);
            tracing::error!(job, run_id, err = %error, "a skipped run could not be recorded");
        }
    }

    /// Starts the thread of a run, which is skipped if there is a reason to.
    fn start(
        self: &Arc<Self>,
        board: &mut Board,
        request: Request,
        why_not: Option<String>,
    ) -> Result<(), (Request, std::io::Error)> {
        let (signals, teller) = match Signals::told() {
            Ok(told) => told,
            Err(error) => return Err((request, error)),
        };
        let has_slot = why_not.is_none();
        let scheduler = Arc::clone(self);
        let asked = request.clone();
        let thread = thread::Builder::new().name("run".into()).spawn(move || {
            let settled = match why_not {
                None => {
                    scheduler.board().began(&asked);
                    scheduler.runner.perform(&asked, &signals)
                }
                Some(why) => scheduler.runner.skip(&asked, why),
            };
            scheduler.settle(&asked, settled);
        });
        if let Err(error) = thread {
            return Err((request, error));
        }
        let since = SystemTime::now();
        if has_slot && let Some(entry) = board.jobs.get_mut(&request.job.name) {
            entry.running.insert(request.id.clone(), since);
        }
        let active = Active {
            since,
            teller,
            has_slot,
            request,
        };
        board.active.insert(active.request.id.clone(), active);
        Ok(())
    }

    /// A run is over, and recorded.
    fn settle(self: &Arc<Self>, request: &Request, settled: Settled) {
        let mut guard = self.board();
        let board = &mut *guard;
        board.active.remove(&request.id);
        let finished = Arc::new(Finished {
            run: settled.run,
            trigger: Some(request.trigger),
        });
        let retries = finished.run.attempts.saturating_sub(1);
        board.window.run(&finished.run, retries);
        if let Some(entry) = board.jobs.get_mut(&request.job.name) {
            entry.running.remove(&request.id);
            entry.count(&finished.run);
            entry.remember(&finished);
            if let Some((method, families)) = settled.report {
                entry.report(&request.key, method, families);
            }
            if !entry.is_busy()
                && let Some(next) = entry.pending.pop_front()
            {
                entry.queued += 1;
                board.queue.push_back(next);
            }
        }
        if board.remembered.len() == REMEMBERED {
            board.remembered.pop_front();
        }
        board.remembered.push_back(finished);
        self.start_waiting(board);
        self.settled.notify_all();
    }
}

impl Board {
    /// The request for a run of a job as it is defined now.
    fn request(&self, name: &str, trigger: Trigger, due: SystemTime) -> Option<Request> {
        let entry = self.jobs.get(name)?;
        Some(Request {
            id: run::new_id(),
            job: Arc::clone(&entry.job),
            key: entry.key.clone(),
            trigger,
            due,
        })
    }

    /// Why the run cannot even wait.
    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let entry = self.jobs.get(&request.job.name)?;
        if self.queue.len() >= MAX_QUEUE {
            let text = format!("{MAX_QUEUE} runs wait for a free slot already");
            return Some(Refusal::Full(text));
        }
        match entry.job.overlap {
            Overlap::Allow => None,
            Overlap::Skip if !entry.is_busy() => None,
            Overlap::Queue if entry.pending.len() < MAX_PENDING => None,
            Overlap::Skip => {
                let text = match entry.running.keys().next() {
                    Some(run) => format!("another run goes on ({run})"),
                    None => "another run waits for a free slot".into(),
                };
                Some(Refusal::Busy(text))
            }
            Overlap::Queue => {
                let text = format!("{MAX_PENDING} runs of the job wait already");
                Some(Refusal::Full(text))
            }
        }
    }

    pub fn slots_taken(&self) -> usize {
        self.active.values().filter(|run| run.has_slot).count()
    }

    /// The run with this id that waits.
    pub fn waiting(&self, id: &str) -> Option<&Request> {
        let pending = self.jobs.values().flat_map(|entry| &entry.pending);
        self.queue.iter().chain(pending).find(|run| run.id == id)
    }

    /// Gives `signal` to all runs that go on.
    pub fn tell_all(&self, signal: i32) {
        for run in self.active.values() {
            run.teller.tell(signal);
        }
    }

    fn began(&mut self, request: &Request) {
        if request.trigger == Trigger::Schedule {
            let lag = SystemTime::now().duration_since(request.due);
            self.lag.add(lag.unwrap_or_default());
        }
    }

    fn clock_was_set_back(&mut self, now: SystemTime, by: Duration) {
        let seconds = by.as_secs_f64();
        tracing::warn!(seconds, "the clock was set back");
        for (name, entry) in &mut self.jobs {
            let job = Arc::clone(&entry.job);
            let Some(plan) = &job.plan else { continue };
            let next = planning::after_correction(plan, entry.last_due, now, by, rand::random);
            self.generation += 1;
            plan_next(&mut self.due, entry, name, next, self.generation);
        }
    }
}

fn plan_next(
    due: &mut BinaryHeap<Reverse<Due>>,
    entry: &mut Entry,
    name: &str,
    next: Option<Next>,
    generation: u64,
) {
    entry.generation = generation;
    entry.next = next;
    if let Some(next) = next {
        due.push(Reverse(Due {
            at: next.at,
            generation,
            job: name.to_owned(),
        }));
    }
}

/// The grouping key of a job that is given no further labels.
///
/// # Errors
///
/// There is none, or the job cannot run by its schedule as it is.
fn check(job: &Job) -> Result<GroupingKey, String> {
    if let (Work::Builtin(builtin, params), Some(_)) = (&job.work, &job.plan) {
        let prepared = builtin.prepare(params);
        prepared.map_err(|error| format!("{error}, to run by its schedule"))?;
    }
    job.key(Vec::new()).map_err(|error| error.to_string())
}

/// The job as it runs here: the page shows the tail of a failure.
fn prepared(mut job: Job) -> Job {
    if let Work::Command(command) = &mut job.work {
        command.tail = command.tail.max(TAIL);
    }
    job
}
