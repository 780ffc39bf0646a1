//! State of one job: when it is due, its runs, and how they went.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::live::LiveRuns;
use super::page::RunView;
use super::request::{RunRequest, Trigger};
use super::series::RunSeries;
use super::series::uniform::{Outcomes, RunCounts, is_uniform, uniform_labels};
use crate::job::Job;
use crate::run::Outcome;
use metricsjob_client::grouping::GroupingSettings;
use metricsjob_metrics::{Family, GroupingKey, Labels, Method};
use metricsjob_state::history::RecordedRun;

/// How many of the last runs are remembered in brief.
pub const RECENT: usize = 30;

/// How many runs of one job may wait for the running one.
pub const MAX_PENDING: usize = 100;

/// State of one job.
pub struct JobState {
    pub job: Arc<Job>,
    /// Grouping key of a run without labels of its own.
    pub key: GroupingKey,
    /// When it runs next, if it has a schedule.
    pub next: Option<Next>,
    /// The due time that was last seen to pass.
    pub last_due: Option<SystemTime>,
    /// Number of the current plan: due times of an older one are void.
    pub generation: u64,
    /// Start times of its runs in progress, by their ids.
    pub running: BTreeMap<String, SystemTime>,
    /// Metrics that they have reported so far.
    pub live: LiveRuns,
    /// How many of its runs wait for a free slot.
    pub queued: usize,
    /// Runs that wait until no other run of the job is running.
    pub pending: VecDeque<RunRequest>,
    /// Without those that were skipped, the oldest first.
    pub recent: VecDeque<RunView>,
    /// Skipped or not.
    pub last: Option<Arc<Finished>>,
    pub last_failure: Option<Arc<Finished>>,
    /// Number of due times that went by while no server could start it.
    pub missed: u64,
    pub series: RunSeries,
    /// The numbers and durations of its runs.
    pub counts: RunCounts,
}

/// When a job runs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// By its schedule.
    pub due: SystemTime,
    /// With the jitter.
    pub at: SystemTime,
}

/// A run that is over.
pub struct Finished {
    pub run: RecordedRun,
    /// `None` if it was begun by another process.
    pub trigger: Option<Trigger>,
}

impl JobState {
    pub fn new(job: Arc<Job>, key: GroupingKey) -> Self {
        JobState {
            counts: RunCounts::new(uniform_labels(&job.name, &key), Outcomes::default()),
            job,
            key,
            next: None,
            last_due: None,
            generation: 0,
            running: BTreeMap::new(),
            live: LiveRuns::default(),
            queued: 0,
            pending: VecDeque::new(),
            recent: VecDeque::with_capacity(RECENT),
            last: None,
            last_failure: None,
            missed: 0,
            series: RunSeries::default(),
        }
    }

    /// Returns true if a run of it is running or waits for a slot.
    pub fn is_busy(&self) -> bool {
        self.queued > 0 || !self.running.is_empty()
    }

    /// How many of its runs wait.
    pub fn waiting(&self) -> usize {
        self.queued + self.pending.len()
    }

    /// Remembers a run that is over; it may have been over before this process began.
    pub fn remember(&mut self, finished: &Arc<Finished>) {
        self.last = Some(Arc::clone(finished));
        let outcome = finished.run.outcome.as_str();
        let [success, .., skipped] = Outcome::NAMES;
        if outcome == skipped {
            return;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(RunView::of(&finished.run));
        if outcome != success {
            self.last_failure = Some(Arc::clone(finished));
        }
    }

    /// Counts a run that has ended just now, of `request`.
    pub fn count(&mut self, request: &RunRequest, run: &RecordedRun) {
        let duration = Duration::try_from_secs_f64(run.duration).unwrap_or_default();
        let duration = (run.attempts > 0).then_some(duration);
        let labels = self.labels_of(request);
        self.counts.count(labels, &run.outcome, duration);
    }

    /// Counts runs that ended before this process began.
    pub fn begin_with(&mut self, outcomes: Outcomes) {
        self.counts = RunCounts::new(self.labels(), outcomes);
    }

    /// Takes the job as it is defined now.
    pub fn redefine(&mut self, job: Arc<Job>, key: GroupingKey) {
        let is_key_new = self.key != key;
        if is_key_new || self.job.prefix != job.prefix {
            // Metrics with the new names would stand beside those with the old ones.
            self.series = RunSeries::default();
        }
        (self.job, self.key) = (job, key);
        if is_key_new {
            self.counts = RunCounts::new(self.labels(), Outcomes::default());
        }
    }

    /// Labels of the series about a run; for one with the key from before the job file was last read, the job's own.
    pub fn labels_of(&self, request: &RunRequest) -> Labels {
        if self.shows(request) {
            uniform_labels(&self.job.name, &request.key)
        } else {
            self.labels()
        }
    }

    /// Labels of the series about the job as such.
    pub fn labels(&self) -> Labels {
        uniform_labels(&self.job.name, &self.key)
    }

    /// Returns true if the run reports with the job's current prefix and grouping key. With those from before the job
    /// file was last read, its metrics would stay beside the current ones for ever.
    pub fn shows(&self, request: &RunRequest) -> bool {
        let key = request.job.key(&GroupingSettings::default());
        request.job.prefix == self.job.prefix && key.is_ok_and(|key| key == self.key)
    }

    /// Takes the report of a run into the metrics.
    pub fn report(&mut self, key: &GroupingKey, method: Method, families: Vec<Family>) {
        let name = &self.job.name;
        self.series.report(name, key, method, families, is_uniform);
    }
}
