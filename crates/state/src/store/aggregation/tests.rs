//! Sums of random pushes and deletions, some of them undone, against what was counted.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use crate::store::{RenderedPush, Store, Undo};
use metricsjob_metrics::aggregation::Aggregation;
use metricsjob_metrics::{
    Count, Family, Group, GroupingKey, Kind, Labels, Method, Names, Value, series_name,
};

fn key(env: &str, instance: u32) -> GroupingKey {
    let labels = [
        ("env".to_owned(), env.to_owned()),
        ("instance".to_owned(), instance.to_string()),
    ];
    GroupingKey::new("web", labels).unwrap()
}

fn store() -> Store {
    let mut store = Store::new();
    let rules = [r#"job="web",env="prod" without (instance)"#];
    store.set_aggregation(Aggregation::parse(&rules).unwrap());
    store
}

fn families(count: u64) -> Vec<Family> {
    let series = |value| [(Labels::new(), value)];
    let summary = Value::Summary {
        count,
        sum: count as f64,
        quantiles: Vec::new(),
    };
    let histogram = Value::Histogram {
        count: Count::Integer(count),
        sum: count as f64,
        buckets: Vec::new(),
        native: None,
    };
    vec![
        Family::counter("a_total", "Help.", count as f64),
        Family::gauge("g", "", count as f64),
        Family::new("h", "", Kind::Histogram, series(histogram)),
        Family::new("s", "", Kind::Summary, series(summary)),
    ]
}

/// Changes of the store by one push or deletion, in their order.
struct Change {
    undos: Vec<Undo>,
    /// Remainders as the log has them.
    logged: Vec<(GroupingKey, Vec<Family>, f64)>,
}

fn change(
    store: &mut Store,
    key: &GroupingKey,
    report: Option<(Method, Vec<Family>, f64)>,
) -> Change {
    let before = store.group_of(key).cloned();
    let mut undos = Vec::new();
    match report {
        Some((method, families, now)) => {
            let report = RenderedPush::new(key, families, Names::Legacy, &store.hasher());
            let pushed = store.push(key, method, report, now);
            assert!(pushed.result.is_ok());
            undos.extend(pushed.undo);
        }
        None => undos.extend(store.delete(key)),
    }
    let mut logged = Vec::new();
    if let Some(before) = before.filter(|_| store.aggregation().may_apply(key)) {
        for kept in store.keep_remainders(&before) {
            assert!(kept.left_out.is_empty());
            undos.push(kept.undo);
            logged.push((kept.key, kept.families, kept.time));
        }
    }
    Change { undos, logged }
}

fn groups(store: &Store) -> Vec<Group> {
    let groups = store.snapshot().sorted();
    groups.iter().map(|group| group.to_group()).collect()
}

/// Values of a scrape by series, but of gauges.
fn counted(store: &Store) -> BTreeMap<String, f64> {
    let snapshot = store.snapshot().aggregated(store.aggregation());
    let mut counted = BTreeMap::new();
    for group in snapshot.groups() {
        for family in group.to_group().families {
            for metric in &family.metrics {
                let value = match metric.value {
                    Value::Number(value) => value,
                    Value::Summary { count, .. } => count as f64,
                    Value::Histogram { count, .. } => count.to_f64(),
                };
                let series = series_name(&family.name, &metric.labels);
                assert!(counted.insert(series, value).is_none());
            }
        }
    }
    counted.retain(|series, value| !series.starts_with('g') && *value > 0.0);
    counted
}

#[test]
fn sums_are_what_was_counted() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut store = store();
    // By group: the current value, and of `prod` all that was counted.
    let mut values: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    let mut total = 0;
    let mut replayed = Store::new();
    for step in 0..3000 {
        let env = ["prod", "dev"][random.random_range(0..2)];
        let instance = random.random_range(0..4);
        let key = key(env, instance);
        let value = values.get(&(env, instance)).copied().unwrap_or(0);
        let next = match random.random_range(0..10) {
            0 => None,
            1 | 2 if value > 1 => Some(random.random_range(1..value)),
            _ => Some(value + random.random_range(1..9)),
        };
        let report = next.map(|next| {
            let method = [Method::Put, Method::Post][random.random_range(0..2)];
            (method, families(next), f64::from(step))
        });
        if random.random_range(0..4) == 0 {
            let before = groups(&store);
            let change = change(&mut store, &key, report.clone());
            for undo in change.undos.into_iter().rev() {
                store.undo(undo);
            }
            assert_eq!(groups(&store), before);
        }
        let change = change(&mut store, &key, report.clone());
        // As the log does it, which has remainders as pushes.
        let stored =
            |key, families| RenderedPush::stored(key, families, &replayed.hasher()).unwrap();
        match report {
            Some((method, families, now)) => {
                let report = stored(&key, families);
                replayed.push_again(&key, method, report, now);
            }
            None => drop(replayed.delete(&key)),
        }
        for (key, families, time) in change.logged {
            let report = RenderedPush::stored(&key, families, &replayed.hasher()).unwrap();
            replayed.push_again(&key, Method::Put, report, time);
        }
        match next {
            Some(next) => {
                if env == "prod" {
                    total += if next < value { next } else { next - value };
                }
                values.insert((env, instance), next);
            }
            None => {
                values.remove(&(env, instance));
            }
        }
        let found = counted(&store);
        for name in ["a_total", "h", "s"] {
            let series = format!("{name}{{env=\"prod\",instance=\"\",job=\"web\"}}");
            assert_eq!(
                found.get(&series).copied().unwrap_or(0.0),
                total as f64,
                "{step}"
            );
        }
        let others = values.keys().filter(|(env, _)| *env == "dev").count();
        assert_eq!(
            found.len(),
            3 * (others + usize::from(total > 0)),
            "{found:?}"
        );
    }
    assert_eq!(groups(&replayed), groups(&store));
    assert!(total > 1000, "{total}");
}

#[test]
fn what_no_rule_is_about_is_not_copied() {
    let mut store = store();
    for env in ["prod", "dev"] {
        let report = (Method::Put, families(1), 1.0);
        let _ = change(&mut store, &key(env, 1), Some(report));
    }
    let all = store.snapshot();
    let shown = all.clone().aggregated(store.aggregation());
    let shared = all.groups().iter().filter(|group| {
        let mut shown = shown.groups().iter();
        shown.any(|shown| std::sync::Arc::ptr_eq(shown, group))
    });
    assert_eq!(shared.count(), 1);
}
