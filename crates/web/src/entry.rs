//! What a connection waits for, and since when: written by the connection, read by the pool.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Poll, Waker};
use std::time::Instant;

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The TLS handshake, or the first byte.
    Opening,
    /// The next request.
    Idle,
    /// The next request, holding as little memory as possible.
    Parked,
    /// The rest of a request's head.
    Head,
    /// Us.
    Busy,
    /// More of a request's body.
    Body,
    /// The client, that it takes more of an answer.
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

/// A phase and since when it is: milliseconds from the pool's start, and the phase in the lowest bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(u64);

impl Moment {
    fn new(phase: Phase, millis: u64) -> Self {
        Moment(millis << 3 | phase as u64)
    }

    pub fn phase(self) -> Phase {
        PHASES[(self.0 & 7) as usize]
    }

    /// Milliseconds from the pool's start.
    pub fn since(self) -> u64 {
        self.0 >> 3
    }
}

/// A moment that no connection is in.
const NEVER: u64 = u64::MAX;

/// One connection.
pub struct ConnectionState {
    start: Instant,
    moment: AtomicU64,
    /// True if the answer is handed over, if perhaps not yet sent.
    is_answered: AtomicBool,
    /// True if something of ours still reads the request's body.
    has_reader: AtomicBool,
    /// True if some of it was left unread.
    has_rest: AtomicBool,
    /// The connection ends if it is still in this moment.
    close_in: AtomicU64,
    /// Likewise, it is parked.
    park_in: AtomicU64,
    /// It ends when the request at hand is answered, if there is one.
    is_draining: AtomicBool,
    /// It ends, whatever it does.
    is_killed: AtomicBool,
    waker: OnceLock<Waker>,
}

/// What became of what a connection was doing.
pub enum Doing<T> {
    Done(T),
    /// It has to make way.
    Ended,
    /// It is to be parked.
    Park,
    /// No further request is to be taken.
    Drain,
}

// All fields are written by the connection's own task or read by it after it was woken, which orders
// them; so they can be relaxed.
impl ConnectionState {
    /// For a pool that started at `start`.
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

    /// Something was received.
    pub fn received(&self) {
        if matches!(
            self.moment().phase(),
            Phase::Opening | Phase::Idle | Phase::Parked
        ) {
            self.enter(Phase::Head);
        }
    }

    /// A request's head is complete.
    pub fn requested(&self, has_body: bool) {
        self.is_answered.store(false, Relaxed);
        self.has_reader.store(has_body, Relaxed);
        self.has_rest.store(false, Relaxed);
        // How long it takes is up to whoever answers.
        self.set(Moment::new(Phase::Busy, 0));
    }

    /// More of the request's body is waited for. `since` is asked only where that is news: whoever looks
    /// again for it has not waited anew.
    pub fn awaits_body(&self, since: impl FnOnce() -> Instant) {
        if self.moment().phase() == Phase::Busy {
            self.enter_at(Phase::Body, since());
        }
    }

    /// It came, or is not waited for any more.
    pub fn has_body(&self) {
        if self.moment().phase() == Phase::Body {
            self.set(Moment::new(Phase::Busy, 0));
        }
    }

    /// The request's body is read, or its rest of no interest.
    pub fn read(&self, whole: bool) {
        self.has_body();
        self.has_reader.store(false, Relaxed);
        self.has_rest.store(!whole, Relaxed);
    }

    /// Returns true if some of the request's body was left unread.
    pub fn has_rest(&self) -> bool {
        self.has_rest.load(Relaxed)
    }

    /// Returns true if the client may be sending what will not be read: a body that is of no interest, or what
    /// follows a head that is none.
    pub fn may_be_sent_to(&self) -> bool {
        self.has_rest() || self.moment().phase() == Phase::Head
    }

    /// The answer is handed over to be sent.
    pub fn answered(&self) {
        self.is_answered.store(true, Relaxed);
    }

    /// The client took something of the answer, or did not.
    pub fn wrote(&self, something: bool) {
        let phase = self.moment().phase();
        match something {
            true if phase == Phase::Stalled => self.set(Moment::new(Phase::Busy, 0)),
            false if phase == Phase::Busy => self.enter(Phase::Stalled),
            _ => {}
        }
    }

    /// All that was written is sent.
    pub fn flushed(&self) {
        if self.moment().phase() == Phase::Busy
            && self.is_answered.load(Relaxed)
            && !self.has_reader.load(Relaxed)
        {
            self.enter(Phase::Idle);
        }
    }

    /// Nothing is held for it any more.
    pub fn parked(&self) {
        self.set(Moment::new(Phase::Parked, self.moment().since()));
    }

    /// Has the connection end if it is still in `moment` then.
    pub fn close_in(&self, moment: Moment) {
        self.close_in.store(moment.0, Relaxed);
        self.wake();
    }

    /// Has it parked if it is still in `moment` then.
    pub fn park_in(&self, moment: Moment) {
        self.park_in.store(moment.0, Relaxed);
        self.wake();
    }

    /// Has it end after the request at hand.
    pub fn drain(&self) {
        self.is_draining.store(true, Relaxed);
        self.wake();
    }

    /// Has it end.
    pub fn kill(&self) {
        self.is_killed.store(true, Relaxed);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Waits for `future`, or until the pool wants something. It has to be called by one task only.
    /// `is_drained` says that the latter is known already.
    pub async fn unless_told<T>(
        &self,
        is_drained: bool,
        future: impl Future<Output = T>,
    ) -> Doing<T> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            // A task has one waker for all of its life.
            self.waker.get_or_init(|| cx.waker().clone());
            // What has arrived meanwhile counts.
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
