//! Phase of a connection and the time when it began: written by the connection, read by the pool.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Poll, Waker};
use std::time::Instant;

/// Phase in the life cycle of a connection, named after the event that it is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The TLS handshake, or the first byte.
    Opening,
    /// The next request.
    Idle,
    /// The next request, while holding as little memory as possible.
    Parked,
    /// The rest of a request head.
    Head,
    /// The server itself.
    Busy,
    /// More of a request body.
    Body,
    /// The client, to accept more of a response.
    Stalled,
}

const PHASES: [Phase; 8] = [
    Phase::Opening,
    Phase::Idle,
    Phase::Parked,
    Phase::Head,
    Phase::Busy,
    Phase::Body,
    Phase::Stalled,
    Phase::Stalled,
];

/// A phase and when it began, packed: milliseconds since the start of the pool, with the phase in the lowest
/// bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl Moment {
    fn new(phase: Phase, millis: u64) -> Self {
        Moment(millis << 3 | phase as u64)
    }

    pub fn phase(self) -> Phase {
        PHASES[(self.0 & 7) as usize]
    }

    /// Milliseconds since the start of the pool.
    pub fn since(self) -> u64 {
        self.0 >> 3
    }
}

/// A moment that no connection is ever in.
const NEVER: u64 = u64::MAX;

/// State of one connection.
pub struct ConnectionState {
    start: Instant,
    moment: AtomicU64,
    /// True if the response has been handed over for sending, though perhaps not sent yet.
    is_answered: AtomicBool,
    /// True if the request body is still being read.
    has_reader: AtomicBool,
    /// True if part of the request body was left unread.
    has_rest: AtomicBool,
    /// The connection is closed if it is still in this moment.
    close_in: AtomicU64,
    /// The connection is parked if it is still in this moment.
    park_in: AtomicU64,
    /// The connection ends after the current request, if there is one.
    is_draining: AtomicBool,
    /// The connection ends immediately, whatever it is doing.
    is_killed: AtomicBool,
    waker: OnceLock<Waker>,
}

/// Outcome of an operation that the pool may interrupt.
pub enum Doing<T> {
    Done(T),
    /// The connection has to be closed.
    Ended,
    /// The connection has to be parked.
    Park,
    /// The connection must not accept another request.
    Drain,
}

// All fields are either written by the connection's own task, or read by it after a wake-up, which orders the
// accesses. That is why they can be relaxed.
impl ConnectionState {
    /// Returns the state of a new connection in a pool that started at `start`.
    pub fn new(start: Instant) -> Self {
        let entry = ConnectionState {
            start,
            moment: AtomicU64::new(0),
            is_answered: AtomicBool::new(false),
            has_reader: AtomicBool::new(false),
            has_rest: AtomicBool::new(false),
            close_in: AtomicU64::new(NEVER),
            park_in: AtomicU64::new(NEVER),
            is_draining: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            waker: OnceLock::new(),
        };
        entry.enter(Phase::Opening);
        entry
    }

    pub fn moment(&self) -> Moment {
        Moment(self.moment.load(Relaxed))
    }

    fn enter(&self, phase: Phase) {
        self.enter_at(phase, Instant::now());
    }

    fn enter_at(&self, phase: Phase, since: Instant) {
        let millis = since.saturating_duration_since(self.start).as_millis() as u64;
        self.set(Moment::new(phase, millis));
    }

    fn set(&self, moment: Moment) {
        self.moment.store(moment.0, Relaxed);
    }

    /// Records that bytes were received.
    pub fn received(&self) {
        if matches!(
            self.moment().phase(),
            Phase::Opening | Phase::Idle | Phase::Parked
        ) {
            self.enter(Phase::Head);
        }
    }

    /// Records that a request head is complete.
    pub fn requested(&self, has_body: bool) {
        self.is_answered.store(false, Relaxed);
        self.has_reader.store(has_body, Relaxed);
        self.has_rest.store(false, Relaxed);
        // The application decides how long it may take to respond.
        self.set(Moment::new(Phase::Busy, 0));
    }

    /// Records that the connection is waiting for more of the request body. `since` is called only if it was
    /// not waiting already: polling again does not restart the wait.
    pub fn awaits_body(&self, since: impl FnOnce() -> Instant) {
        if self.moment().phase() == Phase::Busy {
            self.enter_at(Phase::Body, since());
        }
    }

    /// Records that more of the body has arrived or is no longer needed.
    pub fn has_body(&self) {
        if self.moment().phase() == Phase::Body {
            self.set(Moment::new(Phase::Busy, 0));
        }
    }

    /// Records that the request body has been read, or, unless `whole`, that the rest of it is not wanted.
    pub fn read(&self, whole: bool) {
        self.has_body();
        self.has_reader.store(false, Relaxed);
        self.has_rest.store(!whole, Relaxed);
    }

    /// Returns true if part of the request body was left unread.
    pub fn has_rest(&self) -> bool {
        self.has_rest.load(Relaxed)
    }

    /// Returns true if the client may be sending bytes that will not be read: the rest of an unwanted body,
    /// or whatever follows an invalid head.
    pub fn may_be_sent_to(&self) -> bool {
        self.has_rest() || self.moment().phase() == Phase::Head
    }

    /// Records that the response has been handed over for sending.
    pub fn answered(&self) {
        self.is_answered.store(true, Relaxed);
    }

    /// Records that the client accepted part of the response, or that it did not.
    pub fn wrote(&self, something: bool) {
        let phase = self.moment().phase();
        match something {
            true if phase == Phase::Stalled => self.set(Moment::new(Phase::Busy, 0)),
            false if phase == Phase::Busy => self.enter(Phase::Stalled),
            _ => {}
        }
    }

    /// Records that everything written has been sent.
    pub fn flushed(&self) {
        if self.moment().phase() == Phase::Busy
            && self.is_answered.load(Relaxed)
            && !self.has_reader.load(Relaxed)
        {
            self.enter(Phase::Idle);
        }
    }

    /// Records that the memory of the connection has been freed.
    pub fn parked(&self) {
        self.set(Moment::new(Phase::Parked, self.moment().since()));
    }

    /// Closes the connection, if it is still in `moment` by the time it is woken.
    pub fn close_in(&self, moment: Moment) {
        self.close_in.store(moment.0, Relaxed);
        self.wake();
    }

    /// Parks the connection, if it is still in `moment` by the time it is woken.
    pub fn park_in(&self, moment: Moment) {
        self.park_in.store(moment.0, Relaxed);
        self.wake();
    }

    /// Ends the connection after the current request.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
        self.wake();
    }

    /// Ends the connection immediately.
    pub fn kill(&self) {
        self.is_killed.store(true, Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Waits for `future`, or until the pool wants something of the connection. Only one task may call it.
    /// `is_drained` says that the connection is already draining.
    pub async fn unless_told<T>(
        &self,
        is_drained: bool,
        future: impl Future<Output = T>,
    ) -> Doing<T> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // A task keeps the same waker for its whole life.
            self.waker.get_or_init(|| cx.waker().clone());
            // Polled first, so that bytes that have just arrived still count.
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Doing::Done(value));
            }
            let moment = self.moment.load(Relaxed);
            if self.is_killed.load(Relaxed) || self.close_in.load(Relaxed) == moment {
                Poll::Ready(Doing::Ended)
            } else if !is_drained && self.is_draining.load(Relaxed) {
                Poll::Ready(Doing::Drain)
            } else if self.park_in.load(Relaxed) == moment {
                Poll::Ready(Doing::Park)
            } else {
                Poll::Pending
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_way_of_a_request() {
        let entry = ConnectionState::new(Instant::now());
        let phase = || entry.moment().phase();
        assert_eq!(phase(), Phase::Opening);
        entry.flushed();
        assert_eq!(phase(), Phase::Opening);
        entry.received();
        assert_eq!(phase(), Phase::Head);
        entry.requested(true);
        entry.received();
        entry.flushed();
        assert_eq!(phase(), Phase::Busy);
        let start = entry.start;
        entry.awaits_body(|| start + Duration::from_secs(1));
        entry.awaits_body(|| start + Duration::from_secs(2));
        entry.flushed();
        entry.wrote(false);
        assert_eq!(entry.moment(), Moment::new(Phase::Body, 1000));
        entry.has_body();
        assert_eq!(phase(), Phase::Busy);
        entry.answered();
        entry.wrote(false);
        assert_eq!(phase(), Phase::Stalled);
        entry.awaits_body(|| start);
        entry.has_body();
        assert_eq!(phase(), Phase::Stalled);
        entry.flushed();
        assert_eq!(phase(), Phase::Stalled);
        entry.wrote(true);
        entry.flushed();
        assert_eq!(phase(), Phase::Busy, "its body is still read");
        entry.awaits_body(|| start);
        entry.read(true);
        entry.flushed();
        assert_eq!(phase(), Phase::Idle);
        entry.parked();
        assert_eq!(phase(), Phase::Parked);
        entry.received();
        assert_eq!(phase(), Phase::Head);
    }
}
