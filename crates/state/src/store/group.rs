//! Groups in the store.

mod selected;
mod shown;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use super::hosts::{self, HostClash};
use super::index::Index;
use super::lines;
use super::rendered_push::RenderedPush;
use metricsjob_metrics::selector::GroupFilter;
use metricsjob_metrics::{
    Family, Group, GroupingKey, Kind, LastRun, Method, Names, TIME_SERIES, is_label_name, protobuf,
    text,
};

/// A group in the store, with its lines as in a scrape.
#[derive(Debug, Clone)]
pub struct StoredGroup {
    pub key: GroupingKey,
    /// Time of the last successful push in seconds since the epoch; 0 for none.
    pub push_time: f64,
    /// Time of the last refused push in seconds since the epoch; 0 for none.
    pub push_failure_time: f64,
    /// Time after the last push, successful or refused, at which the group is removed.
    pub ttl: Option<Duration>,
    /// Sorted by name.
    pieces: Box<[Piece]>,
    /// The sample lines of all families, in the order of `pieces`.
    lines: Box<str>,
    /// The hash of each series' name and labels, in the order of the lines.
    series: Box<[u64]>,
    /// Families that text cannot express, as delimited protobuf messages, by name.
    natives: Option<Box<Natives>>,
    /// In memory only: a host that still reports will do so again.
    clash: Option<Box<HostClash>>,
    /// See [`bytes`](Self::bytes).
    bytes: usize,
}

type Natives = Vec<(String, Box<[u8]>)>;

/// Metadata of a family, shared by the groups in which it is equal.
#[derive(Debug, PartialEq)]
pub struct Meta {
    pub name: Arc<str>,
    pub kind: Kind,
    pub help: Box<str>,
    /// True if text format 0.0.4 allows its name and those of all its labels.
    pub is_legacy: bool,
    /// The hash of its name.
    pub hash: u64,
}

impl Meta {
    /// Creates it with the hasher of the [`Store`](super::Store).
    pub fn new(
        name: &str,
        kind: Kind,
        help: String,
        is_legacy: bool,
        hasher: &RandomState,
    ) -> Meta {
        Meta {
            hash: hasher.hash_one(name),
            name: name.into(),
            kind,
            help: help.into(),
            is_legacy,
        }
    }

    /// Returns the most bytes of its HELP and TYPE lines.
    fn header_bytes(&self) -> usize {
        const WORDS: usize = "# HELP  \n# TYPE  histogram\n".len();
        // Escaping can double each byte.
        WORDS + 4 * self.name.len() + 2 * self.help.len()
    }
}

/// A family of a group.
#[derive(Debug, Clone)]
struct Piece {
    meta: Arc<Meta>,
    /// See [`FamilyView::id`].
    id: u32,
    // 32 bits suffice, because `MAX_GROUP_BYTES` is less than 4 GiB.
    lines_end: u32,
    series_end: u32,
}

/// A family of a group: metadata, sample lines and hashes of its series.
pub struct FamilyView<'a> {
    pub meta: &'a Arc<Meta>,
    /// Id of its name, unique among the names that are in groups at the same time.
    pub id: u32,
    pub lines: &'a str,
    pub series: &'a [u64],
}

impl Piece {
    /// Returns the ends of its lines and its series.
    fn ends(&self) -> (usize, usize) {
        (self.lines_end as usize, self.series_end as usize)
    }
}

impl<'a> FamilyView<'a> {
    /// Returns true if the other one has equal metadata and series.
    pub(super) fn is_unchanged(&self, other: &FamilyView<'_>) -> bool {
        Arc::ptr_eq(self.meta, other.meta) && self.series == other.series
    }

    /// Returns the labels of each series, as in its lines.
    pub(crate) fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        lines::labels(self.lines, &self.meta.name, self.meta.kind)
    }
}

impl StoredGroup {
    /// Returns the group `old` after a successful push.
    pub(super) fn pushed(
        key: &GroupingKey,
        method: Method,
        report: RenderedPush,
        old: Option<&StoredGroup>,
        index: &mut Index,
        now: f64,
    ) -> StoredGroup {
        let push_failure_time = old.map_or(0.0, |old| old.push_failure_time);
        let ttl = report.ttl.or(old.and_then(|old| old.ttl));
        let mut group = StoredGroup {
            key: key.clone(),
            push_time: now,
            push_failure_time,
            ttl: ttl.filter(|ttl| !ttl.is_zero()),
            pieces: Box::default(),
            lines: Box::default(),
            series: Box::default(),
            natives: None,
            clash: old
                .filter(|_| method == Method::Post)
                .and_then(|old| old.clash.clone()),
            bytes: 0,
        };
        match old {
            Some(old) if method == Method::Post && !old.pieces.is_empty() => {
                group.merge(old, report, index);
            }
            _ => group.fill(old, report, index),
        }
        group.bytes = group.count_bytes();
        group
    }

    /// Returns the group `old` after a refused push.
    pub(super) fn refused(key: &GroupingKey, old: Option<&StoredGroup>, now: f64) -> StoredGroup {
        StoredGroup {
            key: key.clone(),
            push_time: old.map_or(0.0, |old| old.push_time),
            push_failure_time: now,
            ttl: old.and_then(|old| old.ttl),
            pieces: old.map(|old| old.pieces.clone()).unwrap_or_default(),
            lines: old.map(|old| old.lines.clone()).unwrap_or_default(),
            series: old.map(|old| old.series.clone()).unwrap_or_default(),
            natives: old.and_then(|old| old.natives.clone()),
            clash: old.and_then(|old| old.clash.clone()),
            bytes: old.map_or(0, |old| old.bytes),
        }
    }

    /// Sets the families of the report.
    fn fill(&mut self, old: Option<&StoredGroup>, report: RenderedPush, index: &mut Index) {
        let known = old.map_or(0, |old| old.pieces.len());
        let more = report.families.len().saturating_sub(known);
        index.reserve(more, report.series.len());
        let mut natives = Natives::new();
        let mut places = 0..;
        let pieces = report.families.into_iter().map(|family| {
            let at = places.next().and_then(|place| old?.pieces.get(place));
            if let Some(native) = family.native {
                natives.push((family.meta.name.to_string(), native));
            }
            let (id, meta) = shared(at, family.meta, index);
            Piece {
                meta,
                id,
                lines_end: family.lines_end,
                series_end: family.series_end,
            }
        });
        self.pieces = pieces.collect();
        self.lines = report.lines.into();
        self.series = report.series.into();
        self.natives = (!natives.is_empty()).then(|| natives.into());
    }

    /// Sets the families of the report, and those of `old` with other names.
    fn merge(&mut self, old: &StoredGroup, report: RenderedPush, index: &mut Index) {
        let is_replaced = |name: &String| {
            let families = &report.families;
            let found = families.binary_search_by(|new| (*new.meta.name).cmp(name));
            found.is_ok()
        };
        let old_natives = old.natives.iter().flat_map(|natives| natives.iter());
        let mut natives: Natives = old_natives
            .filter(|(name, _)| !is_replaced(name))
            .cloned()
            .collect();
        let mut pieces = Vec::with_capacity(old.pieces.len() + report.families.len());
        let mut lines = String::with_capacity(old.lines.len() + report.lines.len());
        let mut series = Vec::with_capacity(old.series.len() + report.series.len());
        let mut kept = old.families().zip(&*old.pieces).peekable();
        let (mut lines_start, mut series_start) = (0, 0);
        let keep = |family: FamilyView<'_>,
                    pieces: &mut Vec<Piece>,
                    lines: &mut String,
                    series: &mut Vec<u64>| {
            lines.push_str(family.lines);
            series.extend_from_slice(family.series);
            pieces.push(Piece {
                meta: family.meta.clone(),
                id: family.id,
                lines_end: lines.len() as u32,
                series_end: series.len() as u32,
            });
        };
        for family in report.families {
            while let Some((old, _)) = kept.next_if(|(old, _)| *old.meta.name < *family.meta.name) {
                keep(old, &mut pieces, &mut lines, &mut series);
            }
            let replaced = kept.next_if(|(old, _)| *old.meta.name == *family.meta.name);
            let ends = (family.lines_end as usize, family.series_end as usize);
            lines.push_str(&report.lines[lines_start..ends.0]);
            series.extend_from_slice(&report.series[series_start..ends.1]);
            (lines_start, series_start) = ends;
            if let Some(native) = family.native {
                natives.push((family.meta.name.to_string(), native));
            }
            let (id, meta) = shared(replaced.map(|(_, piece)| piece), family.meta, index);
            pieces.push(Piece {
                meta,
                id,
                lines_end: lines.len() as u32,
                series_end: series.len() as u32,
            });
        }
        for (old, _) in kept {
            keep(old, &mut pieces, &mut lines, &mut series);
        }
        self.pieces = pieces.into();
        self.lines = lines.into();
        self.series = series.into();
        self.natives = (!natives.is_empty()).then(|| natives.into());
    }

    /// Returns the families, sorted by name.
    pub fn families(&self) -> impl Iterator<Item = FamilyView<'_>> {
        let (mut lines_start, mut series_start) = (0, 0);
        self.pieces.iter().map(move |piece| {
            let (lines_end, series_end) = piece.ends();
            let view = FamilyView {
                meta: &piece.meta,
                id: piece.id,
                lines: &self.lines[lines_start..lines_end],
                series: &self.series[series_start..series_end],
            };
            (lines_start, series_start) = (lines_end, series_end);
            view
        })
    }

    /// Returns the number of series, the two push times included.
    pub(super) fn time_and_own_series(&self) -> usize {
        self.series.len() + TIME_SERIES.len()
    }

    /// Returns the families, each with the one of the same name in `other`. Walks both in order, which in large
    /// groups is many times faster than looking each up.
    pub(super) fn beside<'a>(
        &'a self,
        other: Option<&'a StoredGroup>,
    ) -> impl Iterator<Item = (FamilyView<'a>, Option<FamilyView<'a>>)> {
        let mut others = other.map(|other| other.families().peekable());
        self.families().map(move |family| {
            let is_same = |other: &FamilyView<'_>| {
                Arc::ptr_eq(other.meta, family.meta) || other.meta.name == family.meta.name
            };
            let found = others.as_mut().and_then(|others| {
                loop {
                    if let Some(other) = others.next_if(is_same) {
                        return Some(other);
                    }
                    others.next_if(|other| other.meta.name < family.meta.name)?;
                }
            });
            (family, found)
        })
    }

    /// Returns the number of families.
    pub fn family_count(&self) -> usize {
        self.pieces.len()
    }

    /// Returns the family called `name`.
    pub fn family(&self, name: &str) -> Option<FamilyView<'_>> {
        let at = self
            .pieces
            .binary_search_by(|piece| (*piece.meta.name).cmp(name))
            .ok()?;
        let start = at.checked_sub(1).map(|before| &self.pieces[before]);
        let (lines_start, series_start) = start.map_or((0, 0), Piece::ends);
        let piece = &self.pieces[at];
        let (lines_end, series_end) = piece.ends();
        Some(FamilyView {
            meta: &piece.meta,
            id: piece.id,
            lines: &self.lines[lines_start..lines_end],
            series: &self.series[series_start..series_end],
        })
    }

    /// Returns true if both have the same families with the same series.
    pub(super) fn has_same_series(&self, other: &StoredGroup) -> bool {
        self.series == other.series
            && self.pieces.len() == other.pieces.len()
            && self
                .pieces
                .iter()
                .zip(&*other.pieces)
                .all(|(a, b)| a.series_end == b.series_end && Arc::ptr_eq(&a.meta, &b.meta))
    }

    /// Returns the most bytes of its text and messages.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn count_bytes(&self) -> usize {
        let headers = self.pieces.iter().map(|piece| piece.meta.header_bytes());
        let natives = self.natives.iter().flat_map(|natives| natives.iter());
        let natives = natives.map(|(_, native)| native.len());
        self.lines.len() + headers.sum::<usize>() + natives.sum::<usize>()
    }

    /// Returns true if text format 0.0.4 allows all its names, of metrics and labels.
    pub fn is_legacy(&self) -> bool {
        self.key.labels().keys().all(is_label_name)
            && self.pieces.iter().all(|piece| piece.meta.is_legacy)
    }

    /// Encodes the families in the text format 0.0.4, with all labels.
    pub fn exposition(&self) -> String {
        let mut out = String::with_capacity(self.lines.len() + self.pieces.len() * 100);
        for family in self.families() {
            let meta = &family.meta;
            lines::header(&mut out, &meta.name, meta.kind, &meta.help);
            out.push_str(family.lines);
        }
        out
    }

    /// Returns the families that text cannot express, as delimited protobuf messages without the labels of the
    /// grouping key.
    pub fn natives(&self) -> Vec<u8> {
        let natives = self.natives.iter().flat_map(|natives| natives.iter());
        natives
            .flat_map(|(_, native)| native.iter().copied())
            .collect()
    }

    pub fn has_natives(&self) -> bool {
        self.natives.is_some()
    }

    /// Returns the group with its families, but without help and series.
    pub fn outline(&self) -> Group {
        let families = self.families().map(|family| Family {
            name: family.meta.name.to_string(),
            help: String::new(),
            kind: family.meta.kind,
            metrics: Vec::new(),
        });
        Group {
            key: self.key.clone(),
            push_time: self.push_time,
            push_failure_time: self.push_failure_time,
            ttl: self.ttl,
            families: families.collect(),
        }
    }

    /// Returns the last run that the group tells of.
    pub fn last_run(&self) -> LastRun {
        let names = self.pieces.iter().map(|piece| &*piece.meta.name);
        LastRun::find(names, |name| {
            let family = self.family(name)?;
            match family.meta.kind {
                Kind::Counter | Kind::Gauge | Kind::Untyped => lines::first_number(family.lines),
                Kind::Summary | Kind::Histogram => None,
            }
        })
    }

    /// Notes that the last push, to the group `old`, was a report of `host`. Returns another host that had reported before.
    pub(super) fn note_host(&mut self, host: String, old: &StoredGroup) -> Option<String> {
        let names = old.pieces.iter().map(|piece| &*piece.meta.name);
        let before = hosts::reporting_host(names, |name| Some(old.family(name)?.lines));
        let before = before.filter(|before| *before != host);
        // Two reports of one host in a row end a clash: the other one may be gone.
        self.clash = before.clone().map(|host_before| {
            Box::new(HostClash {
                host,
                host_before,
                time_before: old.push_time,
            })
        });
        before
    }

    /// Returns the host that reported last with the one before it, if that is another one.
    pub fn host_clash(&self) -> Option<&HostClash> {
        self.clash.as_deref()
    }

    /// Returns true if `filter` includes the group.
    pub fn is_included(&self, filter: &GroupFilter) -> bool {
        filter.includes(&self.key, self.push_time, self.push_failure_time)
    }

    /// Returns the time at which the group is removed if nothing is pushed to it, in seconds since the epoch, by its own
    /// time to live or else by `default`, which remainders do not follow.
    pub fn expires_at(&self, default: Option<Duration>) -> Option<f64> {
        let ttl = self.ttl.or(default.filter(|_| !self.key.is_remainder()))?;
        Some(self.push_time.max(self.push_failure_time) + ttl.as_secs_f64())
    }

    /// Returns true if the last push to the group was refused.
    pub fn last_push_failed(&self) -> bool {
        self.push_failure_time > self.push_time
    }

    /// Returns the group with parsed families, whose labels include the grouping key's.
    pub fn to_group(&self) -> Group {
        let limits = text::Limits::default();
        let families = text::parse_names(self.exposition().as_bytes(), &limits, Names::Utf8);
        let mut group = Group {
            key: self.key.clone(),
            push_time: self.push_time,
            push_failure_time: self.push_failure_time,
            ttl: self.ttl,
            families: families.unwrap_or_default(),
        };
        for mut native in protobuf::decode_again(&self.natives()).unwrap_or_default() {
            for metric in &mut native.metrics {
                metric.labels = group.series_labels(&metric.labels);
            }
            let name = |family: &Family| family.name.as_str().cmp(&native.name);
            if let Ok(at) = group.families.binary_search_by(name) {
                group.families[at] = native;
            }
        }
        group
    }
}

/// Returns the id of a family's name, and its metadata shared with equal ones: those of `old` if they are equal.
fn shared(old: Option<&Piece>, meta: Arc<Meta>, index: &mut Index) -> (u32, Arc<Meta>) {
    match old {
        Some(old) if old.meta == meta => (old.id, old.meta.clone()),
        _ => index.share(meta),
    }
}
