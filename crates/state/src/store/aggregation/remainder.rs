//! Remainders: what groups had counted before a counter was reset or the group was removed.
//!
//! They are groups with the label [`REMAINDER`], so they are stored, shown and deleted as groups are.

use std::collections::{BTreeMap, HashMap};
use std::mem;

use super::sums::Sums;
use super::value;
use crate::store::{RenderedPush, Store, StoredGroup, Undo};
use metricsjob_metrics::aggregation::Gauges;
use metricsjob_metrics::{Family, GroupingKey, Kind, Labels, Method, Names, REMAINDER};

/// A remainder that has grown.
#[must_use]
pub struct KeptRemainder {
    pub key: GroupingKey,
    /// All that it has now.
    pub families: Vec<Family>,
    /// Time of its push, in seconds since the epoch: that of the newest group of which it is the remainder.
    pub time: f64,
    pub undo: Undo,
    /// Names of families of which the remainder is lost, because others of that name have changed their type.
    pub left_out: Vec<String>,
}

impl Store {
    /// Adds what the group of `old` has lost, which was in its place, to remainders. Returns those that have grown.
    ///
    /// To be called after each change of a group to which a rule [may apply](metricsjob_metrics::aggregation::Aggregation::may_apply).
    pub fn keep_remainders(&mut self, old: &StoredGroup) -> Vec<KeptRemainder> {
        if old.key.is_remainder() {
            return Vec::new();
        }
        let lost = self.lost(old).into_iter();
        let kept = lost.filter_map(|(key, sums)| self.keep_remainder(key?, sums, old.push_time));
        kept.collect()
    }

    /// Returns what a group has lost in comparison with `old`, by the remainder that it goes to.
    fn lost(&self, old: &StoredGroup) -> BTreeMap<Option<GroupingKey>, Sums> {
        let rules = &self.aggregation;
        let new = self.group_of(&old.key);
        let mut lost: BTreeMap<Option<GroupingKey>, Sums> = BTreeMap::new();
        for (family, newer) in old.beside(new.map(|new| &**new)) {
            if !matches!(
                family.meta.kind,
                Kind::Counter | Kind::Summary | Kind::Histogram
            ) {
                continue;
            }
            if newer
                .as_ref()
                .is_some_and(|newer| newer.lines == family.lines)
            {
                continue;
            }
            let newer = newer.filter(|newer| newer.meta.kind == family.meta.kind);
            let newer: HashMap<Labels, _> = match (new, newer) {
                (Some(new), Some(newer)) => {
                    let series = new.series_of(&newer);
                    series.map(|metric| (metric.labels, metric.value)).collect()
                }
                _ => HashMap::new(),
            };
            for metric in old.series_of(&family) {
                let Some(rule) = rules.rule_of(&metric.labels) else {
                    continue;
                };
                let goes_on = newer.get(&metric.labels);
                if goes_on.is_some_and(|new| !value::is_reset(&metric.value, new)) {
                    continue;
                }
                if let Some(kept) = value::kept(metric.value) {
                    let key = remainder_key(&old.key, &rule.reduced(old.key.labels()));
                    let labels = rule.reduced(&metric.labels);
                    let sums = lost.entry(key).or_default();
                    sums.add(&family, labels, kept, Gauges::Sum, old.push_time);
                }
            }
        }
        lost
    }

    fn keep_remainder(
        &mut self,
        key: GroupingKey,
        mut sums: Sums,
        pushed_at: f64,
    ) -> Option<KeptRemainder> {
        let before = self.group_of(&key).cloned();
        let mut time = pushed_at;
        if let Some(before) = &before {
            time = time.max(before.push_time);
            for family in before.families() {
                for metric in before.series_of(&family) {
                    let is_of_sum =
                        |(name, value): &(&str, &str)| *name != REMAINDER && !value.is_empty();
                    let labels = metric.labels.iter().filter(is_of_sum).collect();
                    sums.add(&family, labels, metric.value, Gauges::Sum, time);
                }
            }
        }
        let families = sums.families().map(|(meta, _, metrics)| Family {
            name: meta.name.to_string(),
            help: meta.help.to_string(),
            kind: meta.kind,
            metrics,
        });
        let mut families: Vec<Family> = families.collect();
        // What was counted must not be lost for lack of room.
        let max_series = mem::replace(&mut self.max_series, usize::MAX);
        let slot = self.slot_of(&key).unwrap_or_else(|| self.free_slot());
        let mut left_out = Vec::new();
        let mut remainder = self.remainder(slot, before.as_deref(), &key, &families, time);
        if remainder.is_none() {
            families.retain(|family| {
                let alone = std::slice::from_ref(family);
                let is_kept = match self.remainder(slot, before.as_deref(), &key, alone, time) {
                    Some(group) => {
                        self.index.forget(&group);
                        true
                    }
                    None => false,
                };
                if !is_kept {
                    left_out.push(family.name.clone());
                }
                is_kept
            });
            remainder = self.remainder(slot, before.as_deref(), &key, &families, time);
        }
        self.max_series = max_series;
        let Some(group) = remainder else {
            if before.is_none() {
                self.free.push(slot);
            }
            return None;
        };
        let undo = self.set(slot, Some(group.into()));
        Some(KeptRemainder {
            key,
            families,
            time,
            undo,
            left_out,
        })
    }

    /// Returns the group with these families, if they are consistent with all other groups.
    fn remainder(
        &mut self,
        slot: u32,
        before: Option<&StoredGroup>,
        key: &GroupingKey,
        families: &[Family],
        time: f64,
    ) -> Option<StoredGroup> {
        let report = RenderedPush::stored(key, families.to_vec(), &self.hasher).ok()?;
        self.pushed(slot, before, key, Method::Put, report, time)
            .ok()
    }
}

/// Returns the key of the remainder of groups of which the sum has the labels `reduced`.
fn remainder_key(of: &GroupingKey, reduced: &Labels) -> Option<GroupingKey> {
    let names: Vec<&str> = reduced.keys().chain(["job"]).collect();
    let labels = reduced.iter();
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let labels = labels.chain([(REMAINDER.to_owned(), names.join(","))]);
    // The labels are those of another key.
    GroupingKey::with_names(of.job(), labels, Names::Utf8).ok()
}
