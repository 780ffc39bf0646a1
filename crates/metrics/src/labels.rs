//! The labels of one series.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Labels of one series, sorted by name; each name occurs once.
///
/// They are packed into one string, each name and value preceded by its length, because a report can have a million
/// series. [`insert`](Labels::insert) and [`remove`](Labels::remove) copy that string, so collect many labels from an
/// iterator instead.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Box<str>);

impl Labels {
    /// Creates a set without labels, which allocates nothing.
    pub fn new() -> Self {
        Labels::default()
    }

    /// Creates a set from `pairs` in any order, in O(n log n).
    ///
    /// # Errors
    ///
    /// Returns the index of the first pair whose name occurred before.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> Result<Self, usize> {
        if pairs.is_sorted_by(|a, b| a.0.as_ref() < b.0.as_ref()) {
            return Ok(pack(pairs.iter().map(as_strs)));
        }
        from_unsorted(&pairs.iter().map(as_strs).collect::<Vec<_>>())
    }

    /// Returns true if there are no labels.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns the number of allocated bytes.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Returns name and value of each label, sorted by name.
    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// Returns the names, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> + Clone {
        self.iter().map(|(name, _)| name)
    }

    /// Returns the values, sorted by name.
    pub fn values(&self) -> impl Iterator<Item = &str> + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// Returns the value of the label `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(own, value)| (own == name).then_some(value))
    }

    /// Returns true if there is a label `name`.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the label `name`. Returns its previous value.
    pub fn insert(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Option<String> {
        self.replace(name.as_ref(), value.as_ref())
    }

    fn replace(&mut self, name: &str, value: &str) -> Option<String> {
        let old = self.get(name).map(str::to_owned);
        let before = self.iter().filter(|(own, _)| *own < name);
        let after = self.iter().filter(|(own, _)| *own > name);
        *self = pack(before.chain([(name, value)]).chain(after));
        old
    }

    /// Removes the label `name`. Returns its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let old = self.get(name)?.to_owned();
        *self = pack(self.iter().filter(|(own, _)| *own != name));
        Some(old)
    }
}

fn as_strs<N: AsRef<str>, V: AsRef<str>>(pair: &(N, V)) -> (&str, &str) {
    (pair.0.as_ref(), pair.1.as_ref())
}

// These are not generic, because programs make labels of texts of many types, and a sort is much code.

/// Returns the names, sorted, each with its index in `pairs`. Indices of a repeated name ascend.
fn sorted<'a>(pairs: &[(&'a str, &str)]) -> Vec<(&'a str, usize)> {
    let names = pairs.iter().map(|(name, _)| *name);
    let mut order: Vec<(&str, usize)> = names.zip(0..).collect();
    order.sort_unstable();
    order
}

/// Packs `pairs`, or returns the index of the first one whose name occurred before.
fn from_unsorted(pairs: &[(&str, &str)]) -> Result<Labels, usize> {
    let order = sorted(pairs);
    let repeated = order.windows(2).filter_map(|two| match two {
        [(a, _), (b, index)] if a == b => Some(*index),
        _ => None,
    });
    match repeated.min() {
        Some(index) => Err(index),
        None => Ok(pack_at(pairs, &order)),
    }
}

/// Packs `pairs`, of which the last one of a repeated name wins.
fn last_of_each(pairs: &[(&str, &str)]) -> Labels {
    if pairs.is_sorted_by(|(a, _), (b, _)| a < b) {
        return pack(pairs.iter().copied());
    }
    let mut order = sorted(pairs);
    order.reverse();
    order.dedup_by_key(|(name, _)| *name);
    order.reverse();
    pack_at(pairs, &order)
}

fn pack_at(pairs: &[(&str, &str)], order: &[(&str, usize)]) -> Labels {
    pack(order.iter().map(|&(name, index)| (name, pairs[index].1)))
}

/// Packs pairs that are sorted by name, each name once.
fn pack<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Labels {
    let text_size = |text: &str| length_size(text.len()) + text.len();
    let pair_size = |(name, value)| text_size(name) + text_size(value);
    let mut packed = String::with_capacity(pairs.clone().map(pair_size).sum());
    for (name, value) in pairs {
        push(&mut packed, name);
        push(&mut packed, value);
    }
    Labels(packed.into_boxed_str())
}

/// Bits of a length per byte. The next bit tells whether more bytes follow, and the eighth stays 0: a length is thus
/// ASCII, and the whole a valid string.
const LENGTH_BITS: u32 = 6;
const MORE: u8 = 1 << LENGTH_BITS;

fn length_size(length: usize) -> usize {
    (length.checked_ilog2().unwrap_or(0) / LENGTH_BITS) as usize + 1
}

fn push(packed: &mut String, text: &str) {
    let mut length = text.len();
    while length >= usize::from(MORE) {
        packed.push(char::from(MORE | (length % usize::from(MORE)) as u8));
        length >>= LENGTH_BITS;
    }
    packed.push(char::from(length as u8));
    packed.push_str(text);
}

/// Splits off the first text of `packed`.
fn split(packed: &str) -> Option<(&str, &str)> {
    let mut length = 0;
    for (index, byte) in packed.bytes().enumerate() {
        length |= usize::from(byte % MORE) << (LENGTH_BITS as usize * index);
        if byte < MORE {
            return packed.get(index + 1..)?.split_at_checked(length);
        }
    }
    None
}

/// Iterator over names and values, sorted by name; made by [`Labels::iter`].
#[derive(Clone)]
pub struct Iter<'a>(&'a str);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = split(self.0)?;
        let (value, rest) = split(rest)?;
        self.0 = rest;
        Some((name, value))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other)
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

/// The last value of a repeated name wins.
impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let pairs: Vec<_> = pairs.into_iter().collect();
        last_of_each(&pairs.iter().map(as_strs).collect::<Vec<_>>())
    }
}

impl<N: AsRef<str>, V: AsRef<str>, const COUNT: usize> From<[(N, V); COUNT]> for Labels {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        last_of_each(&pairs.iter().map(as_strs).collect::<Vec<_>>())
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl IntoIterator for Labels {
    type Item = (String, String);
    type IntoIter = std::vec::IntoIter<(String, String)>;

    fn into_iter(self) -> Self::IntoIter {
        let pairs = self.iter();
        let owned: Vec<_> = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        owned.into_iter()
    }
}

/// Serializes as a map, sorted by name.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_unique() {
        let labels = Labels::from([("b", "2"), ("a", "1"), ("b", "3"), ("", "")]);
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("", ""), ("a", "1"), ("b", "3")]);
        assert_eq!(labels.len(), 3);
        assert_eq!(Labels::from([("a", "1")]).cmp(&labels), Ordering::Greater);
        assert_eq!(
            Labels::from_pairs(&[("c", ""), ("b", ""), ("a", ""), ("b", ""), ("c", "")]),
            Err(3)
        );
        assert_eq!(
            Labels::from_pairs(&[("b", "3"), ("", ""), ("a", "1")]),
            Ok(labels)
        );
    }

    #[test]
    fn lengths() {
        for length in [0, 1, 63, 64, 65, 4095, 4096, 300_000] {
            let value = "é".repeat(length);
            let labels = Labels::from([("a", value.as_str()), ("b", "x")]);
            assert_eq!(labels.get("a"), Some(value.as_str()));
            assert_eq!(labels.get("b"), Some("x"));
        }
    }

    #[test]
    fn changes() {
        let mut labels = Labels::new();
        assert_eq!(labels.insert("b", "1"), None);
        assert_eq!(labels.insert("a", "2"), None);
        assert_eq!(labels.insert("b", "3"), Some("1".into()));
        assert_eq!(labels, Labels::from([("a", "2"), ("b", "3")]));
        assert_eq!(labels.remove("c"), None);
        assert_eq!(labels.remove("a"), Some("2".into()));
        assert_eq!(labels, Labels::from([("b", "3")]));
    }

    #[test]
    fn a_map_in_json() {
        let labels = Labels::from([("b", "1"), ("a", "2")]);
        let json = serde_json::to_string(&labels).unwrap();
        assert_eq!(json, r#"{"a":"2","b":"1"}"#);
        assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels);
        assert_eq!(serde_json::to_string(&Labels::new()).unwrap(), "{}");
    }
}
