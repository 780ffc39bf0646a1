//! Notification of jobs whose next success has not come by its deadline.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::damage::tell_damage;
use super::scheduler::Scheduler;
use crate::job::Job;
use crate::run::{Outcome, notification};
use metricsjob_metrics::{GroupingKey, system_time, unix_seconds};
use metricsjob_state::{LazyState, StateError};

/// Interval of looking for late jobs.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// Finds late jobs, and enqueues the notifications.
pub struct LateWatch {
    state: LazyState,
    /// True if the last look failed, which is logged once.
    has_failed: bool,
}

impl LateWatch {
    /// One for the state of `scheduler`.
    pub fn new(scheduler: &Scheduler) -> Self {
        LateWatch {
            state: LazyState::new(scheduler.runner().state_dir()),
            has_failed: false,
        }
    }

    /// Enqueues a notification of each job that is late at `now` and that somebody is notified of, once for each deadline.
    pub fn look(&mut self, scheduler: &Scheduler, now: SystemTime) {
        let jobs: Vec<(Arc<Job>, GroupingKey)> = {
            let state = scheduler.state();
            let entries = state.jobs.values();
            let notified = entries
                .filter(|entry| !entry.job.policy.notify.to.is_empty() && entry.job.has_deadline());
            notified
                .map(|entry| (Arc::clone(&entry.job), entry.key.clone()))
                .collect()
        };
        let (mut is_any_late, mut fails) = (false, false);
        for (job, key) in jobs {
            match self.notify_if_late(&job, &key, now) {
                Ok(is_late) => is_any_late |= is_late,
                Err(error) => {
                    let (job, is_known) = (&job.name, self.has_failed || fails);
                    fails = true;
                    if is_known {
                        continue;
                    }
                    tracing::error!(job, err = %error, "the job is late, but nobody could be notified");
                }
            }
        }
        self.has_failed = fails;
        tell_damage(&mut self.state);
        if is_any_late {
            scheduler.runner().deliverer().wake();
        }
    }

    fn notify_if_late(
        &mut self,
        job: &Job,
        key: &GroupingKey,
        now: SystemTime,
    ) -> Result<bool, StateError> {
        let [success, ..] = Outcome::NAMES;
        let state = self.state.get()?;
        let Some(last) = state.last_end(&job.name, key, success)? else {
            return Ok(false);
        };
        let expected = &job.policy.expected;
        let deadline = expected.deadline(job.plan.as_ref(), job.policy.splay, system_time(last));
        let Some(deadline) = deadline.filter(|deadline| *deadline < now) else {
            return Ok(false);
        };
        if state.notified(&job.name, key)?.late_for >= unix_seconds(deadline) {
            return Ok(false);
        }
        let notifications = notification::of_late(job, key, last, deadline);
        let of_job = (&*job.name, key);
        let is_new = state.notify_late(
            of_job,
            success,
            last,
            unix_seconds(deadline),
            &notifications,
        )?;
        if is_new {
            let job = &job.name;
            tracing::warn!(job, deadline = %humantime::format_rfc3339_seconds(deadline), "the job is late");
        }
        Ok(is_new)
    }
}
