//! Metrics that running jobs have reported so far.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Instant, SystemTime};

use super::request::RunRequest;
use super::series::RunSeries;
use super::series::uniform::is_uniform;
use crate::run::{Events, report};
use metricsjob_metrics::{Family, GroupingKey, Method, unix_seconds};
use metricsjob_state::counters::Counter;
use metricsjob_system::panics::locked;

/// The runs of one job that are in progress, by their grouping keys.
#[derive(Default)]
pub struct LiveRuns(Vec<LiveGroup>);

/// The runs in progress of one job and grouping key.
#[derive(Clone)]
pub struct LiveGroup {
    key: GroupingKey,
    base: Base,
    /// Amounts that runs which are over have added to the cumulative counters.
    settled: Vec<Counter>,
    /// Live groups, the ones that began last at the end.
    runs: Vec<LiveMember>,
}

/// The cumulative counters as they were before any run of a group; `None` if they could not be read. The first run to
/// begin reads them: later they may contain what another run has added.
type Base = Arc<OnceLock<Option<Vec<Counter>>>>;

#[derive(Clone)]
struct LiveMember {
    run: Arc<LiveRun>,
    /// A run that began later has reported: only cumulative counters show this one.
    is_outdated: bool,
}

/// A run in progress.
pub struct LiveRun {
    request: RunRequest,
    base: Base,
    started_at: OnceLock<SystemTime>,
    source: Mutex<LiveSource>,
}

/// Where a run's own metrics are.
enum LiveSource {
    NotBegun,
    Running(Arc<Events>),
    /// As the report has them.
    Ended(Vec<Family>),
}

impl LiveRun {
    /// The run begins, at `at`. `totals` reads the cumulative counters of its key.
    pub fn begins(
        &self,
        at: SystemTime,
        events: &Arc<Events>,
        totals: impl FnOnce() -> Option<Vec<Counter>>,
    ) {
        self.started_at.get_or_init(|| at);
        let mut rules = self.request.job.metrics.iter();
        if rules.any(|rule| rule.is_cumulative) && self.base.get().is_none() {
            // Reading takes a while, and another run may have read them meanwhile.
            let _ = self.base.set(totals());
        }
        *locked(&self.source) = LiveSource::Running(Arc::clone(events));
    }

    /// The run has ended: processes that it left behind change nothing any more.
    pub fn ends(&self, own: &[Family]) {
        *locked(&self.source) = LiveSource::Ended(own.to_vec());
    }

    fn families(&self, until: Instant) -> Vec<Family> {
        match &*locked(&self.source) {
            LiveSource::NotBegun => Vec::new(),
            LiveSource::Running(events) => events.so_far(until),
            LiveSource::Ended(own) => own.clone(),
        }
    }
}

impl LiveRuns {
    /// Adds a run that is about to begin.
    pub fn add(&mut self, request: &RunRequest) -> Arc<LiveRun> {
        let known = self.0.iter().position(|group| group.key == request.key);
        let place = known.unwrap_or_else(|| {
            self.0.push(LiveGroup {
                key: request.key.clone(),
                base: Base::default(),
                settled: Vec::new(),
                runs: Vec::new(),
            });
            self.0.len() - 1
        });
        let group = &mut self.0[place];
        let run = Arc::new(LiveRun {
            request: request.clone(),
            base: Arc::clone(&group.base),
            started_at: OnceLock::new(),
            source: Mutex::new(LiveSource::NotBegun),
        });
        group.runs.push(LiveMember {
            run: Arc::clone(&run),
            is_outdated: false,
        });
        run
    }

    /// Removes the run of `request`, which is over and has added `increments` to the cumulative counters. If its
    /// report is shown, what runs report that began before is older than that.
    pub fn remove(&mut self, request: &RunRequest, is_shown: bool, increments: Vec<Counter>) {
        for group in &mut self.0 {
            let is_it = |member: &LiveMember| member.run.request.id == request.id;
            let Some(place) = group.runs.iter().position(is_it) else {
                continue;
            };
            group.runs.remove(place);
            for older in &mut group.runs[..place] {
                older.is_outdated |= is_shown;
            }
            group.settled = report::sum(std::mem::take(&mut group.settled), increments);
            break;
        }
        self.0.retain(|group| !group.runs.is_empty());
    }

    /// The groups, with those of their runs that `is_shown`.
    pub fn groups(&self, is_shown: impl Fn(&RunRequest) -> bool) -> Vec<LiveGroup> {
        let mut groups = self.0.clone();
        for group in &mut groups {
            group.runs.retain(|member| is_shown(&member.run.request));
        }
        groups.retain(|group| !group.runs.is_empty());
        groups
    }
}

impl LiveGroup {
    /// Puts what the runs have reported so far into `series`, in place of earlier families of the same names, as a
    /// POST to a gateway would. Reading what they report stops at `until`.
    pub fn put_into(&self, series: &mut RunSeries, until: Instant) {
        let Some(LiveMember { run: newest, .. }) = self.runs.last() else {
            return;
        };
        let job = &newest.request.job;
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut increments = self.settled.clone();
        for LiveMember { run, is_outdated } in &self.runs {
            let own = run.families(until);
            increments = report::sum(increments, report::increments_of(&own, &job.metrics));
            if *is_outdated {
                continue;
            }
            families.extend(own.into_iter().map(|family| (family.name.clone(), family)));
        }
        let totals = self.base.get().and_then(Clone::clone);
        let totals = totals.map(|totals| report::sum(totals, increments));
        let families = families.into_values().collect();
        let families = report::with_totals(families, &job.metrics, totals.as_deref());
        let (mut families, _) = report::reportable(job, &self.key, families);
        // An alert about a run that takes too long compares it with the clock while one is running.
        let begun = (self.runs.iter())
            .rev()
            .find_map(|member| member.run.started_at.get());
        families.extend(begun.map(|at| report::start_timestamp(&job.prefix, unix_seconds(*at))));
        if !families.is_empty() {
            series.report(&job.name, &self.key, Method::Post, families, is_uniform);
        }
    }
}
