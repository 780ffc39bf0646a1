//! Names of metrics and labels.

/// Validation scheme for names of metrics and labels: `ValidationScheme` in Prometheus' `common/model`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Names of the text format 0.0.4: [`is_metric_name`] and [`is_label_name`].
    #[default]
    Legacy,
    /// Any UTF-8 that is not empty, as in Prometheus 3; text quotes names that are not [`Legacy`](Self::Legacy).
    Utf8,
}

impl Names {
    /// Returns true if it is a valid name of a metric.
    pub fn allow_metric(self, name: &str) -> bool {
        is_metric_name(name) || (self == Names::Utf8 && !name.is_empty())
    }

    /// Returns true if it is a valid name of a label. Does not look at reserved names (`__`).
    pub fn allow_label(self, name: &str) -> bool {
        is_label_name(name) || (self == Names::Utf8 && !name.is_empty())
    }
}

/// Returns true if `name` matches `[a-zA-Z_:][a-zA-Z0-9_:]*`: a metric name of the text format 0.0.4.
pub fn is_metric_name(name: &str) -> bool {
    let starts = name.bytes().next().is_some_and(starts_metric_name);
    // Folds over all bytes without a branch for each: faster for names of the usual length.
    starts
        & name
            .bytes()
            .fold(true, |all, byte| all & continues_metric_name(byte))
}

/// Returns true if `name` matches `[a-zA-Z_][a-zA-Z0-9_]*`: a label name of the text format 0.0.4. Includes reserved
/// names, which start with `__`.
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
