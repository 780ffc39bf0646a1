//! A snapshot in the formats of a scrape.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::labeler::Labeler;
use super::{Snapshot, StoredGroup, lines};
use crate::metrics::text::{encode, openmetrics};
use crate::metrics::{Family, Group, Kind, Labels, TIME_SERIES, protobuf};

const TIME_HELP: [&str; 2] = [
    "Last Unix time when changing this group in the Pushgateway succeeded.",
    "Last Unix time when changing this group in the Pushgateway failed.",
];

/// A family over all groups.
struct Merged {
    name: String,
    kind: Kind,
    help: String,
    lines: String,
}

/// All groups, merged per family, and then the gateway's `own` metrics, in the text format 0.0.4: HELP
/// and TYPE of each name once. In pieces that follow each other.
pub fn text(snapshot: &Snapshot, own: &[Family]) -> Vec<String> {
    let mut out = Vec::new();
    for family in merged(snapshot, own) {
        let mut header = String::new();
        lines::header(&mut header, &family.name, family.kind, &family.help);
        out.push(header);
        out.push(family.lines);
    }
    out
}

/// The same in [OpenMetrics](mod@openmetrics).
pub fn openmetrics(snapshot: &Snapshot, own: &[Family]) -> Vec<String> {
    let families = merged(snapshot, own);
    let names: HashSet<&str> = families.iter().map(|f| f.name.as_str()).collect();
    let headers: Vec<String> = families
        .iter()
        .map(|family| {
            let mut out = String::new();
            openmetrics::header(&mut out, &family.name, family.kind, &family.help, |name| {
                names.contains(name)
            });
            out
        })
        .collect();
    let mut out = Vec::with_capacity(2 * families.len() + 1);
    for (header, family) in headers.into_iter().zip(families) {
        out.push(header);
        out.push(family.lines);
    }
    out.push(openmetrics::END.into());
    out
}

/// The same as delimited protobuf messages.
pub fn protobuf(snapshot: &Snapshot, own: &[Family]) -> Vec<u8> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    let mut add = |family: Family| match all.get_mut(&family.name) {
        Some(known) => known.metrics.extend(family.metrics),
        None => {
            all.insert(family.name.clone(), family);
        }
    };
    // First, because their help wins.
    own.iter().cloned().for_each(&mut add);
    for group in snapshot.groups() {
        let group = group.to_group();
        for (at, time) in [group.push_time, group.push_failure_time]
            .into_iter()
            .enumerate()
        {
            let mut family = Family::gauge(TIME_SERIES[at], TIME_HELP[at], time);
            family.metrics[0].labels = group.series_labels(&Labels::new());
            add(family);
        }
        group.families.into_iter().for_each(&mut add);
    }
    let families: Vec<Family> = all.into_values().collect();
    protobuf::encode(&families)
}

/// The two push times of a group as families.
pub fn time_families(group: &Group) -> [Family; 2] {
    let times = [group.push_time, group.push_failure_time];
    [0, 1].map(|at| {
        let mut family = Family::gauge(TIME_SERIES[at], TIME_HELP[at], times[at]);
        for metric in &mut family.metrics {
            metric.labels = group.series_labels(&Labels::new());
        }
        family
    })
}

/// The families of the groups by name, and then those of `own`.
fn merged(snapshot: &Snapshot, own: &[Family]) -> Vec<Merged> {
    let mut times = [String::new(), String::new()];
    // By the number of the name.
    let mut by_id: Vec<Option<Merged>> = Vec::new();
    for group in snapshot.groups() {
        push_times(&mut times, group);
        for family in group.families() {
            let place = family.meta.id as usize;
            if place >= by_id.len() {
                by_id.resize_with(place + 1, || None);
            }
            let merged = by_id[place].get_or_insert_with(|| Merged {
                name: family.meta.name.to_string(),
                kind: family.meta.kind,
                help: family.meta.help.to_string(),
                lines: String::new(),
            });
            merged.lines.push_str(family.lines);
        }
    }
    let mut families: Vec<Merged> = by_id.into_iter().flatten().collect();
    if !snapshot.groups().is_empty() {
        for ((name, help), lines) in TIME_SERIES.into_iter().zip(TIME_HELP).zip(times) {
            families.push(Merged {
                name: name.into(),
                kind: Kind::Gauge,
                help: help.into(),
                lines,
            });
        }
    }
    families.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    let by_name: HashMap<&str, usize> = (families.iter().enumerate())
        .map(|(at, family)| (family.name.as_str(), at))
        .collect();
    let places: Vec<Option<usize>> = own
        .iter()
        .map(|family| by_name.get(family.name.as_str()).copied())
        .collect();
    for (family, place) in own.iter().zip(places) {
        let mut lines = String::new();
        // They carry no timestamps: the store takes none.
        encode::encode_samples(&mut lines, family, |_, _| ());
        match place {
            Some(place) => {
                families[place].help = family.help.clone();
                families[place].lines.push_str(&lines);
            }
            None => families.push(Merged {
                name: family.name.clone(),
                kind: family.kind,
                help: family.help.clone(),
                lines,
            }),
        }
    }
    families
}

/// Appends the two push times of the group.
fn push_times(lines: &mut [String; 2], group: &StoredGroup) {
    let labels = Labeler::new(&group.key);
    let values = [group.push_time, group.push_failure_time];
    for ((lines, name), value) in lines.iter_mut().zip(TIME_SERIES).zip(values) {
        lines.push_str(name);
        lines.push('{');
        labels.write(lines, &Labels::new());
        lines.push_str("} ");
        encode::number(lines, value);
        lines.push('\n');
    }
}
