//! Bytes that may be held at a time, such as bodies that are received or responses that wait for slow readers.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which bytes are counted: a semaphore has fewer permits than memory has bytes on 32-bit systems.
const UNIT: usize = 1024;

/// A number of bytes that may be held at a time.
#[derive(Debug)]
pub struct ByteBudget {
    units: usize,
    /// A permit is a unit.
    free: Arc<Semaphore>,
}

/// A part of a [`ByteBudget`], which is given back when it is dropped. The default one is of no bytes.
#[derive(Debug, Default)]
pub struct Reservation(Option<OwnedSemaphorePermit>);

impl ByteBudget {
    /// Makes a budget of `bytes`, rounded down to whole KiB.
    pub fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        ByteBudget {
            units,
            free: Arc::new(Semaphore::new(units)),
        }
    }

    /// The bytes of all reservations together, at most.
    pub fn bytes(&self) -> usize {
        self.units * UNIT
    }

    /// The bytes that are not reserved.
    pub fn free(&self) -> usize {
        self.free.available_permits() * UNIT
    }

    /// Reserves `bytes`, rounded up to whole KiB. Returns `None` if there are not so many.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        let count = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let reserved = Arc::clone(&self.free).try_acquire_many_owned(count);
        Some(Reservation(Some(reserved.ok()?)))
    }
}

impl Reservation {
    /// The number of bytes reserved, a multiple of 1024.
    pub fn bytes(&self) -> usize {
        UNIT * self.units()
    }

    fn units(&self) -> usize {
        let permit = self.0.as_ref();
        permit.map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Adds another part of the same budget to this one.
    pub fn merge(&mut self, more: Reservation) {
        match (&mut self.0, more.0) {
            (Some(permit), Some(more)) => permit.merge(more),
            (mine, more) => *mine = mine.take().or(more),
        }
    }

    /// Takes `bytes` out of it, rounded up to whole KiB, or all if it has fewer.
    pub fn split(&mut self, bytes: usize) -> Reservation {
        let units = bytes.div_ceil(UNIT).min(self.units());
        Reservation(self.0.as_mut().and_then(|permit| permit.split(units)))
    }
}
