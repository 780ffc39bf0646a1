//! Fair queue for slow work that clients have to take turns at.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use metricsjob_system::panics::locked;

/// A limited number of concurrent turns. If more are wanted, the waiting addresses are served round-robin, so
/// that an address with many requests delays the first request of another by one turn, and not by all of its
/// own.
pub struct Turns(Mutex<TurnsState>);

struct TurnsState {
    free: usize,
    /// Waiting requests by the address that they come from; no queue is empty.
    waiting: HashMap<Option<IpAddr>, VecDeque<oneshot::Sender<Permit>>>,
    /// The addresses of the waiting requests, the next one first.
    order: VecDeque<Option<IpAddr>>,
}

/// A turn, which ends when it is dropped.
pub struct Permit {
    turns: Arc<Turns>,
}

impl Turns {
    /// Allows `count` concurrent turns.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Turns(Mutex::new(TurnsState {
            free: count,
            waiting: HashMap::new(),
            order: VecDeque::new(),
        })))
    }

    /// Waits for a turn for a request from `client`, or from a Unix socket if there is no address.
    pub async fn take(self: &Arc<Self>, client: Option<IpAddr>) -> Permit {
        loop {
            let turn = {
                let mut state = locked(&self.0);
                if state.free > 0 {
                    state.free -= 1;
                    return self.turn();
                }
                let client = client.map(network);
                let (sender, turn) = oneshot::channel();
                let TurnsState { waiting, order, .. } = &mut *state;
                let requests = waiting.entry(client).or_default();
                if requests.is_empty() {
                    order.push_back(client);
                }
                requests.push_back(sender);
                turn
            };
            // A sender is dropped only after a turn has been sent through it.
            if let Ok(turn) = turn.await {
                return turn;
            }
        }
    }

    fn turn(self: &Arc<Self>) -> Permit {
        Permit {
            turns: Arc::clone(self),
        }
    }

    /// Removes and returns the next request, or frees the turn if none is waiting.
    fn next(&self) -> Option<oneshot::Sender<Permit>> {
        let mut state = locked(&self.0);
        let TurnsState {
            free,
            waiting,
            order,
        } = &mut *state;
        while let Some(client) = order.pop_front() {
            let Some(requests) = waiting.get_mut(&client) else {
                continue;
            };
            // Requests whose clients have gone are skipped.
            let next = loop {
                match requests.pop_front() {
                    Some(request) if request.is_closed() => {}
                    next => break next,
                }
            };
            if requests.is_empty() {
                drop(waiting.remove(&client))
            } else {
                order.push_back(client)
            }
            if next.is_some() {
                return next;
            }
        }
        *free += 1;
        None
    }
}

/// Returns the part of an address that identifies a client: one client can have all addresses that share the
/// first 64 bits of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(next) = self.turns.next() {
            // If that request has gone meanwhile, its turn is dropped and passes to the next one.
            let _ = next.send(self.turns.turn());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    type Waiting = Pin<Box<dyn Future<Output = Permit>>>;

    fn wait(turns: &Arc<Turns>, client: u8) -> Waiting {
        let turns = Arc::clone(turns);
        let client = IpAddr::from([127, 0, 0, client]);
        Box::pin(async move { turns.take(Some(client)).await })
    }

    async fn polled(waiting: &mut Waiting) -> Option<Permit> {
        poll_fn(|cx| {
            Poll::Ready(match waiting.as_mut().poll(cx) {
                Poll::Ready(turn) => Some(turn),
                Poll::Pending => None,
            })
        })
        .await
    }

    #[tokio::test]
    async fn an_address_waits_for_one_turn_of_another() {
        let turns = Turns::new(1);
        let mut first = wait(&turns, 1).await;
        let mut flood: Vec<Waiting> = (0..100).map(|_| wait(&turns, 1)).collect();
        for waiting in &mut flood {
            assert!(polled(waiting).await.is_none());
        }
        let mut other = wait(&turns, 2);
        assert!(polled(&mut other).await.is_none());
        let mut flood = flood.into_iter();
        // A request that has gone gets no turn.
        drop(flood.next());
        for waiting in [flood.next().unwrap(), other] {
            let mut waiting = waiting;
            drop(first);
            first = polled(&mut waiting).await.unwrap();
        }
        for mut waiting in flood {
            drop(first);
            first = polled(&mut waiting).await.unwrap();
        }
        drop(first);
        let state = locked(&turns.0);
        assert_eq!(
            (state.free, state.waiting.len(), state.order.len()),
            (1, 0, 0)
        );
    }

    #[tokio::test]
    async fn a_turn_that_nobody_takes_goes_on() {
        let turns = Turns::new(1);
        let first = turns.take(None).await;
        let mut gone = wait(&turns, 1);
        let mut next = wait(&turns, 2);
        assert!(polled(&mut gone).await.is_none() && polled(&mut next).await.is_none());
        drop(first);
        drop(gone);
        assert!(polled(&mut next).await.is_some());
    }
}
