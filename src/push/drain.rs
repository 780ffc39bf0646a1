//! Delivery, in order, of all entries that wait in the outbox for one group.

use std::time::{Instant, SystemTime};

use super::courier::Courier;
use super::delivery::Delivery;
use super::gateway::GatewayError;
use metricsjob_metrics::{GroupingKey, Push};
use metricsjob_state::outbox::Content;
use metricsjob_state::push_stats::Attempts;
use metricsjob_state::{LazyState, StateError};

/// Entries of one group, on their way.
struct Drain<'a> {
    courier: &'a Courier<'a>,
    key: &'a GroupingKey,
    until: Instant,
    /// The entry that the caller asks for, until its outcome is known.
    own: Option<i64>,
    delivery: Delivery,
    /// Attempts that the statistics do not count yet.
    uncounted: Attempts,
}

impl Courier<'_> {
    /// Delivers all entries of the group that wait, those of other processes included, until none is left
    /// or one cannot be delivered. The caller holds the group's lock. `own` is one of them that need not be read again.
    /// Returns whether its outcome is the result of the delivery; otherwise the failure is it, or another process has dealt
    /// with it.
    ///
    /// # Errors
    ///
    /// The outbox cannot be read. Nothing was sent then.
    pub(super) fn drain(
        &self,
        key: &GroupingKey,
        own: Option<(i64, &Content<'_>)>,
        state: &mut LazyState,
        until: Instant,
    ) -> Result<(Delivery, bool), StateError> {
        let mut drain = Drain {
            courier: self,
            key,
            until,
            own: own.map(|(id, _)| id),
            delivery: Delivery::of_waiting(),
            uncounted: Attempts::default(),
        };
        loop {
            let ids = state.get()?.waiting_ids(self.name(), key)?;
            if ids.is_empty() {
                break;
            }
            let waiting: Vec<(i64, Content<'_>)> = match own {
                Some((id, content)) if ids == [id] => vec![(id, content.clone())],
                _ => {
                    let entries = state.get()?.waiting(self.name(), key)?;
                    let entries = entries.into_iter();
                    entries.map(|entry| (entry.id, entry.content)).collect()
                }
            };
            drain.deliver_together(&waiting, state);
            let Delivery {
                failure,
                state_failure,
                left_there,
                ..
            } = &drain.delivery;
            let is_all = left_there.is_some_and(|left| !left.is_anything_waiting);
            if failure.is_some() || state_failure.is_some() || is_all {
                break;
            }
        }
        Ok((drain.delivery, drain.own.is_none()))
    }
}

impl Drain<'_> {
    /// Delivers `waiting` as one, or one by one if there is no such thing, or if it is rejected, since that may be the
    /// fault of one of them.
    fn deliver_together(&mut self, waiting: &[(i64, Content<'_>)], state: &mut LazyState) {
        let (courier, until) = (self.courier, self.until);
        let ids: Vec<i64> = waiting.iter().map(|(id, _)| *id).collect();
        let mut contents = waiting.iter().map(|(_, content)| content);
        let Some(oldest) = contents.next() else {
            return;
        };
        let together = contents.try_fold(oldest.clone(), |older, newer| {
            courier.recipient.merged(&older, newer)
        });
        let Some(together) = together else {
            return self.deliver_each(waiting, state);
        };
        let mut attempts = std::mem::take(&mut self.uncounted);
        if let [id] = ids[..] {
            let (result, rest) = courier.send_or_split(&together, state, until, &mut attempts);
            return self.settle(&[id], result, rest.as_ref(), attempts, state);
        }
        match courier.send(&together, state, until, &mut attempts) {
            Err(error) if error.is_rejection() => {
                self.uncounted = attempts;
                self.deliver_each(waiting, state);
            }
            result => self.settle(&ids, result, None, attempts, state),
        }
    }

    /// Delivers `waiting` one by one, until that fails.
    fn deliver_each(&mut self, waiting: &[(i64, Content<'_>)], state: &mut LazyState) {
        for one in waiting {
            if self.delivery.failure.is_none() {
                self.deliver_together(std::slice::from_ref(one), state);
            }
        }
    }

    /// Notes the outcome of the entries `ids`; where the gateway has taken all but the `rest` of one, that stays in its
    /// place.
    fn settle(
        &mut self,
        ids: &[i64],
        result: Result<(), GatewayError>,
        rest: Option<&Push>,
        attempts: Attempts,
        state: &mut LazyState,
    ) {
        let courier = self.courier;
        let (gateway, limit) = (courier.name(), courier.policy.outbox_limit);
        let attempts = if courier.recipient.is_counted() {
            &attempts
        } else {
            &Attempts::default()
        };
        self.delivery.left_there = None;
        let message = result.as_ref().err().map(ToString::to_string);
        let message = message.unwrap_or_default();
        let noted = state.get().and_then(|state| match (&result, ids, rest) {
            (Ok(()), _, _) => {
                let now = SystemTime::now();
                let left = state.delivered(gateway, self.key, ids, attempts, now)?;
                Ok((Some(left), Vec::new()))
            }
            (Err(_), [id], Some(rest)) => {
                let (left, dropped) =
                    state.rejected_in_part(gateway, *id, rest, &message, attempts, limit)?;
                Ok((Some(left), dropped))
            }
            (Err(error), [id], None) if error.is_rejection() => {
                Ok((None, state.rejected(*id, &message, attempts, limit)?))
            }
            (Err(_), _, _) => {
                let key = self.key;
                let dropped = state.undelivered(gateway, key, ids, &message, attempts, limit)?;
                Ok((None, dropped))
            }
        });
        match noted {
            Ok((left, dropped)) => {
                self.delivery.left_there = left;
                self.delivery.dropped.extend(dropped);
            }
            Err(error) => self.delivery.state_failure = Some(error),
        }
        let is_own = self.own.is_some_and(|own| ids.contains(&own));
        match result {
            Ok(()) => self.delivery.delivered += ids.len() as u64 - u64::from(is_own),
            Err(error) if !error.is_rejection() => {
                self.delivery.failure = Some(error);
                return;
            }
            Err(error) if is_own => {
                let undelivered = courier.undelivered(error, self.own, &self.delivery.dropped);
                self.delivery.result = Err(undelivered);
            }
            Err(error) => self.delivery.rejected.push(error),
        }
        if is_own {
            self.own = None;
        }
    }
}
