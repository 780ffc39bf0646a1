//! Sums of families, by their names and the labels that the sums have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use super::value;
use crate::store::group::{FamilyView, Meta};
use metricsjob_metrics::aggregation::Gauges;
use metricsjob_metrics::{Labels, Metric, Value};

/// Sums of families.
#[derive(Default)]
pub(super) struct Sums(BTreeMap<Arc<str>, SumFamily>);

/// A family of sums.
struct SumFamily {
    meta: Arc<Meta>,
    id: u32,
    series: BTreeMap<Labels, Sum>,
}

struct Sum {
    value: Value,
    /// Time of the newest push of a value, in seconds since the epoch.
    pushed_at: f64,
}

impl Sums {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a value of `family`, pushed at `pushed_at`, to the series of the sum with these labels. A value of another kind
    /// than the first one of its name is left out.
    pub fn add(
        &mut self,
        family: &FamilyView<'_>,
        labels: Labels,
        value: Value,
        gauges: Gauges,
        pushed_at: f64,
    ) {
        let kind = family.meta.kind;
        let sum = self.0.entry(Arc::clone(&family.meta.name));
        let sum = sum.or_insert_with(|| SumFamily {
            meta: Arc::clone(family.meta),
            id: family.id,
            series: BTreeMap::new(),
        });
        if sum.meta.kind != kind {
            return;
        }
        match sum.series.entry(labels) {
            Entry::Vacant(place) => {
                place.insert(Sum {
                    value: value::first(value),
                    pushed_at,
                });
            }
            Entry::Occupied(mut sum) => {
                let sum = sum.get_mut();
                let is_newer = pushed_at > sum.pushed_at;
                value::add(&mut sum.value, value, kind, gauges, is_newer);
                sum.pushed_at = sum.pushed_at.max(pushed_at);
            }
        }
    }

    /// Returns the families, sorted by name, with the ids of their names.
    pub fn families(self) -> impl Iterator<Item = (Arc<Meta>, u32, Vec<Metric>)> {
        self.0.into_values().map(|family| {
            let series = family.series.into_iter().map(|(labels, sum)| Metric {
                labels,
                value: sum.value,
                timestamp_ms: None,
            });
            (family.meta, family.id, series.collect())
        })
    }
}
