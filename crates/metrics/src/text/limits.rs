//! Limits on the size of a report.

use crate::excerpt;

/// Limits on the size of a report and its series; none by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The labels of a series, without `le` and `quantile`.
    pub max_labels: usize,
    /// The bytes of a label's value, unescaped.
    pub max_label_value_bytes: usize,
    /// The bytes of a metric's or label's name, unescaped.
    pub max_name_bytes: usize,
    /// The series of a report, and its families. A summary or histogram is one series.
    pub max_series: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_labels: usize::MAX,
            max_label_value_bytes: usize::MAX,
            max_name_bytes: usize::MAX,
            max_series: usize::MAX,
        }
    }
}

impl Limits {
    /// Checks the name of a metric or label. The error is for the user.
    pub fn check_name(&self, name: &str) -> Result<(), String> {
        if name.len() <= self.max_name_bytes {
            return Ok(());
        }
        Err(format!(
            "the name {} has {} bytes, and the limit is {}",
            excerpt::word(name),
            name.len(),
            self.max_name_bytes
        ))
    }

    /// Checks the value of the label `label`. The error is for the user.
    pub fn check_value(&self, label: &str, value: &str) -> Result<(), String> {
        if value.len() <= self.max_label_value_bytes {
            return Ok(());
        }
        Err(format!(
            "the value of label {} has {} bytes, and the limit is {}",
            excerpt::word(label),
            value.len(),
            self.max_label_value_bytes
        ))
    }

    /// Checks the number of labels of a series of `metric`. The error is for the user.
    pub fn check_count(&self, metric: &str, count: usize) -> Result<(), String> {
        if count <= self.max_labels {
            return Ok(());
        }
        Err(format!(
            "a series of {} has {count} labels or more, and the limit is {}",
            excerpt::word(metric),
            self.max_labels
        ))
    }
}
