//! Names of metrics and labels.

/// Which names metrics and labels may have: the `ValidationScheme` of Prometheus' `common/model`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// The names of the text format 0.0.4: [`is_metric_name`] and [`is_label_name`].
    #[default]
    Legacy,
    /// Any UTF-8 that is not empty, as in Prometheus 3. Text has the others in quotes.
    Utf8,
}

impl Names {
    /// Returns true if a metric may have the name.
    pub fn allow_metric(self, name: &str) -> bool {
        is_metric_name(name) || (self == Names::Utf8 && !name.is_empty())
    }

    /// Returns true if a label may have the name, if it is not reserved.
    pub fn allow_label(self, name: &str) -> bool {
        is_label_name(name) || (self == Names::Utf8 && !name.is_empty())
    }
}

/// Returns true if `name` is `[a-zA-Z_:][a-zA-Z0-9_:]*`, the metric names of the text format 0.0.4.
pub fn is_metric_name(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(starts_metric_name);
    // All bytes, because for names of that length it takes less time than a branch for each.
    starts
        & name
            .bytes()
            .fold(true, |all, byte| all & continues_metric_name(byte))
}

/// Returns true if `name` is `[a-zA-Z_][a-zA-Z0-9_]*`, the label names of the text format 0.0.4. Names
/// that start with `__` match too: where they are reserved, the caller refuses them.
pub fn is_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(starts_label_name) && bytes.all(continues_label_name)
}

pub(super) fn starts_metric_name(byte: u8) -> bool {
    byte == b':' || starts_label_name(byte)
}

pub(super) fn continues_metric_name(byte: u8) -> bool {
    byte == b':' || continues_label_name(byte)
}

pub(super) fn starts_label_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphabetic()
}

pub(super) fn continues_label_name(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_metric_name("a:b_9"));
        assert!(is_metric_name(":"));
        assert!(is_label_name("_a9"));
        assert!(is_label_name("__a"));
        for bad in ["", "9a", "a-b", "a b", "é", "a\n"] {
            assert!(!is_metric_name(bad), "{bad:?}");
            assert!(!is_label_name(bad), "{bad:?}");
        }
        assert!(!is_label_name("a:b"));
    }

    #[test]
    fn allowed_names() {
        for (name, metric, label) in [("a_9", true, true), ("a:b", true, false)] {
            assert_eq!(Names::Legacy.allow_metric(name), metric);
            assert_eq!(Names::Legacy.allow_label(name), label);
        }
        for name in ["a.b", "9", "é", "a\"\n", " "] {
            assert!(!Names::Legacy.allow_metric(name) && !Names::Legacy.allow_label(name));
            assert!(Names::Utf8.allow_metric(name) && Names::Utf8.allow_label(name));
        }
        assert!(!Names::Utf8.allow_metric("") && !Names::Utf8.allow_label(""));
    }
}
