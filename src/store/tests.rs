//! The store beside a model that checks all groups anew with each push.

use std::collections::BTreeMap;

use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::metrics::escaping::Escaping;
use crate::metrics::{Family, Group, Kind, Names, series_name, text};

/// Families that get into each other's way: of one name, and of a name that another's series have.
const FAMILIES: [&str; 12] = [
    "# TYPE m gauge\nm 1\n",
    "# TYPE m gauge\nm{a=\"x\"} 2\n",
    "# TYPE m gauge\nm 1\nm{a=\"x\"} 2\nm{a=\"y\"} 3\n",
    "# TYPE m gauge\n# HELP m Help.\nm{instance=\"x\"} 4\n",
    "# TYPE m counter\nm 5\n",
    "m 6\n",
    "# TYPE s summary\ns_sum 1\ns_count 1\n",
    "# TYPE s_count gauge\ns_count 7\n",
    "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
    "# TYPE h_bucket gauge\nh_bucket{a=\"x\"} 8\n",
    "# TYPE pushgateway_build_info counter\npushgateway_build_info{a=\"x\"} 1\n",
    "# TYPE pushgateway_build_info gauge\npushgateway_build_info{a=\"x\"} 1\n",
];

fn key(labels: &[(&str, &str)]) -> GroupingKey {
    let labels = labels
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    GroupingKey::new("j", labels).unwrap()
}

/// Their series are the same where a push has the labels that the key has not.
fn keys() -> [GroupingKey; 5] {
    [
        key(&[]),
        key(&[("instance", "x")]),
        key(&[("a", "x")]),
        key(&[("a", "x"), ("instance", "x")]),
        key(&[("b", "")]),
    ]
}

/// Whether the groups can be scraped together.
fn is_consistent<'a>(groups: impl Iterator<Item = &'a Group> + Clone) -> bool {
    let mut kinds: BTreeMap<&str, Kind> = own::FAMILIES.into_iter().collect();
    let mut series = std::collections::HashSet::new();
    for group in groups {
        for family in &group.families {
            if *kinds.entry(&family.name).or_insert(family.kind) != family.kind {
                return false;
            }
            for metric in &family.metrics {
                let labels = group.series_labels(&metric.labels);
                if !series.insert(series_name(&family.name, &labels)) {
                    return false;
                }
            }
        }
    }
    !kinds.iter().any(|(name, kind)| {
        let suffixes: &[&str] = match kind {
            Kind::Histogram => &["_count", "_sum", "_bucket"],
            Kind::Summary => &["_count", "_sum"],
            _ => &[],
        };
        let is_taken = |suffix| kinds.contains_key(format!("{name}{suffix}").as_str());
        suffixes.iter().any(is_taken)
    })
}

type Model = BTreeMap<GroupingKey, Group>;

/// The group after the push, whose consistency is not checked.
fn pushed(model: &Model, key: &GroupingKey, method: Method, report: &[Family]) -> Group {
    let old = match method {
        Method::Put => None,
        Method::Post => model.get(key),
    };
    let mut families: Vec<Family> = old.map_or(Vec::new(), |group| group.families.clone());
    families.retain(|family| report.iter().all(|new| new.name != family.name));
    families.extend(report.iter().cloned());
    families.sort_by(|a, b| a.name.cmp(&b.name));
    Group {
        key: key.clone(),
        families,
        push_time: 0.0,
        push_failure_time: 0.0,
    }
}

/// What a group shows: its series with their values.
fn shown<'a>(groups: impl Iterator<Item = &'a Group>) -> BTreeMap<String, String> {
    let series = groups.flat_map(|group| {
        let families = group.families.iter();
        families.flat_map(|family| {
            let metrics = family.metrics.iter();
            metrics.map(|metric| {
                let labels = group.series_labels(&metric.labels);
                (
                    series_name(&family.name, &labels),
                    format!("{:?}", metric.value),
                )
            })
        })
    });
    series.collect()
}

fn shown_by(store: &Store) -> BTreeMap<String, String> {
    let groups: Vec<Group> = store.groups().map(|(_, group)| group.to_group()).collect();
    let shown = shown(groups.iter());
    let scraped = exposition::text(&store.snapshot(), &[], Escaping::AllowUtf8).pieces;
    let scraped = text::parse(scraped.concat().as_bytes()).unwrap();
    let series = scraped.iter().flat_map(|family| {
        let metrics = family.metrics.iter();
        metrics.map(|metric| {
            (
                series_name(&family.name, &metric.labels),
                format!("{:?}", metric.value),
            )
        })
    });
    let mut series: BTreeMap<String, String> = series.collect();
    series.retain(|series, _| !series.starts_with("push_"));
    assert_eq!(series, shown);
    shown
}

#[test]
fn as_if_all_groups_were_checked() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let keys = keys();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..300 {
        let mut store = Store::new();
        let mut model = Model::new();
        for step in 0..60 {
            let key = keys.choose(&mut random).unwrap();
            let undone = random.random_ratio(1, 5);
            let before = shown_by(&store);
            let series = store.series();
            if random.random_ratio(1, 8) {
                let undo = store.delete(key);
                assert_eq!(undo.is_some(), model.contains_key(key));
                match undo {
                    Some(undo) if undone => store.undo(undo),
                    _ => drop(model.remove(key)),
                }
            } else {
                let method = *[Method::Put, Method::Post].choose(&mut random).unwrap();
                let count = random.random_range(0..4);
                let body: String = FAMILIES.sample(&mut random, count).copied().collect();
                let Ok(families) = text::parse(body.as_bytes()) else {
                    continue;
                };
                let group = pushed(&model, key, method, &families);
                let others = model.values().filter(|group| group.key != *key);
                let is_consistent = is_consistent(others.chain([&group]));
                let report = Report::new(key, families, Names::Legacy, &store.hasher());
                let Pushed { result, undo } = store.push(key, method, report, f64::from(step));
                assert_eq!(
                    result.is_ok(),
                    is_consistent,
                    "{key}: {body}{result:?} {model:?}"
                );
                match is_consistent {
                    true => taken += 1,
                    false => refused += 1,
                }
                if undone {
                    undo.into_iter().for_each(|undo| store.undo(undo));
                    assert_eq!((shown_by(&store), store.series()), (before, series));
                } else if is_consistent {
                    model.insert(key.clone(), group);
                } else {
                    let refused = pushed(&model, key, Method::Post, &[]);
                    model.entry(key.clone()).or_insert(refused);
                }
            }
            assert_eq!(shown_by(&store), shown(model.values()));
            assert_eq!(store.len(), model.len());
            assert_eq!(store.series(), shown_by(&store).len());
        }
        keys.iter().for_each(|key| drop(store.delete(key)));
        assert_eq!((store.len(), store.series(), store.bytes()), (0, 0, 0));
    }
    println!("{taken} pushes taken, {refused} refused");
    assert!(taken > 1000 && refused > 1000);
}
