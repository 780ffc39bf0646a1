//! Delivers the outbox in the background: a thread for each gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::damage::{shorten_log, tell_damage};
use super::scheduler::Scheduler;
use crate::push::{Courier, Delivery};
use metricsjob_client::Backoff;
use metricsjob_client::Stop;
use metricsjob_state::LazyState;
use metricsjob_system::panics::{point, restarting};

/// How long a report waits for others that come at the same time: beginning the runs of that time is more
/// urgent.
const GATHER: Duration = Duration::from_millis(250);

/// Interval of looking for entries that other processes leave in the outbox.
const LOOK: Duration = Duration::from_secs(15);

/// Pauses after failures to reach a gateway.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// The threads that deliver.
pub struct Deliverer {
    scheduler: Arc<Scheduler>,
    is_ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Deliverer {
    /// Begins to deliver. Once `stop` is wanted, nothing is waited for any more.
    pub fn start(scheduler: &Arc<Scheduler>, stop: &Stop) -> std::io::Result<Self> {
        let is_ending = Arc::new(AtomicBool::new(false));
        let gateways = 0..scheduler.runner().gateways().len();
        let threads = gateways.map(|place| {
            let (scheduler, is_ending) = (Arc::clone(scheduler), Arc::clone(&is_ending));
            let stop = stop.clone();
            thread::Builder::new()
                .name("deliver".into())
                .spawn(move || {
                    restarting("deliver", || {
                        deliver(&scheduler, place, &is_ending, stop.clone());
                    });
                })
        });
        Ok(Deliverer {
            threads: threads.collect::<Result<_, _>>()?,
            scheduler: Arc::clone(scheduler),
            is_ending,
        })
    }

    /// Delivers the waiting entries once more, and ends.
    pub fn end(self) {
        self.is_ending.store(true, Relaxed);
        for bell in self.scheduler.runner().bells() {
            bell.ring();
        }
        for thread in self.threads {
            // It does not panic: delivery is restarted after a panic.
            let _ = thread.join();
        }
    }
}

fn deliver(scheduler: &Scheduler, place: usize, is_ending: &AtomicBool, stop: Stop) {
    let runner = scheduler.runner();
    let (gateway, bell) = (&runner.gateways()[place], &runner.bells()[place]);
    let courier = Courier::new(gateway, runner.state_dir(), runner.delivery(), stop);
    let mut state = LazyState::new(runner.state_dir());
    let mut failures = 0;
    let mut alone_until = Instant::now();
    loop {
        let is_last = is_ending.load(Relaxed);
        point("delivery");
        if is_last || Instant::now() >= alone_until {
            let failure = match courier.flush_all(&mut state) {
                Ok(flushed) => count(scheduler, &courier, &mut state, flushed),
                Err(error) => Some(error.to_string()),
            };
            shorten_log(&mut state, runner.delivery().state_limit);
            tell_damage(&mut state);
            match failure {
                None if failures > 0 => {
                    tracing::info!(gateway = %gateway, "reports are delivered again");
                    failures = 0;
                }
                None => {}
                Some(error) => {
                    failures += 1;
                    let pause = PAUSES.delay(failures, rand::random());
                    alone_until = Instant::now() + pause;
                    tracing::warn!(gateway = %gateway, err = error, "reports wait in the outbox");
                }
            }
        }
        if is_last {
            return;
        }
        let left = alone_until.saturating_duration_since(Instant::now());
        bell.wait(if left.is_zero() { LOOK } else { left });
        if !is_ending.load(Relaxed) {
            thread::sleep(GATHER);
        }
    }
}

/// Counts delivered reports; returns why not all of them were delivered.
fn count(
    scheduler: &Scheduler,
    courier: &Courier<'_>,
    state: &mut LazyState,
    flushed: Delivery,
) -> Option<String> {
    if flushed.are_stats_due() {
        courier.report_itself(state, scheduler.runner().delivery().until());
    }
    for rejection in &flushed.rejected {
        let gateway = courier.name();
        tracing::warn!(gateway, err = %rejection, "the gateway rejected a report, see: metricsjob outbox list");
    }
    let failed = flushed.rejected.len() as u64 + u64::from(flushed.failure.is_some());
    scheduler.state().window.pushes(flushed.delivered, failed);
    flushed.failure.map(|error| error.to_string())
}
