//! Reports during a run.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::events::Events;
use super::report;
use super::spec::RunSpec;
use crate::push::{DeliveryPolicy, Dispatch};
use metricsjob_client::Stop;
use metricsjob_metrics::check::add_pushable;
use metricsjob_metrics::{Family, Method, Push, unix_seconds};
use metricsjob_state::{Damage, LazyState};
use metricsjob_system::panics::locked;
use metricsjob_system::panics::point;

/// Reports of a run while it is running, as its policy asks for.
pub struct Live<'a> {
    spec: &'a RunSpec<'a>,
    events: Arc<Events>,
    has_ended: Mutex<bool>,
    ended: Condvar,
    /// Why the first report that was not delivered was not.
    failure: Mutex<Option<String>>,
    damage: Mutex<Option<Damage>>,
}

impl<'a> Live<'a> {
    pub fn new(spec: &'a RunSpec<'a>, events: &Arc<Events>) -> Self {
        Live {
            spec,
            events: Arc::clone(events),
            has_ended: Mutex::new(false),
            ended: Condvar::new(),
            failure: Mutex::new(None),
            damage: Mutex::new(None),
        }
    }

    /// Reports that a run has begun at `started_at`, and then how far it is, until its end.
    pub fn report(&self, started_at: SystemTime) {
        point("live");
        let mut state = LazyState::new(self.spec.state_dir);
        self.report_by(started_at, &mut state);
        *locked(&self.damage) = state.take_damage();
        state.leave_log();
    }

    fn report_by(&self, started_at: SystemTime, state: &mut LazyState) {
        let spec = self.spec;
        let policy = &spec.job.policy;
        let delivery = brief(spec.delivery);
        let dispatch = Dispatch::new(spec.destinations, spec.state_dir, &delivery, Stop::never());
        if policy.push_start {
            self.push(started_at, Vec::new(), &dispatch, state);
        }
        let Some(interval) = policy.push_interval else {
            return;
        };
        // Initial values of the counters that accumulate over runs.
        let totals = state.get().and_then(|state| state.counters(self.spec.key));
        let totals = totals.ok();
        while self.goes_on_for(interval) {
            let rules = &self.spec.job.metrics;
            let own = self.events.families();
            let increments = report::increments_of(&own, rules);
            let totals = totals.clone().map(|totals| report::sum(totals, increments));
            let own = report::with_totals(own, rules, totals.as_deref());
            self.push(started_at, own, &dispatch, state);
        }
    }

    /// Ends [`report`](Self::report), once a push that is under way is done: the final one must not
    /// be overtaken.
    pub fn end(&self) {
        *locked(&self.has_ended) = true;
        self.ended.notify_all();
    }

    /// Remembers why a report was not delivered, if it is the first.
    pub fn fails(&self, why: String) {
        let mut failure = locked(&self.failure);
        failure.get_or_insert(why);
    }

    /// Why not all reports were delivered, and the damage of the state, if it had to be replaced.
    pub fn into_failures(self) -> (Option<String>, Option<Damage>) {
        (
            self.failure
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
            self.damage
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Waits; returns true if the run is still running after `interval`.
    fn goes_on_for(&self, interval: Duration) -> bool {
        let start = Instant::now();
        let mut has_ended = locked(&self.has_ended);
        loop {
            let left = interval.saturating_sub(start.elapsed());
            if *has_ended || left.is_zero() {
                return !*has_ended;
            }
            has_ended = match self.ended.wait_timeout(has_ended, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Pushes by POST, regardless of the job's method: the metrics of an earlier run must stay until the end of
    /// this one.
    fn push(
        &self,
        started_at: SystemTime,
        own: Vec<Family>,
        dispatch: &Dispatch<'_>,
        state: &mut LazyState,
    ) {
        let RunSpec { job, key, .. } = self.spec;
        let mut families = vec![
            report::running(&job.prefix, true),
            report::start_timestamp(&job.prefix, unix_seconds(started_at)),
        ];
        let runners_own = report::names(&families);
        // The final report warns of what is left out.
        add_pushable(key, &mut families, own);
        match Push::new((*key).clone(), Method::Post, families, SystemTime::now()) {
            Ok(push) => {
                let push = push.with_runners_own(runners_own).with_ttl(job.policy.ttl);
                if let Err(error) = dispatch.push_unkept(&push, state) {
                    self.fails(error.to_string());
                }
            }
            Err(error) => self.fails(error.to_string()),
        }
    }
}

/// Limits of such a report: the end of the run waits for one that is under way, and the final report says
/// the same anyway. A connection that was idle too long is opened again.
fn brief(policy: &DeliveryPolicy) -> DeliveryPolicy {
    DeliveryPolicy {
        deadline: policy.deadline.min(Duration::from_secs(1)),
        retry_window: policy.retry_window.min(Duration::from_millis(10)),
        ..*policy
    }
}
