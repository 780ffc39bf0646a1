//! Delivery, in order, of all entries that wait in the outbox for one group.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use super::gateway::{GatewayClient, GatewayError};
use super::policy::DeliveryPolicy;
use super::retry;
use super::split::{Split, split};
use metricsjob_client::Stop;
use metricsjob_metrics::{GroupingKey, Method, Push};
use metricsjob_state::outbox::Left;
use metricsjob_state::push_stats::Attempts;
use metricsjob_state::{LazyState, StateError};

/// Outcome for the entries of a group.
#[derive(Debug, Default)]
pub struct Drained {
    pub delivered: Vec<i64>,
    pub rejected: Vec<(i64, GatewayError)>,
    /// Why others are left, if that may pass.
    pub failure: Option<GatewayError>,
    /// The oldest entries, which were dropped because the outbox was full.
    pub dropped: Vec<i64>,
    /// Why their outcome is not in the outbox.
    pub state_failure: Option<StateError>,
    /// Work left at the gateway after the last delivery.
    pub left_there: Option<Left>,
    /// Attempts that the statistics do not count yet.
    uncounted: Attempts,
}

/// A group to deliver to. Its owner holds the group's lock.
pub struct WaitingGroup<'a> {
    pub client: &'a GatewayClient,
    pub key: &'a GroupingKey,
    pub policy: &'a DeliveryPolicy,
    /// When it must be over.
    pub until: Instant,
    pub stop: &'a Stop,
}

impl WaitingGroup<'_> {
    /// Delivers all entries of the group that wait, those of other processes included, until none is left
    /// or one cannot be delivered. `own` is one of them that need not be read again.
    ///
    /// # Errors
    ///
    /// The outbox cannot be read. Nothing was sent then.
    pub fn drain(
        &self,
        own: Option<(i64, &Push)>,
        state: &mut LazyState,
    ) -> Result<Drained, StateError> {
        let mut drained = Drained::default();
        loop {
            let gateway = self.client.name();
            let ids = state.get()?.waiting_ids(gateway, self.key)?;
            let waiting: Vec<(i64, Cow<'_, Push>)> = match own {
                _ if ids.is_empty() => return Ok(drained),
                Some((id, push)) if ids == [id] => vec![(id, Cow::Borrowed(push))],
                _ => {
                    let entries = state.get()?.waiting(gateway, self.key)?;
                    let entries = entries.into_iter();
                    entries
                        .map(|entry| (entry.id, Cow::Owned(entry.push)))
                        .collect()
                }
            };
            let goes_on = self.deliver_together(&waiting, state, &mut drained);
            let is_all = |left: Left| !left.is_anything_waiting;
            if !goes_on || drained.state_failure.is_some() || drained.left_there.is_some_and(is_all)
            {
                return Ok(drained);
            }
        }
    }

    /// Delivers `waiting` as one push, or one by one if that is rejected, since it may be the fault of one
    /// of them. Returns whether the gateway can take more.
    fn deliver_together(
        &self,
        waiting: &[(i64, Cow<'_, Push>)],
        state: &mut LazyState,
        drained: &mut Drained,
    ) -> bool {
        let ids: Vec<i64> = waiting.iter().map(|(id, _)| *id).collect();
        let together = waiting.iter().map(|(_, push)| push.clone());
        let Some(together) = together.reduce(|older, newer| Cow::Owned(older.followed_by(&newer)))
        else {
            return true;
        };
        let is_one = waiting.len() == 1;
        let mut attempts = std::mem::take(&mut drained.uncounted);
        match self.send(&together, state, &mut attempts) {
            Err(error) if error.is_rejection() && !is_one => {
                drained.uncounted = attempts;
                for one in waiting {
                    if !self.deliver_together(std::slice::from_ref(one), state, drained) {
                        return false;
                    }
                }
                true
            }
            Err(error)
                if is_one && error.may_be_of_families() && !together.runners_own().is_empty() =>
            {
                self.deliver_parts(&together, ids[0], error, attempts, state, drained)
            }
            result => {
                self.settle(&ids, result, &attempts, state, drained);
                drained.failure.is_none()
            }
        }
    }

    /// Delivers the families of `push` that the gateway takes; `push` is the entry `id` and was refused with the error
    /// `whole`. The refused families stay as a rejected entry. Returns whether the gateway can take more.
    fn deliver_parts(
        &self,
        push: &Push,
        id: i64,
        whole: GatewayError,
        mut attempts: Attempts,
        state: &mut LazyState,
        drained: &mut Drained,
    ) -> bool {
        let mut of_parts = Attempts::default();
        let split = split(push, |part| self.send(part, state, &mut of_parts));
        // The statistics count reports.
        attempts.failed += of_parts.failed;
        attempts.duration += of_parts.duration;
        match split {
            Ok(Split { refused, .. }) if refused.is_empty() => {
                (attempts.rejected, attempts.delivered) = (0, 1);
                self.settle(&[id], Ok(()), &attempts, state, drained);
            }
            Ok(Split {
                is_any_taken: true,
                refused,
                error,
            }) => {
                let rest = push.part(Method::Post, refused);
                let error = GatewayError::refused(&rest, error.unwrap_or(whole));
                self.settle_rest(id, &rest, error, &attempts, state, drained);
            }
            Ok(_) => self.settle(&[id], Err(whole), &attempts, state, drained),
            Err(error) => {
                attempts.rejected = 0;
                self.settle(&[id], Err(error), &attempts, state, drained);
            }
        }
        drained.failure.is_none()
    }

    /// Notes that of the entry `id` the gateway has all but `rest`.
    fn settle_rest(
        &self,
        id: i64,
        rest: &Push,
        error: GatewayError,
        attempts: &Attempts,
        state: &mut LazyState,
        drained: &mut Drained,
    ) {
        let (gateway, limit) = (self.client.name(), self.policy.outbox_limit);
        let attempts = self.counted(attempts);
        let message = error.to_string();
        let noted = state.get().and_then(|state| {
            state.rejected_in_part(gateway, id, rest, &message, &attempts, limit)
        });
        match noted {
            Ok((left, dropped)) => {
                drained.left_there = Some(left);
                drained.dropped.extend(dropped);
            }
            Err(error) => drained.state_failure = Some(error),
        }
        drained.rejected.push((id, error));
    }

    /// The part of `attempts` that the statistics count: pushes to the embedded gateway say nothing about the way to
    /// others.
    fn counted(&self, attempts: &Attempts) -> Attempts {
        if self.client.is_http() {
            *attempts
        } else {
            Attempts::default()
        }
    }

    /// Notes the outcome of the entries `ids`.
    fn settle(
        &self,
        ids: &[i64],
        result: Result<(), GatewayError>,
        attempts: &Attempts,
        state: &mut LazyState,
        drained: &mut Drained,
    ) {
        let gateway = self.client.name();
        let attempts = &self.counted(attempts);
        drained.left_there = None;
        let noted = state.get().and_then(|state| match &result {
            Ok(()) => {
                let now = SystemTime::now();
                let left = state.delivered(gateway, &[(self.key, ids)], attempts, now)?;
                drained.left_there = Some(left);
                Ok(Vec::new())
            }
            Err(error) if error.is_rejection() => {
                let (message, limit) = (error.to_string(), self.policy.outbox_limit);
                match ids.first() {
                    Some(id) => state.rejected(*id, &message, attempts, limit),
                    None => Ok(Vec::new()),
                }
            }
            Err(error) => {
                let (message, limit) = (error.to_string(), self.policy.outbox_limit);
                state.undelivered(gateway, self.key, ids, &message, attempts, limit)
            }
        });
        match noted {
            Ok(dropped) => drained.dropped.extend(dropped),
            Err(error) => drained.state_failure = Some(error),
        }
        match result {
            Ok(()) => drained.delivered.extend(ids),
            Err(error) if error.is_rejection() => {
                drained.rejected.extend(ids.first().map(|id| (*id, error)));
            }
            Err(error) => drained.failure = Some(error),
        }
    }

    fn send(
        &self,
        push: &Push,
        state: &mut LazyState,
        attempts: &mut Attempts,
    ) -> Result<(), GatewayError> {
        let window = self.policy.retry_window;
        let (until, stop) = (self.until, self.stop);
        retry::push(self.client, push, state, window, until, stop, attempts)
    }
}
