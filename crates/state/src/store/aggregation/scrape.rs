//! A scrape of groups of which some are summed.

use std::collections::BTreeMap;

use super::sums::Sums;
use crate::store::{Snapshot, StoredGroup};
use metricsjob_metrics::aggregation::Aggregation;
use metricsjob_metrics::{GroupingKey, Labels, Metric, Names};

impl Snapshot {
    /// Returns the groups as a scrape shows them: with the sums in place of the series that are summed. The push times of
    /// a sum are the newest.
    #[must_use]
    pub fn aggregated(self, rules: &Aggregation) -> Snapshot {
        if rules.is_empty() {
            return self;
        }
        let mut groups = Vec::with_capacity(self.groups().len());
        let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
        let mut times: BTreeMap<(String, Labels), [f64; 2]> = BTreeMap::new();
        for group in self.groups() {
            if !rules.may_apply(&group.key) {
                groups.push((group.clone(), [true; 3]));
                continue;
            }
            let of_job = sums.entry(group.key.job().to_owned()).or_default();
            let mut rest = Vec::new();
            for family in group.families() {
                let mut others = Vec::new();
                for metric in group.series_of(&family) {
                    let Some(rule) = rules.rule_of(&metric.labels) else {
                        others.push(metric);
                        continue;
                    };
                    let Metric { labels, value, .. } = metric;
                    let labels = rule.reduced(&labels);
                    of_job.add(&family, labels, value, rule.gauges(), group.push_time);
                }
                if !others.is_empty() {
                    rest.push((family.meta.clone(), family.id, others));
                }
            }
            let own = group.series_labels();
            let are_times_summed = match rules.rule_of(&own) {
                Some(rule) => {
                    let key = (group.key.job().to_owned(), rule.reduced(&own));
                    let newest = times.entry(key).or_default();
                    newest[0] = newest[0].max(group.push_time);
                    newest[1] = newest[1].max(group.push_failure_time);
                    true
                }
                None => false,
            };
            if !(rest.is_empty() && are_times_summed) {
                let rest = StoredGroup::assembled(group.key.clone(), group.times(), rest);
                groups.push((rest.with_ttl(group.ttl).into(), [!are_times_summed; 3]));
            }
        }
        for ((job, mut labels), times) in times {
            labels.remove("job");
            if let Some(key) = key(&job, &labels) {
                let group = StoredGroup::assembled(key, times, []);
                groups.push((group.into(), [true; 3]));
            }
        }
        for (job, sums) in sums {
            if let Some(key) = key(&job, &Labels::new()).filter(|_| !sums.is_empty()) {
                let group = StoredGroup::assembled(key, [0.0; 2], sums.families());
                groups.push((group.into(), [false; 3]));
            }
        }
        Snapshot::shown_in_part(groups)
    }
}

fn key(job: &str, labels: &Labels) -> Option<GroupingKey> {
    let labels = labels.iter();
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // The labels are those of another key.
    GroupingKey::with_names(job, labels, Names::Utf8).ok()
}
