//! How much memory a body may take: messages of two bytes make structs of a hundred.

use super::wire::Malformed;

/// Times the size of the body. What clients send takes less: a series without labels, of a family
/// with a short name, comes near it.
const FACTOR: usize = 12;

/// What a small body may take, where that is nothing.
const ANYWAY: usize = 64 * 1024;

/// What the allocator needs further for each piece.
const PIECE: usize = 16;

/// The memory that a body may still take.
pub struct Memory {
    left: usize,
}

impl Memory {
    pub fn of_body(size: usize) -> Self {
        Memory {
            left: size.saturating_mul(FACTOR).saturating_add(ANYWAY),
        }
    }

    /// For messages that were accepted before.
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

    /// Takes the memory of `count` things in one piece.
    pub fn take<T>(&mut self, count: usize) -> Result<(), Malformed> {
        self.take_bytes(count.saturating_mul(size_of::<T>()))?;
        self.take_bytes(PIECE)
    }

    pub fn take_text(&mut self, text: &str) -> Result<(), Malformed> {
        self.take::<u8>(text.len())
    }

    /// Makes room for `count` more in `list`.
    pub fn take_room<T>(&mut self, list: &mut Vec<T>, count: usize) -> Result<(), Malformed> {
        if list.capacity() - list.len() < count {
            let more = list.len().max(count).max(4);
            self.take::<T>(more)?;
            list.reserve_exact(more);
        }
        Ok(())
    }
}
