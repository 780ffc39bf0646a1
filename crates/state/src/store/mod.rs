//! Store of the gateway: all groups in memory, and pushes to them.
//!
//! The semantics are the Pushgateway's. A push is checked by indexes, so that its cost grows with the push and not
//! with the number of groups. The store uses [`metricsjob_metrics`] and nothing else of ours; [`crate`] keeps its
//! groups on disk.
//!
//! - [`Store`]: the groups, with pushes and deletions.
//! - [`RenderedPush`]: the content of a push, rendered for its group; creating one needs no store.
//! - [`StoredGroup`]: a group in the store; [`HostClash`]: two hosts that report to it.
//! - `index`: index of names and series over all groups; `names`: the names, each with an id.
//! - [`Rejection`]: reasons to refuse a push.
//! - [`Snapshot`]: all groups at one moment.
//! - `aggregation`: series that a scrape shows as their sum.
//! - [`exposition`]: snapshots in the formats of a scrape.
//! - `escaped`: families for readers that only know the names of the text format 0.0.4.
//! - [`own`]: names of a gateway's metrics about itself.

mod aggregation;
mod escaped;
pub mod exposition;
mod group;
mod hosts;
mod index;
mod labeler;
mod lines;
mod names;
pub mod own;
mod rejection;
mod rendered_push;
mod snapshot;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

pub use aggregation::KeptRemainder;
pub(crate) use group::FamilyView;
pub use group::StoredGroup;
pub use hosts::HostClash;
pub(crate) use lines::compared;
pub use rejection::Rejection;
pub use rendered_push::RenderedPush;
pub use snapshot::Snapshot;

use index::Index;
use metricsjob_metrics::aggregation::Aggregation;
use metricsjob_metrics::selector::GroupFilter;
use metricsjob_metrics::{GroupingKey, Method, TASK, TIME_SERIES};

/// Most bytes of a group. SQLite stores no more than 1 GB in a row.
const MAX_GROUP_BYTES: usize = 256 * 1024 * 1024;

/// All groups of a gateway in memory.
pub struct Store {
    hasher: RandomState,
    /// Groups by slot. Empty slots are in `free`.
    slots: Vec<Option<Arc<StoredGroup>>>,
    free: Vec<u32>,
    /// Slots by grouping key.
    by_key: HashTable<u32>,
    index: Index,
    len: usize,
    bytes: usize,
    max_series: usize,
    aggregation: Aggregation,
}

/// Result of a push, and the means to undo it.
#[must_use]
pub struct Pushed {
    pub result: Result<(), Rejection>,
    /// `None` if nothing changed.
    pub undo: Option<Undo>,
    /// Another host that had reported to the group before, if this report is of a host.
    pub other_host: Option<String>,
}

/// Content of a slot before a change.
#[must_use]
pub struct Undo {
    slot: u32,
    before: Option<Arc<StoredGroup>>,
}

impl Undo {
    /// Returns the slot that changed.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Returns the bytes of the group that it keeps.
    pub fn bytes(&self) -> usize {
        self.before.as_ref().map_or(0, |group| group.bytes())
    }
}

impl Default for Store {
    fn default() -> Self {
        Store::new()
    }
}

impl Store {
    /// Creates a store without groups.
    pub fn new() -> Self {
        Store::with_hasher(RandomState::new())
    }

    /// A store without groups, for reports that were made with this hasher.
    pub(crate) fn with_hasher(hasher: RandomState) -> Self {
        Store {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashTable::new(),
            index: Index::new(hasher.clone()),
            len: 0,
            bytes: 0,
            max_series: usize::MAX,
            aggregation: Aggregation::default(),
            hasher,
        }
    }

    /// Returns the hasher of the store, for [`RenderedPush::new`].
    pub fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// Limits the number of series of all groups, with two for the push times of each. Pushes beyond it are refused;
    /// existing groups stay.
    pub fn set_max_series(&mut self, limit: usize) {
        self.max_series = limit;
    }

    /// Sets the rules by which a scrape sums series, see [`keep_remainders`](Self::keep_remainders).
    pub fn set_aggregation(&mut self, rules: Aggregation) {
        self.aggregation = rules;
    }

    /// Returns the rules by which a scrape sums series.
    pub fn aggregation(&self) -> &Aggregation {
        &self.aggregation
    }

    /// Returns the number of groups.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of series of all groups, without their push times.
    pub fn series(&self) -> usize {
        self.index.series()
    }

    /// Returns the most bytes of text and messages of all groups.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the group in `slot`.
    pub fn group(&self, slot: u32) -> Option<&Arc<StoredGroup>> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Returns all groups with their slots.
    pub fn groups(&self) -> impl Iterator<Item = (u32, &Arc<StoredGroup>)> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(slot, group)| Some((slot, group.as_ref()?)))
    }

    /// Returns the keys of the groups that `filter` includes, sorted.
    pub fn included(&self, filter: &GroupFilter) -> Vec<GroupingKey> {
        let groups = self.slots.iter().flatten();
        let groups = groups.filter(|group| group.is_included(filter));
        let mut keys: Vec<GroupingKey> = groups.map(|group| group.key.clone()).collect();
        keys.sort_unstable();
        keys
    }

    /// Returns all groups at this moment.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.slots.iter().flatten().cloned().collect())
    }

    /// Applies a push to the group of `key` at `now` (seconds since the epoch) as a Pushgateway does.
    ///
    /// [`Method::Put`] replaces all families of the group, [`Method::Post`] those of the same names. On success the
    /// push time is set. A push that is inconsistent, by itself (see [`RenderedPush::new`]) or with other groups, sets the
    /// failure time; the group is created if necessary, and its families stay.
    ///
    /// If an existing key differs from `key` in empty labels only, nothing changes, since even the push times would
    /// be duplicate series. Nor does it if there is no room for the push times of a new group.
    pub fn push(
        &mut self,
        key: &GroupingKey,
        method: Method,
        report: Result<RenderedPush, Rejection>,
        now: f64,
    ) -> Pushed {
        let slot = self.slot_like(key);
        let old = slot.and_then(|slot| self.group(slot).cloned());
        if let Some(old) = &old
            && old.key != *key
        {
            let existing = old.key.clone();
            return Pushed {
                result: Err(Rejection::Key { existing }),
                undo: None,
                other_host: None,
            };
        }
        let slot = slot.unwrap_or_else(|| self.free_slot());
        let host = report.as_ref().ok().and_then(RenderedPush::reporting_host);
        let host = host.filter(|_| !key.has_label(TASK));
        let pushed =
            report.and_then(|report| self.pushed(slot, old.as_deref(), key, method, report, now));
        let is_new = old.is_none();
        let mut other_host = None;
        let (group, result) = match pushed {
            // Setting its failure time would create a group.
            Err(rejection) if is_new && !self.has_room(0, TIME_SERIES.len()) => {
                self.free.push(slot);
                return Pushed {
                    result: Err(match rejection {
                        full @ Rejection::Full { .. } => full,
                        _ => Rejection::Full {
                            limit: self.max_series,
                        },
                    }),
                    undo: None,
                    other_host: None,
                };
            }
            Ok(mut group) => {
                if let (Some(host), Some(old)) = (host, &old) {
                    other_host = group.note_host(host, old);
                }
                (group, Ok(()))
            }
            Err(rejection) => (
                StoredGroup::refused(key, old.as_deref(), now),
                Err(rejection),
            ),
        };
        let undo = self.set(slot, Some(Arc::new(group)));
        Pushed {
            result,
            undo: Some(undo),
            other_host,
        }
    }

    /// Returns the group after a push, if that is consistent with all others.
    fn pushed(
        &mut self,
        slot: u32,
        old: Option<&StoredGroup>,
        key: &GroupingKey,
        method: Method,
        report: RenderedPush,
        now: f64,
    ) -> Result<StoredGroup, Rejection> {
        let group = StoredGroup::pushed(key, method, report, old, &mut self.index, now);
        if group.bytes() > MAX_GROUP_BYTES {
            self.index.forget(&group);
            return Err(Rejection::TooLarge {
                limit: MAX_GROUP_BYTES,
            });
        }
        if !old.is_some_and(|old| old.has_same_series(&group)) {
            self.check(slot, old, &group)?;
            let taken = old.map_or(0, StoredGroup::time_and_own_series);
            if !self.has_room(taken, group.time_and_own_series()) {
                self.index.forget(&group);
                return Err(Rejection::Full {
                    limit: self.max_series,
                });
            }
        }
        Ok(group)
    }

    /// Returns true if `needed` series fit in place of `taken` ones. Fewer always do.
    fn has_room(&self, taken: usize, needed: usize) -> bool {
        let others = self.series() + TIME_SERIES.len() * self.len - taken;
        needed <= taken || others.saturating_add(needed) <= self.max_series
    }

    /// Releases the memory of deleted groups.
    pub fn shrink(&mut self) {
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        let end = self.slots.len();
        self.free.retain(|slot| (*slot as usize) < end);
        self.slots.shrink_to(2 * end);
        self.free.shrink_to(2 * self.free.len());
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_key.shrink_to(2 * self.len, |slot| {
            let group = slots[*slot as usize].as_ref();
            group.map_or(0, |group| hash_of(hasher, &group.key))
        });
        self.index.shrink();
    }

    /// Checks that `group` is consistent with all others.
    fn check(
        &mut self,
        slot: u32,
        old: Option<&StoredGroup>,
        group: &StoredGroup,
    ) -> Result<(), Rejection> {
        let slots = &self.slots;
        let checked = self.index.check(slot, old, group, |slot| {
            slots.get(slot as usize)?.as_deref()
        });
        if checked.is_err() {
            self.index.forget(group);
        }
        checked
    }

    /// Deletes the group with exactly this key, if there is one.
    pub fn delete(&mut self, key: &GroupingKey) -> Option<Undo> {
        let slot = self.slot_of(key)?;
        Some(self.set(slot, None))
    }

    /// Undoes the change that returned `undo`. Changes must be undone in reverse order.
    pub fn undo(&mut self, undo: Undo) {
        let Undo { slot, before } = undo;
        if self.group(slot).is_none() && before.is_some() {
            // Deleting it freed its slot.
            let free = self.free.iter().rposition(|free| *free == slot);
            free.map(|free| self.free.remove(free));
        }
        let _ = self.set(slot, before);
    }

    /// Sets the push times of the group in the slot.
    pub fn set_times(&mut self, slot: u32, push_time: f64, push_failure_time: f64) {
        if let Some(group) = self.slots[slot as usize].as_mut().map(Arc::make_mut) {
            group.push_time = push_time;
            group.push_failure_time = push_failure_time;
        }
    }

    /// Returns the group with exactly this key.
    pub fn group_of(&self, key: &GroupingKey) -> Option<&Arc<StoredGroup>> {
        self.group(self.slot_of(key)?)
    }

    /// Replays a successful push without checks. Later changes may be there already, and must be replayed too.
    /// Returns the slot.
    pub fn push_again(
        &mut self,
        key: &GroupingKey,
        method: Method,
        report: RenderedPush,
        time: f64,
    ) -> u32 {
        let slot = self.slot_of(key).unwrap_or_else(|| self.free_slot());
        let old = self.group(slot).cloned();
        let index = &mut self.index;
        let group = StoredGroup::pushed(key, method, report, old.as_deref(), index, time);
        self.set(slot, Some(Arc::new(group))).slot
    }

    /// Replays a refused push as [`push_again`](Self::push_again) does.
    pub fn refuse_again(&mut self, key: &GroupingKey, time: f64) -> u32 {
        let slot = self.slot_of(key).unwrap_or_else(|| self.free_slot());
        let old = self.group(slot).cloned();
        let group = StoredGroup::refused(key, old.as_deref(), time);
        self.set(slot, Some(Arc::new(group))).slot
    }

    /// Reserves the slot, as if there were a group in it.
    pub fn set_aside(&mut self, slot: u32) {
        let place = slot as usize;
        if place >= self.slots.len() {
            self.free.extend(self.slots.len() as u32..slot);
            self.slots.resize(place + 1, None);
        } else {
            self.free.retain(|free| *free != slot);
        }
    }

    /// Puts a group that was stored into its slot without checks. Returns false if the slot or the key is taken.
    pub fn restore(
        &mut self,
        slot: u32,
        report: RenderedPush,
        times: [f64; 2],
        key: GroupingKey,
    ) -> bool {
        if self.group(slot).is_some() || self.slot_of(&key).is_some() {
            return false;
        }
        self.set_aside(slot);
        let [push_time, push_failure_time] = times;
        let index = &mut self.index;
        let mut group = StoredGroup::pushed(&key, Method::Put, report, None, index, push_time);
        group.push_failure_time = push_failure_time;
        let _ = self.set(slot, Some(Arc::new(group)));
        true
    }

    fn free_slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        })
    }

    /// Returns the slot of the group with exactly this key.
    fn slot_of(&self, key: &GroupingKey) -> Option<u32> {
        self.find(key, |other| other == key)
    }

    /// Returns the slot of the group with this key, or else of one with an equivalent key: the same but for empty
    /// labels.
    fn slot_like(&self, key: &GroupingKey) -> Option<u32> {
        let exact = self.slot_of(key);
        exact.or_else(|| self.find(key, |other| is_same(other, key)))
    }

    fn find(&self, key: &GroupingKey, is_it: impl Fn(&GroupingKey) -> bool) -> Option<u32> {
        let is_it = |slot: &u32| {
            let group = self.slots[*slot as usize].as_ref();
            group.is_some_and(|group| is_it(&group.key))
        };
        self.by_key.find(hash_of(&self.hasher, key), is_it).copied()
    }

    /// Replaces the content of the slot by `group`.
    fn set(&mut self, slot: u32, group: Option<Arc<StoredGroup>>) -> Undo {
        let before = self.slots[slot as usize].take();
        let is_same_key = match (&before, &group) {
            (Some(before), Some(group)) => before.key == group.key,
            (None, None) => true,
            _ => false,
        };
        if let (false, Some(before)) = (is_same_key, &before) {
            let hash = hash_of(&self.hasher, &before.key);
            if let Ok(entry) = self.by_key.find_entry(hash, |found| *found == slot) {
                entry.remove();
            }
        }
        self.len += usize::from(group.is_some());
        self.len -= usize::from(before.is_some());
        self.bytes += group.as_ref().map_or(0, |group| group.bytes());
        self.bytes -= before.as_ref().map_or(0, |before| before.bytes());
        self.index.change(slot, before.as_deref(), group.as_deref());
        match group {
            Some(group) => {
                let hash = hash_of(&self.hasher, &group.key);
                self.slots[slot as usize] = Some(group);
                if !is_same_key {
                    let (slots, hasher) = (&self.slots, &self.hasher);
                    self.by_key.insert_unique(hash, slot, |slot| {
                        let group = slots[*slot as usize].as_ref();
                        group.map_or(0, |group| hash_of(hasher, &group.key))
                    });
                }
            }
            None => self.free.push(slot),
        }
        Undo { slot, before }
    }
}

/// Returns the labels of the key besides `job`, without empty ones, which are equivalent to none.
fn identity(key: &GroupingKey) -> impl Iterator<Item = (&str, &str)> {
    let labels = key.labels().iter();
    labels.filter(|(_, value)| !value.is_empty())
}

fn is_same(a: &GroupingKey, b: &GroupingKey) -> bool {
    a.job() == b.job() && identity(a).eq(identity(b))
}

fn hash_of(hasher: &RandomState, key: &GroupingKey) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut state = hasher.build_hasher();
    key.job().hash(&mut state);
    for label in identity(key) {
        label.hash(&mut state);
    }
    state.finish()
}
