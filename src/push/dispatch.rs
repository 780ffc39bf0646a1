//! Deliveries to several destinations, each independent of the others.

use std::borrow::Cow;
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::courier::Courier;
use super::delivery::Delivery;
use super::gateway::GatewayError;
use super::policy::DeliveryPolicy;
use super::recipient::DeliveryTarget;
use metricsjob_client::Stop;
use metricsjob_metrics::Push;
use metricsjob_state::LazyState;
use metricsjob_state::outbox::{Content, Left};
use metricsjob_system::panics;

/// Something to deliver: a content, and its entry in the outbox unless it could not be put there.
pub struct Item<'a> {
    pub content: Content<'a>,
    pub entry: Option<i64>,
}

/// Delivers to several destinations.
pub struct Dispatch<'a> {
    couriers: Vec<Courier<'a>>,
    state_dir: &'a Path,
    policy: &'a DeliveryPolicy,
}

impl<'a> Dispatch<'a> {
    /// Creates a client for each destination. That takes a while, so it is done before there is anything to send.
    pub fn new(
        destinations: &[DeliveryTarget],
        state_dir: &'a Path,
        policy: &'a DeliveryPolicy,
        stop: Stop,
    ) -> Self {
        let couriers = destinations.iter();
        let couriers =
            couriers.map(|destination| Courier::new(destination, state_dir, policy, stop.clone()));
        Dispatch {
            couriers: couriers.collect(),
            state_dir,
            policy,
        }
    }

    /// When a delivery that begins now must be over.
    pub fn until(&self) -> Instant {
        self.policy.until()
    }

    /// Delivers `push` to each destination, by way of its entry in the outbox if there are `entries`.
    pub fn deliver_to_all(
        &self,
        push: &Push,
        entries: Option<&[i64]>,
        state: &mut LazyState,
        until: Instant,
    ) -> Vec<Delivery> {
        let item = |index: usize| Item {
            content: Content::Push(Cow::Borrowed(push)),
            entry: entries.and_then(|ids| ids.get(index).copied()),
        };
        let items: Vec<Option<Item<'_>>> = (0..self.couriers.len())
            .map(|index| Some(item(index)))
            .collect();
        self.deliver(&items, state, until)
    }

    /// Delivers to each destination its item of `items`, which are in the same order. One without an item counts as
    /// delivered.
    pub fn deliver(
        &self,
        items: &[Option<Item<'_>>],
        state: &mut LazyState,
        until: Instant,
    ) -> Vec<Delivery> {
        let entry = |index: usize| items[index].as_ref()?.entry;
        let deliveries = self.each(state, |index, courier, state| {
            let Some(Item { content, entry }) = &items[index] else {
                return Delivery::of_waiting();
            };
            let mut delivery = courier.deliver(content, *entry, state, until);
            delivery.notices = courier.notices();
            delivery
        });
        let deliveries = deliveries.into_iter().enumerate();
        deliveries
            .map(|(index, delivery)| {
                delivery.unwrap_or_else(|panic| {
                    let (courier, error) = (&self.couriers[index], GatewayError::Internal(panic));
                    Delivery::new(Err(courier.undelivered(error, entry(index), &[])))
                })
            })
            .collect()
    }

    /// Delivers the other entries that wait for the destinations that have taken or rejected theirs of `deliveries`, and
    /// sends gateways the statistics of pushing. Any other destination is in trouble, and is left alone.
    pub fn finish(&self, deliveries: &mut [Delivery], state: &mut LazyState, until: Instant) {
        let to_do: Vec<Left> = deliveries.iter().map(to_do).collect();
        let is_done = |left: &Left| !left.is_anything_waiting && !left.are_stats_due;
        if to_do.iter().all(is_done) {
            return;
        }
        let flushed = self.each(state, |index, courier, state| {
            let flushed = if to_do[index].is_anything_waiting {
                courier.flush(state, || until).ok()
            } else {
                None
            };
            if to_do[index].are_stats_due {
                courier.report_itself(state, until);
            }
            flushed
        });
        for (delivery, flushed) in deliveries.iter_mut().zip(flushed) {
            if let Some(flushed) = flushed.ok().flatten() {
                delivery.delivered += flushed.delivered;
                delivery.rejected.extend(flushed.rejected);
            }
        }
    }

    /// Delivers all entries that wait for each destination.
    pub fn flush(&self, state: &mut LazyState) -> Vec<Result<Delivery, GatewayError>> {
        let flushed = self.each(state, |_, courier, state| {
            let flushed = courier.flush_all(state)?;
            if flushed.are_stats_due() {
                courier.report_itself(state, self.until());
            }
            Ok(flushed)
        });
        let flushed = flushed.into_iter();
        flushed
            .map(|flushed| flushed.unwrap_or_else(|panic| Err(GatewayError::Internal(panic))))
            .collect()
    }

    /// Pushes to each gateway a push that need not be kept. Returns the first error.
    pub fn push_unkept(&self, push: &Push, state: &mut LazyState) -> Result<(), GatewayError> {
        let until = self.until();
        let push = Content::Push(Cow::Borrowed(push));
        let results = self.each(state, |_, courier, state| {
            courier.send_unkept(&push, state, until)
        });
        let mut results = results.into_iter();
        results.try_for_each(|result| {
            result.unwrap_or_else(|panic| Err(GatewayError::Internal(panic)))
        })
    }

    /// Does `work` for each courier: for several at the same time, so that none waits for another's gateway. One
    /// that panics gives the message.
    fn each<T: Send>(
        &self,
        state: &mut LazyState,
        work: impl Fn(usize, &Courier<'a>, &mut LazyState) -> T + Sync,
    ) -> Vec<Result<T, String>> {
        let work = |index: usize, courier: &Courier<'a>, state: &mut LazyState| {
            panics::caught(|| {
                panics::point("courier");
                work(index, courier, state)
            })
        };
        if let [courier] = &self.couriers[..] {
            return vec![work(0, courier, state)];
        }
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = self
                .couriers
                .iter()
                .enumerate()
                .map(|(index, courier)| {
                    let mut state = LazyState::new(self.state_dir);
                    scope.spawn(move || (work(index, courier, &mut state), state))
                })
                .collect();
            let results = threads.into_iter().map(|thread| thread.join());
            results
                .map(|joined| match joined {
                    Ok((result, other)) => {
                        state.adopt(other);
                        result
                    }
                    Err(panic) => Err(panics::message(&*panic)),
                })
                .collect()
        })
    }
}

/// Work left at a gateway after a delivery.
fn to_do(delivery: &Delivery) -> Left {
    let all = Left {
        is_anything_waiting: true,
        are_stats_due: true,
    };
    let nothing = Left {
        is_anything_waiting: false,
        are_stats_due: false,
    };
    match &delivery.result {
        // Entries that cannot be removed from the outbox would be delivered again.
        _ if delivery.state_failure.is_some() => nothing,
        Ok(()) => delivery.left_there.unwrap_or(all),
        Err(undelivered) if undelivered.error.is_rejection() => all,
        Err(_) => nothing,
    }
}
