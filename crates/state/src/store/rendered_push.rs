//! Content of a push, rendered for its group.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::group::{FamilyView, Meta};
use super::hosts;
use super::labeler::Labeler;
use super::lines;
use super::{MAX_GROUP_BYTES, Rejection};
use metricsjob_metrics::check::{
    CheckError, check_key_label, check_metric, check_name, check_suffixes, check_value,
};
use metricsjob_metrics::text::encode::Opening;
use metricsjob_metrics::{Family, GroupingKey, Metric, Names, excerpt, gateways_own, protobuf};

/// Most bytes of a report's lines for each byte of its body, and on top of that.
const FACTOR: usize = 64;
const ANYWAY: usize = 16 * 1024 * 1024;

/// Origin of a report's families.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    Push,
    /// The state, where an older version with fewer rules may have accepted them.
    State,
}

/// Estimated bytes of a line besides its name and labels.
const LINE: usize = 40;

/// Content of a push, rendered for its group, and checked by itself.
pub struct RenderedPush {
    /// Sorted by name.
    pub(super) families: Vec<ReportFamily>,
    /// The sample lines, in the order of `families`.
    pub(super) lines: String,
    /// The hash of each series' name and labels, in the order of the lines.
    pub(super) series: Vec<u64>,
    /// Time to live that the push sets; zero removes it, `None` leaves it.
    pub(super) ttl: Option<Duration>,
}

pub(super) struct ReportFamily {
    /// Created here to relieve the thread that owns the store.
    pub meta: Arc<Meta>,
    /// The ends of its lines and its series.
    pub lines_end: u32,
    pub series_end: u32,
    /// The family as a protobuf message, if text cannot express it.
    pub native: Option<Box<[u8]>>,
}

impl RenderedPush {
    /// Renders `families`, pushed to the group of `key`. The key's labels override the series' own, and a series
    /// without `instance` gets an empty one. Families named like those that [the gateway adds](gateways_own) are dropped,
    /// but must not have timestamps either. `names` are allowed for metrics and labels. `hasher` must be the
    /// [`Store`](super::Store)'s.
    ///
    /// # Errors
    ///
    /// Returns the first of the Pushgateway's rules that the push by itself violates, see
    /// [`check`](metricsjob_metrics::check), or [`Rejection::TooLarge`].
    pub fn new(
        key: &GroupingKey,
        families: Vec<Family>,
        names: Names,
        hasher: &RandomState,
    ) -> Result<RenderedPush, Rejection> {
        RenderedPush::within(key, families, names, hasher, MAX_GROUP_BYTES, Origin::Push)
    }

    /// Renders families that were accepted before, perhaps by a version with fewer rules: values, and labels that
    /// differ in empty ones only, are not checked again.
    ///
    /// # Errors
    ///
    /// Fails as [`RenderedPush::new`] does, by the rules that have always been there.
    pub fn stored(
        key: &GroupingKey,
        families: Vec<Family>,
        hasher: &RandomState,
    ) -> Result<RenderedPush, Rejection> {
        let names = Names::Utf8;
        RenderedPush::within(key, families, names, hasher, MAX_GROUP_BYTES, Origin::State)
    }

    /// Renders families as [`RenderedPush::new`] does, from a body of `bytes`: a small one must not take much memory, which
    /// long labels of the key, repeated in each line, could cause.
    ///
    /// # Errors
    ///
    /// Fails as [`RenderedPush::new`] does, with [`Rejection::TooLarge`] at 64 times `bytes` and 16 MiB.
    pub fn of_body(
        bytes: usize,
        key: &GroupingKey,
        families: Vec<Family>,
        names: Names,
        hasher: &RandomState,
    ) -> Result<RenderedPush, Rejection> {
        let limit = bytes.saturating_mul(FACTOR).saturating_add(ANYWAY);
        let limit = limit.min(MAX_GROUP_BYTES);
        RenderedPush::within(key, families, names, hasher, limit, Origin::Push)
    }

    /// Sets the time to live of the group; zero for none. `None` leaves it.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.ttl = ttl;
        self
    }

    /// The families, before any store has given ids to their names.
    pub(crate) fn families(&self) -> impl Iterator<Item = FamilyView<'_>> {
        let (mut lines, mut series) = (0, 0);
        self.families.iter().map(move |family| {
            let lines = mem::replace(&mut lines, family.lines_end)..family.lines_end;
            let series = mem::replace(&mut series, family.series_end)..family.series_end;
            FamilyView {
                meta: &family.meta,
                id: u32::MAX,
                lines: &self.lines[lines.start as usize..lines.end as usize],
                series: &self.series[series.start as usize..series.end as usize],
            }
        })
    }

    /// Returns the host that reports a run by this push.
    pub(super) fn reporting_host(&self) -> Option<String> {
        let names = self.families.iter().map(|family| &*family.meta.name);
        hosts::reporting_host(names, |name| {
            let mut families = self.families();
            Some(families.find(|family| &*family.meta.name == name)?.lines)
        })
    }

    fn within(
        key: &GroupingKey,
        mut families: Vec<Family>,
        names: Names,
        hasher: &RandomState,
        limit: usize,
        origin: Origin,
    ) -> Result<RenderedPush, Rejection> {
        let is_own = |family: &Family| gateways_own(&family.name).is_some();
        for family in families.iter().filter(|family| is_own(family)) {
            check_timestamps(family)?;
        }
        families.retain(|family| !family.metrics.is_empty() && !is_own(family));
        families.sort_by(|a, b| a.name.cmp(&b.name));
        check_among(&families, names)?;
        let labeler = Labeler::new(key);
        let metrics = families.iter().map(|family| family.metrics.len()).sum();
        let mut report = RenderedPush {
            families: Vec::with_capacity(families.len()),
            lines: String::with_capacity(limit.min(metrics * 100)),
            series: Vec::with_capacity(metrics),
            ttl: None,
        };
        let mut labels = String::new();
        for family in families {
            for name in key.labels().keys() {
                check_key_label(&family, name)?;
            }
            let first = report.series.len();
            // Other names are refused above.
            let opening = match names {
                Names::Legacy => Opening::Plain(&family.name),
                Names::Utf8 => Opening::of(&family.name),
            };
            let mut is_legacy = labeler.is_legacy() && opening.is_plain();
            for metric in &family.metrics {
                let has_legacy_labels = check_metric(&family, metric, names)?;
                is_legacy &= has_legacy_labels;
                if origin == Origin::Push {
                    check_value(&family, metric)?;
                }
                labels.clear();
                let has_empty = labeler.write(&mut labels, &metric.labels, has_legacy_labels);
                report.series.push(if has_empty {
                    hash(hasher, &family.name, &lines::compared(&labels))
                } else {
                    hash(hasher, &family.name, &labels)
                });
                let line = family.name.len() + labels.len() + LINE;
                let needed = line.saturating_mul(lines::count(&metric.value));
                if needed > limit.saturating_sub(report.lines.len()) {
                    return Err(Rejection::TooLarge { limit });
                }
                lines::samples(&mut report.lines, &opening, &labels, &metric.value);
            }
            check_once(&family, &report.series[first..], &labeler, origin)?;
            let native = protobuf::exceeds_text(&family)
                .then(|| protobuf::encode(std::slice::from_ref(&family)).into());
            report.families.push(ReportFamily {
                meta: Meta::new(&family.name, family.kind, family.help, is_legacy, hasher).into(),
                lines_end: report.lines.len() as u32,
                series_end: report.series.len() as u32,
                native,
            });
        }
        Ok(report)
    }
}

fn check_timestamps(family: &Family) -> Result<(), CheckError> {
    let mut metrics = family.metrics.iter();
    match metrics.find(|metric| metric.timestamp_ms.is_some()) {
        None => Ok(()),
        Some(metric) => Err(CheckError::Timestamp {
            series: excerpt::series(&family.name, &metric.labels),
        }),
    }
}

/// Returns the hash by which a series is identified.
fn hash(hasher: &RandomState, name: &str, labels: &str) -> u64 {
    hasher.hash_one((name, labels))
}

/// Checks that the families, sorted by name, do not conflict with each other.
fn check_among(families: &[Family], names: Names) -> Result<(), CheckError> {
    for pair in families.windows(2) {
        if pair[0].name == pair[1].name {
            let name = excerpt::word(&pair[0].name).into_owned();
            return Err(CheckError::DuplicateFamily(name));
        }
    }
    for family in families {
        check_name(&family.name, names)?;
    }
    check_suffixes(families, |name| {
        families
            .binary_search_by(|family| family.name.as_str().cmp(name))
            .is_ok()
    })
}

/// Checks that all series of the family differ, with the key's labels.
fn check_once(
    family: &Family,
    hashes: &[u64],
    labeler: &Labeler,
    origin: Origin,
) -> Result<(), CheckError> {
    if hashes.len() < 2 {
        return Ok(());
    }
    let mut seen: HashMap<u64, &Metric> = HashMap::with_capacity(hashes.len());
    for (hash, metric) in hashes.iter().zip(&family.metrics) {
        let Some(other) = seen.insert(*hash, metric) else {
            continue;
        };
        let written = |metric: &Metric| {
            let mut labels = String::new();
            labeler.write(&mut labels, &metric.labels, false);
            labels
        };
        let (labels, others) = (written(metric), written(other));
        let series = |metric: &Metric| excerpt::series(&family.name, &metric.labels);
        if labels == others {
            return Err(CheckError::DuplicateSeries {
                series: series(metric),
            });
        }
        if origin == Origin::Push && lines::compared(&labels) == lines::compared(&others) {
            return Err(CheckError::EmptyLabel {
                series: series(metric),
                other: series(other),
            });
        }
    }
    Ok(())
}
