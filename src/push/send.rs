//! One content on its way to its destination: tried until it succeeds or its time is over, in parts if it is refused for some
//! of its families.

use std::borrow::Cow;
use std::thread;
use std::time::{Duration, Instant};

use super::courier::Courier;
use super::gateway::GatewayError;
use super::split::split;
use metricsjob_client::Retries;
use metricsjob_metrics::{Method, Push};
use metricsjob_state::LazyState;
use metricsjob_state::outbox::Content;
use metricsjob_state::push_stats::Attempts;

/// How often to see whether it is stopped meanwhile.
const LOOK_UP: Duration = Duration::from_millis(50);

impl Courier<'_> {
    /// Sends `content`, a push in parts if the gateway refuses it for some of its families. With
    /// [`GatewayError::Refused`] comes the rest, which it has not taken. Adds to `attempts`, which count the parts as one.
    pub(super) fn send_or_split(
        &self,
        content: &Content<'_>,
        state: &mut LazyState,
        until: Instant,
        attempts: &mut Attempts,
    ) -> (Result<(), GatewayError>, Option<Push>) {
        let result = self.send(content, state, until, attempts);
        let (whole, push) = match (result, content) {
            (Err(error), Content::Push(push))
                if self.recipient.takes_parts()
                    && error.may_be_of_families()
                    && !push.runners_own().is_empty() =>
            {
                (error, push)
            }
            (result, _) => return (result, None),
        };
        let mut of_parts = Attempts::default();
        let split = split(push, |part| {
            let part = Content::Push(Cow::Borrowed(part));
            self.send(&part, state, until, &mut of_parts)
        });
        attempts.failed += of_parts.failed;
        attempts.duration += of_parts.duration;
        let split = match split {
            Ok(split) => split,
            Err(error) => {
                attempts.rejected = attempts.rejected.saturating_sub(1);
                return (Err(error), None);
            }
        };
        if split.refused.is_empty() {
            attempts.rejected = attempts.rejected.saturating_sub(1);
            attempts.delivered += 1;
            (Ok(()), None)
        } else if split.is_any_taken {
            let rest = push.part(Method::Post, split.refused);
            let error = GatewayError::refused(&rest, split.error.unwrap_or(whole));
            (Err(error), Some(rest))
        } else {
            (Err(whole), None)
        }
    }

    /// Sends `content`, and again if that fails for a reason that may pass, within the retry window, until `until` at most,
    /// and not once it is stopped. Adds to `attempts`.
    pub(super) fn send(
        &self,
        content: &Content<'_>,
        state: &mut LazyState,
        until: Instant,
        attempts: &mut Attempts,
    ) -> Result<(), GatewayError> {
        let mut retries = Retries::new(self.policy.retry_window);
        loop {
            let start = Instant::now();
            let limit = until.saturating_duration_since(start);
            let result = self.recipient.send(content, state, limit, &self.stop);
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
            let http = error.http();
            let Some(wait) = http.and_then(|http| retries.wait_after(http, Some(until))) else {
                return Err(error);
            };
            let end = Instant::now() + wait;
            while Instant::now() < end {
                if self.stop.is_wanted() {
                    return Err(error);
                }
                let left = end.saturating_duration_since(Instant::now());
                thread::sleep(left.min(LOOK_UP));
            }
        }
    }
}
