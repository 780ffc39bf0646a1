//! State of the scheduler: jobs, and the runs that wait, are in progress, or are over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::job_state::{Finished, JobState, MAX_PENDING, Next};
use super::planning;
use super::request::{Refusal, RunRequest, Trigger};
use super::series::lag::Lag;
use super::window::RunWindow;
use crate::job::schedule::Overlap;
use crate::run::{self, Teller};

/// How many runs may wait for a slot.
const MAX_QUEUE: usize = 10_000;

/// How many runs that are over are remembered whole, besides the last of each job.
const REMEMBERED: usize = 64;

/// State of the scheduler: all that it knows of jobs and runs.
pub struct SchedulerState {
    pub jobs: BTreeMap<String, JobState>,
    /// Problems of job files: each a text of one or more lines.
    pub problems: Vec<String>,
    pub queue: VecDeque<RunRequest>,
    /// Skipped runs that are still to be recorded, each with the reason.
    pub skipped: VecDeque<(RunRequest, String)>,
    /// True if a thread records them.
    pub is_recording_skipped: bool,
    /// Runs in progress, by their ids.
    pub active: HashMap<String, Active>,
    pub remembered: VecDeque<Arc<Finished>>,
    pub lag: Lag,
    pub window: RunWindow,
    /// Time of the scheduler's last look at the clock.
    pub heartbeat: Instant,
    pub is_ending: bool,
    due: BinaryHeap<Reverse<Due>>,
    generation: u64,
}

/// A run in progress.
pub struct Active {
    pub request: RunRequest,
    pub since: SystemTime,
    pub teller: Teller,
}

/// Due time of a job. It is void once the job has another generation.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: SystemTime,
    generation: u64,
    job: String,
}

impl SchedulerState {
    /// An empty state.
    pub fn new() -> Self {
        SchedulerState {
            jobs: BTreeMap::new(),
            problems: Vec::new(),
            queue: VecDeque::new(),
            skipped: VecDeque::new(),
            is_recording_skipped: false,
            active: HashMap::new(),
            remembered: VecDeque::new(),
            lag: Lag::new(),
            window: RunWindow::default(),
            heartbeat: Instant::now(),
            is_ending: false,
            due: BinaryHeap::new(),
            generation: 0,
        }
    }

    /// Has the job be due at `next`, and at no other time.
    pub fn plan(&mut self, name: &str, next: Option<Next>) {
        let Some(entry) = self.jobs.get_mut(name) else {
            return;
        };
        self.generation += 1;
        entry.generation = self.generation;
        entry.next = next;
        if let Some(next) = next {
            self.due.push(Reverse(Due {
                at: next.at,
                generation: entry.generation,
                job: name.to_owned(),
            }));
        }
    }

    /// When a job is due next.
    pub fn next_due(&self) -> Option<SystemTime> {
        self.due.peek().map(|Reverse(due)| due.at)
    }

    /// Takes a job that is due at `now`: its name, and its due time. The caller must plan it anew.
    pub fn take_due(&mut self, now: SystemTime) -> Option<(String, Next)> {
        while self.next_due()? <= now {
            let Reverse(due) = self.due.pop()?;
            if let Some(entry) = self.jobs.get(&due.job)
                && entry.generation == due.generation
                && let Some(next) = entry.next
            {
                return Some((due.job, next));
            }
        }
        None
    }

    /// The request for a run of a job as it is defined now.
    pub fn request(&self, name: &str, trigger: Trigger, due: SystemTime) -> Option<RunRequest> {
        let entry = self.jobs.get(name)?;
        Some(RunRequest {
            id: run::new_id(),
            job: Arc::clone(&entry.job),
            key: entry.key.clone(),
            trigger,
            due,
        })
    }

    /// Why the run is refused, if it cannot even wait.
    pub fn refusal(&self, request: &RunRequest) -> Option<Refusal> {
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
                    Some(run) => format!("another run is in progress ({run})"),
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

    /// Returns true if all runs are over, and recorded.
    pub fn is_at_rest(&self) -> bool {
        self.active.is_empty()
            && self.queue.is_empty()
            && self.skipped.is_empty()
            && !self.is_recording_skipped
    }

    pub fn slots_taken(&self) -> usize {
        self.active.len()
    }

    /// All runs that wait, be it to be recorded as skipped.
    pub fn all_waiting(&self) -> impl Iterator<Item = &RunRequest> {
        let pending = self.jobs.values().flat_map(|entry| &entry.pending);
        let skipped = self.skipped.iter().map(|(request, _)| request);
        self.queue.iter().chain(pending).chain(skipped)
    }

    /// Why runs began, by their ids, as far as that is remembered.
    pub fn triggers(&self) -> HashMap<String, Trigger> {
        let over = self.remembered.iter();
        let over = over.filter_map(|over| Some((over.run.run_id.clone(), over.trigger?)));
        let active = self.active.iter();
        over.chain(active.map(|(id, run)| (id.clone(), run.request.trigger)))
            .collect()
    }

    /// Passes `signal` to all runs in progress.
    pub fn tell_all(&self, signal: i32) {
        for run in self.active.values() {
            run.teller.tell(signal);
        }
    }

    /// A run begins now.
    pub fn began(&mut self, request: &RunRequest) {
        if request.trigger == Trigger::Schedule {
            let lag = SystemTime::now().duration_since(request.due);
            self.lag.add(lag.unwrap_or_default());
        }
    }

    /// The clock was set back by `by`, to `now`.
    pub fn clock_was_set_back(&mut self, now: SystemTime, by: Duration) {
        let seconds = by.as_secs_f64();
        tracing::warn!(seconds, "the clock was set back");
        let next = |entry: &JobState| {
            let plan = entry.job.plan.as_ref()?;
            planning::after_correction(plan, entry.last_due, now, by, rand::random)
        };
        let all = self.jobs.iter();
        let all: Vec<_> = all
            .map(|(name, entry)| (name.clone(), next(entry)))
            .collect();
        for (name, next) in all {
            self.plan(&name, next);
        }
    }

    /// Remembers a run that is over, for a while.
    pub fn remember(&mut self, finished: Arc<Finished>) {
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(finished);
    }
}
