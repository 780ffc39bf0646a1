//! Lookup by key in a list that grows.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

/// Up to this length a list is scanned, which is faster than hashing.
const SCANNED: usize = 8;

/// Index of a list by a key of its items. The list stays outside, and is passed to each call.
#[derive(Default)]
pub struct PairIndex {
    hasher: RandomState,
    /// Positions of all items, once the list is longer than [`SCANNED`].
    places: HashTable<usize>,
}

impl PairIndex {
    /// Returns the position of the item with `key` in `list`.
    pub fn find<T, K: Hash + Eq + ?Sized>(
        &self,
        list: &[T],
        key_of: impl Fn(&T) -> &K,
        key: &K,
    ) -> Option<usize> {
        if self.places.is_empty() {
            return list.iter().position(|item| key_of(item) == key);
        }
        let hash = self.hasher.hash_one(key);
        let place = self.places.find(hash, |&place| key_of(&list[place]) == key);
        place.copied()
    }

    /// Adds the items appended to `list` since the last call.
    pub fn grew<T, K: Hash + ?Sized>(&mut self, list: &[T], key_of: impl Fn(&T) -> &K) {
        if list.len() <= SCANNED {
            return;
        }
        let hash = |place: &usize| self.hasher.hash_one(key_of(&list[*place]));
        for place in self.places.len()..list.len() {
            self.places.insert_unique(hash(&place), place, hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there() {
        let (mut index, mut list) = (PairIndex::default(), Vec::new());
        for n in 0..100 {
            let item = n.to_string();
            assert_eq!(index.find(&list, String::as_str, &item), None);
            list.push(item);
            index.grew(&list, String::as_str);
            for (place, item) in list.iter().enumerate() {
                assert_eq!(index.find(&list, String::as_str, item), Some(place));
            }
        }
    }
}
