//! What of a report is too much.

use crate::excerpt;

/// How much one series may have; the default is without limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Labels of a series, without `le` and `quantile`.
    pub max_labels: usize,
    /// Bytes of a label's value, as it is without escapes.
    pub max_label_value_bytes: usize,
    /// Bytes of a family's or label's name.
    pub max_name_bytes: usize,
    /// Series of a report, and families of it. A summary or histogram is one series.
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
    /// Whether a metric or label may have this name. The error says why not.
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

    /// Whether the label may have this value. The error says why not.
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

    /// Whether a series of `metric` may have `count` labels. The error says why not.
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
