//! Labels of a group's series.

use metricsjob_metrics::text::encode;
use metricsjob_metrics::{GroupingKey, Labels, is_label_name};

/// Writer of the labels of a group's series: their own, overridden by the grouping key's, and an empty `instance` if
/// neither has one.
pub struct Labeler {
    /// The labels of each series, as name and `name="value"`, sorted by name.
    labels: Vec<(String, String)>,
    /// True if `instance` is only for series without their own.
    has_default_instance: bool,
    /// True if text format 0.0.4 allows the names of all labels of the key.
    is_legacy: bool,
    /// True if a label of the key, other than `instance`, is empty.
    has_empty: bool,
    /// The labels of a series without its own.
    bare: String,
}

impl Labeler {
    pub fn new(key: &GroupingKey) -> Self {
        let rendered = |name: &str, value: &str| {
            let mut text = String::with_capacity(name.len() + value.len() + 3);
            encode::label(&mut text, name, value);
            (name.to_owned(), text)
        };
        let mut labels: Vec<_> = key
            .labels()
            .iter()
            .map(|(name, value)| rendered(name, value))
            .collect();
        labels.push(rendered("job", key.job()));
        let has_default_instance = !key.has_label("instance");
        if has_default_instance {
            labels.push(rendered("instance", ""));
        }
        labels.sort_unstable();
        let texts: Vec<&str> = labels.iter().map(|(_, text)| text.as_str()).collect();
        Labeler {
            bare: texts.join(","),
            labels,
            has_default_instance,
            is_legacy: key.labels().keys().all(is_label_name),
            has_empty: key.labels().iter().any(is_none),
        }
    }

    /// Returns true if text format 0.0.4 allows the names of all labels of the key.
    pub fn is_legacy(&self) -> bool {
        self.is_legacy
    }

    /// Appends `a="b",c="d"`, sorted by name. `is_legacy` is true if text format 0.0.4 allows the names in `own`;
    /// others are quoted.
    ///
    /// Returns true if a label other than `instance`, which each series has, is empty and thus equivalent to none.
    pub fn write(&self, out: &mut String, own: &Labels, is_legacy: bool) -> bool {
        let mut has_empty = self.has_empty;
        if own.is_empty() {
            out.push_str(&self.bare);
            return has_empty;
        }
        let start = out.len();
        let separate = |out: &mut String| {
            if out.len() > start {
                out.push(',');
            }
        };
        let mut keys = self.labels.iter().peekable();
        for (name, value) in own {
            while let Some((_, label)) = keys.next_if(|(key, _)| key.as_str() < name) {
                separate(out);
                out.push_str(label);
            }
            if keys.peek().is_some_and(|(key, _)| key == name) {
                if !(self.has_default_instance && name == "instance") {
                    continue;
                }
                keys.next();
            }
            separate(out);
            has_empty |= is_none((name, value));
            if is_legacy {
                encode::legacy_label(out, name, value)
            } else {
                encode::label(out, name, value)
            }
        }
        for (_, label) in keys {
            separate(out);
            out.push_str(label);
        }
        has_empty
    }
}

fn is_none((name, value): (&str, &str)) -> bool {
    value.is_empty() && name != "instance"
}

#[cfg(test)]
mod tests {
    use super::*;
    use metricsjob_metrics::Names;

    fn written(key: &[(&str, &str)], own: &[(&str, &str)]) -> String {
        let owned = |labels: &[(&str, &str)]| -> Vec<(String, String)> {
            let pairs = labels.iter();
            pairs.map(|(n, v)| ((*n).into(), (*v).into())).collect()
        };
        let key = GroupingKey::with_names("j", owned(key), Names::Utf8).unwrap();
        let mut out = String::from("m{");
        let is_legacy = own.iter().all(|(name, _)| is_label_name(name));
        let own = owned(own).into_iter().collect();
        Labeler::new(&key).write(&mut out, &own, is_legacy);
        out
    }

    #[test]
    fn the_keys_labels_overwrite_and_instance_is_added() {
        assert_eq!(written(&[], &[]), r#"m{instance="",job="j""#);
        assert_eq!(
            written(&[("db", "x")], &[("db", "y"), ("job", "k"), ("z", "1")]),
            r#"m{db="x",instance="",job="j",z="1""#
        );
        assert_eq!(
            written(&[("db", "x")], &[("a", "\""), ("instance", "i")]),
            r#"m{a="\"",db="x",instance="i",job="j""#
        );
        assert_eq!(
            written(&[("instance", "")], &[("instance", "i"), ("k", "")]),
            r#"m{instance="",job="j",k="""#
        );
        assert_eq!(
            written(&[("d.b", "x")], &[("d.b", "y"), ("k.\"", "1"), ("z", "2")]),
            r#"m{"d.b"="x",instance="",job="j","k.\""="1",z="2""#
        );
    }
}
