//! Bound on the memory of a decoded body: a message of two bytes makes a struct of a hundred.

use super::wire::Malformed;

/// Most memory relative to the size of the body. What clients send takes less; closest come series without labels in
/// families with short names.
const FACTOR: usize = 12;

/// Memory allowed on top, so that small bodies are not refused.
const ANYWAY: usize = 64 * 1024;

/// The allocator's overhead for each allocation.
const PIECE: usize = 16;

/// Memory budget left for a body.
pub struct Memory {
    left: usize,
}

impl Memory {
    pub fn of_body(size: usize) -> Self {
        Memory {
            left: size.saturating_mul(FACTOR).saturating_add(ANYWAY),
        }
    }

    /// Creates a budget without bound, for messages that were accepted before.
    pub fn unlimited() -> Self {
        Memory { left: usize::MAX }
    }

    pub fn take_bytes(&mut self, bytes: usize) -> Result<(), Malformed> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Malformed(format!(
                "all would take more than {FACTOR} times its size in memory"
            ))),
        }
    }

    /// Takes the memory of one allocation for `count` values.
    pub fn take<T>(&mut self, count: usize) -> Result<(), Malformed> {
        self.take_bytes(count.saturating_mul(size_of::<T>()))?;
        self.take_bytes(PIECE)
    }

    pub fn take_text(&mut self, text: &str) -> Result<(), Malformed> {
        self.take::<u8>(text.len())
    }

    /// Reserves room for `count` more values in `list`.
    pub fn take_room<T>(&mut self, list: &mut Vec<T>, count: usize) -> Result<(), Malformed> {
        if list.capacity() - list.len() < count {
            let more = list.len().max(count).max(4);
            self.take::<T>(more)?;
            list.reserve_exact(more);
        }
        Ok(())
    }
}
