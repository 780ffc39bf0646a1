//! State of a connection: written by the connection, read by the pool, which may order it to end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::time::sleep_until;

use super::pool::PoolTimeouts;
use metricsjob_system::panics::locked;

/// Phase in the life cycle of a connection, named after the event that it is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The TLS handshake, or the first byte.
    Opening,
    /// The next request.
    Idle,
    /// The rest of a request head.
    Head,
    /// The server itself.
    Busy,
    /// More of a request body.
    Body,
    /// The client, to accept more of a response.
    Stalled,
}

/// Order of the pool to a connection. A later one of these replaces an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolOrder {
    /// Make way for another connection, unless a request has arrived.
    Evict,
    /// End after the current request, if there is one.
    Drain,
    /// End immediately.
    Kill,
}

struct Inner {
    phase: Phase,
    /// Time when the phase began.
    since: Instant,
    /// True if the response has been handed over for sending, though perhaps not sent yet.
    is_answered: bool,
    /// True if the request body is still being read.
    has_reader: bool,
    /// True if part of the request body was left unread.
    has_rest: bool,
    order: Option<PoolOrder>,
    waker: Option<Waker>,
}

impl Inner {
    fn enter(&mut self, phase: Phase) {
        (self.phase, self.since) = (phase, Instant::now());
    }

    fn has_body(&mut self) {
        if self.phase == Phase::Body {
            self.phase = Phase::Busy;
        }
    }
}

/// State of one connection.
pub struct ConnectionState {
    timeouts: PoolTimeouts,
    inner: Mutex<Inner>,
}

/// Outcome of an operation of a connection.
pub enum Doing<T> {
    Done(T),
    /// The connection has to be closed.
    Ended,
    /// The connection must not accept another request.
    Drain,
}

impl ConnectionState {
    pub fn new(timeouts: PoolTimeouts) -> Self {
        ConnectionState {
            timeouts,
            inner: Mutex::new(Inner {
                phase: Phase::Opening,
                since: Instant::now(),
                is_answered: false,
                has_reader: false,
                has_rest: false,
                order: None,
                waker: None,
            }),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        locked(&self.inner)
    }

    /// Records that bytes were received.
    pub fn received(&self) {
        let mut inner = self.inner();
        if matches!(inner.phase, Phase::Opening | Phase::Idle) {
            inner.enter(Phase::Head);
        }
    }

    /// Records that a request head is complete.
    pub fn requested(&self, has_body: bool) {
        let mut inner = self.inner();
        inner.is_answered = false;
        inner.has_reader = has_body;
        inner.has_rest = false;
        inner.phase = Phase::Busy;
    }

    /// Records that the connection is waiting for more of the request body. `since` is called only if it was
    /// not waiting already: polling again does not restart the wait.
    pub fn awaits_body(&self, since: impl FnOnce() -> Instant) {
        let mut inner = self.inner();
        if inner.phase == Phase::Busy {
            (inner.phase, inner.since) = (Phase::Body, since());
        }
    }

    /// Records that more of the body has arrived.
    pub fn has_body(&self) {
        self.inner().has_body();
    }

    /// Records that the request body has been read, or, unless `whole`, that the rest of it is not wanted.
    pub fn read(&self, whole: bool) {
        let mut inner = self.inner();
        inner.has_body();
        inner.has_reader = false;
        inner.has_rest = !whole;
    }

    /// Returns true if part of the request body was left unread.
    pub fn has_rest(&self) -> bool {
        self.inner().has_rest
    }

    /// Returns true if the client may be sending bytes that will not be read: the rest of an unwanted body,
    /// or whatever follows an invalid head.
    pub fn may_be_sent_to(&self) -> bool {
        let inner = self.inner();
        inner.has_rest || inner.phase == Phase::Head
    }

    /// Records that the response has been handed over for sending.
    pub fn answered(&self) {
        self.inner().is_answered = true;
    }

    /// Records that the client accepted part of the response, or that it did not.
    pub fn wrote(&self, something: bool) {
        let mut inner = self.inner();
        match (something, inner.phase) {
            (true, Phase::Stalled) => inner.phase = Phase::Busy,
            (false, Phase::Busy) => inner.enter(Phase::Stalled),
            _ => {}
        }
    }

    /// Records that everything written has been sent.
    pub fn flushed(&self) {
        let mut inner = self.inner();
        if inner.phase == Phase::Stalled {
            inner.phase = Phase::Busy;
        }
        if inner.phase == Phase::Busy && inner.is_answered && !inner.has_reader {
            inner.enter(Phase::Idle);
        }
    }

    /// Returns since when the connection has been waiting for its client; `None` if it is not, or if it has
    /// to end anyway.
    pub fn waiting_since(&self) -> Option<Instant> {
        let inner = self.inner();
        (inner.phase != Phase::Busy && inner.order.is_none()).then_some(inner.since)
    }

    pub fn order(&self, order: PoolOrder) {
        let mut inner = self.inner();
        inner.order = inner.order.max(Some(order));
        if let Some(waker) = &inner.waker {
            waker.wake_by_ref();
        }
    }

    /// Waits for `future`, or until the connection has to end because of its pool or of its client. Only one
    /// task may call it.
    pub async fn unless_told<T>(&self, future: impl Future<Output = T>) -> Doing<T> {
        let mut future = pin!(future);
        let mut timer = pin!(sleep_until(Instant::now().into()));
        poll_fn(|cx| {
            // Polled first, so that bytes that have just arrived still count.
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Doing::Done(value));
            }
            let (order, deadline) = self.told(cx);
            match order {
                Some(PoolOrder::Drain) => return Poll::Ready(Doing::Drain),
                Some(_) => return Poll::Ready(Doing::Ended),
                None => {}
            }
            let Some(deadline) = deadline.map(Into::into) else {
                return Poll::Pending;
            };
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(cx).map(|()| Doing::Ended)
        })
        .await
    }

    /// Takes the order, if it still has to be followed. Also returns the time until which the client may keep
    /// the connection waiting.
    fn told(&self, cx: &Context<'_>) -> (Option<PoolOrder>, Option<Instant>) {
        let mut inner = self.inner();
        // A task keeps the same waker for its whole life.
        inner.waker.get_or_insert_with(|| cx.waker().clone());
        let is_busy = inner.phase == Phase::Busy;
        let order = inner.order.take();
        let order = order.filter(|order| *order != PoolOrder::Evict || !is_busy);
        let timeout = match inner.phase {
            // The code that reads a body limits how long it may take, because it can still respond with an
            // error.
            Phase::Busy | Phase::Body => None,
            Phase::Idle => Some(self.timeouts.idle),
            Phase::Opening | Phase::Head | Phase::Stalled => Some(self.timeouts.read),
        };
        // A sum that overflows is no limit.
        (
            order,
            timeout.and_then(|timeout| inner.since.checked_add(timeout)),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TIMEOUTS: PoolTimeouts = PoolTimeouts {
        read: Duration::from_secs(30),
        idle: Duration::from_secs(30),
    };

    #[test]
    fn the_way_of_a_request() {
        let entry = ConnectionState::new(TIMEOUTS);
        let phase = || entry.inner().phase;
        assert_eq!(phase(), Phase::Opening);
        entry.flushed();
        assert_eq!(phase(), Phase::Opening);
        entry.received();
        assert_eq!(phase(), Phase::Head);
        entry.requested(true);
        entry.received();
        entry.flushed();
        assert_eq!(phase(), Phase::Busy);
        assert_eq!(entry.waiting_since(), None);
        let start = Instant::now();
        let second = start + Duration::from_secs(1);
        entry.awaits_body(|| second);
        entry.awaits_body(|| start);
        entry.wrote(false);
        assert_eq!(phase(), Phase::Body);
        assert_eq!(entry.waiting_since(), Some(second));
        entry.has_body();
        assert_eq!(phase(), Phase::Busy);
        entry.answered();
        entry.wrote(false);
        assert_eq!(phase(), Phase::Stalled);
        entry.awaits_body(|| start);
        entry.has_body();
        assert_eq!(phase(), Phase::Stalled);
        entry.wrote(true);
        assert_eq!(phase(), Phase::Busy);
        entry.wrote(false);
        entry.flushed();
        assert_eq!(phase(), Phase::Busy, "its body is still read");
        entry.awaits_body(|| start);
        entry.read(true);
        entry.flushed();
        assert_eq!(phase(), Phase::Idle);
        entry.received();
        assert_eq!(phase(), Phase::Head);
    }

    #[test]
    fn orders() {
        let entry = ConnectionState::new(TIMEOUTS);
        let told = || entry.told(&Context::from_waker(Waker::noop())).0;
        entry.order(PoolOrder::Evict);
        assert_eq!(entry.waiting_since(), None, "it is told only once");
        entry.order(PoolOrder::Drain);
        entry.order(PoolOrder::Evict);
        assert_eq!((told(), told()), (Some(PoolOrder::Drain), None));
        entry.order(PoolOrder::Evict);
        entry.requested(false);
        assert_eq!(told(), None, "a request has arrived");
        entry.order(PoolOrder::Kill);
        assert_eq!(told(), Some(PoolOrder::Kill));
    }
}
