//! One push, by way of the outbox, so that it is delivered or kept in spite of failures.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::drain::{Drained, WaitingGroup};
use super::gateway::{Gateway, GatewayClient, GatewayError};
use super::group_lock::GroupLocks;
use super::policy::DeliveryPolicy;
use super::retry;
use super::self_report;
use super::split::{Split, split};
use metricsjob_client::Stop;
use metricsjob_metrics::{GroupingKey, Method, Push};
use metricsjob_state::outbox::{Left, OutboxEntry};
use metricsjob_state::push_stats::Attempts;
use metricsjob_state::{LazyState, StateError};

/// Outcome of a push to one gateway.
#[derive(Debug)]
pub struct Delivery {
    pub result: Result<(), Undelivered>,
    /// Number of older reports delivered as well.
    pub late: u64,
    /// Number of older reports rejected meanwhile.
    pub late_rejected: u64,
    /// Number of the oldest entries that were dropped, because the outbox was full.
    pub dropped: u64,
    /// Work left at the gateway after the delivery, as far as that is known.
    pub left_there: Option<Left>,
    /// Why the outcome of the push is not in the outbox.
    pub state_failure: Option<StateError>,
}

/// A push that its gateway does not have.
#[derive(Debug)]
pub struct Undelivered {
    pub error: GatewayError,
    pub kept: Kept,
}

/// Where an undelivered push is.
#[derive(Debug)]
pub enum Kept {
    /// In the outbox of the state database at `path`.
    InOutbox { id: i64, path: PathBuf },
    /// Nowhere, because it never came into the outbox.
    Lost,
    /// Nowhere, because the outbox was full.
    Dropped,
}

/// Outcome for the entries that waited for a gateway.
#[derive(Debug, Default)]
pub struct Flushed {
    pub delivered: u64,
    pub rejected: u64,
    /// Number of entries that still wait.
    pub waiting: u64,
    /// Why the gateway has rejected entries, or parts of them.
    pub rejections: Vec<GatewayError>,
    /// First of the failures that may pass.
    pub failure: Option<GatewayError>,
    /// True if the gateway is to get the statistics.
    pub are_stats_due: bool,
}

impl Flushed {
    /// Returns true if nothing waited.
    pub fn is_empty(&self) -> bool {
        self.delivered + self.rejected + self.waiting == 0
    }
}

/// How long to wait before looking again whether others are done.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Delivers to one gateway by way of the outbox.
pub struct Courier<'a> {
    client: GatewayClient,
    state_dir: &'a Path,
    policy: &'a DeliveryPolicy,
    stop: Stop,
}

impl<'a> Courier<'a> {
    pub fn new(
        gateway: &'a Gateway,
        state_dir: &'a Path,
        policy: &'a DeliveryPolicy,
        stop: Stop,
    ) -> Self {
        Courier {
            client: gateway.client(),
            state_dir,
            policy,
            stop,
        }
    }

    /// The gateway as the outbox names it.
    pub fn name(&self) -> &str {
        self.client.name()
    }

    /// Delivers `push`, which is `entry` in the outbox, after the other entries that wait for its group. Without
    /// an entry, because the state could not be written, it is just pushed.
    pub fn deliver(
        &self,
        push: &Push,
        entry: Option<i64>,
        state: &mut LazyState,
        until: Instant,
    ) -> Delivery {
        let Some(id) = entry else {
            return self.deliver_unkept(push, state, until);
        };
        // The process or thread that has the lock may deliver this one too.
        let waits = || {
            let ids = state
                .get()
                .and_then(|state| state.waiting_ids(self.name(), push.key()));
            !self.stop.is_wanted() && ids.is_ok_and(|ids| ids.contains(&id))
        };
        let lock = match self.lock(push.key(), until, waits) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return self.leave_to_others(push, id, state),
            // Where there are no locks, to deliver is still better than not to.
            Err(_) => None,
        };
        let drained = self.group(push.key(), until).drain(Some((id, push)), state);
        drop(lock);
        match drained {
            Ok(drained) => self.fate(push, id, drained, state),
            Err(error) => Delivery {
                state_failure: Some(error),
                ..self.deliver_unkept(push, state, until)
            },
        }
    }

    /// Pushes a push that need not be kept, after the entries that wait for its group, which would otherwise
    /// overwrite it later.
    pub fn push_unkept(
        &self,
        push: &Push,
        state: &mut LazyState,
        until: Instant,
    ) -> Result<(), GatewayError> {
        let _lock = match self.lock(push.key(), until, || !self.stop.is_wanted()) {
            Ok(Some(lock)) => Some(lock),
            Ok(None) => return Err(GatewayError::Busy),
            Err(_) => None,
        };
        if let Ok(drained) = self.group(push.key(), until).drain(None, state)
            && let Some(failure) = drained.failure
        {
            return Err(failure);
        }
        self.just_push(push, state, until)
    }

    /// Delivers the entries that wait for the gateway, the oldest first, but for groups that others are delivering
    /// to. Ends when the gateway cannot be reached, or when it is stopped.
    ///
    /// `until` is called for each group, for the time by which it must be done.
    pub fn flush(
        &self,
        state: &mut LazyState,
        until: impl Fn() -> Instant,
    ) -> Result<Flushed, StateError> {
        let mut flushed = Flushed::default();
        for key in state.get()?.waiting_groups(self.client.name())? {
            let until = until();
            if until <= Instant::now() || self.stop.is_wanted() {
                break;
            }
            let Ok(Some(_lock)) = self.lock(&key, Instant::now(), || true) else {
                continue;
            };
            let drained = self.group(&key, until).drain(None, state)?;
            flushed.delivered += drained.delivered.len() as u64;
            flushed.rejected += drained.rejected.len() as u64;
            let rejections = drained.rejected.into_iter();
            flushed
                .rejections
                .extend(rejections.map(|(_, error)| error));
            if let Some(left) = drained.left_there {
                flushed.are_stats_due = left.are_stats_due;
            }
            if let Some(error) = drained.state_failure {
                return Err(error);
            }
            if let Some(failure) = drained.failure {
                let goes_on = failure.may_be_of_push();
                flushed.failure.get_or_insert(failure);
                if !goes_on {
                    break;
                }
            }
        }
        Ok(flushed)
    }

    /// Delivers all entries that wait for the gateway, for as long as it takes them. Waits for others that are
    /// delivering too.
    pub fn flush_all(&self, state: &mut LazyState) -> Result<Flushed, StateError> {
        let deadline = self.policy.deadline;
        let mut total = Flushed::default();
        let mut progress = Instant::now();
        loop {
            let flushed = self.flush(state, || self.policy.until())?;
            if flushed.delivered + flushed.rejected > 0 {
                progress = Instant::now();
            }
            total.delivered += flushed.delivered;
            total.rejected += flushed.rejected;
            total.rejections.extend(flushed.rejections);
            total.failure = flushed.failure;
            total.are_stats_due |= flushed.are_stats_due;
            total.waiting = state.get()?.waiting_for(self.client.name())?;
            if total.waiting == 0 || total.failure.is_some() || self.stop.is_wanted() {
                return Ok(total);
            }
            if progress.elapsed() > deadline {
                total.failure = Some(GatewayError::Busy);
                return Ok(total);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Sends the gateway the statistics of pushing. No caller depends on the result, and nothing is kept.
    pub fn report_itself(&self, state: &mut LazyState, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        if !self.policy.self_metrics || !self.client.is_http() || left.is_zero() {
            return;
        }
        let now = SystemTime::now();
        let stats = state
            .get()
            .and_then(|state| Ok((state.push_stats(self.name(), now)?, state.outbox_size()?)));
        if let Ok((attempts, outbox)) = stats
            && let Some(push) = self_report::push(&attempts, &outbox, now)
        {
            let _ = self.client.push(&push, state, left, &self.stop);
        }
    }

    /// Place of the entry `id` in the outbox, for messages that say where it is.
    fn kept(&self, id: i64) -> Kept {
        Kept::InOutbox {
            id,
            path: self.state_dir.join(metricsjob_state::FILE_NAME),
        }
    }

    fn just_push(
        &self,
        push: &Push,
        state: &mut LazyState,
        until: Instant,
    ) -> Result<(), GatewayError> {
        let (client, window, stop) = (&self.client, self.policy.retry_window, &self.stop);
        let mut send = |push: &Push| {
            let attempts = &mut Attempts::default();
            retry::push(client, push, state, window, until, stop, attempts)
        };
        match send(push) {
            Err(whole) if whole.may_be_of_families() && !push.runners_own().is_empty() => {
                let Split {
                    is_any_taken,
                    refused,
                    error,
                } = split(push, send)?;
                match (is_any_taken, refused.is_empty()) {
                    (_, true) => Ok(()),
                    (true, false) => {
                        let rest = push.part(Method::Post, refused);
                        Err(GatewayError::refused(&rest, error.unwrap_or(whole)))
                    }
                    (false, false) => Err(whole),
                }
            }
            result => result,
        }
    }

    /// The result for a push, which is `entry` in the outbox, whose delivery was ended by `error`.
    pub fn broken(&self, error: GatewayError, entry: Option<i64>) -> Delivery {
        let kept = entry.map_or(Kept::Lost, |id| self.kept(id));
        Delivery {
            result: Err(Undelivered { error, kept }),
            late: 0,
            late_rejected: 0,
            dropped: 0,
            left_there: None,
            state_failure: None,
        }
    }

    /// Delivers a push that is in no outbox, in its turn as far as the outbox can be read.
    fn deliver_unkept(&self, push: &Push, state: &mut LazyState, until: Instant) -> Delivery {
        Delivery {
            result: self
                .push_unkept(push, state, until)
                .map_err(|error| Undelivered {
                    error,
                    kept: Kept::Lost,
                }),
            late: 0,
            late_rejected: 0,
            dropped: 0,
            left_there: None,
            state_failure: None,
        }
    }

    /// Outcome where another process has the group's lock: it has delivered this entry too; or it has had the lock for
    /// so long that there is no time left, and it will look once more for waiting entries.
    fn leave_to_others(&self, push: &Push, id: i64, state: &mut LazyState) -> Delivery {
        let mut delivery = self.fate(push, id, Drained::default(), state);
        if delivery.result.is_err() {
            let (key, busy) = (push.key(), GatewayError::Busy.to_string());
            let (attempts, limit) = (Attempts::default(), self.policy.outbox_limit);
            let noted = state.get().and_then(|state| {
                state.undelivered(self.name(), key, &[id], &busy, &attempts, limit)
            });
            match noted {
                Ok(dropped) => delivery.dropped = dropped.len() as u64,
                Err(error) => delivery.state_failure = Some(error),
            }
        }
        delivery
    }

    /// Outcome of the entry `id`, which was among those that were `drained`, or among those that
    /// another process has dealt with.
    fn fate(&self, push: &Push, id: i64, drained: Drained, state: &mut LazyState) -> Delivery {
        let is_delivered = drained.delivered.contains(&id);
        let late = drained.delivered.iter().filter(|other| **other != id);
        let late = late.count() as u64;
        let late_rejected = drained.rejected.iter().filter(|(other, _)| *other != id);
        let late_rejected = late_rejected.count() as u64;
        let mut rejected = drained.rejected.into_iter();
        let error = if is_delivered {
            None
        } else if let Some((_, error)) = rejected.find(|(rejected, _)| *rejected == id) {
            Some((id, error))
        } else if let Some(error) = drained.failure {
            Some((id, error))
        } else {
            self.fate_with_others(push, id, state)
        };
        Delivery {
            result: match error {
                None => Ok(()),
                Some((id, error)) => Err(Undelivered {
                    error,
                    kept: if drained.dropped.contains(&id) {
                        Kept::Dropped
                    } else {
                        self.kept(id)
                    },
                }),
            },
            late,
            late_rejected,
            dropped: drained.dropped.len() as u64,
            left_there: drained.left_there,
            state_failure: drained.state_failure,
        }
    }

    /// Why an entry that another process has dealt with is not delivered, and as which entry it waits;
    /// `None` if it is delivered.
    fn fate_with_others(
        &self,
        push: &Push,
        id: i64,
        state: &mut LazyState,
    ) -> Option<(i64, GatewayError)> {
        let found = state.get().and_then(|state| {
            if let Some(entry) = state.outbox_entry(id)? {
                return Ok(Some(entry));
            }
            // A newer one has replaced it, or it is delivered.
            let waiting = state.waiting(self.name(), push.key())?;
            let replaces = |entry: &OutboxEntry| {
                entry.id > id && entry.attempts > 0 && entry.push.replaces(push)
            };
            Ok(waiting.into_iter().find(replaces))
        });
        let entry = match found {
            Ok(found) => found?,
            // The outcome is unknown.
            Err(error) => return Some((id, error.into())),
        };
        let error = entry
            .error
            .unwrap_or_else(|| GatewayError::Busy.to_string());
        Some((entry.id, GatewayError::Elsewhere(error)))
    }

    fn group<'b>(&'b self, key: &'b GroupingKey, until: Instant) -> WaitingGroup<'b> {
        WaitingGroup {
            client: &self.client,
            key,
            policy: self.policy,
            until,
            stop: &self.stop,
        }
    }

    fn lock(
        &self,
        key: &GroupingKey,
        until: Instant,
        is_needed: impl FnMut() -> bool,
    ) -> io::Result<Option<GroupLocks>> {
        GroupLocks::acquire(self.state_dir, self.name(), key, until, is_needed)
    }
}
