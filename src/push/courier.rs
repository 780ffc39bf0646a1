//! Delivery to one destination by way of the outbox.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::delivery::{Delivery, Kept, Undelivered};
use super::gateway::GatewayError;
use super::group_lock::GroupLock;
use super::policy::DeliveryPolicy;
use super::recipient::{DeliveryTarget, Recipient};
use super::self_report;
use metricsjob_client::Stop;
use metricsjob_metrics::GroupingKey;
use metricsjob_state::outbox::{Content, OutboxEntry};
use metricsjob_state::push_stats::Attempts;
use metricsjob_state::{LazyState, StateError};

/// How long to wait before looking again whether others are done.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Delivers to one destination by way of the outbox.
pub struct Courier<'a> {
    pub(super) recipient: Box<dyn Recipient>,
    state_dir: &'a Path,
    pub(super) policy: &'a DeliveryPolicy,
    pub(super) stop: Stop,
}

impl<'a> Courier<'a> {
    pub fn new(
        destination: &DeliveryTarget,
        state_dir: &'a Path,
        policy: &'a DeliveryPolicy,
        stop: Stop,
    ) -> Self {
        Courier {
            recipient: destination.recipient(),
            state_dir,
            policy,
            stop,
        }
    }

    /// The destination as the outbox names it.
    pub fn name(&self) -> &str {
        self.recipient.name()
    }

    /// Notices in the responses so far.
    pub fn notices(&self) -> Vec<String> {
        self.recipient.notices()
    }

    /// Delivers `content`, which is `entry` in the outbox, after the other entries that wait for its group. Without
    /// an entry, because the state could not be written, it is just sent.
    pub fn deliver(
        &self,
        content: &Content<'_>,
        entry: Option<i64>,
        state: &mut LazyState,
        until: Instant,
    ) -> Delivery {
        let Some(id) = entry else {
            return self.deliver_unkept(content, state, until);
        };
        // The process or thread that has the lock may deliver this one too.
        let waits = || {
            let ids = state
                .get()
                .and_then(|state| state.waiting_ids(self.name(), content.key()));
            !self.stop.is_wanted() && ids.is_ok_and(|ids| ids.contains(&id))
        };
        let lock = match self.lock(content.key(), until, waits) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return self.leave_to_others(content, id, state),
            // Where there are no locks, to deliver is still better than not to.
            Err(_) => None,
        };
        let drained = self.drain(content.key(), Some((id, content)), state, until);
        drop(lock);
        match drained {
            Ok((delivery, true)) => delivery,
            Ok((mut delivery, false)) => {
                delivery.result = match delivery.failure.take() {
                    Some(error) => Err(self.undelivered(error, Some(id), &delivery.dropped)),
                    None => self
                        .fate_with_others(content, id, state)
                        .map_or(Ok(()), Err),
                };
                delivery
            }
            Err(error) => Delivery {
                state_failure: Some(error),
                ..self.deliver_unkept(content, state, until)
            },
        }
    }

    /// Sends what need not be kept, after the entries that wait for its group, which would otherwise
    /// overwrite it later.
    pub fn send_unkept(
        &self,
        content: &Content<'_>,
        state: &mut LazyState,
        until: Instant,
    ) -> Result<(), GatewayError> {
        let _lock = match self.lock(content.key(), until, || !self.stop.is_wanted()) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(GatewayError::Busy),
            Err(_) => None,
        };
        if let Ok((drained, _)) = self.drain(content.key(), None, state, until)
            && let Some(failure) = drained.failure
        {
            return Err(failure);
        }
        let mut attempts = Attempts::default();
        let (result, _) = self.send_or_split(content, state, until, &mut attempts);
        result
    }

    /// Delivers the entries that wait for the gateway, the oldest first, but for groups that others are delivering
    /// to. Ends when the gateway cannot be reached, or when it is stopped.
    ///
    /// `until` is called for each group, for the time by which it must be done.
    pub fn flush(
        &self,
        state: &mut LazyState,
        until: impl Fn() -> Instant,
    ) -> Result<Delivery, StateError> {
        let mut flushed = Delivery::of_waiting();
        for key in state.get()?.waiting_groups(self.name())? {
            let until = until();
            if until <= Instant::now() || self.stop.is_wanted() {
                break;
            }
            let Ok(Some(_lock)) = self.lock(&key, Instant::now(), || true) else {
                continue;
            };
            let (mut drained, _) = self.drain(&key, None, state, until)?;
            if let Some(error) = drained.state_failure.take() {
                return Err(error);
            }
            let failure = drained.failure.as_ref();
            let goes_on = failure.is_none_or(GatewayError::may_be_of_push);
            flushed.add(drained);
            if !goes_on {
                break;
            }
        }
        Ok(flushed)
    }

    /// Delivers all entries that wait for the gateway, for as long as it takes them. Waits for others that are
    /// delivering too.
    pub fn flush_all(&self, state: &mut LazyState) -> Result<Delivery, StateError> {
        let mut total = Delivery::of_waiting();
        let mut progress = Instant::now();
        loop {
            let flushed = self.flush(state, || self.policy.until())?;
            if flushed.delivered > 0 || !flushed.rejected.is_empty() {
                progress = Instant::now();
            }
            total.add(flushed);
            total.waiting = state.get()?.waiting_for(self.name())?;
            if total.waiting == 0 || total.failure.is_some() || self.stop.is_wanted() {
                return Ok(total);
            }
            if progress.elapsed() > self.policy.deadline {
                total.failure = Some(GatewayError::Busy);
                return Ok(total);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Sends the gateway the statistics of pushing. No caller depends on the result, and nothing is kept.
    pub fn report_itself(&self, state: &mut LazyState, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        if !self.policy.self_metrics || !self.recipient.is_counted() || left.is_zero() {
            return;
        }
        let now = SystemTime::now();
        let stats = state
            .get()
            .and_then(|state| Ok((state.push_stats(self.name(), now)?, state.outbox_size()?)));
        if let Ok((attempts, outbox)) = stats
            && let Some(push) = self_report::push(&attempts, &outbox, now)
        {
            let push = Content::Push(Cow::Owned(push));
            let _ = self.recipient.send(&push, state, left, &self.stop);
        }
    }

    /// The content that is `entry` in the outbox, whose delivery was ended by `error`; `dropped` are no longer there.
    pub(super) fn undelivered(
        &self,
        error: GatewayError,
        entry: Option<i64>,
        dropped: &[i64],
    ) -> Undelivered {
        let kept = match entry {
            None => Kept::Lost,
            Some(id) if dropped.contains(&id) => Kept::Dropped,
            Some(id) => Kept::InOutbox {
                id,
                path: self.state_dir.join(metricsjob_state::FILE_NAME),
            },
        };
        Undelivered { error, kept }
    }

    /// Delivers what is in no outbox, in its turn as far as the outbox can be read.
    fn deliver_unkept(
        &self,
        content: &Content<'_>,
        state: &mut LazyState,
        until: Instant,
    ) -> Delivery {
        let result = self.send_unkept(content, state, until);
        Delivery::new(result.map_err(|error| self.undelivered(error, None, &[])))
    }

    /// Outcome where another process has the group's lock: it has delivered this entry too; or it has had the lock for
    /// so long that there is no time left, and it will look once more for waiting entries.
    fn leave_to_others(&self, content: &Content<'_>, id: i64, state: &mut LazyState) -> Delivery {
        let fate = self.fate_with_others(content, id, state);
        let mut delivery = Delivery::new(fate.map_or(Ok(()), Err));
        if delivery.result.is_err() {
            let (key, busy) = (content.key(), GatewayError::Busy.to_string());
            let (attempts, limit) = (Attempts::default(), self.policy.outbox_limit);
            let noted = state.get().and_then(|state| {
                state.undelivered(self.name(), key, &[id], &busy, &attempts, limit)
            });
            match noted {
                Ok(dropped) => delivery.dropped = dropped,
                Err(error) => delivery.state_failure = Some(error),
            }
        }
        delivery
    }

    /// Fate of an entry that another process has dealt with; `None` if it is delivered.
    fn fate_with_others(
        &self,
        content: &Content<'_>,
        id: i64,
        state: &mut LazyState,
    ) -> Option<Undelivered> {
        let found = state.get().and_then(|state| {
            if let Some(entry) = state.outbox_entry(id)? {
                return Ok(Some(entry));
            }
            // A newer one has replaced it, or it is delivered.
            let waiting = state.waiting(self.name(), content.key())?;
            let replaces = |entry: &OutboxEntry| {
                let merges = || self.recipient.merged(content, &entry.content).is_some();
                entry.id > id && entry.attempts > 0 && entry.content.replaces(content) && merges()
            };
            Ok(waiting.into_iter().find(replaces))
        });
        let (id, error) = match found {
            Ok(None) => return None,
            Ok(Some(entry)) => {
                let busy = || GatewayError::Busy.to_string();
                let error = entry.error.unwrap_or_else(busy);
                (entry.id, GatewayError::Elsewhere(error))
            }
            // The outcome is unknown.
            Err(error) => (id, error.into()),
        };
        Some(self.undelivered(error, Some(id), &[]))
    }

    fn lock(
        &self,
        key: &GroupingKey,
        until: Instant,
        is_needed: impl FnMut() -> bool,
    ) -> io::Result<Option<GroupLock>> {
        GroupLock::acquire(self.state_dir, self.name(), key, until, is_needed)
    }
}
