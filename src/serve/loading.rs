//! Loads the job files into the state, at the start and on a reload.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::job_state::JobState;
use super::planning;
use super::request::{RunRequest, Trigger};
use super::restore::Restored;
use super::scheduler::Scheduler;
use super::scheduler_state::SchedulerState;
use crate::job::catalog::{Catalog, CatalogError};
use crate::job::schedule::Missed;
use crate::job::{Job, Work};
use metricsjob_client::grouping::GroupingSettings;
use metricsjob_metrics::GroupingKey;
use metricsjob_system::panics::locked;

/// How many of the last lines of stderr are kept of a command, if its job does not say.
const TAIL: usize = 20;

/// Result of loading the job files.
#[derive(Debug)]
pub struct Reloaded {
    pub jobs: usize,
    pub problems: Vec<String>,
}

impl Scheduler {
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
        let _turn = locked(&self.reloading);
        let LoadedJobs {
            jobs,
            unreadable,
            problems,
        } = LoadedJobs::from(catalog, with_demos)?;
        let known: Vec<String> = self.state().jobs.keys().cloned().collect();
        let fresh = jobs.iter().filter(|(name, _)| !known.contains(name));
        let restored: HashMap<String, Restored> = fresh
            .map(|(name, (job, key))| (name.clone(), self.runner().restore(job, key)))
            .collect();

        let now = SystemTime::now();
        let mut guard = self.state();
        let state = &mut *guard;
        let stays = |name: &String| jobs.contains_key(name) || unreadable.contains(name);
        let gone = state.keep_only(stays);
        for (name, (job, key)) in jobs {
            let is_missed = state.take(&name, job, key, restored.get(&name), now);
            if is_missed && let Some(request) = state.request(&name, Trigger::Missed, now) {
                self.submit(state, request);
            }
        }
        for request in gone {
            self.skip(state, request, "its job file is gone".into());
        }
        state.problems = problems.clone();
        self.changed.notify_all();
        Ok(Reloaded {
            jobs: state.jobs.len(),
            problems,
        })
    }
}

/// Content of the job files.
struct LoadedJobs {
    /// By their names, with the grouping key of a run without labels of its own.
    jobs: BTreeMap<String, (Arc<Job>, GroupingKey)>,
    /// The names of those that cannot be read.
    unreadable: Vec<String>,
    /// Why not.
    problems: Vec<String>,
}

impl LoadedJobs {
    fn from(catalog: &Catalog, with_demos: bool) -> Result<Self, CatalogError> {
        let mut loaded = LoadedJobs {
            jobs: BTreeMap::new(),
            unreadable: Vec::new(),
            problems: Vec::new(),
        };
        for found in catalog.list()? {
            let job = found.job.map_err(|error| error.to_string());
            let with_key = job.and_then(|job| match check(&job) {
                Ok(key) => Ok((job, key)),
                Err(problem) => Err(format!("{}: {problem}", found.defined_in)),
            });
            match with_key {
                Ok((job, _)) if job.is_demo && !with_demos => {}
                Ok((job, key)) => {
                    let job = Arc::new(prepared(job));
                    loaded.jobs.insert(found.name, (job, key));
                }
                Err(problem) => {
                    loaded.problems.push(problem);
                    loaded.unreadable.push(found.name);
                }
            }
        }
        Ok(loaded)
    }
}

impl SchedulerState {
    /// Forgets the other jobs. Returns the runs of them that wait.
    fn keep_only(&mut self, stays: impl Fn(&String) -> bool) -> Vec<RunRequest> {
        let mut gone = Vec::new();
        self.jobs.retain(|name, entry| {
            let stays = stays(name);
            if !stays {
                gone.extend(entry.pending.drain(..));
            }
            stays
        });
        let jobs = &self.jobs;
        self.queue.retain(|request| {
            let stays = jobs.contains_key(&request.job.name);
            if !stays {
                gone.push(request.clone());
            }
            stays
        });
        gone
    }

    /// Takes the job as it is defined now; `restored` is the state of a new one from the history. Returns true if
    /// a run is to make up for due times that went by while no server was there.
    fn take(
        &mut self,
        name: &str,
        job: Arc<Job>,
        key: GroupingKey,
        restored: Option<&Restored>,
        now: SystemTime,
    ) -> bool {
        let is_new = !self.jobs.contains_key(name);
        let entry = self.jobs.entry(name.to_owned());
        let entry = entry.or_insert_with(|| JobState::new(Arc::clone(&job), key.clone()));
        let mut is_missed = false;
        if is_new && let Some(restored) = restored {
            restored.put_into(entry);
            let plan = job.plan.as_ref();
            let plan = plan.filter(|plan| plan.missed == Missed::RunOnce);
            if let (Some(plan), Some(last)) = (plan, restored.last_start()) {
                is_missed = planning::went_by(plan, last, now);
            }
        }
        let is_planned_anew = is_new || entry.job.plan != job.plan;
        entry.redefine(job, key);
        if is_planned_anew {
            let plan = entry.job.plan.as_ref();
            let next = plan.and_then(|plan| planning::next(plan, now, rand::random));
            self.plan(name, next);
        }
        is_missed
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
    job.key(&GroupingSettings::default())
        .map_err(|error| error.to_string())
}

/// The job as it runs here: the page shows the tail of a failure.
fn prepared(mut job: Job) -> Job {
    if let Work::Command(command) = &mut job.work {
        command.tail = command.tail.max(TAIL);
    }
    job
}
