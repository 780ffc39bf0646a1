//! Pings that a run has begun.

use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::spec::{Reporting, RunSpec};
use crate::job::NotifyForm;
use crate::push::{Notifier, NotifierClient};
use metricsjob_client::Stop;
use metricsjob_system::panics;

/// Time limit of a ping. The end of a shorter run waits for it, because the ping of the end must come after it.
const LIMIT: Duration = Duration::from_secs(2);

/// Interval of looking whether the pings are over.
const LOOK: Duration = Duration::from_millis(2);

/// Pings that a run has begun, on their way. The run does not wait for them, and nothing depends on them.
pub struct StartPings {
    threads: Vec<JoinHandle<()>>,
    until: Instant,
}

impl StartPings {
    /// Pings of nothing.
    pub fn none() -> Self {
        StartPings {
            threads: Vec::new(),
            until: Instant::now(),
        }
    }

    /// Sends the pings that the run `id` of `spec` begins now, if its job has any.
    pub fn send(spec: &RunSpec<'_>, id: &str, stop: &Stop) -> Self {
        let mut pings = StartPings {
            until: Instant::now() + LIMIT,
            ..StartPings::none()
        };
        if !matches!(spec.reporting, Reporting::Push | Reporting::Enqueue) {
            return pings;
        }
        let targets = spec.job.policy.notify.to.iter();
        for target in targets.filter(|target| target.form == NotifyForm::Ping) {
            let notifier = Notifier::new(target.clone(), spec.connection);
            let (id, stop) = (id.to_owned(), stop.clone());
            let ping = move || {
                // The run is what matters.
                let _ = panics::caught(|| NotifierClient::new(&notifier).begin(&id, LIMIT, &stop));
            };
            let thread = thread::Builder::new().name("ping".into());
            pings.threads.extend(thread.spawn(ping));
        }
        pings
    }

    /// Waits until the pings are over, or have had their time.
    pub fn wait(self) {
        let is_pending = |thread: &JoinHandle<()>| !thread.is_finished();
        while Instant::now() < self.until && self.threads.iter().any(is_pending) {
            thread::sleep(LOOK);
        }
    }
}
