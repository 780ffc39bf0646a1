//! Health of the server.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::serve::scheduler::Scheduler;
use metricsjob_system::panics::locked;

/// How long the result of a check of the state is reused, so that frequent requests cost little.
const GOOD_FOR: Duration = Duration::from_secs(2);

/// The scheduler looks at the clock each second.
const STALLED: Duration = Duration::from_secs(15);

/// Cache for the result of the last check of the state.
#[derive(Default)]
pub struct Health {
    state: Mutex<Option<(Instant, Option<String>)>>,
}

/// Results of the checks: `None` where all is well, else the problem.
pub struct Checks {
    pub state: Option<String>,
    pub scheduler: Option<String>,
}

impl Health {
    /// Checks all. It may take a while.
    pub fn checks(&self, scheduler: &Scheduler) -> Checks {
        let mut state = locked(&self.state);
        let failure = match &*state {
            Some((at, failure)) if at.elapsed() < GOOD_FOR => failure.clone(),
            _ => {
                let failure = scheduler.runner().state_failure();
                *state = Some((Instant::now(), failure.clone()));
                failure
            }
        };
        drop(state);
        let state = scheduler.state();
        let (silence, is_ending) = (state.heartbeat.elapsed(), state.is_ending);
        drop(state);
        let is_stalled = !is_ending && silence > STALLED;
        Checks {
            state: failure,
            scheduler: is_stalled.then(|| {
                let seconds = silence.as_secs();
                format!("nobody has looked for {seconds} seconds which job is due")
            }),
        }
    }
}

impl Checks {
    pub fn are_ok(&self) -> bool {
        self.state.is_none() && self.scheduler.is_none()
    }

    pub fn json(&self, uptime: Duration) -> Json {
        let word = |is_ok| if is_ok { "ok" } else { "failing" };
        let check = |failure: &Option<String>| json!({ "status": word(failure.is_none()), "error": failure });
        json!({
            "status": word(self.are_ok()),
            "checks": {
                "state": check(&self.state),
                "scheduler": check(&self.scheduler),
            },
            "uptime_seconds": uptime.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::{DeliveryPolicy, Destinations};
    use crate::serve::Runner;
    use metricsjob_client::{Connection, Stop};

    #[test]
    fn a_scheduler_that_does_not_look() {
        let dir = tempfile::tempdir().unwrap();
        let runner = Runner::new(
            Destinations {
                gateways: Vec::new(),
                is_default: false,
                targets: Vec::new(),
                state_dir: dir.path().to_owned(),
                connection: Connection::default(),
                yields_gateways: false,
                yields_targets: false,
            },
            DeliveryPolicy::default(),
            dir.path().to_owned(),
            Stop::never(),
        );
        let scheduler = Scheduler::new(runner, 1);
        let health = Health::default();
        let checks = health.checks(&scheduler);
        assert!(checks.are_ok(), "{}", checks.json(Duration::ZERO));

        let long_ago = Instant::now().checked_sub(Duration::from_secs(16));
        scheduler.state().heartbeat = long_ago.unwrap();
        let checks = health.checks(&scheduler);
        assert!(!checks.are_ok());
        let json = checks.json(Duration::from_secs(20));
        assert_eq!(json["status"], "failing");
        let check = json!({ "status": "ok", "error": null });
        assert_eq!(json["checks"]["state"], check);
        assert_eq!(json["checks"]["scheduler"]["status"], "failing");
        let error = json["checks"]["scheduler"]["error"].as_str().unwrap();
        assert!(error.contains("for 16 seconds"), "{error}");

        // Nobody has to look any more.
        scheduler.state().is_ending = true;
        assert!(health.checks(&scheduler).are_ok());
    }
}
