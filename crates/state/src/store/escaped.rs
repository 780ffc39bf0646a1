//! Families for readers that only know the names of the text format 0.0.4.

use std::collections::{HashMap, HashSet};

use metricsjob_metrics::check::check_beside;
use metricsjob_metrics::escaping::Escaping;
use metricsjob_metrics::{Family, Kind, Labels, gateways_own, is_label_name, is_metric_name};

/// Escapes the names in `families`, which are exposed beside others that need no escaping: `kinds` has the names of
/// those, and `take` removes and returns one of them, to be merged.
///
/// Where escaping causes a conflict, the escaped one is dropped, so that readers accept the rest: a family whose name
/// another type, the series of another family or the gateway's push times have; a series with the labels of another;
/// a label.
pub fn escaped(
    mut families: Vec<Family>,
    escaping: Escaping,
    mut kinds: HashMap<String, Kind>,
    mut take: impl FnMut(&str) -> Option<Family>,
) -> Vec<Family> {
    families.sort_by(|a, b| {
        let rank = |family: &Family| !is_metric_name(&family.name);
        (rank(a), &a.name).cmp(&(rank(b), &b.name))
    });
    let mut escaped: Vec<(Family, HashSet<Labels>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for mut family in families {
        let name = escaping.metric_name(&family.name).into_owned();
        if name != family.name && gateways_own(&name).is_some() {
            continue;
        }
        family.name = name;
        match kinds.get(&family.name) {
            Some(kind) if *kind != family.kind => continue,
            Some(_) => {}
            None if check_beside(&kinds, &family).is_err() => continue,
            None => {
                kinds.insert(family.name.clone(), family.kind);
            }
        }
        let metrics = std::mem::take(&mut family.metrics);
        let place = *places.entry(family.name.clone()).or_insert_with(|| {
            let known = take(&family.name).unwrap_or(family);
            let series = known.metrics.iter().map(|metric| metric.labels.clone());
            let series = series.collect();
            escaped.push((known, series));
            escaped.len() - 1
        });
        let (known, series) = &mut escaped[place];
        for mut metric in metrics {
            metric.labels = escaped_labels(metric.labels, escaping);
            if series.insert(metric.labels.clone()) {
                known.metrics.push(metric);
            }
        }
    }
    escaped.into_iter().map(|(family, _)| family).collect()
}

fn escaped_labels(labels: Labels, escaping: Escaping) -> Labels {
    if labels.keys().all(is_label_name) {
        return labels;
    }
    let others = labels
        .iter()
        .filter(|(name, _)| !is_label_name(name))
        .map(|(name, value)| (escaping.label_name(name), value));
    let legacy = labels.iter().filter(|(name, _)| is_label_name(name));
    // The last value of a name wins.
    others
        .chain(legacy.map(|(name, value)| (name.into(), value)))
        .collect()
}

/// Returns true if the text format 0.0.4 allows all names of the family.
pub fn is_legacy(family: &Family) -> bool {
    let mut labels = family
        .metrics
        .iter()
        .flat_map(|metric| metric.labels.keys());
    is_metric_name(&family.name) && labels.all(is_label_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::{Names, text};

    /// Escapes the families of a text, and encodes them again.
    fn underscored(text: &str) -> String {
        let limits = text::Limits::default();
        let families = text::parse_names(text.as_bytes(), &limits, Names::Utf8).unwrap();
        let (legacy, utf8): (Vec<_>, Vec<_>) = families.into_iter().partition(is_legacy);
        let mut legacy: HashMap<String, Family> = legacy
            .into_iter()
            .map(|family| (family.name.clone(), family))
            .collect();
        let kinds = legacy.values().map(|f| (f.name.clone(), f.kind)).collect();
        let mut all = escaped(utf8, Escaping::Underscores, kinds, |name| {
            legacy.remove(name)
        });
        all.extend(legacy.into_values());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        // A parser that only knows legacy names must accept it.
        let written = text::encode(&all);
        text::parse_strictly(written.as_bytes()).unwrap();
        written
    }

    #[test]
    fn names_of_metrics() {
        assert_eq!(
            underscored(
                "# HELP \"my.m\" Help.\n# TYPE \"my.m\" gauge\n{\"my.m\",\"a.b\"=\"1\",c=\"2\"} 3\n"
            ),
            "# HELP my_m Help.\n# TYPE my_m gauge\nmy_m{a_b=\"1\",c=\"2\"} 3\n"
        );
    }

    #[test]
    fn families_that_become_one() {
        assert_eq!(
            underscored(
                "# HELP a_b Own.\na_b{l=\"1\"} 1\n{\"a.b\",l=\"1\"} 2\n{\"a.b\",l=\"2\"} 3\n{\"a-b\",l=\"2\"} 4\n"
            ),
            "# HELP a_b Own.\n# TYPE a_b untyped\na_b{l=\"1\"} 1\na_b{l=\"2\"} 4\n"
        );
        assert_eq!(
            underscored("# TYPE a_b counter\na_b 1\n# TYPE \"a.b\" gauge\n{\"a.b\",l=\"1\"} 2\n"),
            "# TYPE a_b counter\na_b 1\n"
        );
    }

    #[test]
    fn parts_that_become_a_family() {
        let histogram = "# TYPE \"a.h\" histogram\n{\"a.h_bucket\",le=\"+Inf\"} 1\n{\"a.h_sum\"} 1\n{\"a.h_count\"} 1\n";
        for other in ["a_h_count 1\n", "a_h_sum{\"a.b\"=\"1\"} 1\n"] {
            let written = underscored(&format!("{histogram}{other}"));
            assert!(!written.contains("histogram"), "{written}");
            assert!(written.lines().count() == 2, "{written}");
        }
        let written = underscored(&format!("{histogram}{{\"a-h_count\"}} 1\n"));
        assert_eq!(written.lines().count(), 2, "{written}");
    }

    #[test]
    fn push_times_are_not_pushed() {
        let times = "# TYPE push_time_seconds gauge\npush_time_seconds{a_b=\"1\"} 1\n";
        let pushed = "# TYPE \"push.time_seconds\" gauge\n{\"push.time_seconds\",l=\"1\"} 2\n";
        assert_eq!(underscored(&format!("{times}{pushed}")), times);
        let utf8 = times.replace("a_b", "\"a.b\"");
        assert_eq!(underscored(&format!("{pushed}{utf8}")), times);
    }

    #[test]
    fn labels() {
        assert_eq!(
            underscored(
                "m{\"a.b\"=\"1\",\"a-b\"=\"2\",a_b=\"3\",\"._name__\"=\"x\",\"a:c\"=\"4\"} 1\n"
            ),
            "# TYPE m untyped\nm{_name__=\"x\",a_b=\"3\",a_c=\"4\"} 1\n"
        );
        assert_eq!(
            underscored("m{\"a.b\"=\"1\"} 1\nm{\"a-b\"=\"1\"} 2\nm{a_b=\"2\"} 3\n"),
            "# TYPE m untyped\nm{a_b=\"1\"} 1\nm{a_b=\"2\"} 3\n"
        );
    }
}
