//! The metrics that jobs reported last, rendered as a scrape shows them.
//!
//! - [`uniform`]: those that have the same names for all jobs; `durations` is the histogram among them.
//! - [`lag`]: how late runs began.

pub mod durations;
pub mod lag;
pub mod uniform;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use metricsjob_metrics::text::rendered::RenderedFamily;
use metricsjob_metrics::{Family, GroupingKey, Labels, Method};

/// The label that names a job's file. It stays for one release beside `job`, which is that of the grouping key.
pub const JOB_NAME: &str = "job_name";

/// The label of a grouping key that every group has.
const JOB: &str = "job";

/// How many grouping keys of one job are shown. A client can start each run over HTTP with another one.
const MAX_KEYS: usize = 100;

/// Last reports of one job, for each grouping key that it ran with.
#[derive(Clone, Default)]
pub struct RunSeries {
    /// The longest unchanged first.
    groups: Vec<(Labels, Arc<Vec<ShownFamily>>)>,
}

/// A family as a scrape shows it.
#[derive(Clone)]
pub struct ShownFamily {
    /// With all labels.
    pub family: Family,
    /// The family, rendered as lines.
    pub rendered: RenderedFamily,
}

/// Labels of the series of a group: those of its `key`, as a gateway shows them, and the job's `name`.
pub fn group_labels(name: &str, key: &GroupingKey) -> Labels {
    // An empty label is none, to Prometheus.
    let labels = key.labels().iter().filter(|(_, value)| !value.is_empty());
    labels.chain([(JOB, key.job()), (JOB_NAME, name)]).collect()
}

impl ShownFamily {
    /// The family with `labels` added to each series, which overwrite its own. Series that become duplicates
    /// by that are left out.
    pub fn new(mut family: Family, labels: &Labels) -> Self {
        let mut seen = HashSet::new();
        family.metrics.retain_mut(|metric| {
            let own = metric.labels.iter();
            metric.labels = own.chain(labels.iter()).collect();
            seen.insert(metric.labels.clone())
        });
        ShownFamily {
            rendered: RenderedFamily::of(&family),
            family,
        }
    }

    /// Without the series that `newer` has.
    fn leave_out(&mut self, newer: &ShownFamily) {
        let before = self.family.metrics.len();
        let newer: HashSet<&Labels> = newer.family.metrics.iter().map(|m| &m.labels).collect();
        self.family
            .metrics
            .retain(|metric| !newer.contains(&metric.labels));
        if self.family.metrics.len() < before {
            self.rendered = RenderedFamily::of(&self.family);
        }
    }
}

impl RunSeries {
    /// Applies a report as a gateway does: a PUT replaces all families of the key, a POST the families of
    /// the same name. Families for which `is_ours` holds are left out.
    pub fn report(
        &mut self,
        job: &str,
        key: &GroupingKey,
        method: Method,
        families: Vec<Family>,
        is_ours: impl Fn(&str) -> bool,
    ) {
        let labels = group_labels(job, key);
        let place = self.groups.iter().position(|(known, _)| *known == labels);
        let old = place.map(|place| self.groups.remove(place).1);
        let mut shown: BTreeMap<String, ShownFamily> = BTreeMap::new();
        if let (Method::Post, Some(old)) = (method, old) {
            for family in Arc::unwrap_or_clone(old) {
                shown.insert(family.family.name.clone(), family);
            }
        }
        for family in families {
            if !is_ours(&family.name) {
                shown.insert(family.name.clone(), ShownFamily::new(family, &labels));
            }
        }
        if self.groups.len() == MAX_KEYS {
            self.groups.remove(0);
        }
        self.leave_out(&labels, &shown);
        let shown = shown.into_values().collect();
        self.groups.push((labels, Arc::new(shown)));
    }

    /// Leaves out of other groups the series that `shown`, with these `labels` of its key, has too. That takes
    /// keys with other label names: of `m{b="1"}` under no key, and `m` under `b="1"`, come the same.
    fn leave_out(&mut self, labels: &Labels, shown: &BTreeMap<String, ShownFamily>) {
        for (others, families) in &mut self.groups {
            if others.keys().eq(labels.keys()) {
                continue;
            }
            for other in Arc::make_mut(families) {
                if let Some(newer) = shown.get(&other.family.name) {
                    other.leave_out(newer);
                }
            }
            Arc::make_mut(families).retain(|family| !family.family.metrics.is_empty());
        }
    }

    /// Families to show, for each key.
    pub fn groups(&self) -> impl Iterator<Item = Arc<Vec<ShownFamily>>> {
        self.groups.iter().map(|(_, families)| Arc::clone(families))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &[(&str, &str)]) -> GroupingKey {
        let labels = labels.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        GroupingKey::new("j", labels).unwrap()
    }

    fn lines(series: &RunSeries) -> String {
        let groups = series.groups();
        groups
            .flat_map(|group| {
                group
                    .iter()
                    .map(|f| f.rendered.lines.clone())
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn a_report_has_the_labels_of_its_key() {
        let mut series = RunSeries::default();
        let report = || vec![Family::gauge("a", "", 1.0), Family::gauge("ours", "", 1.0)];
        series.report(
            "n",
            &key(&[("db", "x"), ("e", "")]),
            Method::Post,
            report(),
            |name| name == "ours",
        );
        assert_eq!(lines(&series), "a{db=\"x\",job=\"j\",job_name=\"n\"} 1\n");
        let more = || vec![Family::gauge("b", "", 2.0)];
        series.report("n", &key(&[("db", "x")]), Method::Post, more(), |_| false);
        assert_eq!(
            lines(&series),
            "a{db=\"x\",job=\"j\",job_name=\"n\"} 1\nb{db=\"x\",job=\"j\",job_name=\"n\"} 2\n"
        );
        series.report("n", &key(&[("db", "x")]), Method::Put, more(), |_| false);
        assert_eq!(lines(&series), "b{db=\"x\",job=\"j\",job_name=\"n\"} 2\n");
    }

    #[test]
    fn no_series_stands_twice() {
        let mut series = RunSeries::default();
        let mut family = Family::gauge("m", "", 1.0);
        family.metrics[0].labels = Labels::from([("b", "1")]);
        let first = vec![family, Family::gauge("n", "", 1.0)];
        let mut report = |labels: &[(&str, &str)], families: Vec<Family>| {
            series.report("j", &key(labels), Method::Post, families, |_| false);
            lines(&series)
        };
        report(&[], first);
        assert_eq!(
            report(&[("b", "1")], vec![Family::gauge("m", "", 2.0)]),
            "n{job=\"j\",job_name=\"j\"} 1\nm{b=\"1\",job=\"j\",job_name=\"j\"} 2\n"
        );
    }

    #[test]
    fn keys_are_bounded() {
        let mut series = RunSeries::default();
        for number in 0..MAX_KEYS + 5 {
            let key = key(&[("n", &number.to_string())]);
            let report = vec![Family::gauge("a", "", 1.0)];
            series.report("j", &key, Method::Post, report, |_| false);
        }
        assert_eq!(series.groups().count(), MAX_KEYS);
        assert!(!lines(&series).contains("n=\"4\""));
    }

    #[test]
    fn labels_of_the_key_win() {
        let mut family = Family::gauge("a", "", 1.0);
        let mut other = family.metrics[0].clone();
        family.metrics[0].labels = Labels::from([("job", "x"), ("z", "1")]);
        other.labels = Labels::from([("job", "y"), ("job_name", "y"), ("z", "1")]);
        family.metrics.push(other);
        let shown = ShownFamily::new(family, &Labels::from([("job", "g"), ("job_name", "n")]));
        assert_eq!(
            shown.rendered.lines,
            "a{job=\"g\",job_name=\"n\",z=\"1\"} 1\n"
        );
    }
}
