//! The entries `[[expect]]`: ranges in which metrics of the job should be.

use super::reader::{Key, Reader, Value};
use crate::job::expectations::MetricExpectation;
use crate::job::suggest;

/// The keys of an entry.
const KEYS: [&str; 3] = ["metric", "min", "max"];

impl<'a> Reader<'a> {
    pub fn expectations(&mut self, key: &Key<'a>, value: &Value<'a>) -> Vec<MetricExpectation> {
        let Some(entries) = self.array(key, value, "a list of tables, [[expect]]") else {
            return Vec::new();
        };
        let mut expected: Vec<MetricExpectation> = Vec::new();
        for entry in entries {
            let Some(expectation) = self.metric_expectation(key, entry) else {
                continue;
            };
            if expected
                .iter()
                .any(|known| known.metric == expectation.metric)
            {
                let problem = format!("{} is in two [[expect]]", expectation.metric);
                self.problem(entry.span(), problem);
            }
            expected.push(expectation);
        }
        expected
    }

    fn metric_expectation(
        &mut self,
        key: &Key<'a>,
        entry: &Value<'a>,
    ) -> Option<MetricExpectation> {
        let before = self.problems.len();
        let (mut metric, mut min, mut max) = (None, None, None);
        for (key, value) in self.table(key, entry) {
            match key.get_ref().as_ref() {
                "metric" => metric = self.string(key, value),
                "min" => min = self.number(key, value),
                "max" => max = self.number(key, value),
                unknown => {
                    let hint = suggest::hint(unknown, KEYS);
                    self.problem(key.span(), format!("unknown key {unknown:?}{hint}"));
                }
            }
        }
        if self.problems.len() > before {
            return None;
        }
        let Some(metric) = metric else {
            self.problem(entry.span(), "[[expect]] needs the key metric".into());
            return None;
        };
        MetricExpectation::new(metric, min, max)
            .map_err(|problem| self.problem(entry.span(), format!("[[expect]] {problem}")))
            .ok()
    }
}
