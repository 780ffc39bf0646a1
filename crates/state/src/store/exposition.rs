//! Snapshots in the formats of a scrape.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::escaped::{escaped, is_legacy};
use super::labeler::Labeler;
use super::{Snapshot, StoredGroup, own};
use metricsjob_metrics::check::check_beside;
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::text::rendered::{RenderedFamily, openmetrics_pieces, text_pieces};
use metricsjob_metrics::text::{self, encode};
use metricsjob_metrics::{
    Family, Group, Kind, Labels, Metric, Names, TIME_SERIES, TTL_SERIES, Value, protobuf,
};

/// Names and help of the series that the gateway adds to each group.
pub(super) const GROUP_SERIES: [(&str, &str); 3] = [
    (
        TIME_SERIES[0],
        "Last Unix time when changing this group in the Pushgateway succeeded.",
    ),
    (
        TIME_SERIES[1],
        "Last Unix time when changing this group in the Pushgateway failed.",
    ),
    (
        TTL_SERIES,
        "Time after the last push at which the group is removed.",
    ),
];

/// Returns the values of [`GROUP_SERIES`], as far as a group has them.
fn group_values(push_time: f64, push_failure_time: f64, ttl: Option<Duration>) -> [Option<f64>; 3] {
    let ttl = ttl.map(|ttl| ttl.as_secs_f64());
    [Some(push_time), Some(push_failure_time), ttl]
}

/// A snapshot in one of the formats.
pub struct Exposition<P> {
    pub pieces: P,
    /// True if names had to be escaped or quoted, because text format 0.0.4 does not allow them.
    pub has_utf8_names: bool,
}

/// A family merged over all groups.
struct Merged {
    rendered: RenderedFamily,
    /// True if text format 0.0.4 allows its name and those of all its labels.
    is_legacy: bool,
}

impl Merged {
    fn of(family: &Family) -> Self {
        Merged {
            // They have no timestamps, which the store refuses.
            rendered: RenderedFamily::of(family),
            is_legacy: true,
        }
    }

    fn name(&self) -> &str {
        &self.rendered.name
    }

    fn family(self) -> Option<Family> {
        let text = text_pieces([self.rendered].into_iter()).concat();
        let limits = text::Limits::default();
        let families = text::parse_names(text.as_bytes(), &limits, Names::Utf8);
        families.ok()?.pop()
    }
}

/// Encodes all groups, merged by family, and the gateway's `own` metrics, in the text format 0.0.4, as pieces to be
/// concatenated. Own metrics whose names are not [reserved](own::is_reserved) are left out if they conflict with
/// pushed ones.
pub fn text(snapshot: &Snapshot, own: &[Family], escaping: Escaping) -> Exposition<Vec<String>> {
    let (families, has_utf8_names) = readable(snapshot, own, escaping);
    Exposition {
        pieces: text_pieces(families.into_iter().map(|family| family.rendered)),
        has_utf8_names,
    }
}

/// Encodes the families of [`text()`] in [OpenMetrics](mod@text::openmetrics).
pub fn openmetrics(
    snapshot: &Snapshot,
    own: &[Family],
    escaping: Escaping,
) -> Exposition<Vec<String>> {
    let (families, has_utf8_names) = readable(snapshot, own, escaping);
    let families = families.into_iter().map(|family| family.rendered);
    Exposition {
        pieces: openmetrics_pieces(families.collect()),
        has_utf8_names,
    }
}

/// Encodes the families of [`text()`] as delimited protobuf messages.
pub fn protobuf(snapshot: &Snapshot, own: &[Family], escaping: Escaping) -> Exposition<Vec<u8>> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    let mut add = |family: Family| match all.get_mut(&family.name) {
        Some(known) => known.metrics.extend(family.metrics),
        None => {
            all.insert(family.name.clone(), family);
        }
    };
    let (reserved, others) = by_reservation(own);
    // The first one's help wins.
    reserved.into_iter().cloned().for_each(&mut add);
    let mut has_utf8_names = false;
    for (group, is_shown) in snapshot.shown() {
        has_utf8_names |= !group.is_legacy();
        let group = group.to_group();
        let own = group_families(&group).into_iter();
        let own = own.filter(|family| {
            let mut shown = GROUP_SERIES.iter().zip(is_shown);
            shown.any(|((name, _), is_shown)| is_shown && *name == family.name)
        });
        own.for_each(&mut add);
        group.families.into_iter().for_each(&mut add);
    }
    let mut families: Vec<Family> = all.into_values().collect();
    if has_utf8_names && escaping != Escaping::AllowUtf8 {
        let (legacy, utf8): (Vec<_>, Vec<_>) = families.into_iter().partition(is_legacy);
        let kinds = legacy.iter().map(|f| (f.name.clone(), f.kind)).collect();
        let names = legacy.into_iter().map(|f| (f.name.clone(), f));
        let mut legacy: BTreeMap<String, Family> = names.collect();
        families = escaped(utf8, escaping, kinds, |name| legacy.remove(name));
        families.extend(legacy.into_values());
    }
    add_beside(
        &mut families,
        &others,
        |family| (&family.name, family.kind),
        |family, own| family.metrics.extend(own.metrics.iter().cloned()),
        Family::clone,
    );
    let messages: Vec<Family> = families.into_iter().flat_map(messages).collect();
    Exposition {
        pieces: protobuf::encode(&messages),
        has_utf8_names,
    }
}

/// Splits a family into its classic and its native histograms. Prometheus 2.49 to 3.6 take all series of a message
/// for the kind of the first, and refuse the scrape if a classic one then has observations but no native buckets.
fn messages(family: Family) -> impl Iterator<Item = Family> {
    let is_native = |metric: &Metric| match &metric.value {
        Value::Histogram { native, .. } => native.as_ref().is_some_and(|it| it.is_native_to_any()),
        _ => false,
    };
    let (native, classic) = match family.kind {
        Kind::Histogram => family.metrics.into_iter().partition(is_native),
        _ => (Vec::new(), family.metrics),
    };
    let native = Family {
        name: family.name.clone(),
        help: family.help.clone(),
        kind: family.kind,
        metrics: native,
    };
    let classic = Family {
        metrics: classic,
        ..family
    };
    // An empty one is not written.
    [classic, native].into_iter()
}

/// Returns the families that the gateway adds to the group: its push times, and its time to live if it has one.
pub fn group_families(group: &Group) -> Vec<Family> {
    let values = group_values(group.push_time, group.push_failure_time, group.ttl);
    let series = GROUP_SERIES.into_iter().zip(values);
    let families = series.filter_map(|((name, help), value)| {
        let mut family = Family::gauge(name, help, value?);
        for metric in &mut family.metrics {
            metric.labels = group.series_labels(&Labels::new());
        }
        Some(family)
    });
    families.collect()
}

/// Returns the families with names escaped for the reader, and true if any name is not allowed in the text format
/// 0.0.4.
fn readable(snapshot: &Snapshot, own: &[Family], escaping: Escaping) -> (Vec<Merged>, bool) {
    let (reserved, others) = by_reservation(own);
    let (mut families, has_utf8_names) = pushed(snapshot, &reserved, escaping);
    add_beside(
        &mut families,
        &others,
        |family| (&family.rendered.name, family.rendered.kind),
        |family, own| {
            let own = Merged::of(own).rendered;
            family.rendered.lines.push_str(&own.lines);
        },
        Merged::of,
    );
    (families, has_utf8_names)
}

/// Returns the families as [`readable`] does, without own ones that are not reserved.
fn pushed(snapshot: &Snapshot, own: &[&Family], escaping: Escaping) -> (Vec<Merged>, bool) {
    let families = merged(snapshot, own);
    let has_utf8_names = !families.iter().all(|family| family.is_legacy);
    if !has_utf8_names || escaping == Escaping::AllowUtf8 {
        return (families, has_utf8_names);
    }
    let (legacy, utf8): (Vec<_>, Vec<_>) =
        families.into_iter().partition(|family| family.is_legacy);
    let utf8 = utf8.into_iter().filter_map(Merged::family).collect();
    let kinds = legacy
        .iter()
        .map(|f| (f.name().to_owned(), f.rendered.kind));
    let kinds = kinds.collect();
    let names = legacy.into_iter().map(|f| (f.name().to_owned(), f));
    let mut legacy: BTreeMap<String, Merged> = names.collect();
    let escaped = escaped(utf8, escaping, kinds, |name| legacy.remove(name)?.family());
    let escaped = escaped.iter().map(|f| (f.name.clone(), Merged::of(f)));
    legacy.extend(escaped);
    (legacy.into_values().collect(), true)
}

/// Returns the families of all groups by name. Those of `own` are merged into them, or come last.
fn merged(snapshot: &Snapshot, own: &[&Family]) -> Vec<Merged> {
    let mut of_groups = GROUP_SERIES.map(|_| String::new());
    let mut are_legacy = true;
    // Indexed by the id of the name.
    let mut by_id: Vec<Option<Merged>> = Vec::new();
    for (group, is_shown) in snapshot.shown() {
        are_legacy &= write_group_series(&mut of_groups, group, is_shown);
        for family in group.families() {
            let place = family.id as usize;
            if place >= by_id.len() {
                by_id.resize_with(place + 1, || None);
            }
            let merged = by_id[place].get_or_insert_with(|| Merged {
                rendered: RenderedFamily {
                    name: family.meta.name.to_string(),
                    kind: family.meta.kind,
                    help: family.meta.help.to_string(),
                    lines: String::new(),
                },
                is_legacy: true,
            });
            merged.rendered.lines.push_str(family.lines);
            merged.is_legacy &= family.meta.is_legacy;
        }
    }
    let mut families: Vec<Merged> = by_id.into_iter().flatten().collect();
    for ((name, help), lines) in GROUP_SERIES.into_iter().zip(of_groups) {
        if lines.is_empty() {
            continue;
        }
        families.push(Merged {
            rendered: RenderedFamily {
                name: name.into(),
                kind: Kind::Gauge,
                help: help.into(),
                lines,
            },
            is_legacy: are_legacy,
        });
    }
    families.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    let by_name: HashMap<&str, usize> = (families.iter().enumerate())
        .map(|(at, family)| (family.name(), at))
        .collect();
    let places: Vec<Option<usize>> = own
        .iter()
        .map(|family| by_name.get(family.name.as_str()).copied())
        .collect();
    for (family, place) in own.iter().zip(places) {
        let own = Merged::of(family);
        match place {
            Some(place) => {
                let merged = &mut families[place].rendered;
                merged.help = own.rendered.help;
                merged.lines.push_str(&own.rendered.lines);
            }
            None => families.push(own),
        }
    }
    families
}

/// Splits the gateway's own families into those with reserved names, and the others.
fn by_reservation(own: &[Family]) -> (Vec<&Family>, Vec<&Family>) {
    own.iter()
        .partition(|family| own::is_reserved(&family.name))
}

/// Adds `own` to `families`. A family of the same name and type gets its series, which cannot be there yet because
/// pushed ones have a job, and keeps its help. One that conflicts with another is left out, also if that would lose
/// its type in OpenMetrics.
fn add_beside<F>(
    families: &mut Vec<F>,
    own: &[&Family],
    name_and_kind: impl Fn(&F) -> (&String, Kind),
    add: impl Fn(&mut F, &Family),
    new: impl Fn(&Family) -> F,
) {
    let names = families.iter().map(|family| {
        let (name, kind) = name_and_kind(family);
        (name.clone(), kind)
    });
    let kinds: HashMap<String, Kind> = names.collect();
    for own in own {
        match kinds.get(&own.name) {
            Some(kind) if *kind == own.kind => {
                let is_it = |family: &&mut F| *name_and_kind(family).0 == own.name;
                if let Some(family) = families.iter_mut().find(is_it) {
                    add(family, own);
                }
            }
            Some(_) => {}
            None => {
                let counter = format!("{}_total", own.name);
                if check_beside(&kinds, own).is_ok() && !kinds.contains_key(&counter) {
                    families.push(new(own));
                }
            }
        }
    }
}

/// Appends those of [`GROUP_SERIES`] that the group has and that are shown. Returns true if the text format 0.0.4 allows
/// the names of all its grouping labels.
fn write_group_series(lines: &mut [String; 3], group: &StoredGroup, is_shown: [bool; 3]) -> bool {
    let labels = Labeler::new(&group.key);
    let values = group_values(group.push_time, group.push_failure_time, group.ttl);
    let series = lines.iter_mut().zip(GROUP_SERIES).zip(values).zip(is_shown);
    for (((lines, (name, _)), value), is_shown) in series {
        let Some(value) = value.filter(|_| is_shown) else {
            continue;
        };
        lines.push_str(name);
        lines.push('{');
        labels.write(lines, &Labels::new(), true);
        lines.push_str("} ");
        encode::number(lines, value);
        lines.push('\n');
    }
    labels.is_legacy()
}
