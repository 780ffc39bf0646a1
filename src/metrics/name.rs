//! Names of metrics and labels.

/// Whether `name` is `[a-zA-Z_:][a-zA-Z0-9_:]*`, the metric names of the text format 0.0.4.
pub fn is_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(starts_metric_name) && bytes.all(continues_metric_name)
}

/// Whether `name` is `[a-zA-Z_][a-zA-Z0-9_]*`, the label names of the text format 0.0.4. Names
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
}
