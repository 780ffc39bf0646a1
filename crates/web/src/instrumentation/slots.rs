//! A list that only grows and is read without a lock.

use std::sync::OnceLock;

/// Up to `N` entries, and a common one for all others. A lookup takes longer for later entries.
pub struct Slots<T, const N: usize> {
    slots: [OnceLock<T>; N],
    rest: OnceLock<T>,
}

impl<T, const N: usize> Slots<T, N> {
    pub fn new() -> Self {
        Slots {
            slots: [const { OnceLock::new() }; N],
            rest: OnceLock::new(),
        }
    }

    /// Returns the index of the entry that `is_it`; `make` adds one if there is none. If the list is full,
    /// returns that of [`Self::rest`].
    pub fn place(&self, is_it: impl Fn(&T) -> bool, make: impl Fn() -> T) -> usize {
        // If another thread adds an entry to the same slot, both check which of the two it became.
        let place = |slot: &OnceLock<T>| is_it(slot.get_or_init(&make));
        self.slots.iter().position(place).unwrap_or(N)
    }

    /// Returns the entry at an index; `rest` makes the one for all others.
    pub fn get(&self, place: usize, rest: impl Fn() -> T) -> &T {
        match self.slots.get(place).and_then(OnceLock::get) {
            Some(found) => found,
            None => self.rest.get_or_init(rest),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let slots = self.slots.iter().map_while(OnceLock::get);
        slots.chain(self.rest.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full() {
        let slots: Slots<char, 2> = Slots::new();
        let place = |c| slots.place(|entry| *entry == c, || c);
        assert_eq!(
            ['a', 'b', 'a', 'c', 'b', 'd'].map(place),
            [0, 1, 0, 2, 1, 2]
        );
        assert_eq!(
            [1, 2, 9].map(|place| *slots.get(place, || '*')),
            ['b', '*', '*']
        );
        assert_eq!(slots.iter().collect::<String>(), "ab*");
    }

    #[test]
    fn from_many_threads() {
        let slots: Slots<usize, 50> = Slots::new();
        std::thread::scope(|scope| {
            for first in 0..8 {
                let slots = &slots;
                scope.spawn(move || {
                    for n in (0..50).cycle().skip(first * 7).take(200) {
                        let place = slots.place(|entry| *entry == n, || n);
                        assert_eq!(*slots.get(place, || usize::MAX), n);
                    }
                });
            }
        });
        let mut all: Vec<usize> = slots.iter().copied().collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..50));
    }
}
