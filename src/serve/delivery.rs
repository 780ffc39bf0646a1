//! Delivers the outbox in the background: a thread for each destination.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::damage::{shorten_log, tell_damage};
use super::scheduler::Scheduler;
use crate::job::Job;
use crate::push::{Courier, Delivery, DeliveryTarget};
use metricsjob_client::Backoff;
use metricsjob_client::Stop;
use metricsjob_state::LazyState;
use metricsjob_system::panics::{locked, point, restarting};

/// How long a report waits for others that come at the same time: beginning the runs of that time is more
/// urgent.
const GATHER: Duration = Duration::from_millis(250);

/// Interval of looking for entries that other processes leave in the outbox.
const LOOK: Duration = Duration::from_secs(15);

/// Pauses after failures to reach a gateway.
const PAUSES: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// The threads that deliver, one for each destination.
pub struct Deliverer {
    threads: Mutex<Vec<DeliveryThread>>,
    stop: Stop,
}

struct DeliveryThread {
    destination: DeliveryTarget,
    bell: Arc<Bell>,
    is_ending: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

impl Deliverer {
    /// One without threads. Once `stop` is wanted, no gateway is waited for any more.
    pub fn new(stop: Stop) -> Self {
        Deliverer {
            threads: Mutex::default(),
            stop,
        }
    }

    /// Starts a thread for each of the `destinations` that has none. A thread whose destination has other credentials now
    /// gives way to a new one. One whose destination is not named any more stays: reports may wait for it.
    ///
    /// # Errors
    ///
    /// A thread could not be started.
    fn attend(
        &self,
        scheduler: &Arc<Scheduler>,
        destinations: Vec<DeliveryTarget>,
    ) -> io::Result<()> {
        let mut threads = locked(&self.threads);
        threads.retain(|thread| !thread.handle.is_finished());
        for destination in destinations {
            let name = destination.name();
            let is_of_it = |thread: &&DeliveryThread| {
                !thread.is_ending.load(Relaxed) && thread.destination.name() == name
            };
            match threads.iter().find(is_of_it) {
                Some(thread) if thread.destination == destination => continue,
                Some(thread) => thread.end(),
                None => {}
            }
            threads.push(DeliveryThread::start(scheduler, destination, &self.stop)?);
        }
        Ok(())
    }

    /// Wakes the threads, so that they deliver what waits in the outbox.
    pub fn wake(&self) {
        for thread in locked(&self.threads).iter() {
            thread.bell.ring();
        }
    }

    /// Delivers the waiting entries once more, and ends.
    pub fn end(&self) {
        let threads = std::mem::take(&mut *locked(&self.threads));
        for thread in &threads {
            thread.end();
        }
        for thread in threads {
            // It does not panic: delivery is restarted after a panic.
            let _ = thread.handle.join();
        }
    }
}

impl DeliveryThread {
    fn start(
        scheduler: &Arc<Scheduler>,
        destination: DeliveryTarget,
        stop: &Stop,
    ) -> io::Result<Self> {
        let (bell, is_ending) = (Arc::<Bell>::default(), Arc::<AtomicBool>::default());
        let (scheduler, stop, to) = (Arc::clone(scheduler), stop.clone(), destination.clone());
        let (rung, ending) = (Arc::clone(&bell), Arc::clone(&is_ending));
        let thread = thread::Builder::new().name("deliver".into());
        let handle = thread.spawn(move || {
            restarting("deliver", || {
                deliver(&scheduler, &to, &rung, &ending, stop.clone());
            });
        })?;
        Ok(DeliveryThread {
            destination,
            bell,
            is_ending,
            handle,
        })
    }

    /// Ends the thread after one more delivery.
    fn end(&self) {
        self.is_ending.store(true, Relaxed);
        self.bell.ring();
    }
}

impl Scheduler {
    /// Starts a thread for each destination that the host or a job names and that has none.
    ///
    /// # Errors
    ///
    /// A thread could not be started.
    pub fn deliver_everywhere(self: &Arc<Self>) -> io::Result<()> {
        let jobs: Vec<Arc<Job>> = {
            let state = self.state();
            let jobs = state.jobs.values();
            jobs.map(|entry| Arc::clone(&entry.job)).collect()
        };
        let destinations = self.runner().destinations();
        let destinations = destinations.of_all(jobs.iter().map(|job| &**job));
        self.runner().deliverer().attend(self, destinations)
    }
}

fn deliver(
    scheduler: &Scheduler,
    destination: &DeliveryTarget,
    bell: &Bell,
    is_ending: &AtomicBool,
    stop: Stop,
) {
    let runner = scheduler.runner();
    let courier = Courier::new(destination, runner.state_dir(), runner.delivery(), stop);
    let mut state = LazyState::new(runner.state_dir());
    let mut failures = 0;
    let mut alone_until = Instant::now();
    loop {
        let is_last = is_ending.load(Relaxed);
        point("delivery");
        if is_last || Instant::now() >= alone_until {
            let failure = match courier.flush_all(&mut state) {
                Ok(flushed) => count(scheduler, (destination, &courier), &mut state, flushed),
                Err(error) => Some(error.to_string()),
            };
            shorten_log(&mut state, runner.delivery().state_limit);
            tell_damage(&mut state);
            match failure {
                None if failures > 0 => {
                    match destination {
                        DeliveryTarget::Notifier(_) => {
                            tracing::info!(to = %destination, "notifications are delivered again");
                        }
                        _ => {
                            tracing::info!(gateway = %destination, "reports are delivered again");
                        }
                    }
                    failures = 0;
                }
                None => {}
                Some(error) => {
                    failures += 1;
                    let pause = PAUSES.delay(failures, rand::random());
                    alone_until = Instant::now() + pause;
                    match destination {
                        DeliveryTarget::Notifier(_) => {
                            tracing::warn!(to = %destination, err = error, "notifications wait in the outbox");
                        }
                        _ => {
                            tracing::warn!(gateway = %destination, err = error, "reports wait in the outbox");
                        }
                    }
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

/// Counts delivered reports; returns why not everything was delivered.
fn count(
    scheduler: &Scheduler,
    (destination, courier): (&DeliveryTarget, &Courier<'_>),
    state: &mut LazyState,
    flushed: Delivery,
) -> Option<String> {
    if flushed.are_stats_due() {
        courier.report_itself(state, scheduler.runner().delivery().until());
    }
    for rejection in &flushed.rejected {
        match destination {
            DeliveryTarget::Notifier(_) => {
                tracing::warn!(to = %destination, err = %rejection, "a notification was rejected, see: metricsjob outbox list");
            }
            _ => {
                tracing::warn!(gateway = %destination, err = %rejection, "the gateway rejected a report, see: metricsjob outbox list");
            }
        }
    }
    if let DeliveryTarget::Notifier(_) = destination {
        return flushed.failure.map(|error| error.to_string());
    }
    let failed = flushed.rejected.len() as u64 + u64::from(flushed.failure.is_some());
    scheduler.state().window.pushes(flushed.delivered, failed);
    flushed.failure.map(|error| error.to_string())
}
