//! One push, tried until it succeeds or its time is over.

use std::thread;
use std::time::{Duration, Instant};

use super::gateway::{GatewayClient, GatewayError};
use metricsjob_client::Backoff;
use metricsjob_client::Stop;
use metricsjob_metrics::Push;
use metricsjob_state::LazyState;
use metricsjob_state::push_stats::Attempts;

const WAITS: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(2));

/// How often to see whether it is stopped meanwhile.
const LOOK_UP: Duration = Duration::from_millis(50);

/// Pushes by `client`, and again if that fails for a reason that may pass, for `window` from the first
/// failure on, until `until` at most, and not once the `stop` is wanted. Adds to `attempts`.
pub fn push(
    client: &GatewayClient,
    push: &Push,
    state: &mut LazyState,
    window: Duration,
    until: Instant,
    stop: &Stop,
    attempts: &mut Attempts,
) -> Result<(), GatewayError> {
    let (mut end, mut tries) = (None, 0);
    loop {
        let start = Instant::now();
        let result = {
            let limit = until.saturating_duration_since(start);
            client.push(push, state, limit, stop)
        };
        attempts.duration += start.elapsed();
        let error = match result {
            Ok(()) => {
                attempts.delivered += 1;
                return Ok(());
            }
            Err(error) if error.is_rejection() => {
                attempts.rejected += 1;
                return Err(error);
            }
            Err(error) => error,
        };
        attempts.failed += 1;
        let now = Instant::now();
        let end = *end.get_or_insert_with(|| {
            let left = until.saturating_duration_since(now);
            now + window.min(left)
        });
        tries += 1;
        let wait = WAITS.delay(tries, rand::random());
        let wait = wait.max(error.retry_after().unwrap_or_default());
        if !error.is_transient() || wait >= end.saturating_duration_since(now) {
            return Err(error);
        }
        while Instant::now() < now + wait {
            if stop.is_wanted() {
                return Err(error);
            }
            let left = (now + wait).saturating_duration_since(Instant::now());
            thread::sleep(left.min(LOOK_UP));
        }
    }
}
